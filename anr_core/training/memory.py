"""A GPU whose memory is too small for a step: which batch and which windows would fit.

One picture is drawn alone, in smaller windows if need be, and what that takes tells of others: what a step
needs beside the weights grows with the pictures of a batch and with the pixels of a window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

ROOM = 0.9   # share of the free memory to plan with: some of it lies between what is taken
LEAST = 32   # side of the smallest windows that are tried, pixels
STRIDE = 16  # pixels: sides of windows are rounded down to a multiple
GIB = 2**30


@dataclass(frozen=True)
class Trial:
    """What one picture alone takes.

    window  the side of its window, pixels
    held    bytes that are taken between steps: weights, their averages, what the optimiser knows
    picture bytes beside that, at the most
    """

    window: int
    held: int
    picture: int


def fitting(free: int, trial: Trial, batch: int, window: int) -> tuple[int, int]:
    """The largest batch of windows (pixels) as they are, and the largest window of a batch as it is.

    free  bytes on the GPU for all of it. Either is 0 where not even one picture, or no window, would fit.
    """
    room = max(ROOM * free - trial.held, 0) / trial.picture
    pixels = room * trial.window**2
    fits = math.isqrt(int(pixels / batch)) // STRIDE * STRIDE
    return min(batch, int(pixels / window**2)), min(window, fits)


def tried(draw: Callable[[int], None], window: int, held: int) -> Trial | None:
    """What one picture takes on the GPU, in the largest of halved windows that fits; None where none does.

    draw  takes one picture's gradients in a window of so many pixels
    held  bytes that are taken between steps and that are not on the GPU yet
    """
    while window >= LEAST:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        try:
            draw(window)
        except torch.OutOfMemoryError:
            window //= 2
            continue
        return Trial(window, before + held, torch.cuda.max_memory_allocated() - before)
    return None


def of_memory(step: int, free: int, trial: Trial | None, batch: int, window: int, what: str) -> ValueError:
    """What to raise where a step did not fit into so many bytes.

    what  each picture of the batch as the step saw it, in words; in "pixels" smaller windows can help
    """
    said = f"The GPU's memory is too small for step {step}: {batch} pictures of {what} don't fit into " \
           f"{free / GIB:.1f} GiB. The last checkpoint is kept."
    smaller, narrower = (0, 0) if trial is None else fitting(free, trial, batch, window)
    choices = [f'{{"{name}": {value}}}' for name, value in
               (("batch", smaller), ("window", narrower if what.endswith("pixels") else 0)) if value]
    if not choices:
        return ValueError(f"{said} Not even one would fit. Free it of other programs, or train into another "
                          "folder with a smaller --preset.")
    return ValueError(f"{said} {' or '.join(choices)} would fit: write it to a file for --config, and train "
                      "into another folder.")
