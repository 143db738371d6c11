"""Where the camera and the person are in a video."""

import math

import pytest
import roma
import torch

from anr_core.body import Pose, TrackedBody, make_surface
from anr_core.body.anny import AnnyBody
from anr_core.camera import look_at
from anr_core.export.staging import (
    circling,
    driven,
    followed,
    going_along,
    playable,
    resting,
    rounds,
    there_and_back,
    turning,
)
from tests.motion.made_up import walk

UP = torch.tensor([0.0, 0.0, 1.0])
CORNERS = torch.tensor([[x, y, z] for x in (-0.3, 0.3) for y in (-0.2, 0.2) for z in (0.0, 1.8)])
CAMERA = look_at(torch.tensor([[0.0, -5.0, 1.0]]), torch.tensor([[0.0, 0.0, 0.9]]), UP,
                 torch.tensor([[[500.0, 0, 160], [0, 500, 120], [0, 0, 1]]]), (240, 320))


def walker(frames=5, step=(0.2, 0.1, 0.0)):
    """A box that walks along a line, a step a frame."""
    faces = torch.tensor([[0, 1, 2], [1, 2, 3], [4, 5, 6], [5, 6, 7]])
    moves = torch.arange(frames)[:, None, None] * torch.tensor(step)
    surface = make_surface(CORNERS, faces, torch.rand(8, 2), faces)
    return TrackedBody(torch.arange(frames), CORNERS + moves, surface, interpolate=True)


def poses(*frames):
    return [Pose.of_frame(torch.tensor([float(frame)])) for frame in frames]


def projected(scene):
    pixels, depth = scene.camera.project(scene.posed.vertices)
    assert bool((depth > 0).all())
    return pixels[0]


# time


def test_a_loop_comes_back_to_where_it_began_and_never_leaves_the_frames():
    numbers = there_and_back(10, 25, fps=15, video_fps=25, least=0)
    assert len(numbers) == 50  # a second there, a second back
    assert numbers[[0, 25]].tolist() == [10, 25]
    assert numbers.min() == 10 and numbers.max() == 25
    assert torch.allclose(numbers.diff().abs(), torch.tensor(15 / 25, dtype=torch.float64))
    assert float(numbers[-1]) == pytest.approx(10 + 15 / 25)  # one picture before the first


def test_short_loops_are_repeated_as_a_whole():
    numbers = there_and_back(0, 15, fps=15, video_fps=25, least=5)
    assert len(numbers) == 3 * 50
    assert torch.allclose(numbers[:50], numbers[100:])


def test_a_single_frame_is_held():
    assert there_and_back(7, 7, fps=15, video_fps=25, least=2).tolist() == [7.0] * 50


# who plays


def test_a_capture_plays_the_frames_that_it_is_told_to(small_capture):
    assert playable(small_capture)[1].frame.tolist() == [0, 1, 2, 3, 4]
    assert playable(small_capture, frames=[3, 1])[1].frame.tolist() == [1, 3]


def test_a_camera_plays_what_it_saw(small_capture):
    seen = small_capture.only(lambda shot: shot.camera != "cam02" or shot.frame in (1, 2))
    assert playable(seen, "cam02")[1].frame.tolist() == [1, 2]


def test_one_pose_seen_from_around_is_not_played(small_capture):
    around = {"cam01": 0, "cam02": 2, "cam03": 4}
    seen = small_capture.only(lambda shot: around[shot.camera] == shot.frame)
    assert playable(seen)[1].frame.tolist() == [0]
    assert playable(seen, "cam02")[1].frame.tolist() == [2]


# where from


def test_the_camera_circles_once_around_a_person_who_walks():
    scenes = list(circling(walker(), poses(*([0, 1, 2, 3, 4, 3, 2, 1] * 2)), CAMERA, UP, 64, video_fps=1))
    sides = []
    for scene in scenes:
        offset = scene.camera.center[0] - scene.posed.vertices[0].mean(0)
        sides.append(math.atan2(offset[1], offset[0]))
    steps = torch.tensor(sides).diff().remainder(2 * math.pi)
    assert sides[0] == pytest.approx(-math.pi / 2, abs=0.1)  # where the first camera stands
    assert float(steps.sum()) == pytest.approx(2 * math.pi * 15 / 16, abs=0.1)
    assert torch.allclose(steps, torch.tensor(2 * math.pi / 16), atol=0.1)


def test_the_circling_camera_holds_the_whole_person_and_little_else():
    scenes = list(circling(walker(step=(0, 0, 0)), poses(*[0] * 12), CAMERA, UP, 64, video_fps=25))
    for scene in scenes:
        pixels = projected(scene)
        assert bool(((pixels > 0) & (pixels < 64)).all())
    heights = [float(projected(scene)[:, 1].max() - projected(scene)[:, 1].min()) for scene in scenes]
    assert min(heights) > 0.75 * 64


def test_a_turning_person_shows_the_back_after_half_a_turn_on_the_same_spot():
    scenes = list(turning(walker(), poses(0, 1, 2, 3, 4, 3, 2, 1), CAMERA, UP, 64, video_fps=1))
    start, half = scenes[0].posed.vertices[0], scenes[4].posed.vertices[0]
    assert torch.allclose(start.mean(0), half.mean(0), atol=0.3)  # walked 0.9 m
    across = torch.tensor([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]])
    assert torch.allclose(half - half.mean(0), (start - start.mean(0)) @ across, atol=1e-5)
    for scene in scenes:
        assert torch.equal(scene.camera.K, scenes[0].camera.K)
        assert bool(((projected(scene) > 0) & (projected(scene) < 64)).all())


def test_a_resting_camera_keeps_its_place_and_holds_every_mesh():
    body = walker()
    scenes = list(resting(lambda frame: body(poses(frame)[0]), 5, CAMERA, 64, "cam01"))
    together = torch.cat([projected(scene) for scene in scenes])
    extent = together.amax(0) - together.amin(0)
    assert bool((together > 0).all() and (together < 64).all())
    assert float(extent.max()) > 0.8 * 64
    whole, window = CAMERA.project(scenes[3].posed.vertices)[0][0], projected(scenes[3])
    scale = (window[1] - window[0]).norm() / (whole[1] - whole[0]).norm()
    # the same picture, cut out
    assert torch.allclose(window - window[0], scale * (whole - whole[0]), atol=1e-3)
    assert all(scene.camera_name == ["cam01"] for scene in scenes)


def test_rounds_turn_once_and_leave_the_axis_alone():
    turns = rounds(UP, 4)
    assert torch.allclose(turns[1] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)
    assert torch.allclose(turns @ UP, UP.expand(4, 3), atol=1e-6)


def test_what_is_followed_moves_with_the_person_but_does_not_shake():
    shaking = walker(frames=40, step=(0.1, 0, 0))
    shaking.vertices[1::2] += torch.tensor([0, 0, 0.1])
    there = followed(shaking, poses(*range(40)), video_fps=8)
    assert float(there[20, 0]) == pytest.approx(2.0, abs=0.02)
    assert float(there[:, 2].diff().abs().max()) < 0.02


# motions


@pytest.fixture(scope="module")
def standing():
    """Anny, and a pose that looks along +X beside the origin, in a world with Y up."""
    body = AnnyBody()
    up = torch.tensor([0.0, 1.0, 0.0])
    turn = roma.rotvec_composition((math.pi / 2 * up, torch.tensor([-math.pi / 2, 0.0, 0.0])))
    rest = body.rest_pose()
    return body, up, Pose(rest.rotations, turn[None], torch.tensor([[2.0, 1.0, 3.0]]))


def test_a_motion_begins_where_the_person_stands_and_looks_and_on_that_floor(standing):
    body, up, like = standing
    poses = driven(body, walk(1.0), like, up, 25, least=0)
    assert len(poses) == 26
    here, there = body(poses[:1]), body(like)
    pelvis = here.joints[0, 0] - there.joints[0, 0]
    assert float((pelvis - pelvis @ up * up).norm()) < 0.02
    assert float((here.vertices @ up).min()) == pytest.approx(float((there.vertices @ up).min()), abs=0.02)
    hips = [body.skeleton.names.index(f"{side}_hip") for side in ("left", "right")]
    sides = [posed.joints[0, hips[0]] - posed.joints[0, hips[1]] for posed in (here, there)]
    assert float(torch.nn.functional.cosine_similarity(*sides, dim=0)) > 0.99
    walked = poses.root_translation[-1] - poses.root_translation[0]
    forward = torch.linalg.cross(sides[1], up, dim=-1)
    assert float(torch.nn.functional.cosine_similarity(walked, forward, dim=0)) > 0.99


def test_short_motions_go_on_in_rounds_and_long_ones_are_played_once(standing):
    body, up, like = standing
    assert len(driven(body, walk(1.2), like, up, 25, least=3)) >= 75
    assert len(driven(body, walk(1.2), like, up, 25, least=1)) == 31


def test_who_walks_once_is_followed_to_the_end():
    walking = walker(frames=40, step=(0.1, 0, 0))
    there = followed(walking, poses(*range(40)), video_fps=8, loops=False)
    assert torch.allclose(there[:, 0], 0.1 * torch.arange(40.0), atol=1e-3)


def test_a_camera_that_goes_along_sees_a_walker_on_one_spot():
    scenes = list(going_along(walker(40), poses(*range(40)), CAMERA, "cam01", UP, 64, video_fps=8))
    middles = torch.stack([projected(scene).mean(0) for scene in scenes])
    assert len(scenes) == 40 and float((middles - middles[0]).norm(dim=1).max()) < 2
    assert scenes[0].camera_name == ["cam01"]
