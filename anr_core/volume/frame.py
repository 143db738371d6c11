"""The body's own frame, in which it is voxelised: found from its vertices, so that any mesh has one."""

from __future__ import annotations

import torch

# Metres. A vertex that moves this much against the frame says a quarter of what one says that does not move.
STIFF = 0.05
ROUNDS = 5     # of weighing vertices by how they fitted
ANCHORS = 200  # vertices, evenly taken, that all are compared with


def rigid_frame(vertices: torch.Tensor, rest: torch.Tensor, weights: torch.Tensor,
                ) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotation (B, 3, 3) and translation (B, 3), world from body, that carry `rest` closest to the vertices.

    vertices  (B, V, 3)  metres, world
    rest      (V, 3)     metres, body
    weights   (V,)       how much each vertex counts, at least 0

    By least squares over weighted vertices. Raises ValueError for vertices that aren't finite. Source: Kabsch
    1976, by singular values as in Umeyama 1991.
    """
    if not bool(vertices.isfinite().all()):
        raise ValueError("The body's vertices are not finite, so it has no place. Look at its pose, and "
                         "at the registration of its capture.")
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


def rigid_weights(poses: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """(V,) how much each vertex's skin says about the frame that most of the body moves with.

    poses  (n, V, 3)  metres: the mesh in many poses, the first of which is the frame
    faces  (F, 3)     whose areas count: a face's many small triangles say no more than a back's few

    Arms and legs, which swing, come to count for little: the frame is the trunk's. It begins with how many
    others each vertex keeps its distance from, and goes on with reweighted least squares under the weights of
    Geman and McClure 1987.
    """
    areas = vertex_areas(poses[0], faces)
    kept = torch.zeros_like(areas)
    for anchor in range(0, len(areas), max(1, len(areas) // ANCHORS)):
        distance = (poses - poses[:, anchor:anchor + 1]).norm(dim=-1)
        kept += areas[anchor] * ((distance - distance[:1]).square().mean(0) < STIFF**2)
    weights = areas * (kept / kept.max()) ** 4
    for _ in range(ROUNDS):
        rotation, translation = rigid_frame(poses, poses[0], weights)
        off = (body_points(poses, rotation, translation) - poses[0]).square().sum(-1).mean(0)
        weights = areas * (STIFF**2 / (STIFF**2 + off)).square()
    return weights


def vertex_areas(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """(V,) square metres: a third of the triangles around each of vertices (V, 3)."""
    corners = vertices[faces]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = torch.zeros_like(vertices[:, 0])
    return areas.index_add(0, faces.flatten(), (normals.norm(dim=-1) / 6).repeat_interleave(3))
