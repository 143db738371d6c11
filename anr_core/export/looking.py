"""What stands beside a drawn picture to compare: the picture as it was filmed."""

from __future__ import annotations

import torch

from anr_core.avatars import Scene
from anr_core.capture import Capture, resample
from anr_core.layers.behind import window_of


def as_filmed(capture: Capture, name: str, moment: float, scene: Scene) -> torch.Tensor:
    """(1, 3, H, W) what a camera of the capture took nearest to a frame's number, in the scene's window."""
    frame = min((shot.frame for shot in capture.shots if shot.camera == name),
                key=lambda frame: abs(frame - moment))
    center, extent = window_of(capture.cameras[name], scene.camera, scene.size)
    return resample(capture.views([name], [frame])[0], center, extent, torch.zeros(1), scene.size).image
