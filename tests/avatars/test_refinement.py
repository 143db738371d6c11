"""Corrections of poses and cameras: what they move, what holds them, where they are not."""

import math
from dataclasses import replace

import pytest
import torch

from anr_core.avatars import configure, make_avatar
from anr_core.avatars import refinement as refinements
from anr_core.avatars.refinement import (
    CAMERA_RADIANS,
    JOINT_RADIANS,
    METRES,
    RADIANS,
    Equations,
    Refinement,
    turned,
)
from anr_core.avatars.run import load_avatar
from anr_core.evaluation import evaluate
from anr_core.training import train
from tests.posed_capture import make_posed_capture

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4, "refine_from": 1}


@pytest.fixture(scope="module")
def posed_capture(tmp_path_factory):
    """Read only: Anny in three frames, of which two cameras saw each."""
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture")


def refinement(capture, **changes):
    made = Refinement([(shot.camera, shot.frame) for shot in capture.shots], capture.body.skeleton)
    with torch.no_grad():
        for name, (place, value) in changes.items():
            getattr(made, name)[place] = torch.tensor(value)
    return made


def moved(capture, made, index):
    view = capture.views()[index]
    posed, camera = made(view, capture.body)
    return view, capture.body(view.pose).vertices, posed.vertices, camera


@pytest.mark.parametrize("capture_name", ["posed_capture", "small_capture"])
def test_what_has_learned_nothing_changes_nothing(capture_name, request):
    capture = request.getfixturevalue(capture_name)
    view, before, after, camera = moved(capture, refinement(capture), 0)
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0)
    torch.testing.assert_close(camera.R, view.camera.R)
    torch.testing.assert_close(camera.t, view.camera.t)


def test_a_frame_moves_and_turns_as_a_whole(small_capture):
    made = refinement(small_capture, poses=((1, 0), [1.0, 0, 2.0]))
    for index, shot in enumerate(small_capture.shots[:3]):
        _, before, after, _ = moved(small_capture, made, index)
        wanted = torch.tensor([METRES, 0, 2 * METRES]) if shot.frame == 1 else torch.zeros(3)
        torch.testing.assert_close(after - before, wanted.expand_as(before), atol=1e-5, rtol=0)
    made = refinement(small_capture, poses=((0, 1), [0, 0, 3.0]))
    _, before, after, _ = moved(small_capture, made, 0)
    middle = before.mean(1, keepdim=True)
    first, second = ((one - middle)[0, :, 0] + 1j * (one - middle)[0, :, 1] for one in (before, after))
    far = first.abs() > 0.05
    torch.testing.assert_close((second / first)[far].angle(), torch.full((int(far.sum()),), 3 * RADIANS))


def test_joints_turn_where_the_body_has_some(posed_capture, small_capture):
    made = refinement(posed_capture)
    names = [posed_capture.body.skeleton.names[1:][row] for row in made.joints]
    assert {"left_elbow", "right_knee", "head"} <= set(names) and not any("toe" in name for name in names)
    with torch.no_grad():
        made.poses[:, 2 + names.index("right_elbow"), 0] = 2
    _, before, after, _ = moved(posed_capture, made, 0)
    distance = (after - before).norm(dim=-1)
    assert 0.2 * 2 * JOINT_RADIANS < distance.max() < 0.6 * 2 * JOINT_RADIANS  # metres: a forearm and a hand
    assert (distance < 1e-5).float().mean() > 0.7
    assert not refinement(small_capture).joints


def test_a_camera_turns_about_its_centre(small_capture):
    made = refinement(small_capture, turns=(0, [0, 5.0, 0]))
    view, *_, camera = moved(small_capture, made, 0)
    torch.testing.assert_close(camera.center, view.camera.center, atol=1e-5, rtol=0)
    cosine = ((camera.R @ view.camera.R.mT)[0].detach().trace() - 1) / 2
    assert math.acos(float(cosine)) == pytest.approx(5 * CAMERA_RADIANS, rel=0.02)


def test_a_turned_window_sees_what_the_turned_camera_sees(small_capture):
    camera, turn = small_capture.views()[0].camera, torch.tensor([[0.01, -0.02, 0.015]])
    points = torch.tensor([[[0.1, 0.2, 1.0], [-0.3, 0.1, 0.5]]])
    window = camera.crop(20, 30, 100, 80)
    torch.testing.assert_close(turned(window, turn).project(points)[0],
                               turned(camera, turn).project(points)[0] - torch.tensor([20.0, 30.0]))


def test_frames_and_cameras_that_were_not_trained_stay_as_registered(small_capture):
    made = refinement(small_capture.only(lambda shot: shot.camera == "cam01" and shot.frame < 3))
    with torch.no_grad():
        for corrections in made.buffers():
            corrections.fill_(1.0)
    for index, shot in enumerate(small_capture.shots):
        view, before, after, camera = moved(small_capture, made, index)
        assert torch.allclose(before, after, atol=1e-5) == (shot.frame >= 3)
        assert torch.allclose(camera.R, view.camera.R, atol=1e-5) == (shot.camera != "cam01")


def test_without_a_gap_nothing_is_corrected_and_no_correction_is_kept():
    equations = Equations(3, 6, 2)
    random = torch.Generator().manual_seed(0)
    for frame in range(3):
        rows = torch.randn(40, 9, generator=random)
        equations.add(frame, frame % 2, rows[:, :6], rows[:, 6:], torch.zeros(40), torch.full((40,), 1e-12))
    poses, turns = torch.ones(3, 6), torch.ones(2, 3)
    assert not any(change.any() for change in equations.solved(0 * poses, 0 * turns))
    for change in equations.solved(poses, turns):
        torch.testing.assert_close(change, torch.full_like(change, -1.0), atol=1e-4, rtol=0)


def test_a_correction_that_closes_the_gaps_is_found():
    random = torch.Generator().manual_seed(0)
    poses, turns = torch.randn(3, 6, generator=random), torch.randn(2, 3, generator=random)
    equations = Equations(3, 6, 2)
    for frame in range(3):
        for camera in range(2):
            by_pose, by_camera = (torch.randn(40, size, generator=random) for size in (6, 3))
            gap = by_pose @ poses[frame] + by_camera @ turns[camera]
            equations.add(frame, camera, by_pose, by_camera, gap, torch.full((40,), 1e3))
    found_poses, found_turns = equations.solved(torch.zeros(3, 6), torch.zeros(2, 3))
    torch.testing.assert_close(found_poses, poses, atol=1e-3, rtol=0)
    torch.testing.assert_close(found_turns, turns, atol=1e-3, rtol=0)


def test_a_frame_that_says_little_follows_its_neighbours():
    equations = Equations(3, 1, 1)
    for frame, weight in enumerate((1.0, 0.0, 1.0)):
        rows = torch.ones(5, 1)
        equations.add(frame, 0, rows, torch.zeros(5, 3), 2 * torch.ones(5), torch.full((5,), weight))
    poses, _ = equations.solved(torch.zeros(3, 1), torch.zeros(1, 3))
    assert 1.5 < float(poses[1]) < 2


def test_outlines_move_a_shifted_registration_back(small_capture):
    """A frame is registered 1.5 cm too high; what is fitted moves it down, and hardly its neighbours."""
    class Aside(torch.nn.Module):
        surface, skeleton = small_capture.body.surface, None

        def forward(self, pose):
            posed = small_capture.body(pose)
            aside = torch.tensor([0, 0, 0.015]) * (pose.frame == 2).float()[:, None]
            return replace(posed, vertices=posed.vertices + aside[:, None])

    training = replace(small_capture, registration=Aside()).only(lambda shot: shot.registered)
    made = refinement(training)
    made.fit(training, 96)
    shift = METRES * made.poses[:, 0, 2]
    frame = made.frames.index(2)
    assert -0.015 < shift[frame] < -0.005  # it is held to zero, and to its neighbours
    assert shift[torch.arange(len(shift)) != frame].abs().max() < 0.004


def test_of_a_long_capture_some_frames_are_looked_at_and_others_lie_between(posed_capture, tmp_path,
                                                                           monkeypatch):
    """Three frames, the arm of all registered too high; the middle one is not looked at, nor one camera."""
    monkeypatch.setattr(refinements, "FRAMES", 2)
    monkeypatch.setattr(refinements, "CAMERAS", 1)
    capture = make_posed_capture(tmp_path / "capture", masked=True)
    rotations = capture.poses.rotations.clone()
    rotations[:, capture.body.skeleton.names.index("right_shoulder") - 1, 1] += 0.1
    made = refinement(capture)
    made.fit(replace(capture, poses=replace(capture.poses, rotations=rotations)), 128)
    first, middle, last = made.poses
    assert first.any() and last.any()
    torch.testing.assert_close(middle, (first + last) / 2)


@pytest.mark.parametrize("system", ["anr", "deferred"])
def test_a_run_learns_corrections_and_is_judged_with_and_without(system, small_capture, tmp_path):
    list(train(small_capture, tmp_path / "run", system, steps=6, config=TINY, cameras=["cam01", "cam02"],
               frames=[0, 2]))
    avatar = load_avatar(tmp_path / "run")
    assert avatar.refinement.poses.any() and avatar.refinement.turns.any()
    figures = evaluate(tmp_path / "run", protocol="inside")
    assert {system, f"{system}_unrefined"} <= set(figures["novel_view"]["inside"])
    novel_both, view = figures["novel_both"]["inside"], figures["novel_view"]["inside"]
    assert novel_both[system]["psnr"] == pytest.approx(novel_both[f"{system}_unrefined"]["psnr"], abs=1e-4)
    assert view[system]["psnr"] != view[f"{system}_unrefined"]["psnr"]
    other = evaluate(tmp_path / "run", small_capture.path, protocol="inside")
    assert f"{system}_unrefined" not in other["novel_view"]["inside"]


def test_a_posed_body_is_refined_through_its_joints(tmp_path):
    """An arm that is registered 6 degrees too high comes down, and hardly anything else moves."""
    capture = make_posed_capture(tmp_path / "capture", masked=True)
    joint = capture.body.skeleton.names.index("right_shoulder") - 1
    poses = replace(capture.poses, rotations=capture.poses.rotations.clone())
    poses.rotations[:, joint, 1] += 0.1
    wrong = replace(capture, poses=poses)
    made = refinement(capture)
    made.fit(wrong, 128)
    true, before, after = [], [], []
    for one, other in zip(capture.views(), wrong.views(), strict=True):
        true.append(capture.body(one.pose).vertices)
        before.append(capture.body(other.pose).vertices)
        after.append(made(other, capture.body)[0].vertices)
    errors = [(torch.cat(meshes) - torch.cat(true)).norm(dim=-1).amax(1) for meshes in (before, after)]
    assert (errors[1] < 0.6 * errors[0]).all()


def test_without_it_nothing_is_refined(small_capture):
    avatar = make_avatar(configure(**TINY | {"refine_from": 0}), small_capture.body.surface, [("a", 0)])
    assert avatar.refinement is None
