"""From clips to footage: which frames to take, and how many of them are a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anr_core.camera import Camera
from anr_core.capture.footage import Footage, Take
from anr_core.capture.readers.clips import Clip
from anr_core.capture.sources import decoded, stated_licence

ASSUMED_FPS = 30.0


@dataclass(frozen=True)
class Span:
    """What of a source is asked for: frames a second, and from which second to which; None is all."""

    fps: float | None = None
    start: float | None = None
    end: float | None = None

    def __post_init__(self):
        if self.fps is not None and not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"--fps {self.fps:g} was asked for; use a positive number of frames a second.")
        if self.start is not None and self.end is not None and not self.start <= self.end:
            raise ValueError(f"--start {self.start:g} comes after --end {self.end:g}. Exchange them.")


def footage_of(format: str, root: Path, clips: list[Clip], cameras: dict[str, Camera],
               originals: dict[str, dict], up: tuple[float, float, float], span: Span, notes: list[str],
               uncalibrated: frozenset[str] = frozenset()) -> Footage:
    """The footage of clips without a body; cameras and what the source says of them by the clips' names."""
    rate, assumed = frame_rate(clips, span)
    skeletons = {clip.skeleton for clip in clips if clip.keypoints}
    if len(skeletons) > 1:
        raise ValueError(f"{root}: its cameras' keypoints are of {' and '.join(sorted(skeletons))}. Detect "
                         "all with one model.")
    return Footage(
        format=format, cameras=cameras, originals=originals,
        takes=(take for clip in clips for take in takes_of(clip, rate, span)),
        frames=np.zeros(0, np.int64), vertices=None, surface=None, fps=rate, up=up,
        backgrounds={clip.name: clip.background for clip in clips if clip.background},
        notes=[note for clip in clips for note in clip.notes] + assumed + notes,
        keypoints=next(iter(skeletons), None), uncalibrated=uncalibrated, **stated_licence(root))


def frame_rate(clips: list[Clip], span: Span) -> tuple[float, list[str]]:
    """Frame numbers a second, which all clips share, and notes of what was assumed."""
    rates = {clip.name: clip.fps for clip in clips if clip.fps is not None}
    if rates:
        low, high = min(rates, key=rates.get), max(rates, key=rates.get)
        if rates[high] > 1.01 * rates[low]:
            raise ValueError(f"{low} runs at {rates[low]:g} frames a second, {high} at {rates[high]:g}: they "
                             "can't be one synchronised recording. Convert them to one rate.")
        return rates[high], []
    if span.fps is not None:
        return (span.fps * clips[0].spacing,
                [f"--fps says that the pictures are {span.fps:g} a second; all are taken."])
    return picture_rate(None)


def picture_rate(fps: float | None) -> tuple[float, list[str]]:
    """Pictures a second: as the user says, or an assumption and the note that says so."""
    if fps is not None:
        return fps, []
    return ASSUMED_FPS, [f"nothing tells how many pictures are a second: {ASSUMED_FPS:g} are assumed; "
                         "state them with --fps."]


def takes_of(clip: Clip, rate: float, span: Span) -> Iterator[Take]:
    """A clip's pictures, or its video's frames one every 1 / fps seconds; both where fps was asked for."""
    begin = clip.first if clip.video is not None else min(clip.pictures)
    low = -np.inf if span.start is None else begin + span.start * rate
    high = np.inf if span.end is None else begin + span.end * rate
    for frame, file in clip.pictures.items():
        if low <= frame <= high:
            yield _take(clip, frame, file)
    if clip.video is None or clip.pictures and span.fps is None:
        return
    step = 1 if span.fps is None else max(1, round(rate / span.fps))
    for index, image in decoded(clip.video):
        frame = clip.first + index
        if frame > high:
            return
        if frame >= low and index % step == 0 and frame not in clip.pictures:
            yield _take(clip, frame, image)


def _take(clip, frame, image):
    return Take(clip.name, clip.offset + frame, image, clip.masks.get(frame), registered=False,
                keypoints=clip.keypoints.get(frame))
