"""How the studio's people move: limbs are placed by where hands and feet go, the joints follow.

The person stands near the world's origin on the floor z = 0 and faces -Y at heading 0, its left side at +X.
A posture is a dictionary of controls, in the person's own axes:

    heading          radians about Z, where the person as a whole faces; positive turns to the left
    sway             (left, forward) of the pelvis from the middle between the feet, leg lengths
    height           of the hips above the ankles, leg lengths; 1 is standing straight
    pelvis spine neck    (forward, left, turn): bend forward, bend to the left and turn to the left, radians
    *_hand           wrist from the shoulder (outward, forward, up) in the chest's axes, arm lengths
    *_elbow          which way the elbow points, the same axes
    *_foot           (x, y) of the ball of the foot on the floor, metres, world
    *_step           (lift of the sole, metres; yaw of the toes in the world; pitch of the heel, radians)
    fists            0 is a relaxed hand, 1 a closed fist

Joint angles come from these by two-bone inverse kinematics, so that a planted foot stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from anr_core.prepare.studio.exercises import Script

SIDES = {"left": 1.0, "right": -1.0}  # their sign along X
LIMBS = {"arm": ("shoulder", "upper_arm", "elbow", "wrist"), "leg": ("hip", "thigh", "knee", "ankle")}
SPINE = ("sacrum", "lumbar", "spine1", "spine2", "spine3")
NECK = ("neck", "neck_middle", "neck_upper", "head")
PALMS = -0.8  # radians that forearm and wrist turn the palms to the thighs
REACH = 0.992  # of a limb's length: beyond this a nearly straight knee or elbow would jump


@dataclass(frozen=True)
class Rig:
    """What inverse kinematics needs of a body.

    names    of the joints
    parents  index of each joint's parent, -1 for the root
    joints   (J, 3) where they are in the zero pose, metres; rotations are about the world's axes there
    sole     height of the floor under the zero pose, metres: below the skin by what shoes are thick
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    joints: np.ndarray
    sole: float

    def at(self, name: str) -> np.ndarray:
        """(3,) where a joint rests, metres."""
        return self.joints[self.names.index(name)]

    def chain(self, tip: str, local: dict, root: np.ndarray, place: np.ndarray):
        """Rotation (T, 3, 3) of a joint's parent's frame and place (T, 3) of the joint itself.

        local  joint name -> (T, 3, 3), joints that aren't named don't turn
        """
        path, joint = [], self.names.index(tip)
        while joint >= 0:
            path.append(joint)
            joint = self.parents[joint]
        turn = root
        for parent, joint in zip(path[::-1], path[-2::-1], strict=False):
            if parent != path[-1] and self.names[parent] in local:
                turn = turn @ local[self.names[parent]]
            place = place + turn @ (self.joints[joint] - self.joints[parent])
        return turn, place

    def limb(self, side: str, kind: str) -> tuple[str, str, str, str]:
        """Names of a limb's first joint, of the one that twists below it, of its hinge and of its end."""
        return tuple(f"{side}_{name}" for name in LIMBS[kind])

    def length(self, kind: str) -> float:
        """How long an arm or a leg is, metres."""
        first, _, hinge, end = (self.at(name) for name in self.limb("left", kind))
        return float(np.linalg.norm(hinge - first) + np.linalg.norm(end - hinge))


def animate(rig: Rig, script: Script, times: np.ndarray):
    """The script's posture at times (T,), seconds.

    returns  joint rotations as axis-angle, name -> (T, 3); root rotation (T, 3) and place of the root (T, 3)
    """
    c = {name: _interpolated(script.times, keys, times) for name, keys in script.tracks().items()}
    leg, arm = rig.length("leg"), rig.length("arm")
    heading = _about((0, 0, 1), c["heading"][:, 0])
    root = heading @ _bend(c["pelvis"])
    feet = {side: _foot(rig, side, c) for side in SIDES}
    # the weight is carried between ankle and ball
    middle = sum(0.35 * c[f"{side}_foot"] + 0.65 * feet[side][0][:, :2] for side in SIDES) / 2
    sway = heading @ np.stack([c["sway"][:, 0], -c["sway"][:, 1], np.zeros(len(times))], -1)[..., None] * leg
    hips = (rig.at("left_hip") + rig.at("right_hip")) / 2 - rig.at("pelvis")
    ankles = rig.at("left_ankle")[2] - rig.sole
    place = np.concatenate([middle, ankles + c["height"] * leg], -1) + sway[..., 0] * [1, 1, 0]
    place = _lowered(rig, root, place - root @ hips, feet, leg)
    local = {}
    for names, bend in ((SPINE, c["spine"]), (NECK, c["neck"])):
        local |= dict.fromkeys(names, _bend(bend / len(names)))
    for side in SIDES:
        ankle, sole = feet[side]
        local |= _leg(rig, side, local, root, place, ankle, sole)
        local |= _toes(rig, side, c[f"{side}_step"][:, 2])
        local |= _arm(rig, side, local, root, place, c[f"{side}_hand"] * arm, c[f"{side}_elbow"])
        local |= _fingers(rig, side, c["fists"][:, 0])
    rotations = {name: Rotation.from_matrix(value).as_rotvec() for name, value in local.items()}
    return rotations, Rotation.from_matrix(root).as_rotvec(), place


def _interpolated(key_times, keys, times):
    """Smooth and without overshoot: what is equal in two keys stays still between them."""
    return PchipInterpolator(key_times, keys)(times)


def _about(axis, angle):
    """Rotations (T, 3, 3) about one axis by angles (T,)."""
    return Rotation.from_rotvec(np.asarray(axis, float) * angle[:, None]).as_matrix()


def _bend(angles):
    """Rotations of (forward, left, turn) (T, 3), for somebody who faces -Y."""
    return _about((0, 0, 1), angles[:, 2]) @ _about((0, 1, 0), angles[:, 1]) @ _about((1, 0, 0), angles[:, 0])


def _foot(rig, side, c):
    """Where the ankle is (T, 3), and the foot's rotation in the world (T, 3, 3)."""
    lift, yaw, pitch = c[f"{side}_step"].T
    turn = _about((0, 0, 1), yaw) @ _about((1, 0, 0), pitch)
    ball = rig.at(f"{side}_third_toe1")
    place = np.concatenate([c[f"{side}_foot"], (ball[2] - rig.sole + lift)[:, None]], -1)
    return place + turn @ (rig.at(f"{side}_ankle") - ball), turn


def _lowered(rig, root, place, feet, leg):
    """The root's place (T, 3), lowered where a foot could not be reached."""
    excess = np.zeros(len(place))
    for side, (ankle, _) in feet.items():
        hip = place + root @ (rig.at(f"{side}_hip") - rig.at("pelvis"))
        across = np.linalg.norm((hip - ankle)[:, :2], axis=-1)
        highest = np.sqrt(np.maximum((REACH * leg) ** 2 - across ** 2, 0))
        excess = np.maximum(excess, (hip - ankle)[:, 2] - highest)
    return place - excess[:, None] * [0, 0, 1]


def _leg(rig, side, local, root, place, ankle, sole):
    first, _, hinge, end = rig.limb(side, "leg")
    _, hip = rig.chain(first, local, root, place)
    target = np.swapaxes(root, 1, 2) @ (ankle - hip)[..., None]
    toes = np.swapaxes(root, 1, 2) @ sole  # knees point where the toes do, in part
    lateral = toes @ [1.0, 0, 0] * 0.6 + np.array([0.4, 0, 0])
    upper, lower = two_bones(rig, (first, hinge, end), target[..., 0], lateral, (1.0, 0, 0))
    found = {first: upper, hinge: lower}
    turn, _ = rig.chain(end, local | found, root, place)
    return found | {end: np.swapaxes(turn, 1, 2) @ sole}


def _toes(rig, side, pitch):
    """Toes stay flat on the floor while the heel is up."""
    flat = _about((1, 0, 0), -np.clip(pitch, 0, 0.9))
    return {f"{side}_{toe}_toe1": flat for toe in ("big", "second", "third", "fourth", "small")}


def _arm(rig, side, local, root, place, target, elbow):
    sign = SIDES[side]
    own = np.array([sign, -1, 1])  # outward, forward, up to the world's axes
    first, second, hinge, end = rig.limb(side, "arm")
    target, elbow = target * own, elbow * own
    direction = target / np.linalg.norm(target, axis=-1, keepdims=True)
    # the shoulder blade takes part: a quarter of the arm's elevation, and forward with a punch
    raised = 0.28 * np.clip(direction[:, 2] + 0.45, 0, None)
    forward = 0.3 * np.clip(-direction[:, 1], -0.4, 1) * np.linalg.norm(target, axis=-1) / rig.length("arm")
    girdle = {f"{side}_collar": _about((0, 0, 1), -sign * forward * 0.8) @ _about((0, 1, 0), -sign * raised),
              f"{side}_scapula": _about((0, 1, 0), -sign * raised * 0.6)}
    chest, _ = rig.chain(f"{side}_collar", local, root, place)
    turn, _ = rig.chain(first, local | girdle, root, place)
    inside = np.swapaxes(turn, 1, 2) @ chest  # the shoulder blade's axes from the chest's
    target, elbow = (inside @ target[..., None])[..., 0], (inside @ elbow[..., None])[..., 0]
    # the hinge's axis is perpendicular to the plane of shoulder, elbow and hand
    lateral = np.cross(elbow, target)
    joints = [rig.at(name) for name in (first, hinge, end)]
    bend = np.cross(joints[1] - joints[0], joints[2] - joints[1])
    upper, lower = two_bones(rig, (first, hinge, end), target, lateral, bend)
    axis = joints[1] - joints[0]
    twist = _twist(upper, axis / np.linalg.norm(axis))
    # the two bones share the twist; a sine, since the twist itself jumps where it has gone half around
    half = _about(axis / np.linalg.norm(axis), np.sin(twist) / 2)
    forearm = (joints[2] - joints[1]) / np.linalg.norm(joints[2] - joints[1])
    palms = _about(forearm, np.full(len(target), sign * PALMS / 2))
    return girdle | {first: upper @ np.swapaxes(half, 1, 2), second: half, hinge: lower,
                     f"{side}_forearm": palms, end: palms}


def two_bones(rig, names, target, lateral, axis):
    """Rotations (T, 3, 3) of a limb's first joint and of its hinge that bring its end to target (T, 3).

    target   from the first joint, in the axes of its parent
    lateral  (T, 3) where the hinge's axis should point, as nearly as the target allows
    axis     (3,)   the hinge's axis in the zero pose; turning by a positive angle bends the limb
    """
    a, b, c = (rig.at(name) for name in names)
    upper, lower = b - a, c - b
    axis = axis - upper * (axis @ upper) / (upper @ upper)
    axis = axis / np.linalg.norm(axis)
    distance = np.linalg.norm(target, axis=-1)
    longest = np.linalg.norm(upper) + np.linalg.norm(lower)
    distance = np.clip(distance, 0.3 * longest, REACH * longest)
    # |upper + turned lower|^2 = distance^2, where upper . turned lower = p cos + q sin + r
    along = lower @ axis
    p, q = upper @ (lower - along * axis), upper @ np.cross(axis, lower)
    wanted = (distance ** 2 - upper @ upper - lower @ lower) / 2
    angle = np.arctan2(q, p) + np.arccos(np.clip(wanted / np.hypot(p, q), -1, 1))
    hinge = _about(axis, angle)
    reached = upper + hinge @ lower
    before, after = _frame(reached, np.broadcast_to(axis, reached.shape)), _frame(target, lateral)
    return after @ np.swapaxes(before, 1, 2), hinge


def _frame(direction, lateral):
    """Right-handed axes (T, 3, 3) in columns: direction, what of lateral is square to it, and the third."""
    x = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    y = lateral - x * (lateral * x).sum(-1, keepdims=True)
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], -1)


def _twist(rotation, axis):
    """The angles (T,) by which rotations (T, 3, 3) turn about an axis, before they swing it elsewhere."""
    quaternion = Rotation.from_matrix(rotation).as_quat()
    return 2 * np.arctan2(quaternion[:, :3] @ axis, quaternion[:, 3])


def _fingers(rig, side, fists):
    """Fingers lie side by side and curl about the axis across the palm, a little in a relaxed hand too."""
    along = {finger: rig.at(f"{side}_{finger}3") - rig.at(f"{side}_{finger}1")
             for finger in ("thumb", "index", "middle", "ring", "pinky")}
    along = {finger: way / np.linalg.norm(way) for finger, way in along.items()}
    wrist, index, little = (rig.at(f"{side}_{name}") for name in ("wrist", "index1", "pinky1"))
    palm = SIDES[side] * np.cross(index - wrist, little - wrist)
    found = {}
    for finger, way in along.items():
        axis = np.cross(way, palm) / np.linalg.norm(np.cross(way, palm))
        curl = (0.15 + 0.3 * fists) if finger == "thumb" else (0.25 + 1.05 * fists)
        found |= {f"{side}_{finger}{knuckle}": _about(axis, curl) for knuckle in (1, 2, 3)}
        if finger != "thumb":
            closer = 0.7 * np.cross(way, along["middle"])  # for angles this small a sine is the angle
            found[f"{side}_{finger}1"] = Rotation.from_rotvec(closer).as_matrix() @ found[f"{side}_{finger}1"]
    return found
