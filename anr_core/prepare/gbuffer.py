"""What the body looks like to a renderer, as pictures beside a capture's own.

    gbuffer/CAMERA/0008_iuv.png      part, and u and v times 255: red, green, blue; black is background
    gbuffer/CAMERA/0008_normals.png  smooth normals as the camera sees them, from -1 to 1 as 0 to 255: red
                                     points right, green up, blue to the camera; black is background
"""

from __future__ import annotations

from pathlib import Path

import torch

from anr_core.capture import Capture
from anr_core.capture.pictures import write_image
from anr_core.rasterizer import rasterize
from anr_core.rasterizer.gbuffer import GBuffer


def write_gbuffer(capture: Capture, folder: Path) -> None:
    """Draw IUV and normals of every picture of a capture that has a body."""
    for shot in capture.shots:
        camera, posed = capture.cameras[shot.camera], capture.body(capture.pose(torch.tensor([shot.frame])))
        drawn = GBuffer.of(rasterize(posed.vertices, posed.surface.faces, camera, camera.size), posed, camera)
        iuv = drawn.iuv()[0] * torch.tensor([1.0, 255.0, 255.0])[:, None, None]
        towards = drawn.camera_normal * torch.tensor([1.0, -1.0, -1.0])  # our cameras look down and away
        normals = drawn.image(255 * (towards + 1) / 2)[0]
        place = folder / "gbuffer" / shot.camera
        place.mkdir(parents=True, exist_ok=True)
        for name, picture in (("iuv", iuv), ("normals", normals)):
            write_image(place / f"{shot.frame:04d}_{name}.png",
                        picture.permute(1, 2, 0).round().clamp(0, 255).byte().numpy())
