"""Changes of pictures that a discriminator is shown, so that it can't learn a few of them by heart.

Source: Karras et al., Training GANs with Limited Data, 2020, appendix B: its flips, quarter turns and whole
pixels' translation, then its changes of colour, all about mid-grey.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from anr_core.processes import own

TRANSLATION = 1 / 8                                   # of the side, at the most
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0      # deviations; the latter two are powers of 2
LUMA = torch.full((3, 3), 1 / 3)                      # the projection to the axis of greys


def augment(pictures: Sequence[torch.Tensor], probability: float) -> list[torch.Tensor]:
    """Change samples at random, sample k of all batches alike; each kind of change with this probability.

    pictures  each (B, 4, H, W): colours in [0, 1], which may leave it, and a mask, which only moves
    returns   as many; pictures that are not square are turned by halves alone

    Random numbers come from the CPU's generator; at probability 0 none are drawn, and nothing changes.
    """
    if probability == 0:
        return list(pictures)
    count, _, height, width = pictures[0].shape
    moved = [[] for _ in pictures]
    for sample, chance in enumerate(own(lambda rows: torch.rand(rows, 6), count).tolist()):
        change = _movement(height, width, probability, chance)
        for index, batch in enumerate(pictures):
            moved[index].append(change(batch[sample]))
    matrix, offset = (numbers.to(pictures[0].device) for numbers in colour_changes(count, probability))
    return [_coloured(torch.stack(samples), matrix, offset) for samples in moved]


def _movement(height, width, probability, chance):
    """What flips, turns and shifts one picture (C, H, W), by six numbers in [0, 1]."""
    flip = chance[0] < probability / 2  # half of those that may be are
    turns = int(4 * chance[1]) if chance[2] < probability else 0
    if height != width:
        turns -= turns % 2
    shift = [round((2 * place - 1) * TRANSLATION * side) if chance[5] < probability else 0
             for place, side in zip(chance[3:5], (height, width), strict=True)]

    def change(picture):
        picture = picture.flip(2) if flip else picture
        return torch.rot90(picture, turns, (1, 2)).roll(shift, (1, 2))
    return change


def colour_changes(count: int, probability: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices (B, 3, 3) and offsets (B, 3) that take colours in [0, 1] to changed ones."""
    normal = own(lambda rows: torch.randn(rows, 3, 1, 1), count).transpose(0, 1)
    uniform = own(lambda rows: torch.rand(rows, 7, 1, 1), count).transpose(0, 1)
    grey, one = LUMA, torch.eye(3)

    def at_random(kind, changed, unchanged):
        return torch.where(uniform[kind] < probability, changed, unchanged)

    brightness = at_random(0, BRIGHTNESS * normal[0], 0.0)
    contrast = at_random(1, 2**(CONTRAST * normal[1]), 1.0)
    mirrored = torch.where(uniform[2] < probability / 2, one - 2 * grey, one)  # light is dark, hues stay
    hue = at_random(3, (2 * uniform[4] - 1) * math.pi, 0.0)
    # Rodrigues' formula about the axis of greys
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turned = grey + (one - grey) * hue.cos() + across * hue.sin()
    saturated = grey + (one - grey) * at_random(5, 2**(SATURATION * normal[2]), 1.0)
    matrix = saturated @ turned @ mirrored * contrast
    # colours are changed in [-1, 1]: 2 y - 1 = matrix (2 x - 1 + brightness)
    offset = (matrix @ (brightness - torch.ones(3, 1)) + 1) / 2
    return matrix, offset[..., 0]


def _coloured(pictures, matrix, offset):
    rgb = torch.einsum("bij,bjhw->bihw", matrix.to(pictures), pictures[:, :3])
    return torch.cat([rgb + offset.to(pictures)[..., None, None], pictures[:, 3:]], 1)
