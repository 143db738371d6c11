"""What a capture gives to a renderer, in pictures: a frame, its mask, IUV, normals and unwrapped texture."""

from __future__ import annotations

import numpy as np

from anr_core.capture import Capture
from anr_core.layers import iuv_colours, normal_colours, picture
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
    return {"frame": picture(view.image), "mask": picture(view.mask.expand(-1, 3, -1, -1)),
            "IUV": picture(iuv_colours(buffer.iuv(), posed.surface)),
            "normals": picture(normal_colours(buffer.image(buffer.camera_normal))),
            "unwrapped texture": picture(texture * (weight > 0))}
