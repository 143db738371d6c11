"""Anny as a fit to meshes moves it: every joint for itself, and any of its vertices alone."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch.nn import functional

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody, baked, chain, joints_from_coefficients, rigid
from anr_core.prepare.fitting.energy import build_cost
from anr_core.prepare.fitting.puppet import Puppet
from anr_core.skeleton import ANNY, anny_limits

# Radians beyond a joint's limit that count as one standard deviation, and the least spread, which axes have
# that don't turn. Of fingers and toes the limits' part that they stray by: errors are large beside them.
BEYOND, LEAST_SPREAD, STIFF = 0.05, 0.02, 0.4
FINGERS = ("thumb", "index", "middle", "ring", "pinky", "toe", "eyeball")

TALL_ERROR = 0.03  # metres


@dataclass(frozen=True)
class Chosen:
    """What poses N vertices: their rest, linear in K coefficients of the shape, and the joints they follow.

    mean    (3, N)
    basis   (K, 3 N)
    weight  (N, J)
    """

    mean: torch.Tensor
    basis: torch.Tensor
    weight: torch.Tensor


class AnnyFigure:
    """Anny, its shape being logits (P,) of the phenotypes in `puppet.BUILD`.

    faces       (F, 3)
    fingers     (J - 1,) bool: small joints, which move last
    everything  what poses all vertices
    """

    def __init__(self, openpose: bool = True):
        """Its puppet's keypoints are OpenPose's, or COCO's."""
        self.puppet = Puppet(openpose)
        self.faces = self.puppet.body.surface.faces
        self.fingers = torch.tensor([any(word in name for word in FINGERS) for name in ANNY.names[1:]])
        self.low, self.high = torch.tensor(anny_limits()).unbind(-1)
        spread = ((self.high - self.low) / 2).clamp(min=LEAST_SPREAD)
        self.spread = torch.where(self.fingers[:, None], STIFF * spread, spread)
        self.everything = self.choose(torch.arange(baked()["mean_vertices"].shape[1]))

    def choose(self, vertex: torch.Tensor) -> Chosen:
        """What poses vertices (N,)."""
        basis, mean = self.puppet.resting(vertex)
        return Chosen(mean, basis.flatten(1), self.puppet.weights[vertex])

    def rest(self, shape: torch.Tensor, chosen: Chosen) -> tuple[torch.Tensor, ...]:
        """Of a shape, the chosen vertices (3, N) in no pose, and what its joints are."""
        coefficients = self.puppet.coefficients(shape[None])
        return (chosen.mean + (coefficients @ chosen.basis).view(3, -1),
                *joints_from_coefficients(coefficients))

    def points(self, rest: tuple[torch.Tensor, ...], pose: Pose, chosen: Chosen) -> torch.Tensor:
        """(F, N, 3) where poses bring the chosen vertices, metres; differentiable in rest and pose."""
        vertices, steps, joint_from_rest = rest
        turns = roma.rotvec_to_rotmat(torch.cat([pose.root_rotation[:, None], pose.rotations], 1))
        steps = steps + functional.pad(pose.root_translation[:, None], (0, 0, 0, len(ANNY) - 1))
        carry = (chain(rigid(turns, steps), self.puppet.body.hops) @ joint_from_rest)[:, :, :3]
        mixed = (chosen.weight @ carry.transpose(0, 1).flatten(1)).view(-1, len(pose), 3, 4)
        return ((mixed[..., :3] * vertices.T[:, None, None]).sum(-1) + mixed[..., 3]).transpose(0, 1)

    def cost(self, shape: torch.Tensor, pose: Pose) -> torch.Tensor:
        """How unlikely a shape and F poses are."""
        turns = pose.rotations
        beyond = functional.relu(self.low - turns) + functional.relu(turns - self.high)
        return build_cost(self.puppet, shape) + 0.5 * ((turns / self.spread).square()
                                                       + (beyond / BEYOND).square()).sum()

    def as_tall(self, metres: float) -> torch.Tensor:
        """The likeliest shape of people who are so tall."""
        shape = self.puppet.build_mean.clone().requires_grad_()
        height = self.everything.mean[2]
        ends = self.choose(torch.stack([height.argmin(), height.argmax()]))
        optimiser = torch.optim.Adam([shape], lr=0.1)
        for _ in range(60):
            low, high = (ends.mean + (self.puppet.coefficients(shape[None]) @ ends.basis).view(3, -1))[2]
            cost = 0.5 * ((high - low - metres) / TALL_ERROR).square() + build_cost(self.puppet, shape)
            optimiser.zero_grad()
            cost.backward()
            optimiser.step()
        return shape.detach()

    def body(self, shape: torch.Tensor) -> AnnyBody:
        """The body of a shape."""
        return AnnyBody(self.puppet.shape(shape))
