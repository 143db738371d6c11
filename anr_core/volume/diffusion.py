"""Codes spread through space: convolutions that halve the grid four times, and what each size has come to.

The plan of layers is the published one, for a width w of 16: at full size two layers of w channels; at a half
two of 2 w; at a quarter and at an eighth three of 4 w and of 8 w; at a sixteenth three of 8 w. A layer is a
convolution without bias, a normalisation and ReLU; layers keep to the cells that are occupied, and only those
that halve the grid reach further. Source: Neural Body's section 3.2.

The published network is evaluated with the statistics of the very picture in its batch normalisations, of
which one at a time was trained. So are these, in training and after, item by item: nothing is averaged on the
way, and pictures in a batch don't change each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from anr_core.volume.convolution import Convolution, Neighbours, around, halved
from anr_core.volume.voxels import Voxels

EPSILON = 1e-3  # of the normalisations, as published
LAYERS = (2, 2, 3, 3, 3)  # that keep the size, at each size
TIMES = (1, 2, 4, 8, 8)   # the width, at each size


@dataclass(frozen=True)
class Level:
    """What a grid has come to: features (N, C) of its occupied cells, which are `times` voxels a side."""

    voxels: Voxels
    features: torch.Tensor
    times: int


class Diffusion(nn.Module):
    """Codes (N, C) of voxels into four levels, of 2, 4, 8 and 8 times `width` channels.

    backend  "torch", or "spconv" where that is installed
    """

    def __init__(self, channels: int, width: int, backend: str = "torch"):
        super().__init__()
        self.backend = backend
        widths = [width * times for times in TIMES]
        self.stays = nn.ModuleList(nn.ModuleList(Layer(after, after) for _ in range(count))
                                   for after, count in zip(widths, LAYERS, strict=True))
        self.stays[0][0] = Layer(channels, width)
        self.halves = nn.ModuleList(Layer(*pair) for pair in pairwise(widths))
        self.channels = sum(widths[1:])

    def forward(self, voxels: Voxels, codes: torch.Tensor) -> list[Level]:
        """Of voxels and their codes (N, channels), the four levels at 1/2, 1/4, 1/8 and 1/16 of the size."""
        if self.backend == "spconv":
            from anr_core.volume.spconv import diffuse

            return diffuse(self, voxels, codes)
        features, times, levels = codes, 1, []
        for place, layers in enumerate(self.stays):
            if place:
                voxels, neighbours = halved(voxels)
                features = self.halves[place - 1](features, neighbours, voxels)
                times *= 2
            neighbours = around(voxels)
            for layer in layers:
                features = layer(features, neighbours, voxels)
            levels.append(Level(voxels, features, times))
        return levels[1:]


class Layer(nn.Module):
    """A convolution, a normalisation over the cells of each item, ReLU."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.convolution = Convolution(channels, out_channels)
        self.weight = nn.Parameter(torch.ones(out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, features: torch.Tensor, neighbours: Neighbours, voxels: Voxels) -> torch.Tensor:
        """Features (N, out_channels) of voxels, from those (N, channels) of their neighbours."""
        return self.activated(self.convolution(features, neighbours), voxels)

    def activated(self, features: torch.Tensor, voxels: Voxels) -> torch.Tensor:
        """(N, C) normalised over each item's cells, scaled, and cut off below zero."""
        normal = [functional.batch_norm(part, None, None, self.weight, self.bias, True, eps=EPSILON)
                  if len(part) > 1 else self.bias + 0 * part
                  for part in features.split(voxels.counts)]
        return functional.relu(torch.cat(normal))
