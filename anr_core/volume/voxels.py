"""Vertices into voxels: a list of occupied cells, each with the mean code of the vertices in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

MULTIPLE = 32  # sides of grids are multiples: they are halved four times, and once more as published
MARGIN = 0.05  # metres of the box around a body
CELL_BYTES = 4 / 8 * (1 + 1 / 8 + 1 / 64 + 1 / 512)  # of tables over the coarser grids, a voxel of the finest


@dataclass(frozen=True)
class Voxels:
    """The occupied cells of B grids.

    keys   (N,)     int64, rising: an item's number and its cell's place as one number
    shape  (X, Y, Z)  cells a side, the same for all items
    items  B
    """

    keys: torch.Tensor
    shape: tuple[int, int, int]
    items: int

    def __len__(self) -> int:
        return len(self.keys)

    @staticmethod
    def of(cells: torch.Tensor, shape: tuple[int, int, int], items: int,
           ) -> tuple[Voxels, torch.Tensor]:
        """The occupied cells of a list (n, 4) of item, x, y and z; and (n,) which of them each is."""
        keys, rows = torch.unique(_keys(cells, shape), return_inverse=True)
        return Voxels(keys, shape, items), rows

    @property
    def cells(self) -> torch.Tensor:
        """(N, 4) item, x, y and z of each."""
        of_item, of_x, of_y = _strides(self.shape)
        item, rest = self.keys // of_item, self.keys % of_item
        return torch.stack([item, rest // of_x - 1, rest % of_x // of_y - 1, rest % of_y - 1], 1)

    @cached_property
    def counts(self) -> list[int]:
        """How many cells each item has; a GPU is waited for once a grid, not once a layer."""
        ends = torch.arange(1, self.items + 1, device=self.keys.device) * _strides(self.shape)[0]
        ends = torch.searchsorted(self.keys, ends).tolist()
        return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]

    def find(self, keys: torch.Tensor) -> torch.Tensor:
        """The rows of cells by keys of any shape; N where a cell isn't occupied."""
        rows = torch.searchsorted(self.keys, keys).clamp(max=len(self) - 1)
        return torch.where(self.keys[rows] == keys, rows, len(self))

    def step(self, dx: int, dy: int, dz: int) -> int:
        """What to add to a key for a cell further on: one outside of the grid is never occupied."""
        _, of_x, of_y = _strides(self.shape)
        return dx * of_x + dy * of_y + dz

    def table(self) -> torch.Tensor:
        """(B, X, Y, Z) int32: the row of each cell, N where it isn't occupied."""
        table = torch.full((self.items, *self.shape), len(self), dtype=torch.int32, device=self.keys.device)
        table[tuple(self.cells.unbind(1))] = torch.arange(len(self), dtype=torch.int32,
                                                          device=self.keys.device)
        return table


def _strides(shape):
    """Of an item, of x and of y: a layer of cells around the grid belongs to it, and stays empty."""
    x, y, z = (side + 2 for side in shape)
    return x * y * z, y * z, z


def _keys(cells, shape):
    item, x, y, z = cells.unbind(1)
    of_item, of_x, of_y = _strides(shape)
    return item * of_item + (x + 1) * of_x + (y + 1) * of_y + z + 1


def voxelise(vertices: torch.Tensor, codes: torch.Tensor, low: torch.Tensor, shape: tuple[int, int, int],
             side: float) -> tuple[Voxels, torch.Tensor]:
    """The voxels that hold vertices, and their codes (N, C): of vertices that share a voxel, the mean.

    vertices  (B, V, 3)  metres, body
    codes     (V, C)     one a vertex
    low       (B, 3)     metres: the centre of each grid's first voxel
    side      of a voxel, metres

    Raises ValueError for vertices outside of their grid.
    """
    cells = ((vertices - low[:, None]) / side).round().long()
    outside = ((cells < 0) | (cells >= cells.new_tensor(shape))).any(-1)
    if bool(outside.any()):
        raise ValueError(f"{int(outside.sum())} of {outside.numel()} vertices lie outside of the body's box "
                         f"of {' x '.join(f'{count * side:.2f}' for count in shape)} m. Make the box of "
                         "these vertices, and look whether they are finite.")
    items = torch.arange(len(vertices), device=cells.device)[:, None].expand(cells.shape[:2])
    voxels, rows = Voxels.of(torch.cat([items[..., None], cells], -1).flatten(0, 1), shape, len(vertices))
    count = torch.zeros(len(voxels), 1, device=codes.device).index_add(
        0, rows, torch.ones(len(rows), 1, device=codes.device))
    summed = codes.new_zeros(len(voxels), codes.shape[1]).index_add(
        0, rows, codes.expand(len(vertices), -1, -1).flatten(0, 1))
    return voxels, summed / count


def largest_grid(low: torch.Tensor, high: torch.Tensor, side: float, memory: float,
                 ) -> tuple[int, int, int]:
    """Cells a side of a grid that holds each of B boxes, which go from low to high, both (B, 3), metres.

    memory  GiB that tables over the coarser grids may take

    Raises ValueError for voxels so small that the tables would take more.
    """
    extent = (high - low).amax(0)
    shape = _shape(extent, side)
    bytes = CELL_BYTES * len(low) * shape[0] * shape[1] * shape[2]
    if bytes > memory * 2**30:
        fits, largest = side, float(extent.max())  # the smallest grid has cells, too
        while fits < largest and \
                CELL_BYTES * len(low) * torch.tensor(_shape(extent, fits)).double().prod() > memory * 2**30:
            fits *= 1.05
        raise ValueError(f"Voxels of {1000 * side:g} mm in {len(low)} boxes of "
                         f"{' x '.join(f'{float(n):.2f}' for n in extent)} m would take "
                         f"{bytes / 2**30:.1f} GiB of tables, and {memory:g} may be used. Voxels of "
                         f"{_rounded_up(1000 * fits)} mm would fit; or is the body not in metres?")
    return shape


def _rounded_up(millimetres: float) -> str:
    """With two figures."""
    unit = 10.0 ** (math.floor(math.log10(millimetres)) - 1)
    return f"{math.ceil(millimetres / unit) * unit:g}"


def _shape(extent, side):
    cells = torch.ceil(extent.double() / side).long()
    return tuple(((cells | (MULTIPLE - 1)) + 1).tolist())
