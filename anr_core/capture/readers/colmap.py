"""COLMAP's reconstruction in text: cameras.txt and images.txt of a `sparse` folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anr_core.telling import brief, quoted

# By COLMAP's name of a model, where its parameters go: fx fy cx cy, then OpenCV's k1 k2 p1 p2 k3 k4 k5 k6.
MODELS = {"SIMPLE_PINHOLE": (0, 0, 1, 2), "PINHOLE": (0, 1, 2, 3), "SIMPLE_RADIAL": (0, 0, 1, 2, 3),
          "RADIAL": (0, 0, 1, 2, 3, 4), "OPENCV": tuple(range(8)), "FULL_OPENCV": tuple(range(12))}
AGAIN = "Export the model as text again."


@dataclass(frozen=True)
class Photograph:
    """One image: K and distortion for a picture of size (H, W); R, and t in COLMAP's own unit of length."""

    K: np.ndarray
    distortion: np.ndarray
    size: tuple[int, int]
    R: np.ndarray
    t: np.ndarray


def read_photographs(folder: Path) -> dict[str, Photograph]:
    """The images of a reconstruction by their names."""
    lenses = _read_lenses(folder / "cameras.txt")
    file, found = folder / "images.txt", {}
    for line in _lines(file)[::2]:  # every second line lists the points that the image sees
        words = line.split(maxsplit=9)
        try:
            w, x, y, z, *t = (float(word) for word in words[1:8])
            camera, name = words[8], words[9]
        except (ValueError, IndexError):
            raise ValueError(f"{file}: the line {quoted(line)} is no image. {AGAIN}") from None
        if camera not in lenses:
            raise ValueError(f"{file}: {brief(name)} is of camera {brief(camera)}, which cameras.txt lacks. "
                             f"{AGAIN}")
        quaternion = np.array([x, y, z, w])
        if not (np.isfinite([*quaternion, *t]).all() and np.linalg.norm(quaternion) > 1e-6):
            raise ValueError(f"{file}: {brief(name)} has a pose that is NaN, infinite or zero. {AGAIN}")
        found[name] = Photograph(*lenses[camera], _matrix(quaternion), np.array(t))
    if not found:
        raise ValueError(f"{file} lists no images. {AGAIN}")
    return found


def _read_lenses(file: Path):
    """K, distortion and size by camera."""
    lenses = {}
    for line in _lines(file):
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or words[1] not in MODELS:
            raise ValueError(f"{file}: the line {quoted(line)} has none of the models {', '.join(MODELS)}. "
                             "Undistort the pictures with COLMAP first.")
        try:
            width, height, *values = (float(word) for word in words[2:])
            fx, fy, cx, cy, *lens = (values[place] for place in MODELS[words[1]])
            height, width = int(height), int(width)
        except (ValueError, IndexError, OverflowError):
            raise ValueError(f"{file}: camera {brief(words[0])} lacks parameters of {words[1]}, or they are "
                             f"no numbers. {AGAIN}") from None
        lens = np.array(lens + [0.0] * ((4 if len(lens) <= 4 else 8) - len(lens)) if lens else [])
        lenses[words[0]] = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), lens, (height, width)
    return lenses


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. Export COLMAP's model as text.")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{file} is no text. Export COLMAP's model as text.") from None
    return [line for line in lines if not line.startswith("#")]


def _matrix(quaternion):
    import roma  # a second to import

    return roma.unitquat_to_rotmat(torch.from_numpy(quaternion / np.linalg.norm(quaternion))).numpy()
