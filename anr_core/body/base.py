"""The records every body speaks: a pose goes in, a posed mesh on a constant surface comes out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace

import torch
from torch import nn

from anr_core.telling import quoted


@dataclass(frozen=True)
class Pose:
    """One pose a batch item; a tracked body looks only at `frame`.

    rotations         (B, J, 3)  axis-angle of every joint but the root, radians
    root_rotation     (B, 3)     axis-angle, world from body
    root_translation  (B, 3)     metres
    frame             (B,)       frame number of the capture, which may lie between two, or None
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

    def __len__(self) -> int:
        return len(self.root_translation)

    def __getitem__(self, rows: slice | torch.Tensor) -> Pose:
        return self._map(lambda value: value[rows])

    def to(self, device) -> Pose:
        """The same poses on another device."""
        return self._map(lambda value: value.to(device))

    def _map(self, change) -> Pose:
        return replace(self, **{f.name: change(value) for f in fields(self)
                                if (value := getattr(self, f.name)) is not None})

    def at(self, frame: torch.Tensor) -> Pose:
        """The poses of frame numbers (B,), out of this batch, whose frames rise.

        Between two of them every joint turns evenly, the shorter way round. Raises ValueError outside.
        """
        if not bool(((frame >= self.frame[0]) & (frame <= self.frame[-1])).all()):
            raise ValueError(f"Frames {float(frame.min()):g} to {float(frame.max()):g} were asked for, but "
                             f"poses are known from {int(self.frame[0])} to {int(self.frame[-1])}.")
        after = torch.searchsorted(self.frame, frame)
        exact = self.frame[after] == frame
        if bool(exact.all()):
            return self[after]
        one, other = self[torch.where(exact, after, after - 1)], self[after]
        share = torch.where(exact, 0, (frame - one.frame) / (other.frame - one.frame).clamp(min=1)).float()
        return Pose(_between(one.rotations, other.rotations, share[:, None, None]),
                    _between(one.root_rotation, other.root_rotation, share[:, None]),
                    torch.lerp(one.root_translation, other.root_translation, share[:, None]), frame)


def _between(one: torch.Tensor, other: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Rotations (..., 3) a share of the way from one to another."""
    import roma  # a second to import, and few need it

    return roma.rotvec_composition((one, share * roma.rotvec_composition((roma.rotvec_inverse(one), other))))


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
        """The same surface on another device."""
        return replace(self, faces=self.faces.to(device), uv=self.uv.to(device),
                       uv_faces=self.uv_faces.to(device), part=self.part.to(device))


@dataclass(frozen=True)
class Posed:
    """A mesh in its pose: vertices (B, V, 3) and joints (B, J, 3) or None, metres, world."""

    vertices: torch.Tensor
    joints: torch.Tensor | None
    surface: Surface

    def on(self, surface: Surface) -> Posed:
        """The same mesh on another surface of its triangles, and on that one's device."""
        device = surface.faces.device
        joints = None if self.joints is None else self.joints.to(device)
        return Posed(self.vertices.to(device), joints, surface)


class Body(nn.Module):
    """What poses a person: `body(pose)` is Posed, on a surface that moves between devices with the module.

    part_names  of parts 1, 2, 3 ...; none where nobody has named them
    """

    part_names: tuple[str, ...] = ()

    def __init__(self, surface: Surface):
        super().__init__()
        self.surface = surface

    @property
    def skeleton(self):
        """The surface's skeleton, whose joints `Posed.joints` are; None for meshes without."""
        return self.surface.skeleton

    def _apply(self, change, recurse=True):  # what `to`, `cuda` and `cpu` all call
        super()._apply(change, recurse)
        self.surface = self.surface.to(next(self.buffers()).device)
        return self

    def forward(self, pose: Pose) -> Posed:
        """The mesh of B poses, vertices (B, V, 3) metres, world."""
        raise NotImplementedError

    def rest_pose(self) -> Pose:
        """A batch of one: how the body stands by itself, upright in its world."""
        raise NotImplementedError

    def parts(self, names: Iterable[str]) -> list[int]:
        """The parts that names mean: a number, or words that a part's name is made of, such as "thigh".

        Raises ValueError for a name that means none.
        """
        found, last = [], int(self.surface.part.max())
        for name in names:
            words = set(name.split("_"))
            meant = [part for part, whole in enumerate(self.part_names, 1) if words <= set(whole.split("_"))]
            if name.isdecimal() and 1 <= int(name) <= last:
                meant = [int(name)]
            if not meant:
                there = f", or {', '.join(self.part_names)}" if self.part_names else ""
                raise ValueError(f"This body has no part {quoted(name)}; its parts are 1 to {last}{there}.")
            found += meant
        return sorted(set(found))
