"""Videos of what image-to-image systems draw: input beside prediction beside truth, split by split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from anr_core.avatars import Avatar, Rendering, Scene
from anr_core.avatars.run import Run, check_surface
from anr_core.capture import Capture, Shot, View
from anr_core.evaluation.judging import coloured, soundly_drawn
from anr_core.export.backgrounds import OWN, Behind, chosen_background, composed
from anr_core.export.video import STRIP, check_shown
from anr_core.export.writing import STRIPS, kind_of, write_pictures, write_video
from anr_core.layers import GREY, beside, picture
from anr_core.training.pairs import drawn_whole

VIDEOS = "videos"  # folder of a run
MOST = 750  # pictures of a split that its video shows: half a minute of them
RATES = 1, 60  # pictures a second that players show
PLAYED = ("test", "validation", "train")  # what is drawn of a capture of pairs: the first that there is


def write_split_videos(run: Run, capture: Capture) -> list[Path]:
    """Draw what a run was trained on, and what its capture holds out: videos/train.mp4, test.mp4 and so on.

    Splits are as the capture marks them; of one that is very long the beginning is shown. Truth stays black
    where nobody knows it. Returns the files.
    """
    avatar, written = run.avatar(), []
    check_surface(capture, avatar.surface)
    avatar.to("cuda" if torch.cuda.is_available() else "cpu")
    trained = set(run.trained)
    for split in sorted(capture.splits, key=lambda name: (name != "train", name)):
        shots = sorted((shot for shot in capture.shots if shot.split == split
                        and (shot.registered or capture.paired)
                        and (split != "train" or (shot.camera, shot.frame) in trained)),
                       key=lambda shot: (shot.camera, shot.frame))[:MOST]
        if shots:
            name = re.sub(r"[^\w-]+", "-", split)
            drawn = compared(avatar, replace(capture, shots=shots), {name for name, _ in trained})
            written.append(run.path / VIDEOS / f"{name}.mp4")
            write_video(written[-1], tqdm(drawn, name, len(shots), leave=False), rate_of(capture))
    return written


def rate_of(capture: Capture) -> float:
    """Pictures a second of a video of a capture's pictures."""
    return min(max(capture.fps, RATES[0]), RATES[1])


def compared(avatar: Avatar, capture: Capture, cameras: Iterable[str],
             size: int | None = None) -> Iterator[np.ndarray]:
    """Input, prediction and truth side by side under their names, (H, W, 3) uint8 a view of a capture.

    cameras  that were trained; an avatar may know their exposure
    size     side of the pictures, pixels; None for what was trained

    There is no truth where none of the pictures is known.
    """
    truth = any(shot.known for shot in capture.shots)
    for shot, view, drawn in _drawn(avatar, capture, cameras, size):
        given, covered = drawn.layers.get("input", view.input), drawn.layers.get("coverage", 1)
        tiles = {"input": coloured(given) * covered + GREY * (1 - covered), "prediction": drawn.over(GREY)}
        if truth:
            tiles["truth"] = view.image * view.mask + GREY * (1 - view.mask) if shot.known else 0 * view.image
        yield beside({name: picture(tile) for name, tile in tiles.items()})


def _drawn(avatar, capture, cameras, size) -> Iterator[tuple[Shot, View, Rendering]]:
    views = drawn_whole(capture, avatar.config, size)
    for shot, view in zip(views.shots, views, strict=True):
        view, posed = avatar.placed(view.to(avatar.device), capture.registration)
        with torch.no_grad():
            drawn = soundly_drawn(avatar, view, posed, cameras)
        yield shot, view, drawn


def render_pairs(run: Run, capture: Capture, out: str | Path, frames: Iterable[int] | None = None,
                 size: int | None = None, background: str | Path | None = None,
                 overview: bool = False) -> None:
    """Draw a capture's inputs as a video: those of test, or of validation or train where there are no others.

    out         a name as `export.video.render` takes it
    frames      these alone, of whatever split
    size        the longer side of the pictures, pixels; None for what was trained
    background  what to stand before, where the run has learned masks, as `chosen_background` reads it
    overview    input and truth beside what is drawn

    Raises ValueError for another kind of name, and for a capture without inputs.
    """
    check_shown(out, background, overview)
    if background == OWN:
        raise ValueError("Pairs of pictures have no background of their own: what is behind a person is in "
                         "the picture, or left out of it. Choose a colour or a picture.")
    avatar = run.avatar()
    check_surface(capture, avatar.surface)
    avatar.to("cuda" if torch.cuda.is_available() else "cpu")
    shots = _played(capture, frames)
    if kind_of(out) in STRIPS:
        shots = [shots[index * len(shots) // STRIP] for index in range(min(STRIP, len(shots)))]
    played = replace(capture, shots=shots)
    pictures = compared(avatar, played, (), size) if overview else \
        _before(avatar, played, size,
                chosen_background(background, drawn_whole(played, avatar.config, size)[0].size))
    write_pictures(out, pictures, len(shots), rate_of(capture))


def _before(avatar: Avatar, capture: Capture, size: int | None, behind: Behind) -> Iterator[np.ndarray]:
    for _, view, drawn in _drawn(avatar, capture, (), size):
        yield composed(drawn, behind(Scene(None, view.camera, view.size)))


def _played(capture: Capture, frames: Iterable[int] | None) -> list[Shot]:
    wanted = None if frames is None else set(frames)
    split = next(name for name in PLAYED if name in capture.splits)
    return sorted((shot for shot in capture.shots
                   if (shot.split == split if wanted is None else shot.frame in wanted)),
                  key=lambda shot: shot.frame)
