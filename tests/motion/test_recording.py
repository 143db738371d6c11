"""Another capture as a motion, and the front door."""

import pytest
import torch

from anr_core.body.anny import AnnyBody, Shape
from anr_core.motion import load_motion, read_motion, retarget
from tests.motion.made_up import PlainBody, bvh_text, walk
from tests.motion.measures import turned_apart
from tests.posed_capture import make_posed_capture


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("recording") / "capture")


def test_the_same_body_is_copied_joint_by_joint(capture):
    motion = read_motion(capture.path)
    assert motion.format == "capture capture" and len(motion) == 5  # frames 4 to 8
    poses = retarget(motion, capture.body)
    expected = capture.poses.at(torch.arange(4, 9))
    assert torch.allclose(poses.rotations, expected.rotations, atol=1e-5)
    assert torch.allclose(poses.root_rotation, expected.root_rotation, atol=1e-5)
    steps, expected = poses.root_translation.diff(dim=0), expected.root_translation.diff(dim=0)
    assert torch.allclose(steps, expected, atol=1e-5)


def test_another_shape_takes_the_same_turns_and_stands_on_its_own_legs(capture):
    child = AnnyBody(Shape(age=0.3, height=0.3))
    poses = retarget(read_motion(capture.path), child)
    arms = [child.skeleton.names.index(f"right_{joint}") - 1 for joint in ("shoulder", "elbow", "wrist")]
    expected = capture.poses.at(torch.arange(4, 9)).rotations[:, arms]
    assert torch.allclose(poses.rotations[:, arms], expected, atol=1e-4)
    assert float(child(poses).vertices[..., 2].amin(1).abs().max()) < 0.02


def test_another_body_gets_it_retargeted(capture):
    body = PlainBody()
    poses = retarget(read_motion(capture.path), body)
    joints, names = body(poses).joints, body.skeleton.names
    raised = joints[:, names.index("right_wrist"), 2] - joints[:, names.index("right_shoulder"), 2]
    assert float(raised[-1] - raised[0]) > 0.2  # the arm comes up


def test_a_capture_of_meshes_is_refused_in_one_line(small_capture):
    with pytest.raises(ValueError, match="a registered mesh a frame.*--to meshes"):
        read_motion(small_capture.path)


# the front door


def test_one_line_makes_poses_of_a_file(tmp_path, anny):
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(2.0)))
    poses = load_motion(tmp_path / "walk.bvh", anny, fps=25, smooth=0.05, start=0.5, end=1.5)
    assert len(poses) == 26 and poses.rotations.shape == (26, 103, 3)
    assert anny(poses[0:1]).vertices.shape == (1, 13718, 3)
    assert torch.allclose(poses.root_translation[0, :2], torch.zeros(2), atol=0.02)


def test_what_was_found_is_said(tmp_path):
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(2.0)))
    assert str(read_motion(tmp_path / "walk.bvh")) == "BVH: 61 frames at 30 fps, 2.0 s, 26 joints"


def test_the_format_is_found_by_what_is_in_the_file(tmp_path, anny):
    (tmp_path / "walk.txt").write_text(bvh_text(walk(0.5)))
    assert read_motion(tmp_path / "walk.txt").format == "BVH"


@pytest.mark.parametrize("content, told", [("", "is empty"), ("hello", "no motion that is known: BVH, AMASS"),
                                           ("\x00\x01", "no motion that is known")])
def test_what_is_no_motion_is_refused(content, told, tmp_path):
    (tmp_path / "motion.bvh").write_text(content)
    with pytest.raises(ValueError, match=told):
        read_motion(tmp_path / "motion.bvh")


def test_nothing_there_is_said_with_what_could_be():
    with pytest.raises(FileNotFoundError, match="does not exist. Give a motion: BVH"):
        read_motion("nowhere.bvh")


def test_the_world_may_have_another_axis_upwards(tmp_path, anny):
    motion = walk(1.0)
    plain = retarget(motion, anny)
    turned = retarget(motion, anny, world_up=torch.tensor([0.0, -1.0, 0.0]))
    assert turned_apart(plain, turned) < 0.01
    heights = anny(turned).joints @ torch.tensor([0.0, -1.0, 0.0])
    assert torch.allclose(heights, anny(plain).joints[..., 2], atol=1e-4)
