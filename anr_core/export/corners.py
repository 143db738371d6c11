"""The vertices that engines want: one for each place in the texture that a body's vertex has."""

from __future__ import annotations

import math

import torch

from anr_core.avatars.static import StaticTexture


class Corners:
    """Of a body whose texture is `static`.

    vertex     (N,)    the body's
    uv         (N, 2)  on the picture of the texture, origin at the top left
    triangles  (F, 3)  into these, counterclockwise from outside
    """

    def __init__(self, static: StaticTexture):
        surface, charts = static.surface, static.size[0]
        part = surface.part[:, None].expand(-1, 3) if charts > 1 else torch.ones_like(surface.faces)
        every = torch.stack([surface.faces, surface.uv_faces, part], -1).flatten(0, 1)
        corners, places = every.unique(dim=0, return_inverse=True)
        self.vertex, self.triangles = corners[:, 0], places.view(-1, 3)
        self.uv = on_sheet(surface.uv[corners[:, 1]], corners[:, 2] - 1, static.size)


def on_sheet(uv: torch.Tensor, chart: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """(N, 2) where `texture.sheet` has places (N, 2) of charts (N,), with the origin at the sheet's top left.

    size  (P, h, w) of the charts
    """
    count, *side = size
    place = torch.stack([uv[:, 0], 1 - uv[:, 1]], 1)
    if count == 1:
        return place
    # beyond its border a chart is repeated, but the sheet has a neighbour there
    inset = 0.5 / torch.tensor(side[::-1])
    across = math.ceil(math.sqrt(count))
    cell = torch.stack([chart % across, chart // across], 1)
    return (place.maximum(inset).minimum(1 - inset) + cell) / torch.tensor([across, -(-count // across)])
