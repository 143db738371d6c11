"""Which primitives a block of neighbouring rays can see at all, and which may have the farthest peak.

A block's rays lie within a radius of one of them, its centre. Both questions ask for the sign of a quadratic
function of the ray over the block, which is bounded by its value and slope at the centre. Groups of blocks
are asked first. Nothing here is differentiable, nor need it be: it only decides what is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from anr_core.gaussians.integral import ALPHA

BLOCK, GROUP = 64, 16  # rays of a block, blocks of a group
ROUNDING = 1e-6  # rays in float32 are of length 1 up to this


@dataclass(frozen=True)
class Blocks:
    """Rays of B pictures in K blocks of BLOCK neighbours each; GROUP blocks in a row are neighbours too.

    centre   (B, K, 3)  float64, one of the block's rays
    radius   (B, K)     the largest distance of another's end from the centre's
    rays_of  rays (M, BLOCK, 3) float64 of blocks, by their picture (M,) and place (M,); differentiable

    K is a multiple of GROUP; rays may be repeated to fill the last blocks.
    """

    centre: torch.Tensor
    radius: torch.Tensor
    rays_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

    def groups(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Centre (B, K / GROUP, 3) and radius (B, K / GROUP)."""
        centres = self.centre.unflatten(1, (-1, GROUP))
        middle = centres[:, :, GROUP // 2 + 2]  # of 4 x 4 squares one in the middle
        apart = (centres - middle[:, :, None]).norm(dim=-1)
        return middle, (apart + self.radius.unflatten(1, (-1, GROUP))).amax(2)


@dataclass(frozen=True)
class Whitened:
    """B sets of N primitives in camera coordinates, float64.

    whiten   (B, N, 3, 3)  W, see `integral`
    means    (B, N, 3)     W mean
    present  (B, N)        which weigh anything
    """

    whiten: torch.Tensor
    means: torch.Tensor
    present: torch.Tensor

    def shape(self) -> torch.Tensor:
        """(B, N, 3, 3) Sigma"""
        return self.whiten.mT @ self.whiten

    def pull(self) -> torch.Tensor:
        """(B, N, 3) Sigma mean"""
        return (self.means[..., None, :] @ self.whiten)[..., 0, :]


def maybe_farthest(blocks: Blocks, solids: Whitened) -> torch.Tensor:
    """Picture, place of the block and primitive (3, M) of all peaks that may be the farthest of a picture.

    A peak b / a is not before the depth z where b - z a >= 0, which is concave in the ray where z > 0. As z
    serves the farthest peak on any centre.
    """
    shape, pull, farthest = solids.shape(), solids.pull(), torch.full_like(solids.means[:, 0, 0], -torch.inf)
    trace = shape.diagonal(dim1=-2, dim2=-1).sum(-1)

    def answer(centre, radius, picture, primitive):
        slope, rise = (shape[picture, primitive] @ centre[..., None])[..., 0], pull[picture, primitive]
        a, b = _dot(centre, slope), _dot(centre, rise)
        farthest.scatter_reduce_(0, picture, b / a, "amax")
        depth = farthest[picture]
        convex = (-depth).clamp(min=0) * trace[picture, primitive] * radius.square()
        above = b - depth * a + _growth(centre, radius, rise - 2 * depth[:, None] * slope) + convex
        return above >= -ROUNDING * b.abs()

    return _sift(blocks, solids.present, answer)


def seen(blocks: Blocks, solids: Whitened, reach: torch.Tensor, half_line: bool) -> torch.Tensor:
    """Picture, place and primitive (3, M) where a ray of the block may come near the primitive, sorted.

    reach (B, N) is how near, a squared whitened distance. Rays that touch an ellipsoid around the mean fill a
    double cone, b^2 - (|m|^2 - reach) a >= 0; with a half-line only its front counts. From within the
    ellipsoid all rays touch it.
    """
    pull, distance = solids.pull(), solids.means.square().sum(-1)
    outside = distance - reach
    cone = pull[..., None] * pull[..., None, :] - outside[..., None, None] * solids.shape()
    # bounds the one positive eigenvalue of the cone
    curved = reach * pull.square().sum(-1) / distance.clamp(min=1e-300)

    def answer(centre, radius, picture, primitive):
        slope = (cone[picture, primitive] @ centre[..., None])[..., 0]
        within = _dot(centre, slope) + _growth(centre, radius, 2 * slope)
        touched = within + curved[picture, primitive] * radius.square() >= 0
        if half_line:
            ahead = pull[picture, primitive]
            touched &= _dot(centre, ahead) + _growth(centre, radius, ahead) >= 0
        return touched | (outside[picture, primitive] <= 0)

    pairs = _sift(blocks, solids.present, answer)
    return pairs[:, (pairs[0] * blocks.radius.shape[1] + pairs[1]).argsort()]


def reach(squared_scales: torch.Tensor, background: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(B, N) squared whitened distance from a ray on which primitives are left out.

    squared_scales (B, N, 3); background (B,) is its weight, in the units of `integral`. What a ray leaves out
    weighs together less than one rounding of dtype beside the background, so no feature of the picture errs
    by more than that part of the range of appearances: a primitive's weight is at most
    2 sqrt(largest squared scale) exp(-distance / ALPHA).
    """
    longest = squared_scales.amax(-1).sqrt()
    least = torch.finfo(dtype).eps * background[:, None] / longest.shape[1]
    return ALPHA * (2 * longest / least.clamp(min=torch.finfo(longest.dtype).tiny)).log().clamp(min=0)


def _sift(blocks, present, answer):
    """Pairs of blocks and primitives (3, M) to which the answer is yes, of groups to which it was yes."""
    centre, radius = blocks.groups()
    pairs = present[:, None].expand(-1, radius.shape[1], -1).nonzero().T
    picture, group, primitive = pairs[:, answer(centre[pairs[0], pairs[1]], radius[pairs[0], pairs[1]],
                                                pairs[0], pairs[2])]
    place = (group[:, None] * GROUP + torch.arange(GROUP, device=group.device)).flatten()
    picture, primitive = (index.repeat_interleave(GROUP) for index in (picture, primitive))
    yes = answer(blocks.centre[picture, place], blocks.radius[picture, place], picture, primitive)
    return torch.stack([picture, place, primitive])[:, yes]


def _growth(centre, radius, gradient):
    """How much gradient . ray can grow from the centre of a block; (M, 3), (M,), (M, 3).

    Rays are unit: the step is sideways, and backwards by no more than half its square.
    """
    back = _dot(centre, gradient)
    side = (gradient - back[:, None] * centre).norm(dim=-1)
    return side * radius + back.abs() * (radius.square() / 2 + ROUNDING)


def _dot(one, other):
    return (one * other).sum(-1)
