"""Videos of an avatar: scenes drawn over a background, as H.264 that plays everywhere; or a strip of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from anr_core.avatars import Avatar, Rendering, Scene
from anr_core.avatars.run import Run, check_surface, writing
from anr_core.capture import Capture
from anr_core.capture.pictures import read_image, write_image
from anr_core.export.looking import as_filmed
from anr_core.export.staging import (
    circling,
    driven,
    going_along,
    playable,
    there_and_back,
    turning,
    watching,
)
from anr_core.export.volumes import check_volume, choose_latent, hulled, limit_memory
from anr_core.layers import GREY, Layers, picture
from anr_core.layers.given import pictures_of
from anr_core.motion import Motion, read_motion

VIDEO_FPS = 25
ROUND_SECONDS = 8  # a full turn takes at least so long
WATCH_SECONDS = 2  # what a resting camera shows takes at least so long
STRIP = 6  # pictures of a strip

Beside = Callable[[int, Scene], dict[str, torch.Tensor]]


def render(run: Run, capture: Capture, out: str | Path, view: str = "orbit",
           background: str | Path | None = None, overview: bool = False, size: int | None = None,
           frames: Iterable[int] | None = None, avatar: Avatar | None = None,
           motion: str | Path | Motion | None = None, up: str | None = None, hull: bool = False,
           memory: float | None = None, latent: int | None = None) -> None:
    """Draw a run's avatar in the poses of a capture, played there and back, or of a motion, as an MP4.

    out         a name in .mp4; in .jpg or .png it becomes a strip of pictures, evenly taken out of the video
    view        "orbit" (the camera circles once), "turn" (the person turns once) or a camera of the capture
    background  a picture to stand before, or None for grey
    overview    show what happens on the way side by side
    size        side of the picture, pixels; None for what the run was trained for
    frames      play these frames alone
    avatar      drawn in place of the run's own, such as one that wears parts of another
    motion      what to play instead of the capture's poses: whatever `read_motion` reads
    up          the axis of the motion's file against gravity, such as "y"; None looks
    hull        nothing is where a camera that was trained on saw background; only whole frames are played
    memory      GiB that drawing a volume may take; None for what its settings say
    latent      the trained frame whose latent a volume is drawn with; None for the nearest

    Raises ValueError for another kind of name, an unknown view, a capture of another surface, a motion that
    can't be read or is for a body that can't be posed, and a hull or a memory for what is no volume.
    """
    out, size = Path(out), size or run.config.size
    check_name(out)
    if view not in ("orbit", "turn", *capture.cameras):
        raise ValueError(f"There is no view {view!r}; use orbit, turn or a camera of the capture: "
                         f"{', '.join(capture.cameras)}.")
    if motion is not None and frames is not None:
        raise ValueError("--frames are of the capture, which isn't played where there is a motion; leave one "
                         "out.")
    if motion is not None and hull:
        raise ValueError("--hull is made of the masks of the frame that is played, and a motion has none. "
                         "Leave one out.")
    if motion is not None and not isinstance(motion, Motion):
        motion = read_motion(motion)
    avatar = avatar or run.avatar()
    check_surface(capture, avatar.surface)
    limit_memory(avatar, memory)
    choose_latent(avatar, latent)
    known = [name for name, _ in run.trained if name in capture.cameras] or list(capture.cameras)
    beside = None
    if motion is None:
        moments, scenes = staged(capture, view, known[0], size, frames, hull)
        many = len(moments)
        if hull:
            check_volume(avatar, "--hull")
            scenes = hulled(avatar, scenes, moments, capture, {name for name, _ in run.trained})
        if view in capture.cameras:
            def beside(place, scene):
                return {"truth": as_filmed(capture, view, float(moments[place]), scene)}
    else:
        many, scenes = staged_motion(capture, motion, view, known[0], size, up)
    write_scenes(out, avatar, scenes, many, size, background, overview, beside)


def write_scenes(out: Path, avatar: Avatar, scenes: Iterable[Scene], many: int, size: int,
                 background: str | Path | None = None, overview: bool = False,
                 beside: Beside | None = None) -> None:
    """Draw so many scenes as a video, or six of them as a strip.

    beside  what an overview shows of a scene by its place besides its drawing, (1, 3, H, W) by name; or None
    """
    behind = GREY if background is None else read_background(Path(background), size)
    places = range(many)
    if out.suffix.lower() != ".mp4":
        places = sorted({index * many // STRIP for index in range(STRIP)})
        scenes = (scene for index, scene in enumerate(scenes) if index in places)
    avatar.to("cuda" if torch.cuda.is_available() else "cpu")
    pictures = draw_overview(avatar, scenes, behind, beside, places) if overview \
        else draw_frames(avatar, scenes, behind)
    if out.suffix.lower() == ".mp4":
        write_video(out, tqdm(pictures, "drawing", many, unit=" pictures", leave=False), VIDEO_FPS)
    else:
        write_strip(out, list(pictures))


def check_name(out: Path) -> None:
    """Raise ValueError for a name that is neither of a video nor of a picture."""
    if out.suffix.lower() not in (".mp4", ".jpg", ".png"):
        raise ValueError(f"{out} is no name of a video; write one that ends in .mp4, or in .jpg for a strip "
                         "of pictures out of it.")


def staged(capture: Capture, view: str, first: str, size: int,
           frames: Iterable[int] | None, filmed: bool = False) -> tuple[torch.Tensor, Iterator[Scene]]:
    """The frame numbers (m,) of a video's pictures, and its scenes; a turn begins with the camera `first`.

    filmed  play registered frames alone, each as long as it is the nearest, and nothing in between
    """
    watched = view in capture.cameras
    body, recording = playable(capture, view if watched else None, frames)
    numbers = there_and_back(float(recording.frame[0]), float(recording.frame[-1]), capture.fps, VIDEO_FPS,
                             WATCH_SECONDS if watched else ROUND_SECONDS)
    if filmed:
        numbers = recording.frame[(numbers[:, None] - recording.frame).abs().argmin(1)]
    poses = [recording.at(number[None]) for number in numbers]
    if watched:
        scenes = watching(body, poses, capture.cameras[view], view, size)
    else:
        stage = circling if view == "orbit" else turning
        scenes = stage(body, poses, capture.cameras[first], capture.up, size, VIDEO_FPS)
    # some avatars know of a frame how it differed from others, beside the pose
    return numbers, (replace(scene, frame=number[None])
                     for scene, number in zip(scenes, numbers, strict=True))


def staged_motion(capture: Capture, motion: Motion, view: str, first: str, size: int,
                  motion_up: str | None = None) -> tuple[int, Iterator[Scene]]:
    """How many pictures a video of a motion has, and its scenes; it begins where the capture's person is."""
    body, up, watched = capture.body, capture.up, view in capture.cameras
    moving = driven(body, motion, capture.recording[:1], up, VIDEO_FPS, 0 if watched else ROUND_SECONDS,
                    motion_up)
    poses = [moving[index:index + 1] for index in range(len(moving))]
    if watched:
        return len(poses), going_along(body, poses, capture.cameras[view], view, up, size, VIDEO_FPS)
    stage = circling if view == "orbit" else turning
    return len(poses), stage(body, poses, capture.cameras[first], up, size, VIDEO_FPS, loops=False)


def read_background(file: Path, size: int | tuple[int, int]) -> torch.Tensor:
    """A picture (1, 3, H, W) that is scaled and cut to fill a square of that size, or (H, W)."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist. Give a picture to stand before, or leave it out.")
    height, width = (size, size) if isinstance(size, int) else size
    picture = ImageOps.fit(Image.fromarray(read_image(file)), (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


# drawing


def draw_frames(avatar: Avatar, scenes: Iterable[Scene],
                background: torch.Tensor | float) -> Iterator[np.ndarray]:
    """The avatar over a background, (H, W, 3) uint8 a scene."""
    for _, rendering in drawn(avatar, scenes):
        yield picture(rendering.over(on_device(background, rendering)))


def draw_overview(avatar: Avatar, scenes: Iterable[Scene], background: torch.Tensor | float,
                  beside: Beside | None = None, places: Iterable[int] | None = None) -> Iterator[np.ndarray]:
    """Input, steps on the way and result side by side under their names, (H, W, 3) uint8 a scene.

    beside  what else is shown of a scene, by its place
    places  of the scenes; None for 0, 1, 2 ...
    """
    layers = Layers()
    for place, (scene, rendering) in zip(count() if places is None else places, drawn(avatar, scenes),
                                         strict=False):
        others = pictures_of(avatar, scene) | ({} if beside is None else beside(place, scene))
        rendering = replace(rendering, layers=rendering.layers | others)
        yield layers.overview(rendering, avatar.surface, on_device(background, rendering))


def drawn(avatar: Avatar, scenes: Iterable[Scene]) -> Iterator[tuple[Scene, Rendering]]:
    """Scenes on the avatar's own surface and device, and their renderings."""
    device = avatar.device
    for scene in scenes:
        posed = scene.posed and scene.posed.on(avatar.surface)
        scene = replace(scene, posed=posed, camera=scene.camera.to(device))
        yield scene, avatar.draw(scene)


def on_device(background: torch.Tensor | float, rendering: Rendering) -> torch.Tensor | float:
    return background.to(rendering.rgb) if torch.is_tensor(background) else background


# writing


def write_video(file: Path, pictures: Iterable[np.ndarray], fps: float) -> None:
    """Write pictures (H, W, 3) uint8 of one size as MP4; the file is there as a whole, or as it was before.

    An odd row or column is doubled: H.264 with colours at half resolution needs even sizes.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.stem}.new.mp4")
    try:
        if _encode(fresh, pictures, fps) != _playable(fresh):
            raise OSError("not all of it arrived")
        os.replace(fresh, file)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{file} could not be written ({reason}); what was there is kept. Make room or name "
                         "another place, then draw it again.") from None
    finally:
        fresh.unlink(missing_ok=True)


def write_strip(file: Path, pictures: list[np.ndarray]) -> None:
    """Write pictures (H, W, 3) uint8 of one height side by side as one."""
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_image(file, np.concatenate(pictures, 1))


def _encode(file, pictures, fps):
    """Write the pictures and return how many there were."""
    even = (np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), "edge")
            for frame in pictures)
    first = next(even)
    # crf 18: no loss that is seen; faststart: a browser plays while it loads
    writer = imageio_ffmpeg.write_frames(
        str(file), first.shape[1::-1], fps=fps, codec="libx264", quality=None, macro_block_size=1,
        ffmpeg_log_level="quiet", output_params=["-crf", "18", "-movflags", "+faststart"])
    count = 0
    with closing(writer):
        writer.send(None)
        for frame in chain([first], even):
            writer.send(frame)
            count += 1
    return count


def _playable(file):
    """How many pictures a player finds: ffmpeg tells nobody when the disk was full at its end."""
    try:
        return imageio_ffmpeg.count_frames_and_secs(file)[0]
    except RuntimeError:
        return 0
