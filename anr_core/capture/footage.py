"""What a reader hands over: cameras, takes and what was registered, in our conventions, not yet checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from anr_core.body import Body, Pose, Surface
from anr_core.camera import Camera
from anr_core.capture.joints import Joints


@dataclass(frozen=True)
class Take:
    """One picture of the source.

    image       a file, or (H, W, 3) uint8; None where there is only an input for it
    mask        a file, or (H, W) uint8; None where nobody measured it
    certain     a file, or None where all is certain but what the doubt takes
    doubt       pixels to either side of the mask's outline that are not certain
    registered  the mesh was fitted to this frame, not interpolated
    split       "train", or the name of what it is held out for
    keypoints   (K, 3) pixels of the picture as it is, and confidence; None where they aren't known
    input       what an image-to-image system is given for it: a file, or (H, W, 1, 3 or 4) uint8
    truth       whatever else is known of the picture, if it has no lens distortion: arrays, or their .npz
    """

    camera: str
    frame: int
    image: Path | np.ndarray | None
    mask: Path | np.ndarray | None
    doubt: float = 0.0
    registered: bool = True
    split: str = "train"
    keypoints: np.ndarray | None = None
    truth: Path | dict[str, np.ndarray] | None = None
    certain: Path | None = None
    input: Path | np.ndarray | None = None


@dataclass(frozen=True)
class Footage:
    """Everything of one source, whose body is a mesh a frame, or Anny and a pose a frame, or not there yet.

    cameras       each a batch of one, at the pictures' size, lens distortion included
    originals     the source's own K, distortion and size of each camera, as they are to be kept
    takes         may be made one by one while they are asked for
    frames        (n,) int64, of the meshes or poses
    vertices      (n, V, 3) float32 metres; None where there are poses, or nothing is registered
    surface       of the meshes, or of the body; None where nothing is registered
    fps           frames a second
    up            (3,) the world's unit vector against gravity
    backgrounds   picture of the scene without the person, by camera
    notes         lines that the user should read: what was left out, what was assumed
    body, poses   an AnnyBody and its n poses; None where there are meshes
    keypoints     name of the skeleton that the takes' keypoints belong to
    foreign       body parameters, or a texture, of another system, as the source has them; kept
    uncalibrated  names of the cameras whose focal length is a guess; each is the world's origin
    joints        in space, where the source knows them
    link          address that the source was downloaded from, or None
    """

    format: str
    cameras: dict[str, Camera]
    originals: dict[str, dict]
    takes: Iterable[Take]
    frames: np.ndarray
    vertices: np.ndarray | None
    surface: Surface | None
    fps: float
    up: tuple[float, float, float]
    licence: str
    licence_file: Path | None = None
    person: str = "person"
    backgrounds: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    body: Body | None = None
    poses: Pose | None = None
    keypoints: str | None = None
    foreign: dict[str, np.ndarray] | None = None
    uncalibrated: frozenset[str] = frozenset()
    link: str | None = None
    joints: Joints | None = None

    @property
    def registered(self) -> bool:
        """Whether it comes with meshes whose faces are known."""
        return self.surface is not None

    def mesh(self, frame: int) -> torch.Tensor:
        """Vertices (1, V, 3) of a registered frame."""
        row = int(np.flatnonzero(self.frames == frame)[0])
        if self.poses is None:
            return torch.from_numpy(self.vertices[row])[None]
        return self.body(self.poses[row:row + 1]).vertices
