"""More poses out of a few: limbs of one person on the trunk of another."""

from __future__ import annotations

import torch
from torch.nn import functional

from anr_core.skeleton import Skeleton

_ARM = ("elbow", "wrist", "hand", "forearm", "palm", "thumb", "index", "middle", "ring", "pinky")
_LEG = ("knee", "ankle", "foot", "toe", "heel", "shin")


def limbs(skeleton: Skeleton) -> dict[tuple[str, str], list[int]]:
    """Joints of each limb beyond shoulder or hip, by ("left", "shoulder") and so on."""
    found = {}
    for joint, name in enumerate(skeleton.names):
        side, _, stem = name.partition("_")
        if side in ("left", "right"):
            stem = stem.rstrip("1234").split("_")[-1]
            for start, ends in (("shoulder", _ARM), ("hip", _LEG)):
                if stem in ends:
                    found.setdefault((side, start), []).append(joint)
    return found


def varied(poses: torch.Tensor, skeleton: Skeleton, count: int, random: torch.Generator) -> torch.Tensor:
    """Poses (count, J, 4) out of some (n, J, 4), +Z up: as they are, or with limbs of others.

    A limb keeps its place in the axes of the trunk that it came from. A trunk has no axes where a hip or a
    shoulder is unknown; such a pose stays as it is.
    """
    names = skeleton.names
    poses = poses[torch.randint(len(poses), (count,), generator=random)]
    corners = [f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "hip")]
    if any(corner not in names for corner in corners):
        return poses
    rows = [names.index(corner) for corner in corners]
    axes = _trunk(poses[:, rows, :3])  # (n, 3, 3), columns
    whole = (poses[:, rows, 3] > 0).all(1)
    made = poses.clone()
    for (side, start), joints in limbs(skeleton).items():
        other = torch.randint(count, (count,), generator=random)
        taken = (torch.rand(count, generator=random) < 0.35) & whole & whole[other]
        origin = names.index(f"{side}_{start}")
        limb = (poses[other][:, joints, :3] - poses[other][:, [origin], :3]) @ axes[other] @ axes.mT
        moved = torch.cat([limb + poses[:, [origin], :3], poses[other][:, joints, 3:]], -1)
        made[:, joints] = torch.where(taken[:, None, None], moved, poses[:, joints])
    return made


def _trunk(corners: torch.Tensor) -> torch.Tensor:
    """Axes (n, 3, 3), columns left, back and up, of left shoulder, left hip, right shoulder, right hip."""
    left_shoulder, left_hip, right_shoulder, right_hip = corners.unbind(1)
    up = functional.normalize(left_shoulder + right_shoulder - left_hip - right_hip, dim=-1)
    left = functional.normalize(left_shoulder + left_hip - right_shoulder - right_hip, dim=-1)
    back = functional.normalize(torch.linalg.cross(up, left), dim=-1)
    return torch.stack([torch.linalg.cross(back, up), back, up], -1)
