"""Whose joint is whose, where up is, and what is refused."""

from dataclasses import replace

import pytest
import torch

from anr_core.motion import retarget
from anr_core.motion.anatomy import anatomy_of, upward
from anr_core.skeleton import SMPLX, foreign_joints
from tests.motion.made_up import (
    FAMILIES,
    NAMES,
    renamed,
    scaled,
    turned_root,
    turned_world,
    walk,
    with_own_frames,
    without,
)
from tests.motion.measures import turned_apart

QUARTER = torch.tensor([torch.pi / 2, 0.0, 0.0])


@pytest.fixture(scope="module")
def walking():
    return walk(1.0)


@pytest.fixture(scope="module")
def reference(walking, anny):
    return retarget(walking, anny)


@pytest.mark.parametrize("family", FAMILIES)
def test_names_of_every_family_mean_the_same_joints(family, walking):
    expected = anatomy_of(walking)
    assert anatomy_of(renamed(walking, FAMILIES[family])).joints == expected.joints


def test_our_own_names_are_understood():
    found = foreign_joints(SMPLX.names)
    same = ("hip", "knee", "ankle", "collar", "shoulder", "elbow", "wrist", "index2")
    for name in (f"{side}_{joint}" for side in ("left", "right") for joint in same):
        assert SMPLX.names[found[name]] == name


def test_twists_and_helpers_are_nobodys_joints():
    names = ["pelvis", "thigh_twist_01_l", "thigh_l", "calf_twist_01_l", "calf_l", "ik_foot_l", "foot_l",
             "ball_l", "Bip01 L ForeTwist", "LeftHandThumb1"]
    found = foreign_joints(names)
    assert {joint: names[index] for joint, index in found.items()} == {
        "left_hip": "thigh_l", "left_knee": "calf_l", "left_ankle": "foot_l", "left_toe": "ball_l",
        "left_thumb1": "LeftHandThumb1"}


@pytest.mark.parametrize("change", [
    lambda motion: scaled(motion, 100), lambda motion: scaled(motion, 1 / 40),
    lambda motion: turned_world(motion, QUARTER), lambda motion: turned_root(motion, QUARTER),
    lambda motion: turned_world(motion, torch.tensor([0.0, 2.0, 0.0]))],
    ids=["centimetres", "tiny", "z up", "z up by its root alone", "facing elsewhere"])
def test_units_axes_and_facing_change_no_pose(change, walking, reference, anny):
    assert turned_apart(retarget(change(walking), anny), reference) < 0.1


def test_z_up_and_y_up_walk_the_same_way(walking, reference, anny):
    for change in (turned_world, turned_root):
        found = retarget(change(walking, QUARTER), anny)
        assert torch.allclose(found.root_rotation, reference.root_rotation, atol=1e-3)
        assert torch.allclose(found.root_translation, reference.root_translation, atol=1e-3)


def test_who_faces_z_with_y_up_faces_as_anny_rests_and_walks_there(reference):
    assert float(reference.root_rotation.norm(dim=1).max()) < 0.01
    assert torch.allclose(reference.root_translation[-1, :2], torch.tensor([0.0, -1.0]), atol=0.1)


def test_joints_may_have_frames_of_their_own(walking, reference, anny):
    lined_up = with_own_frames(walking)
    assert anatomy_of(lined_up).rest_axes is None  # nobody rests like that
    assert turned_apart(retarget(lined_up, anny), reference) < 3


def test_missing_joints_are_left_as_they_rest(walking, anny):
    for missing in (["Toe"], ["Hand"], ["Head", "Neck"], ["Shoulder"], ["Arm", "Hand", "Shoulder"],
                    ["Arm", "Hand", "Shoulder", "Head", "Neck", "Spine"]):
        poses = retarget(without(walking, missing), anny)
        assert bool(poses.rotations.isfinite().all())


def test_without_legs_the_error_names_what_was_found_and_what_was_expected(walking, anny):
    strange = renamed(walking, {name: f"bone_{index}" for index, name in enumerate(NAMES)})
    with pytest.raises(ValueError, match="left_hip, left_knee.*bone_0, bone_1.*Expected names such as Left"):
        retarget(strange, anny)


@pytest.mark.parametrize("mirrored", ["axes", "names"])
def test_a_mirrored_file_is_refused_not_mirrored(mirrored, walking, anny):
    flip = torch.tensor([-1.0, 1.0, 1.0])
    changed = replace(walking, rest=walking.rest * flip, steps=walking.steps * flip,
                      rotations=walking.rotations * torch.tensor([1.0, -1.0, -1.0]))
    if mirrored == "names":
        swapped = {name: name.replace("Left", "*").replace("Right", "Left").replace("*", "Right")
                   for name in NAMES}
        changed = renamed(walking, swapped)
    with pytest.raises(ValueError, match="left and right are exchanged"):
        retarget(changed, anny)


def test_who_lies_all_the_time_is_upright_at_rest_or_where_the_user_says(walking):
    lying = turned_root(walking, -QUARTER)
    root = torch.arange(len(NAMES))[:, None] == 0
    lying = replace(lying, rotations=torch.where(root, lying.rotations, 0.0))
    anatomy, places = anatomy_of(lying), lying.placed()[1]
    assert upward(anatomy, places, "y").tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="use one of x, y, z"):
        upward(anatomy, places, "up")
    rolling = torch.linspace(0, 6.28, len(lying))[:, None] * torch.tensor([1.0, 0.0, 0.0])
    lying.rotations[:, 0] = rolling
    assert upward(anatomy, lying.placed()[1]).tolist() == [0, 1, 0]
