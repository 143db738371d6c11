"""Format `plain`: videos or folders of pictures, of cameras that nobody calibrated.

SOURCE is a video, a folder of pictures, or the folder that holds all of a recording, laid out as clips.py
says; OpenPose's JSON, masks and a background beside them are taken along. A camera's focal length is guessed;
`fit` estimates it. Several videos are of synchronised cameras, unless all were taken from the same place:
then they are one camera's clips, one after the other, and a clip's frames count from the next thousand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from anr_core.camera import Camera
from anr_core.capture.footage import Footage
from anr_core.capture.readers.clips import (
    PICTURE_FOLDERS,
    VIDEO_FOLDERS,
    VIDEO_SUFFIXES,
    Clip,
    clip_names,
    natural,
    open_clip,
)
from anr_core.capture.readers.takes import footage_of
from anr_core.capture.readers.timing import EVERYTHING, Span
from anr_core.capture.sources import PICTURE_SUFFIXES

ABOUT = "a video, or a folder of pictures or videos"

# Of colours, out of 255, that the median scenes of two clips of a standing camera differ by.
SAME_PLACE = 4.0


def recognises(source: Path) -> bool:
    """Whether a video, or a folder, is of this format; the last to be asked."""
    if source.is_file():
        return source.suffix.lower() in VIDEO_SUFFIXES
    return bool(clip_names(source))


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """Everything of a recording; videos are decoded only while the takes are asked for."""
    root, names, alone = _recording(source)
    clips = [open_clip(root, name, alone) for name in names]
    if source.is_file():
        clips = [replace(clips[0], pictures={})]  # the video was asked for, not some pictures out of it
    notes = ["the focal length is a guess; fit estimates it."]
    if len(clips) > 1 and from_one_place(clips):
        clips = in_a_row(clips)
        notes.append("all were taken from the same place, so they are clips of one camera: "
                     + ", ".join(f"{clip.folder} from frame {clip.offset}" for clip in clips) + ".")
    elif len(clips) > 1:
        notes.append(f"nothing tells how the {len(clips)} cameras stand to each other. Calibrate them, or "
                     f"prepare one alone, such as "
                     f"{clips[0].video or next(iter(clips[0].pictures.values())).parent}")
    cameras = {clip.name: guessed_camera(clip.size) for clip in clips}
    originals = {clip.name: {"K": None, "distortion": [], "size": list(clip.size)} for clip in clips}
    return footage_of("plain", root, clips, cameras, originals, (0.0, -1.0, 0.0), span,
                      uncalibrated=frozenset(cameras), notes=notes)


def _recording(source: Path) -> tuple[Path, list[str], bool]:
    """The folder that all lies in, the cameras' names, and whether all in the folder is of one camera."""
    source = source.resolve()
    if source.is_file():
        if source.suffix.lower() not in VIDEO_SUFFIXES:
            raise ValueError(f"{source} is no video; known are {', '.join(VIDEO_SUFFIXES)}.")
        root = source.parent.parent if source.parent.name in VIDEO_FOLDERS else source.parent
        siblings = [file for file in source.parent.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES]
        return root, [source.stem], len(siblings) == 1
    pictured = any(file.suffix.lower() in PICTURE_SUFFIXES for file in source.glob("*"))
    if pictured and source.parent.name in PICTURE_FOLDERS:
        return source.parent.parent, [source.name], False
    if pictured and source.name in PICTURE_FOLDERS:
        return source.parent, ["camera"], True
    names = clip_names(source)
    if not names:
        raise FileNotFoundError(f"{source} holds no pictures ({', '.join(PICTURE_SUFFIXES)}) and no videos "
                                f"({', '.join(VIDEO_SUFFIXES)}).")
    return source, sorted(names, key=natural), len(names) == 1


def guessed_camera(size: tuple[int, int]) -> Camera:
    """A camera at the world's origin, whose focal length is the picture's diagonal: 53 degrees across."""
    height, width = size
    focal = math.hypot(height, width)
    K = torch.tensor([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]])
    return Camera(K, torch.eye(3)[None], torch.zeros(1, 3), size=(height, width))


def from_one_place(clips: list[Clip]) -> bool:
    """Whether all clips show the same still background: of one camera that nobody moved."""
    if len({clip.size for clip in clips}) > 1:
        return False
    scenes = [np.median([image[::4, ::4] for image in clip.some(9)], 0) for clip in clips]
    return all(np.median(np.abs(scene - scenes[0])) < SAME_PLACE for scene in scenes[1:])


def in_a_row(clips: list[Clip]) -> list[Clip]:
    """The same clips as one camera's, each counted from another thousand on."""
    found, offset = [], 0
    for clip in clips:
        found.append(replace(clip, name="camera", folder=clip.name, offset=offset))
        offset = (offset + clip.last) // 1000 * 1000 + 1000
    return found
