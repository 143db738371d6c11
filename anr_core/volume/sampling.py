"""What the grids hold at points between their cells; and which points are near the body at all."""

from __future__ import annotations

from itertools import product

import torch
from torch.nn import functional

from anr_core.volume.diffusion import Level

CORNERS = list(product((0, 1), repeat=3))


def sample(levels: list[Level], tables: list[torch.Tensor], item: torch.Tensor,
           place: torch.Tensor) -> torch.Tensor:
    """Features (P, C) at points, all levels' side by side: trilinear in each, 0 where nothing is occupied.

    tables  each level's `Voxels.table()`
    item    (P,)    whose grid
    place   (P, 3)  in voxels of the finest grid, whose first one's centre is at 0

    A cell of a level that is `times` voxels large has its centre at a multiple of that, as the convolutions
    have it; published code samples with that stretched by up to a cell over the whole box. Differentiable in
    the features, not in the points.
    """
    sampled = [_trilinear(level.features, table, item, place / level.times)
               for level, table in zip(levels, tables, strict=True)]
    return torch.cat(sampled, 1)


def _trilinear(features: torch.Tensor, table: torch.Tensor, item: torch.Tensor,
               place: torch.Tensor) -> torch.Tensor:
    """(P, C) between the eight cells around each place (P, 3)."""
    corner = place.floor()
    share = (place - corner)[:, None]
    offsets = place.new_tensor(CORNERS)
    cells = (corner[:, None] + offsets).long()
    weights = torch.where(offsets > 0, share, 1 - share).prod(-1)
    shape = cells.new_tensor(table.shape[1:])
    there = ((cells >= 0) & (cells < shape)).all(-1)
    x, y, z = torch.minimum(cells.clamp(min=0), shape - 1).unbind(-1)
    rows = table[item[:, None], x, y, z]
    rows = torch.where(there, rows, len(features)).long()
    padded = functional.pad(features, (0, 0, 0, 1))  # what is not occupied
    return functional.embedding_bag(rows, padded, per_sample_weights=weights.to(features), mode="sum")


class Nearby:
    """Which places are near the vertices of B bodies: cells that hold one, and those around.

    vertices  (B, V, 3)  in voxels of the finest grid
    reach     voxels that count as near, at least; up to half of that more
    """

    def __init__(self, vertices: torch.Tensor, shape: tuple[int, int, int], reach: float):
        self.side = reach / 2
        sides = [int(count / self.side) + 2 for count in shape]
        cells = (vertices / self.side).round().long().clamp(min=0)
        cells = torch.minimum(cells, cells.new_tensor(sides) - 1)
        full = torch.zeros(len(vertices), *sides, device=vertices.device)
        full[torch.arange(len(vertices), device=vertices.device)[:, None], *cells.unbind(-1)] = 1
        self.near = functional.max_pool3d(full[:, None], 5, 1, 2)[:, 0] > 0

    def __call__(self, item: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """(P,) bool of places (P, 3) of items (P,), in voxels; those outside of the grid are not near."""
        cells = (place / self.side).round().long()
        sides = cells.new_tensor(self.near.shape[1:])
        there = ((cells >= 0) & (cells < sides)).all(-1)
        x, y, z = torch.minimum(cells.clamp(min=0), sides - 1).unbind(-1)
        return self.near[item, x, y, z] & there
