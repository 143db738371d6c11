"""Where a skeleton's joints are in a posed mesh: each a fixed mix of vertices.

For Anny's mesh the mixes are known. For any other they are found from the keypoints of training pictures:
those mixes of nearby vertices that are seen where the keypoints are, from wherever the mesh was looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import torch
from scipy.optimize import nnls

from anr_core.body import Posed, Surface
from anr_core.body.atlas import is_anny
from anr_core.capture import Capture
from anr_core.capture.keypoints import SURE
from anr_core.capture.view import View
from anr_core.skeleton import Skeleton
from anr_core.skeleton.named import SKELETONS
from anr_core.telling import quoted

ANNY_KNOWS = ("coco23", "body25")
BODY = "body"  # the skeleton's name where it is the body's own

NEAR = 0.06  # of the mesh's height in the picture: how much farther a vertex may be than the nearest one
CANDIDATES = 300
ROUNDS = 3  # each trusts less the pictures in which a keypoint was off, such as those with sides confused
# Of the mesh's height. Weights are held to be even, as if each of them were that far off alone.
EVENNESS = 0.02
LEAST_VIEWS = 2


@cache
def anny_mix(names: str) -> torch.Tensor:
    """(J, V) of a set of keypoints that Anny knows."""
    from anr_core.body.anny import regressor

    return regressor(names)


@torch.no_grad()
def mix_from_keypoints(views: Iterable[tuple[View, Posed]], skeleton: Skeleton) -> torch.Tensor:
    """(J, V) the mixes that are seen where keypoints are; a joint that hardly any picture shows is all 0.

    With P the camera's 3x4 matrix, a point X is seen at (u, v) where (P0 - u P2) X = (P1 - v P2) X = 0, which
    is linear in the weights of vertices: non-negative least squares under a sum of 1, in units of pixels.
    """
    seen = [[] for _ in skeleton.names]  # of each joint, residuals of every vertex and its confidence
    count = 0
    for view, posed in views:
        count = posed.vertices.shape[1]
        if view.keypoints is None:
            continue
        # a residual is what a vertex is off by, times its depth over the mesh's own
        cameras = posed.vertices[0].double() @ view.camera.R[0].double().T + view.camera.t[0].double()
        homogeneous = cameras @ view.camera.K[0].double().T
        pixels = homogeneous[:, :2] / homogeneous[:, 2:].clamp(min=1e-6)
        depth = homogeneous[:, 2].mean()
        height = float((pixels.amax(0) - pixels.amin(0)).max())
        # hands and face, which the skeleton may lack, come last
        for joint, (x, y, confidence) in enumerate(view.keypoints[0, :len(skeleton)].tolist()):
            if confidence <= SURE or not np.isfinite([x, y]).all():
                continue
            off = homogeneous[:, :2] - homogeneous.new_tensor([x, y]) * homogeneous[:, 2:]
            seen[joint].append(((off.T / depth / height).numpy(), confidence))
    mix = torch.zeros(len(skeleton), count)
    for joint, found in enumerate(seen):
        if len(found) >= LEAST_VIEWS:
            residuals, confidences = zip(*found, strict=True)
            mix[joint] = torch.from_numpy(_mixed(np.stack(residuals), np.array(confidences)))
    return mix


def _mixed(residuals, confidences):
    """Weights (V,) of residuals (n, 2, V), in heights of the mesh."""
    weights, found = confidences.copy(), None
    for _ in range(ROUNDS):
        distance = np.average(np.linalg.norm(residuals, axis=1), 0, weights)
        near = np.flatnonzero(distance <= distance.min() + NEAR)
        near = near[np.argsort(distance[near])][:: max(1, -(-len(near) // CANDIDATES))]
        counts = np.sqrt(weights / weights.sum())[:, None, None]
        equations = (residuals[..., near] * counts).reshape(-1, len(near))
        matrix = np.concatenate([equations, EVENNESS * np.eye(len(near)), np.full((1, len(near)), 100.0)])
        solved = nnls(matrix, np.concatenate([np.zeros(len(matrix) - 1), [100.0]]))[0]
        found = near, solved / solved.sum()
        off = np.linalg.norm(residuals[..., near] @ found[1], axis=1)
        usual = max(np.median(off), 1e-3)
        weights = confidences / (1 + (off / usual / 2) ** 4)
    mixed = np.zeros(residuals.shape[-1], np.float32)
    mixed[found[0]] = found[1]
    return mixed


def skeleton_of(name: str, surface: Surface | None) -> Skeleton:
    """The skeleton of a name, or for BODY that of the body's own joints."""
    if name == BODY:
        if surface is None or surface.skeleton is None:
            raise ValueError('skeleton "body" needs a body with joints, such as Anny; registered meshes have '
                             f"none. Name one of {', '.join(SKELETONS)}.")
        return surface.skeleton
    if name not in SKELETONS:
        raise ValueError(f"skeleton {quoted(name)} is unknown; use body or one of "
                         f"{', '.join(SKELETONS)}.")
    return SKELETONS[name]


def skeleton_in(capture: Capture) -> str:
    """The set of keypoints that a capture's joints are best told by."""
    capture = capture.of_body
    if is_anny(capture.body.surface):
        return capture.skeleton if capture.skeleton in ANNY_KNOWS else "coco23"
    if capture.skeleton is not None:
        return capture.skeleton
    if capture.body.skeleton is not None:
        return BODY
    raise ValueError(f"{capture.path} has meshes, but nothing tells where joints are in them. Find the "
                     f"person's keypoints: python -m anr_core annotate {capture.path}")


def body_axes(joints: torch.Tensor, skeleton: Skeleton) -> tuple[torch.Tensor, torch.Tensor]:
    """From the right to the left side, and upwards, of people (B, J, 3): (B, 3) each."""
    left, right = ([row for row, name in enumerate(skeleton.names) if name in
                    (f"{side}_shoulder", f"{side}_hip")] for side in ("left", "right"))
    upper, lower = ([row for row, name in enumerate(skeleton.names) if name.endswith(stem)]
                    for stem in ("_shoulder", "_hip"))
    return (joints[:, left].mean(1) - joints[:, right].mean(1),
            joints[:, upper].mean(1) - joints[:, lower].mean(1))
