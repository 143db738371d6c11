"""Keypoints of a capture's pictures: one file for all of them, rows by camera and frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from anr_core.body.npz import read_npz
from anr_core.camera import Camera
from anr_core.capture.readers.arrays import frame_numbers
from anr_core.skeleton.named import skeleton_named
from anr_core.telling import brief, reason

Table = dict[tuple[str, int], torch.Tensor]  # (camera name, frame) -> (K, 3) pixels and confidence

SURE = 0.3  # confidence above which a keypoint is a witness

# Sets whose points begin with those of another one, the body's: hands and face come after it.
BODIES = {"body25_detailed": ("body25", 25), "coco23_detailed": ("coco23", 23),
          "body25b_detailed": ("body25b", 25)}


def of_body(table: Table, skeleton: str | None) -> tuple[Table, str | None]:
    """Keypoints and the name of their set without hands and face; those of other sets as they are."""
    if skeleton not in BODIES:
        return table, skeleton
    name, count = BODIES[skeleton]
    return {place: points[:count] for place, points in table.items()}, name


def write_keypoints(file: Path, table: Table) -> None:
    """Write keypoints by camera and frame into an .npz; all of one set."""
    cameras, frames = zip(*table, strict=True)
    np.savez_compressed(file, cameras=np.array(cameras), frames=np.array(frames, np.int64),
                        points=np.stack([points.numpy() for points in table.values()]))


def read_keypoints(file: Path, skeleton: str) -> Table:
    """The keypoints of a file, which are of that skeleton; what is not finite has confidence 0.

    Raises ValueError where it is missing or broken.
    """
    count = len(skeleton_named(skeleton))
    try:
        arrays = read_npz(file)
        points, cameras = arrays["points"], arrays["cameras"]
        frames = frame_numbers(arrays["frames"], "frames")
        if points.ndim != 3 or points.shape[1:] != (count, 3) or points.dtype.kind != "f":
            raise ValueError(f"points of the shape {brief(points.shape)}, expected (n, {count}, 3) of "
                             f"{skeleton}")
        if cameras.dtype.kind != "U" or cameras.ndim != 1:
            raise ValueError("cameras are no names")
        known = np.isfinite(points).all(-1, keepdims=True)
        points = torch.from_numpy(np.where(known, points, 0).astype(np.float32))
        return dict(zip(zip(cameras.tolist(), frames.tolist(), strict=True), points, strict=True))
    except (FileNotFoundError, KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{file} is missing or broken ({reason(error)}). Prepare the capture again."
                         ) from None


def straightened(points: np.ndarray, lens: Camera, camera: Camera) -> torch.Tensor:
    """Keypoints (K, 3) of a picture with lens distortion in the picture that the camera takes without it."""
    points = torch.from_numpy(points).float()
    if lens.distortion is None:
        return points
    origins, directions = lens.rays(points[None, :, :2])
    return torch.cat([camera.project(origins + directions)[0][0], points[:, 2:]], 1)
