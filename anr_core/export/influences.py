"""The joints that move each vertex of a skin, in sets of four, as glTF has them.

Every engine reads the first set, and three.js no other; Anny's vertices are moved by up to nine joints.
Keeping the four largest weights moves some of the chest by 27 mm. So the first set's joints and weights are
those that put the vertex nearest to where all do, in the least squares over given poses: of w >= 0 with sum 1
that minimise |sum_k w_k p_k - t|^2, p_k being where joint k alone puts the vertex. Of a set of joints whose
weights come out positive these are G^-1 1, normed, with G_kl the mean of (p_k - t) (p_l - t); all sets are
tried, of which nine joints have 255.

Further sets hold what the first one, scaled down, leaves of the body's own weights, so that who reads all
sets has them exactly. A joint may stand only once in a vertex's sets: one that is in the first set and in
what it leaves has a twin, a joint at the same place. Where a motion says what is missing in each of its
frames (corrections.py), one set is enough.

`V` vertices, `J` joints, `T` twins, `P` poses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch.nn import functional

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody
from anr_core.body.controls import Controls

MOST = 4
BENT, WIGGLE = 48, 0.1  # poses that anybody may take, and radians that every joint is turned in them beside
MOVED = 64  # poses of a motion that its skin is made for
OFTEN = 0.98  # how much these count of all, or the A-pose, in which a file without a motion opens
SPECK = 1e-6  # a weight that is rounding
RIDGE = 1e-7  # square metres: where poses don't tell joints apart, they share a weight


@dataclass(frozen=True)
class Skin:
    """What moves vertices.

    joints   (V, 4 S)  of S sets, 0 where the weight is; those from J on are twins
    weights  (V, 4 S)  rows sum to 1
    twins    (T,)      the joint that each twin is like
    """

    joints: torch.Tensor
    weights: torch.Tensor
    twins: torch.Tensor

    @property
    def first(self) -> Skin:
        """What is left of it for who reads the first set alone."""
        weights = self.weights[:, :MOST]
        return Skin(self.joints[:, :MOST], weights / weights.sum(1, keepdim=True), self.twins)

    def matrices(self, world_from_rest: torch.Tensor) -> torch.Tensor:
        """(V, 4, 4) what joints (J, 4, 4) do with each vertex."""
        every = torch.cat([world_from_rest, world_from_rest[self.twins]])
        return sum(every[joint] * weight[:, None, None]
                   for joint, weight in zip(self.joints.T, self.weights.T, strict=True))

    def __call__(self, vertices: torch.Tensor, world_from_rest: torch.Tensor) -> torch.Tensor:
        """(V, 3) where joints (J, 4, 4) put vertices (V, 3)."""
        matrices = self.matrices(world_from_rest)
        return (matrices[:, :3, :3] @ vertices[..., None])[..., 0] + matrices[:, :3, 3]


def skin_of(body: AnnyBody, poses: Pose | None = None) -> Skin:
    """A body's skin of as many sets as it needs, or of one, for a motion that is to be corrected.

    poses  of the motion that the one is above all made for; the A-pose if there is none
    """
    anybodys, above_all = anybodys_poses(body), body.rest_pose() if poses is None else some_of(poses)
    made_for = Pose(*(torch.cat([getattr(one, name) for one in (anybodys, above_all)])
                      for name in ("rotations", "root_rotation", "root_translation")))
    shares = torch.cat([torch.full((BENT,), (1 - OFTEN) / BENT),
                        torch.full((len(above_all),), OFTEN / len(above_all))])
    weights = all_weights(body)
    four = strongest(body.rest_vertices[0], weights, moves_of(body, made_for), shares)
    return further(four, weights) if poses is None else Skin(*four, torch.zeros(0).long())


def some_of(frames: Pose | torch.Tensor) -> Pose | torch.Tensor:
    """MOVED poses of a motion, or what belongs to them, from the first frame to the last."""
    some = frames[torch.linspace(0, len(frames) - 1, min(len(frames), MOVED)).round().long()]
    return replace(some, frame=None) if isinstance(some, Pose) else some


def told_of_sets(body: AnnyBody, skin: Skin) -> str:
    """A line of how far off a skin is in any pose, for who reads all its sets and who reads the first."""
    every, few = (1000 * distances(body, one, anybodys_poses(body)) for one in (skin, skin.first))
    return (f"skin: in poses that people take at most {float(every.max()):.1f} mm off; where only the first "
            f"{MOST} joints of a vertex are read, as three.js does, {float(few.mean()):.2f} mm in the mean, "
            f"{float(few.max()):.1f} mm at most, more than 1 mm in {int((few.amax(0) > 1).sum())} of "
            f"{few.shape[1]} vertices")


def all_weights(body: AnnyBody) -> torch.Tensor:
    """(V, J) how much each joint moves each vertex."""
    counts = torch.cat([body.skin_start, torch.tensor([len(body.skin_joints)])]).diff()
    weights = torch.zeros(len(counts), len(body.skeleton))
    weights[torch.arange(len(counts)).repeat_interleave(counts), body.skin_joints] = body.skin_weights
    return weights


def anybodys_poses(body: AnnyBody) -> Pose:
    """Poses (BENT) of bends that people can make, with a little of every joint; always the same ones."""
    random = torch.Generator().manual_seed(0)
    rest, bends, found = body.rest_pose(), Controls(body), []
    for _ in range(BENT):
        found.append(bends.bent(rest, {
            name: bend.low + (bend.high - bend.low) * float(torch.rand((), generator=random))
            for name, bend in bends.all.items()}).rotations)
    rotations = torch.cat(found)
    rotations = rotations + WIGGLE * torch.randn(rotations.shape, generator=random)
    return Pose(rotations, rest.root_rotation.expand(BENT, 3), rest.root_translation.expand(BENT, 3))


def moves_of(body: AnnyBody, poses: Pose) -> torch.Tensor:
    """(P, J, 4, 4) what joints do with rest vertices."""
    return body.world_from_joint(body.rest, poses) @ body.joint_from_rest


def distances(body: AnnyBody, skin: Skin, poses: Pose, moved: torch.Tensor | None = None) -> torch.Tensor:
    """(P, V) how far a skin puts vertices from where the body has them, metres.

    moved  (P, V, 3) by which they are moved before
    """
    rest = body.rest_vertices if moved is None else body.rest_vertices + moved
    return torch.stack([(skin(start, moves) - vertices).norm(dim=1) for start, moves, vertices in
                        zip(rest.expand(len(poses), -1, -1), moves_of(body, poses), body(poses).vertices,
                            strict=True)])


def further(four: tuple[torch.Tensor, torch.Tensor], weights: torch.Tensor) -> Skin:
    """The skin of weights (V, J) whose first set is given, joints (V, 4) and weights (V, 4)."""
    first = torch.zeros_like(weights).scatter_add(1, *four)
    share = torch.where(first > 0, weights / first, 1).amin(1)
    left = weights - share[:, None] * first
    left = torch.where(left > SPECK, left, 0)
    twins = ((left > 0) & (first > 0)).any(0).nonzero()[:, 0]
    number = torch.arange(weights.shape[1]).index_put((twins,), weights.shape[1] + torch.arange(len(twins)))
    kept = left.topk(min(left.shape[1], int((left > 0).sum(1).max())), 1)
    again = first.gather(1, kept.indices) > 0
    joints = torch.where(again, number[kept.indices], kept.indices) * (kept.values > 0)
    joints, values = (functional.pad(part, (0, -part.shape[1] % MOST)) for part in (joints, kept.values))
    return Skin(torch.cat([four[0], joints], 1), torch.cat([share[:, None] * four[1], values], 1), twins)


def strongest(vertices: torch.Tensor, weights: torch.Tensor, world_from_rest: torch.Tensor,
              shares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The joints (V, 4) that move each vertex, strongest first, and their weights (V, 4), rows of sum 1.

    vertices         (V, 3)        metres, rest shape
    weights          (V, J)        of all joints; rows sum to 1
    world_from_rest  (P, J, 4, 4)
    shares           (P,)          how much each pose counts; of sum 1

    Where fewer move it, the joint of a weight of 0 is 0.
    """
    found = torch.where(((weights > 0).sum(1) > MOST)[:, None], 0, weights)
    counts = (weights > 0).sum(1)
    for count in counts[counts > MOST].unique().tolist():
        rows = (counts == count).nonzero()[:, 0]
        joints = weights[rows].topk(count, 1).indices
        found[rows[:, None], joints] = _fewer(vertices[rows], weights[rows].gather(1, joints), joints,
                                              world_from_rest, shares).to(weights)
    kept = found.topk(MOST, 1)
    values = kept.values / kept.values.sum(1, keepdim=True)
    return torch.where(values > 0, kept.indices, 0), values


def _fewer(vertices, weights, joints, world_from_rest, shares):
    """Weights (R, n) of vertices (R, 3) that n joints move, at the most MOST of them above 0."""
    moves = world_from_rest[:, :, :3].double()
    alone = torch.stack([torch.einsum("prij,rj->rpi", moves[:, chosen, :, :3], vertices.double())
                         + moves[:, chosen, :, 3].transpose(0, 1) for chosen in joints.T], 1)  # (R, n, P, 3)
    apart = alone - (weights[:, :, None, None] * alone).sum(1, keepdim=True)
    apart = (apart * shares.sqrt()[:, None]).flatten(2)
    products = apart @ apart.mT + RIDGE * torch.eye(joints.shape[1]).double()
    least = torch.full((len(joints),), torch.inf).double()
    best = torch.zeros(joints.shape).double()
    for count in range(1, MOST + 1):
        for some in combinations(range(joints.shape[1]), count):
            some = list(some)
            part = products[:, some][:, :, some]
            share = torch.linalg.solve(part, torch.ones(len(part), count, 1).double())[..., 0]
            share = share / share.sum(1, keepdim=True)
            error = torch.einsum("ri,rij,rj->r", share, part, share)
            better = (share >= 0).all(1) & (error < least)
            least[better] = error[better]
            best[better] = best.new_zeros(1, best.shape[1]).index_fill(1, torch.tensor(some), 1)
            best[better.nonzero(), some] = share[better]
    return best
