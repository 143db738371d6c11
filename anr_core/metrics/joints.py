"""Figures for joints in space: (n, J, 3) metres, counted from the same root as the truth.

Each returns (n,) metres.
"""

from __future__ import annotations

import numpy as np


def mpjpe(joints: np.ndarray, truth: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """Mean distance of joints from the truth, weighed by how visible (n, J) each is; NaN where none is.

    Source: Ionescu et al. 2014; weighed: Rochette et al. 2021.
    """
    joints, truth, weight = _poses(joints, truth, visible)
    return (weight[..., 0] * np.linalg.norm(joints - truth, axis=-1)).sum(1)


def n_mpjpe(joints: np.ndarray, truth: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """The same after the scale about the root that brings each pose closest in squares; 0 of a point.

    Source: Rhodin et al. 2018.
    """
    joints, truth, weight = _poses(joints, truth, visible)
    size = (weight * joints**2).sum((1, 2))
    scale = (weight * joints * truth).sum((1, 2)) / np.where(size > 1e-18, size, np.inf)
    return mpjpe(scale[:, None, None] * joints, truth, visible)


def p_mpjpe(joints: np.ndarray, truth: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """The same after the turn, scale and shift that bring each pose closest in squares, never a reflection.

    A pose that is one point is shifted to the truth's middle; one that is a line or flat is turned in one of
    the ways that are equally good. Source: Umeyama 1991.
    """
    joints, truth, weight = _poses(joints, truth, visible)
    middle = (weight * truth).sum(1, keepdims=True)
    one, other = joints - (weight * joints).sum(1, keepdims=True), truth - middle
    left, stretch, right = np.linalg.svd(np.nan_to_num((weight * other).swapaxes(1, 2) @ one))
    sign = np.where(np.linalg.det(left) * np.linalg.det(right) < 0, -1, 1)
    stretch[:, 2] *= sign
    left[:, :, 2] *= sign[:, None]
    size = (weight * one**2).sum((1, 2))
    scale = stretch.sum(1) / np.where(size > 1e-18, size, np.inf)
    return mpjpe(scale[:, None, None] * (one @ (left @ right).swapaxes(1, 2)) + middle, truth, visible)


def _poses(joints, truth, visible):
    """Both in double precision, and weights (n, J, 1) that sum to 1 over a pose, or are NaN."""
    joints, truth = np.asarray(joints, np.float64), np.asarray(truth, np.float64)
    if joints.shape != truth.shape or joints.ndim != 3 or joints.shape[2] != 3:
        raise ValueError(f"Joints are {joints.shape}, the truth {truth.shape}; expected (n, J, 3) of both.")
    weight = np.ones(joints.shape[:2]) if visible is None else np.asarray(visible, np.float64)
    total = weight.sum(1, keepdims=True)
    return joints, truth, (weight / np.where(total > 0, total, np.nan))[..., None]
