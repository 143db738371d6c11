"""Blocks of rays through primitives: what each sees, and only that, is integrated, weighed and summed."""

from __future__ import annotations

import torch

from anr_core.gaussians import pruning
from anr_core.gaussians.integral import background_weight, weights, whitening
from anr_core.gaussians.pruning import BLOCK, Blocks, Whitened

CHUNK = 2 ** 14  # blocks whose peaks are computed at once
CACHED = 256  # blocks that a CPU integrates at once: what they need fits its cache, which halves the time


def cast(blocks: Blocks, means: torch.Tensor, rotations: torch.Tensor, squared_scales: torch.Tensor,
         present: torch.Tensor, appearance: torch.Tensor, background: torch.Tensor,
         half_line: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The features along the rays of all blocks that see more than the background.

    means (B, N, 3), rotations (B, N, 3, 3) and squared_scales (B, N, 3) in camera coordinates; present (B, N)
    tells which weigh anything; appearance (B, N, A), background (B, A).
    Returns picture (M,), place (M,) and features (M, BLOCK, A) of M blocks.
    """
    means, rotations, squared_scales = means.double(), rotations.double(), squared_scales.double()
    whiten = whitening(rotations, squared_scales)
    solids = Whitened(whiten, (whiten @ means[..., None])[..., 0], present)
    smallest = squared_scales.masked_fill(~present[..., None], torch.inf).flatten(1)
    smallest = smallest.amin(1).where(present.any(1), 1) if smallest.shape[1] else means.new_ones(len(means))
    behind = background_weight(_farthest(blocks, solids), smallest)  # (B,)
    with torch.no_grad():
        reach = pruning.reach(squared_scales, behind, appearance.dtype)
        picture, place, primitive = pruning.seen(blocks, solids, reach, half_line)
        count = blocks.radius.shape[1]
        block, row, pairs = (picture * count + place).unique_consecutive(return_inverse=True,
                                                                         return_counts=True)
        column = picture * means.shape[1] + primitive
    picture, place = block // count, block % count
    step = CACHED if row.device.type == "cpu" else max(1, len(row))
    parts = zip(blocks.rays_of(picture, place).index_select(0, row).split(step),
                whiten.flatten(0, 1).index_select(0, column).split(step),
                solids.means.flatten(0, 1).index_select(0, column).split(step), strict=True)
    weight = torch.cat([weights(*part, half_line) for part in parts])
    total = behind.index_select(0, picture)[:, None].expand(-1, BLOCK).index_add(0, row, weight)
    share = (weight / total.index_select(0, row)).to(appearance)
    rest = (behind.index_select(0, picture)[:, None] / total).to(appearance)
    features = rest[..., None] * background.index_select(0, picture)[:, None]
    return picture, place, features + _mixed(share, row, pairs, appearance.flatten(0, 1), column)


def _mixed(share, row, pairs, appearance, column):
    """Sums (M, BLOCK, A) of appearances, weighed by shares; row (pairs,) tells which block a share is of.

    Blocks with about as many primitives are padded to as many, and mixed by matrix products.
    """
    first = pairs.cumsum(0) - pairs
    mixed = share.new_zeros(len(pairs), BLOCK, appearance.shape[1])
    least, most = 0, 8
    while least < int(pairs.max() if len(pairs) else 0):
        some = ((pairs > least) & (pairs <= most)).nonzero()[:, 0]
        if len(some):
            longest = int(pairs[some].max())
            slot = torch.arange(longest, device=row.device)
            source = first[some][:, None] + slot.minimum(pairs[some][:, None] - 1)
            padding = (slot >= pairs[some][:, None])[..., None]
            part = share.index_select(0, source.flatten()).view(*source.shape, BLOCK).masked_fill(padding, 0)
            looks = appearance.index_select(0, column[source.flatten()]).view(*source.shape, -1)
            mixed = mixed.index_copy(0, some, (part.mT @ looks).to(mixed))  # autocast has another dtype
        least, most = most, 2 * most
    return mixed


def _farthest(blocks: Blocks, solids: Whitened) -> torch.Tensor:
    """(B,) the largest peak depth over all rays and primitives of each picture; 0 of an empty one.

    Which ray and primitive have it is found without a gradient, then the depth is computed with one.
    """
    pictures = len(solids.present)
    if not bool(solids.present.any()):
        return solids.means.new_zeros(pictures)
    with torch.no_grad():
        pairs = pruning.maybe_farthest(blocks, solids)
        best = solids.means.new_full((pictures,), -torch.inf)
        # place, ray and primitive in one number: of equally far ones a GPU writes any, but a whole one
        found, sizes = pairs.new_zeros(pictures), (BLOCK, solids.present.shape[1])
        for picture, place, primitive in (part.unbind() for part in pairs.split(CHUNK, 1)):
            depth, ray = _peaks(blocks.rays_of(picture, place), solids.whiten[picture, primitive],
                                solids.means[picture, primitive]).max(1)
            best.scatter_reduce_(0, picture, depth, "amax")
            hit = depth == best[picture]
            found[picture[hit]] = ((place * sizes[0] + ray) * sizes[1] + primitive)[hit]
    every = torch.arange(pictures, device=found.device)
    place, ray, primitive = found // sizes[1] // sizes[0], found // sizes[1] % sizes[0], found % sizes[1]
    depth = _peaks(blocks.rays_of(every, place)[every, ray][:, None], solids.whiten[every, primitive],
                   solids.means[every, primitive])[:, 0]
    return depth.where(solids.present.any(1), 0)


def _peaks(rays, whiten, means):
    """Depths (M, P) of the peaks on rays (M, P, 3) of whitened primitives."""
    y = rays @ whiten.mT
    return (y @ means[..., None])[..., 0] / y.square().sum(-1)
