"""Motions in a picture: keypoints by frame, of a film of which nothing else may be known.

    motion = read_flat_motion("dancer/")            OpenPose's or EasyMocap's JSON, one a frame
    motion = flat_motion(load_capture("walk"))      what one camera of a capture saw

`alignment.py` makes them another person's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from anr_core.capture import Capture, load_capture
from anr_core.capture.keypoints import SURE
from anr_core.capture.readers.clips import numbered
from anr_core.capture.readers.openpose import read_keypoint_files
from anr_core.capture.readers.timing import picture_rate
from anr_core.skeleton import Skeleton
from anr_core.skeleton.bones import as_skeleton
from anr_core.skeleton.named import skeleton_named
from anr_core.telling import brief, listed

FOLDERS = (".", "openpose_json", "keypoints", "openpose", "pose", "annots")  # where JSON lies in a source
LEAST_POINTS = 6  # sure ones of a frame, for somebody to be there


@dataclass(frozen=True)
class FlatMotion:
    """How somebody moves in a picture.

    frames    (n,)       frame numbers, which rise; others are between them
    points    (n, K, 3)  pixels and confidence, 0 where a point isn't known
    skeleton  whose points these are
    fps       frame numbers a second
    size      (H, W) of the pictures, pixels; None where nobody knows
    source    file, folder or capture, for messages
    notes     what was assumed
    """

    frames: torch.Tensor
    points: torch.Tensor
    skeleton: Skeleton
    fps: float
    size: tuple[int, int] | None
    source: Path
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        expected = len(self.frames), len(self.skeleton), 3
        if tuple(self.points.shape) != expected:
            raise ValueError(f"{self.source}: points are {brief(self.points.shape)}, but {expected[0]} "
                             f"frames of {expected[1]} points are {expected}. Give one row a frame.")
        if not bool(self.points.isfinite().all()):
            raise ValueError(f"{self.source} has points that are NaN or infinite. Detect again; a point that "
                             "isn't known has confidence 0.")
        if not len(self.frames) or not bool(((self.points[..., 2] > SURE).sum(1) >= LEAST_POINTS).any()):
            raise ValueError(f"{self.source} shows nobody: no frame has {LEAST_POINTS} sure keypoints. "
                             "Detect again, or give another film.")
        if len(self.frames) > 1 and not bool((self.frames.diff() > 0).all()):
            raise ValueError(f"{self.source}: frame numbers must rise.")
        if not 0 < self.fps < float("inf"):
            raise ValueError(f"{self.source}: {self.fps:g} frames a second; give a positive number.")

    @property
    def seconds(self) -> float:
        """How long it takes from the first frame to the last."""
        return float(self.frames[-1] - self.frames[0]) / self.fps

    def of_skeleton(self, wanted: Skeleton) -> FlatMotion:
        """The same with the points of another skeleton, by name; those that aren't here have confidence 0.

        Neck and the hips' middle are between shoulders and hips. Raises ValueError where neither hip is ever
        seen, or neither shoulder.
        """
        if wanted == self.skeleton:
            return self
        flat = torch.zeros_like(self.points[..., :1])
        points = as_skeleton(torch.cat([self.points[..., :2], flat, self.points[..., 2:]], -1), self.skeleton,
                             wanted, any)
        return replace(self, points=points[..., [0, 1, 3]], skeleton=wanted)

    def at(self, moments: torch.Tensor) -> FlatMotion:
        """Between its frames, at frame numbers (m,): points and confidence change evenly; ends are held.

        A point that is known on one side alone is taken from there, in the half that is nearer to it.
        """
        moments = moments.double()
        after = torch.searchsorted(self.frames.double(), moments).clamp(max=len(self.frames) - 1)
        before = (after - (self.frames[after] > moments).long()).clamp(min=0)
        span = (self.frames[after] - self.frames[before]).clamp(min=1)
        share = ((moments - self.frames[before]) / span).clamp(0, 1).to(self.points)[:, None, None]
        one, other = self.points[before], self.points[after]
        known = torch.stack([one[..., 2:] > 0, other[..., 2:] > 0])
        share = torch.where(known.all(0), share, (share > 0.5).to(share))
        return replace(self, frames=moments, points=torch.lerp(one, other, share))


def open_source(source: str | Path, fps: float | None = None) -> Capture | FlatMotion:
    """Who moves: a capture's folder, or one of keypoints alone, of which `read_flat_motion` takes fps.

    Raises ValueError for fps of a capture, and for keypoints of nobody or of several cameras.
    """
    source = Path(source)
    if source.is_dir() and not (source / "capture.json").is_file():
        return read_flat_motion(source, fps)
    capture = load_capture(source)
    if fps is not None:
        raise ValueError(f"{source} is a capture, of {capture.fps:g} frames a second: --fps is of folders of "
                         "JSON. Leave it out.")
    return capture


def read_flat_motion(source: str | Path, fps: float | None = None) -> FlatMotion:
    """The motion in a folder of OpenPose's or EasyMocap's JSON, of the person who is followed.

    fps  frames a second, which no such file tells; if not given they are assumed, and `notes` says so

    Raises FileNotFoundError where there is no JSON, ValueError where it shows nobody or is damaged.
    """
    source = Path(source)
    places = [source / name for name in FOLDERS]
    cameras = [below for place in places[1:] if place.is_dir() for below in sorted(place.iterdir())
               if numbered(below, (".json",))]
    files = next((found for place in (*places, *cameras) if (found := numbered(place, (".json",)))), None)
    if len(cameras) > 1 and not any(numbered(place, (".json",)) for place in places):
        raise ValueError(f"{source} holds keypoints of several cameras: "
                         f"{listed(camera.relative_to(source) for camera in cameras)}. Give one of these "
                         "folders.")
    if files is None:
        raise FileNotFoundError(f"{source} holds no keypoints. Give a folder of OpenPose's JSON, one file a "
                                "frame, or a capture.")
    points, skeleton = read_keypoint_files(files, None)
    if not points:
        raise ValueError(f"{source} shows nobody: its {len(files)} files hold no person. Detect again, or "
                         "give another film.")
    rate, notes = picture_rate(fps)
    frames = sorted(points)
    return FlatMotion(torch.tensor(frames), torch.from_numpy(np.stack([points[frame] for frame in frames])),
                      skeleton_named(skeleton), rate, None, source, tuple(notes))


def flat_motion(capture: Capture, camera: str | None = None, frames: set[int] | None = None) -> FlatMotion:
    """What one camera of a capture saw of its person: that with the most keypoints if none is named.

    frames  these alone
    """
    if not capture.keypoints:
        raise ValueError(f"{capture.path} has no keypoints. Find them: python -m anr_core annotate "
                         f"{capture.path}")
    known = sorted({name for name, _ in capture.keypoints})
    camera = camera or best_camera(capture)
    rows = {frame: points for (name, frame), points in sorted(capture.keypoints.items())
            if name == camera and (frames is None or frame in frames)}
    if not rows:
        raise ValueError(f"Camera {brief(camera)} has no keypoints in {capture.path}; those that have: "
                         f"{listed(known)}.")
    return FlatMotion(torch.tensor(list(rows)), torch.stack(list(rows.values())).float(),
                      skeleton_named(capture.skeleton), capture.fps, capture.cameras[camera].size,
                      capture.path)


def best_camera(capture: Capture) -> str:
    """The camera that knows the most keypoints of a capture that has some."""
    counts = Counter(name for name, _ in capture.keypoints)
    return max(sorted(counts), key=counts.get)
