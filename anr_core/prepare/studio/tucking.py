"""Skin that lies under clothes is drawn in, so that cloth which cuts into a bent limb doesn't show it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from anr_core.prepare.studio.painting import step
from anr_core.prepare.studio.patterns import rim_of
from anr_core.rasterizer import vertex_normals

DEPTH = 0.014  # metres that covered skin is drawn in
NEAR = 0.05  # metres to the cloth that covers it
RIM = (0.05, 0.10)  # metres from a hem: seen up to the first, all drawn in from the second


class Tuck:
    """How far each vertex of the skin is drawn in, found where everything hangs in its place.

    layers    of a person, the skin among them
    vertices  by layer, of a moment when the person stands upright
    """

    def __init__(self, layers, vertices: dict[str, np.ndarray]):
        clothes = [layer for layer in layers if layer.name not in ("skin", "hair")]
        skin = next(layer for layer in layers if layer.name == "skin")
        self.faces = torch.from_numpy(skin.faces)
        cloth = np.concatenate([vertices[layer.name] for layer in clothes])
        rims = np.concatenate([vertices[layer.name][np.unique(rim_of(layer.faces))] for layer in clothes])
        away, nearest = cKDTree(cloth).query(vertices["skin"])
        outward = ((cloth[nearest] - vertices["skin"]) * self._normals(vertices["skin"])).sum(1)
        to_rim = torch.from_numpy(cKDTree(rims).query(vertices["skin"])[0])
        covered = torch.from_numpy((away < NEAR) & (outward > -0.01))
        self.depth = (DEPTH * step(*RIM, to_rim) * covered).numpy().astype(np.float32)

    def drawn_in(self, vertices: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Vertices by part, the skin's moved inwards where clothes cover it."""
        skin = vertices["skin"]
        return vertices | {"skin": skin - self.depth[:, None] * self._normals(skin)}

    def _normals(self, skin):
        return vertex_normals(torch.from_numpy(skin)[None], self.faces)[0].numpy()
