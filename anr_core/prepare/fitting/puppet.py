"""Anny as a fit moves it: by a few controls, with keypoints that need no mesh, and single vertices.

A keypoint is a fixed mix of vertices, and a vertex is a mix of places that joints carry along. So a keypoint
is a mix of a few carried points, which are as linear in the shape as vertices are: the keypoints of 60 poses
take 10 ms, where their meshes take 90.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import roma
import torch
from torch.nn import functional

from anr_core.body import Pose
from anr_core.body.anny import (
    AnnyBody,
    Shape,
    baked,
    chain,
    hops,
    joints_from_coefficients,
    regressor,
    rigid,
    shape_coefficients,
)
from anr_core.prepare.fitting.prior import control_axes, joint_shares, pose_prior
from anr_core.skeleton import ANNY, BODY25, COCO23, shared_joints

# What is found of a shape, with what it is likely to be, as logits: mean and spread.
BUILD = {"gender": (0.0, 2.0), "age": (0.7, 0.4), "muscle": (0.0, 1.5), "weight": (0.0, 1.5),
         "height": (0.0, 1.5), "proportions": (0.0, 1.0), "cupsize": (0.0, 1.0),
         "african": (0.0, 1.5), "asian": (0.0, 1.5), "caucasian": (0.0, 1.5)}

KEYPOINT_NAMES = BODY25.names

DIFFERENCE = 0.02  # of logits, from which slopes are told


@dataclass(frozen=True)
class Motion:
    """One person in F poses, as a fit moves it.

    build        (P,)       logits of the phenotypes in BUILD
    controls     (F, C, 3)  angles about each control's own axes, radians
    turn         (F, 3)     axis-angle in the world, which turns the person further than `facing`
    facing       (F, 3, 3)  world from body, constant
    place        (F, 3)     of the root joint, metres
    """

    build: torch.Tensor
    controls: torch.Tensor
    turn: torch.Tensor
    facing: torch.Tensor
    place: torch.Tensor

    def __len__(self) -> int:
        return len(self.turn)

    def __getitem__(self, rows) -> Motion:
        return Motion(self.build, *(getattr(self, entry.name)[rows] for entry in fields(self)[1:]))

    @staticmethod
    def cat(motions: list[Motion]) -> Motion:
        """One after the other, with the build of the first."""
        return Motion(motions[0].build, *(torch.cat([getattr(motion, entry.name) for motion in motions])
                                          for entry in fields(Motion)[1:]))

    @cached_property
    def root(self) -> torch.Tensor:
        """(F, 3, 3) world from body."""
        return roma.rotvec_to_rotmat(self.turn) @ self.facing


@dataclass(frozen=True)
class Rested:
    """What Anny of one shape is in no pose: all of it depends on the build alone.

    coefficients      (K,)       of the shape basis
    steps             (M, 3)     from each joint that turns to the next, metres
    anchor_from_rest  (J, 4, 4)  what a joint's rest is to the joint that it hangs on
    keypoints         (4 J, K')  how keypoints mix what joints do
    """

    coefficients: torch.Tensor
    steps: torch.Tensor
    anchor_from_rest: torch.Tensor
    keypoints: torch.Tensor


class Puppet:
    """Poses Anny by a Motion, and tells where keypoints and vertices come to be."""

    def __init__(self, openpose: bool = True, person: AnnyBody | None = None):
        """Keypoints are OpenPose's, or COCO's; of a person who is known no build is asked."""
        arrays = baked()
        self.body, self.known = person or AnnyBody(), person is not None
        self.prior = pose_prior(self.body)
        self.build_mean, self.build_spread = torch.tensor(list(BUILD.values())).unbind(1)
        self.shares, self.axes = joint_shares(), control_axes(self.body)
        self.moving, self.anchor, self.between, self.beside = _anchored(self.shares)
        above = [ANNY.parents[joint] for joint in self.moving[1:]]
        self.hops = hops((-1, *self.anchor[above].tolist()))
        self.weights = _skin_weights(arrays)
        mix_of_vertices = regressor("body25").clone()
        if not openpose:
            mine, coco = shared_joints(BODY25, COCO23)
            mix_of_vertices[mine] = regressor("coco23")[coco]
        self.owner, self.carrier, mix = _carried(mix_of_vertices, self.weights)
        self.basis = (arrays["vertices"].flatten(0, 1) @ mix.T
                      * arrays["vertices_step"]).unflatten(0, (-1, 3))
        self.mean, self.weight = arrays["mean_vertices"] @ mix.T, mix.sum(1)

    def typical(self, facing: torch.Tensor, place: torch.Tensor) -> Motion:
        """A person of the likeliest build and pose at each of F places."""
        return Motion(self.build_mean.clone(), self.prior.mean.repeat(len(place), 1, 1),
                      torch.zeros_like(place), facing, place)

    def coefficients(self, builds: torch.Tensor) -> torch.Tensor:
        """(B, K) of the shape basis, of builds (B, P)."""
        shapes = self.body.shape.tensor().expand(len(builds), -1) if self.known else self._phenotypes(builds)
        return shape_coefficients(shapes)

    def rested(self, build: torch.Tensor) -> Rested:
        """What a build is in no pose."""
        return Rested(*(values[0] for values in self._rested(build[None])))

    def slopes(self, build: torch.Tensor) -> Rested:
        """How what rests changes with each of a build's logits (P,), which are first in all shapes."""
        steps = DIFFERENCE * torch.eye(len(build))
        with torch.no_grad():
            ends = self._rested(torch.cat([build + steps, build - steps]))
        ups, downs = zip(*(values.chunk(2) for values in ends), strict=True)
        return Rested(*((up - down) / (2 * DIFFERENCE) for up, down in zip(ups, downs, strict=True)))

    def _rested(self, builds):
        """The values of Rested, of builds (B, P)."""
        coefficients = self.coefficients(builds)
        steps, joint_from_rest = joints_from_coefficients(coefficients)
        anchor_from_joint = rigid(torch.eye(3).expand_as(joint_from_rest[..., :3, :3]), self.beside @ steps)
        points = self.mean + (coefficients @ self.basis.flatten(1)).unflatten(1, (3, -1))
        weight = self.weight.expand(len(points), 1, -1)
        points = torch.cat([points, weight], 1).mT  # (B, N, 4), homogeneous, with their weights
        mix = points.new_zeros(len(points), len(ANNY), 4, len(KEYPOINT_NAMES)).index_put(
            (torch.arange(len(points))[:, None, None], self.carrier[:, None], torch.arange(4),
             self.owner[:, None]), points)
        return coefficients, self.between @ steps, anchor_from_joint @ joint_from_rest, mix.flatten(1, 2)

    def shape(self, build: torch.Tensor) -> Shape:
        """The phenotypes of a build."""
        return self.body.shape if self.known else Shape(*self._phenotypes(build[None])[0].tolist())

    def person(self, shape: Shape) -> AnnyBody:
        """The body of a shape."""
        return AnnyBody(shape)

    def _phenotypes(self, builds):
        default = Shape().tensor().expand(len(builds), -1).unbind(1)
        found = dict(zip(BUILD, builds.sigmoid().unbind(1), strict=True))
        return torch.stack([found.get(entry.name, default[i]) for i, entry in enumerate(fields(Shape))], 1)

    def pose(self, motion: Motion, frame: torch.Tensor | None = None) -> Pose:
        """Anny's poses of a motion, at frames (B,)."""
        return Pose(self._rotations(motion.controls), roma.rotmat_to_rotvec(motion.root), motion.place, frame)

    def _rotations(self, controls):
        return self.shares @ (controls[:, :, None] @ self.axes)[:, :, 0]

    def carry(self, motion: Motion, rested: Rested) -> torch.Tensor:
        """What each joint does to the rest shape: world from rest (F, J, 3, 4)."""
        rotations = roma.rotvec_to_rotmat(self._rotations(motion.controls)[:, self.moving[1:] - 1])
        turns = torch.cat([motion.root[:, None], rotations], 1)
        place = functional.pad(motion.place[:, None], (0, 0, 0, len(self.moving) - 1))
        world_from_moving = chain(rigid(turns, rested.steps + place), self.hops)
        return (world_from_moving[:, self.anchor] @ rested.anchor_from_rest)[:, :, :3]

    def keypoints(self, carry: torch.Tensor, rested: Rested) -> torch.Tensor:
        """(F, K, 3) in the order of KEYPOINT_NAMES, metres; exactly what the body's regressors give."""
        return (carry.transpose(1, 2).flatten(2) @ rested.keypoints).mT

    def resting(self, vertex: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Basis (K, 3, N) and mean (3, N) of single vertices (N,) in no pose."""
        arrays = baked()
        # by index_select, which takes a quarter of the time that [..., vertex] does
        basis = arrays["vertices"].flatten(0, 1).index_select(1, vertex)
        return basis.mul_(arrays["vertices_step"]).unflatten(0, (-1, 3)), arrays["mean_vertices"][:, vertex]

    def bends(self, motion: Motion, row: torch.Tensor, vertex: torch.Tensor) -> torch.Tensor:
        """(V, N, 3) by how much poses of rows (V,) bend vertices (V, N) besides: not at all."""
        return torch.zeros(*vertex.shape, 3)

    def vertices_at(self, carry: torch.Tensor, row: torch.Tensor, rest: torch.Tensor,
                    weights: torch.Tensor) -> torch.Tensor:
        """(V, N, 3) where single vertices come to be in the poses of rows (V,); rest (V, N, 3) are they
        before, weights (V, N, J) how much they follow each joint."""
        return moved(carry[row], rest, weights)


def keypoints_of(puppet: Puppet, motion: Motion) -> torch.Tensor:
    """(F, K, 3) where a motion brings keypoints, in the order of KEYPOINT_NAMES, metres."""
    rested = puppet.rested(motion.build)
    return puppet.keypoints(puppet.carry(motion, rested), rested)


def moved(moves: torch.Tensor, rest: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(V, N, 3) where moves (V, J, 3, 4) of joints bring vertices (V, N, 3) that follow by weights (V, N, J).

    Nearly all weights are zero, and yet it is the fastest: rows that are gathered cost three times as much on
    the way back.
    """
    mixed = (weights @ moves.flatten(2)).unflatten(2, (3, 4))
    return (mixed @ functional.pad(rest, (0, 1), value=1.0)[..., None])[..., 0]


def _anchored(shares):
    """Joints that a control turns, the root first (M,), and on which of them each joint hangs (J,): itself,
    or the nearest above.

    And what sums the steps (J, 3) from joint to joint: from each of these to the next (M, J), and from there
    to the joints that only go along (J, J). Of 104 joints 24 turn, and the rest need no chain.
    """
    turns = [True, *(shares != 0).any(1).tolist()]
    ways = torch.eye(len(ANNY))
    anchor = list(range(len(ANNY)))
    for joint, parent in enumerate(ANNY.parents):
        if joint and not turns[parent]:
            ways[joint] += ways[parent]
        if not turns[joint]:
            anchor[joint] = anchor[parent]
    turns = torch.tensor(turns)
    moving = turns.nonzero()[:, 0]
    return moving, turns.cumsum(0)[anchor] - 1, ways[moving], ways * ~turns[:, None]


def _skin_weights(arrays):
    """(V, J) how much each vertex follows each joint."""
    starts = torch.cat([arrays["skin_start"], torch.tensor([len(arrays["skin_joints"])])])
    vertex = torch.arange(len(starts) - 1).repeat_interleave(starts.diff())
    return torch.zeros(len(starts) - 1, len(ANNY)).index_put_(
        (vertex, arrays["skin_joints"]), arrays["skin_weights"], accumulate=True)


def _carried(regressor, weights):
    """The points that mix to keypoints: whose each is (N,), which joint carries it (N,), its mix (N, V)."""
    used = (regressor != 0).float() @ (weights != 0).float() > 0
    owner, carrier = used.nonzero().unbind(1)
    return owner, carrier, regressor[owner] * weights.T[carrier]
