"""Which frames of a recording are taken, and how many of its frames are a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

ASSUMED_FPS = 30.0
MOST_FRAMES = 10**9  # a year of them


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

    def bounds(self, rate: float, begin: int = 0) -> tuple[float, float]:
        """The first and the last frame number of these seconds, of frames that count from `begin`."""
        return (-np.inf if self.start is None else begin + self.start * rate,
                np.inf if self.end is None else begin + self.end * rate)

    def step(self, rate: float) -> int:
        """From one frame that is taken to the next."""
        return 1 if self.fps is None else max(1, round(min(rate / self.fps, MOST_FRAMES)))

    def frames(self, there: Iterable[int], rate: float) -> set[int]:
        """Those that are taken of the frames that are there, which count from 0.

        Every step-th, the way that finds the most of them: they may all be odd. Raises ValueError where none
        is left.
        """
        there, (low, high), step = set(there), self.bounds(rate), self.step(rate)
        phase = fullest(there, step)
        kept = {frame for frame in there if low <= frame <= high and frame % step == phase}
        if not kept and there:
            asked = " ".join(f"--{field.name} {getattr(self, field.name):g}" for field in fields(self)
                             if getattr(self, field.name) is not None)
            raise ValueError(f"No frame is left by {asked}; there are frames {min(there)} to {max(there)} at "
                             f"{rate:g} a second.")
        return kept


EVERYTHING = Span()


def fullest(numbers: Iterable[int], step: int) -> int:
    """The remainder that most of some numbers leave when they are divided by a step; the lowest of equals."""
    counts = Counter(number % step for number in numbers)
    return min(counts, key=lambda remainder: (-counts[remainder], remainder), default=0)


def picture_rate(fps: float | None) -> tuple[float, list[str]]:
    """Pictures a second: as the user says, or an assumption and the note that says so."""
    if fps is not None:
        return fps, []
    return ASSUMED_FPS, [f"nothing tells how many pictures are a second: {ASSUMED_FPS:g} are assumed; "
                         "state them with --fps."]
