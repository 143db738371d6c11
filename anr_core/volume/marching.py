"""Along rays: where samples are taken, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Integral:
    """What M rays have gathered.

    rgb       (M, 3)  multiplied by alpha
    alpha     (M,)    how much of the light is stopped, in [0, 1]
    distance  (M,)    metres to where it is, on average, multiplied by alpha
    weights   (M, S)  each sample's share
    """

    rgb: torch.Tensor
    alpha: torch.Tensor
    distance: torch.Tensor
    weights: torch.Tensor


def march(near: torch.Tensor, far: torch.Tensor, samples: int,
          jitter: torch.Tensor | None = None) -> torch.Tensor:
    """(M, S) distances, evenly from near to far (M,), metres.

    jitter  (M, S) in [0, 1]: take each so far along the stretch that it stands for
    """
    share = torch.linspace(0, 1, samples, device=near.device)
    distances = near[:, None] + (far - near)[:, None] * share
    if jitter is None:
        return distances
    middles = (distances[:, 1:] + distances[:, :-1]) / 2
    low, high = torch.cat([distances[:, :1], middles], 1), torch.cat([middles, distances[:, -1:]], 1)
    return low + (high - low) * jitter.to(distances)


def shares(density: torch.Tensor, distances: torch.Tensor, last: torch.Tensor | float = 1e10,
           before: torch.Tensor | None = None) -> torch.Tensor:
    """(M, S) the share of a ray's light that each of its samples stops.

    density    (M, S)  a metre, at least 0
    distances  (M, S)  metres, rising
    last       metres that the last sample stands for, or (M,)
    before     (M,) share of the light that has come so far, where not all has

    Source: Max 1995, as Mildenhall et al., NeRF, ECCV 2020, equation 3, have it.
    """
    last = torch.as_tensor(last).to(distances).expand(len(distances))
    passed = torch.exp(-density * torch.cat([distances.diff(dim=1), last[:, None]], 1))
    reached = torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], 1).cumprod(1)
    if before is not None:
        reached = reached * before[:, None]
    return reached * (1 - passed)


def integrate(weights: torch.Tensor, rgb: torch.Tensor, distances: torch.Tensor) -> Integral:
    """Add up samples (M, S) along rays by their shares; rgb (M, S, 3), distances in metres."""
    return Integral((weights[..., None] * rgb).sum(1), weights.sum(1), (weights * distances).sum(1), weights)
