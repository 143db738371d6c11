"""Feet: when they stand, and where the body's own go so that they slide no more than the source's.

All in canonical axes and in metres of the body: the source is scaled to its legs.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from anr_core.motion.limbs import apply, reached, swing, two_bones, unit
from anr_core.motion.puppet import Puppet
from anr_core.motion.timing import blurred

SLOW = 0.25       # metres a second: a foot that is slower may stand
LOW = 0.06        # metres above where it stands
LEVEL = 0.03      # metres between where one foot stands and the other; more is a step, not another shoe
ROLLING = 0.06    # seconds over which a foot goes on from its ankle to its ball
STRAIGHTEST = 0.9995  # of a leg's length: a knee is never quite straight
RISING = 0.04     # metres that hips rise or sink at the most to bend knees as the source's are
KNEES = 0.08      # seconds over which they do
HOVERING = 0.006  # of a leg's length: so far a foot may stay from its goal before hips sink for it
MISSED = 0.006    # metres that an ankle stays from its goal for a knee's sake
SOFT = 0.002      # of a leg's length: over the last of it a goal is only approached
SINKING = 0.25    # seconds over which hips sink where a leg is too short
TOES = 0.6        # radians that toes bend up
SIDEWAYS = 0.4    # radians that an ankle tilts and twists in the air


def speed(places: torch.Tensor, fps: float) -> torch.Tensor:
    """(T, ...) of places (T, ..., 3), metres a second, over two frames."""
    if len(places) < 2:
        return torch.zeros_like(places[..., 0])
    step = places.diff(dim=0)
    step = torch.cat([step[:1], step, step[-1:]])
    return ((step[1:] + step[:-1]) / 2).norm(dim=-1) * fps


def standing(ankles: torch.Tensor, toes: torch.Tensor, fps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Which feet stand in which frames (T, 2), by speed and height, and the ankles' height then (2,).

    ankles, toes  (T, 2, 3)  toes may be the ankles where nobody knows them
    """
    slow = (speed(ankles, fps) < SLOW) & (speed(toes, fps) < SLOW)
    heights = ankles[..., 2]
    levels = []
    for foot in range(2):
        steps = [heights[rest, foot].median() for rest in _runs(slow[:, foot])]
        if steps:  # the lowest of several floors, as a rule
            steps = torch.stack(steps)
            levels.append(steps[steps < steps.min() + LEVEL].median())
        else:
            levels.append(torch.quantile(heights[:, foot], 0.03))
    levels = torch.stack(levels)
    levels = torch.minimum(levels, levels.min() + LEVEL)
    return slow & (heights < levels + LOW), levels


def foot_goals(ankles: torch.Tensor, toes: torch.Tensor | None, feet: torch.Tensor, stands: torch.Tensor,
               puppet: Puppet, fps: float) -> torch.Tensor:
    """Where the puppet's ankles go, (T, 2, 3): with the source's, or so that the balls go with its toes.

    ankles, toes  (T, 2, 3)     of the source; ankles stand at the puppet's height
    feet          (T, 2, 3, 3)  how the puppet's feet are turned
    """
    goals = ankles.clone()
    if toes is not None:
        for foot in range(2):
            ball, turn = puppet.balls[foot], feet[:, foot]
            rows = stands[:, foot] if bool(stands[:, foot].any()) else torch.ones_like(stands[:, foot])
            # the feet are not of one length: that far the ball is from the source's while the foot is flat
            apart = ball - apply(turn.mT, toes[:, foot] - ankles[:, foot])[rows].median(0).values
            by_toes = toes[:, foot] + apply(heading(turn), apart.expand(len(turn), 3)) - apply(turn, ball)
            moving, resting = (speed(places[:, foot], fps) for places in (ankles, toes))
            share = moving**4 / (moving**4 + resting**4 + 0.03**4)  # what moves less stays where it is
            share = share * torch.exp(-(resting / SLOW) ** 2)       # in the air the ankle is followed
            share = blurred(share, ROLLING * fps).clamp(0, 1)
            goals[:, foot] = torch.lerp(ankles[:, foot], by_toes, share[:, None])
    lowest = (apply(feet[:, :, None], puppet.soles) + goals[:, :, None])[..., 2].amin(-1)
    goals[..., 2] += functional.relu(-lowest)
    return goals


def widened(stands: torch.Tensor, left: torch.Tensor, fps: float) -> torch.Tensor:
    """(T, 2, 3) horizontal unit vectors to the person's left for each foot, constant while it stands.

    stands  (T, 2)  whether feet stand
    left    (T, 3)  where the pelvis' left is

    Feet that are moved along them stand as much wider as hips are, and slide nowhere.
    """
    flat = blurred(left * torch.tensor([1.0, 1.0, 0.0]).to(left), 0.2 * fps)
    times = torch.arange(len(left))
    found = []
    for foot in range(2):
        values = flat.clone()
        for run in _runs(stands[:, foot]):
            values[run] = flat[run].mean(0)
        swings = ~stands[:, foot]
        rows = times[stands[:, foot]]
        if len(rows):  # from one stance to the next in a straight line
            after = torch.searchsorted(rows, times).clamp(max=len(rows) - 1)
            before = (after - 1).clamp(min=0)
            before = torch.where(rows[after] <= times, after, before)
            span = (rows[after] - rows[before]).clamp(min=1)
            share = ((times - rows[before]).clamp(min=0) / span).clamp(0, 1).to(flat)[:, None]
            lerped = torch.lerp(values[rows[before]], values[rows[after]], share * share * (3 - 2 * share))
            inside = swings & (times > rows[0]) & (times < rows[-1])
            values = torch.where(inside[:, None], lerped, values)
            values[:rows[0]], values[rows[-1]:] = values[rows[0]].clone(), values[rows[-1]].clone()
        found.append(unit(values))
    return torch.stack(found, 1)


def _runs(flags):
    """Slices of the stretches that are true."""
    edges = torch.cat([flags.new_zeros(1), flags, flags.new_zeros(1)]).int().diff()
    starts, ends = (edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0]
    return [slice(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def heading(turns: torch.Tensor) -> torch.Tensor:
    """The part about the upright axis of turns (T, 3, 3) that take a person's back to +Y at rest."""
    back = turns[:, :, 1] * torch.tensor([1.0, 1.0, 0.0]).to(turns)
    return swing(torch.tensor([0.0, 1.0, 0.0]).to(turns), unit(back))


def knees_kept(hips: torch.Tensor, goals: torch.Tensor, extension: torch.Tensor, lengths: torch.Tensor,
               fps: float) -> torch.Tensor:
    """(T,) how far hips (T, 2, 3) have to rise so that legs are as straight as the source's.

    goals      (T, 2, 3)  of the ankles
    extension  (T, 2)     from hip to ankle, of the source's leg's length
    lengths    (2,)       of the puppet's legs

    A leg that is nearly straight tells most: there a centimetre is many degrees.
    """
    away = hips - goals
    height = ((extension * lengths).square() - away[..., :2].square().sum(-1)).clamp(min=0).sqrt()
    weight = extension.pow(40) * (height > 0.5 * extension * lengths) + 1e-9
    rise = ((height - away[..., 2]).clamp(-RISING, RISING) * weight).sum(1) / weight.sum(1)
    return blurred(rise, KNEES * fps)


def straightened(hips: torch.Tensor, goals: torch.Tensor, extension: torch.Tensor,
                 lengths: torch.Tensor) -> torch.Tensor:
    """Goals (T, 2, 3) of ankles, up to a few millimetres nearer or farther.

    Nearly straight legs, in which a millimetre is many degrees, become as straight as the source's, and none
    snaps straight.
    """
    away = goals - hips
    distance = away.norm(dim=-1)
    nearly = ((extension - 0.96) / 0.03).clamp(0, 1)
    nearly = nearly * nearly * (3 - 2 * nearly)
    wanted = distance + nearly * MISSED * torch.tanh((extension * lengths - distance) / MISSED)
    most, soft = STRAIGHTEST * lengths, SOFT * lengths
    beyond = (wanted - (most - soft)) / soft  # from there on the end is only approached
    wanted = torch.where(beyond > 0, most - soft * torch.exp(-beyond.clamp(min=0)), wanted)
    return hips + away / distance[..., None] * wanted[..., None]


def sunk(hips: torch.Tensor, goals: torch.Tensor, lengths: torch.Tensor, fps: float) -> torch.Tensor:
    """(T,) how far hips (T, 2, 3) have to sink so that legs of lengths (2,) reach their goals; no jerks."""
    reach = (1 + HOVERING) * lengths
    away = hips - goals
    flat = away[..., :2].square().sum(-1)
    needed = functional.relu(away[..., 2] - (reach.square() - flat).clamp(min=0).sqrt()).amax(1)
    window = max(1, round(2 * SINKING * fps)) // 2 * 2 + 1
    if len(needed) < 2:
        return needed
    widest = functional.max_pool1d(needed[None, None], window, 1, window // 2)[0, 0]
    # what was widened first is at least what is needed after it was blurred, but for the kernel's far ends
    return blurred(widest, SINKING * fps / 3).clamp(min=0)


def legs(parts: dict[str, torch.Tensor], hips: torch.Tensor, goals: torch.Tensor,
         puppet: Puppet) -> dict[str, torch.Tensor]:
    """Turns of thighs and shins whose ankles are at their goals; knees bend in the planes they bent in."""
    found = {}
    for foot, side in enumerate(("left", "right")):
        thigh, shin = parts[f"{side}_hip"], parts[f"{side}_knee"]
        rest = [puppet.bone(f"{side}_hip", f"{side}_knee"), puppet.bone(f"{side}_knee", f"{side}_ankle")]
        hinge = puppet.hinge(side, "hip knee ankle")
        before = unit(apply(thigh, rest[0]) + apply(shin, rest[1]))
        moved = swing(before, unit(goals[:, foot] - hips[:, foot]))
        upper, lower = reached(hips[:, foot], goals[:, foot], apply(moved @ thigh, hinge), puppet.leg(side),
                               STRAIGHTEST)
        found[f"{side}_hip"], found[f"{side}_knee"] = two_bones(
            upper, lower, moved @ thigh, unit(rest[0]), unit(rest[1]), hinge)
    return found


def eased_ankles(turns: torch.Tensor, stands: torch.Tensor, fps: float) -> torch.Tensor:
    """Turns of ankles (T, 2, 3, 3) against their shins that tilt and twist no more than people's.

    Where a foot stands it is left as it stands.
    """
    import roma  # a second to import

    vectors = roma.rotmat_to_rotvec(turns)
    eased = vectors.clone()
    eased[..., 1:] = vectors[..., 1:].clamp(-SIDEWAYS, SIDEWAYS)
    free = 1 - blurred(stands.to(vectors), ROLLING * fps).clamp(0, 1)
    return roma.rotvec_to_rotmat(torch.lerp(vectors, eased, free[..., None]))


def bent_toes(feet: torch.Tensor, ankles: torch.Tensor, puppet: Puppet) -> torch.Tensor:
    """(T, 2) radians that toes bend up, so that a foot that rolls off stands on them."""
    forward = -feet[..., :, 1]
    pitch = -torch.asin(forward[..., 2].clamp(-1, 1))  # of a foot that points down
    thick = puppet.balls[:, 2] - puppet.soles[..., 2].amin(1)
    height = (apply(feet, puppet.balls) + ankles)[..., 2] - thick
    low = (1 - (height.clamp(min=0) / LOW)).clamp(0, 1)
    return pitch.clamp(0, TOES) * low
