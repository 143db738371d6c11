"""Cameras that somebody calibrated, brought to the size of their pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from anr_core.camera import COEFFICIENT_COUNTS, Camera
from anr_core.capture.readers.arrays import focuses, is_rotation, measurable, real
from anr_core.telling import brief, reason

# Video encoders cut pictures to multiples of 8 or 16 pixels; what is missing more is another picture.
MOST_CUT = 16 / 1000
# Pixels: drawing a picture anew to undo less than this would only blur it.
STRAIGHT = 0.3
# Metres: further away from the origin no camera of a person stands, so that these are millimetres.
FARTHEST = 100.0
LARGEST_SIDE = 10**6  # pixels


@dataclass(frozen=True)
class Calibration:
    """K (3, 3), R (3, 3), t (3,) metres and OpenCV's distortion, for pictures of a size (H, W) or any."""

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    distortion: np.ndarray
    size: tuple[int, int] | None


def checked(name: str, file: Path, K, R, t, distortion, size=None) -> Calibration:
    """A calibration out of numbers in a file, R as a matrix or a rotation vector; errors name the camera."""
    name = brief(name)
    try:
        K, R, t, distortion = (real(value, "one of them") for value in (K, R, t, distortion))
        K, t, distortion = K.reshape(3, 3), t.reshape(3), distortion.reshape(-1)
        R = _matrix(R.reshape(3)) if R.size == 3 else R.reshape(3, 3)
        size = None if size is None else (int(size[0]), int(size[1]))
    except (ValueError, TypeError, OverflowError, LookupError) as error:
        raise ValueError(f"{file}: camera {name} is not K (3, 3), R (3, 3) or (3,), t (3,), distortion and "
                         f"size in numbers ({reason(error)}).") from None
    everything = np.concatenate([K.ravel(), R.ravel(), t, distortion])
    if not (measurable(everything).all() and focuses(K)):
        raise ValueError(f"{file}: camera {name} needs finite K, R, t and distortion, and positive focal "
                         "lengths.")
    if not is_rotation(R):
        raise ValueError(f"{file}: R of camera {name} is no rotation (R R^T is not 1, or it mirrors).")
    if np.linalg.norm(t) > FARTHEST:
        raise ValueError(f"{file}: camera {name} stands {np.linalg.norm(t):.0f} m from the origin: its T is "
                         "in millimetres, not in metres. Divide all T by 1000.")
    if size is not None and not 1 <= min(size) <= max(size) < LARGEST_SIDE:
        raise ValueError(f"{file}: camera {name} has pictures of {brief(size[1])}x{brief(size[0])} pixels.")
    if len(distortion) not in COEFFICIENT_COUNTS:
        raise ValueError(f"{file}: camera {name} has {len(distortion)} distortion coefficients; OpenCV's "
                         f"models have {', '.join(map(str, COEFFICIENT_COUNTS))}. Pad with zeros up to the "
                         "next.")
    return Calibration(K, R, t, distortion, size)


def camera_for(calibration: Calibration, name: str, size: tuple[int, int]) -> tuple[Camera, list[str]]:
    """The camera of pictures of a size (H, W), which may be scaled or a little cut; and notes on that."""
    full, notes = calibration.size or size, []
    scale = np.array([size[1] / full[1], size[0] / full[0]])
    if abs(scale[0] - scale[1]) * max(size) > 1.5:  # pixels: sizes are rounded when pictures are scaled
        if abs(scale[0] / scale[1] - 1) > MOST_CUT:
            raise ValueError(f"Camera {brief(name)} was calibrated with pictures of {full[1]}x{full[0]} "
                             f"pixels, but they are {size[1]}x{size[0]}, which has another shape. Scale "
                             "pictures, don't crop or turn them.")
        scale[:] = scale.max()
        cut = np.round(scale * full[::-1]).astype(int) - size[::-1]
        notes.append(f"{name}: pictures are {size[1]}x{size[0]}, calibrated with {full[1]}x{full[0]}: taken "
                     f"as cut by {cut[0]} pixels on the right, {cut[1]} below.")
    K, R, t, lens = (torch.tensor(value, dtype=torch.float32)[None] for value in (
        np.diag([*scale, 1.0]) @ calibration.K, calibration.R, calibration.t, calibration.distortion))
    camera = Camera(K, R, t, lens, size=tuple(size))
    return camera if _bends(camera) > STRAIGHT else replace(camera, distortion=None), notes


def _bends(camera):
    """How far the lens moves the pixels of a picture, pixels, at the most."""
    height, width = camera.size
    rim = torch.cartesian_prod(torch.linspace(0, width, 33), torch.linspace(0, height, 33))[None]
    straight = replace(camera, distortion=None)
    origins, directions = straight.rays(rim)
    return float((camera.project(origins + directions)[0] - rim).norm(dim=-1).max())


def original_of(calibration: Calibration, size: tuple[int, int]) -> dict:
    """What a capture keeps of it."""
    return {"K": calibration.K.tolist(), "distortion": calibration.distortion.tolist(),
            "size": list(calibration.size or size)}


def _matrix(vector):
    import roma  # a second to import

    return roma.rotvec_to_rotmat(torch.from_numpy(vector)).numpy()
