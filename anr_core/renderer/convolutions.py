"""What image networks are made of: convolutions as they begin, equalised ones, and a binomial blur."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional


def conv(inputs: int, outputs: int, side: int = 3, stride: int = 1, padding: int | None = None) -> nn.Conv2d:
    """A convolution that keeps the picture's size, or divides it by the stride."""
    padding = side // 2 * (side % 2) if padding is None else padding
    layer = nn.Conv2d(inputs, outputs, side, stride=stride, padding=padding)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


class EqualConv(nn.Module):
    """A convolution whose weights are near 1 and are divided by the root of their number when it is used.

    So that an optimiser whose steps have one size for all, as Adam's, moves every layer alike. It keeps the
    picture's size, or divides it by the stride and rounds up.
    Source: Karras et al., Progressive GAN, 2018, section 4.1.
    """

    def __init__(self, inputs: int, outputs: int, side: int = 3, stride: int = 1, bias: bool = True):
        super().__init__()
        self.stride, self.scale = stride, 1 / math.sqrt(inputs * side**2)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)"""
        return functional.conv2d(x, self.weight * self.scale, self.bias, self.stride,
                                 self.weight.shape[-1] // 2)


def leaky(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU that keeps the size of what is as often below 0 as above (nearly: 1.02 times 1 / sqrt 2)."""
    return functional.leaky_relu(x, 0.2) * math.sqrt(2)


def blur(x: torch.Tensor, side: int, stride: int = 1) -> torch.Tensor:
    """Each channel under a binomial window of an odd side; beyond the edge lies zero.

    (B, C, H, W) -> (B, C, H / stride, W / stride), rounded up.
    """
    channels = int(x.shape[1])  # a number where a graph is traced, too, in which sizes are tensors
    window = _binomial(side, x.dtype, x.device).expand(channels, 1, side, side)
    return functional.conv2d(x, window, stride=stride, padding=side // 2, groups=channels)


@lru_cache(maxsize=16)
def _binomial(side: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(side, side), made once: a GPU would wait for it in every frame."""
    row = torch.tensor([math.comb(side - 1, k) / 2**(side - 1) for k in range(side)]).to(device, dtype)
    return row[:, None] * row
