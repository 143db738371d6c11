"""A motion in another time: cut, at another rate, smoothed, or closed to a loop."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch.nn import functional

from anr_core.motion.record import Motion

AT_REST = 0.02      # radians that joints of a reference pose turn at the most
JUMP = 0.6          # radians that all joints together at least turn from it at once
SEAM = 0.4          # seconds over which the end of a loop bends to its beginning
SEARCHED = 0.3      # of a motion, its end: where a loop may be cut
HOMECOMING = 0.3    # of the figure's height: who ends nearer to the start comes back to it, others walk on
TAPER = 3           # standard deviations that a smoothing kernel reaches


def trimmed(motion: Motion, start: float | None, end: float | None) -> Motion:
    """What lies between two moments, seconds, both included."""
    start = 0.0 if start is None else start
    end = motion.seconds if end is None else end
    if not 0 <= start <= min(end, motion.seconds):
        raise ValueError(f"There is nothing from {start:g} s to {end:g} s in a motion of "
                         f"{motion.seconds:.2f} s.")
    return motion[math.ceil(start * motion.fps - 1e-6):math.floor(end * motion.fps + 1e-6) + 1]


def without_reference(motion: Motion) -> Motion:
    """The motion whose first frame, where it is the rest pose for reference, is like the second.

    Exporters put it before the motion, which then jumps from it.
    """
    if len(motion) < 4:
        return motion
    turns = motion.rotations[:, 1:]  # the root may be turned
    jump, *others = (float(step.norm(dim=-1).sum()) for step in turns[:12].diff(dim=0))
    if float(turns[0].norm(dim=-1).max()) > AT_REST or jump < JUMP or jump < 4 * max(others):
        return motion
    return replace(motion, rotations=torch.cat([motion.rotations[1:2], motion.rotations[1:]]),
                   steps=torch.cat([motion.steps[1:2], motion.steps[1:]]))


def at_rate(motion: Motion, fps: float) -> Motion:
    """The same motion at another rate; between two frames every joint turns evenly, the shorter way round."""
    if not 0 < fps <= 1000:
        raise ValueError(f"{fps:g} frames a second were asked for; expected up to 1000.")
    if abs(fps - motion.fps) < 1e-6:
        return motion
    count = math.floor(motion.seconds * fps + 1e-6) + 1
    places = (torch.arange(count, dtype=torch.float64) * (motion.fps / fps)).clamp(max=len(motion) - 1)
    before = places.floor().long()
    after, share = (before + 1).clamp(max=len(motion) - 1), (places - before).float()[:, None, None]
    rotations = between(motion.rotations[before], motion.rotations[after], share)
    return replace(motion, rotations=rotations, fps=float(fps),
                   steps=torch.lerp(motion.steps[before], motion.steps[after], share))


def smoothed(motion: Motion, seconds: float) -> Motion:
    """The motion under a Gaussian whose standard deviation is so long."""
    if not 0 <= seconds < 60:
        raise ValueError(f"Smoothing over {seconds:g} s was asked for; expected 0 to 60 s.")
    if seconds * motion.fps < 0.05 or len(motion) < 3:
        return motion
    import roma  # a second to import

    quaternions = roma.rotvec_to_unitquat(motion.rotations)  # (T, J, 4)
    signs = (quaternions[1:] * quaternions[:-1]).sum(-1, keepdim=True).sign()
    signs = torch.where(signs == 0, 1.0, signs).cumprod(0)
    quaternions = torch.cat([quaternions[:1], quaternions[1:] * signs])  # one of two signs, without jumps
    quaternions = functional.normalize(blurred(quaternions, seconds * motion.fps), dim=-1)
    return replace(motion, rotations=roma.unitquat_to_rotvec(quaternions),
                   steps=blurred(motion.steps, seconds * motion.fps))


def blurred(values: torch.Tensor, deviation: float) -> torch.Tensor:
    """Values (T, ...) under a Gaussian of a standard deviation in frames; the ends go on as mirror images."""
    if deviation <= 0:
        return values
    reach = max(1, min(math.ceil(TAPER * deviation), len(values) - 1))
    if len(values) < 2:
        return values
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation).square()).to(values)
    columns = values.reshape(len(values), 1, -1).permute(2, 1, 0)  # (N, 1, T)
    # turned about the end, so that what moves evenly goes on so
    ends = 2 * columns[..., :1] - columns[..., 1:reach + 1].flip(-1), \
        2 * columns[..., -1:] - columns[..., -reach - 1:-1].flip(-1)
    columns = torch.cat([ends[0], columns, ends[1]], -1)
    columns = functional.conv1d(columns, (kernel / kernel.sum())[None, None])
    return columns.permute(2, 1, 0).reshape(values.shape)


def looped(motion: Motion, rounds: int, height: float, up: torch.Tensor) -> Motion:
    """So many rounds of a motion whose end flows into its beginning.

    height  of the figure, in the motion's unit
    up      (3,) unit vector against gravity

    The end is cut where the pose is most like the first one, then bent to it. Who comes back to where they
    began does so exactly; who walked away goes on from there, in the direction that they then look.
    """
    if rounds < 1:
        raise ValueError(f"{rounds} rounds were asked for; expected 1 or more.")
    if len(motion) < 4:
        return motion
    motion = motion[:_best_end(motion, height, up) + 1]
    first, last = motion.rotations[0], motion.rotations[-1]
    away = motion.steps[-1, 0] - motion.steps[0, 0]
    flat = away - (away @ up) * up
    home = float(flat.norm()) < HOMECOMING * height
    turn = torch.zeros(3) if home else turn_about(up, first[0], last[0])
    bent = _bent(motion, _turned(turn, first), flat if not home else torch.zeros(3))
    parts, turned, place = [], torch.zeros(3), motion.steps[0, 0].clone()
    import roma  # a second to import

    for _ in range(rounds):
        spun = roma.rotvec_to_rotmat(turned)
        steps, rotations = bent.steps.clone(), bent.rotations.clone()
        steps[:, 0] = (bent.steps[:, 0] - bent.steps[0, 0]) @ spun.T + place
        rotations[:, 0] = roma.rotvec_composition((turned.expand(len(bent), 3), bent.rotations[:, 0]))
        parts.append((rotations[:-1], steps[:-1]))  # the last frame is the next round's first
        place = steps[-1, 0]
        turned = roma.rotvec_composition((turned, turn))
    if not home or rounds > 1:
        parts[-1] = (rotations, steps)
    return replace(motion, rotations=torch.cat([part[0] for part in parts]),
                   steps=torch.cat([part[1] for part in parts]))


def turn_about(axis: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The part about an axis (3,) of the turn from one axis-angle to another, both in the world: (3,)."""
    import roma  # a second to import

    quaternion = roma.rotvec_to_unitquat(roma.rotvec_composition((other, roma.rotvec_inverse(one))))
    return 2 * torch.atan2(quaternion[:3] @ axis, quaternion[3]) * axis


def between(one: torch.Tensor, other: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Axis-angles (..., 3) a share of the way from one to another."""
    import roma  # a second to import

    return roma.rotvec_composition((one, share * roma.rotvec_composition((roma.rotvec_inverse(one), other))))


def _turned(turn, first):
    """The first pose (J, 3) with its root turned in the world."""
    import roma  # a second to import

    return torch.cat([roma.rotvec_composition((turn, first[0]))[None], first[1:]])


def _best_end(motion, height, up):
    """The frame, of the last ones, whose pose and movement are most like the first frame's."""
    import roma  # a second to import

    first = math.ceil((1 - SEARCHED) * (len(motion) - 1))
    rest = replace(motion, rotations=motion.rotations.clone(), steps=motion.steps.clone())
    heading = torch.stack([turn_about(up, motion.rotations[0, 0], turn) for turn in motion.rotations[:, 0]])
    rest.rotations[:, 0] = roma.rotvec_composition((-heading, motion.rotations[:, 0]))
    rest.steps[:, 0] = (motion.steps[:, 0] @ up)[:, None] * up
    _, places = rest.placed()
    speed = functional.pad(places.diff(dim=0), (0, 0, 0, 0, 0, 1)) * motion.fps * 0.1  # a tenth of a second
    speed[-1] = speed[-2]
    apart = (places - places[0]).norm(dim=-1).mean(1) + (speed - speed[0]).norm(dim=-1).mean(1)
    best = first + int(apart[first:].argmin())
    worth_it = float(apart[best]) < 0.8 * float(apart[-1]) and float(apart[-1]) > 1e-6 * height
    return best if worth_it else len(motion) - 1


def _bent(motion, goal, flat):
    """The motion whose last frame is the pose `goal`, at the first place moved by flat (3,)."""
    import roma  # a second to import

    reach = min(len(motion) - 1, max(2, round(SEAM * motion.fps)))
    share = torch.linspace(0, 1, reach + 1)[1:]
    share = (share * share * (3 - 2 * share))[:, None, None]
    rotations, steps = motion.rotations.clone(), motion.steps.clone()
    missing = roma.rotvec_composition((roma.rotvec_inverse(rotations[-1]), goal))
    rotations[-reach:] = roma.rotvec_composition((rotations[-reach:], share * missing))
    target = steps[0].clone()
    target[0] += flat
    steps[-reach:] += share * (target - steps[-1])
    return replace(motion, rotations=rotations, steps=steps)
