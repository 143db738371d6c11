"""A motion of some skeleton on the body at hand.

    1  the source's joints in the body's canonical axes: Z up, sized so that its legs are as long
    2  each part of the body is turned as the source's is, whatever the frames of its joints: limbs point
       where they point, knees and elbows bend as hinges, the spine shares what lies between pelvis and chest
    3  feet go where the source's go, on the body's own legs (feet.py)

How a part is turned from *the body's rest*, rather than from the file's, is known by a constant of each
joint, `joint_from_rest`. It comes from the file's rest pose where somebody could stand so, and in any case
from what the motion tells: about which of a bone's own axes knees and elbows bend, and which of a foot's is
upright while it stands.
"""

from __future__ import annotations

import torch

from anr_core.motion.anatomy import SIDES
from anr_core.motion.limbs import across, apply, frame, rotation_nearest, swing, twist_about, two_bones, unit
from anr_core.motion.puppet import Puppet
from anr_core.motion.source import Source, Z

COHERENT, BENT = 0.85, 0.25  # how constant a hinge's axis is and how far it bends (sine) to be believed
TILTED = 0.87                # cosine of how far a rest pose's foot may be from flat
COLLAR, WRIST, PRONATION = 0.4, 0.8, 0.42  # radians that these turn at the most
CURLED, THUMB = 2.5, 0.5  # radians that fingers turn against the hand at the most
ANKLE = 0.2  # radians that a foot is turned about the shin
LEGS, ARMS = "hip knee ankle", "shoulder elbow wrist"


def turned_parts(source: Source, puppet: Puppet) -> dict[str, torch.Tensor]:
    """How each part of the puppet is turned from its rest, (T, 3, 3) in the world, by its joint's name.

    pelvis, chest, head, and of each side hip (the thigh), knee, ankle (the foot), toe, collar, shoulder,
    elbow, wrist (the hand) and fingers: those that the source knows.
    """
    has, parts = source.anatomy.has, {}
    parts["pelvis"] = source.turn("pelvis") @ _upright(source, "pelvis", "hip")
    if has("chest"):
        ends = "shoulder" if has("left_shoulder", "right_shoulder") else "hip"
        parts["chest"] = source.turn("chest") @ _upright(source, "chest", ends)
    trunk = parts.get("chest", parts["pelvis"])
    if has("head"):
        parts["head"] = source.turn("head") @ _as_a_rule(source, "head", trunk)
    for index, side in enumerate(SIDES):
        parts |= _leg(source, puppet, side, index, parts["pelvis"])
        if has(f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"):
            parts |= _arm(source, puppet, side, trunk)
    return parts


def _upright(source, joint, ends):
    """joint_from_rest of a part of the trunk: by the rest pose, else by its width and what is mostly up."""
    if source.axes is not None:
        return source.axes
    into = source.turn(joint).mT
    left = unit(apply(into, source.place(f"left_{ends}") - source.place(f"right_{ends}")).mean(0))
    up = across(unit(apply(into, Z.expand(len(into), 3)).mean(0)), left)
    return torch.stack([left, torch.linalg.cross(up, left), up], 1)


def _as_a_rule(source, joint, other):
    """joint_from_rest of a part: by the rest pose, else as a rule turned as another part (T, 3, 3) is."""
    if source.axes is not None:
        return source.axes
    return rotation_nearest((source.turn(joint).mT @ other).mean(0))


def _leg(source, puppet, side, index, pelvis):
    names = [f"{side}_{joint}" for joint in LEGS.split()]
    thigh, shin = _limb(source, puppet, side, LEGS, pelvis)
    foot_from_rest = _foot(source, puppet, side, index, shin)
    foot = source.turn(f"{side}_ankle") @ foot_from_rest
    # an ankle hardly twists: where a straight leg's thigh was turned about itself instead, it is turned back
    bones = [unit(puppet.bone(*names[:2])), unit(puppet.bone(*names[1:]))]
    twist = unwound(twist_about(shin.mT @ foot, bones[1]))
    beyond = _about(bones[0], twist - twist.clamp(-ANKLE, ANKLE))
    thigh, shin = two_bones(apply(thigh, bones[0]), apply(shin, bones[1]), thigh @ beyond, *bones,
                            puppet.hinge(side, LEGS))
    parts = dict(zip(names, (thigh, shin, foot), strict=True))
    if source.anatomy.has(f"{side}_toe"):
        toe_from_rest, turn = foot_from_rest, source.turn(f"{side}_toe")
        if source.axes is None:
            toe_from_rest = rotation_nearest((turn.mT @ foot)[_some(source.stands[:, index])].mean(0))
        parts[f"{side}_toe"] = turn @ toe_from_rest
    return parts


def _arm(source, puppet, side, trunk):
    shoulder, elbow, wrist = (f"{side}_{joint}" for joint in ARMS.split())
    upper, fore = _limb(source, puppet, side, ARMS, trunk)
    parts = {shoulder: upper, elbow: fore}
    if source.anatomy.has(f"{side}_collar") and source.axes is not None:
        own = trunk.mT @ source.turn(f"{side}_collar") @ source.axes
        parts[f"{side}_collar"] = trunk @ _within(own, COLLAR)
    if not (source.anatomy.has(f"{side}_hand") and puppet.hand(side)):
        return parts
    # the hand: as it rests on the forearm, then along its bone, then by its thumb
    points = unit(puppet.bone(wrist, puppet.hand(side)))
    turn = source.turns[:, source.anatomy.carriers[f"{side}_hand"]]
    along = unit(apply(turn.mT, source.bone(wrist, f"{side}_hand")).mean(0))
    if source.axes is not None:
        _, guess = _rest_limb(source, puppet, side, ARMS)
        guess = source.axes @ guess
    else:
        guess = rotation_nearest((turn.mT @ fore).mean(0))
    guess = swing(guess @ points, along) @ guess
    if source.anatomy.has(f"{side}_thumb1") and f"{side}_thumb2" in puppet.names:
        thumb = apply(turn.mT, source.bone(wrist, f"{side}_thumb1")).mean(0)
        if source.axes is not None:
            thumb = source.axes @ source.rest_bone(wrist, f"{side}_thumb1")
        own = unit(puppet.bone(wrist, f"{side}_thumb2"))
        if float(torch.linalg.cross(thumb, along).norm()) > 0.35:  # not along the hand
            guess = frame(along, thumb) @ frame(points, own).mT
    hand = turn @ guess
    # the forearm takes half of what turns the hand about it, the wrist the rest, both within what they can
    bone = unit(puppet.bone(elbow, wrist))
    twist = unwound(twist_about(fore.mT @ hand, bone)) / 2
    parts[elbow] = fore @ _about(bone, twist.clamp(-PRONATION, PRONATION))
    parts[wrist] = parts[elbow] @ _within(parts[elbow].mT @ hand, WRIST)
    return parts | _fingers(source, puppet, side, turn, guess, parts[wrist])


def _fingers(source, puppet, side, turn, hand_from_rest, hand):
    """Turns of the fingers of a hand: against it they turn as the source's do from where those rest."""
    if source.axes is None:  # how they rest nobody knows
        return {}
    names = [name for name in source.anatomy.joints
             if name.startswith(f"{side}_") and name[-1:] in "123" and name in puppet.names]
    found = {}
    for name in names:
        own = _within(turn.mT @ source.turn(name), THUMB if "thumb" in name else CURLED)
        found[name] = hand @ hand_from_rest.T @ own @ hand_from_rest
    return found


def _limb(source, puppet, side, limb, trunk):
    """Turns (T, 3, 3) of the two bones of a limb that springs from the trunk."""
    names = [f"{side}_{joint}" for joint in limb.split()]
    upper, lower = source.bone(*names[:2]), source.bone(*names[1:])
    rest_upper, rest_lower = unit(puppet.bone(*names[:2])), unit(puppet.bone(*names[1:]))
    hinge, turn = puppet.hinge(side, limb), source.turn(names[0])
    along = unit(apply(turn.mT, upper).mean(0))  # in the joint's own axes
    plane = apply(turn.mT, torch.linalg.cross(upper, lower, dim=-1))
    sine = plane.norm(dim=-1)
    bend = (plane * sine[:, None]).sum(0)
    coherent = float(bend.norm() / sine.square().sum().clamp(min=1e-12))
    enough = BENT if source.axes is not None else BENT / 5  # where there is nothing better
    if coherent > COHERENT and float(sine.square().mean().sqrt()) > enough:
        joint_from_rest = frame(along, unit(bend)) @ frame(rest_upper, hinge).mT
    elif source.axes is not None:
        joint_from_rest = source.axes @ _rest_limb(source, puppet, side, limb)[0]
    else:
        own = rotation_nearest((turn.mT @ trunk).mean(0))
        joint_from_rest = swing(own @ rest_upper, along) @ own
    return two_bones(upper, lower, turn @ joint_from_rest, rest_upper, rest_lower, hinge)


def _rest_limb(source, puppet, side, limb):
    """How the rest pose of the source turns the puppet's limb: (3, 3) each."""
    names = [f"{side}_{joint}" for joint in limb.split()]
    upper, lower = source.rest_bone(*names[:2]), source.rest_bone(*names[1:])
    rest_upper, rest_lower = unit(puppet.bone(*names[:2])), unit(puppet.bone(*names[1:]))
    guess = swing(rest_upper, upper)
    turns = two_bones(upper[None], lower[None], guess[None], rest_upper, rest_lower, puppet.hinge(side, limb))
    return turns[0][0], turns[1][0]


def _foot(source, puppet, side, index, shin):
    """joint_from_rest of a foot: what is up while it stands is up, and it points where it points."""
    turn, rows = source.turn(f"{side}_ankle"), _some(source.stands[:, index])
    up = unit(apply(turn.mT, Z.expand(len(turn), 3))[rows].mean(0))
    if source.axes is not None:
        flat = source.axes[:, 2]
        if float(up @ flat) < TILTED or not bool(source.stands[:, index].any()):
            up = flat
    ball = puppet.balls[index]
    if not source.anatomy.has(f"{side}_toe"):
        guess = source.axes if source.axes is not None else rotation_nearest((turn.mT @ shin).mean(0))
        return swing(unit(guess @ Z), up) @ guess
    along = unit(apply(turn.mT, source.bone(f"{side}_ankle", f"{side}_toe")).mean(0))
    if float(torch.linalg.cross(along, up).norm()) < 0.3:  # its end is the heel, or below the ankle
        guess = source.axes if source.axes is not None else rotation_nearest((turn.mT @ shin).mean(0))
        return swing(unit(guess @ Z), up) @ guess
    return frame(up, along) @ frame(Z, ball).mT


def _some(rows):
    """The rows that are meant, or all where none is."""
    return rows if bool(rows.any()) else torch.ones_like(rows)


def _within(turns, most):
    """Turns (T, 3, 3) of at most so many radians: beyond, the same way less far."""
    import roma  # a second to import

    vectors = roma.rotmat_to_rotvec(turns)
    size = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    return roma.rotvec_to_rotmat(vectors * (size.clamp(max=most) / size))


def unwound(angles: torch.Tensor) -> torch.Tensor:
    """Angles (T,) without jumps of a full turn, the median one within half a turn of zero."""
    if len(angles) > 1:
        steps = (angles.diff() + torch.pi) % (2 * torch.pi) - torch.pi
        angles = angles[:1] + torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    return angles - 2 * torch.pi * torch.round(angles.median() / (2 * torch.pi))


def _about(axis, angles):
    import roma  # a second to import

    return roma.rotvec_to_rotmat(angles[:, None] * axis)
