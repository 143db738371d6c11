"""What stands beside a drawn picture to compare: bones, who lends the looks, the picture as it was filmed."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from anr_core.avatars import Avatar, Scene
from anr_core.capture import Capture, resample
from anr_core.capture.bones import draw_bones

GIVEN = ("source", "skeleton")  # steps that stand before the drawing


def pictures_of(avatar: Avatar, scene: Scene) -> dict[str, torch.Tensor]:
    """By name, of GIVEN, what an avatar that draws bones is given, (1, 3, H, W) each; nothing of others."""
    if avatar.draws != "view pair":
        return {}
    source = functional.interpolate(avatar.source, size=scene.size, mode="bilinear", antialias=True,
                                    align_corners=False)
    return {"source": source, "skeleton": skeleton_picture(avatar, scene)}


def skeleton_picture(avatar: Avatar, scene: Scene) -> torch.Tensor:
    """(1, 3, H, W) the bones that are drawn, on black."""
    joints = avatar.joints(scene)[:1].cpu()
    pixels, depth = scene.camera.to("cpu").project(joints[..., :3])
    points = torch.cat([pixels, joints[..., 3:] * (depth > 0)[..., None]], -1)[0]
    picture = Image.new("RGB", scene.size[::-1])
    draw_bones(picture, points.numpy(), avatar.skeleton, max(1, max(scene.size) // 100))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


def as_filmed(capture: Capture, name: str, moment: float, scene: Scene) -> torch.Tensor:
    """(1, 3, H, W) what a camera of the capture took nearest to a frame's number, in the scene's window."""
    frame = min((shot.frame for shot in capture.shots if shot.camera == name),
                key=lambda frame: abs(frame - moment))
    whole, window = capture.cameras[name].K, scene.camera.K.cpu()
    # a window is a part of the picture that is not turned: its camera has the same axes, but another K
    size = window.new_tensor([scene.size[::-1]])
    zoom = window[:, [0, 1], [0, 1]] / whole[:, [0, 1], [0, 1]]
    center = whole[:, :2, 2] + (size / 2 - window[:, :2, 2]) / zoom
    return resample(capture.views([name], [frame])[0], center, size / zoom, torch.zeros(1), scene.size).image
