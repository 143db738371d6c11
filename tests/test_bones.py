"""Joints moved as they are: between skeletons, over gaps, onto other proportions."""

import pytest
import torch

from anr_core.body.anny import AnnyBody, Shape
from anr_core.skeleton import BODY25, COCO23
from anr_core.skeleton.bones import as_skeleton, bone_lengths, with_bones, without_gaps
from tests.posed_capture import arm_raised


def standing(names="coco23", count=3, **shape):
    """(n, J, 4) joints of a person who raises an arm and walks."""
    body = AnnyBody(Shape(**shape))
    points = body.keypoints(body(arm_raised(body, torch.linspace(0, 1, count))), names)
    return torch.cat([points, torch.ones_like(points[..., :1])], -1)


def test_joints_of_one_skeleton_are_found_by_name_in_another():
    joints = standing()
    moved = as_skeleton(joints, COCO23, BODY25)
    for name in ("left_wrist", "right_knee", "nose", "left_heel"):
        assert torch.equal(moved[:, BODY25.names.index(name)], joints[:, COCO23.names.index(name)])
    hips = [COCO23.names.index(f"{side}_hip") for side in ("left", "right")]
    torch.testing.assert_close(moved[:, BODY25.names.index("middle_hip"), :3], joints[:, hips, :3].mean(1))
    back = as_skeleton(moved, BODY25, COCO23)
    assert torch.equal(back, joints)


def test_a_person_without_hips_moves_nobody():
    joints = standing()
    joints[:, COCO23.names.index("left_hip"), 3] = 0
    with pytest.raises(ValueError, match="never shows left_hip"):
        as_skeleton(joints, COCO23, BODY25)


def test_gaps_are_filled_from_before_and_after():
    joints = standing(count=5)
    wrist, ankle = (COCO23.names.index(name) for name in ("right_wrist", "left_ankle"))
    gaps = joints.clone()
    gaps[1:4, wrist] = torch.tensor([9.0, 9, 9, 0])
    gaps[3:, ankle] = 0
    gaps[:, 0, 3] = 0
    filled = without_gaps(gaps)
    torch.testing.assert_close(filled[2, wrist], (joints[0, wrist] + joints[4, wrist]) / 2)
    torch.testing.assert_close(filled[4, ankle], joints[2, ankle])
    assert not filled[:, 0, 3].any() and torch.equal(filled[:, 5], joints[:, 5])


def test_bones_take_another_persons_lengths_and_keep_their_directions():
    child, adult = standing(age=0.4), standing(age=0.7, gender=0.0)
    lengths = bone_lengths(adult, COCO23)
    grown = with_bones(child, COCO23, lengths)
    start, end = torch.tensor([(11, 13), (13, 15), (5, 7), (7, 9), (6, 8)]).T
    rows = [COCO23.edges.index(edge) for edge in zip(start.tolist(), end.tolist(), strict=True)]
    bones = grown[:, end, :3] - grown[:, start, :3]
    torch.testing.assert_close(bones.norm(dim=-1), lengths[rows].expand(3, -1), atol=1e-5, rtol=0)
    before = child[:, end, :3] - child[:, start, :3]
    assert torch.cosine_similarity(bones, before, dim=-1).min() > 0.9999
    # with its own lengths everybody stays as they are, up to what their joints' mixes move
    same = with_bones(adult, COCO23, lengths)
    assert (same - adult)[..., :3].norm(dim=-1).max() < 0.03


def test_a_bone_whose_length_nobody_knows_keeps_its_own():
    joints = standing()
    lengths = torch.full((len(COCO23.edges),), torch.nan)
    torch.testing.assert_close(with_bones(joints, COCO23, lengths), joints)


def test_what_hangs_on_an_unknown_joint_goes_along_with_the_hips():
    joints = standing()
    elbow, wrist = (COCO23.names.index(f"left_{name}") for name in ("elbow", "wrist"))
    joints[:, elbow] = 0
    moved = with_bones(joints, COCO23, bone_lengths(joints, COCO23))
    assert (moved - joints)[:, wrist].norm(dim=-1).max() < 0.03
