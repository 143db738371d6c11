"""Joints in space of a capture's person: one file for all frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from anr_core.body.npz import read_npz
from anr_core.capture.readers.arrays import frame_numbers
from anr_core.skeleton.named import skeleton_named
from anr_core.telling import brief, reason


@dataclass(frozen=True)
class Joints:
    """Where a person's joints are, at some frames of a capture.

    skeleton  its name, such as "panoptic"
    points    (J, 4) metres, world, and confidence, by frame
    lifted    found by `lift` in keypoints; else the source knew them
    """

    skeleton: str
    points: dict[int, torch.Tensor] = field(repr=False)
    lifted: bool = False

    @staticmethod
    def of(skeleton: str, frames: np.ndarray, points: np.ndarray, lifted: bool = False) -> Joints:
        """Of frames (n,) and points (n, J, 3 or 4); raises ValueError where they don't fit the skeleton.

        Points that are not finite have confidence 0 from now on.
        """
        count, points = len(skeleton_named(skeleton)), np.asarray(points)
        if points.ndim != 3 or points.shape[1:] not in ((count, 3), (count, 4)) or len(frames) != len(points):
            raise ValueError(f"joints of {len(frames)} frames have the shape {brief(points.shape)}, expected "
                             f"({len(frames)}, {count}, 3 or 4) of a skeleton {skeleton}.")
        if points.shape[2] == 3:
            points = np.concatenate([points, np.ones_like(points[..., :1])], -1)
        points = np.where(np.isfinite(points).all(-1, keepdims=True), points, 0).astype(np.float32)
        numbers = frame_numbers(frames, "frames").tolist()
        return Joints(skeleton, dict(zip(numbers, torch.from_numpy(points), strict=True)), lifted)

    def write(self, file: Path) -> None:
        """Write all frames' joints into an .npz."""
        np.savez_compressed(file, frames=np.array(list(self.points), np.int64),
                            points=np.stack([points.numpy() for points in self.points.values()]))

    @property
    def description(self) -> dict:
        """What capture.json says of them."""
        return {"skeleton": self.skeleton, "lifted": self.lifted}


def read_joints(file: Path, description: dict | None) -> Joints | None:
    """The joints that capture.json describes, if it describes any."""
    if description is None:
        return None
    try:
        arrays = read_npz(file)
        return Joints.of(description["skeleton"], arrays["frames"], arrays["points"], description["lifted"])
    except (FileNotFoundError, KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{file} is missing or broken ({reason(error)}). Prepare the capture again."
                         ) from None
