"""SMPL as a fit to meshes moves it: every joint for itself, and any of its vertices alone; see `figures`."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch.nn import functional

from anr_core.body import Pose
from anr_core.body.smpl import SmplBody
from anr_core.prepare.fitting.figures import BEYOND, FINGERS, LEAST_SPREAD, STIFF, TALL_ERROR
from anr_core.prepare.fitting.smpl_puppet import SmplPuppet, smpl_from_body
from anr_core.skeleton import anny_limits, joints_for_anny

ENDS = ("foot", "hand", "jaw", "eyeball", *FINGERS)  # small joints


@dataclass(frozen=True)
class Chosen:
    """What poses N vertices: their rest, linear in the betas and in how the pose bends, and who moves them.

    mean     (3, N)
    basis    (K, 3 N)
    bending  (9 (J - 1), 3 N)
    weight   (N, J)
    """

    mean: torch.Tensor
    basis: torch.Tensor
    bending: torch.Tensor
    weight: torch.Tensor


class SmplFigure:
    """A model of SMPL's family, its shape being the betas; what AnnyFigure is for Anny."""

    def __init__(self, model_type: str, openpose: bool = True):
        self.puppet = SmplPuppet(model_type, openpose)
        tree = self.puppet.body.skeleton
        self.faces = self.puppet.body.surface.faces
        self.fingers = torch.tensor([any(word in name for word in ENDS) for name in tree.names[1:]])
        self.low, self.high = _limits(tree)
        spread = ((self.high - self.low) / 2).clamp(min=LEAST_SPREAD)
        self.spread = torch.where(self.fingers[:, None], STIFF * spread, spread)
        self.everything = self.choose(torch.arange(self.puppet.mean.shape[1]))

    def choose(self, vertex: torch.Tensor) -> Chosen:
        """What poses vertices (N,)."""
        puppet = self.puppet
        basis, mean = puppet.resting(vertex)
        return Chosen(mean, basis.flatten(1),
                      puppet.bending[vertex].permute(2, 1, 0).flatten(1), puppet.weights[vertex])

    def rest(self, shape: torch.Tensor, chosen: Chosen) -> tuple[torch.Tensor, torch.Tensor]:
        """Of a shape, the chosen vertices (3, N) in no pose, and where its joints rest."""
        return chosen.mean + (shape @ chosen.basis).view(3, -1), self.puppet.resting_joints(shape)

    def points(self, rest: tuple[torch.Tensor, torch.Tensor], pose: Pose, chosen: Chosen) -> torch.Tensor:
        """(F, N, 3) where poses bring the chosen vertices, metres; differentiable in rest and pose."""
        vertices, joints = rest
        turns = roma.rotvec_to_rotmat(torch.cat([pose.root_rotation[:, None], pose.rotations], 1))
        carry = self.puppet.carried(joints, turns, pose.root_translation + joints[0])
        bent = vertices + (carry.bent @ chosen.bending).unflatten(1, (3, -1))  # (F, 3, N)
        mixed = (chosen.weight @ carry.moves.transpose(0, 1).flatten(1)).view(-1, len(pose), 3, 4)
        return ((mixed[..., :3] * bent.permute(2, 0, 1)[:, :, None]).sum(-1) + mixed[..., 3]).transpose(0, 1)

    def cost(self, shape: torch.Tensor, pose: Pose) -> torch.Tensor:
        """How unlikely a shape and F poses are: by Anny's limits, about her axes and out of her A-pose."""
        to_a_pose = self.puppet.posed_from_rest
        turns = to_a_pose[list(self.puppet.parents[1:])] @ roma.rotvec_to_rotmat(
            pose.rotations) @ to_a_pose[1:].mT
        turns = roma.rotmat_to_rotvec(turns) @ smpl_from_body
        beyond = functional.relu(self.low - turns) + functional.relu(turns - self.high)
        return 0.5 * (shape.square().sum() + (turns / self.spread).square().sum()
                      + (beyond / BEYOND).square().sum())

    def as_tall(self, metres: float) -> torch.Tensor:
        """The likeliest shape of people who are so tall: linear, so in closed form."""
        height = self.puppet.mean[1]
        ends = torch.stack([height.argmax(), height.argmin()])
        (top, bottom), by_beta = height[ends], self.puppet.basis[:, 1, ends] @ torch.tensor([1.0, -1.0])
        lacking = metres - (top - bottom)
        return by_beta * lacking / (by_beta.square().sum() + TALL_ERROR**2)

    def body(self, shape: torch.Tensor) -> SmplBody:
        """The body of a shape."""
        return self.puppet.person(shape)


def _limits(tree):
    """(J - 1, 3) low and high, radians: joints of Anny in a row add up, those side by side turn as one."""
    low, high = torch.zeros(len(tree), 3), torch.zeros(len(tree), 3)
    mine, limits = torch.tensor(joints_for_anny(tree))[1:], torch.tensor(anny_limits())
    low.index_add_(0, mine, limits[..., 0])
    high.index_add_(0, mine, limits[..., 1])
    count = mine.bincount(minlength=len(tree))
    for row, name in enumerate(tree.names):
        if name.endswith(("_foot", "_hand")):
            low[row], high[row] = low[row] / count[row], high[row] / count[row]
    return low[1:], high[1:]
