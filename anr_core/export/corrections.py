"""What four joints a vertex leave of a motion, as morph targets that move with it.

Most engines read four joints a vertex, where Anny has up to nine, so a motion's worst vertices would be some
millimetres off (influences.py). In each frame that is a step of every rest vertex; all frames' steps are a
mean and a few others, more or less of them: the principal components, as few as put every vertex of every
frame near enough. Weights go from 0 to 1, beyond which some engines cut them off: what the lowest of them
adds is in the mean, whose target stays at 1. The A-pose, in which the file opens, is a frame as well.

`V` vertices, `T` frames, `K` targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody
from anr_core.export.influences import MOST, Skin, all_weights, anybodys_poses, distances, moves_of, some_of

NEAR = 0.0006  # metres that a vertex may stay off
SLIGHT = NEAR / 2  # vertices that were never farther off stay as they are
MANY = 48  # targets at the most, but for the mean
LOOKED_AT, WORST = 256, 64  # frames that the components are made of; how many more, where these don't do
AT_ONCE = 64  # frames


@dataclass(frozen=True)
class Corrections:
    """What corrects a skin in a motion.

    targets  what rest vertices go by, (V, 3), by the targets' names
    resting  (K,)    how much of each in the A-pose, while no motion plays
    weights  (T, K)  how much of each in each pose
    """

    targets: dict[str, torch.Tensor]
    resting: torch.Tensor
    weights: torch.Tensor

    def told(self, body: AnnyBody, skin: Skin, poses: Pose) -> str:
        """A line of how far off the corrected skin is, in the motion and in other poses."""
        there = 1000 * distances(body, skin, some_of(poses), self.moved(some_of(self.weights)))
        elsewhere = 1000 * distances(body, skin, anybodys_poses(body), self.moved(self.resting[None]))
        return (f"skin: {MOST} joints a vertex, which every engine reads, and {len(self.targets)} morph "
                f"targets that go with the motion: at most {float(there.max()):.1f} mm off in it; posed by "
                f"hand {float(elsewhere.mean()):.2f} mm in the mean, {float(elsewhere.max()):.1f} mm at "
                "most. Without --motion all joints are there, for who reads them")

    def moved(self, weights: torch.Tensor) -> torch.Tensor:
        """(N, V, 3) what weights (N, K) of the targets move; 0 where there are none."""
        return sum((share[:, None, None] * target for share, target in
                    zip(weights.T, self.targets.values(), strict=True)), torch.zeros(1, 1, 3))


def corrections(body: AnnyBody, skin: Skin, poses: Pose) -> Corrections:
    """What a skin of four joints a vertex leaves of a motion."""
    poses = Pose(*(torch.cat([getattr(body.rest_pose(), name), getattr(poses, name)])
                   for name in ("rotations", "root_rotation", "root_translation")))
    some = ((all_weights(body) > 0).sum(1) > MOST).nonzero()[:, 0]
    steps = _steps(body, Skin(skin.joints[some], skin.weights[some], skin.twins), poses, some)
    far = steps.norm(dim=2).amax(0) > SLIGHT
    targets, weights = {}, torch.zeros(len(poses), 0)
    if bool(far.any()):
        parts, weights = _components(steps[:, far])
        for number, part in enumerate(parts):
            target = torch.zeros_like(body.rest_vertices[0])
            target[some[far]] = part
            targets["correction" if number == 0 else f"correction{number}"] = target
    return Corrections(targets, weights[0], weights[1:])


def _steps(body, skin, poses, rows):
    """(T, N, 3) by which rest vertices `rows` have to go so that their skin puts them where the body does."""
    found = []
    for start in range(0, len(poses), AT_ONCE):
        some = poses[start:start + AT_ONCE]
        for move, vertices in zip(moves_of(body, some), body(some).vertices[:, rows], strict=True):
            matrices = skin.matrices(move)
            there = vertices - matrices[:, :3, 3]
            found.append(torch.linalg.solve(matrices[:, :3, :3], there) - body.rest_vertices[0, rows])
    return torch.stack(found)


def _components(steps):
    """Steps (T, N, 3) as parts (K, N, 3) and weights (T, K) in [0, 1]."""
    rows = torch.linspace(0, len(steps) - 1, min(len(steps), LOOKED_AT)).round().long()
    while True:
        middle = (steps[rows].amax(0) + steps[rows].amin(0)) / 2
        basis = torch.linalg.svd((steps[rows] - middle).flatten(1), full_matrices=False)[2][:MANY]
        left = steps - middle
        for count in range(len(basis) + 1):
            if (off := left.norm(dim=2).amax(1)).max() <= NEAR or count == len(basis):
                break
            one = basis[count].view(steps.shape[1:])
            left -= (left * one).sum((1, 2), keepdim=True) * one
        if off.max() <= NEAR or count == MANY or len(rows) == len(steps):
            break
        rows = torch.cat([rows, off.topk(min(WORST, len(off))).indices]).unique()
    basis = basis[:count]
    weights = (steps - middle).flatten(1) @ basis.T
    low, high = weights.amin(0), weights.amax(0)
    span = torch.where(high > low, high - low, 1)
    parts = torch.cat([(middle + (low @ basis).view_as(middle))[None],
                       (span[:, None] * basis).view(-1, *middle.shape)])
    return parts, torch.cat([torch.ones(len(steps), 1), (weights - low) / span], 1).clamp(0, 1)
