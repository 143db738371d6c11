"""What a capture gives to a renderer, in pictures: a frame, its mask, IUV, normals and unwrapped texture."""

from __future__ import annotations

import numpy as np
import torch

from anr_core.capture import Capture
from anr_core.export.layers import captions, picture
from anr_core.rasterizer import gbuffer
from anr_core.texture import Unwrapping


def glimpse(capture: Capture, camera: str | None = None, frame: int | None = None, size: int = 256
            ) -> dict[str, np.ndarray]:
    """(size, size, 3) uint8 by what they are, of one view around the body.

    camera, frame  None for the first registered picture

    Raises ValueError where there is no such picture, or no body yet.
    """
    there = [shot for shot in capture.shots if shot.registered and camera in (None, shot.camera)
             and frame in (None, shot.frame)]
    if not there:
        raise ValueError(f"{capture.path} has no registered picture of camera {camera}, frame {frame}.")
    shot = there[0]
    view = capture.views([shot.camera], [shot.frame], crop="body", size=size)[0]
    posed = capture.body(view.pose)
    buffer = gbuffer(posed, view.camera, (size, size))
    unwrapping = Unwrapping(posed.surface, size)
    unwrapping.add(view.image, view.trusted(), posed, view.camera)
    texture, weight = unwrapping.texture()
    towards = buffer.camera_normal * torch.tensor([1.0, -1.0, -1.0])
    iuv = buffer.iuv()
    return {"frame": picture(view.image), "mask": picture(view.mask.expand(-1, 3, -1, -1)),
            "IUV": picture(torch.cat([iuv[:, :1] / posed.surface.part.max(), iuv[:, 1:]], 1)),
            "normals": picture(buffer.image((towards + 1) / 2)),
            "unwrapped texture": picture(texture * (weight > 0))}


def beside(pictures: dict[str, np.ndarray]) -> np.ndarray:
    """(H, W, 3) uint8: all of them in a row under their names."""
    row = np.concatenate(list(pictures.values()), 1)
    return np.concatenate([captions(list(pictures), row.shape[1]), row])
