"""Who judges pictures: was a patch taken or drawn?"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from anr_core.renderer.convolutions import EqualConv, blur, conv, leaky


class PatchDiscriminator(nn.Module):
    """Says of every patch of a picture whether it was taken or drawn, at several scales.

    inputs  channels
    width   channels of the first layer; each further one has twice as many
    layers  how often a scale halves the picture; a patch of three is 38 pixels wide
    scales  each sees the picture at half the size of the one before

    Its layers are held to a spectral norm of 1. Sources: Isola et al. 2017 (patches); Wang et al. 2018
    (scales, and features to be matched); Miyato et al. 2018 (spectral norm).
    """

    def __init__(self, inputs: int, width: int = 32, layers: int = 3, scales: int = 2):
        super().__init__()
        widths = [inputs, *(width << layer for layer in range(layers))]
        self.scales = nn.ModuleList(
            nn.ModuleList([*(spectral_norm(conv(a, b, 4, 2, padding=1)) for a, b in pairwise(widths)),
                           spectral_norm(conv(widths[-1], 1))]) for _ in range(scales))

    def forward(self, image: torch.Tensor) -> list[list[torch.Tensor]]:
        """Pictures (B, inputs, H, W) -> each scale's features, layer by layer, and last what it says.

        That is (B, 1, h, w), above 0 of a patch that was taken, below 0 of one that was drawn.
        """
        said = []
        for *layers, last in self.scales:
            features = [image]
            for layer in layers:
                features.append(functional.leaky_relu(layer(features[-1]), 0.2))
            said.append([*features[1:], last(features[-1])])
            image = functional.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
        return said


class ResidualDiscriminator(nn.Module):
    """Says of overlapping patches of a picture whether they were taken or drawn, after four residual blocks.

    inputs  channels
    width   channels of the first layer; blocks come out with 2, 4, 8 and 8 times as many

    Source: Rochette, Russell, Bowden, 2021, after Karras et al., StyleGAN2, 2020.
    """

    def __init__(self, inputs: int, width: int = 32):
        super().__init__()
        widths = [width * times for times in (1, 2, 4, 8, 8)]
        self.enter = EqualConv(inputs, width, 1)
        self.blocks = nn.ModuleList(HalvingBlock(a, b) for a, b in pairwise(widths))
        self.leave = EqualConv(widths[-1], 1, 1)
        self.to(memory_format=torch.channels_last)  # faster on CPUs

    def forward(self, image: torch.Tensor) -> list[list[torch.Tensor]]:
        """Pictures (B, inputs, H, W) of any size -> the features, layer by layer, and last what it says.

        That is (B, 1, H / 16, W / 16), rounded up: above 0 of a patch that was taken, below 0 of one that
        was drawn. All in a list of one scale, as `PatchDiscriminator` returns its.
        """
        features = [leaky(self.enter(image.contiguous(memory_format=torch.channels_last)))]
        for block in self.blocks:
            features.append(block(features[-1]))
        return [[*features, self.leave(features[-1])]]


class HalvingBlock(nn.Module):
    """Two convolutions of which the second halves the picture, added to what was halved alone."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first, self.second = EqualConv(inputs, inputs), EqualConv(inputs, outputs, stride=2)
        self.around = EqualConv(inputs, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / 2, W / 2), rounded up"""
        inside = leaky(self.second(blur(leaky(self.first(x)), 3)))
        return (inside + self.around(blur(x, 3, stride=2))) / math.sqrt(2)
