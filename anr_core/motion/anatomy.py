"""Which joint of a motion is which of a person, where up is, and whether its rest pose is a person's.

Canonical axes are the body's of Anny: X to the person's left, Y to the back, Z up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from anr_core.motion.limbs import across, unit
from anr_core.motion.record import Motion
from anr_core.skeleton import EXPECTED, foreign_joints
from anr_core.telling import listed, quoted

SIDES = ("left", "right")
STRAIGHT = math.cos(math.radians(50))  # a rest pose's legs are straighter, and stand more under the trunk
SNAPPED = math.cos(math.radians(25))   # what is upright at rest is so along one of the file's axes
CERTAIN = 0.6  # mean height of heads above feet, as a share of their distance: less is lying or rolling
AXES = {sign + name: torch.tensor([value * float(axis == name) for axis in "xyz"], dtype=torch.float64)
        for sign, value in (("", 1.0), ("-", -1.0)) for name in "xyz"}


@dataclass(frozen=True)
class Anatomy:
    """What a skeleton's joints are of a person.

    joints     index by our name: pelvis, chest, head, and left_ and right_ hip, knee, ankle, toe, collar,
               shoulder, elbow, wrist, hand, thumb1; those that are there. Ends of chains stand in for joints.
    rest_axes  (3, 3) whose columns are the person's left, back and up at rest in the file's axes; None where
               the rest pose is no person's
    carriers   index of the joint whose turn moves left_hand and right_hand: the last one in the wrist
    """

    joints: dict[str, int]
    rest_axes: torch.Tensor | None
    carriers: dict[str, int]

    def has(self, *names: str) -> bool:
        """Whether the motion has all of these joints."""
        return all(name in self.joints for name in names)


def anatomy_of(motion: Motion) -> Anatomy:
    """The anatomy of a motion's skeleton; raises ValueError where no legs are found."""
    joints = dict(foreign_joints(motion.names) if motion.joints is None else motion.joints)
    places, parents = motion.resting(), motion.parents
    size = float((places - places.mean(0)).norm(dim=1).max())
    if size <= 0:
        raise ValueError("All offsets of the skeleton are zero: it has no size. Export it again.")
    for side in SIDES:  # ends of chains
        for end, joint in (("ankle", "knee"), ("wrist", "elbow"), ("toe", "ankle")):
            if f"{side}_{joint}" in joints and f"{side}_{end}" not in joints:
                found = next_joint(places, parents, joints[f"{side}_{joint}"], 1e-3 * size)
                if found is not None:
                    joints[f"{side}_{end}"] = found
        if f"{side}_wrist" in joints:
            thumbs = {index for index, name in enumerate(motion.names) if "thumb" in name.lower()}
            middle = joints.get(f"{side}_middle1")
            found = middle if middle is not None else next_joint(
                places, parents, joints[f"{side}_wrist"], 1e-3 * size, thumbs)
            if found is not None:
                joints[f"{side}_hand"] = found
            if f"{side}_thumb1" in joints:  # often stands in the wrist itself, and only its end tells
                thumb = joints[f"{side}_thumb1"]
                if float((places[thumb] - places[joints[f"{side}_wrist"]]).norm()) < 1e-3 * size:
                    thumb = next_joint(places, parents, thumb, 1e-3 * size)
                joints[f"{side}_thumb1"] = thumb
                if thumb is None:
                    del joints[f"{side}_thumb1"]
    missing = [f"{side}_{name}" for side in SIDES for name in ("hip", "knee", "ankle")
               if f"{side}_{name}" not in joints]
    if missing:
        names = [name for name in motion.names if not name.endswith(" end")]
        raise ValueError(f"The motion's joints can't be matched: no {', '.join(missing)} among "
                         f"{listed(names)}. Expected names such as {EXPECTED}, or thigh_l, lfemur, Bip01 L "
                         "Thigh.")
    joints |= _trunk(motion, joints)
    carriers = {f"{side}_hand": parents[joints[f"{side}_hand"]] for side in SIDES if f"{side}_hand" in joints}
    return Anatomy(joints, axes_at_rest(places, joints), carriers)


def next_joint(places: torch.Tensor, parents: Sequence[int], joint: int, near: float,
               without: set[int] = frozenset()) -> int | None:
    """The first joint down the tree that stands farther away than `near`; None where there is none."""
    level = [joint]
    while level:
        level = [child for parent in level for child, above in enumerate(parents)
                 if above == parent and child not in without]
        for child in level:
            if float((places[child] - places[joint]).norm()) > near:
                return child
    return None


def ancestors(parents: Sequence[int], joint: int) -> list[int]:
    """A joint, its parent, and so on up to the root."""
    found = [joint]
    while parents[found[-1]] >= 0:
        found.append(parents[found[-1]])
    return found


def meeting(parents: Sequence[int], one: int, other: int) -> int:
    """The lowest joint that both hang on, itself not one of them; the root where there is no other."""
    above = ancestors(parents, one)[1:] or [one]
    return next((joint for joint in ancestors(parents, other)[1:] if joint in above), above[-1])


def _trunk(motion, joints):
    """Pelvis and chest: what thighs and what arms spring from; without arms what the neck springs from."""
    parents, found = motion.parents, {}
    found["pelvis"] = meeting(parents, joints["left_hip"], joints["right_hip"])
    arms = [joints.get(f"{side}_collar", joints.get(f"{side}_shoulder")) for side in SIDES]
    if None not in arms:
        found["chest"] = meeting(parents, *arms)
    elif "head" in joints:
        above = [joint for joint in ancestors(parents, joints["head"])[1:]
                 if "neck" not in motion.names[joint].lower()]
        found["chest"] = above[0] if above else found["pelvis"]
    return found


def axes_at_rest(places: torch.Tensor, joints: Mapping[str, int]) -> torch.Tensor | None:
    """`Anatomy.rest_axes` of joints' places (J, 3); None unless somebody could stand so."""
    at = {name: places[index] for name, index in joints.items()}
    left = unit(at["left_hip"] - at["right_hip"])
    legs = [unit(at[f"{side}_{end}"] - at[f"{side}_{start}"]) for side in SIDES
            for start, end in (("hip", "knee"), ("knee", "ankle"))]
    down = unit(sum(legs))
    hips = (at["left_hip"] + at["right_hip"]) / 2
    top = next((at[name] for name in ("head", "chest")
                if name in at and float((at[name] - hips).norm()) > 1e-6), None)
    up = unit(unit(top - hips) - down) if top is not None else -down
    if top is not None and float(unit(top - hips) @ down) > -STRAIGHT:
        return None
    if min(float(leg @ down) for leg in legs) < STRAIGHT or abs(float(left @ up)) > 0.4:
        return None
    for side, sign in zip(SIDES, (1, -1), strict=True):  # an arm through the body is no person's
        if f"{side}_elbow" in at and f"{side}_shoulder" in at:
            arm = unit(at[f"{side}_elbow"] - at[f"{side}_shoulder"])
            if sign * float(arm @ left) < -0.4 or float(arm @ up) > 0.8:
                return None
    up = snapped(up)
    left = across(left, up)
    return torch.stack([left, torch.linalg.cross(up, left), up], 1)


def snapped(direction: torch.Tensor) -> torch.Tensor:
    """The file's own axis where a direction is near to one, else the direction."""
    axis = max(AXES.values(), key=lambda axis: float(axis @ direction))
    return axis.clone() if float(axis @ direction) > SNAPPED else direction


def upward(anatomy: Anatomy, places: torch.Tensor, up: str | None = None) -> torch.Tensor:
    """(3,) the axis against gravity in a motion's places (T, J, 3): on which heads are above feet.

    up  "x", "y", "z" or one of them with "-", where the user knows it

    Who lies or rolls all the time is taken to be upright in the rest pose. Raises ValueError where that tells
    nothing either.
    """
    if up is not None:
        if up not in AXES:
            raise ValueError(f"up is {quoted(up)}; use one of {', '.join(AXES)}.")
        return AXES[up].clone()
    joints = anatomy.joints
    feet = (places[:, joints["left_ankle"]] + places[:, joints["right_ankle"]]) / 2
    top = joints.get("head", joints.get("chest", joints["pelvis"]))
    mean = unit(places[:, top] - feet).mean(0)
    axis = max(AXES.values(), key=lambda axis: float(axis @ mean))
    if float(axis @ mean) > CERTAIN:
        return axis.clone()
    if anatomy.rest_axes is not None:
        return anatomy.rest_axes[:, 2].clone()
    raise ValueError("Where up is can't be told from the motion: nobody stands in it. Say so with up, such "
                     "as up='y'.")


def check_sides(anatomy: Anatomy, places: torch.Tensor, up: torch.Tensor) -> None:
    """Raise ValueError where toes and knees point backwards: left and right are swapped."""
    joints = anatomy.joints

    def bone(start, end):
        return unit(places[:, joints[end]] - places[:, joints[start]])

    forward = torch.linalg.cross(bone("right_hip", "left_hip"), up.expand(len(places), 3), dim=-1)
    signs = []
    for side in SIDES:
        thigh, shin = bone(f"{side}_hip", f"{side}_knee"), bone(f"{side}_knee", f"{side}_ankle")
        signs.append(float(((thigh - shin) * forward).sum(-1).mean()))  # a knee stands before hip and ankle
        if anatomy.has(f"{side}_toe"):
            signs.append(float((bone(f"{side}_ankle", f"{side}_toe") * forward).sum(-1).mean()))
    if max(signs) < 0 and min(signs) < -0.1:
        raise ValueError("The motion's knees and toes point backwards: its left and right are exchanged, or "
                         "its axes are left-handed. Export it with right-handed axes.")
