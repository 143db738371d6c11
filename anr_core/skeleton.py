"""Joints by name: their order in each model and keypoint set, parents, mirrors, edges, and maps between them.

A joint that two skeletons share has the same name in both, so maps need no tables of their own. Sides are
those of the person: the left wrist is the person's left one.
"""

from __future__ import annotations

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
        swap = {"left": "right", "right": "left"}
        others = ("_".join(swap.get(word, word) for word in name.split("_")) for name in self.names)
        return tuple(self.names.index(other) for other in others)


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

# OpenPose's 25; its hips sit lower and further in than COCO's
BODY25 = _tree("""nose<neck neck<middle_hip right_shoulder<neck right_elbow<right_shoulder
    right_wrist<right_elbow left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow
    middle_hip right_hip<middle_hip right_knee<right_hip right_ankle<right_knee left_hip<middle_hip
    left_knee<left_hip left_ankle<left_knee right_eye<nose left_eye<nose right_ear<right_eye
    left_ear<left_eye left_big_toe<left_ankle left_small_toe<left_big_toe left_heel<left_ankle
    right_big_toe<right_ankle right_small_toe<right_big_toe right_heel<right_ankle""")

_COCO_NAMES = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
               "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
               "right_knee", "left_ankle", "right_ankle")
COCO17 = Skeleton(_COCO_NAMES, None, ((0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (5, 7),
                                      (6, 8), (7, 9), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (12, 14),
                                      (13, 15), (14, 16)))
