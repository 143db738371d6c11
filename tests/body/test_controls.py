"""Controls do what their names say, on either side, within limits."""

import pytest
import torch

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody
from anr_core.body.controls import GROUPS, Controls, arms_at
from anr_core.body.smpl import SmplBody
from anr_core.skeleton import ANNY
from tests.smpl_model import write_smpl_model


@pytest.fixture(scope="module")
def controls():
    return Controls(AnnyBody())



@pytest.fixture(scope="module")
def smpl(tmp_path_factory):
    """The stand-in model of the tests; it rests in a T-pose."""
    pytest.importorskip("smplx")
    folder = tmp_path_factory.mktemp("models")
    return Controls(SmplBody(write_smpl_model(folder)))


# what a larger number does: joint, axis of the world, sign
MEANINGS = {
    "left shoulder: raise": ("left_wrist", 2, 1), "right shoulder: raise": ("right_wrist", 2, 1),
    "left shoulder: forward": ("left_wrist", 1, -1), "right shoulder: forward": ("right_wrist", 1, -1),
    "left elbow: bend": ("left_wrist", 1, -1), "right elbow: bend": ("right_wrist", 1, -1),
    "left collar: shrug": ("left_shoulder", 2, 1), "left hip: forward": ("left_ankle", 1, -1),
    "right hip: sideways": ("right_ankle", 0, -1), "left hip: sideways": ("left_ankle", 0, 1),
    "left hip: turn out": ("left_big_toe1", 0, 1), "right hip: turn out": ("right_big_toe1", 0, -1),
    "left knee: bend": ("left_ankle", 1, 1), "left ankle: point": ("left_big_toe1", 2, -1),
    "waist: forward": ("head", 1, -1), "waist: to the left": ("head", 0, 1),
    "chest: turn left": ("left_shoulder", 1, 1), "head: turn left": ("left_eyeball", 1, 1),
    "head: nod": ("left_eyeball", 2, -1),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_a_larger_number_does_what_the_name_says(name, controls):
    joint, axis, sign = MEANINGS[name]
    rest = controls.body.rest_pose()
    before, after = (dict(zip(ANNY.names, controls.body(pose).joints[0], strict=True))[joint]
                     for pose in (rest, controls.bent(rest, {name: controls.read(rest)[name] + 25})))
    assert sign * float((after - before)[axis]) > 0.005


# the same of a body whose Y is up and whose front is at Z: the world's axes as (left, back, up) say them
SMPL_AXES = {0: (0, 1), 1: (2, -1), 2: (1, 1)}


@pytest.mark.parametrize("name", [name for name in MEANINGS if "shrug" not in name and "point" not in name
                                  and "out" not in name and "eyeball" not in MEANINGS[name][0]])
def test_the_same_names_do_the_same_on_smpl(name, smpl):
    joint, axis, sign = MEANINGS[name]
    axis, flip = SMPL_AXES[axis]
    rest = Pose(torch.zeros(1, 23, 3), torch.zeros(1, 3), torch.zeros(1, 3))
    before, after = (smpl.body(pose).joints[0, smpl.body.skeleton.names.index(joint)] for pose in
                     (rest, smpl.bent(rest, {name: smpl.read(rest)[name] + 25})))
    assert sign * flip * float((after - before)[axis]) > 0.005


def test_straight_is_the_same_number_on_every_body(controls, smpl):
    for one in (controls, smpl):
        rest = Pose(torch.zeros(1, len(one.body.skeleton) - 1, 3), torch.zeros(1, 3), torch.zeros(1, 3))
        straight = one.bent(rest, {f"{side} elbow: bend": 0.0 for side in ("left", "right")})
        at = dict(zip(one.body.skeleton.names, one.body(straight).joints[0], strict=True))
        upper, fore = at["left_elbow"] - at["left_shoulder"], at["left_wrist"] - at["left_elbow"]
        assert float(torch.nn.functional.cosine_similarity(upper, fore, dim=0)) > 0.999


def test_what_is_bent_is_read_back(controls):
    wanted = {name: (one.low + one.high) / 3 for name, one in controls.all.items()}
    found = controls.read(controls.bent(controls.body.rest_pose(), wanted))
    assert found == pytest.approx(wanted, abs=0.01)


def test_bending_leaves_alone_what_no_control_tells_of(controls):
    rest = controls.body.rest_pose()
    odd = Pose(rest.rotations + 0.1, rest.root_rotation, rest.root_translation)
    bent = controls.bent(controls.bent(odd, {"left knee: bend": 50.0}),
                         {"left knee: bend": controls.read(odd)["left knee: bend"]})
    torch.testing.assert_close(bent.rotations, odd.rotations)


def test_sides_mirror_each_other(controls):
    rest = controls.body.rest_pose()
    for name, one in controls.all.items():
        if not name.startswith("left"):
            continue
        left, right = (controls.body(controls.bent(rest, {side: one.low + 0.7 * (one.high - one.low)}))
                       .joints[0] for side in (name, one.mirror))
        flipped = right[list(ANNY.mirror)] * torch.tensor([-1.0, 1, 1])
        assert float((left - flipped).abs().max()) < 0.01, name


def test_every_group_has_controls_whose_limits_hold_the_resting_person(controls):
    assert {one.group for one in controls.all.values()} == set(GROUPS)
    found = controls.read(controls.body.rest_pose())
    assert all(one.low - 0.5 <= found[name] <= one.high + 0.5 for name, one in controls.all.items())


@pytest.mark.parametrize("degrees", [0, -45, 30])
def test_arms_stand_straight_at_the_angle_that_is_asked_for(degrees, controls):
    rest = controls.body.rest_pose()
    posed = controls.body(Pose(arms_at(controls.body, degrees), rest.root_rotation, rest.root_translation))
    at = dict(zip(ANNY.names, posed.joints[0], strict=True))
    for side, sign in (("left", 1), ("right", -1)):
        for start, end in (("shoulder", "elbow"), ("elbow", "wrist")):
            bone = at[f"{side}_{end}"] - at[f"{side}_{start}"]
            bone = bone / bone.norm()
            assert float(torch.rad2deg(torch.asin(bone[2]))) == pytest.approx(degrees, abs=0.2)
            assert sign * float(bone[0]) > 0 and abs(float(bone[1])) < 0.01
