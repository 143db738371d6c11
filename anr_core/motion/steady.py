"""Points of a film over time: gaps closed, noise lowered."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

MISSING = 0.05  # confidence up to which a point was not found
FADES = 0.25    # seconds from the nearest sight of a point at which it is half as sure
REACH = 3       # sigmas that a smoothing looks to both sides


def filled(points: torch.Tensor, seconds: torch.Tensor) -> torch.Tensor:
    """Points (n, K, 3), pixels and confidence, with those that weren't found put between before and after.

    seconds  (n,) when, which rise

    Before the first sight of a point and after the last it is held. A confidence halves with every FADES
    seconds from the nearest sight; that of a point that is never seen is 0. Known points stay as they are.
    """
    times, found = seconds.double().numpy(), points.double().numpy().copy()
    for joint in range(points.shape[1]):
        known = found[:, joint, 2] > MISSING
        if known.all():
            continue
        if not known.any():
            found[:, joint, 2] = 0
            continue
        sights, sure = times[known], found[known, joint]
        away = np.abs(times[~known, None] - sights).min(1)
        for axis in range(3):
            found[~known, joint, axis] = np.interp(times[~known], sights, sure[:, axis])
        found[~known, joint, 2] *= 0.5 ** (away / FADES)
    return torch.from_numpy(found).to(points)


def smoothed(points: torch.Tensor, frames: torch.Tensor, sigma: float) -> torch.Tensor:
    """Points (n, K, 3) smoothed by a Gaussian over time; their confidence stays.

    frames  (n,) frame numbers, which rise
    sigma   in frames; 0 leaves all as it is

    At each moment it is the value of a straight line through the points around it, weighted by the Gaussian
    and by their confidence: so who moves evenly isn't held back at either end, or beside a gap.
    """
    if sigma == 0 or len(points) < 3:
        return points
    reach = min(math.ceil(REACH * sigma), len(points) - 1)
    around = functional.pad(points.double().permute(1, 2, 0), (reach, reach))  # confidence 0 beyond the ends
    around = around.unfold(2, 2 * reach + 1, 1).permute(2, 0, 3, 1)  # (n, K, 2 reach + 1, 3)
    moments = functional.pad(frames.double()[None], (reach, reach))[0].unfold(0, 2 * reach + 1, 1)
    away = (moments - frames.double()[:, None])[:, None]  # (n, 1, 2 reach + 1) frames
    weight = around[..., 2] * (-0.5 * (away / sigma) ** 2).exp()
    total = weight.sum(2, keepdim=True)
    weight = weight / total.clamp(min=1e-12)
    lag = (weight * away).sum(2, keepdim=True)
    mean = (weight[..., None] * around[..., :2]).sum(2)
    spread = (weight * (away - lag) ** 2).sum(2)
    slope = (weight * (away - lag))[..., None] * around[..., :2]
    # a line needs sights on a stretch of time; through one alone it is level
    slope = slope.sum(2) / (spread + 1e-3 * sigma**2)[..., None]
    line = mean - slope * lag
    return torch.cat([torch.where(total > 1e-9, line.to(points), points[..., :2]), points[..., 2:]], -1)
