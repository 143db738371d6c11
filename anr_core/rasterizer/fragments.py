"""What a rasterizer returns, and the geometry that its backends share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from anr_core.camera import Camera

NEAR = 0.01  # metres: what is nearer to a perspective camera is clipped away


@dataclass(frozen=True)
class Fragments:
    """The nearest face behind the centre of each pixel; both sides of a face are seen.

    face_id      (B, H, W)     int32, -1 is background
    barycentric  (B, H, W, 3)  weights of the face's corners on the surface (perspective-correct), sum 1
    depth        (B, H, W)     camera Z, metres
    pixels       (N,)          int64, ascending, the covered pixels as flat indices into (B, H, W)
    Barycentrics and depth of the background are 0.
    """

    face_id: torch.Tensor
    barycentric: torch.Tensor
    depth: torch.Tensor
    pixels: torch.Tensor


def homogeneous(vertices: torch.Tensor, camera: Camera) -> torch.Tensor:
    """World vertices (B, V, 3) as float64 (B, V, 4): u w, v w, w and depth, where (u, v) is the pixel.

    w is the depth for a perspective camera and 1 for a weak one. In these coordinates edges stay straight and
    barycentrics are those of the surface, beside and behind the camera too. float64, since an edge function
    is a small difference of large products. Lens distortion moves the vertices; edges between them are drawn
    straight.
    """
    camera = camera.to(torch.float64)
    local = camera.straightened(vertices.double())
    depth = local[..., 2:]
    w = depth if camera.projection == "perspective" else torch.ones_like(depth)
    plane = torch.cat([local[..., :2], w], -1) @ camera.K.transpose(1, 2)
    return torch.cat([plane, depth], -1)


def near_plane(camera: Camera) -> float:
    """The depth from which on a camera sees; parallel rays have no start."""
    return NEAR if camera.projection == "perspective" else -torch.inf


def covered(face_id: torch.Tensor) -> torch.Tensor:
    """The covered pixels of face_id (B, H, W) as flat indices (N,)."""
    if face_id.device.type == "cpu":  # numpy takes a third of torch's time
        return torch.from_numpy(np.flatnonzero(face_id.numpy() >= 0))
    return (face_id.flatten() >= 0).nonzero()[:, 0]


def corner_rows(faces: torch.Tensor, face: torch.Tensor, picture: torch.Tensor, count: int) -> torch.Tensor:
    """Rows (N, 3) of the corners of face (N,) in picture (N,), in a table of count vertices a picture."""
    return faces.index_select(0, face) + (picture * count)[:, None]


def scattered(values: torch.Tensor, pixels: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Values (N, ...) of the covered pixels as (B, H, W, ...) over zeros; shape is (B, H, W)."""
    zeros = values.new_zeros(shape[0] * shape[1] * shape[2], *values.shape[1:])
    return zeros.index_copy_(0, pixels, values).view(*shape, *values.shape[1:])


def differentiable(coordinates: torch.Tensor, faces: torch.Tensor, face_id: torch.Tensor,
                   dtype: torch.dtype) -> Fragments:
    """Fragments whose barycentrics and depth carry the gradient of homogeneous coordinates (B, V, 4).

    Which face is seen comes from face_id (B, H, W) and has no gradient, nor has the outline.
    """
    shape = face_id.shape
    pixels = covered(face_id)
    picture, place = pixels // (shape[1] * shape[2]), pixels % (shape[1] * shape[2])
    rows = corner_rows(faces, face_id.view(-1)[pixels], picture, coordinates.shape[1])
    planes = coordinates.flatten(0, 1).T.contiguous()  # backward through (N, 3, 4) takes twice as long
    u, v, w, z = planes.index_select(1, rows.T.flatten()).view(4, 3, -1)
    x = (u - (place % shape[2] + 0.5) * w).to(dtype)  # (3, N), seen from the pixel: `dtype` is enough now
    y = (v - (place // shape[2] + 0.5) * w).to(dtype)
    weights = torch.linalg.cross(x, y, dim=0)
    weights = weights / weights.sum(0)
    depth = (weights * z).sum(0).to(dtype)
    return Fragments(face_id, scattered(weights.T, pixels, shape), scattered(depth, pixels, shape), pixels)
