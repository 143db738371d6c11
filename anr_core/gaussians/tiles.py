"""Whole pictures: their pixels in square blocks, and what was cast back in its place."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

import torch

from anr_core.camera import Camera
from anr_core.gaussians.pruning import BLOCK, GROUP, Blocks

SIDE, SQUARE = isqrt(BLOCK), isqrt(GROUP)  # of a square block, pixels, and of a square group, blocks


def tiles(camera: Camera, size: tuple[int, int]) -> Blocks:
    """The pixels of pictures in square blocks, whose rays are made when they are asked for.

    Groups come row by row, and so do blocks in a group and pixels in a block. Squares that reach beyond the
    picture see its last row or column again.
    """
    fixed = replace(camera, R=torch.eye(3).to(camera.R).expand_as(camera.R), t=torch.zeros_like(camera.t))
    step = torch.arange(SIDE, device=camera.K.device)
    inside = torch.cartesian_prod(step, step)
    block = SIDE * torch.cartesian_prod(step[:SQUARE], step[:SQUARE])
    rows, columns = (torch.arange(0, n, SIDE * SQUARE, device=camera.K.device) for n in size)
    group = torch.cartesian_prod(rows, columns)
    corner = (group[:, None] + block).flatten(0, 1)  # (K, 2) row and column of a block's first pixel
    last = inside.new_tensor(size) - 1

    def pixels(places, offsets):
        """Centres (M, n, 2) of the pixels at offsets (n, 2); beyond the picture its last row or column."""
        return (corner[places][:, None] + offsets).minimum(last).flip(-1).to(camera.K) + 0.5

    def rays_of(picture, place):
        return fixed[picture].rays(pixels(place, inside))[1]

    with torch.no_grad():
        every = torch.arange(len(corner), device=corner.device)
        ends = inside.new_tensor([[SIDE // 2] * 2, [0, 0], [0, SIDE - 1], [SIDE - 1, 0], [SIDE - 1] * 2])
        seen = fixed.rays(pixels(every, ends).flatten(0, 1).expand(len(camera), -1, -1))[1]
        centre, *corners = seen.unflatten(1, (-1, len(ends))).unbind(2)
        # the farthest are the corners; a tenth to spare for what a lens bends within eight pixels
        radius = 1.1 * (torch.stack(corners, 2) - centre[:, :, None]).norm(dim=-1).amax(2)
    return Blocks(centre, radius, rays_of)


def placed(features: torch.Tensor, picture: torch.Tensor, place: torch.Tensor, background: torch.Tensor,
           size: tuple[int, int]) -> torch.Tensor:
    """Pictures (B, A, H, W) of background (B, A) but for the blocks at a place (M,) of a picture (M,).

    features (M, BLOCK, A) are theirs.
    """
    whole = [-(-n // (SIDE * SQUARE)) for n in size]  # groups
    row, column = (group := place // GROUP) // whole[1], group % whole[1]
    inner = place % GROUP
    index = picture, row, column, inner // SQUARE, inner % SQUARE
    pictures = _Placed.apply(features.unflatten(1, (SIDE, SIDE)), background, index, whole)
    return pictures[..., :size[0], :size[1]]


class _Placed(torch.autograd.Function):
    """One picture is written where torch's own operations would copy it three times."""

    @staticmethod
    def forward(ctx, features, background, index, whole):
        side = SIDE * SQUARE
        canvas = background[..., None, None].expand(-1, -1, side * whole[0], side * whole[1]).contiguous()
        _in_blocks(canvas)[index] = features
        ctx.save_for_backward(*index)
        return canvas

    @staticmethod
    def backward(ctx, gradient):
        index = ctx.saved_tensors
        features, rest = _in_blocks(gradient)[index], None
        if ctx.needs_input_grad[1]:
            rest = gradient.sum((2, 3)).index_add(0, index[0], features.sum((1, 2)), alpha=-1)
        return features, rest, None, None


def _in_blocks(pictures):
    """A view (B, rows, columns, SQUARE, SQUARE, SIDE, SIDE, A), rows and columns of groups."""
    parts = pictures.unflatten(3, (-1, SQUARE, SIDE)).unflatten(2, (-1, SQUARE, SIDE))
    return parts.permute(0, 2, 5, 3, 6, 4, 7, 1)
