"""Where a fit begins: several starts for every frame, and of them the likeliest sequence.

Seen from one side, a person may face either way and either knee may be in front. So each frame is fitted
from several yaws, and dynamic programming picks one of them for each so that they follow from each other.
"""

from __future__ import annotations

import math
from dataclasses import replace

import roma
import torch
from scipy.linalg import solveh_banded
from torch.nn import functional

from anr_core.prepare.fitting.descent import Descent
from anr_core.prepare.fitting.energy import PUSH, keypoint_cost, smoothness_weight
from anr_core.prepare.fitting.observations import LEAST_KEYPOINTS, Observations
from anr_core.prepare.fitting.puppet import Motion, Puppet

YAWS = 8
STEPS = 60
STEP = {"controls": 0.08, "turn": 0.08, "place": 0.03}  # the first: radians and metres
CAUTION = 4.0  # times the prior counts in a frame alone, which no other frame helps
BATCH = 512  # poses that are fitted at once: 300 MB
# How fast a person's keypoints move against the root in the mean, metres a second; further apart, two frames
# may show anything, which costs as much as ALIEN units of likelihood.
LIMB_SPEED, ALIEN = 2.0, 20.0
# By so much at least starts err, each frame for itself: parts of what controls stray by, radians, metres.
# With ten times as much people were found about as well, with thirty times drawn ones 6 mm of 40 further off.
FLICKER = {"controls": 0.01, "turn": 0.006, "place": 0.003}
TALL = 1.75  # metres that a person's extent in a picture is taken for


def first_motion(seen: Observations, puppet: Puppet, up: torch.Tensor) -> tuple[Motion, torch.Tensor]:
    """A motion (F) that comes near to what was seen, and how much each moment tells of the next (F - 1,).

    up  (3,) the world's unit vector against gravity: a person is started upright
    Moments at which too little was seen are as the nearest at which enough was.
    """
    moments = seen.seen_well().nonzero()[:, 0]
    if not len(moments):
        raise ValueError(f"No frame shows {LEAST_KEYPOINTS} keypoints of the person or more. Look "
                         "at the capture's report.png: is it the person whose keypoints these are?")
    motions, costs, shapes = zip(*(_fit_starts(seen.at(rows), puppet, up)
                                   for rows in moments.split(BATCH // YAWS)), strict=True)
    motion, costs, shapes = Motion.cat(motions), torch.cat(costs), torch.cat(shapes)
    seconds = seen.frames[moments].diff() / seen.fps
    choice = likeliest(costs, steps_between(shapes, seconds))
    motion = motion[torch.arange(len(moments)) * YAWS + choice]
    nearest = (torch.arange(len(seen.frames))[:, None] - moments).abs().argmin(1)
    motion = motion[nearest]
    chosen = shapes[torch.arange(len(moments)), choice][nearest]
    moved = chosen.diff(dim=0).norm(dim=-1).mean(1).minimum(TALL * seen_to_move(seen))
    linked = 1 / (1 + (moved / seen.seconds / LIMB_SPEED) ** 6)
    return settled(motion, seen.seconds, linked), linked


def settled(motion: Motion, seconds: torch.Tensor, linked: torch.Tensor) -> Motion:
    """A motion (F) without what flickers from frame to frame; its turns are zero.

    What is stiff takes little steps: at 60 frames a second flicker of starts that are each for itself was
    left over after all of them, and beam-walker's keypoints were 2 mm further off than need be.
    """
    facing = motion.root
    if len(motion) > 2:
        place, controls, facing = (_without_flicker(name, values, seconds, linked) for name, values in (
            ("place", motion.place), ("controls", motion.controls), ("turn", facing)))
        motion, facing = replace(motion, place=place, controls=controls), roma.special_procrustes(facing)
    return replace(motion, facing=facing, turn=torch.zeros_like(motion.turn))


def _without_flicker(name, values, seconds, linked):
    """What values (F, ...) most likely were, if each errs by FLICKER and speeds change as PUSH says.

    With C x the changes of speeds that is (1 + FLICKER^2 C^T C)^-1 x, and the matrix has five bands.
    """
    weight = FLICKER[name] * smoothness_weight(seconds, linked, PUSH[name]).sqrt()
    before, after = weight / seconds[:-1], weight / seconds[1:]
    change = torch.stack([before, -before - after, after]).double()  # (3, F - 2), by each of three neighbours
    bands = torch.zeros(3, len(values), dtype=torch.float64)
    bands[0] += 1
    for first in range(3):
        for second in range(first, 3):
            bands[second - first, first:len(values) - 2 + first] += change[first] * change[second]
    solved = solveh_banded(bands.numpy(), values.flatten(1).double().numpy(), lower=True)
    return torch.from_numpy(solved).float().view_as(values)


def seen_to_move(seen: Observations) -> torch.Tensor:
    """(F - 1,) how far keypoints move about their middle from each moment to the next, as a part of the
    person's extent, in the mean over cameras; infinite where no camera sees LEAST_KEYPOINTS at both.

    From one side a start may have an arm in front at one moment and behind at the next, and yet nothing has
    moved in the picture: then these moments do tell of each other.
    """
    moves = []
    for row in range(len(seen.cameras)):
        here = (seen.camera == row).nonzero()[:, 0]
        points = torch.full((len(seen.frames), seen.points.shape[1], 2), torch.nan)
        points[seen.moment[here]] = (seen.points[here] / seen.extent[row]).where(
            seen.belief[here, :, None] > 0, torch.nan)
        move = points.diff(dim=0)
        told = (move - move.nanmean(1, keepdim=True)).norm(dim=-1)
        moves.append(told.nanmean(1).where((~told.isnan()).sum(1) >= LEAST_KEYPOINTS, torch.nan))
    return torch.stack(moves).nanmean(0).nan_to_num(torch.inf)


def facings(up: torch.Tensor, count: int) -> torch.Tensor:
    """(count, 3, 3) world from body for people who stand upright and face evenly all around."""
    side = functional.normalize(torch.linalg.cross(up, _least_along(up)), dim=0)
    upright = torch.stack([side, torch.linalg.cross(up, side), up], 1)
    yaw = torch.arange(count) * (2 * math.pi / count)
    return upright @ roma.rotvec_to_rotmat(yaw[:, None] * torch.tensor([0.0, 0.0, 1.0]))


def _least_along(up):
    return torch.eye(3)[up.abs().argmin()]


def placed(seen: Observations, keypoints: torch.Tensor) -> torch.Tensor:
    """(F, 3) the shifts that bring keypoints (F, K, 3) nearest to the rays of what was seen: triangulation.

    The point X + T is on the ray of (x, y, 1) where its camera coordinates p fulfil p_xy = (x, y) p_z, which
    is linear in T.
    """
    cameras = seen.cameras[seen.camera]
    origins, directions = cameras.rays(seen.points)
    x = directions @ cameras.R.mT
    x = x[..., :2] / x[..., 2:].clamp(min=1e-3)
    local = cameras.camera_from_world(keypoints[seen.moment])
    rows = cameras.R[:, None, :2] - x[..., None] * cameras.R[:, None, 2:]  # (V, K, 2, 3)
    rest = x * local[..., 2:] - local[..., :2]
    weighted = seen.belief[..., None, None] * rows
    zeros = keypoints.new_zeros(len(keypoints), 3, 4)
    both = torch.einsum("vkai,vkaj->vij", weighted, torch.cat([rows, rest[..., None]], -1))
    normal = zeros.index_add(0, seen.moment, both)
    return torch.linalg.solve(normal[..., :3] + 1e-6 * torch.eye(3), normal[..., 3])


def _fit_starts(seen, puppet, up):
    """Motion (F * YAWS), their costs (F, YAWS) and keypoints about the root (F, YAWS, K, 3)."""
    count = len(seen.frames)
    part = several(seen, YAWS)
    facing = facings(up, YAWS).repeat(count, 1, 1)
    motion = puppet.typical(facing, torch.zeros(len(facing), 3))
    rested = puppet.rested(motion.build)
    with torch.no_grad():
        keypoints = puppet.keypoints(puppet.carry(motion, rested), rested)
        motion = replace(motion, place=_in_front(placed(part, keypoints), part))
    descent = Descent({name: getattr(motion, name).shape for name in STEP})
    start = motion
    for step in range(STEPS):
        motion = replace(start, **{name: getattr(start, name) + STEP[name] * moved
                                   for name, moved in descent.values().items()})
        keypoints = puppet.keypoints(puppet.carry(motion, rested), rested)
        cost = _cost_by_row(part, keypoints, puppet, motion)
        descent.step(cost.sum(), 1 - step / STEPS)
    motion = replace(motion, **{name: getattr(motion, name).detach() for name in STEP})
    about_root = keypoints.detach() - motion.place[:, None]
    return motion, cost.detach().view(count, YAWS), about_root.view(count, YAWS, *about_root.shape[1:])


def _cost_by_row(part, keypoints, puppet, motion):
    found = keypoint_cost(part, keypoints, part.cameras, sharp=0.5)
    return (CAUTION * puppet.prior.cost(motion.controls)).index_add(0, part.moment, found)


def _in_front(place, seen):
    """Places, none of them behind or within half a metre of a camera."""
    cameras = seen.cameras[seen.camera]
    depth = cameras.camera_from_world(place[seen.moment][:, None])[:, 0, 2]
    lacking = (0.5 - depth).clamp(min=0)
    push = torch.zeros_like(place).index_add(0, seen.moment, lacking[:, None] * cameras.R[:, 2])
    return place + push


def several(seen: Observations, times: int) -> Observations:
    """The same with each moment `times` times, one after the other."""
    moment = (seen.moment[:, None] * times + torch.arange(times)).flatten()
    repeated = {name: getattr(seen, name).repeat_interleave(times, 0)
                for name in ("camera", "points", "belief", "frames")}
    part = replace(seen, **repeated, moment=moment, outlines=[])
    part.__dict__["extent"] = seen.extent
    return part


def steps_between(shapes: torch.Tensor, seconds: torch.Tensor) -> torch.Tensor:
    """(F - 1, S, S) how unlikely each start (F, S, K, 3) of a frame is after each of the frame before."""
    distance = (shapes[:-1, :, None] - shapes[1:, None]).square().sum(-1).mean(-1)
    return ALIEN * (distance / (LIMB_SPEED * seconds[:, None, None]).square()).clamp(max=1.0)


def likeliest(costs: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """(F,) one start a frame, so that costs (F, S) and steps (F - 1, S, S) add up to the least (Viterbi)."""
    total, before = costs[0], []
    for cost, step in zip(costs[1:], steps, strict=True):
        best, row = (total[:, None] + step).min(0)
        total = best + cost
        before.append(row)
    path = [int(total.argmin())]
    for row in reversed(before):
        path.append(int(row[path[-1]]))
    return torch.tensor(path[::-1])
