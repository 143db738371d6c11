"""Convolutions of 3x3x3 over the occupied cells of a grid alone, on plain torch.

Who is whose neighbour is looked up once a grid, in both directions: a convolution then gathers, and is one
matrix product; so is each of its gradients, which needs no scattering, and is the same from run to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import nn

from anr_core.volume.voxels import Voxels

# Cells at a time on a CPU: what they gather stays in its cache, a third of the time of gathering all at once.
BLOCK = 1024
KERNEL = list(product((-1, 0, 1), repeat=3))  # in the order of the weights


@dataclass(frozen=True)
class Neighbours:
    """Of each cell of one grid, the 27 of another that a kernel reaches; and the other way round.

    inputs   (N_out, 27)  rows of the cells that come in, N_in where there is none
    outputs  (N_in, 27)   rows of the cells that a cell goes into by the same weights, N_out where none is
    """

    inputs: torch.Tensor
    outputs: torch.Tensor


def around(voxels: Voxels) -> Neighbours:
    """For a convolution whose outputs are the cells of its inputs ("submanifold").

    Source: Graham et al., 3D Semantic Segmentation with Submanifold Sparse Convolutional Networks, 2018.
    """
    steps = torch.tensor([voxels.step(*offset) for offset in KERNEL], device=voxels.keys.device)
    inputs = voxels.find(voxels.keys[:, None] + steps)
    return Neighbours(inputs, inputs.flip(1))  # who is ahead of whom is behind


def halved(voxels: Voxels) -> tuple[Voxels, Neighbours]:
    """The grid of half as many cells a side that a convolution with stride 2 and padding 1 reaches.

    Cell o of it comes out of cells 2 o - 1, 2 o and 2 o + 1 along each axis, and lies where cell 2 o does.
    """
    shape = tuple((side + 1) // 2 for side in voxels.shape)
    cells = voxels.cells
    place = cells[:, None, 1:] - cells.new_tensor(KERNEL)  # (N, 27, 3): twice the cell that offset leads to
    cell = place // 2
    there = ((place % 2 == 0) & (cell >= 0) & (cell < cells.new_tensor(shape))).all(-1)
    source, kernel = there.nonzero().unbind(1)
    half, rows = Voxels.of(torch.cat([cells[source, :1], cell[there]], 1), shape, voxels.items)
    inputs = cells.new_full((len(half), len(KERNEL)), len(voxels))
    inputs[rows, kernel] = source
    outputs = cells.new_full((len(voxels), len(KERNEL)), len(half))
    outputs[source, kernel] = rows
    return half, Neighbours(inputs, outputs)


class Convolution(nn.Module):
    """27 matrices (27, C_in, C_out), without bias; which cells meet by which is given with the features."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(KERNEL), channels, out_channels))
        # as torch's own convolutions begin
        nn.init.uniform_(self.weight, *(sign / (len(KERNEL) * channels) ** 0.5 for sign in (-1, 1)))

    def forward(self, features: torch.Tensor, neighbours: Neighbours) -> torch.Tensor:
        """(N_out, C_out) of features (N_in, C_in)."""
        return _Convolve.apply(features, self.weight, neighbours.inputs, neighbours.outputs)


class _Convolve(torch.autograd.Function):
    """Gathering and a product, block by block; gradients likewise."""

    @staticmethod
    def forward(ctx, features, weight, inputs, outputs):
        ctx.save_for_backward(features, weight, inputs, outputs)
        return _product(features, inputs, weight.flatten(0, 1))

    @staticmethod
    def backward(ctx, gradient):
        features, weight, inputs, outputs = ctx.saved_tensors
        of_features = of_weight = None
        if ctx.needs_input_grad[0]:
            of_features = _product(gradient, outputs, weight.transpose(1, 2).flatten(0, 1))
        if ctx.needs_input_grad[1]:
            of_weight = torch.zeros_like(weight).flatten(0, 1)
            for block, gathered in _gathered(features, inputs):
                of_weight.addmm_(gathered.T, gradient[block])
            of_weight = of_weight.view_as(weight)
        return of_features, of_weight, None, None


def _product(features: torch.Tensor, rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """(N, C_out) the features (n, C) of rows (N, 27), side by side, times a matrix (27 C, C_out)."""
    product = features.new_empty(len(rows), matrix.shape[1])
    for block, gathered in _gathered(features, rows):
        torch.mm(gathered, matrix, out=product[block])
    return product


def _gathered(features: torch.Tensor, rows: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """Blocks of rows (N, 27), each with its features (block, 27 C); zeros where a row is n.

    What is yielded holds until the next block: it is written over.
    """
    padded = torch.cat([features, features.new_zeros(1, features.shape[1])])
    size = BLOCK if features.device.type == "cpu" else max(1, len(rows))
    room = padded.new_empty(min(size, len(rows)) * len(KERNEL), padded.shape[1])
    for begin in range(0, len(rows), size):
        block = rows[begin:begin + size]
        gathered = torch.index_select(padded, 0, block.flatten(), out=room[:block.numel()])
        yield slice(begin, begin + size), gathered.view(len(block), -1)
