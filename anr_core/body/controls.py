"""What a person's joints do, in words and degrees: one table for every body with named joints.

A control bends one joint, or several in a row that share the bend; fingers bend in all of theirs. Axes are
the person's own in the rest pose (left, back, up), where joints of Anny and of the SMPL family have no turn
of their own; those of an arm follow the way it rests. Turns about several axes of a joint are added as
axis-angles. What is said of the left side is mirrored on the right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import roma
import torch
from torch.nn import functional

from anr_core.body.base import Body, Pose

GROUPS = ("arms", "legs", "spine", "head", "hands")

# Joints of Anny and of the SMPL family; those that a skeleton has share the bend.
_JOINTS = {
    "waist": "lumbar spine1", "chest": "spine2 spine3", "neck": "neck neck_middle", "head": "neck_upper head",
    "collar": "collar scapula", "shoulder": "shoulder", "elbow": "elbow", "wrist": "wrist",
    "hip": "hip", "knee": "knee", "ankle": "ankle",
    "fingers": " ".join(f"{finger}{bone}" for finger in ("index", "middle", "ring", "pinky")
                        for bone in "123"),
    "thumb": "thumb1 thumb2 thumb3",
}
_MIDDLE = ("waist", "chest", "neck", "head")
_WHOLE = ("fingers", "thumb")  # each of their joints bends by all of it

# Group, joints, what a larger number does, axis (with a minus the other way), least and most degrees. An
# elbow is straight at 0, and an arm whose shoulder is at 0 points sideways, however the body rests.
_TABLE = (
    ("arms", "shoulder", "raise", "-back", -80, 100),
    ("arms", "shoulder", "forward", "-up", -40, 120),
    ("arms", "shoulder", "twist", "-upper arm", -80, 80),
    ("arms", "elbow", "bend", "hinge", 0, 145),
    ("arms", "elbow", "twist", "-forearm", -80, 80),
    ("arms", "wrist", "bend", "-palm", -60, 60),
    ("arms", "wrist", "sideways", "hinge", -25, 35),
    ("arms", "collar", "shrug", "-back", -10, 25),
    ("legs", "hip", "forward", "-left", -30, 120),
    ("legs", "hip", "sideways", "-back", -25, 60),
    ("legs", "hip", "turn out", "up", -40, 50),
    ("legs", "knee", "bend", "left", 0, 145),
    ("legs", "ankle", "point", "left", -25, 50),
    ("legs", "ankle", "turn out", "up", -25, 30),
    ("spine", "waist", "forward", "left", -25, 60),
    ("spine", "waist", "to the left", "back", -30, 30),
    ("spine", "waist", "turn left", "up", -35, 35),
    ("spine", "chest", "forward", "left", -25, 40),
    ("spine", "chest", "to the left", "back", -25, 25),
    ("spine", "chest", "turn left", "up", -40, 40),
    ("head", "neck", "forward", "left", -30, 40),
    ("head", "head", "nod", "left", -30, 35),
    ("head", "head", "to the left", "back", -35, 35),
    ("head", "head", "turn left", "up", -65, 65),
    ("hands", "fingers", "curl", "curl", -10, 80),
    ("hands", "thumb", "curl", "thumb", -25, 30),
)


@dataclass(frozen=True)
class Control:
    """One way to bend.

    name       such as "left elbow: bend"
    group      one of GROUPS
    joints     rows of `Pose.rotations`
    share      of the angle that each of them turns by
    axis       (3,) unit vector
    rest       degrees at which it is in the rest pose
    low, high  degrees that people bend to
    mirror     name of the same control on the other side, or its own
    """

    name: str
    group: str
    joints: tuple[int, ...]
    share: float
    axis: torch.Tensor
    rest: float
    low: float
    high: float
    mirror: str


class Controls:
    """The controls of a body by name; none where its joints have no names, as those of a mesh a frame."""

    def __init__(self, body: Body):
        self.body, self.all = body, {control.name: control for control in controls(body)}
        together = {}
        for control in self.all.values():
            together.setdefault(control.joints, []).append(control)
        # of those that bend the same joints, whose axes need not be square to each other: joints, controls,
        # and what makes their angles (n,) of a turn (3,)
        self.together = [(list(joints), bends, torch.linalg.pinv(torch.stack([one.axis for one in bends]).T))
                          for joints, bends in together.items()]

    def read(self, pose: Pose) -> dict[str, float]:
        """Degrees of every control in the first of the poses; they may lie outside of its limits."""
        found = {}
        for joints, bends, angles_of_turn in self.together:
            turn = pose.rotations[0, joints].mean(0).to(angles_of_turn) / bends[0].share
            angles = (angles_of_turn @ turn).rad2deg().tolist()
            found |= {bend.name: bend.rest + angle for bend, angle in zip(bends, angles, strict=True)}
        return found

    def bent(self, pose: Pose, degrees: dict[str, float]) -> Pose:
        """The pose with some controls changed; what no control tells of it stays."""
        rotations, now = pose.rotations.clone(), self.read(pose)
        for name, angle in degrees.items():
            control = self.all[name]
            turn = torch.deg2rad(torch.tensor(angle - now[name])) * control.share * control.axis
            rotations[:, list(control.joints)] += turn.to(rotations)
        return Pose(rotations, pose.root_rotation, pose.root_translation, pose.frame)


def controls(body: Body) -> list[Control]:
    """What bends a body, in the order of the table, left before right."""
    if body.skeleton is None:
        return []
    names = body.skeleton.names
    rest = at_rest(body)
    found = []
    for group, joint, action, axis, low, high in _TABLE:
        for side in ("",) if joint in _MIDDLE else ("left", "right"):
            rows = tuple(names.index(name) - 1 for name in _named(joint, side) if name in names)
            if not rows:
                continue
            resting = {("shoulder", "raise"): rest.raised, ("elbow", "bend"): rest.bend}
            swapped = {"left": "right", "right": "left", "": ""}[side]
            found.append(Control(_name(side, joint, action), group, rows,
                                 1.0 if joint in _WHOLE else 1 / len(rows), _axis(rest, side, axis),
                                 resting.get((joint, action), 0.0), low, high, _name(swapped, joint, action)))
    return found


def _name(side, joint, action):
    return f"{side} {joint}: {action}".strip()


def _named(joint, side):
    return [f"{side}_{name}" if side else name for name in _JOINTS[joint].split()]


@dataclass(frozen=True)
class Rest:
    """How a body stands at rest: unit vectors, and the left arm's degrees above sideways and of its bend."""

    left: torch.Tensor
    back: torch.Tensor
    up: torch.Tensor
    upper_arm: torch.Tensor
    forearm: torch.Tensor
    raised: float
    bend: float


def at_rest(body: Body) -> Rest:
    """Of a body with named joints, whose hips, neck and arms are known."""
    pose = body.rest_pose()
    pose = replace(pose, root_rotation=torch.zeros_like(pose.root_rotation))  # in the body's own coordinates
    joints = dict(zip(body.skeleton.names, body(pose).joints[0].cpu(), strict=True))
    up = _main_axis(joints["neck"] - joints["pelvis"])
    left = _main_axis(joints["left_hip"] - joints["right_hip"])
    upper, fore = (functional.normalize(joints[f"left_{end}"] - joints[f"left_{start}"], dim=0)
                   for start, end in (("shoulder", "elbow"), ("elbow", "wrist")))
    raised, bend = torch.asin(upper @ up).rad2deg(), torch.acos((upper @ fore).clamp(-1, 1)).rad2deg()
    return Rest(left, torch.linalg.cross(up, left), up, upper, fore, float(raised), float(bend))


def _main_axis(direction: torch.Tensor) -> torch.Tensor:
    """The axis of the body's coordinates, with its sign, that is nearest to a direction (3,)."""
    largest = direction.abs().argmax()
    return functional.one_hot(largest, 3).to(direction) * direction[largest].sign()


def _axis(rest: Rest, side: str, name: str) -> torch.Tensor:
    """(3,) of a name of the table; of the right side the left one's mirror image."""
    sign, name = (-1.0, name[1:]) if name.startswith("-") else (1.0, name)
    # a straight arm that points sideways bends forward
    hinge = functional.normalize(torch.linalg.cross(rest.upper_arm, rest.forearm - 0.02 * rest.back), dim=0)
    axis = sign * {"left": rest.left, "back": rest.back, "up": rest.up, "upper arm": rest.upper_arm,
                   "forearm": rest.forearm, "hinge": hinge, "palm": torch.linalg.cross(hinge, rest.forearm),
                   # palms look at the thighs where arms hang, and down where they point sideways
                   "curl": rest.left if rest.raised < -20 else rest.back, "thumb": -rest.up}[name]
    if side == "right":  # an axis of turning is a pseudovector: mirrored, it keeps what is across
        axis = 2 * (axis @ rest.left) * rest.left - axis
    return axis


def arms_at(body: Body, degrees: float) -> torch.Tensor:
    """(1, J - 1, 3) rotations of a body that stands with straight arms, so many degrees above sideways.

    0 is the T-pose, -45 an A-pose.
    """
    rest, names = at_rest(body), body.skeleton.names
    rotations = torch.zeros(1, len(names) - 1, 3)
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    for side, mirror in (("left", 1.0), ("right", -1.0)):
        flip = torch.ones(3) - (1 - mirror) * rest.left.abs()
        wanted = angle.cos() * rest.left * mirror + angle.sin() * rest.up
        shoulder = shortest_turn(rest.upper_arm * flip, wanted)
        elbow = shortest_turn(rest.forearm * flip, roma.rotvec_to_rotmat(shoulder).T @ wanted)
        rotations[0, names.index(f"{side}_shoulder") - 1] = shoulder
        rotations[0, names.index(f"{side}_elbow") - 1] = elbow
    return rotations


def shortest_turn(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The shortest turn (3,), axis-angle, that takes a unit vector to another, which is not its opposite."""
    axis = torch.linalg.cross(one, other)
    sine = axis.norm()
    return axis / sine.clamp(min=1e-9) * torch.atan2(sine, one @ other)
