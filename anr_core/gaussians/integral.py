"""The integral of one diffuse Gaussian along rays that start at the camera, in closed form.

With Sigma = R diag(1 / squared scales) R^T, the density at x is exp(-(x - mean)^T Sigma (x - mean) / ALPHA).
Coordinates are whitened first: y = W ray and m = W mean, where W^T W = Sigma. Then a = |y|^2, b = m . y, and
the density along the ray is exp(-(d^2 + a (z - peak)^2) / ALPHA), with its peak at b / a, where the ray
misses the mean by d^2 = |m - peak y|^2. This is c - b^2 / a, c = |m|^2, without its difference of two numbers
that for a thin or distant primitive are a million times as large. All of this runs in float64, which has
digits to spare; a ray in float32, off by 1e-7, misses a thin primitive 3 m away by 2e-5 of its width.

Source: Rochette, Russell, Bowden, Human Pose Manipulation and Novel View Synthesis using Differentiable
Rendering, 2021.
"""

from __future__ import annotations

import torch

ALPHA = 0.025  # of the density: its standard deviation is 0.11 of a primitive's scale
BETA = 2.0  # the background lies so many times as far as the farthest peak


def whitening(rotations: torch.Tensor, squared_scales: torch.Tensor) -> torch.Tensor:
    """W (..., 3, 3), whose rows are the axes, divided by their scales; columns of rotations are the axes."""
    return (rotations / squared_scales.sqrt()[..., None, :]).transpose(-1, -2)


def visibility(depth: torch.Tensor) -> torch.Tensor:
    """What stands for occlusion: near primitives outweigh distant ones, in whatever order they come."""
    return 1 / (1 + depth ** 4)


def weights(rays: torch.Tensor, whiten: torch.Tensor, means: torch.Tensor, half_line: bool) -> torch.Tensor:
    """Integral times visibility of primitives along rays, in units of sqrt(pi ALPHA) / 2.

    rays       (M, P, 3)  unit; primitive m is seen along rays[m]
    whiten     (M, 3, 3)  W
    means      (M, 3)     whitened, W mean
    half_line  integrate from the camera on; else half of the integral along the whole line, as the paper's
               released code does, which also sees what is behind the camera
    returns    (M, P)
    """
    y = whiten @ rays.transpose(1, 2)
    a = y.square().sum(1)
    b = (means[:, None] @ y)[:, 0]
    depth = b / a
    missed = (means[..., None] - depth[:, None] * y).square().sum(1)
    fading = (-missed / ALPHA).exp()
    if half_line:
        start = -b / (ALPHA * a).sqrt()  # the camera, seen from the peak
        along = fading * torch.erfc(start)
        if bool((start > 0).any()):
            # erfc vanishes and exp rounds to 0 well before their product's logarithm has no digits left
            behind = torch.special.erfcx(start.clamp(min=0)) * (-means.square().sum(1) / ALPHA).exp()[:, None]
            along = torch.where(start > 0, behind, fading * torch.erfc(start.clamp(max=0)))
    else:
        along = fading
    return visibility(depth) * along * a.rsqrt()


def background_weight(farthest: torch.Tensor, smallest: torch.Tensor) -> torch.Tensor:
    """The background's, in the same units: half of a line through a ball behind all that is seen.

    farthest  the largest peak depth of a picture, metres
    smallest  of its squared scales; rounded up to a power of ten it is the ball's, so it jumps there
    """
    # what float32 made of a power of ten is one: a width of 0.1 m would land on the other side
    power = (smallest.log10() - 1e-6).ceil()
    return visibility(BETA * farthest) * (10 ** power).sqrt().detach()
