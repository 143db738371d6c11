"""Which frames of a recording are taken."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def wanted_frames(frames: Iterable[int], rate: float, fps: float | None, start: float | None,
                  end: float | None) -> set[int]:
    """Of frames counted from 0 at a rate, those of some seconds, fps of them a second; None takes all."""
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"--fps {fps} was asked for; use a positive number of frames a second.")
    low, high = (-np.inf if start is None else start * rate), (np.inf if end is None else end * rate)
    step = 1 if fps is None else max(1, round(rate / fps))
    frames = set(frames)
    kept = {frame for frame in frames if low <= frame <= high and frame % step == 0}
    if not kept and frames:
        raise ValueError(f"No frame is left between --start {start} and --end {end} at --fps {fps}; there "
                         f"are frames {min(frames)} to {max(frames)} at {rate:g} a second.")
    return kept
