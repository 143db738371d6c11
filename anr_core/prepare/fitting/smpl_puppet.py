"""SMPL as a fit moves it: by the same controls as Anny, so that prior, limits and search are the same.

Anny's controls turn joints of a person in an A-pose, SMPL's rest is a T-pose with other axes. So SMPL is
first brought into Anny's A-pose, bone by bone, by turns that are constant: a joint that a control turns by C
about the body's axes is turned by (turn of its parent)^-1 C (its own turn) out of the T-pose. The shape is
SMPL's betas, whose prior is the normal distribution that they were learned with.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch.nn import functional

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody, chain, hops, rigid
from anr_core.body.controls import shortest_turn
from anr_core.body.smpl import SmplBody, keypoint_mix, own_model, own_variant
from anr_core.prepare.fitting.prior import control_axes, joint_shares, pose_prior
from anr_core.prepare.fitting.puppet import KEYPOINT_NAMES, Motion, moved
from anr_core.skeleton import ANNY, BODY25, COCO23, joints_for_anny, shared_joints

# Bones along which SMPL is brought into Anny's pose, by the joint that turns them and the joint at their end.
# Feet stand flat on the ground in both.
BONES = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}

smpl_from_body = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # Anny's axes: +Z up, looks along -Y


@dataclass(frozen=True)
class Carry:
    """What poses do to a model's rest.

    moves    (F, J, 3, 4)    world from rest, of each joint's skin
    joints   (F, J, 3)       metres, world
    bent     (F, 9 (J - 1))  what pose blend shapes are linear in
    """

    moves: torch.Tensor
    joints: torch.Tensor
    bent: torch.Tensor

    @property
    def shape(self) -> torch.Size:
        """That of the moves, as if this were a tensor."""
        return self.moves.shape


@dataclass(frozen=True)
class Rested:
    """What a model of one shape is in no pose: coefficients (K,) of the shape basis, joints (J, 3) and the
    vertices that keypoints are picked of (P, 3), metres."""

    coefficients: torch.Tensor
    joints: torch.Tensor
    picked: torch.Tensor


class SmplPuppet:
    """Poses a model of SMPL's family by a Motion, as Puppet does Anny; its build is the betas."""

    def __init__(self, model_type: str, openpose: bool = True, person: SmplBody | None = None):
        """Keypoints are OpenPose's, or COCO's; of a person who is known no build is asked.

        Raises FileNotFoundError or ValueError for a file that isn't the user's model, or another one.
        """
        self.model_type, self.known = model_type, person is not None
        self.variant = person.variant if self.known else own_variant(model_type)
        self.body = person or SmplBody(own_model(model_type, self.variant), model_type, self.variant)
        self.picked, self.mix = _keypoints(self.body, openpose)
        model, self.parents = self.body.model, self.body.skeleton.parents
        self.hops, self.weights = hops(self.parents), model.lbs_weights
        self.mean, self.basis = model.v_template.T, model.shapedirs.permute(2, 1, 0)  # (3, V), (K, 3, V)
        self.bending = model.posedirs.T.unflatten(0, (-1, 3))  # (V, 3, 9 (J - 1))
        self.joint_mean = model.J_regressor @ model.v_template
        self.joint_basis = (self.basis @ model.J_regressor.T).mT  # (K, J, 3)

        anny = AnnyBody()
        self.prior = pose_prior(anny)
        self.build_mean, self.build_spread = torch.zeros(len(self.basis)), torch.ones(len(self.basis))
        if self.known:
            betas = self.body.betas[0]
            self.build_mean[:len(betas)] = betas
        turned = torch.tensor(joints_for_anny(self.body.skeleton))
        self.shares = torch.zeros(len(self.parents), joint_shares().shape[1]).index_add(
            0, turned[1:], joint_shares())
        self.axes = control_axes(anny) @ smpl_from_body.T
        self.posed_from_rest = _into_a_pose(self.body, self.joint_mean, anny)

    def typical(self, facing: torch.Tensor, place: torch.Tensor) -> Motion:
        """A person of the likeliest build and pose at each of F places."""
        return Motion(self.build_mean.clone(), self.prior.mean.repeat(len(place), 1, 1),
                      torch.zeros_like(place), facing, place)

    def shape(self, build: torch.Tensor) -> torch.Tensor:
        """(K,) betas."""
        return build.detach()

    def person(self, shape: torch.Tensor) -> SmplBody:
        """The body of betas."""
        return self.body.reshaped(shape)

    def pose(self, motion: Motion, frame: torch.Tensor | None = None) -> Pose:
        """The model's poses of a motion, at frames (B,); about the pelvis, as `smplx` turns."""
        turns = self._turns(motion)
        pelvis = self.resting_joints(motion.build)[0]
        rotations = roma.rotmat_to_rotvec(turns)
        return Pose(rotations[:, 1:], rotations[:, 0], motion.place - pelvis, frame)

    def rested(self, build: torch.Tensor) -> Rested:
        """What a build is in no pose."""
        basis, mean = self.resting(self.picked)
        return Rested(build, self.resting_joints(build), (mean + torch.tensordot(build, basis, 1)).T)

    def slopes(self, build: torch.Tensor) -> Rested:
        """How what rests changes with each of the betas (K,), which are first in all shapes."""
        return Rested(torch.eye(len(build)), self.joint_basis, self.resting(self.picked)[0].mT)

    def carry(self, motion: Motion, rested: Rested) -> Carry:
        """What carries points of the rest pose along with a motion's joints."""
        return self.carried(rested.joints, self._turns(motion), motion.place)

    def carried(self, joints: torch.Tensor, turns: torch.Tensor, place: torch.Tensor) -> Carry:
        """What turns (F, J, 3, 3) of joints (J, 3) against their parents do, the pelvis at a place (F, 3)."""
        steps = torch.cat([0 * joints[:1], joints[1:] - joints[list(self.parents[1:])]])
        steps = steps + functional.pad(place[:, None], (0, 0, 0, len(joints) - 1))
        world_from_joint = chain(rigid(turns, steps), self.hops)
        back = rigid(torch.eye(3).expand(len(joints), 3, 3), -joints)
        bent = (turns[:, 1:] - torch.eye(3)).flatten(1)
        return Carry((world_from_joint @ back)[:, :, :3], world_from_joint[..., :3, 3], bent)

    def resting_joints(self, betas):
        """(J, 3) where the joints of betas (K,) rest."""
        return self.joint_mean + (betas @ self.joint_basis.flatten(1)).view(-1, 3)

    def keypoints(self, carry: Carry, rested: Rested) -> torch.Tensor:
        """(F, K, 3) in the order of KEYPOINT_NAMES, metres; exactly what the body's are."""
        rest = rested.picked + torch.einsum("pxb,fb->fpx", self.bending[self.picked], carry.bent)
        moves = torch.einsum("pj,fjab->fpab", self.weights[self.picked], carry.moves)
        vertices = (moves[..., :3] @ rest[..., None])[..., 0] + moves[..., 3]
        return self.mix @ torch.cat([carry.joints, vertices], 1)

    def resting(self, vertex: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Basis (K, 3, N) and mean (3, N) of single vertices (N,) in no pose."""
        return self.basis[..., vertex], self.mean[:, vertex]

    def bends(self, motion: Motion, row: torch.Tensor, vertex: torch.Tensor) -> torch.Tensor:
        """(V, N, 3) by how much poses of rows (V,) bend vertices (V, N) before they are carried."""
        bent = self.carry(motion, self.rested(motion.build)).bent
        return torch.stack([self.bending[vertices] @ bent[one]
                            for vertices, one in zip(vertex, row, strict=True)])

    def vertices_at(self, carry: Carry, row: torch.Tensor, rest: torch.Tensor, weights: torch.Tensor
                    ) -> torch.Tensor:
        """(V, N, 3) where single vertices come to be in the poses of rows (V,); rest (V, N, 3) are they
        before, weights (V, N, J) how much they follow each joint."""
        return moved(carry.moves[row], rest, weights)

    def _turns(self, motion):
        """(F, J, 3, 3) of each joint out of the T-pose, against its parent; the root's against the world."""
        rotvec = self.shares @ (motion.controls[:, :, None] @ self.axes)[:, :, 0]
        turns = self.posed_from_rest[list(self.parents[1:])].mT @ roma.rotvec_to_rotmat(
            rotvec[:, 1:]) @ self.posed_from_rest[1:]
        return torch.cat([(motion.root @ smpl_from_body.T)[:, None], turns], 1)


def _keypoints(body, openpose):
    """Picked vertices and their mix with the joints (K, J + P), in the order of KEYPOINT_NAMES."""
    vertices = int(body.surface.faces.max()) + 1
    picked, mix = keypoint_mix(body.model_type, vertices, "body25")
    if not openpose:
        mine, coco = shared_joints(BODY25, COCO23)
        mix = mix.clone()
        mix[mine] = keypoint_mix(body.model_type, vertices, "coco23")[1][coco]
    assert len(mix) == len(KEYPOINT_NAMES)
    return picked, mix


def _into_a_pose(body, joints, anny):
    """(J, 3, 3) how each joint of SMPL (J, 3), with all its bone, is turned from the T-pose into Anny's."""
    theirs = anny(anny.rest_pose()).joints[0] @ smpl_from_body.T
    names, turns = body.skeleton.names, []
    for row, (name, parent) in enumerate(zip(names, body.skeleton.parents, strict=True)):
        side, _, stem = name.partition("_")
        turn = torch.eye(3) if parent < 0 or stem in ("ankle", "foot") else turns[parent]
        if stem in BONES:
            end = f"{side}_{BONES[stem]}"
            bone = turn @ (joints[names.index(end)] - joints[row])
            aim = theirs[ANNY.names.index(end)] - theirs[ANNY.names.index(name)]
            least = shortest_turn(functional.normalize(bone, dim=0), functional.normalize(aim, dim=0))
            turn = roma.rotvec_to_rotmat(least) @ turn
        turns.append(turn)
    return torch.stack(turns)
