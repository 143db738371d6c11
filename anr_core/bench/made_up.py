"""The made-up person that is timed, and bones that stand where it does, with Y up."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch.nn import functional

from anr_core import gaussians
from anr_core.body import Pose, Surface, TrackedBody
from anr_core.body.anny import AnnyBody
from anr_core.camera import Camera, orbit
from anr_core.gaussians import Solids
from anr_core.skeleton import ANNY

GAUSSIANS = 108

# start and end, metres, Y up, and radius
ARM_AND_LEG = [((0.20, 1.42, 0.0), (0.30, 1.15, 0.00), 0.050), ((0.31, 1.12, 0.00), (0.36, 0.85, 0.1), 0.042),
               ((0.09, 0.92, 0.0), (0.12, 0.52, 0.04), 0.080), ((0.12, 0.46, 0.04), (0.13, 0.10, 0.0), 0.060)]
LIMBS = [((0, 1.00, 0), (0, 1.45, 0), 0.150), ((0, 1.62, 0), (0, 1.75, 0), 0.110)] + [
    ((side * start[0], *start[1:]), (side * end[0], *end[1:]), radius)
    for side in (-1, 1) for start, end, radius in ARM_AND_LEG]
RINGS, SEGMENTS = 36, 38  # of a capsule, its two poles not counted: 27 360 faces in all
TILES = 4  # the atlas has 4 x 4 tiles, one a capsule


def view(size: int, distance: float = 5.3, azimuth: float = 0.4) -> Camera:
    """A camera in whose square pictures the person covers 8 %; from 3.5 m more than twice as much."""
    return orbit(torch.tensor([0.0, 0.95, 0.0]), azimuth, 0.1, distance, 0.5, (size, size), (0, 1, 0))


def standing(anny: AnnyBody) -> Pose:
    """Anny's resting pose where the made-up person stands, with Y up."""
    return replace(anny.rest_pose(), root_rotation=torch.tensor([[-math.pi / 2, 0.0, 0.0]]),
                   root_translation=torch.tensor([[0.0, 0.95, 0.0]]))


def gaussian_bones(anny: AnnyBody) -> Solids:
    """Where the made-up person stands, with Y up."""
    joints = anny(anny.rest_pose()).joints
    joints = joints - (joints.amin(1, keepdim=True) + joints.amax(1, keepdim=True)) / 2
    upright = torch.stack([joints[..., 0], joints[..., 2] + 0.95, -joints[..., 1]], -1)
    bones = gaussians.solids_of(upright, ANNY)
    longest = bones.squared_scales[0, :, 0].topk(GAUSSIANS - len(ANNY.edges)).indices
    rows = torch.cat([torch.arange(len(ANNY.edges)), longest])
    return Solids(*(value[:, rows] for value in bones))


def person(rings: int = RINGS, segments: int = SEGMENTS) -> TrackedBody:
    """Two registered meshes, in frames 0 and 1, the second swaying; frames between mix them.

    Each of ten capsules has so many rings of so many segments, two poles, and 2 rings segments faces.
    """
    rest = torch.cat([capsule(*limb, rings, segments) for limb in LIMBS])
    swayed = rest + torch.tensor([0.1, 0, 0]) * rest[:, 1:2]
    grid = capsule_faces(rings, segments)
    limb = torch.arange(len(LIMBS)).repeat_interleave(len(grid))
    faces = grid.repeat(len(LIMBS), 1) + limb[:, None] * (rings * segments + 2)
    tile = torch.stack(torch.meshgrid(*[torch.arange(TILES)] * 2, indexing="ij"), -1).view(-1, 1, 2)
    uv = ((capsule_uv(rings, segments) + tile[:len(LIMBS)]) / TILES).flatten(0, 1)
    surface = Surface(faces, uv, faces, limb + 1)
    return TrackedBody(torch.tensor([0, 1]), torch.stack([rest, swayed]), surface, interpolate=True)


def capsule(start, end, radius: float, rings: int, segments: int) -> torch.Tensor:
    """(rings segments + 2, 3) from start to end, metres: rings from pole to pole, then the two poles."""
    start, end = torch.tensor(start), torch.tensor(end)
    along = functional.normalize(end - start, dim=0)
    across = functional.normalize(torch.linalg.cross(along, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    third = torch.linalg.cross(along, across)
    down = torch.linspace(0, math.pi, rings + 2)[:, None]
    around = 2 * math.pi * torch.arange(segments) / segments
    width = radius * down.sin().clamp(min=0).sqrt()  # sqrt: fuller than an ellipsoid
    place = -down.cos() * ((end - start).norm() / 2 + radius)
    points = ((start + end) / 2 + place[..., None] * along
              + (width * around.cos())[..., None] * across + (width * around.sin())[..., None] * third)
    return torch.cat([points[1:-1].flatten(0, 1), points[[0, -1], 0]])


def capsule_faces(rings: int, segments: int) -> torch.Tensor:
    """(2 rings segments, 3) counterclockwise from outside; a pole is a row that is one vertex."""
    row, segment = torch.meshgrid(torch.arange(rings + 1), torch.arange(segments), indexing="ij")

    def corner(row, segment):
        inner = (row - 1) * segments + segment % segments
        return torch.where(row == 0, rings * segments, torch.where(row > rings, rings * segments + 1, inner))

    here, right, above, above_right = (corner(row + up, segment + side) for up in (0, 1) for side in (0, 1))
    return torch.cat([torch.stack([here, right, above], -1)[1:].flatten(0, 1),
                      torch.stack([right, above_right, above], -1)[:-1].flatten(0, 1)])


def capsule_uv(rings: int, segments: int) -> torch.Tensor:
    """(rings segments + 2, 2) within a tile; the seam is not cut open, which timing doesn't mind."""
    rows, columns = torch.linspace(0.03, 0.97, rings + 2)[1:-1], torch.linspace(0.03, 0.97, segments)
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).flatten(0, 1)
    return torch.cat([grid, torch.tensor([[0.5, 0.03], [0.5, 0.97]])])
