"""Captures whose body is posed by parameters, with keypoints and truth; and poses between frames."""

import json
import shutil

import numpy as np
import pytest
import roma
import torch

from anr_core.avatars.run import Run, load_avatar
from anr_core.body import Pose
from anr_core.camera import Camera
from anr_core.capture import View, body_box, load_capture, resample
from anr_core.capture.keypoints import straightened
from anr_core.capture.posing import describe_body, make_body
from anr_core.export import video
from anr_core.training import train
from tests.posed_capture import FRAMES, SHARES, SIZE, arm_raised, make_posed_capture

TINY = {"size": 48, "window": 32, "batch": 2, "texture_size": 32, "width": 4}


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """Read only."""
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture")


@pytest.fixture
def copied(capture, tmp_path):
    """A capture to damage."""
    return shutil.copytree(capture.path, tmp_path / "capture")


def test_a_view_carries_the_pose_that_was_written(capture):
    written = arm_raised(capture.body, SHARES)
    for view in capture.views():
        row = FRAMES.index(int(view.frame))
        assert torch.equal(view.pose.rotations[0], written.rotations[row])
        assert torch.equal(view.pose.root_rotation[0], written.root_rotation[row])
        assert torch.equal(view.pose.root_translation[0], written.root_translation[row])
        assert view.pose.frame.tolist() == view.frame.tolist()


def test_the_body_is_the_one_that_was_filmed(capture):
    assert capture.body.shape.gender == 0.2 and capture.body.shape.age == 0.7
    for view in capture.views():
        center, _ = body_box(view.camera, capture.body(view.pose).vertices)
        rows, columns = np.nonzero(view.mask[0, 0].numpy())  # drawn from the mesh that was written
        drawn = [(columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2]
        assert center[0].tolist() == pytest.approx(drawn, abs=1)


@pytest.mark.parametrize("crop, size", [(None, None), (None, (48, 40)), ("loose", None), ("body", 40)])
def test_keypoints_stay_on_the_person_however_the_picture_is_cut(capture, crop, size):
    for view in capture.views(crop=crop, size=size):
        points = capture.body.keypoints(capture.body(view.pose), capture.skeleton)
        torch.testing.assert_close(view.keypoints[..., :2], view.camera.project(points)[0],
                                   atol=2e-3, rtol=0)
        assert bool((view.keypoints[..., 2] == 1).all())


def test_keypoints_turn_with_the_window(capture):
    view = capture.views()[1]
    turned = resample(view, torch.tensor([[90.0, 50.0]]), torch.tensor([70.0]), torch.tensor([0.3]), 64)
    points = capture.body.keypoints(capture.body(view.pose), "coco23")
    torch.testing.assert_close(turned.keypoints[..., :2], turned.camera.project(points)[0], atol=1e-3, rtol=0)


def test_views_of_several_frames_make_one_batch(capture):
    batch = View.cat(list(capture.views(crop="body", size=32)))
    assert batch.pose.rotations.shape == (6, 103, 3) and batch.keypoints.shape == (6, 23, 3)
    assert capture.body(batch.pose).vertices.shape == (6, 13718, 3)


def test_keypoints_lose_their_lens_distortion():
    camera = Camera(torch.tensor([[[80.0, 0, 32], [0, 80.0, 48], [0, 0, 1]]]), torch.eye(3)[None],
                    torch.tensor([[0.0, 0.0, 3.0]]), size=SIZE)
    lens = Camera(camera.K, camera.R, camera.t, torch.tensor([[0.2, 0.05, 0.001, 0.002]]), size=SIZE)
    points = torch.tensor([[[0.5, 0.9, 0.0], [-0.7, 0.2, 0.3]]])
    seen = torch.cat([lens.project(points)[0][0], torch.tensor([[0.8], [0.3]])], 1)
    straight = straightened(seen.numpy(), lens, camera)
    torch.testing.assert_close(straight[:, :2], camera.project(points)[0][0], atol=1e-3, rtol=0)
    assert straight[:, 2].tolist() == pytest.approx([0.8, 0.3])
    assert (straight - seen)[:, :2].abs().max() > 0.5


def test_truth_is_read_array_by_array(capture):
    shot = next(shot for shot in capture.shots if (shot.camera, shot.frame) == ("side", 6))
    assert capture.truth(shot, "number").tolist() == [6]
    assert capture.truth(shot, "depth").shape == SIZE
    with pytest.raises(ValueError, match="holds no 'flow'; it holds number, depth"):
        capture.truth(shot, "flow")


def test_a_capture_without_truth_says_so(small_capture):
    with pytest.raises(ValueError, match="keeps no truth of frames/cam01/0000.jpg"):
        small_capture.truth(small_capture.shots[0], "depth")


# poses between frames


def test_halfway_between_two_frames_joints_have_turned_half_of_the_way(capture):
    pose = capture.pose(torch.tensor([5.0, 6.0]))
    expected = arm_raised(capture.body, torch.tensor([0.25, 0.5]))
    torch.testing.assert_close(pose.rotations, expected.rotations)
    torch.testing.assert_close(pose.root_rotation, expected.root_rotation)
    torch.testing.assert_close(pose.root_translation, expected.root_translation)


def test_rotations_between_two_take_the_shorter_way():
    almost_round = torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, -3.0]])
    poses = Pose(almost_round[:, None], almost_round, torch.zeros(2, 3), torch.tensor([0, 10]))
    turn = roma.rotvec_to_rotmat(poses.at(torch.tensor([5.0])).rotations[0, 0])
    torch.testing.assert_close(turn, torch.diag(torch.tensor([-1.0, -1.0, 1.0])), atol=1e-5, rtol=0)


def test_poses_of_frames_outside_are_refused(capture):
    with pytest.raises(ValueError, match="Frames 9 to 9 were asked for, but poses are known from 4 to 8"):
        capture.pose(torch.tensor([9]))


# files


def change_index(folder, **changes):
    file = folder / "capture.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("body, complaint", [
    ({"model": "smurf", "shape": {}}, "body 'smurf' is unknown; this version knows anny"),
    ({"model": "anny"}, "broken"), ({"model": "anny", "shape": {"wings": 2}}, "wings"), ("anny", "broken"),
    ({"model": "anny", "shape": {"age": 3}}, "Phenotype age is 3"),
], ids=str)
def test_a_body_that_is_not_understood_is_named_in_one_line(body, complaint, copied):
    change_index(copied, body=body)
    with pytest.raises(ValueError, match=complaint) as error:
        load_capture(copied)
    assert "\n" not in str(error.value)


def test_a_frame_without_a_pose_is_named(copied):
    with np.load(copied / "poses.npz") as file:
        poses = {name: array[:2] for name, array in file.items()}
    np.savez(copied / "poses.npz", **poses)
    with pytest.raises(ValueError, match="poses.npz has no pose of frame 6"):
        load_capture(copied)


@pytest.mark.parametrize("name", ["poses.npz", "keypoints.npz"])
def test_a_truncated_file_is_named(name, copied):
    (copied / name).write_bytes((copied / name).read_bytes()[:300])
    with pytest.raises(ValueError, match=f"{name} is missing or broken"):
        load_capture(copied)


def test_a_description_makes_the_same_body(capture):
    pose = capture.recording
    made = make_body(json.loads(json.dumps(describe_body(capture.body))))
    assert torch.equal(made(pose).vertices, capture.body(pose).vertices)


# runs


@pytest.fixture(scope="module")
def run(capture, tmp_path_factory):
    """Read only: a few steps of training, in a folder whose capture has vanished."""
    parent = tmp_path_factory.mktemp("trained")
    moved = shutil.copytree(capture.path, parent / "capture")
    list(train(moved, parent / "run", steps=4, config=TINY))
    shutil.rmtree(moved)
    return parent / "run"


def test_a_run_poses_its_own_body_without_the_capture(run, capture):
    avatar = load_avatar(run)
    view = capture.views(crop="body", size=48)[0]
    drawn = avatar.render(view.pose, view.camera, view.size)
    assert drawn.mask.mean() > 0.05 and drawn.rgb.shape == (1, 3, 48, 48)
    raised = avatar.render(arm_raised(avatar.body, torch.tensor([1.3])), view.camera, view.size)
    assert not torch.equal(drawn.mask, raised.mask)
    assert torch.equal(avatar.body(view.pose).vertices, capture.body(view.pose).vertices)


@pytest.mark.parametrize("view", ["orbit", "turn", "side"])
def test_a_run_is_driven_with_the_poses_of_a_capture(view, run, capture, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "VIDEO_FPS", 4)
    monkeypatch.setattr(video, "ROUND_SECONDS", 1)
    video.render(Run.open(run), capture, tmp_path / "out.png", view)
    assert (tmp_path / "out.png").stat().st_size > 1000
