"""The oracle: one face after the other over whole pictures, in plain torch. Slow, obvious, differentiable.

It obeys the rules that `rasterize` states and shares only the projection with the kernels.
"""

from __future__ import annotations

import torch

from anr_core.camera import Camera, pixel_centres
from anr_core.rasterizer.fragments import Fragments, covered, homogeneous, near_plane


def fragments(vertices: torch.Tensor, faces: torch.Tensor, camera: Camera,
              size: tuple[int, int]) -> Fragments:
    """See `rasterize`. It computes in float64, whatever the vertices are."""
    coordinates = homogeneous(vertices, camera)
    centres = pixel_centres(size)[0].to(coordinates)
    rays = torch.cat([centres, torch.ones_like(centres[:, :1])], 1)  # (P, 3)
    nearest = coordinates.new_full((len(vertices), len(rays)), torch.inf)
    barycentric = coordinates.new_zeros(len(vertices), len(rays), 3)
    face_id = torch.full_like(nearest, -1, dtype=torch.int32)
    for face, corner in enumerate(faces):
        points, depths = coordinates[:, corner, :3], coordinates[:, corner, 3]
        # the ray through a pixel meets the face's plane at sum_i weights_i points_i, up to a common factor
        sides = _cross(points[:, [1, 2, 0]], points[:, [2, 0, 1]])
        volume = (sides[:, 0] * points[:, 0]).sum(-1)
        weights = torch.einsum("bic,pc->bpi", sides, rays) * volume.sign()[:, None, None]
        total = weights.sum(-1)
        weights = weights / torch.where(total > 0, total, 1)[..., None]
        depth = (weights * depths[:, None]).sum(-1)
        seen = (weights >= 0).all(-1) & (total > 0) & (depth >= near_plane(camera))
        seen &= depth.float() < nearest.float()  # depths equal in float32 are equal: the lower id stays
        nearest = torch.where(seen, depth, nearest)
        barycentric = torch.where(seen[..., None], weights, barycentric)
        face_id = torch.where(seen, face, face_id)
    shape = (len(vertices), *size)
    face_id = face_id.view(shape)
    depth = torch.where(nearest.isinf(), 0, nearest).view(shape)
    return Fragments(face_id, barycentric.view(*shape, 3).to(vertices), depth.to(vertices), covered(face_id))


def _cross(p, q):
    """p x q, exactly -(q x p). torch.linalg.cross fuses multiply and add, and p x p may not be 0."""
    second, third = [1, 2, 0], [2, 0, 1]
    return p[..., second] * q[..., third] - p[..., third] * q[..., second]
