"""The body's own frame, in which it is voxelised: found from its vertices, so that any mesh has one."""

from __future__ import annotations

import torch

# Metres. A vertex that moves this much against the frame says half as much about it as one that does not move.
STIFF = 0.01
ROUNDS = 10  # of weighing vertices by how they fitted


def rigid_frame(vertices: torch.Tensor, rest: torch.Tensor, weights: torch.Tensor,
                ) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotation (B, 3, 3) and translation (B, 3), world from body, that carry `rest` closest to the vertices.

    vertices  (B, V, 3)  metres, world
    rest      (V, 3)     metres, body
    weights   (V,)       how much each vertex counts, at least 0

    By least squares over weighted vertices. Source: Kabsch 1976, by singular values as in Umeyama 1991.
    """
    weights = (weights / weights.sum())[:, None]
    middle, rest_middle = (weights * vertices).sum(1, keepdim=True), (weights * rest).sum(0)
    covariance = (vertices - middle).transpose(1, 2) @ (weights * (rest - rest_middle))
    left, _, right = torch.linalg.svd(covariance.double())
    turned = torch.linalg.det(left @ right).sign()
    left = torch.cat([left[..., :2], left[..., 2:] * turned[:, None, None]], -1)
    rotation = (left @ right).to(vertices)
    return rotation, middle[:, 0] - rotation @ rest_middle


def body_points(points: torch.Tensor, rotation: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
    """World points (B, N, 3) in the body's frame."""
    return (points - translation[:, None]) @ rotation


def rigid_weights(poses: torch.Tensor) -> torch.Tensor:
    """(V,) in (0, 1] how firmly each vertex stays in the frame that most of the body moves with.

    poses  (n, V, 3)  metres: the mesh in many poses, the first of which is the frame

    Arms and legs, which swing, come to count for little: the frame is the trunk's.
    """
    weights = torch.ones_like(poses[0, :, 0])
    for _ in range(ROUNDS):
        rotation, translation = rigid_frame(poses, poses[0], weights)
        off = (body_points(poses, rotation, translation) - poses[0]).square().sum(-1).mean(0)
        weights = STIFF**2 / (STIFF**2 + off)
    return weights
