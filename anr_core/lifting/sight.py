"""What a picture's keypoints look like to a camera that looks straight at the person."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from anr_core.camera import Camera
from anr_core.skeleton import Skeleton

LEAST = 0.05  # confidence below which a keypoint counts as hidden
STEEP = 0.2  # sine between the line of sight and gravity below which a camera looks straight down


@dataclass(frozen=True)
class Sight:
    """Keypoints as the regressor is shown them, and the axes of its answer.

    seen              (B, J, 3)  place in units of the person's extent, +Y down, and confidence; the places'
                                 middle is (0, a) where the line of sight leads down by an angle a, radians
    world_from_sight  (B, 3, 3)  +X to the right, +Y along gravity, +Z away from the camera
    """

    seen: torch.Tensor
    world_from_sight: torch.Tensor

    def to_world(self, joints: torch.Tensor) -> torch.Tensor:
        """Joints (B, J, 3) along the world's axes."""
        return joints @ self.world_from_sight.mT

    def from_world(self, joints: torch.Tensor, rows: list[int] | slice = slice(None)) -> torch.Tensor:
        """Joints (B, J, 3) of some of the pictures along the sight's axes."""
        return joints @ self.world_from_sight[rows]


def look(keypoints: torch.Tensor, camera: Camera, up: torch.Tensor | None = None) -> Sight:
    """How a camera sees keypoints (B, J, 3), pixels and confidence, once it looks straight at the person.

    camera  one, or B
    up      (3,) against gravity in the world; if not given, the camera is held level

    A keypoint that is not finite, or whose confidence is below LEAST, is hidden: 0, 0, 0. The published
    network is given pixels over the picture's width, which tie it to one crop, focal length and distance; K
    is known here, so rays are what it is given; and with gravity how steeply it looks, which tells a body
    that leans from a camera that does.
    """
    keypoints = torch.where(keypoints.isfinite().all(-1, keepdim=True), keypoints, 0)
    confidence = keypoints[..., 2].clamp(0, 1)
    if len(camera) == 1 < len(keypoints):
        camera = Camera.cat([camera] * len(keypoints))
    if camera.projection == "weak":
        # its rays are parallel: places in metres are as good as directions seen from very far
        directions = camera.camera_from_world(camera.rays(keypoints[..., :2])[0])
        middle = _mean(directions, confidence)
        directions = functional.pad((directions - middle)[..., :2] * 1e-3, (0, 1), value=1.0)
    else:
        directions = camera.rays(keypoints[..., :2])[1] @ camera.R.mT
    if up is None:
        against = -camera.R.new_tensor([0.0, 1.0, 0.0]).expand(len(camera), 3)
    else:
        against = camera.R @ torch.as_tensor(up).to(camera.R)
    if camera.projection == "weak":  # the directions are about its axis
        against = against.expand(len(directions), 3)
    seen, camera_from_sight = facing(directions, confidence, against)
    return Sight(seen, camera.R.mT @ camera_from_sight)


def facing(directions: torch.Tensor, confidence: torch.Tensor,
           up: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`Sight.seen`, and the turn (B, 3, 3) of a camera from the sight, of directions (B, J, 3) in its axes.

    confidence  (B, J)
    up          (B, 3) against gravity, in the camera's axes
    """
    confidence = torch.where(confidence >= LEAST, confidence, 0)
    there = (confidence > 0).to(directions)
    ahead = directions.new_tensor([0.0, 0.0, 1.0])
    middle = functional.normalize(_mean(functional.normalize(directions, dim=-1), there)[:, 0], dim=-1)
    middle = torch.where(there.any(1, keepdim=True), middle, ahead)
    down = -functional.normalize(up, dim=-1)
    right = torch.linalg.cross(down, middle)
    # straight down any direction is to the right: the picture's own
    sideways = torch.linalg.cross(torch.linalg.cross(down, middle.new_tensor([[1.0, 0, 0]])), down)
    right = torch.where(right.norm(dim=-1, keepdim=True) > STEEP, right, sideways)
    right = functional.normalize(right, dim=-1)
    camera_from_sight = torch.stack([right, down, torch.linalg.cross(right, down)], -1)
    below = functional.normalize(torch.linalg.cross(middle, right), dim=-1)
    local = directions @ torch.stack([torch.linalg.cross(below, middle), below, middle], -1)
    flat = local[..., :2] / local[..., 2:].clamp(min=0.1)  # 84 degrees off the axis nobody is a person's limb
    flat = flat - _mean(flat, there)
    extent = _mean(flat.square().sum(-1, keepdim=True), there).sqrt()
    flat = flat / extent.clamp(min=1e-6)
    # places have no middle and no extent of their own any more: there is room to say how steep it goes down
    steep = torch.asin((middle * down).sum(-1).clamp(-1, 1))
    flat = torch.stack([flat[..., 0], flat[..., 1] + steep[:, None]], -1) * there[..., None]
    return torch.cat([flat, confidence[..., None]], -1), camera_from_sight


def _mean(values, weights):
    """(B, 1, D) of values (B, J, D) with weights (B, J); 0 where there are none."""
    return (weights[..., None] * values).sum(1, keepdim=True) / weights.sum(1).clamp(min=1e-9)[:, None, None]


def root(joints: torch.Tensor, skeleton: Skeleton) -> torch.Tensor:
    """(..., 1, D) what joints (..., J, D) are counted from: the skeleton's root, or the middle of the hips.

    Rochette et al. count from the sternum where there is one.
    """
    if skeleton.parents is not None:
        rows = [skeleton.parents.index(-1)]
    elif "sternum" in skeleton.names:
        rows = [skeleton.names.index("sternum")]
    else:
        rows = [skeleton.names.index(f"{side}_hip") for side in ("left", "right")]
    return joints[..., rows, :].mean(-2, keepdim=True)
