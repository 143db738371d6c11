"""Skeletons of fine detail, with fingers and the face's lines; and Human3.6M's.

Fingers count from the palm: index1 is the knuckle and index4 the tip, thumb1 the joint next to the wrist.
"""

from __future__ import annotations

from itertools import pairwise

from anr_core.skeleton import BODY25, BODY25B, COCO23, Skeleton

_SIDES = ("left", "right")
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_HANDS = tuple(f"{side}_{finger}{joint}" for side in _SIDES for finger in _FINGERS for joint in (1, 2, 3, 4))
_HAND_EDGES = tuple((before, after) for side in _SIDES for finger in _FINGERS
                    for before, after in pairwise([f"{side}_wrist", *(f"{side}_{finger}{joint}"
                                                                       for joint in (1, 2, 3, 4))]))

# OpenPose's 70 of the face, in its order: lines run from the person's right to the left, rings from the right
# end over the top. In a ring of an eye, "outer" is the temple's side.
_JAW = (*(f"right_jaw{joint}" for joint in range(1, 9)), "chin",
        *(f"left_jaw{joint}" for joint in range(8, 0, -1)))
_BROWS = tuple(tuple(f"{side}_brow{joint}" for joint in order)
               for side, order in (("right", range(1, 6)), ("left", range(5, 0, -1))))
_BRIDGE = ("nose_bridge1", "nose_bridge2", "nose_bridge3", "nose_bridge4")
_NOSTRILS = ("right_nostril1", "right_nostril2", "nose_base", "left_nostril2", "left_nostril1")
_LIDS = ("outer", "upper_outer", "upper_inner", "inner", "lower_inner", "lower_outer")
_EYES = (tuple(f"right_lid_{lid}" for lid in _LIDS),
         tuple(f"left_lid_{_LIDS[lid]}" for lid in (3, 2, 1, 0, 5, 4)))


def _mouth(ring: str, right: tuple[str, ...]) -> tuple[str, ...]:
    """A ring of the mouth: `right` names its upper right points from the corner on, each with one below."""
    left = [f"left_{ring}_{name}" for name in reversed(right)]
    upper = [*(f"right_{ring}_{name}" for name in right), f"{ring}_top", *left]
    lower = [name.replace("upper", "lower") for name in upper if "corner" not in name and "top" not in name]
    middle = len(lower) // 2
    return (*upper, *reversed(lower[middle:]), f"{ring}_bottom", *reversed(lower[:middle]))


_LIPS = _mouth("lip", ("corner", "upper1", "upper2")), _mouth("mouth", ("corner", "upper1"))
_LINES = (*_BROWS, _BRIDGE, _NOSTRILS)
_RINGS = (*_EYES, *_LIPS)
_FEATURES = tuple(name for line in (*_LINES, *_RINGS) for name in line)
_FEATURE_EDGES = (*(edge for line in _LINES for edge in pairwise(line)),
                  *(edge for ring in _RINGS for edge in zip(ring, (*ring[1:], ring[0]), strict=True)))


def _skeleton(names, edges, parents=None):
    return Skeleton(tuple(names), parents, tuple((names.index(a), names.index(b)) for a, b in edges))


def _named(skeleton):
    return tuple((skeleton.names[a], skeleton.names[b]) for a, b in skeleton.edges)



def _detailed(body):
    """A body, hands and face as OpenPose writes them beside each other, but for the hands' own wrists."""
    return _skeleton((*body.names, *_HANDS, *_JAW, *_FEATURES, "right_pupil", "left_pupil"),
                     (*_named(body), *_HAND_EDGES, *pairwise(_JAW), *_FEATURE_EDGES))


# 135, 133 and 135 points. The last are OpenPose's BODY_135, the second COCO-WholeBody's, but with pupils in
# place of the hands' wrists.
BODY25_DETAILED, COCO23_DETAILED, BODY25B_DETAILED = map(_detailed, (BODY25, COCO23, BODY25B))

# Of OpenPose's 135 (BODY_25B, hands, face) all but jaw and pupils, and the shoulders' middle as the root:
# 117 joints and 108 edges, as Rochette et al. count them on Panoptic Studio. Which edges is our choice.
_TRUNK = (("sternum", "upper_neck"), ("upper_neck", "head_top"), ("left_hip", "right_hip"),
          *((f"{side}_{a}" if a != "sternum" else a, f"{side}_{b}") for side in _SIDES for a, b in (
              ("sternum", "shoulder"), ("shoulder", "elbow"), ("elbow", "wrist"), ("sternum", "hip"),
              ("hip", "knee"), ("knee", "ankle"), ("ankle", "big_toe"), ("big_toe", "small_toe"),
              ("ankle", "heel"))))
PANOPTIC = _skeleton((*BODY25B.names, *_HANDS, *_FEATURES, "sternum"),
                     (*_TRUNK, *_HAND_EDGES, *_FEATURE_EDGES))

HUMAN36M = _skeleton(
    ("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine",
     "thorax", "upper_neck", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder",
     "right_elbow", "right_wrist"),
    (("pelvis", "spine"), ("spine", "thorax"), ("thorax", "upper_neck"), ("upper_neck", "head_top"),
     *((f"{side}_{a}" if a not in ("pelvis", "thorax") else a, f"{side}_{b}") for side in _SIDES
       for a, b in (("pelvis", "hip"), ("hip", "knee"), ("knee", "ankle"), ("thorax", "shoulder"),
                    ("shoulder", "elbow"), ("elbow", "wrist")))),
    (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15))
