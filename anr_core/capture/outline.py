"""Masks that nobody measured: a mesh's projection, and how far around its outline it is doubtful."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from anr_core.camera import Camera
from anr_core.rasterizer import rasterize


def drawn_mask(vertices: torch.Tensor, faces: torch.Tensor, camera: Camera) -> np.ndarray:
    """The projection (H, W) uint8, 255 where it covers, of a mesh (1, V, 3) into a camera's picture."""
    face_id = rasterize(vertices, faces, camera, camera.size).face_id[0]
    return np.where(face_id.numpy() >= 0, np.uint8(255), np.uint8(0))


def near_outline(mask: np.ndarray, distance: float) -> np.ndarray:
    """The pixels (H, W) whose centres lie within a distance, pixels, of the outline of a mask (H, W) bool."""
    near = np.zeros_like(mask)
    if distance <= 0 or not mask.any():
        return near
    reach = int(np.ceil(distance)) + 1
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = tuple(slice(max(line[0] - reach, 0), line[-1] + reach + 1) for line in (rows, columns))
    # the outline runs half a pixel before the nearest pixel of the other kind
    inside, outside = distance_transform_edt(mask[part]), distance_transform_edt(~mask[part])
    near[part] = inside + outside - 0.5 <= distance
    return near
