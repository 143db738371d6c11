"""Small corrections of registered poses and of cameras, which are learned with the rest.

A registration is some millimetres and degrees off, and an avatar that is trained on it learns to blur. So
each trained frame may move as a whole and turn at its large joints, and each camera may turn about its
centre. What they can do is little: it is measured in units of what real fits err by, held to zero, and smooth
in time.
"""

from __future__ import annotations

from dataclasses import replace

import roma
import torch
from torch import nn
from torch.nn import functional

from anr_core.body import Body, Posed
from anr_core.camera import Camera
from anr_core.capture.view import View
from anr_core.skeleton import Skeleton

# What a registration errs by: the unit of its correction.
METRES, RADIANS, JOINT_RADIANS, CAMERA_RADIANS = 0.004, 0.008, 0.02, 0.002

JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "neck", "head", "spine1")


class Refinement(nn.Module):
    """Corrections of the pictures that an avatar is trained on; anything else is left as it is.

    pictures  (camera name, frame) of every training picture
    skeleton  of the body that is posed by joints; None where its meshes only move as a whole
    """

    def __init__(self, pictures: list[tuple[str, int]], skeleton: Skeleton | None):
        super().__init__()
        self.cameras, self.frames = (sorted({picture[part] for picture in pictures}) for part in (0, 1))
        self.joints = [row for row, name in enumerate(skeleton.names[1:] if skeleton else ())
                       if name.removeprefix("left_").removeprefix("right_") in JOINTS]
        # in units of what registrations err by: shift, turn, and turn of each joint
        self.poses = nn.Parameter(torch.zeros(len(self.frames), 2 + len(self.joints), 3))
        self.turns = nn.Parameter(torch.zeros(len(self.cameras), 3))
        gaps = torch.tensor(self.frames, dtype=torch.float32).diff()
        self.register_buffer("gaps", gaps, persistent=False)

    def forward(self, view: View, body: Body) -> tuple[Posed, Camera]:
        """The corrected meshes and cameras of views; those that were not trained are as registered."""
        poses = found(self.poses, self.frames, view.frame.tolist())
        turns = found(self.turns, self.cameras, view.camera_name)
        return self._posed(body, view.pose, poses), turned(view.camera, CAMERA_RADIANS * turns)

    def _posed(self, body, pose, corrections):
        shift, turn = METRES * corrections[:, 0], RADIANS * corrections[:, 1]
        if self.joints:
            turns = torch.zeros_like(pose.rotations)
            turns[:, self.joints] = JOINT_RADIANS * corrections[:, 2:]
            pose = replace(pose, rotations=roma.rotvec_composition((turns, pose.rotations)))
        posed = body(pose)
        middle = posed.vertices.detach().mean(1, keepdim=True)
        rotation, shift = roma.rotvec_to_rotmat(turn).to(middle), shift[:, None].to(middle)
        return replace(posed, vertices=(posed.vertices - middle) @ rotation.mT + middle + shift)

    def regularization(self) -> torch.Tensor:
        """Holds corrections to zero, and those of neighbouring frames to each other."""
        jumps = self.poses.diff(dim=0).square().mean((1, 2)) / self.gaps
        return self.poses.square().mean() + self.turns.square().mean() + 3 * jumps.sum() / len(self.poses)


def found(table: torch.Tensor, names: list, wanted: list) -> torch.Tensor:
    """The rows of a table that stand for what is wanted; zeros for what has none."""
    rows = {name: row for row, name in enumerate(names)}
    zero = functional.pad(table, (0, 0) * (table.ndim - 1) + (0, 1))
    return zero[[rows.get(name, len(names)) for name in wanted]]


def turned(camera: Camera, turns: torch.Tensor) -> Camera:
    """Cameras, each turned about its centre by an axis-angle (B, 3) in the world."""
    R = camera.R @ roma.rotvec_to_rotmat(turns).to(camera.R)
    return replace(camera, R=R, t=-(R @ camera.center[..., None])[..., 0])
