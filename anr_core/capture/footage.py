"""What a reader hands over: cameras, takes and registered meshes, in our conventions, not yet checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from anr_core.body import Surface
from anr_core.camera import Camera


@dataclass(frozen=True)
class Take:
    """One picture of the source.

    image       a file, or (H, W, 3) uint8
    mask        a file; None draws the registered mesh instead
    doubt       pixels to either side of the mask's outline that are not certain
    registered  the mesh was fitted to this frame, not interpolated
    split       "train", or the name of what it is held out for
    """

    camera: str
    frame: int
    image: Path | np.ndarray
    mask: Path | None
    doubt: float = 0.0
    registered: bool = True
    split: str = "train"


@dataclass(frozen=True)
class Footage:
    """Everything of one source.

    cameras      each a batch of one, at the pictures' size, lens distortion included
    originals    the source's own K, distortion and size of each camera, as they are to be kept
    takes        may be made one by one while they are asked for
    frames       (n,) int64, of the meshes
    vertices     (n, V, 3) float32 metres
    fps          frames a second
    up           (3,) the world's unit vector against gravity
    backgrounds  picture of the scene without the person, by camera
    notes        lines that the user should read: what was left out, what was assumed
    """

    format: str
    cameras: dict[str, Camera]
    originals: dict[str, dict]
    takes: Iterable[Take]
    frames: np.ndarray
    vertices: np.ndarray
    surface: Surface
    fps: float
    up: tuple[float, float, float]
    licence: str
    licence_file: Path | None = None
    person: str = "person"
    backgrounds: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
