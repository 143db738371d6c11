"""Limbs in pictures made as long as another person's."""

from __future__ import annotations

import torch

from anr_core.capture.keypoints import SURE
from anr_core.motion.standing import UPRIGHT, both_sides
from anr_core.skeleton import BODY25, Skeleton

# What gets the person's own length; head and feet, whose length is how they are held, go along as they are.
LIMBS = (("middle_hip", "neck"), ("middle_hip", "hip"), ("neck", "shoulder"), ("hip", "knee"),
         ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
FEWEST = 5        # sights of a limb that tell its length
SANE = 0.8, 1.25  # times: people of one height differ by less, what is beyond was seen foreshortened
# Of trunk and legs, half of the shoulders' and the hips' width that show who was seen from the front: four
# fifths of the usual. Of who only walks past a camera no width is known.
FRONTAL = {("neck", "shoulder"): 0.115, ("middle_hip", "hip"): 0.066}

# What joints that BODY25 lacks hang on, by words in their names; those of the face on the nose
HANG_ON = {"thumb": "wrist", "index": "wrist", "middle": "wrist", "ring": "wrist", "pinky": "wrist",
           "sternum": "neck", "thorax": "neck", "spine": "middle_hip", "pelvis": "middle_hip"}


def ratios(source: torch.Tensor, tall: torch.Tensor, target: torch.Tensor, height: torch.Tensor
           ) -> dict[tuple[str, str], float]:
    """By limb, how many times longer than the source's the target's is, both as shares of a person's height.

    source, target  (n, 25, 3) and (m, 25, 3) pixels and confidence
    tall, height    (n,) and (m,) how tall these people are, pixels

    A limb's length is a high quantile over time of the side that is seen longer. Of one that is hardly seen,
    or of a width that nobody saw from the front, nothing is known, and the ratio is 1.
    """
    found = {}
    for limb in LIMBS:
        lengths = [_length(points, limb, unit) for points, unit in ((source, tall), (target, height))]
        least = FRONTAL.get(limb, 0.0)
        known = all(length is not None and length > least for length in lengths)
        found[limb] = min(max(lengths[1] / lengths[0], SANE[0]), SANE[1]) if known else 1.0
    return found


def _length(points, limb, unit):
    lengths = []
    for one, other in both_sides(limb):
        ends = points[:, [BODY25.names.index(one), BODY25.names.index(other)]]
        sure = (ends[..., 2] > SURE).all(1)
        if int(sure.sum()) >= FEWEST:
            length = (ends[:, 0, :2] - ends[:, 1, :2]).norm(dim=-1) / unit
            lengths.append(float(length[sure].quantile(UPRIGHT)))
    return max(lengths, default=None)


def with_ratios(points: torch.Tensor, times: dict[tuple[str, str], float]) -> torch.Tensor:
    """How joints (n, 25, 2) move, pixels, where limbs become so many times longer, from the hips outwards.

    points  (n, 25, 3); a joint that is never seen goes along with what it hangs on
    """
    by_joint = {child: ratio for limb, ratio in times.items() for ends in both_sides(limb)
                for child in ends if _parent(child) in ends}
    moves = {}

    def move(row):
        if row not in moves:
            parent = BODY25.parents[row]
            if parent < 0:
                return torch.zeros_like(points[:, row, :2])
            bone = points[:, row] - points[:, parent]
            known = (points[:, [row, parent], 2] > 0).all(1, keepdim=True)
            longer = by_joint.get(BODY25.names[row], 1.0) - 1
            moves[row] = move(parent) + known * longer * bone[:, :2]
        return moves[row]

    return torch.stack([move(row) for row in range(len(BODY25))], 1)


def _parent(name):
    parent = BODY25.parents[BODY25.names.index(name)]
    return None if parent < 0 else BODY25.names[parent]


def on_skeleton(moves: torch.Tensor, skeleton: Skeleton) -> torch.Tensor:
    """Moves (n, 25, 2) of BODY25's joints as those of a skeleton's (n, K, 2): hands go along with wrists."""
    return moves[:, [BODY25.names.index(_hold(name)) for name in skeleton.names]]


def _hold(name):
    if name in BODY25.names:
        return name
    side, _, stem = name.partition("_")
    hold = HANG_ON.get((stem if side in ("left", "right") else name).rstrip("0123456789"), "nose")
    return f"{side}_{hold}" if hold == "wrist" else hold
