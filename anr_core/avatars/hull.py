"""The visual hull: where a person can be at all, by the masks of several cameras at one moment.

Nothing is dense where a training view shows background. Source: Neural Body's code, which tests points so in
its videos and meshes, and not where it is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter

import torch
from torch.nn import functional

from anr_core.camera import Camera
from anr_core.capture import Capture, View

GROWN = 5  # pixels: the side of the square that a mask's pixels grow to


def hull_of(capture: Capture, frame: int,
            cameras: Iterable[str], camera_of: Callable[[View], Camera] = attrgetter("camera"),
            ) -> Callable[[torch.Tensor], torch.Tensor]:
    """What tells of world points (P, 3) whether they are inside (P,) of all masks, bool.

    cameras    names of those whose masks count, where they saw the frame
    camera_of  what a view is seen through: its own camera, or as it was corrected

    A point outside of a picture or behind its camera is not decided by it; neither is one whose pixel's mask
    is uncertain. Raises ValueError where fewer than two cameras saw the frame: what one sees is no hull.
    """
    names = set(cameras)
    seen = capture.only(lambda shot: shot.frame == frame and shot.camera in names)
    found = len({shot.camera for shot in seen.shots})
    if found < 2:
        raise ValueError(f"Frame {frame} was seen by {'one' if found else 'none'} of the training cameras, "
                         "and a hull takes two or more. Leave --hull out, or name another frame.")
    pictures = [(camera_of(view), _inside(view)) for view in seen.views()]

    def inside(points: torch.Tensor) -> torch.Tensor:
        kept = torch.ones(len(points), dtype=torch.bool, device=points.device)
        for camera, mask in pictures:
            pixels, depth = camera.to(points).project(points[None])
            column, row = pixels[0].floor().long().unbind(-1)
            height, width = mask.shape
            there = (depth[0] > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            shown = mask.to(points.device)[row.clamp(0, height - 1), column.clamp(0, width - 1)]
            kept &= shown | ~there
        return kept

    return inside


def _inside(view) -> torch.Tensor:
    """(H, W) bool of a batch of one: pixels that may show the person."""
    may = (view.mask > 0.5) | ~view.certain
    return functional.max_pool2d(may.float(), GROWN, 1, GROWN // 2)[0, 0] > 0
