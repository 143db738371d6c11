"""The rim of a drawn mesh: where its outline lies, how far from it is safe, which colours go on beyond it."""

from __future__ import annotations

import torch
from torch.nn import functional


def outline(coverage: torch.Tensor) -> torch.Tensor:
    """Where the mask begins: the logit of the mesh's coverage (B, 1, H, W), blurred by 1.2 pixels.

    Registrations are some pixels off, so nobody knows better at the outline; a hard one costs up to 1 dB.
    """
    for _ in range(2):
        coverage = functional.avg_pool2d(coverage, 3, 1, 1, count_include_pad=False)  # its rim is no outline
    return torch.logit(coverage, 0.01)


def depths(coverage: torch.Tensor) -> torch.Tensor:
    """1 on the mesh's pixels (B, 1, H, W) that are more than three from its outline, else 0.

    In between lies what most error comes from, and where only the composite tells what colour and mask should
    do together: of a mask that is 0.5 and shows the background's bright rim, neither alone can be right.
    Weighed like all the empty background around, it is not learned at all: 0.3 dB and 0.002 FLIP on views
    held out of a turning person.
    """
    empty = functional.max_pool2d((coverage == 0).to(coverage), (7, 1), 1, (3, 0))
    return 1 - functional.max_pool2d(empty, (1, 7), 1, (0, 3))


def beyond(colour: torch.Tensor, coverage: torch.Tensor) -> torch.Tensor:
    """Colour (B, 3, H, W) continued beyond the mesh's outline by the mean of what is covered around.

    It reaches some 8 pixels far; beyond that the colour is 0. Blocks of 4 pixels are averaged, then 5 by 5 of
    them: a hundredth of the cost of averaging at every pixel.
    """
    size = colour.shape[-2:]
    blocks = functional.avg_pool2d(torch.cat([colour, coverage], 1), 4, ceil_mode=True,
                                   count_include_pad=False)
    blocks = functional.avg_pool2d(blocks, 5, 1, 2)
    around = functional.interpolate(blocks, scale_factor=4, mode="bilinear", align_corners=False)
    around = around[..., :size[0], :size[1]]
    return torch.where(coverage > 0, colour, around[:, :3] / around[:, 3:].clamp(min=1e-6))
