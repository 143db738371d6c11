"""Detectors take one leg for the other now and then: for a frame or two both jump, and back again. Or they
find one leg twice, where the other is hidden or blurred."""

from __future__ import annotations

from dataclasses import replace

import torch

from anr_core.prepare.fitting.initialisation import likeliest
from anr_core.prepare.fitting.observations import Observations
from anr_core.prepare.fitting.puppet import KEYPOINT_NAMES
from anr_core.skeleton import mirrored

LIMBS = {"legs": ("hip", "knee", "ankle", "toe", "heel"), "arms": ("elbow", "wrist")}

# Within so many seconds nobody turns around. A swapped frame costs as much as points that jump by this part
# of the person's extent, summed over the limb's.
NEIGHBOURS, SWAPPED = 0.2, 1.0

# A limb was found twice where left and right are no further apart than this part of the person's extent, in
# the mean, and one is less sure than this part of the other. Legs that hide each other are about as sure.
TWICE, LESS_SURE = 0.02, 0.8


def unswapped(seen: Observations) -> tuple[Observations, list[tuple[str, int]]]:
    """The same with the left and right points of legs and of arms exchanged where that makes them steady.

    Also says which limbs, "legs" or "arms", were exchanged in which frame. Where both would be exchanged at
    once the person has turned, and nothing is.
    """
    points, belief, found = seen.points.clone(), seen.belief.clone(), set()
    mirror = torch.tensor(mirrored(KEYPOINT_NAMES))
    for row in seen.camera.unique().tolist():
        views = (seen.camera == row).nonzero()[:, 0]
        views = views[seen.moment[views].argsort()]
        swaps = {limb: _swaps(seen, views, mirror, limb) for limb in LIMBS}
        turned = swaps["legs"] & swaps["arms"]
        for limb, swap in swaps.items():
            for view in views[swap & ~turned].tolist():
                points[view, _rows(limb)] = seen.points[view, mirror[_rows(limb)]]
                belief[view, _rows(limb)] = seen.belief[view, mirror[_rows(limb)]]
                found.add((limb, int(seen.frames[seen.moment[view]])))
    return replace(seen, points=points, belief=belief), sorted(found)


def doubled(seen: Observations) -> torch.Tensor:
    """(V, K) bool: the points of limbs that are really the other limb, found a second time.

    Only of limbs that the picture before or after shows apart: a person who stands in profile hides one leg
    behind the other for long, and what was found of it is all that tells where it is.
    """
    found, mirror = torch.zeros_like(seen.belief, dtype=torch.bool), torch.tensor(mirrored(KEYPOINT_NAMES))
    for row in seen.camera.unique().tolist():
        views = (seen.camera == row).nonzero()[:, 0]
        views = views[seen.moment[views].argsort()]
        near = seen.frames[seen.moment[views]].diff() / seen.fps <= NEIGHBOURS
        for limb in LIMBS:
            points = [point for point in _rows(limb) if "hip" not in KEYPOINT_NAMES[point]]
            left, right = (torch.tensor([point for point in points if KEYPOINT_NAMES[point].startswith(side)])
                           for side in ("left", "right"))
            both = (seen.belief[views][:, left] > 0) & (seen.belief[views][:, mirror[left]] > 0)
            apart = (seen.points[views][:, left] - seen.points[views][:, mirror[left]]).norm(dim=-1)
            together = (apart * both).sum(1) <= TWICE * seen.extent[row] * both.sum(1)
            twice, parted = together & (both.sum(1) >= 2), ~together
            beside = torch.zeros_like(twice)
            beside[1:] |= parted[:-1] & near
            beside[:-1] |= parted[1:] & near
            for mine, other in ((left, right), (right, left)):
                unsure = seen.belief[views][:, mine].sum(1) < LESS_SURE * seen.belief[views][:, other].sum(1)
                found[views[:, None], mine] |= (twice & beside & unsure)[:, None]
    return found


def _rows(limb):
    return [row for row, name in enumerate(KEYPOINT_NAMES)
            if name.split("_")[0] in ("left", "right") and name.split("_")[-1] in LIMBS[limb]]


def _swaps(seen, views, mirror, limb):
    """(n,) bool: of one camera's views, which rise in time, those that show a limb swapped."""
    rows = _rows(limb)
    points = torch.stack([seen.points[views][:, rows], seen.points[views][:, mirror[rows]]], 1)
    known = torch.stack([seen.belief[views][:, rows], seen.belief[views][:, mirror[rows]]], 1) > 0
    jumps = (points[1:, None] - points[:-1, :, None]).norm(dim=-1)  # (n - 1, before, after, points)
    jumps = (jumps * (known[1:, None] & known[:-1, :, None])).sum(-1) / seen.extent[seen.camera[views[:1]]]
    seconds = seen.frames[seen.moment[views]].diff() / seen.fps
    costs = torch.tensor([0.0, SWAPPED]).repeat(len(views), 1)
    return likeliest(costs, jumps * (seconds <= NEIGHBOURS)[:, None, None]) == 1
