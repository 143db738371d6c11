"""What a point's features mean: how dense it is, and of which colour, seen from somewhere in some frame."""

from __future__ import annotations

import torch
from torch import nn

POINT_FREQUENCIES, DIRECTION_FREQUENCIES = 10, 4


class Field(nn.Module):
    """Features (P, channels), a frame's latent (P, latent), place and direction into density and colour.

    Widths are the published ones for `width` 256: 256 and, last, half of it. Source: Neural Body's section
    3.3 and 3.4.
    """

    def __init__(self, channels: int, width: int, latent: int):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                                    nn.Linear(width, width), nn.ReLU())
        self.dense = nn.Linear(width, 1)
        self.feature = nn.Linear(width, width)
        self.latent = nn.Linear(width + latent, width)
        encoded = 3 * (2 + 2 * POINT_FREQUENCIES + 2 * DIRECTION_FREQUENCIES)
        self.seen = nn.Sequential(nn.Linear(width + encoded, width // 2), nn.ReLU())
        self.colour = nn.Linear(width // 2, 3)

    def density(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(P,) a number that is the density before it is bounded below, and what colours are made of."""
        hidden = self.hidden(features)
        return self.dense(hidden)[:, 0], hidden

    def rgb(self, hidden: torch.Tensor, latent: torch.Tensor, points: torch.Tensor,
            directions: torch.Tensor) -> torch.Tensor:
        """(P, 3) in [0, 1]; points (P, 3) metres and unit directions (P, 3), both of the world."""
        mixed = self.latent(torch.cat([self.feature(hidden), latent], 1))
        seen = torch.cat([mixed, encode(directions, DIRECTION_FREQUENCIES),
                          encode(points, POINT_FREQUENCIES)], 1)
        return torch.sigmoid(self.colour(self.seen(seen)))


def encode(values: torch.Tensor, frequencies: int) -> torch.Tensor:
    """(P, D (1 + 2 frequencies)) values (P, D), and sines and cosines of 1, 2, 4 ... times them.

    Source: Mildenhall et al., NeRF, ECCV 2020, equation 4, without its factor of pi, as its code has it.
    """
    angles = values[..., None] * 2.0 ** torch.arange(frequencies, device=values.device)
    return torch.cat([values, angles.sin().flatten(1), angles.cos().flatten(1)], 1)
