"""From clips to footage: which of their pictures are taken, and how many numbers are a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anr_core.camera import Camera
from anr_core.capture.footage import Footage, Take
from anr_core.capture.readers.clips import Clip
from anr_core.capture.readers.openpose import alike
from anr_core.capture.readers.timing import Span, fullest, picture_rate
from anr_core.capture.sources import decoded, stated_licence


def footage_of(format: str, root: Path, clips: list[Clip], cameras: dict[str, Camera],
               originals: dict[str, dict], up: tuple[float, float, float], span: Span, notes: list[str],
               uncalibrated: frozenset[str] = frozenset()) -> Footage:
    """The footage of clips without a body; cameras and what the source says of them by the clips' names."""
    rate, assumed = frame_rate(clips, span)
    told = alike([(clip.keypoints, clip.skeleton) for clip in clips])
    clips = [replace(clip, keypoints=points, skeleton=name)
             for clip, (points, name) in zip(clips, told, strict=True)]
    skeletons = {clip.skeleton for clip in clips if clip.keypoints}
    if len(skeletons) > 1:
        raise ValueError(f"{root}: its cameras' keypoints are of {' and '.join(sorted(skeletons))}. Detect "
                         "all with one model.")
    wanted = {clip.offset: choice([one for one in clips if one.offset == clip.offset], rate, span)
              for clip in clips}
    told = [note for clip in clips for note in (*clip.notes, *_without_pictures(clip, wanted[clip.offset]))]
    return Footage(
        format=format, cameras=cameras, originals=originals,
        takes=(take for clip in clips for take in takes_of(clip, wanted[clip.offset], span)),
        frames=np.zeros(0, np.int64), vertices=None, surface=None, fps=rate, up=up,
        backgrounds={clip.name: clip.background for clip in clips if clip.background},
        notes=told + assumed + notes,
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


@dataclass(frozen=True)
class Choice:
    """Which frames of clips that run at the same time are taken: of each of them the same.

    low, high   numbers of the first and the last of the seconds that are asked for
    step        from one to the next
    phase       the remainder of their numbers, divided by the step
    """

    low: float
    high: float
    step: int
    phase: int

    def among_pictures(self, frame: int) -> bool:
        """Whether a frame is taken where pictures show it: all that lie in the span."""
        return self.low <= frame <= self.high

    def out_of_video(self, frame: int) -> bool:
        """Whether a frame is taken out of a video: every `step`-th in the span."""
        return self.low <= frame <= self.high and frame % self.step == self.phase


def choice(clips: list[Clip], rate: float, span: Span) -> Choice:
    """Seconds count from where the first clip begins. Every step-th frame is taken from there on, or such
    ones as more keypoints and masks are known of."""
    begin, step = min(clip.begin for clip in clips), span.step(rate)
    known = [frame - begin for clip in clips for frame in (*clip.keypoints, *clip.masks)]
    return Choice(*span.bounds(rate, begin), step, (begin + fullest(known, step)) % step)


def takes_of(clip: Clip, wanted: Choice, span: Span) -> Iterator[Take]:
    """A clip's pictures, or its video's frames; both where a number of frames a second was asked for."""
    for frame, file in clip.pictures.items():
        if wanted.among_pictures(frame):
            yield _take(clip, frame, file)
    if clip.video is None or clip.pictures and span.fps is None:
        return
    for index, image in decoded(clip.video):
        frame = clip.first + index
        if frame > wanted.high:
            return
        if wanted.out_of_video(frame) and frame not in clip.pictures:
            yield _take(clip, frame, image)


def _without_pictures(clip: Clip, wanted: Choice) -> list[str]:
    """A note where keypoints are there, but of none of the frames that are taken."""
    frames = list(clip.keypoints)
    if not frames or any(wanted.among_pictures(frame) and (frame in clip.pictures or clip.video is not None)
                         for frame in frames):
        return []
    return [f"{clip.folder or clip.name}: its keypoints are of frames {min(frames)} to {max(frames)}, and "
            "none of these is taken."]


def _take(clip, frame, image):
    return Take(clip.name, clip.offset + frame, image, clip.masks.get(frame), registered=False,
                keypoints=clip.keypoints.get(frame))
