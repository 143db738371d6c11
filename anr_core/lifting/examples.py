"""Pictures' keypoints and the joints behind them, made up by the batch: what a regressor learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from anr_core.lifting.hiding import hidden_by_body
from anr_core.lifting.people import knows, made_up_people
from anr_core.lifting.sight import facing, root
from anr_core.lifting.size import size
from anr_core.lifting.variation import limbs, varied
from anr_core.skeleton import Skeleton
from anr_core.skeleton.bones import with_bones

POOL = 3000  # poses that views are taken of before others are made
STEPS = 500  # that a pool lasts for
GIVEN = 0.3  # share of the examples whose poses are given, where some are
NEAR, FAR = 1.5, 10.0  # metres from the camera
NOISE = 0.003, 0.03  # a keypoint's error, of the person's extent: the least and the most of a picture
TELLS = 0.7  # share of the pictures in which what the body hides is hidden
WRONG = 0.02  # share of keypoints that are far off


@dataclass(frozen=True)
class Batch:
    """B made-up pictures.

    seen    (B, J, 3)  keypoints as `look` gives them
    joints  (B, J, 3)  metres from the root, in the sight's axes, were the person of size 1 (`size`)
    known   (B, J)     how much of each joint's truth is known
    """

    seen: torch.Tensor
    joints: torch.Tensor
    known: torch.Tensor

    def to(self, device) -> Batch:
        """The same examples on another device."""
        return Batch(self.seen.to(device), self.joints.to(device), self.known.to(device))


class Examples:
    """Pictures of people in random poses from all around; a step's number alone says which.

    given  (n, J, 3 or 4) joints of poses to learn from as well, metres, a confidence perhaps; needed where
           Anny lacks some of a skeleton's joints
    up     (3,) against gravity, of the given joints
    share  of the examples whose poses are given, where some are
    bones  (E,) lengths of the edges of the person who will be seen, metres, NaN where unknown: everybody gets
           them. How far a bone points to the camera follows from how long it is: a person's own lifter was
           4 to 8 % less off on motions that it had not seen

    Cameras stand 1.5 to 10 m away, most at a person's height, some up to the ceiling; focal lengths make no
    difference to the sight. Keypoints are off as a detector's are, single ones, limbs or half of the body
    are hidden.
    """

    def __init__(self, skeleton: Skeleton, seed: int = 0, given: torch.Tensor | None = None,
                 up: torch.Tensor | tuple[float, float, float] = (0.0, 0.0, 1.0), share: float = GIVEN,
                 bones: torch.Tensor | None = None):
        self.skeleton, self.seed, self.made_up, self.share = skeleton, seed, knows(skeleton), share
        self.bones = None if bones is None or "left_hip" not in skeleton.names else bones.cpu().float()
        self.mirror = torch.tensor(skeleton.mirror)
        self.limbs = [torch.tensor(rows) for rows in limbs(skeleton).values()]
        self.given = None if given is None else _upright(given.cpu().float(), torch.as_tensor(up), skeleton)
        if not self.made_up and (self.given is None or not len(self.given)):
            raise ValueError("Anny lacks joints of this skeleton, so nobody can be made up who has them. "
                             "Give joints of a capture's people to learn from.")
        self._pool = (-1, None)

    def __call__(self, step: int, count: int) -> Batch:
        """The pictures of a step: the same bytes whenever it is asked for."""
        random = torch.Generator().manual_seed(_number(self.seed, step, 1))
        poses = self._poses(step // STEPS, count, random)  # (B, J, 4)
        flipped = torch.rand(count, generator=random) < 0.5
        mirrored = poses[:, self.mirror] * torch.tensor([-1.0, 1.0, 1.0, 1.0])
        poses = torch.where(flipped[:, None, None], mirrored, poses)
        return seen_from(_cameras(count, random), poses, self.skeleton, self.limbs, random)

    def _poses(self, pool, count, random):
        if self._pool[0] != pool:
            self._pool = (pool, self._made(pool))
        made, given = self._pool[1]
        taken = []
        many = 0 if given is None else count if made is None else round(self.share * count)
        for poses, share in ((made, count - many), (given, many)):
            if share:
                taken.append(poses[torch.randint(len(poses), (share,), generator=random)])
        return torch.cat(taken)

    def _made(self, pool):
        """Poses (n, J, 4) that are made up, and those that are given, with variations."""
        random = torch.Generator().manual_seed(_number(self.seed, pool, 2))
        made = None
        if self.made_up:
            made = functional.pad(made_up_people(self.skeleton, POOL, random), (0, 1), value=1.0)
        given = None if self.given is None else varied(self.given, self.skeleton, POOL, random)
        return tuple(None if poses is None else self._own(poses) for poses in (made, given))

    def _own(self, poses):
        """Poses (n, J, 4) with the person's own bones, about their root."""
        if self.bones is None:
            return poses
        poses = with_bones(poses, self.skeleton, self.bones)
        places = poses[..., :3] - root(poses[..., :3], self.skeleton)
        return torch.cat([places, poses[..., 3:]], -1)


def _number(*numbers: int) -> int:
    """One number out of several, to begin a generator with."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 2)


def _upright(joints: torch.Tensor, up: torch.Tensor, skeleton: Skeleton) -> torch.Tensor:
    """Given joints as (n, J, 4), +Z up, about their root; those whose root isn't known are left out."""
    if joints.ndim != 3 or joints.shape[1] != len(skeleton) or joints.shape[2] not in (3, 4):
        raise ValueError(f"Joints are {tuple(joints.shape)}, expected (n, {len(skeleton)}, 3 or 4).")
    if joints.shape[2] == 3:
        joints = functional.pad(joints, (0, 1), value=1.0)
    known = joints.isfinite().all(-1) & (joints[..., 3] > 0)
    joints = torch.where(known[..., None], joints, 0)
    joints[..., 3].clamp_(0, 1)
    there = root(joints[..., 3:], skeleton)[:, 0, 0] > 0.5 * joints[..., 3].amax(1)
    joints = joints[there]
    places = (joints[..., :3] - root(joints[..., :3], skeleton)) @ upright_axes(up).T
    return torch.cat([places, joints[..., 3:]], -1)


def upright_axes(up: torch.Tensor) -> torch.Tensor:
    """(3, 3) whose rows are the axes of a world that is +Z up, in one where `up` (3,) is against gravity."""
    up = functional.normalize(up.float(), dim=0)
    east = torch.linalg.cross(up, functional.one_hot(up.abs().argmin(), 3).float())
    east = functional.normalize(east, dim=0)
    return torch.stack([east, torch.linalg.cross(up, east), up])


def _cameras(count: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Turns (B, 3, 3), camera from a world that is +Z up, distances (B,) and up (B, 3) as it is believed."""
    def uniform(low, high):
        return low + (high - low) * torch.rand(count, generator=random)

    def normal(spread):
        return spread * torch.randn(count, generator=random)

    azimuth = uniform(-math.pi, math.pi)
    elevation = torch.where(uniform(0, 1) < 0.7, 0.08 + normal(0.12), uniform(-0.4, 1.2))
    distance = NEAR * (FAR / NEAR) ** uniform(0, 1)
    zero = torch.zeros(count)
    back = torch.stack([azimuth.sin() * elevation.cos(), -azimuth.cos() * elevation.cos(), elevation.sin()],
                       1)  # from the person to the camera
    right = torch.stack([azimuth.cos(), azimuth.sin(), zero], 1)
    camera_from_world = torch.stack([right, torch.linalg.cross(right, back), -back], 1)
    # up is known to a degree or two in a calibrated world, else a camera is held about level
    doubt = torch.where(torch.rand(count, generator=random) < 0.8, 0.02, 0.12)
    up = torch.stack([doubt * normal(1), doubt * normal(1), torch.ones(count)], 1)
    return camera_from_world, distance, (camera_from_world @ up[..., None])[..., 0]


def seen_from(cameras, poses: torch.Tensor, skeleton: Skeleton, parts: list[torch.Tensor],
              random: torch.Generator) -> Batch:
    """A picture of each of the poses (B, J, 4), with a detector's errors."""
    camera_from_world, distance, up = cameras
    count, joints = poses.shape[:2]
    places, known = poses[..., :3], poses[..., 3]
    middle = (known[..., None] * places).sum(1, keepdim=True) / known.sum(1)[:, None, None].clamp(min=1e-6)
    local = (places - middle) @ camera_from_world.mT
    local[..., 2] += distance[:, None]
    # nobody stands behind a camera
    local[..., 2] += (0.4 - local[..., 2].amin(1, keepdim=True)).clamp(min=0)
    hidden = _hidden(count, joints, parts, random) | (known <= 0)
    # some detectors tell what the body hides, others guess at it
    tells = torch.rand(count, 1, generator=random) < TELLS
    hidden |= tells & hidden_by_body(local, skeleton)
    confidence = 1 - 0.6 * torch.rand(count, joints, generator=random).square()
    confidence = torch.where(torch.rand(count, 1, generator=random) < 0.3, 1.0, confidence)
    extent = (places - middle).square().sum(-1).mean(1).sqrt()[:, None, None]
    share = torch.rand(count, 1, 1, generator=random)
    spread = NOISE[0] * (NOISE[1] / NOISE[0]) ** share * (0.6 + 1.5 * (1 - confidence[..., None]))
    wrong = torch.rand(count, joints, 1, generator=random) < WRONG
    error = spread * torch.where(wrong, 5.0, 1.0) * torch.randn(count, joints, 2, generator=random) * extent
    noisy = local + functional.pad(error, (0, 1))
    confidence = torch.where(hidden, 0, confidence)
    seen, camera_from_sight = facing(noisy, confidence, up)
    truth = (places - root(places, skeleton)) @ camera_from_world.mT @ camera_from_sight
    truth = truth / size(places, skeleton, known)[:, None, None]
    return Batch(seen, truth, known)


def _hidden(count, joints, parts, random):
    """(B, J) bool: single keypoints, a limb of some, the lower or any half of a few."""
    rate = 0.3 * torch.rand(count, 1, generator=random).square()
    hidden = torch.rand(count, joints, generator=random) < rate
    for rows in parts:
        one = torch.rand(count, generator=random) < 0.03
        hidden[:, rows] |= one[:, None]
    return hidden
