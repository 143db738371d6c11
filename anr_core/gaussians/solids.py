"""Primitives of a pose: one ellipsoid along each bone of a skeleton."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch.nn import functional

from anr_core.camera import Camera
from anr_core.skeleton import Skeleton
from anr_core.skeleton.widths import edge_widths

SHORTEST = 1e-3  # metres: a bone's length counts as at least this
# Squared sine of the angle to -e_x below which no minimal rotation tells up from down in float32
OPPOSITE = 1e-7


@dataclass(frozen=True)
class Solids:
    """B sets of N Gaussian primitives.

    means           (B, N, 3)     metres
    rotations       (B, N, 3, 3)  whose columns are the axes
    squared_scales  (B, N, 3)     along the axes, square metres
    present         (B, N)        bool; others weigh nothing, but hold numbers all the same
    """

    means: torch.Tensor
    rotations: torch.Tensor
    squared_scales: torch.Tensor
    present: torch.Tensor

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter((self.means, self.rotations, self.squared_scales, self.present))

    def expanded(self, count: int) -> Solids:
        """As many sets as there are cameras, of one set or of so many."""
        if len(self.means) not in (1, count):
            raise ValueError(f"gaussians: {len(self.means)} sets of primitives for {count} cameras; give one "
                             "set, or one for each camera.")
        return Solids(*(value.expand(count, *value.shape[1:]) for value in self))

    def seen_from(self, camera: Camera) -> Solids:
        """In camera coordinates, float64 as the camera is."""
        return replace(self, means=camera.camera_from_world(self.means.to(camera.R)),
                       rotations=camera.R[:, None] @ self.rotations.to(camera.R))


def solids_of(joints: torch.Tensor, skeleton: Skeleton, widths: Sequence[float] | None = None,
              confidence: torch.Tensor | None = None) -> Solids:
    """A primitive along each edge: from its middle, as long as the bone, as thick as `edge_widths` says.

    joints      (B, J, 3)  metres
    widths      of the edges, metres, in place of the skeleton's own
    confidence  (B, J)     where a joint has none, its bones weigh nothing, wherever it is, NaN too

    A bone without length is a disc across the X axis, SHORTEST thin; one against the X axis is turned half
    around Z. Raises ValueError for a joint that has confidence and is not finite.
    """
    if joints.ndim != 3 or tuple(joints.shape[1:]) != (len(skeleton), 3):
        raise ValueError(f"solids_of: joints have shape {tuple(joints.shape)}, expected "
                         f"(B, {len(skeleton)}, 3) of this skeleton.")
    widths = edge_widths(skeleton) if widths is None else widths
    if len(widths) != len(skeleton.edges):
        raise ValueError(f"solids_of: {len(widths)} widths for {len(skeleton.edges)} edges; give one each.")
    known = torch.ones_like(joints[..., 0], dtype=torch.bool) if confidence is None else confidence > 0
    lost = (known & ~joints.detach().isfinite().all(-1)).nonzero().tolist()
    if lost:
        raise ValueError(f"solids_of: joint {skeleton.names[lost[0][1]]} of pose {lost[0][0]} is not finite, "
                         f"and {len(lost) - 1} more; give joints that aren't known a confidence of 0.")
    joints = torch.where(known[..., None], joints, 0)
    start, end = _constant(tuple(skeleton.edges), torch.int64, joints.device).T
    bone = joints[:, end] - joints[:, start]
    length, direction = _length_and_direction(bone)
    if not torch.is_tensor(widths):
        widths = _constant(tuple(widths), torch.float32, joints.device)
    width = widths.to(joints).expand_as(length)
    scales = torch.stack([length.clamp(min=SHORTEST), width, width], -1)
    return Solids((joints[:, start] + joints[:, end]) / 2, rotation_from_x(direction), scales.square(),
                  known[:, start] & known[:, end])


@lru_cache(maxsize=32)
def _constant(values: tuple, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Numbers of a skeleton, made once: a GPU would wait for them in every frame."""
    return torch.tensor(values, dtype=dtype, device=device)


def _length_and_direction(bone: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(...) and unit (..., 3), which is e_x where there is no length; neither has a gradient there."""
    axis = functional.pad(bone.new_ones(1), (0, 2))
    none = (bone == 0).all(-1)
    length = torch.where(none[..., None], axis, bone).norm(dim=-1)
    direction = torch.where(none[..., None], axis, bone / length[..., None])
    return torch.where(none, 0, length), direction


def rotation_from_x(direction: torch.Tensor) -> torch.Tensor:
    """The smallest rotation that takes e_x to unit vectors (..., 3): (..., 3, 3).

    Against e_x, where there are many, it is the half-turn around Z, followed by a smallest rotation.
    """
    sideways = direction[..., 1:].square().sum(-1)
    opposite = (direction[..., 0] < 0) & (sideways < OPPOSITE)
    flip = torch.where(opposite, -1.0, 1.0).to(direction)
    x, y, z = (flip[..., None] * direction).unbind(-1)
    # 1 / (1 + x), which has no digits left near x = -1
    back = x < 0
    factor = torch.where(back, (1 - x) / torch.where(back, sideways, 1), 1 / (1 + torch.where(back, 0, x)))
    columns = [torch.stack([x, y, z], -1) * flip[..., None],
               torch.stack([-y, 1 - y * y * factor, -y * z * factor], -1) * flip[..., None],
               torch.stack([-z, -y * z * factor, 1 - z * z * factor], -1)]
    return torch.stack(columns, -1)
