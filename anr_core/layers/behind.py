"""What is behind the person before a known camera, through the window that a scene looks through."""

from __future__ import annotations

import torch
from torch.nn import functional

from anr_core.avatars import Avatar
from anr_core.camera import Camera
from anr_core.capture import Capture
from anr_core.capture.window import sample


def window_of(whole: Camera, window: Camera, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where in a camera's picture a window is that is drawn at size (H, W): its centre and extent (1, 2).

    A window is a part of the picture that is not turned: its camera has the same axes, but another K.
    """
    whole, window = whole.K.cpu(), window.K.cpu()
    size = window.new_tensor([size[::-1]])
    zoom = window[:, [0, 1], [0, 1]] / whole[:, [0, 1], [0, 1]]
    return whole[:, :2, 2] + (size / 2 - window[:, :2, 2]) / zoom, size / zoom


def own_background(avatar: Avatar, capture: Capture, name: str, window: Camera,
                   size: tuple[int, int]) -> torch.Tensor | None:
    """(1, 3, H, W) what is behind the person, in a window of a camera of the capture.

    It is what the avatar has learned of that camera, else what the capture knows; None where neither does.
    Black is what lies beside the camera's picture.
    """
    whole = avatar.background(name)
    whole = capture.background(name) if whole is None else whole.detach().cpu()
    if whole is None:
        return None
    return in_window(whole, capture.cameras[name], window, size)


def in_window(whole: torch.Tensor, camera: Camera, window: Camera, size: tuple[int, int]) -> torch.Tensor:
    """(1, 3, H, W) of a camera's whole picture, at any size, what is in a window; black beside it."""
    if whole.shape[2:] != camera.size:  # it may have been learned smaller; scaled so, its rim doesn't fade
        whole = functional.interpolate(whole, size=camera.size, mode="bilinear", antialias=True,
                                       align_corners=False)
    return sample(whole, *window_of(camera, window, size), torch.zeros(1), size)
