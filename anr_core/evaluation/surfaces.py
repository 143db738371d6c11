"""How far one surface is from another, of each what is seen from outside.

Points are taken evenly on both. What clothes hide, and the inside of a shell, isn't compared: a point counts
where one of many cameras all around sees it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from anr_core.camera import Camera, look_at
from anr_core.rasterizer import rasterize

POINTS = 100_000  # on a person 5 mm apart: a surface is then 2 mm from itself
CAMERAS = 48
SIDE = 1024  # pixels of a camera's picture
HIDDEN = 0.004  # metres behind what a camera sees from which on a point is hidden; pixels are 2 mm wide
SQUARE = 0.5  # cosine below which a face is seen too flatly to tell


@dataclass(frozen=True)
class Samples:
    """Points (n, 3), metres, on a surface, and the unit normals (n, 3) of their faces."""

    points: np.ndarray
    normals: np.ndarray


@dataclass(frozen=True)
class Nearness:
    """Of two surfaces' points: mean distances to the nearest point of the other one, millimetres.

    chamfer  the mean of both directions' means       to, back  each direction's
    normals  mean absolute cosine between the normals of nearest points, over both directions
    """

    chamfer: float
    to: float
    back: float
    normals: float


def outer_samples(vertices: np.ndarray, faces: np.ndarray, count: int = POINTS, seed: int = 0) -> Samples:
    """At the most so many points, spread evenly over what cameras all around see of a mesh.

    vertices (V, 3) metres, faces (F, 3). The same seed gives the same points. Raises ValueError for a mesh
    without area.
    """
    random = np.random.default_rng(seed)
    corners = vertices[faces].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = np.linalg.norm(across, axis=1)
    if not twice.sum() > 0:
        raise ValueError(f"A mesh of {len(faces)} faces has no area, so no points lie on it.")
    face = random.choice(len(faces), 3 * count, p=twice / twice.sum())  # of layers, two thirds may be hidden
    weights = np.sort(random.random((len(face), 2)), 1)
    weights = np.diff(weights, axis=1, prepend=0, append=1)  # evenly over the triangle
    points, normals = (weights[..., None] * corners[face]).sum(1), across[face] / twice[face, None]
    seen = _seen(*(torch.from_numpy(values) for values in (points, normals, vertices, faces))).numpy()
    return Samples(points[seen][:count], normals[seen][:count])


def nearness(one: Samples, other: Samples) -> Nearness:
    """How near surfaces are to each other; see `Nearness`. `to` goes from `one` to the other."""
    means, cosines = [], []
    for here, there in ((one, other), (other, one)):
        distance, nearest = cKDTree(there.points).query(here.points)
        means.append(1000 * float(distance.mean()))
        cosines.append(float(np.abs((here.normals * there.normals[nearest]).sum(1)).mean()))
    return Nearness(sum(means) / 2, *means, sum(cosines) / 2)


def _seen(points, normals, vertices, faces):
    """(n,) bool: of points on a mesh those that one of the cameras sees."""
    vertices = vertices.float()
    low, high = vertices.aminmax(dim=0)
    middle, radius = (low + high) / 2, float((high - low).norm()) / 2 + 0.01
    seen = torch.zeros(len(points), dtype=torch.bool)
    for camera in around(middle, radius):
        depth = rasterize(vertices[None], faces, camera, camera.size).depth[0]
        pixels, distance = camera.project(points.float()[None])
        column, row = pixels[0].long().clamp(0, SIDE - 1).unbind(-1)
        squarely = (normals @ camera.R[0, 2].double()).abs() > SQUARE
        seen |= squarely & (distance[0] < depth[row, column] + HIDDEN)
    return seen


def around(middle: torch.Tensor, radius: float) -> list[Camera]:
    """Cameras with parallel rays, evenly all around, that see a ball of a radius, metres, around (3,)."""
    turns = torch.arange(CAMERAS)
    height = 1 - (2 * turns + 1) / CAMERAS
    angle = turns * math.pi * (3 - math.sqrt(5))  # the golden one: a spiral that leaves no gap
    flat = (1 - height**2).sqrt()
    outward = torch.stack([flat * angle.cos(), flat * angle.sin(), height], -1)
    scale = SIDE / (2 * radius)
    K = torch.tensor([[scale, 0, SIDE / 2], [0, scale, SIDE / 2], [0, 0, 1.0]])
    cameras = look_at(middle + 2 * radius * outward, middle.expand(CAMERAS, 3), (0, 0, 1),
                      K.expand(CAMERAS, 3, 3), (SIDE, SIDE))
    weak = Camera(cameras.K, cameras.R, cameras.t, projection="weak", size=cameras.size)
    return [weak[index] for index in range(CAMERAS)]
