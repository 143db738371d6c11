"""The network that knows how people stand in space from how they look, and how far off it is."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import nn

from anr_core.skeleton import Skeleton

GROUPS = 32  # of GroupNorm, as published; a width is a multiple of it

# What the parts of a detailed skeleton count: (weight, the joint that the part is looked at from).
PARTS = {"left_hand": (10.0, "left_wrist"), "right_hand": (10.0, "right_wrist"), "face": (5.0, "nose")}
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_FEATURES = ("jaw", "chin", "brow", "nose_bridge", "nostril", "nose_base", "lid", "lip", "mouth", "pupil")


class PoseRegressor(nn.Module):
    """Keypoints as `look` sees them (B, J, 3) to joints (B, J, 3): metres from the root, in the sight's axes.

    They are a person's of size 1 (`size`).

    A layer in, two residual blocks of two layers each, a linear map out. J joints at width d have
    3 J d + 4 d (d + 2) + 2 d + 3 J (d + 1) parameters: 18.24 M at the published (117, 2048), 4.31 M at
    (17, 1024). Source: Rochette et al. 2021, after Martinez et al. 2017.
    """

    def __init__(self, joints: int, width: int = 1024, dropout: float = 0.1):
        super().__init__()
        if width % GROUPS or width <= GROUPS:  # a group of one is always zero
            raise ValueError(f"PoseRegressor.width is {width}; choose a multiple of {GROUPS}, from "
                             f"{2 * GROUPS} on.")
        self.joints, self.width = joints, width
        self.begin = _layer(3 * joints, width, dropout)
        self.blocks = nn.ModuleList(nn.Sequential(_layer(width, width, dropout),
                                                  _layer(width, width, dropout)) for _ in range(2))
        self.end = nn.Linear(width, 3 * joints)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """As the class says; raises ValueError for keypoints of another number than its own."""
        if seen.shape[1:] != (self.joints, 3):
            raise ValueError(f"Keypoints are {tuple(seen.shape)}, expected (B, {self.joints}, 3): place and "
                             "confidence, as `look` gives them.")
        x = self.begin(seen.flatten(1))  # (B, width)
        for block in self.blocks:
            x = (x + block(x)) / math.sqrt(2)
        return self.end(x).unflatten(1, (-1, 3))


def _layer(before: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(before, width, bias=False), nn.GroupNorm(GROUPS, width), nn.ReLU(),
                         nn.Dropout(dropout))


def pose_distance(joints: torch.Tensor, truth: torch.Tensor, known: torch.Tensor,
                  skeleton: Skeleton) -> torch.Tensor:
    """How far joints (B, J, 3) are from the truth: a scalar, metres; the loss that a regressor learns by.

    known  (B, J) how much of each joint's truth is known; without any the distance is 0

    The weighted mean Euclidean distance of the body, and of a detailed skeleton that of each hand, seen from
    its wrist, tenfold and that of the face, seen from the nose, fivefold. Source: Rochette et al. 2021.
    """
    total = joints.new_zeros(())
    for weight, rows, origin in parts(skeleton):
        one, other, share = joints[:, rows], truth[:, rows], known[:, rows]
        if origin is not None:
            one, other = one - joints[:, [origin]], other - truth[:, [origin]]
            share = share * known[:, [origin]]
        far = (one - other).square().sum(-1).add(1e-16).sqrt()  # the root of nothing has no gradient
        total = total + weight * (share * far).sum() / share.sum().clamp(min=1e-9)
    return total


@lru_cache
def parts(skeleton: Skeleton) -> tuple[tuple[float, list[int], int | None], ...]:
    """Weight, joints and origin of the body, and of hands and face where a skeleton has them."""
    rows = {"body": []}
    for joint, name in enumerate(skeleton.names):
        rows.setdefault(_part(name), []).append(joint)
    found = []
    for part, joints in rows.items():
        weight, origin = PARTS.get(part, (1.0, None))
        found.append((weight, joints, None if origin is None else skeleton.names.index(origin)))
    return tuple(found)


def _part(name):
    side, _, stem = name.partition("_")
    if side in ("left", "right") and stem.rstrip("1234").removesuffix("_palm") in _FINGERS:
        return f"{side}_hand"
    words = name if side not in ("left", "right") else stem
    return "face" if words.startswith(_FEATURES) else "body"
