"""What stands between the channels that a page's shaders sample and the picture, as one ONNX model.

Shaders draw four channels a pixel, so a model takes `bands` (K, H, W, 4): the texture's channels four by four
and zeros to fill the last, then of ANR (seen, covered, normal x, normal y) and (normal z, lit red, green,
blue). H and W are multiples of `stride`. It gives (H, W, 4): straight colour and mask, both in [0, 1].
"""

from __future__ import annotations

import math

import torch
from torch import nn

from anr_core.avatars.anr import ANR
from anr_core.avatars.deferred import Deferred
from anr_core.export.graph import network_bytes

BLOCK = 16  # pixels: a multiple of the 4 that `beyond` averages, and sizes seldom change
AXES = {"bands": {1: "height", 2: "width"}, "picture": {0: "height", 1: "width"}}


class AnrPicture(nn.Module):
    """ANR between sampling and picture, of a view that was not trained: its gain is 1."""

    def __init__(self, avatar: ANR):
        super().__init__()
        self.avatar, self.channels = avatar, avatar.texture.channels

    def forward(self, bands: torch.Tensor) -> torch.Tensor:
        """(K, H, W, 4) -> (H, W, 4); see the module."""
        planes = _planes(bands)
        first = planes.shape[1] - 8  # after the channels that fill the last band
        features = planes[:, :self.channels]
        seen, coverage, normals, lit = planes[:, first:].split([1, 1, 3, 3], 1)
        rgb, mask, *_ = self.avatar.drawn(torch.cat([features, seen, coverage], 1), normals, lit,
                                          torch.ones_like(lit[..., :1, :1]))
        return _picture(rgb, mask)


class DeferredPicture(nn.Module):
    """Deferred rendering's one network."""

    def __init__(self, avatar: Deferred):
        super().__init__()
        self.avatar, self.channels = avatar, avatar.texture.channels

    def forward(self, bands: torch.Tensor) -> torch.Tensor:
        """(K, H, W, 4) -> (H, W, 4); see the module."""
        return _picture(*self.avatar.drawn(_planes(bands)[:, :self.channels]))


def stride_of(avatar: ANR | Deferred) -> int:
    """What sides of a model's pictures are multiples of, pixels."""
    network = avatar.r1 if isinstance(avatar, ANR) else avatar.network
    return math.lcm(network.stride, BLOCK)


def model_of(avatar: ANR | Deferred) -> bytes:
    """The avatar's networks as ONNX, weights in half precision."""
    stride = stride_of(avatar)
    bands = -(-avatar.texture.channels // 4) + 2 * isinstance(avatar, ANR)
    module = (AnrPicture if isinstance(avatar, ANR) else DeferredPicture)(avatar).eval()
    example = torch.rand(bands, 2 * stride, 3 * stride, 4)  # multiples: nothing is padded in the graph
    return network_bytes(module, (example,), ["bands"], ["picture"], AXES, "float16 weights")


def _planes(bands):
    """(K, H, W, 4) -> (1, 4 K, H, W)"""
    return bands.permute(0, 3, 1, 2).flatten(0, 1)[None]


def _picture(rgb, mask):
    return torch.cat([rgb, mask], 1)[0].permute(1, 2, 0)
