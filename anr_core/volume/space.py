"""What is around posed bodies: diffused grids in their own frames, asked at points of the world."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anr_core.volume.diffusion import Level
from anr_core.volume.sampling import Nearby, sample


@dataclass(frozen=True)
class Space:
    """The space around B bodies.

    levels                 the diffused grids
    tables                 each level's `Voxels.table()`
    nearby                 which places are near
    rotation, translation  (B, 3, 3), (B, 3) world from body
    low                    (B, 3) metres, body: the centre of each finest grid's first voxel
    side                   of such a voxel, metres
    """

    levels: list[Level]
    tables: list[torch.Tensor]
    nearby: Nearby
    rotation: torch.Tensor
    translation: torch.Tensor
    low: torch.Tensor
    side: float

    def near(self, item: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """(P,) bool, which world points (P, 3) of items (P,) are near their body."""
        return self.nearby(item, self._places(item, points))

    def features(self, item: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """(P, C) at world points (P, 3) of items (P,)."""
        return sample(self.levels, self.tables, item, self._places(item, points))

    def world(self, item: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """(P, 3) metres, of places (P, 3) in voxels of the grids of items (P,)."""
        local = places * self.side + self.low[item]
        return (self.rotation[item] @ local[..., None])[..., 0] + self.translation[item]

    def _places(self, item, points):
        """In voxels of their grids."""
        local = ((points - self.translation[item])[:, None] @ self.rotation[item])[:, 0]
        return (local - self.low[item]) / self.side
