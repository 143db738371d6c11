"""The records every body speaks: a pose goes in, a posed mesh on a constant surface comes out."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import torch
from torch import nn


@dataclass(frozen=True)
class Pose:
    """One pose a batch item; a tracked body looks only at `frame`.

    rotations         (B, J, 3)  axis-angle of every joint but the root, radians
    root_rotation     (B, 3)     axis-angle, world from body
    root_translation  (B, 3)     metres
    frame             (B,)       integer frame number of the capture, or None
    """

    rotations: torch.Tensor
    root_rotation: torch.Tensor
    root_translation: torch.Tensor
    frame: torch.Tensor | None = None

    @staticmethod
    def of_frame(frame: torch.Tensor) -> Pose:
        """A pose known by its frame number (B,) alone, as a tracked body wants it."""
        zeros = torch.zeros(len(frame), 3, device=frame.device)
        return Pose(zeros.new_zeros(len(frame), 0, 3), zeros, zeros, frame)

    def to(self, device) -> Pose:
        return replace(self, **{f.name: value.to(device) for f in fields(self)
                                if (value := getattr(self, f.name)) is not None})


@dataclass(frozen=True)
class Surface:
    """What stays constant of a person: the triangles, their texture coordinates and parts.

    faces     (F, 3)  int64, vertex indices
    uv        (U, 2)  in [0, 1], origin at the bottom left
    uv_faces  (F, 3)  int64, indices into uv: one for each face corner
    part      (F,)    int64 part of each face, from 1; 0 is background
    """

    faces: torch.Tensor
    uv: torch.Tensor
    uv_faces: torch.Tensor
    part: torch.Tensor
    skeleton: object | None = field(default=None, compare=False)

    def to(self, device) -> Surface:
        return replace(self, faces=self.faces.to(device), uv=self.uv.to(device),
                       uv_faces=self.uv_faces.to(device), part=self.part.to(device))


@dataclass(frozen=True)
class Posed:
    """A mesh in its pose: vertices (B, V, 3) and joints (B, J, 3) or None, metres, world."""

    vertices: torch.Tensor
    joints: torch.Tensor | None
    surface: Surface


class Body(nn.Module):
    """What poses a person: `body(pose)` is Posed, on a surface that moves between devices with the module."""

    def __init__(self, surface: Surface):
        super().__init__()
        self.surface = surface

    @property
    def skeleton(self):
        return self.surface.skeleton

    def _apply(self, change, recurse=True):  # what `to`, `cuda` and `cpu` all call
        super()._apply(change, recurse)
        self.surface = self.surface.to(next(self.buffers()).device)
        return self

    def forward(self, pose: Pose) -> Posed:
        raise NotImplementedError
