"""Image networks: from sampled features to pictures.

A `UNet` folds blocks of pixels into channels at once and unfolds them last (space to depth and back): on two
cores the full-resolution layers would cost most, and the texture already carries the fine detail.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


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
        padded = functional.pad(image, (0, -width % self.stride, 0, -height % self.stride))
        skips = [functional.silu(self.enter(padded))]
        for layer in self.down:
            skips.append(functional.silu(layer(skips[-1])))
        x = skips.pop()
        x = x + functional.silu(self.middle(x))
        for up, merge in zip(self.up, self.merge, strict=True):
            x = functional.interpolate(functional.silu(up(x)), scale_factor=2, mode="nearest")
            x = functional.silu(merge(torch.cat([x, skips.pop()], 1)))
        return functional.pixel_shuffle(self.leave(x), self.fold)[..., :height, :width]


def conv(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the picture's size, or divides it by the stride."""
    layer = nn.Conv2d(inputs, outputs, side, stride=stride, padding=side // 2 if side % 2 else 0)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer
