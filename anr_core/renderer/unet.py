"""Encoders and decoders with skip connections: from sampled features to pictures.

A `UNet` folds blocks of pixels into channels at once and unfolds them last (space to depth and back): on two
cores the full-resolution layers would cost most, and the texture already carries the fine detail.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from anr_core.renderer.batch_norm import BatchNorm
from anr_core.renderer.convolutions import conv
from anr_core.telling import quoted


class UNet(nn.Module):
    """An encoder and decoder with skip connections; any picture size.

    inputs, outputs  channels
    width            channels of the first level, need not be whole; each further level has twice as many, at
                     most 8 times, rounded
    levels           number of resolutions
    fold             side of the pixel blocks that are folded into channels before the first layer

    There is no normalisation layer: a crop is drawn as it would be drawn within the whole picture, and a
    batch as its pictures alone. The last layer starts at zero, so that a network begins by adding nothing.
    """

    def __init__(self, inputs: int, outputs: int, width: float, levels: int = 4, fold: int = 2):
        super().__init__()
        widths = [round(width * min(2**level, 8)) for level in range(levels)]
        self.fold, self.stride = fold, fold << (levels - 1)
        self.enter = conv(inputs, widths[0], fold, stride=fold)
        self.down = nn.ModuleList(conv(a, b, stride=2) for a, b in zip(widths, widths[1:], strict=False))
        self.middle = conv(widths[-1], widths[-1])
        self.up = nn.ModuleList(conv(b, a) for a, b in reversed(list(zip(widths, widths[1:], strict=False))))
        self.merge = nn.ModuleList(conv(2 * a, a) for a in reversed(widths[:-1]))
        self.leave = conv(widths[0], outputs * fold**2, 1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)"""
        height, width = image.shape[-2:]
        missing = (0, -width % self.stride, 0, -height % self.stride)
        padded = functional.pad(image, missing) if any(missing) else image  # by nothing it would copy
        skips = [functional.silu(self.enter(padded))]
        for layer in self.down:
            skips.append(functional.silu(layer(skips[-1])))
        x = skips.pop()
        x = x + functional.silu(self.middle(x))
        for up, merge in zip(self.up, self.merge, strict=True):
            x = functional.interpolate(functional.silu(up(x)), scale_factor=2, mode="nearest")
            x = functional.silu(merge(torch.cat([x, skips.pop()], 1)))
        return functional.pixel_shuffle(self.leave(x), self.fold)[..., :height, :width]


class BlockUNet(nn.Module):
    """SMPLpix's encoder and decoder: two convolutions a block, halved by pooling; any picture size.

    inputs, outputs  channels
    width            channels of the first block; each further one has twice as many
    blocks           number of resolutions
    norm             after each convolution: "batch", "group", "instance" or "none"
    activation       "relu", "leaky", "silu" or "none"
    up               how a resolution is gained: "bilinear" or "nearest" and a convolution, or "transpose"
    fold             side of the pixel blocks that are folded into channels first and unfolded last

    Pooling rounds up, and what is doubled is cut to what it meets: sizes need not be multiples of anything.
    Source: Prokudin et al., SMPLpix, WACV 2021: 5 blocks of width 32, batch norm, ReLU, bilinear, unfolded.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 32, blocks: int = 5, norm: str = "batch",
                 activation: str = "relu", up: str = "bilinear", fold: int = 1):
        super().__init__()
        for name, choice, choices in (("norm", norm, NORMS), ("activation", activation, ACTIVATIONS),
                                      ("up", up, UPS)):
            if choice not in choices:
                raise ValueError(f"{name} {quoted(choice)} is unknown; use one of {', '.join(choices)}.")
        widths = [width << block for block in range(blocks)]
        self.fold = fold

        def after(b):
            return NORMS[norm](b), ACTIVATIONS[activation]()

        def layer(a, b, before=()):
            return nn.Sequential(*before, conv(a, b), *after(b))

        def double(a, b):
            return nn.Sequential(layer(a, b), layer(b, b))

        def raised(a, b):
            if up == "transpose":
                return nn.Sequential(nn.ConvTranspose2d(a, b, 2, 2), *after(b))
            sides = {} if up == "nearest" else {"align_corners": False}
            return layer(a, b, [nn.Upsample(scale_factor=2, mode=up, **sides)])

        self.down = nn.ModuleList(double(a, b) for a, b in pairwise([inputs * fold**2, *widths]))
        pairs = list(reversed(list(pairwise(widths))))
        self.up = nn.ModuleList(raised(b, a) for a, b in pairs)
        self.merge = nn.ModuleList(double(2 * a, a) for a, _ in pairs)
        self.leave = conv(width, outputs * fold**2, 1)
        nn.init.xavier_normal_(self.leave.weight)
        self.to(memory_format=torch.channels_last)  # a third faster on CPUs

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)"""
        height, width = image.shape[-2:]
        x, skips = functional.pad(image, (0, -width % self.fold, 0, -height % self.fold)), []
        x = functional.pixel_unshuffle(x, self.fold).contiguous(memory_format=torch.channels_last)
        for index, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2, ceil_mode=True) if index else x)
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            skip = skips.pop()
            x = merge(torch.cat([up(x)[..., :skip.shape[-2], :skip.shape[-1]], skip], 1))
        return functional.pixel_shuffle(self.leave(x), self.fold)[..., :height, :width]


def _groups(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels), channels)


NORMS = {"batch": BatchNorm, "group": _groups, "instance": partial(nn.InstanceNorm2d, affine=True),
         "none": lambda channels: nn.Identity()}
ACTIVATIONS = {"relu": partial(nn.ReLU, inplace=True), "leaky": partial(nn.LeakyReLU, 0.1, inplace=True),
               "silu": partial(nn.SiLU, inplace=True), "none": nn.Identity}
UPS = ("bilinear", "nearest", "transpose")
