"""What was seen of a person: keypoints and outlines by picture, and which keypoints are left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from skimage.measure import find_contours
from torch.nn import functional

from anr_core.camera import Camera
from anr_core.prepare.fitting.puppet import KEYPOINT_NAMES

# How much a keypoint is believed. Detectors' hips are not those of the body's regressor, and of faces and
# feet there are many.
TRUST = {"hip": 0.8, "eye": 0.4, "ear": 0.4, "nose": 0.5, "toe": 0.8, "heel": 0.8}

LEAST_CONFIDENCE = 0.1
LEAST_KEYPOINTS = 6
LEFT_OUT_EVERY = 5
OUTLINE_POINTS = 160  # of a mask


@dataclass(frozen=True)
class Outline:
    """Points (N, 2) along an outline, pixels, and unit normals (N, 2) that lead out."""

    points: torch.Tensor
    normals: torch.Tensor


@dataclass(frozen=True)
class Observations:
    """V pictures by C cameras at F moments.

    cameras   C, of the pictures as they are
    camera    (V,)       which camera took a picture
    moment    (V,)       when, an index into frames
    frames    (F,)       frame numbers, which rise
    fps       frames a second
    points    (V, K, 2)  keypoints in the order of KEYPOINT_NAMES, pixels
    belief    (V, K)     confidence times trust, 0 where a keypoint wasn't seen
    outlines  of the masks; None where there is none
    openpose  the keypoints are where OpenPose has them, not COCO
    """

    cameras: Camera
    camera: torch.Tensor
    moment: torch.Tensor
    frames: torch.Tensor
    fps: float
    points: torch.Tensor
    belief: torch.Tensor
    outlines: list[Outline | None]
    openpose: bool = True

    @cached_property
    def extent(self) -> torch.Tensor:
        """(C,) how large the person is in a camera's pictures, pixels: the median of the keypoints' boxes."""
        seen = self.belief[..., None] > 0
        boxes = (self.points.where(seen, -torch.inf).amax(1) - self.points.where(seen, torch.inf).amin(1))
        sizes = boxes.norm(dim=-1)
        usable = (seen[..., 0].sum(1) >= 6)
        found = [sizes[usable & (self.camera == row)] for row in range(len(self.cameras))]
        known = torch.cat(found)
        return torch.stack([one.median() if len(one) else known.median() for one in found])

    @property
    def seconds(self) -> torch.Tensor:
        """(F - 1,) from each moment to the next."""
        return self.frames.diff() / self.fps

    def at(self, moments: torch.Tensor) -> Observations:
        """What was seen at some of the moments, which rise."""
        row = torch.full((len(self.frames),), -1)
        row[moments] = torch.arange(len(moments))
        views = (row[self.moment] >= 0).nonzero()[:, 0]
        part = replace(self, camera=self.camera[views], moment=row[self.moment[views]],
                       frames=self.frames[moments], points=self.points[views], belief=self.belief[views],
                       outlines=[self.outlines[view] for view in views.tolist()])
        part.__dict__["extent"] = self.extent  # that of all pictures, not of these
        return part

    def without_left_out(self) -> Observations:
        """The same without every fifth keypoint, another fifth from picture to picture."""
        return self.without(self.left_out())

    def without(self, points: torch.Tensor) -> Observations:
        """The same without some keypoints, (V, K) bool."""
        return replace(self, belief=self.belief.masked_fill(points, 0))

    def seen_well(self) -> torch.Tensor:
        """(F,) bool: the moments at which enough keypoints were seen to fit a person."""
        counts = torch.zeros(len(self.frames)).index_add(0, self.moment, (self.belief > 0).sum(1).float())
        return counts >= LEAST_KEYPOINTS

    def left_out(self) -> torch.Tensor:
        """(V, K) bool: the keypoints that are left out to measure by."""
        rows = self.moment[:, None] + self.camera[:, None] + torch.arange(len(KEYPOINT_NAMES))
        return rows % LEFT_OUT_EVERY == 0


def by_name(points: torch.Tensor, names: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Keypoints (..., K', D + 1) of any set as points (..., K, D) and belief (..., K), by KEYPOINT_NAMES."""
    rows = [names.index(name) if name in names else len(names) for name in KEYPOINT_NAMES]
    chosen = functional.pad(points, (0, 0, 0, 1))[..., rows, :]
    place, confidence = chosen[..., :-1], chosen[..., -1]
    trust = torch.tensor([next((value for word, value in TRUST.items() if word in name), 1.0)
                          for name in KEYPOINT_NAMES])
    known = (confidence >= LEAST_CONFIDENCE) & place.isfinite().all(-1)
    return place.where(known[..., None], 0), (confidence * trust).where(known, 0)


def outline_of(mask: np.ndarray, certain: np.ndarray | None = None, count: int = OUTLINE_POINTS,
               least: float = 0.05) -> Outline | None:
    """The outline of a mask (H, W) bool, `count` points at even distances, where it is certain.

    Contours shorter than a part `least` of all are noise. The picture's edge is no outline. None where
    nothing is left.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    corner = np.array([rows[0], columns[0]])
    part = np.pad(mask[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1], 1).astype(np.float32)
    # the padding has moved pixels by 1, and their centres are at 0.5
    contours = [contour + corner - 0.5 for contour in find_contours(part, 0.5)]
    lengths = [np.linalg.norm(np.diff(contour, axis=0), axis=1).sum() for contour in contours]
    step = sum(lengths) / count
    points, normals = [], []
    for contour, length in zip(contours, lengths, strict=True):
        if length < least * sum(lengths) or length < 3 * step:
            continue
        along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(contour, axis=0), axis=1))])
        places = np.arange(0, length, step)
        line = np.stack([np.interp(places, along, contour[:, axis]) for axis in (1, 0)], 1)
        tangent = np.roll(line, -1, 0) - np.roll(line, 1, 0)
        points.append(line)
        normals.append(np.stack([tangent[:, 1], -tangent[:, 0]], 1))
    if not points:
        return None
    points, normals = np.concatenate(points), np.concatenate(normals)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-6)
    border = ((points < 1) | (points > np.array(mask.shape[::-1]) - 1)).any(1)
    kept = ~border
    if certain is not None:
        pixel = points.astype(int).clip(0, np.array(mask.shape[::-1]) - 1)
        kept &= certain[pixel[:, 1], pixel[:, 0]]
    if not kept.any():
        return None
    return Outline(torch.from_numpy(points[kept]).float(), torch.from_numpy(normals[kept]).float())
