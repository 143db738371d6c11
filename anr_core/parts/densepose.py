"""DensePose's parts and charts: a texture of theirs, out of pictures whose pixels know their place on it.

Labels (B, 3, H, W) hold the part, 1 to 24 or 0, and u to the right and v upwards on its chart, in [0, 1].
Source: Güler, Neverova, Kokkinos, DensePose, CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch.nn import functional

PARTS = 24

# What a published texture has nothing of is black, as JPEG keeps it.
BLACK = 12 / 255


def laid_out(pictures: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
             size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean colour (24, 3, size, size) of each texel's pixels, and how many (24, 1, size, size) these are.

    pictures  (B, 3, H, W), their labels, and which pixels (B, 1, H, W) bool show nothing but the person

    Row 0 is v = 1. Source of the idea: Sun et al., whose texture is begun like this.
    """
    sums = torch.zeros(PARTS * size * size, 4)
    for image, labels, trusted in pictures:
        part, u, v = labels.movedim(1, 0)
        there = trusted[:, 0] & (part > 0)
        column, row = ((place[there] * size).long().clamp(0, size - 1) for place in (u, 1 - v))
        texel = ((part[there].round().long() - 1) * size + row) * size + column
        colours = image.movedim(1, -1)[there]
        sums.index_add_(0, texel, torch.cat([colours, torch.ones_like(colours[:, :1])], 1))
    sums = sums.view(PARTS, size, size, 4).movedim(-1, 1)
    return sums[:, :3] / sums[:, 3:].clamp(min=1), sums[:, 3:]


def published(parts: np.ndarray, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of a texture (24, side, side, 3) uint8 whose row 0 is v = 0; black texels count nothing."""
    colours = torch.from_numpy(parts[:, ::-1].copy()).permute(0, 3, 1, 2).float() / 255
    known = (colours.amax(1, keepdim=True) > BLACK).float()
    planes = functional.interpolate(torch.cat([colours * known, known], 1), size=(size, size),
                                    mode="bilinear", antialias=True, align_corners=False)
    share = planes[:, 3:]
    return planes[:, :3] / share.clamp(min=1e-6), share * (share > 0.25)


def filled(colours: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Colours (24, 3, h, w), of texels with a count of 0 the nearest on the chart, or all charts' mean."""
    seen = count > 0
    mean = (colours * seen).sum((0, 2, 3)) / seen.sum().clamp(min=1)
    whole = torch.where(seen, colours, mean[:, None, None])
    for picture, known in zip(whole, seen[:, 0].numpy(), strict=True):
        if known.any():
            nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
            picture.copy_(picture[(slice(None), *torch.from_numpy(nearest).long())].clone())
    return whole
