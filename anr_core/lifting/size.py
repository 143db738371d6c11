"""How large people are: a pose that is seen doesn't tell, so a regressor answers for people of one size."""

from __future__ import annotations

from functools import lru_cache

import torch

from anr_core.skeleton import Skeleton

# Metres, of a grown-up of 1.7 m as Anny has them at coco23's joints
BONES = {("shoulder", "elbow"): 0.27, ("elbow", "wrist"): 0.24, ("hip", "knee"): 0.39,
         ("knee", "ankle"): 0.39, ("hip", "shoulder"): 0.51}


def size(joints: torch.Tensor, skeleton: Skeleton, known: torch.Tensor | None = None) -> torch.Tensor:
    """(B,) how many times as large as a grown-up of 1.7 m people are, by their limbs and trunk.

    joints  (B, J, 3)  metres
    known   (B, J)     bones between joints without any don't count

    1 of a skeleton without limbs, and of people of whom no bone is known.
    """
    pairs, lengths = _bones(skeleton)
    if not len(pairs):
        return joints.new_ones(len(joints))
    start, end = pairs.to(joints.device).T
    there = joints.new_ones(joints.shape[:2]) if known is None else (known > 0).to(joints)
    there = there[:, start] * there[:, end]
    found = (joints[:, start] - joints[:, end]).norm(dim=-1)
    usual = (there * lengths.to(joints)).sum(1)
    return torch.where(usual > 0, (there * found).sum(1) / usual.clamp(min=1e-6), 1.0)


@lru_cache
def _bones(skeleton: Skeleton) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs (P, 2) of joints, and what is usually between them, metres."""
    found = {}
    for side in ("left", "right"):
        for (one, other), length in BONES.items():
            names = f"{side}_{one}", f"{side}_{other}"
            if set(names) <= set(skeleton.names):
                found[tuple(skeleton.names.index(name) for name in names)] = length
    return torch.tensor(list(found), dtype=torch.long).reshape(-1, 2), torch.tensor(list(found.values()))
