"""Joints by name: their order in each model and keypoint set, parents, mirrors, edges, and maps between them.

A joint that two skeletons share has the same name in both, so maps need no tables of their own. Sides are
those of the person: the left wrist is the person's left one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """A fixed order of named joints.

    names    joint i is called names[i]
    parents  index of each joint's parent, -1 for the root; None for a keypoint set that is no tree
    edges    pairs of joints to draw
    """

    names: tuple[str, ...]
    parents: tuple[int, ...] | None
    edges: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def mirror(self) -> tuple[int, ...]:
        """Index of each joint's counterpart on the other side; its own in the middle."""
        return mirrored(self.names)


def mirrored(names: Sequence[str]) -> tuple[int, ...]:
    """Index of each name with left and right exchanged; "left" and "right" are words between underscores."""
    swap = {"left": "right", "right": "left"}
    others = ("_".join(swap.get(word, word) for word in name.split("_")) for name in names)
    return tuple(names.index(other) for other in others)


def shared_joints(one: Skeleton, other: Skeleton) -> tuple[list[int], list[int]]:
    """Indices i into one and j into other of the joints that both have: names[i[k]] equals names[j[k]]."""
    pairs = [(i, other.names.index(name)) for i, name in enumerate(one.names) if name in other.names]
    return [i for i, _ in pairs], [j for _, j in pairs]


def _tree(bones: str) -> Skeleton:
    """A skeleton from words "joint<parent"; the root is a word alone."""
    names, parent_names = zip(*(word.partition("<")[::2] for word in bones.split()), strict=True)
    parents = tuple(names.index(parent) if parent else -1 for parent in parent_names)
    return Skeleton(names, parents, tuple((parent, i) for i, parent in enumerate(parents) if parent >= 0))


def _hand(side: str) -> str:
    """Fifteen finger joints in MANO's order; side is "left_", "right_" or nothing."""
    fingers = ("index", "middle", "pinky", "ring", "thumb")
    return " ".join(f"{side}{finger}1<{side}wrist {side}{finger}2<{side}{finger}1 "
                    f"{side}{finger}3<{side}{finger}2" for finger in fingers)


_BODY = """pelvis left_hip<pelvis right_hip<pelvis spine1<pelvis left_knee<left_hip right_knee<right_hip
    spine2<spine1 left_ankle<left_knee right_ankle<right_knee spine3<spine2 left_foot<left_ankle
    right_foot<right_ankle neck<spine3 left_collar<spine3 right_collar<spine3 head<neck
    left_shoulder<left_collar right_shoulder<right_collar left_elbow<left_shoulder right_elbow<right_shoulder
    left_wrist<left_elbow right_wrist<right_elbow """

SMPL = _tree(_BODY + "left_hand<left_wrist right_hand<right_wrist")
SMPLH = _tree(_BODY + _hand("left_") + " " + _hand("right_"))
SMPLX = _tree(_BODY + "jaw<head left_eyeball<head right_eyeball<head "
              + _hand("left_") + " " + _hand("right_"))
FLAME = _tree("root neck<root jaw<neck left_eyeball<neck right_eyeball<neck")
MANO = _tree("wrist " + _hand(""))


def _anny_leg(side: str) -> str:
    toes = " ".join(f"{side}{toe}_toe1<{side}ankle {side}{toe}_toe2<{side}{toe}_toe1"
                    + ("" if toe == "big" else f" {side}{toe}_toe3<{side}{toe}_toe2")
                    for toe in ("big", "second", "third", "fourth", "small"))
    return (f"{side}pelvis<pelvis {side}hip<{side}pelvis {side}thigh<{side}hip {side}knee<{side}thigh "
            f"{side}shin<{side}knee {side}ankle<{side}shin {toes}")


def _anny_arm(side: str) -> str:
    """The thumb springs from the wrist, the other fingers from a bone of the palm each."""
    fingers = " ".join(f"{side}{finger}_palm<{side}wrist {side}{finger}1<{side}{finger}_palm "
                       f"{side}{finger}2<{side}{finger}1 {side}{finger}3<{side}{finger}2"
                       for finger in ("index", "middle", "ring", "pinky"))
    return (f"{side}collar<spine3 {side}scapula<{side}collar {side}shoulder<{side}scapula "
            f"{side}upper_arm<{side}shoulder {side}elbow<{side}upper_arm {side}forearm<{side}elbow "
            f"{side}wrist<{side}forearm {side}thumb1<{side}wrist {side}thumb2<{side}thumb1 "
            f"{side}thumb3<{side}thumb2 {fingers}")


# In the order of anny's rig. Of its five spine joints, those that stand nearest to SMPL's have their names.
ANNY = _tree(f"""pelvis {_anny_leg("left_")} {_anny_leg("right_")} sacrum<pelvis lumbar<sacrum spine1<lumbar
    spine2<spine1 spine3<spine2 {_anny_arm("left_")} {_anny_arm("right_")} neck<spine3 neck_middle<neck
    neck_upper<neck_middle head<neck_upper left_eyeball<head right_eyeball<head""")

# Joints of ANNY that turn what SMPL's joint of another name does: the others go by their nearest ancestor
# that SMPL has. Below the lumbar spine nothing but the pelvis itself turns the legs.
_TURNS_IN_SMPL = {"sacrum": "spine1", "lumbar": "spine1", "neck_upper": "head"}
_ENDS_IN_SMPL = {"toe": "foot", "palm": "hand", "thumb": "hand", "index": "hand", "middle": "hand",
                 "ring": "hand", "pinky": "hand"}


def joints_for_anny(other: Skeleton) -> tuple[int, ...]:
    """Index into a skeleton of SMPL's family of the joint that turns what each joint of ANNY turns."""
    return tuple(other.names.index(_name_for(joint, other.names)) for joint in range(len(ANNY)))


def _name_for(joint, names):
    name = ANNY.names[joint]
    side, stem = f"{name.split('_')[0]}_", name.rstrip("123").split("_")[-1]
    for known in (_TURNS_IN_SMPL.get(name, name), f"{side}{_ENDS_IN_SMPL.get(stem)}"):
        if known in names:
            return known
    return _name_for(ANNY.parents[joint], names)


# How far a joint of ANNY turns, radians about the body's axes X (to its left), Y (to its back) and Z (up), on
# the left side, which the right one mirrors. Joints in a row share a bend or a twist.
_BEND = ((-0.25, 0.45), (-0.30, 0.30), (-0.30, 0.30))
_NECK = ((-0.35, 0.35), (-0.25, 0.25), (-0.40, 0.40))
_TOE = ((-0.70, 0.60), (-0.15, 0.15), (-0.15, 0.15))
_FINGER = ((-0.30, 1.50), (-0.60, 0.60), (-0.40, 0.40))
_PALM = ((-0.15, 0.15), (-0.15, 0.15), (-0.15, 0.15))
_LIMITS = {
    "sacrum": _BEND, "lumbar": _BEND, "spine1": _BEND, "spine2": _BEND, "spine3": _BEND,
    "neck": _NECK, "neck_middle": _NECK, "neck_upper": _NECK, "head": _NECK,
    "eyeball": ((-0.50, 0.50), (0.00, 0.00), (-0.60, 0.60)),
    "pelvis": ((-0.10, 0.10), (-0.20, 0.20), (-0.10, 0.10)),
    "hip": ((-2.10, 0.50), (-0.90, 0.50), (-0.70, 0.70)),
    "thigh": ((0.00, 0.00), (0.00, 0.00), (-0.30, 0.30)),
    "knee": ((-0.10, 2.50), (-0.10, 0.10), (-0.30, 0.30)),
    "shin": ((0.00, 0.00), (0.00, 0.00), (-0.20, 0.20)),
    "ankle": ((-0.50, 0.90), (-0.40, 0.40), (-0.40, 0.40)),
    "toe": _TOE,
    "collar": ((-0.20, 0.20), (-0.50, 0.20), (-0.40, 0.30)),
    "scapula": ((-0.20, 0.20), (-0.30, 0.20), (-0.20, 0.20)),
    "shoulder": ((-2.20, 1.20), (-2.20, 0.80), (-2.00, 1.00)),
    "upper_arm": ((0.00, 0.00), (0.00, 0.00), (0.00, 0.00)),
    "elbow": ((-1.30, 0.60), (-0.30, 0.30), (-1.20, 0.60)),
    "forearm": ((0.00, 0.00), (-0.80, 0.80), (0.00, 0.00)),
    "wrist": ((-0.80, 0.80), (-0.80, 0.80), (-0.80, 0.80)),
    "thumb": ((-0.60, 0.60), (-0.60, 0.60), (-0.60, 0.60)),
    "palm": _PALM, "index": _FINGER, "middle": _FINGER, "ring": _FINGER, "pinky": _FINGER,
}


def anny_limits() -> tuple[tuple[tuple[float, float], ...], ...]:
    """(low, high) about each axis of every joint of ANNY but the first, in the order of `Pose.rotations`."""
    return tuple(_limits(name) for name in ANNY.names[1:])


def _limits(name):
    joint = name.removeprefix("left_").removeprefix("right_")
    stem = joint if joint in _LIMITS else joint.rstrip("123").split("_")[-1]  # toes, fingers, palms alike
    x, y, z = _LIMITS[stem]
    if not name.startswith("right_"):
        return x, y, z
    return x, (-y[1], -y[0]), (-z[1], -z[0])


# OpenPose's 25; its hips sit lower and further in than COCO's
BODY25 = _tree("""nose<neck neck<middle_hip right_shoulder<neck right_elbow<right_shoulder
    right_wrist<right_elbow left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow
    middle_hip right_hip<middle_hip right_knee<right_hip right_ankle<right_knee left_hip<middle_hip
    left_knee<left_hip left_ankle<left_knee right_eye<nose left_eye<nose right_ear<right_eye
    left_ear<left_eye left_big_toe<left_ankle left_small_toe<left_big_toe left_heel<left_ankle
    right_big_toe<right_ankle right_small_toe<right_big_toe right_heel<right_ankle""")

# Where keypoints are on SMPL: mixes of its joints and of the vertices that smplx picks, by their names there,
# as SMPLify-X maps them to OpenPose's, but for neck and hips, which are none of SMPL's joints. OpenPose's
# neck is the middle of its shoulders, 5 cm below SMPL's. Detectors' hips are OUT times as far from the middle
# as SMPL's, and higher, by UP of the way to the pelvis: SMPL's rest joints put the hips 0.033 of its height
# from the middle and at 0.494 of it, detectors find them on Anny at 0.054 and 0.513. With SMPL's own instead,
# a fit was 4.1 px off where it is 2.6 px.
_OUT, _UP = 1.6, 0.4
SMPL_PICKED = {"nose": "nose", "left_eye": "leye", "right_eye": "reye",
               "left_ear": "lear", "right_ear": "rear",
               "left_big_toe": "LBigToe", "left_small_toe": "LSmallToe", "left_heel": "LHeel",
               "right_big_toe": "RBigToe", "right_small_toe": "RSmallToe", "right_heel": "RHeel"}


def _smpl_mix(keypoint: str) -> dict[str, float]:
    """Joints of SMPL and picked vertices, and their shares of a keypoint of BODY25 or COCO23."""
    if keypoint == "neck":
        return {"left_shoulder": 0.5, "right_shoulder": 0.5}
    if keypoint.endswith("_hip"):
        out = {"left_hip": _OUT / 2, "right_hip": -_OUT / 2, "middle_hip": 0.0}[keypoint]
        return {"pelvis": _UP, "left_hip": (1 - _UP) / 2 + out, "right_hip": (1 - _UP) / 2 - out}
    return {keypoint: 1.0}


SMPL_KEYPOINTS = {keypoint: _smpl_mix(keypoint) for keypoint in BODY25.names}

_COCO_NAMES = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
               "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
               "right_knee", "left_ankle", "right_ankle")
COCO17 = Skeleton(_COCO_NAMES, None, ((0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (5, 7),
                                      (6, 8), (7, 9), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (12, 14),
                                      (13, 15), (14, 16)))
_FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
COCO23 = Skeleton(_COCO_NAMES + _FEET, None, (*COCO17.edges, (15, 17), (17, 18), (15, 19), (16, 20), (20, 21),
                                              (16, 22)))
# OpenPose's other 25: COCO's points in COCO's order, then the upper neck, the top of the head, and the feet
BODY25B = Skeleton((*_COCO_NAMES, "upper_neck", "head_top", *_FEET), None, (
    *COCO17.edges, (17, 5), (17, 6), (17, 18), (15, 19), (19, 20), (15, 21), (16, 22), (22, 23), (16, 24)))
KEYPOINT_SETS = {"coco17": COCO17, "coco23": COCO23, "body25": BODY25, "body25b": BODY25B}

# How others call a joint, without side, digits and what all names of a file begin with. The first that is
# there and not taken yet is it: "shoulder" is the upper arm's joint, but the collar where there is an "arm".
_FOREIGN = {
    "wrist": "wrist hand",
    "elbow": "elbow forearm lowerarm lowarm armlower radius farm forearmbend",
    "shoulder": "upperarm uparm uarm armupper humerus shldr shldrbend arm shoulder",
    "collar": "collar clavicle clav collarbone shoulder",
    "ankle": "ankle foot",
    "toe": "toebase toe toes ball metatarsals forefoot footindex foottoe foot",
    "knee": "knee shin calf tibia lowerleg lowleg leglower leg",
    "hip": "upleg upperleg legupper thigh thighbend femur hip leg",
}
_FINGERS = {"thumb": "thumb handthumb thumbfinger", "index": "index handindex indexfinger",
            "middle": "middle mid handmiddle middlefinger", "ring": "ring handring ringfinger",
            "pinky": "pinky little handpinky handlittle pinkyfinger littlefinger"}
_STEMS = {stem for table in (_FOREIGN, _FINGERS) for stems in table.values() for stem in stems.split()}
_PREFIXES = {"mixamorig", "bip", "valvebiped", "character", "skeleton", "robot", "actor", "rig", "avg", "jnt",
             "joint", "bone", "def", "org", "cc", "base", "sk", "bn", "ctrl", "j", "b", "c", "m", "f"}
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right"}
EXPECTED = "LeftUpLeg, LeftLeg, LeftFoot, LeftArm, LeftForeArm, LeftHand, Head"  # in an error


def foreign_joints(names: Sequence[str]) -> dict[str, int]:
    """Index of the joints "left_hip", "right_index1", "head" and so on among the names of a file.

    Understands those of CMU, Mixamo, Biped, Unreal, Rokoko, Xsens, Vicon, OptiTrack, SMPL, Poser and the
    like. Joints that aren't there are left out.
    """
    words = [[word for word in re.split(r"[^a-z]+", re.split(r"[:|]", name)[-1].lower())
              if word and word not in _PREFIXES] for name in names]
    firsts = [word[0] for word in words if len(word) > 1]
    common = max(set(firsts), key=firsts.count, default="")
    if common not in _SIDES and firsts.count(common) > 0.6 * len(names):  # the figure's own name
        words = [word[1:] if word[:1] == [common] else word for word in words]
    found, taken, sided = {}, set(), {}
    for index, word in enumerate(words):
        side, stem = _side_and_stem("".join(word))
        if stem == "head":
            found.setdefault("head", index)
        elif side:
            digits = re.findall(r"\d+", re.split(r"[:|]", names[index])[-1])
            finger = next((joint for joint, stems in _FINGERS.items() if stem in stems.split()), None)
            if finger and digits and 1 <= int(digits[-1]) <= 3:
                found.setdefault(f"{side}_{finger}{int(digits[-1])}", index)
            elif finger == "thumb":
                found.setdefault(f"{side}_thumb1", index)
            sided.setdefault((side, stem), index)
    for side in ("left", "right"):
        for joint, stems in _FOREIGN.items():
            free = (sided[side, stem] for stem in stems.split() if (side, stem) in sided)
            index = next((index for index in free if index not in taken), None)
            if index is not None:
                found[f"{side}_{joint}"] = index
                taken.add(index)
    return found


def _side_and_stem(word):
    """ "left" and "upleg" of "lupleg", "leftupleg" and "uplegl"; None and the word where it has no side."""
    for letters, side in _SIDES.items():
        for stem in (word.removeprefix(letters), word.removesuffix(letters)):
            if stem != word and stem in _STEMS:
                return side, stem
    return None, word


# An upright person of 1.7 m with arms stretched out, metres: where joints stand about the pelvis, X to the
# left, Y up, Z to the front. For files that hold rotations of SMPL's joints alone: round numbers of our own,
# nothing in it is SMPL's.
T_POSE = {
    "pelvis": (0, 0, 0), "spine1": (0, 0.12, -0.02), "spine2": (0, 0.25, -0.02), "spine3": (0, 0.31, -0.01),
    "neck": (0, 0.52, -0.04), "head": (0, 0.61, 0.01), "left_hip": (0.08, -0.08, 0),
    "left_knee": (0.09, -0.49, 0), "left_ankle": (0.09, -0.90, -0.03), "left_foot": (0.11, -0.955, 0.09),
    "left_collar": (0.08, 0.42, -0.02), "left_shoulder": (0.19, 0.45, -0.03),
    "left_elbow": (0.45, 0.45, -0.03), "left_wrist": (0.70, 0.45, -0.03), "left_hand": (0.78, 0.45, -0.03),
    "left_index1": (0.79, 0.45, 0), "left_middle1": (0.80, 0.45, -0.03), "left_pinky1": (0.77, 0.44, -0.07),
    "left_ring1": (0.79, 0.45, -0.05), "left_thumb1": (0.73, 0.44, 0.02),
}
