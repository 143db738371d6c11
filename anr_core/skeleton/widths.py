"""How thick the primitive along an edge is, for those who draw skeletons as solids."""

from __future__ import annotations

from anr_core.skeleton import Skeleton
from anr_core.skeleton.detailed import HUMAN36M

# Metres, by joint without side and number: an edge is as thick as the thinner of its ends. Widths of limbs,
# torso, fingers and face are those of Rochette et al. on Panoptic Studio; others were chosen beside them.
_ENDS = {
    "head": 0.075, "head_top": 0.075, "neck": 0.075, "neck_middle": 0.04, "neck_upper": 0.04,
    "upper_neck": 0.075, "sternum": 0.075, "spine": 0.075, "sacrum": 0.075, "lumbar": 0.075,
    "pelvis": 0.075, "middle_hip": 0.075, "hip": 0.075, "thigh": 0.075, "knee": 0.075,
    "shin": 0.05, "ankle": 0.05, "foot": 0.035, "toe": 0.035, "heel": 0.035,
    "collar": 0.04, "scapula": 0.04, "shoulder": 0.04, "upper_arm": 0.04, "elbow": 0.04,
    "forearm": 0.035, "wrist": 0.035, "hand": 0.025, "palm": 0.015, "finger": 0.01,
    "root": 0.04, "jaw": 0.01, "chin": 0.01, "nose": 0.01, "nostril": 0.01, "ear": 0.01,
    "eyeball": 0.06,  # from within the skull to the eye: half of a head that has no other joints
    "eye": 0.0075, "brow": 0.0075, "lid": 0.0075, "lip": 0.0075, "mouth": 0.0075,
}
# Edges that are no limb
_PAIRS = {
    ("hip", "hip"): 0.045, ("hip", "middle_hip"): 0.045, ("hip", "pelvis"): 0.045,
    ("pelvis", "pelvis"): 0.045, ("hip", "shoulder"): 0.075, ("neck", "nose"): 0.04,
    ("sternum", "upper_neck"): 0.01,
}
# As published for its 16
_HUMAN36M = {("pelvis", "spine"): 0.05, ("spine", "thorax"): 0.05, ("thorax", "upper_neck"): 0.02,
             ("head_top", "upper_neck"): 0.02, ("shoulder", "thorax"): 0.04}
_FINGERS = {"thumb", "index", "middle", "ring", "pinky"}


def edge_widths(skeleton: Skeleton) -> tuple[float, ...]:
    """Half the thickness of each edge's primitive, metres, as a Gaussian's scale."""
    pairs = _PAIRS | (_HUMAN36M if skeleton == HUMAN36M else {})
    widths = []
    for edge in skeleton.edges:
        ends = sorted(_kind(skeleton.names[joint]) for joint in edge)
        widths.append(pairs.get(tuple(ends)) or min(_ENDS[end] for end in ends))
    return tuple(widths)


def _kind(name):
    """ "knee" of "left_knee", "finger" of "right_index3", "lid" of "left_lid_inner"."""
    stem = name.removeprefix("left_").removeprefix("right_").rstrip("0123456789")
    if stem in _ENDS:
        return stem
    words = stem.split("_")
    if words[-1] in ("palm", "toe"):
        return words[-1]
    return "finger" if words[0] in _FINGERS else words[0]
