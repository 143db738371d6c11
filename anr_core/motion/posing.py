"""From a motion to the poses of a body: `retarget`."""

from __future__ import annotations

import torch
from torch.nn import functional

from anr_core.body import Body, Pose
from anr_core.motion.anatomy import SIDES, anatomy_of, upward
from anr_core.motion.feet import (
    bent_toes,
    eased_ankles,
    foot_goals,
    knees_kept,
    legs,
    straightened,
    sunk,
    widened,
)
from anr_core.motion.limbs import apply, swing
from anr_core.motion.puppet import Puppet, at_rest, puppet_of
from anr_core.motion.record import Motion
from anr_core.motion.retargeting import turned_parts
from anr_core.motion.source import Source, Z, source_of
from anr_core.motion.timing import at_rate, looped, smoothed, trimmed, without_reference

LONGEST = 4_000_000  # joints in all frames: about 20 minutes at 30 frames a second, and 2 GB


def retarget(motion: Motion, body: Body, fps: float | None = None, smooth: float = 0.0, loop: int = 0,
             start: float | None = None, end: float | None = None, up: str | None = None,
             world_up: torch.Tensor | None = None) -> Pose:
    """The poses (B) in which a body moves as a motion does; `frame` counts them from 0.

    fps         poses a second; None for the motion's own
    smooth      seconds, the standard deviation of a Gaussian over time; feet that stand are left standing
    loop        rounds whose end flows into their beginning; 0 plays the motion as it is
    start, end  seconds of the motion to take
    up          the axis of the motion's file against gravity, such as "y" or "-z"; None looks
    world_up    (3,) unit vector against gravity in the world of the poses; None for +Z

    The first pose stands above the world's origin, on a floor at height zero. A file with Y up that faces +Z
    comes out facing -Y, as Anny rests. Raises ValueError where the motion has no legs, mirrored ones, or the
    body can't be posed.
    """
    puppet = puppet_of(body)
    motion = trimmed(without_reference(motion), start, end)
    played = motion.fps if fps is None else fps
    count = motion.seconds * played + 1  # before room is made for them
    if not count * max(len(motion.names), len(puppet.names)) * max(1, int(loop)) <= LONGEST:
        raise ValueError(f"The motion has {count:.0f} frames at {played:g} fps, too many at once. Take "
                         "a part with start and end, or fewer frames a second.")
    if fps is not None:
        motion = at_rate(motion, fps)
    with motion.named():
        anatomy = anatomy_of(motion)
        upright = upward(anatomy, motion[:: max(1, len(motion) // 500)].placed()[1], up)
        if loop:
            motion = looped(motion, int(loop), _height(motion), upright.float())
        source, fps = source_of(motion, anatomy, upright, puppet, smooth), motion.fps
    copied = _copied(smoothed(motion, smooth), body, source)
    resting = at_rest(body).joints[0].cpu()
    if copied is not None and not smooth and _alike(at_rest(motion.body).joints[0].cpu(), resting):
        poses = _as_they_are(motion, source)
    else:
        poses = _pose(source, puppet, fps, copied)
    if world_up is not None:
        poses = _stood_up(poses, world_up.double())
    rotations, root, place = poses
    place = place - resting[0].double()
    return Pose(rotations.float(), root.float(), place.float(), torch.arange(len(place)))


def _pose(source: Source, puppet: Puppet, fps: float, copied: torch.Tensor | None):
    """Rotations (T, J - 1, 3), the root's (T, 3) and its place (T, 3), in a world with Z up."""
    import roma  # a second to import

    parts = turned_parts(source, puppet) if copied is None else _own_parts(copied, puppet)
    joint, names = puppet.joint, source.anatomy.joints
    hips = (source.place("left_hip") + source.place("right_hip")) / 2
    ankles = torch.stack([source.place(f"{side}_ankle") for side in SIDES], 1).clone()
    ankles[..., 2] += source.levels
    toes = None
    if all(f"{side}_toe" in names for side in SIDES):
        toes = torch.stack([source.place(f"{side}_toe") for side in SIDES], 1).clone()
        toes[..., 2] += source.levels
    feet = torch.stack([parts[f"{side}_ankle"] for side in SIDES], 1)
    own_hips = torch.stack([puppet.rest[joint(f"{side}_hip")] for side in SIDES])
    across = source.place("left_hip") - source.place("right_hip")
    wider = (own_hips[0] - own_hips[1]).norm() - across.norm(dim=-1).median()
    outwards = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    moved = wider / 2 * widened(source.stands, across, fps) * outwards
    ankles = ankles + moved
    toes = None if toes is None else toes + moved
    goals = foot_goals(ankles, toes, feet, source.stands, puppet, fps)
    from_middle = apply(parts["pelvis"][:, None], own_hips - own_hips.mean(0))
    lengths = torch.tensor([sum(puppet.leg(side)) for side in SIDES], dtype=torch.float64)
    extension = _extension(source)
    hips[:, 2] += knees_kept(hips[:, None] + from_middle, goals, extension, lengths, fps)
    hips[:, 2] -= sunk(hips[:, None] + from_middle, goals, lengths, fps)
    goals = straightened(hips[:, None] + from_middle, goals, extension, lengths)
    parts |= legs(parts, hips[:, None] + from_middle, goals, puppet)
    place = hips - apply(parts["pelvis"], own_hips.mean(0) - puppet.rest[0])
    local = _local(parts, puppet, len(place), copied)
    if copied is None:
        ankles = [joint(f"{side}_ankle") for side in SIDES]
        local[:, ankles] = eased_ankles(local[:, ankles], source.stands, fps)
        _add_toes(local, parts, feet, goals, puppet)
    # from canonical axes to the body's own
    local[:, 0] = local[:, 0] @ puppet.canonical
    local[:, 1:] = puppet.canonical.T @ local[:, 1:] @ puppet.canonical
    vectors = roma.rotmat_to_rotvec(local)
    return vectors[:, 1:], vectors[:, 0], place


def _extension(source: Source) -> torch.Tensor:
    """(T, 2) from hip to ankle, of the leg's length; what bends the wrong way is straight."""
    found = []
    for side in SIDES:
        hip, knee, ankle = (source.place(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
        share = (ankle - hip).norm(dim=-1) / ((knee - hip).norm(dim=-1) + (ankle - knee).norm(dim=-1))
        sideways = source.place("left_hip") - source.place("right_hip")
        backwards = (torch.linalg.cross(knee - hip, ankle - knee, dim=-1) * sideways).sum(-1) < 0
        found.append(torch.where(backwards, 1.0, share))
    return torch.stack(found, 1)


def _local(parts, puppet: Puppet, count: int, copied: torch.Tensor | None) -> torch.Tensor:
    """(T, J, 3, 3) of each joint against its parent, of parts in the world."""
    import roma  # a second to import

    joint = puppet.joint
    eye = torch.eye(3, dtype=torch.float64)
    local = eye.expand(count, len(puppet.names), 3, 3).clone() if copied is None else copied.clone()
    fixed = {joint(name): turn for name, turn in parts.items() if name in puppet.names and name != "pelvis"
             and name != "chest" and name != "head"}
    fixed[0] = parts["pelvis"]
    if copied is None:
        for chain, start, end in ((puppet.spine, "pelvis", "chest"), (puppet.neck, "chest", "head")):
            start = parts.get(start, parts["pelvis"])
            if end in parts and chain:
                shared = roma.rotmat_to_rotvec(start.mT @ parts[end]) / len(chain)
                local[:, chain] = roma.rotvec_to_rotmat(shared)[:, None]
        for side in SIDES:
            collar = f"{side}_collar"
            if collar in parts and f"{side}_scapula" in puppet.names:  # the two share it
                own = roma.rotmat_to_rotvec(parts.get("chest", parts["pelvis"]).mT @ parts[collar]) / 2
                local[:, [joint(collar), joint(f"{side}_scapula")]] = roma.rotvec_to_rotmat(own)[:, None]
                fixed.pop(joint(collar))
    world = []
    for index, parent in enumerate(puppet.parents):
        if index in fixed:
            local[:, index] = fixed[index] if parent < 0 else world[parent].mT @ fixed[index]
        world.append(local[:, index] if parent < 0 else world[parent] @ local[:, index])
    return local


def _add_toes(local, parts, feet, goals, puppet: Puppet) -> None:
    """Toes bend with the source's, and at least so far that a foot that rolls off stands on them."""
    import roma  # a second to import

    needed = bent_toes(feet, goals, puppet)
    for foot, side in enumerate(SIDES):
        bend = needed[:, foot]
        if f"{side}_toe" in parts:
            own = roma.rotmat_to_rotvec(feet[:, foot].mT @ parts[f"{side}_toe"])[:, 0]
            bend = torch.maximum(bend, (-own).clamp(-0.5, 0.6))
        local[:, puppet.toes[foot]] = roma.rotvec_to_rotmat(functional.pad(-bend[:, None], (0, 2)))[:, None]


def _height(motion: Motion) -> float:
    places = motion.resting()
    return float((places[:, None] - places).norm(dim=-1).max())


def _copied(motion: Motion, body: Body, source: Source) -> torch.Tensor | None:
    """The motion's own rotations (T, J, 3, 3), where it is of a body with the same joints; canonical."""
    if motion.body is None or motion.body.skeleton != body.skeleton or source.axes is None:
        return None
    import roma  # a second to import

    local, axes = roma.rotvec_to_rotmat(motion.rotations.double()), source.axes
    local = axes.T @ local @ axes  # of the body's own axes in canonical ones
    local[:, 0] = source.turns[:, 0] @ axes
    return local


def _alike(one, other):
    return torch.allclose(one, other, atol=1e-5)


def _as_they_are(motion: Motion, source: Source):
    """The rotations, root rotation and place of a motion of the very same body."""
    import roma  # a second to import

    root = roma.rotmat_to_rotvec(source.turns[:, 0])
    return motion.rotations[:, 1:].double(), root, source.places[:, 0].clone()


def _own_parts(local, puppet: Puppet):
    """The turned parts of a body's own rotations."""
    world = []
    for index, parent in enumerate(puppet.parents):
        world.append(local[:, index] if parent < 0 else world[parent] @ local[:, index])
    names = ["pelvis", *(f"{side}_{name}" for side in SIDES for name in ("hip", "knee", "ankle"))]
    return {name: world[puppet.joint(name)] for name in names}


def _stood_up(poses, up):
    """Poses of a world with Z up in one with another."""
    import roma  # a second to import

    rotations, root, place = poses
    turn = swing(Z, up)
    root = roma.rotvec_composition((roma.rotmat_to_rotvec(turn).expand(len(root), 3), root))
    return rotations, root, place @ turn.T
