"""People whom nobody filmed, and what of them is seen where: all that a UV generator learns before a person.

Every one has another shape, pose and camera; their labels are exact. Source of the idea: Sun et al., who
pre-train on others' videos with DensePose's labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from anr_core.body import Pose, Posed, Surface
from anr_core.body.anny import AnnyBody, Rest, regressor, rest_from_shape
from anr_core.camera import Camera
from anr_core.lifting.people import random_poses, random_shapes
from anr_core.rasterizer import gbuffer
from anr_core.skeleton import KEYPOINT_SETS, Skeleton

INSIDE = 0.13  # metres that a keypoint may lie behind the surface and still be seen
TELLS = 0.5    # share of the pictures in which what the body hides is hidden, as some detectors do
LOST = 0.3     # share of keypoints that nobody finds, in the worst of pictures
ERROR = 0.006  # of the person's size in the picture, a keypoint's
ROOM = 1.15    # window around the body, of its extent
STEPS, POSES, SHAPES = 100, 400, 8  # of a pool: how long it lasts, and what is in it
SCALES, ROLL = 1.4, 0.25  # as training windows: times larger or smaller, radians


@dataclass(frozen=True)
class Example:
    """B pictures.

    points  (B, K, 3)     pixels and confidence
    part    (B, h, w)     int64, 0 is background: the pictures' labels, at a lower resolution perhaps
    uv      (B, 2, h, w)  on the part's chart
    """

    points: torch.Tensor
    part: torch.Tensor
    uv: torch.Tensor

    def to(self, device) -> Example:
        """The same examples on another device."""
        return Example(self.points.to(device), self.part.to(device), self.uv.to(device))


def keypoint_mix(skeleton: Skeleton) -> torch.Tensor:
    """(K, V) how Anny's vertices mix to a skeleton's points; all 0 for those that Anny knows nothing of."""
    mix = None
    for names in ("coco23", "body25"):
        rows, known = regressor(names), KEYPOINT_SETS[names].names
        mix = torch.zeros(len(skeleton), rows.shape[1]) if mix is None else mix
        # where it has OpenPose's neck its hips are OpenPose's as well
        if names == "coco23" or "middle_hip" in skeleton.names:
            for joint, name in enumerate(skeleton.names):
                if name in known:
                    mix[joint] = rows[known.index(name)]
    return mix


class MadeUp:
    """Pictures of made-up people by step number.

    mix     (K, V)  where the keypoints are in Anny's vertices
    charts  Anny's surface with the charts of its parts

    Poses and shapes come in pools, of which a stretch of steps takes its people; windows are new each time.
    """

    def __init__(self, mix: torch.Tensor, charts: Surface, seed: int):
        self.mix, self.charts, self.seed, self.body = mix.cpu(), charts.to("cpu"), seed, AnnyBody()
        self._pool: tuple[int, list[Rest], Pose] | None = None

    @torch.no_grad()
    def __call__(self, step: int, count: int, size: tuple[int, int], times: int = 1) -> Example:
        """So many pictures of size (H, W), labels some times smaller; a step always gives the same bytes."""
        shapes, poses = self._people(step // STEPS)
        random = _random(self.seed, step, count)
        shape = shapes[int(torch.randint(len(shapes), (), generator=random))]
        vertices = self.body.posed(shape, poses[torch.randint(POSES, (count,), generator=random)]).vertices
        camera = _cameras(vertices, size, random)
        small = tuple(side // times for side in size)
        buffer = gbuffer(Posed(vertices, None, self.charts), camera.resize(small), small)
        seen = buffer.image(torch.cat([buffer.part[:, None].float(), buffer.uv, buffer.depth[:, None]], 1))
        points = self._points(vertices, camera, seen[:, 3], size, random)
        return Example(points, seen[:, 0].round().long(), seen[:, 1:3])

    def _people(self, pool):
        if self._pool is None or self._pool[0] != pool:
            random = _random(self.seed, pool)
            rest = rest_from_shape(random_shapes(SHAPES, random))
            apart = zip(*(value.split(1) for value in (rest.vertices, rest.steps, rest.joint_from_rest)),
                        strict=True)
            shapes = [Rest(*values) for values in apart]
            self._pool = pool, shapes, random_poses(POSES, random)
        return self._pool[1:]

    def _points(self, vertices, camera, depth, size, random):
        pixels, far = camera.project(self.mix @ vertices)
        hidden = hidden_behind(depth, pixels, far, size)
        hidden &= torch.rand(len(pixels), 1, generator=random) < TELLS
        lost = LOST * torch.rand(len(pixels), 1, generator=random).square()
        hidden |= torch.rand(far.shape, generator=random) < lost
        known = self.mix.any(1) & ~hidden
        error = ERROR * torch.rand(len(pixels), 1, 1, generator=random) * max(size)
        pixels = pixels + error * torch.randn(pixels.shape, generator=random)
        return torch.cat([pixels, known[..., None].float()], -1)


def hidden_behind(depth: torch.Tensor, pixels: torch.Tensor, far: torch.Tensor, size: tuple[int, int]
                  ) -> torch.Tensor:
    """(B, K) bool: keypoints that a drawn surface hides by more than they lie inside of it.

    depth   (B, h, w)  metres, 0 where nothing is drawn: of the pictures, perhaps at a lower resolution
    pixels  (B, K, 2)  where the keypoints are in pictures of size (H, W)
    far     (B, K)     their camera Z, metres
    """
    height, width = depth.shape[1:]
    column, row = ((pixels[..., axis] * small / large).nan_to_num().long().clamp(0, small - 1)
                   for axis, small, large in ((0, width, size[1]), (1, height, size[0])))
    front = depth.flatten(1).gather(1, row * width + column)
    return (front > 0) & (far - front > INSIDE)


def _random(*numbers: int) -> torch.Generator:
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 2))


def _cameras(vertices: torch.Tensor, size: tuple[int, int], random: torch.Generator) -> Camera:
    """A camera a mesh, from all around, mostly at a person's height, each through a window of its own."""
    count = len(vertices)

    def uniform(low, high):
        return low + (high - low) * torch.rand(count, generator=random)

    azimuth = uniform(-math.pi, math.pi)
    elevation = torch.where(uniform(0, 1) < 0.7, 0.05 + 0.12 * torch.randn(count, generator=random),
                            uniform(-0.4, 1.0))
    back = torch.stack([azimuth.sin() * elevation.cos(), -azimuth.cos() * elevation.cos(), elevation.sin()],
                       1)
    right = torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros(count)], 1)
    R = torch.stack([right, torch.linalg.cross(right, back), -back], 1)
    roll = ROLL * uniform(-1, 1)
    cos, sin, zero = roll.cos(), roll.sin(), torch.zeros(count)
    turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1], 1).unflatten(1, (3, 3))
    R = turn @ R
    middle = (vertices.amax(1) + vertices.amin(1)) / 2
    t = -(R @ middle[..., None])[..., 0]
    t[:, 2] += 1.8 * 5.0 ** uniform(0, 1)
    plain = Camera(torch.eye(3).repeat(count, 1, 1), R, t, size=size)
    low, high = plain.project(vertices)[0].aminmax(dim=1)
    window = ROOM * (high - low).amax(1) * SCALES ** uniform(-1, 1)
    # the body stays in the window where there is room, else the window on the body
    room = (window - ROOM * (high - low).amax(1)).abs() / 2
    centre = (low + high) / 2 + room[:, None] * torch.stack([uniform(-1, 1), uniform(-1, 1)], 1)
    focal = max(size) / window
    offset = torch.tensor([size[1], size[0]]) / 2 - focal[:, None] * centre
    K = torch.stack([focal, zero, offset[:, 0], zero, focal, offset[:, 1], zero, zero, zero + 1],
                    1).unflatten(1, (3, 3))
    return replace(plain, K=K)
