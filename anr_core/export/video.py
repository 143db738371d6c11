"""Videos of an avatar: scenes drawn over a background, and what is to be seen in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import torch

from anr_core.avatars import Avatar, Rendering, Scene
from anr_core.avatars.run import Run, check_surface
from anr_core.capture import Capture
from anr_core.export.backgrounds import NONE, Behind, Own, chosen_background, composed, on_device
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
from anr_core.export.writing import STRIPS, check_name, kind_of, write_pictures
from anr_core.layers import STEPS, Layers
from anr_core.layers.given import pictures_of
from anr_core.motion import Motion, read_motion
from anr_core.telling import listed

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
    """Draw a run's avatar in the poses of a capture, played there and back, or of a motion, as a video.

    out         a name in .mp4, .webm or .mov; in .jpg or .png it becomes a strip of pictures, evenly taken
                out of the video; a folder's, without a suffix or ending in /, gets all of them
    view        "orbit" (the camera circles once), "turn" (the person turns once) or a camera of the capture
    background  what to stand before, as `chosen_background` reads it
    overview    show what happens on the way side by side
    size        side of the picture, pixels; None for what the run was trained for
    frames      play these frames alone
    avatar      drawn in place of the run's own, such as one that wears parts of another
    motion      what to play instead of the capture's poses: whatever `read_motion` reads
    up          the axis of the motion's file against gravity, such as "y"; None looks
    hull        nothing is where a camera that was trained on saw background; only whole frames are played
    memory      GiB that drawing a volume may take; None for what its settings say
    latent      the trained frame whose latent a volume is drawn with; None for the nearest

    Raises ValueError for another kind of name, an unknown view or background, a capture of another surface, a
    motion that can't be read or is for a body that can't be posed, and a hull or a memory for what is no
    volume.
    """
    size = size or run.config.size
    check_shown(out, background, overview)
    if view not in ("orbit", "turn", *capture.cameras):
        raise ValueError(f"There is no view {view!r}; use orbit, turn or a camera of the capture: "
                         f"{listed(capture.cameras)}.")
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
    own = Own(avatar, capture, view) if view in capture.cameras else None
    write_scenes(out, avatar, scenes, many, size, background, overview, beside, own)


def write_scenes(out: str | Path, avatar: Avatar, scenes: Iterable[Scene], many: int, size: int,
                 background: str | Path | None = None, overview: bool | Collection[str] = False,
                 beside: Beside | None = None, own: Own | None = None) -> None:
    """Draw so many scenes as a video or a folder, or six of them as a strip.

    overview  show what happens on the way, or these of `layers.STEPS`
    beside    what an overview shows of a scene by its place beside its drawing, (1, 3, H, W) by name; or None
    own       what the background "own" is, where a known camera looks
    """
    behind = chosen_background(background, size, own)
    places = range(many)
    if kind_of(out) in STRIPS:
        places = sorted({index * many // STRIP for index in range(STRIP)})
        scenes = (scene for index, scene in enumerate(scenes) if index in places)
    avatar.to("cuda" if torch.cuda.is_available() else "cpu")
    if overview:
        steps = STEPS if overview is True else overview
        pictures = draw_overview(avatar, scenes, behind, beside, places, steps)
    else:
        pictures = draw_frames(avatar, scenes, behind)
    write_pictures(out, pictures, many, VIDEO_FPS)


def check_shown(out: str | Path, background: str | Path | None, overview: bool | Collection[str]) -> None:
    """Raise ValueError where a name, a background and an overview don't go together."""
    check_name(out, transparent=background == NONE)
    if overview and background == NONE:
        raise ValueError("An overview has no transparent background: its other pictures have none. Leave out "
                         "--overview, or --background none.")


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


# drawing


def draw_frames(avatar: Avatar, scenes: Iterable[Scene], behind: Behind) -> Iterator[np.ndarray]:
    """The avatar before a background, (H, W, 3) uint8 a scene, or (H, W, 4) before none."""
    for scene, rendering in drawn(avatar, scenes):
        yield composed(rendering, behind(scene))


def draw_overview(avatar: Avatar, scenes: Iterable[Scene], behind: Behind,
                  beside: Beside | None = None, places: Iterable[int] | None = None,
                  steps: Collection[str] = STEPS) -> Iterator[np.ndarray]:
    """Input, steps on the way and result side by side under their names, (H, W, 3) uint8 a scene.

    beside  what else is shown of a scene, by its place
    places  of the scenes; None for 0, 1, 2 ...
    steps   what is shown at the most
    """
    layers = Layers()
    for place, (scene, rendering) in zip(count() if places is None else places, drawn(avatar, scenes),
                                         strict=False):
        others = pictures_of(avatar, scene) | ({} if beside is None else beside(place, scene))
        rendering = replace(rendering, layers=rendering.layers | others)
        yield layers.overview(rendering, avatar.surface, on_device(behind(scene), rendering), steps)


def drawn(avatar: Avatar, scenes: Iterable[Scene]) -> Iterator[tuple[Scene, Rendering]]:
    """Scenes on the avatar's own surface and device, and their renderings."""
    device = avatar.device
    for scene in scenes:
        posed = scene.posed and scene.posed.on(avatar.surface)
        keypoints = scene.keypoints
        scene = replace(scene, posed=posed, camera=scene.camera.to(device),
                        keypoints=None if keypoints is None else keypoints.to(device))
        yield scene, avatar.draw(scene)
