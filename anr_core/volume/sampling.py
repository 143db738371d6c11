"""What the grids hold at points between their cells; and which points are near the body at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Nearby:
    """Which places are near B bodies: those in cells (B, X, Y, Z) that are, each `side` voxels large.

    Cell 0 has its centre at 0, as the finest grid's first voxel. Where there are cells of another size to be
    in too, `within` has them.
    """

    near: torch.Tensor
    side: float
    within: Nearby | None = None

    @staticmethod
    def around(vertices: torch.Tensor, shape: tuple[int, int, int], reach: float) -> Nearby:
        """Near vertices (B, V, 3), in voxels, by `reach` voxels at least, and by up to half of that more."""
        side = reach / 2
        sides = [int(count / side) + 2 for count in shape]
        cells = (vertices / side).round().long().clamp(min=0)
        cells = torch.minimum(cells, cells.new_tensor(sides) - 1)
        full = torch.zeros(len(vertices), *sides, device=vertices.device)
        full[torch.arange(len(vertices), device=vertices.device)[:, None], *cells.unbind(-1)] = 1
        return Nearby(functional.max_pool3d(full[:, None], 5, 1, 2)[:, 0] > 0, side)

    def __call__(self, item: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """(P,) bool of places (P, 3) of items (P,), in voxels; those outside of the grid are not near."""
        cells = (place / self.side).round().long()
        sides = cells.new_tensor(self.near.shape[1:])
        there = ((cells >= 0) & (cells < sides)).all(-1)
        x, y, z = torch.minimum(cells.clamp(min=0), sides - 1).unbind(-1)
        near = self.near[item, x, y, z] & there
        return near if self.within is None else near & self.within(item, place)

    def places(self, side: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The cells (P, 4) of item, x, y and z that are near among smaller ones, and their centres (P, 3)."""
        finer = self.near
        for axis, count in enumerate(self._finer(side), 1):
            cells = (torch.arange(count, device=finer.device) * (side / self.side)).round().long()
            finer = finer.index_select(axis, cells.clamp(max=self.near.shape[axis] - 1))
        cells = finer.nonzero()
        return cells, side * cells[:, 1:]

    def _finer(self, side):
        return [math.ceil(count * self.side / side) + 2 for count in self.near.shape[1:]]

    def narrowed(self, kept: torch.Tensor, side: float) -> Nearby:
        """Only what is within a cell of those kept (P, 4) of the smaller ones of `places`."""
        full = torch.zeros(len(self.near), *self._finer(side), device=kept.device)
        full[tuple(kept.unbind(1))] = 1
        return Nearby(functional.max_pool3d(full[:, None], 3, 1, 1)[:, 0] > 0, side, self)
