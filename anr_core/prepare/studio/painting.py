"""What paint is made of: seamless noise, scattered spots, smooth steps; and texels to paint on.

Colours are painted as people name them, sRGB in [0, 1]; `linear` takes them to light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch.nn import functional

from anr_core.camera import Camera
from anr_core.rasterizer import rasterize

LATTICE = 32  # noise repeats after so many of its cells


def linear(srgb: torch.Tensor) -> torch.Tensor:
    """Linear light of sRGB-encoded values."""
    srgb = srgb.clamp(0, 1)
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055).pow(2.4))


def encoded(light: torch.Tensor) -> torch.Tensor:
    """sRGB of linear light in [0, 1]."""
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=1e-8).pow(1 / 2.4) - 0.055)


def colour(*rgb: float) -> torch.Tensor:
    """(3,) sRGB of three numbers in [0, 1]."""
    return torch.tensor(rgb, dtype=torch.float32)


def noise(points: torch.Tensor, cell: float, seed: int) -> torch.Tensor:
    """(N,) smooth noise in [-1, 1] at points (N, 2 or 3), with one random value every `cell`."""
    if points.shape[1] == 2:
        points = functional.pad(points, (0, 1), value=0.37 * cell)
    lattice = torch.rand(LATTICE, LATTICE, LATTICE, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    volume = functional.pad(lattice[None, None], (0, 1, 0, 1, 0, 1), mode="circular")
    scaled = points / cell
    whole = scaled.floor()
    share = scaled - whole
    place = whole.remainder(LATTICE) + share.square() * (3 - 2 * share)
    grid = (2 * place / LATTICE - 1)[None, None, None]
    return functional.grid_sample(volume, grid, align_corners=True)[0, 0, 0, 0]


def clouds(points: torch.Tensor, cell: float, seed: int, octaves: int = 4) -> torch.Tensor:
    """(N,) noise in about [-1, 1] whose details halve in size and strength from octave to octave."""
    return sum(noise(points, cell / 2**octave, seed + octave) * 0.5**octave for octave in range(octaves))


def step(low: float, high: float, values: torch.Tensor) -> torch.Tensor:
    """0 up to low, 1 from high on (or the other way round), smooth in between."""
    share = ((values - low) / (high - low)).clamp(0, 1)
    return share.square() * (3 - 2 * share)


def spots(points: torch.Tensor, centres: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
    """(N,) 1 within the nearest centre's radius, smooth to 0 at twice that."""
    if not len(centres):
        return points.new_zeros(len(points))
    furthest = 2 * float(radii.max())
    distance, nearest = cKDTree(centres.numpy()).query(points.numpy(), distance_upper_bound=furthest)
    radius = functional.pad(radii, (0, 1), value=1.0)[torch.from_numpy(nearest)]
    return step(2.0, 1.0, torch.from_numpy(distance).float().clamp(max=1e3) / radius)


def mixed(one: torch.Tensor, other: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Colours (3,) or (N, 3), of the other so much as share (N,) says."""
    return one + (other - one) * share[:, None]


@dataclass(frozen=True)
class Texels:
    """The texels of an atlas that lie on a surface.

    size         texels a side
    place        (N,)    flat index, row 0 at the top
    face         (N,)
    barycentric  (N, 3)
    """

    size: int
    place: torch.Tensor
    face: torch.Tensor
    barycentric: torch.Tensor

    @staticmethod
    def of(uv: torch.Tensor, uv_faces: torch.Tensor, size: int) -> Texels:
        """The texels of an atlas of size x size that faces cover."""
        layout = torch.stack([uv[:, 0], 1 - uv[:, 1], torch.ones(len(uv))], 1)[None]
        K = torch.diag(torch.tensor([size, size, 1.0]))[None]
        above = Camera(K, torch.eye(3)[None], torch.zeros(1, 3), projection="weak")
        fragments = rasterize(layout, uv_faces, above, (size, size))
        place = fragments.pixels
        return Texels(size, place, fragments.face_id.flatten()[place].long(),
                      fragments.barycentric.flatten(0, 2)[place])

    def on(self, values: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
        """Values (V, C) of vertices, or of UVs, at the texels: (N, C)."""
        return (values[faces[self.face]] * self.barycentric[..., None]).sum(1)

    def picture(self, values: torch.Tensor) -> torch.Tensor:
        """Values (N, C) as (C, size, size), continued beyond the charts' outlines."""
        canvas = values.new_zeros(self.size**2, values.shape[1])
        canvas[self.place] = values
        empty = np.ones(self.size**2, bool)
        empty[self.place.numpy()] = False
        nearest = distance_transform_edt(empty.reshape(self.size, self.size), return_distances=False,
                                         return_indices=True)
        rows, columns = torch.from_numpy(nearest)
        return canvas.view(self.size, self.size, -1)[rows.long(), columns.long()].permute(2, 0, 1)
