"""Skeletons by the names that captures call them."""

from __future__ import annotations

from anr_core.skeleton import ANNY, KEYPOINT_SETS, SMPL, SMPLH, SMPLX, Skeleton
from anr_core.skeleton.detailed import (
    BODY25_DETAILED,
    BODY25B_DETAILED,
    COCO23_DETAILED,
    HUMAN36M,
    PANOPTIC,
)
from anr_core.telling import quoted

SKELETONS = KEYPOINT_SETS | {"human36m": HUMAN36M, "panoptic": PANOPTIC, "body25_detailed": BODY25_DETAILED,
                             "coco23_detailed": COCO23_DETAILED, "body25b_detailed": BODY25B_DETAILED,
                             "anny": ANNY, "smpl": SMPL, "smplh": SMPLH, "smplx": SMPLX}


def skeleton_named(name: str) -> Skeleton:
    """The skeleton of a name; raises ValueError where there is none."""
    if name not in SKELETONS:
        raise ValueError(f"The skeleton {quoted(name)} is unknown; known are {', '.join(SKELETONS)}.")
    return SKELETONS[name]
