"""A U-Net whose every convolution a style steers: a latent picture and a person's looks become a picture."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from anr_core.processes import mean_of_all
from anr_core.renderer.convolutions import blur

MOMENTUM = 0.995  # share of a running moment that a step leaves
BLUR = 5          # side of the window before a picture is halved and after it is doubled


class ModulatedUNet(nn.Module):
    """Draws a picture of any size from a latent one; a style says how strongly each channel is listened to.

    inputs, outputs  channels
    style            length of the style
    width            channels of the first level; each further one has twice as many, at most 8 times
    levels           how often the picture is halved
    outer            how often it is doubled beyond the latent picture's size; each halves the width

    Halves are rounded up, and what is doubled is cut to the skip that it meets. In training every layer
    follows the size of what it gets: see `SecondMoment`.

    Source: Rochette, Russell, Bowden, 2021, with the layers of Karras et al., StyleGAN2, 2020. Weights are as
    many as published: 39.45 M with 16 inputs, 3 outputs and a style of 1728, 39.59 M with an outer level,
    28.57 M with a style of 256. Their arrangement was found by counting: in entering and going down the first
    of two convolutions keeps the channels and the second changes them, going up it is the first that does;
    every convolution has a bias and is modulated, the last without being demodulated.
    """

    def __init__(self, inputs: int, outputs: int, style: int, width: int = 64, levels: int = 4,
                 outer: int = 0):
        super().__init__()
        if width % 2**outer:
            raise ValueError(f"width is {width}; {outer} outer levels halve it as often. Use a multiple of "
                             f"{2**outer}.")

        def layer(a, b, **how):
            return ModulatedConv(a, b, style, **how)

        widths = [width * min(2**level, 8) for level in range(levels + 1)]
        self.enter = nn.ModuleList([layer(inputs, inputs), layer(inputs, width)])
        self.down = nn.ModuleList(nn.ModuleList([layer(a, a, scale=-1), layer(a, b)])
                                  for a, b in pairwise(widths))
        self.middle = nn.ModuleList(nn.ModuleList([layer(widths[-1], widths[-1]) for _ in range(2)])
                                    for _ in range(2))
        self.up = nn.ModuleList(nn.ModuleList([layer(b, a, scale=1), layer(2 * a, a)])
                                for a, b in reversed(list(pairwise(widths))))
        self.outer = nn.ModuleList(nn.ModuleList([layer(a, a // 2, scale=1), layer(a // 2, a // 2)])
                                   for a in (width >> doubled for doubled in range(outer)))
        self.leave = layer(width >> outer, outputs, side=1, last=True)
        self.to(memory_format=torch.channels_last)  # faster on CPUs

    def forward(self, latent: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w), (B, style) -> (B, outputs, h 2^outer, w 2^outer), in [0, 1] when it is trained.

        Nothing clamps it there.
        """
        x, skips = latent.contiguous(memory_format=torch.channels_last), []
        for first, second in (self.enter, *self.down):
            x = second(first(x, style), style)
            skips.append(x)
        skips.pop()
        for first, second in self.middle:
            x = (x + second(first(x, style), style)) / math.sqrt(2)
        for double, merge in self.up:
            skip = skips.pop()
            x = double(x, style)[..., :skip.shape[-2], :skip.shape[-1]]
            x = merge(torch.cat([x, skip], 1), style)
        for double, then in self.outer:
            x = then(double(x, style), style)
        return (self.leave(x, style) + 1) / 2


class ModulatedConv(nn.Module):
    """A convolution whose inputs are scaled by a style, and whose outputs then get back their size.

    scale  -1: the picture is blurred and halved, 1: doubled and blurred, 0: of the same size
    last   neither are sizes given back, nor is what comes out of it bent

    Scaling a sample's channels before and after a convolution that all samples share is the same as a
    convolution of its own for each, and many times faster on CPUs.
    Source: Karras et al., StyleGAN2, 2020, equations 1 and 3.
    """

    def __init__(self, inputs: int, outputs: int, style: int, side: int = 3, scale: int = 0,
                 last: bool = False):
        super().__init__()
        self.scale, self.last = scale, last
        self.moment = SecondMoment(inputs)
        self.style = EqualLinear(style, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W), (B, S) -> (B, outputs, H', W')"""
        x = blur(x, BLUR) if self.scale < 0 else x
        modulation = self.style(style)
        weight = self.weight / math.sqrt(self.weight[0].numel())
        x = x * (modulation * self.moment(x))[..., None, None]
        if self.scale > 0:
            # three of four pixels that it convolves are gaps: what is smooth would lose three quarters
            x = functional.conv_transpose2d(x, 4 * weight.transpose(0, 1), None, 2, 1, 1)
            x = blur(x, BLUR)
        else:
            x = functional.conv2d(x, weight, None, 1 - self.scale, weight.shape[-1] // 2)
        bias = self.bias[:, None, None]
        if self.last:
            return x + bias
        demodulation = (modulation.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()[..., None, None]
        # leaky ReLU times sqrt 2; a positive factor may as well be taken before it
        x = torch.addcmul(math.sqrt(2) * bias, x, math.sqrt(2) * demodulation)
        return functional.leaky_relu_(x, 0.2)


class EqualLinear(nn.Module):
    """A linear layer whose weights are near 1, divided by the root of their number when it is used."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, outputs)"""
        return functional.linear(x, self.weight / math.sqrt(self.weight.shape[1]), self.bias)


class SecondMoment(nn.Module):
    """By what channels are multiplied so that their mean square is 1, as training has found it.

    In training the running means follow what passes; in evaluation they rest. The first pictures that ever
    pass are taken as they are: a mean that starts at 1 would need some hundred steps to find small features.
    No gradient goes through them. Source: Karras et al., StyleGAN3, 2021, section 3.2.
    """

    def __init__(self, channels: int):
        super().__init__()
        # of squares; by this name the averaged weights' follow it
        self.register_buffer("running_mean", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (C,)"""
        if self.training:
            self._follow(x.detach())
        return self.running_mean.clamp(min=1e-8).rsqrt()

    @torch.no_grad()
    def _follow(self, x: torch.Tensor) -> None:
        now = mean_of_all(x.to(self.running_mean.dtype).square().mean((0, 2, 3)))
        unknown = (self.running_mean == 1).all()  # exactly: nothing has passed yet
        self.running_mean.copy_(torch.where(unknown, now, now.lerp(self.running_mean, MOMENTUM)))
