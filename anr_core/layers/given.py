"""What an avatar that draws bones or keypoints is given: they, and the picture that lends its looks."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from anr_core.avatars import Avatar, Scene
from anr_core.capture.bones import draw_bones
from anr_core.skeleton import Skeleton

GIVEN = ("source", "skeleton")  # steps that stand before the drawing


def pictures_of(avatar: Avatar, scene: Scene) -> dict[str, torch.Tensor]:
    """By name, of GIVEN, what an avatar is given that draws bones or keypoints, (1, 3, H, W) each."""
    if "keypoints" in avatar.needs:
        return {"skeleton": bones_picture(avatar.points(scene)[0], avatar.skeleton, scene.size)}
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
    return bones_picture(points, avatar.skeleton, scene.size)


def bones_picture(points: torch.Tensor, skeleton: Skeleton, size: tuple[int, int]) -> torch.Tensor:
    """(1, 3, H, W) keypoints (K, 3), pixels and confidence, as bones on black."""
    picture = Image.new("RGB", size[::-1])
    draw_bones(picture, points.cpu().numpy(), skeleton, max(1, max(size) // 100))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
