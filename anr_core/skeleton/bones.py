"""Joints in space, moved as they are: from one skeleton to another, and onto a person of other proportions.

This is for people of whom only joints are known, such as those lifted from 2D keypoints. Whoever has a body
is moved by its rotations instead (motion/retargeting.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import torch
from torch.nn import functional

from anr_core.skeleton import Skeleton, shared_joints
from anr_core.telling import listed

# Joints that stand between two others
_BETWEEN = {"neck": ("left_shoulder", "right_shoulder"), "sternum": ("left_shoulder", "right_shoulder"),
            "thorax": ("left_shoulder", "right_shoulder"), "middle_hip": ("left_hip", "right_hip"),
            "pelvis": ("left_hip", "right_hip")}


def as_skeleton(joints: torch.Tensor, skeleton: Skeleton, wanted: Skeleton,
                sides: Callable[[Iterable[bool]], bool] = all) -> torch.Tensor:
    """Joints (n, J, 4), metres and confidence, of one skeleton as another's (n, K, 4), by name.

    Neck and pelvis may be the middle of shoulders and hips; a joint that isn't there has no confidence.
    Raises ValueError where hips or shoulders are missing, since without them nobody can be placed: where not
    all of their sides are seen, or not any.
    """
    found = joints.new_zeros(len(joints), len(wanted), 4)
    here, there = shared_joints(skeleton, wanted)
    found[:, there] = joints[:, here]
    for name, pair in _BETWEEN.items():
        if name in wanted.names and name not in skeleton.names and set(pair) <= set(skeleton.names):
            one, other = (joints[:, skeleton.names.index(side)] for side in pair)
            confidence = torch.minimum(one[:, 3:], other[:, 3:])
            found[:, wanted.names.index(name)] = torch.cat([(one + other)[:, :3] / 2, confidence], 1)
    for joint in ("hip", "shoulder"):
        seen = {name: bool((found[:, wanted.names.index(name), 3] > 0).any())
                for name in (f"left_{joint}", f"right_{joint}") if name in wanted.names}
        if seen and not sides(seen.values()):
            missing = next(name for name, there in seen.items() if not there)
            raise ValueError(f"The motion never shows {missing}, so nobody can be moved by it. It has "
                             f"{listed(skeleton.names)}.")
    return found


def without_gaps(joints: torch.Tensor) -> torch.Tensor:
    """Joints (n, J, 4) that are unknown for a while put between before and after."""
    filled = joints.clone()
    moments = torch.arange(len(joints), dtype=torch.float64)
    for joint in range(joints.shape[1]):
        known = joints[:, joint, 3] > 0
        if not bool(known.any()) or bool(known.all()):
            continue
        times, points = moments[known], joints[known, joint]
        after = torch.searchsorted(times, moments).clamp(max=len(times) - 1)
        before = (after - 1).clamp(min=0)
        span = (times[after] - times[before]).clamp(min=1)
        share = ((moments - times[before]) / span).clamp(0, 1).to(joints)[:, None]
        filled[:, joint] = torch.where(known[:, None], joints[:, joint],
                                       torch.lerp(points[before], points[after], share))
    return filled


def bone_lengths(joints: torch.Tensor, skeleton: Skeleton) -> torch.Tensor:
    """(E,) the median length of each edge over poses (n, J, 4), metres; NaN where it is never known."""
    start, end = torch.tensor(skeleton.edges).T
    length = (joints[:, start, :3] - joints[:, end, :3]).norm(dim=-1)
    known = (joints[:, start, 3] > 0) & (joints[:, end, 3] > 0)
    return length.masked_fill(~known, torch.nan).nanmedian(0).values


def with_bones(joints: torch.Tensor, skeleton: Skeleton, lengths: torch.Tensor) -> torch.Tensor:
    """Joints (n, J, 4) whose bones keep their directions and have other lengths (E,), metres.

    Edges are walked from the hips on; an edge whose length isn't known keeps its own. Where people go and
    how high they stand is scaled by their legs.
    """
    hips = [skeleton.names.index(f"{side}_hip") for side in ("left", "right")]
    middle = joints[:, hips, :3].mean(1)
    own = bone_lengths(joints, skeleton)
    scale = _share(skeleton, lengths, own, ("knee", "ankle"))
    width = _share(skeleton, lengths, own, ("hip",), across=True)
    placed = joints.clone()
    start = middle[:1] + scale * (middle - middle[:1])
    for hip in hips:
        placed[:, hip, :3] = start + width * (joints[:, hip, :3] - middle)
    reached, waiting = set(hips), deque(hips)
    while waiting:
        parent = waiting.popleft()
        for edge, ends in enumerate(skeleton.edges):
            if parent not in ends:
                continue
            child = ends[1] if ends[0] == parent else ends[0]
            if child in reached:
                continue
            bone = joints[:, child, :3] - joints[:, parent, :3]
            if bool(lengths[edge].isfinite()):
                bone = functional.normalize(bone, dim=-1) * lengths[edge]
            # what hangs on a joint that isn't known goes along with the hips
            known = (joints[:, [parent, child], 3] > 0).all(1, keepdim=True)
            placed[:, child, :3] = torch.where(known, placed[:, parent, :3] + bone,
                                               joints[:, child, :3] + start - middle)
            reached.add(child)
            waiting.append(child)
    return placed


def _share(skeleton, lengths, own, stems, across=False):
    """How many times longer the edges to such joints are; 1 where there are none."""
    rows = []
    for row, ends in enumerate(skeleton.edges):
        names = [skeleton.names[joint].split("_", 1)[-1] for joint in ends]
        if across and names == ["hip", "hip"] or not across and names[1] in stems:
            rows.append(row)
    there = [row for row in rows if bool(lengths[row].isfinite()) and float(own[row]) > 0]
    return float(lengths[there].sum() / own[there].sum()) if there else 1.0
