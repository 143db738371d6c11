"""Which places on a texture's parts the pixels show: as a generator says, or as a drawn mesh does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from anr_core.parts import Labelling
from anr_core.rasterizer import GBuffer

LEAST, SECOND = 0.04, 0.1  # probabilities below which the likeliest part, and the next, are not sampled


@dataclass(frozen=True)
class Seen:
    """Of B pictures of size (H, W); a pixel has no row, or one, or two where two parts are likely.

    logit   (B, 1, H, W)  of seeing any part
    pixels  (N,)          int64, flat indices into (B, H, W)
    part    (N,)          int64, from 1
    uv      (N, 2)        on the part's chart
    weight  (N,)          how much of the pixel it is
    first   (N,)          bool: the pixel's likeliest
    """

    logit: torch.Tensor
    pixels: torch.Tensor
    part: torch.Tensor
    uv: torch.Tensor
    weight: torch.Tensor
    first: torch.Tensor

    @staticmethod
    def said(labelled: Labelling, size: tuple[int, int]) -> Seen:
        """What a generator says: of every pixel the two likeliest parts."""
        logit = labelled.foreground(size)
        weight, part = _likeliest(labelled.shares(size))
        (_, _, height, width), sure = weight.shape, weight * torch.sigmoid(logit)
        there = torch.cat([sure[:, :1] > LEAST, sure[:, 1:] > SECOND], 1)
        picture, rank, row, column = there.nonzero().unbind(1)
        pixels, chosen = (picture * height + row) * width + column, 1 + part[there]
        return Seen(logit, pixels, chosen, labelled.uv(pixels, chosen, size), weight[there], rank == 0)

    @staticmethod
    def drawn(buffer: GBuffer, outline: torch.Tensor, mended: torch.Tensor) -> Seen:
        """What a mesh shows, whose surface has a chart a part.

        outline  (B, 1, H, W)  logit of its mask
        mended   (B, 3, H, W)  what is added to coordinates and to that
        """
        moved = mended[:, :2].permute(0, 2, 3, 1).flatten(0, 2).index_select(0, buffer.pixels)
        every = torch.ones_like(buffer.pixels, dtype=torch.bool)
        return Seen(outline + mended[:, 2:], buffer.pixels, buffer.part,
                    (buffer.uv.to(moved) + moved).clamp(0, 1), every.to(moved), every)

    def sampled(self, texture: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
                ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C, H, W) what a texture has there, straight, and (B, 1, H, W) 1 where it has anything."""
        values = texture(self.part, self.uv)
        count, _, height, width = self.logit.shape
        total = values.new_zeros(count * height * width, values.shape[1] + 1)
        total = total.index_add(0, self.pixels, torch.cat([values, torch.ones_like(values[:, :1])], 1)
                                * self.weight[:, None])
        straight = total[:, :-1] / total[:, -1:].clamp(min=1e-6)
        return tuple(planes.view(count, height, width, -1).permute(0, 3, 1, 2)
                     for planes in (straight, (total[:, -1:] > 0).to(values)))

    def places(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The likeliest part (B, 1, H, W), 0 where there is none, and its coordinates (B, 2, H, W)."""
        count, _, height, width = self.logit.shape
        shown = self.uv.new_zeros(count * height * width, 3)
        shown[self.pixels[self.first]] = torch.cat([self.part[self.first, None].to(self.uv),
                                                    self.uv[self.first]], 1).detach()
        return shown.view(count, height, width, 3).permute(0, 3, 1, 2).split([1, 2], 1)


def _likeliest(probability: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of (B, P, H, W) the two largest, (B, 2, H, W), and which they are, from 0; topk takes twice as long."""
    first, which = probability.max(1, keepdim=True)
    if probability.shape[1] == 1:
        return first, which
    rest = probability.scatter(1, which, -1.0)
    second, other = rest.max(1, keepdim=True)
    return torch.cat([first, second], 1), torch.cat([which, other], 1)
