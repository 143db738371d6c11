"""What a person is made of: paint on every layer, and how it takes the light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch.nn import functional

from anr_core.prepare.studio.fabrics import FABRICS, Sheet, paint_fabric, palette
from anr_core.prepare.studio.fabrics import FINISHES as FABRIC_FINISHES
from anr_core.prepare.studio.painting import Texels, colour
from anr_core.prepare.studio.skin import Complexion, paint_skin
from anr_core.prepare.studio.workers import side_by_side
from anr_core.texture import bilinear

# roughness, share mirrored when seen squarely, sheen (fuzz at grazing angles), wrap (light going around)
FINISHES = {
    "skin": (0.46, 0.035, 0.0, 1.0),
    "cloth": (0.8, 0.02, 0.35, 0.3),
    "denim": (0.75, 0.025, 0.2, 0.1),
    "leather": (0.38, 0.05, 0.0, 0.0),
    "hair": (0.36, 0.05, 0.0, 0.5),
}


@dataclass(frozen=True)
class Paint:
    """Painted layers as a pyramid, each level half as wide as the one before.

    levels  (layers * size * size, 6): linear albedo, the height's slope along u and v (metres a unit), gloss
    size    texels a side of the first level
    finish  (layers, 4) how each layer takes the light, see FINISHES
    """

    levels: list[torch.Tensor]
    size: int
    finish: torch.Tensor

    @staticmethod
    def of(pictures: list[torch.Tensor], finishes: list[str]) -> Paint:
        """Of pictures (5, size, size), one a layer: linear albedo, height in metres, gloss."""
        planes = torch.stack([_with_slopes(picture) for picture in pictures])
        size, levels = planes.shape[-1], []
        while planes.shape[-1] >= 4:
            levels.append(planes.movedim(1, -1).flatten(0, 2).contiguous())
            planes = functional.avg_pool2d(planes, 2)
        return Paint(levels, size, torch.tensor([FINISHES[name] for name in finishes]))

    def sampled(self, layer: torch.Tensor, uv: torch.Tensor,
                detail: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Albedo (N, 3), slope (N, 2) and gloss (N,) at uv (N, 2) of layers (N,), between two levels."""
        detail = detail.clamp(0, len(self.levels) - 1.001)
        coarse, found = detail.floor(), torch.empty(len(uv), 6)
        for level in range(int(coarse.min()), int(coarse.max()) + 1):
            here = (coarse == level).nonzero()[:, 0]
            fine, next_ = (self._at(level + step, layer[here], uv[here]) for step in range(2))
            found[here] = torch.lerp(fine, next_, (detail[here] - level)[:, None])
        return found[:, :3], found[:, 3:5], found[:, 5]

    def _at(self, level, layer, uv):
        size = self.size >> level
        return bilinear(self.levels[level], (len(self.finish), size, size), layer, uv)


def _with_slopes(picture):
    """(6, size, size): the height of (5, size, size) becomes its slope along u and v."""
    height, size = picture[3], picture.shape[-1]
    across = (height.roll(-1, 1) - height.roll(1, 1)) * (size / 2)
    down = (height.roll(-1, 0) - height.roll(1, 0)) * (size / 2)
    return torch.cat([picture[:3], across[None], -down[None], picture[4:]])


# from a person to paint


def painted(person, vertices: dict[str, np.ndarray], chest: torch.Tensor, size: int) -> Paint:
    """Paint on every layer of a person, size x size texels each.

    vertices  of one moment, with the person standing upright
    chest     (3,) a place in front of the chest then, metres: where a shirt has its print
    """
    seed = person.number
    random = np.random.default_rng([seed, 30])
    look = Complexion.drawn(random, person.body.shape.gender < 0.5)
    jobs, finishes = [], []
    for layer in person.layers:
        kinds = FABRICS[layer.name]
        kind = kinds[int(random.integers(len(kinds)))]
        tones = colour(*look.hair).expand(4, 3) if kind == "hair" else palette(random)
        jobs.append((layer, vertices[layer.name], kind, tones, seed + int(random.integers(1000))))
        finishes.append(FABRIC_FINISHES.get(kind, "cloth"))

    def paint(layer, places, kind, tones, seed):
        uv, faces, uv_faces = (torch.from_numpy(array) for array in (layer.uv, layer.faces, layer.uv_faces))
        texels = Texels.of(uv, uv_faces, size)
        if kind == "skin":
            rest = person.body.rest_vertices[0]
            return paint_skin(texels, texels.on(rest, faces), texels.on(uv, uv_faces), look, seed)
        place = texels.on(torch.from_numpy(places), faces)
        sheet = laid_out(texels, place, texels.on(uv, uv_faces) * layer.metres, layer.metres, chest)
        return texels.picture(paint_fabric(kind, sheet, tones, seed))

    return Paint.of(list(side_by_side(jobs, paint)), finishes)


def laid_out(texels: Texels, place: torch.Tensor, cloth: torch.Tensor, metres: float,
             chest: torch.Tensor) -> Sheet:
    """A layer's texels at places (N, 3), measured.

    cloth   (N, 2) metres, where on the cloth they are
    metres  a side of the atlas
    chest   (3,) a place in front of the chest
    """
    covered = np.zeros(texels.size**2, bool)
    covered[texels.place.numpy()] = True
    inside = distance_transform_edt(np.pad(covered.reshape(texels.size, -1), 1))[1:-1, 1:-1].reshape(-1)
    seam = torch.from_numpy(inside[texels.place.numpy()]).float() * metres / texels.size
    return Sheet(cloth[:, 0], cloth[:, 1], seam, place, cloth[(place - chest).norm(dim=1).argmin()])
