"""Where a mesh's outline lies in a picture, and which way it would have to go to meet the mask's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch.nn import functional

from anr_core.camera import Camera
from anr_core.capture.view import View
from anr_core.rasterizer import rasterize

# Metres. Outlines further apart belong to something else, such as a hand that the pose has elsewhere; those
# as far apart as DOUBT count half.
FARTHEST, DOUBT = 0.10, 0.025

# Pixels at the edge of a picture: what ends there is cut off, which is no outline.
CUT = 2


@dataclass(frozen=True)
class Crossings:
    """Points of a mesh's outline in one picture, linear in how they move; N pixels of it.

    corners      (N, 3)  the vertices of the triangle that is seen there
    barycentric  (N, 3)
    place        (N, 3)  metres, world
    across       (N, 3)  metres across the mask's outline, outwards, for each metre of motion in the world
    gap          (N,)    metres outwards to the mask's outline
    weight       (N,)    metres of outline that the pixel stands for, less where in doubt
    """

    corners: torch.Tensor
    barycentric: torch.Tensor
    place: torch.Tensor
    across: torch.Tensor
    gap: torch.Tensor
    weight: torch.Tensor

    def at(self, values: torch.Tensor) -> torch.Tensor:
        """Vertex values (V, ...) at the points (N, ...)."""
        return torch.einsum("nk...,nk->n...", values[self.corners], self.barycentric)


@dataclass(frozen=True)
class Outline:
    """The mask of one picture.

    distance  (H, W)  pixels from the mask's outline, negative inside
    known     (H, W)  where that can be believed
    """

    camera: Camera
    distance: torch.Tensor
    known: torch.Tensor

    @staticmethod
    def of(view: View) -> Outline:
        """Of a view, a batch of one."""
        mask = view.mask[0, 0].cpu().numpy() > 0.5
        # an inner and an outer pixel of the mask are half a pixel to either side of its outline
        distance = np.where(mask, 0.5 - distance_transform_edt(mask), distance_transform_edt(~mask) - 0.5)
        known = torch.zeros_like(view.certain[0, 0], dtype=torch.bool)
        known[CUT:-CUT, CUT:-CUT] = view.certain[0, 0, CUT:-CUT, CUT:-CUT] > 0
        if not mask.any():
            known[:] = False
        return Outline(view.camera, torch.from_numpy(distance).to(view.image), known)

    def crossed_by(self, vertices: torch.Tensor, faces: torch.Tensor) -> Crossings:
        """The outline of a mesh (V, 3), (F, 3), wherever the mask's is near."""
        fragments = rasterize(vertices[None], faces, self.camera, tuple(self.distance.shape))
        there = fragments.face_id[0] >= 0
        inner = there.roll(1, 0) & there.roll(-1, 0) & there.roll(1, 1) & there.roll(-1, 1)
        row, column = (there & ~inner & self.known).nonzero().unbind(1)
        corners = faces[fragments.face_id[0, row, column].long()]
        barycentric = fragments.barycentric[0, row, column]
        place = (vertices[corners] * barycentric[..., None]).sum(1)
        motion = self._pixels_a_metre(place)
        right = self.distance[row, column + 1] - self.distance[row, column - 1]
        down = self.distance[row + 1, column] - self.distance[row - 1, column]
        across = functional.normalize(torch.stack([right, down], 1), dim=1)
        across = (across[:, None] @ motion)[:, 0]  # pixels a metre
        scale = motion.flatten(1).norm(dim=1) / 2**0.5
        # the centre of an outermost pixel lies half a pixel within the outline
        gap = -(self.distance[row, column] + 0.5) / scale
        near = gap.abs() < FARTHEST
        weight = 1 / (scale * (1 + (gap / DOUBT).square()))
        return Crossings(*(values[near] for values in (corners, barycentric, place, across / scale[:, None],
                                                       gap, weight)))

    def _pixels_a_metre(self, place):
        """How pixels move with places (N, 3): (N, 2, 3)."""
        steps = 1e-3 * torch.eye(3).to(place)
        ahead, behind = (self.camera.project((place[:, None] + step).flatten(0, 1)[None])[0]
                         for step in (steps, -steps))
        return ((ahead - behind) / 2e-3).view(-1, 3, 2).mT
