"""Articulated neural human avatars: a capture of a person in, the person in any pose from any camera out.

The alphabet, which every file of this package speaks:

B V F J C N   batch, vertices, faces, joints, channels, points or covered pixels
H W           rows and columns of a picture; a size is always (H, W)

pictures      (B, C, H, W) float in [0, 1], sRGB-encoded, never linear light. Files and screens get
              (H, W, 3) uint8. A rendering's colour is straight: it was never multiplied by its mask.
units         metres, seconds, radians, pixels
cameras       OpenCV's: +X right, +Y down, +Z forward; x_camera = R x_world + t. The centre of the top-left
              pixel is (0.5, 0.5). Readers convert to this once; nothing inside asks what a number means.
uv            (U, 2) in [0, 1] with the origin at the bottom left, found through uv_faces (F, 3): it belongs
              to the corners of faces, not to vertices
part          of a face, from 1; 0 is background
rotations     of joints are axis-angle
certain       the pixels of a view whose mask can be believed; the others enter no loss and no metric
x_from_y      a transform that takes y's coordinates to x's: camera_from_world @ world_from_body

The names below are what a notebook starts with; each is imported when it is first used.
"""

import os
from importlib import import_module

# Before torch is imported: its threads then sleep while they wait for each other. Else each takes a core to
# wait, and where another process has one of two cores every step takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "Camera": "anr_core.camera",
    "Pose": "anr_core.body",
    "load_avatar": "anr_core.avatars.run",
    "load_capture": "anr_core.capture",
    "load_motion": "anr_core.motion",
    "open_viewer": "anr_core.viewer",
    "rasterize": "anr_core.rasterizer",
    "studio_capture": "anr_core.prepare.studio",
    "train": "anr_core.training",
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    if name == "gaussians":  # not a name out of a room but the room: anr_core.gaussians.render
        return import_module("anr_core.gaussians")
    if name not in _HOMES:
        raise AttributeError(f"anr_core has no {name!r}; it offers {', '.join(_HOMES)}.")
    return getattr(import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *_HOMES])
