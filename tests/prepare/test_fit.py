"""The fit of Anny: its parts against hand computations, the whole on people whose poses are known."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from anr_core.body import TrackedBody
from anr_core.body.anny import AnnyBody, Shape
from anr_core.camera import Camera, orbit
from anr_core.capture import load_capture
from anr_core.cli import main
from anr_core.prepare import fitting
from anr_core.prepare.fit import fit
from anr_core.prepare.fitting import energy, fit_person, fit_poses, initialisation, puppet_of, swaps, windows
from anr_core.prepare.fitting.initialisation import facings, first_motion, likeliest, placed, seen_to_move
from anr_core.prepare.fitting.observations import Observations, by_name, outline_of
from anr_core.prepare.fitting.prior import CONTROLS
from anr_core.prepare.fitting.puppet import KEYPOINT_NAMES, Puppet, keypoints_of
from anr_core.prepare.fitting.silhouette import paired
from anr_core.rasterizer import rasterize
from anr_core.skeleton import BODY25, BODY25B, COCO23, mirrored
from tests.posed_capture import make_posed_capture

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

UP = torch.tensor([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def puppet():
    return Puppet()


def someone(puppet, count=3):
    """A motion in which every control takes part."""
    some = torch.Generator().manual_seed(4)
    motion = puppet.typical(facings(UP, count), torch.randn(count, 3, generator=some))
    wild = 0.2 * torch.randn(motion.controls.shape, generator=some)
    return replace(motion, controls=motion.controls + wild, turn=0.3 * torch.randn(count, 3, generator=some),
                   build=torch.linspace(-0.8, 0.8, len(motion.build)))


def filmed(keypoints, cameras, fps=10.0):
    """What cameras see of keypoints (F, K, 3) that every one of them sees without error."""
    count = len(keypoints)
    camera = torch.arange(len(cameras)).repeat_interleave(count)
    moment = torch.arange(count).repeat(len(cameras))
    points = cameras[camera].project(keypoints[moment])[0]
    return Observations(cameras, camera, moment, torch.arange(count), fps, points,
                        torch.ones(points.shape[:2]), [None] * len(points))


def two_cameras():
    return orbit(torch.tensor([[0.0, 0.0, 0.9]]), torch.tensor([0.0, 1.5]), 0.1, 4.0, 0.6, (480, 360), UP)


# the puppet is the body

@pytest.mark.parametrize("openpose", [True, False])
def test_the_puppets_keypoints_are_those_of_the_posed_body(openpose):
    puppet = Puppet(openpose)
    motion = someone(puppet)
    found = keypoints_of(puppet, motion)
    body = AnnyBody(puppet.shape(motion.build))
    names, expected = ((KEYPOINT_NAMES, "body25") if openpose else (COCO23.names, "coco23"))
    rows = [KEYPOINT_NAMES.index(name) for name in names]
    assert (found[:, rows] - body.keypoints(body(puppet.pose(motion)), expected)).abs().max() < 2e-4


def test_single_vertices_are_those_of_the_posed_body(puppet):
    motion, vertex = someone(puppet), torch.arange(0, 13718, 97).repeat(2, 1)
    body, rows = AnnyBody(puppet.shape(motion.build)), torch.tensor([1, 0])
    carry = puppet.carry(motion, puppet.rested(motion.build))
    found = puppet.vertices_at(carry, rows, body.rest_vertices[0, vertex], puppet.weights[vertex])
    assert (found - body(puppet.pose(motion)).vertices[rows[:, None], vertex]).abs().max() < 1e-5


def test_elbows_bend_inwards_on_both_sides_alike(puppet):
    motion = puppet.typical(torch.eye(3)[None], torch.zeros(1, 3))
    bent = motion.controls.clone()
    for side in ("left", "right"):
        bent[:, CONTROLS.index(f"{side}_elbow"), 0] += 1.0

    def wrists(motion):
        points = keypoints_of(puppet, motion)[0]
        return (points[KEYPOINT_NAMES.index(f"{side}_wrist")] for side in ("left", "right"))

    left, right = wrists(replace(motion, controls=bent))
    assert (left - right * torch.tensor([-1.0, 1.0, 1.0])).abs().max() < 0.01
    assert float(left[1]) < float(next(wrists(motion))[1]) - 0.1  # to the front, which is -Y


def test_limits_are_paid_for_beyond_them_only(puppet):
    prior = puppet.prior
    assert bool(((prior.low <= prior.mean) & (prior.mean <= prior.high)).all())
    at_limit, beyond = prior.mean.clone(), prior.mean.clone()
    knee = CONTROLS.index("left_knee")
    at_limit[knee, 0], beyond[knee, 0] = prior.low[knee, 0], prior.low[knee, 0] - 0.5
    cost, more = prior.cost(at_limit[None]), prior.cost(beyond[None])
    assert float(cost) < 1 and float(more) > 50  # (0.5 / 0.05)^2 / 2


def test_a_person_who_is_known_keeps_their_shape():
    shape = Shape(gender=0.9, age=0.4, weight=0.8, firmness=0.9)
    puppet = puppet_of(AnnyBody(shape))
    motion = someone(puppet)
    found = keypoints_of(puppet, motion)
    body = AnnyBody(shape)
    assert puppet.shape(motion.build) == shape
    assert (found - body.keypoints(body(puppet.pose(motion)), "body25")).abs().max() < 2e-4


@pytest.mark.parametrize("count", [1, 9])
def test_poses_of_a_known_person_are_found_in_one_view(count):
    puppet = puppet_of(AnnyBody(Shape(gender=0.9, age=0.4, weight=0.8)))
    place = torch.tensor([[0.0, 0.0, 0.9]]).repeat(count, 1)
    standing = puppet.typical(facings(UP, 1).expand(count, 3, 3), place)
    share = torch.linspace(0, 1, count)[:, None] if count > 1 else torch.ones(1, 1)
    controls = standing.controls.clone()
    controls[:, CONTROLS.index("left_shoulder")] += share * torch.tensor([0.0, -1.0, 0.0])
    controls[:, CONTROLS.index("right_knee")] += share * torch.tensor([0.6, 0.0, 0.0])
    motion = replace(standing, controls=controls)
    keypoints = keypoints_of(puppet, motion)
    camera = two_cameras()[:1]
    poses = fit_poses(filmed(keypoints, camera), UP, puppet)
    assert poses.rotations.shape == (count, 103, 3) and poses.frame.tolist() == list(range(count))
    found = puppet.body.keypoints(puppet.body(poses), "body25")
    off = camera.project(found)[0] - camera.project(keypoints)[0]
    assert float(off.norm(dim=-1).mean()) < 3  # of somebody 240 pixels tall
    assert float((found - keypoints).norm(dim=-1).mean()) < 0.08


def test_meshes_alone_have_no_poses():
    body = AnnyBody()
    mesh = body(body.rest_pose()).vertices
    assert puppet_of(TrackedBody([0], mesh, body.surface)) is None


# what was seen

def test_keypoints_are_found_by_name_and_hips_weigh_less():
    points = torch.zeros(1, 25, 3)
    points[0, :, 0], points[0, :, 2] = torch.arange(25), 0.5
    points[0, BODY25B.names.index("left_knee"), 2] = 0.0
    place, belief = by_name(points, BODY25B.names)
    row = KEYPOINT_NAMES.index
    assert place[0, row("right_wrist"), 0] == BODY25B.names.index("right_wrist")
    assert belief[0, row("left_knee")] == belief[0, row("neck")] == 0  # not seen; not in the set
    assert 0 < belief[0, row("left_hip")] < belief[0, row("left_wrist")] == 0.5


def test_an_outline_runs_around_the_mask_and_its_normals_lead_out():
    y, x = np.mgrid[:100, :120] + 0.5
    outline = outline_of(np.hypot(x - 60, y - 40) < 20)
    away = outline.points - torch.tensor([60.0, 40.0])
    assert len(away) == 160 and (away.norm(dim=1) - 20).abs().max() < 0.6
    assert ((away / away.norm(dim=1, keepdim=True) * outline.normals).sum(1) > 0.85).all()


def test_no_outline_along_the_pictures_edge_where_nothing_is_certain_or_of_an_empty_mask():
    mask = np.zeros((40, 40), bool)
    assert outline_of(mask) is None
    mask[:20, 10:30] = True  # leaves the picture at the top
    assert float(outline_of(mask).points[:, 1].min()) > 0.9
    assert outline_of(mask, np.zeros((40, 40), bool)) is None


def test_every_keypoint_is_left_out_in_every_fifth_frame():
    seen = filmed(torch.randn(10, 25, 3) + torch.tensor([0.0, 0.0, 1.0]), two_cameras())
    left_out = seen.left_out()
    assert bool((left_out[:5].sum(0) == 1).all()) and int(left_out.sum()) == left_out.numel() / 5
    assert bool((seen.without_left_out().belief[left_out] == 0).all())


def walking(count=12):
    """Keypoints (F, 25, 2) of someone who walks past, legs and arms swinging, and their camera."""
    points = 40 * torch.randn(25, 2, generator=torch.Generator().manual_seed(1)) + 300
    swing = 60 * torch.sin(torch.arange(count) * 0.6)
    side = torch.tensor([("left" in name) - ("right" in name) for name in KEYPOINT_NAMES])
    moved = points + torch.stack([swing[:, None] * side, torch.zeros(count, 25)], -1)
    seen = filmed(torch.zeros(count, 25, 3), two_cameras()[:1])
    return replace(seen, points=moved)


def test_legs_that_a_detector_swaps_for_two_frames_are_swapped_back():
    seen, points = walking(), walking().points.clone()
    legs = [row for row, name in enumerate(KEYPOINT_NAMES) if name.split("_")[-1] in swaps.LIMBS["legs"]]
    mirror = torch.tensor(mirrored(KEYPOINT_NAMES))
    for frame in (3, 7, 8):
        points[frame, legs] = points[frame, mirror[legs]]
    mended, told = swaps.unswapped(replace(seen, points=points))
    assert torch.equal(mended.points, seen.points)
    assert told == [("legs", 3), ("legs", 7), ("legs", 8)]


def test_a_steady_walk_and_a_person_who_turns_are_left_as_they_are():
    seen = walking()
    assert torch.equal(swaps.unswapped(seen)[0].points, seen.points)
    points = seen.points.clone()
    points[5] = points[5, torch.tensor(mirrored(KEYPOINT_NAMES))]
    assert torch.equal(swaps.unswapped(replace(seen, points=points))[0].points, points)


def test_a_camera_that_took_none_of_the_pictures_swaps_nothing():
    seen = walking()
    more = replace(seen, cameras=Camera.cat([seen.cameras, seen.cameras]))
    assert torch.equal(swaps.unswapped(more)[0].points, seen.points)
    assert not bool(swaps.doubled(more).any())


def with_one_leg_twice(seen, frames, sure=0.3):
    """The right leg is found where the left one is, and not surely."""
    points, belief = seen.points.clone(), seen.belief.clone()
    right = [row for row, name in enumerate(KEYPOINT_NAMES)
             if name.startswith("right") and name.split("_")[-1] in ("knee", "ankle", "toe", "heel")]
    for frame in frames:
        points[frame, right] = points[frame, torch.tensor(mirrored(KEYPOINT_NAMES))[right]] + 1.0
        belief[frame, right] = sure
    return replace(seen, points=points, belief=belief), right


def test_a_leg_that_is_found_twice_is_believed_once():
    seen, right = with_one_leg_twice(walking(), [0, 6])
    twice = swaps.doubled(seen)
    assert bool(twice[[0, 6]][:, right].all()) and int(twice.sum()) == 2 * len(right)


def test_legs_that_hide_each_other_for_long_or_are_both_seen_surely_are_believed():
    assert not bool(swaps.doubled(walking()).any())
    assert not bool(swaps.doubled(with_one_leg_twice(walking(), range(12))[0]).any())
    assert not bool(swaps.doubled(with_one_leg_twice(walking(), [6], sure=0.9)[0]).any())


# where it starts

def test_the_likeliest_sequence_agrees_with_trying_all():
    some = torch.Generator().manual_seed(0)
    costs, steps = torch.rand(5, 3, generator=some), torch.rand(4, 3, 3, generator=some)

    def total(path):
        return sum(costs[i, row] for i, row in enumerate(path)) + sum(
            steps[i, path[i], path[i + 1]] for i in range(4))

    assert likeliest(costs, steps).tolist() == list(min(itertools.product(range(3), repeat=5), key=total))


@pytest.mark.parametrize("count", [1, 2])
def test_keypoints_are_placed_where_their_rays_say(count):
    keypoints = 0.5 * torch.randn(4, 25, 3, generator=torch.Generator().manual_seed(2))
    shift = torch.tensor([[0.2, -0.1, 0.8]]).repeat(4, 1)
    seen = filmed(keypoints + shift[:, None], two_cameras()[:count])
    assert (placed(seen, keypoints) - shift).abs().max() < 2e-3


@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (0.0, 1.0, 0.0)])
def test_starts_stand_upright_and_face_all_around(up):
    found = facings(torch.tensor(up), 8)
    assert torch.allclose(found[:, :, 2], torch.tensor(up).expand(8, 3), atol=1e-6)
    assert torch.allclose(found[:, :, 1].sum(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(found), torch.ones(8), atol=1e-5)


def test_keypoints_are_as_fast_as_one_camera_saw_them_move():
    count = len(KEYPOINT_NAMES)
    seen = filmed(torch.zeros(4, count, 3), two_cameras())
    spread = torch.linspace(0, 1, count)[:, None] * torch.tensor([60.0, 80.0])  # an extent of 100 pixels
    points = spread + torch.tensor([50.0, 30.0]) * torch.arange(4)[:, None, None]  # somebody who walks past
    points[2:, 0, 0] += 25.0
    points = torch.cat([points, torch.full((4, count, 2), torch.nan)])
    belief = torch.ones(8, count)
    belief[3:] = 0  # the first camera saw moments 0 to 2, and of 3 too little
    belief[3, :5] = 1
    moves = seen_to_move(replace(seen, points=points, belief=belief))
    middle = 25.0 / count  # all others fall behind by that
    expected = ((count - 1) * middle + 25.0 - middle) / count / 100
    assert moves[:2].tolist() == pytest.approx([0.0, expected], abs=1e-4) and bool(moves[2].isinf())


def test_somebody_who_stands_still_is_linked_although_starts_in_one_view_jump(puppet, monkeypatch):
    some = torch.Generator().manual_seed(1)
    motion = puppet.typical(facings(UP, 8)[1:2], torch.tensor([[0.0, 0.0, 0.9]]))
    wild = 0.4 * torch.randn(motion.controls.shape, generator=some)
    seen = filmed(keypoints_of(puppet, replace(motion, controls=motion.controls + wild)).repeat(10, 1, 1),
                  two_cameras()[:1])
    seen = replace(seen, points=seen.points + 1.5 * torch.randn(seen.points.shape, generator=some))
    assert float(first_motion(seen, puppet, UP)[1].min()) > 0.95
    monkeypatch.setattr(initialisation, "seen_to_move", lambda seen: seen.seconds + torch.inf)
    assert float(first_motion(seen, puppet, UP)[1].min()) < 0.5  # they do jump


@pytest.mark.parametrize("name", ["controls", "place"])
def test_starts_are_settled_as_solving_it_densely_would(puppet, name):
    some, count = torch.Generator().manual_seed(2), 9
    motion = puppet.typical(facings(UP, 1).expand(count, 3, 3), torch.randn(count, 3, generator=some))
    motion = replace(motion, controls=torch.randn(motion.controls.shape, generator=some))
    seconds = 0.01 + 0.1 * torch.rand(count - 1, generator=some)
    linked = torch.rand(count - 1, generator=some)
    change = (torch.eye(count).diff(dim=0) / seconds[:, None]).diff(dim=0)
    change = (change * energy.smoothness_weight(seconds, linked, energy.PUSH[name]).sqrt()[:, None]).double()
    normal = torch.eye(count) + initialisation.FLICKER[name] ** 2 * change.mT @ change
    given = getattr(motion, name)
    expected = torch.linalg.solve(normal, given.flatten(1).double()).view_as(given)
    found = getattr(initialisation.settled(motion, seconds, linked), name)
    assert (found - expected).abs().max() < 1e-5 < (found - given).abs().max()


def test_flicker_between_sixty_frames_a_second_is_settled_and_a_wave_of_a_second_stays(puppet):
    count = 60
    time = torch.arange(count) / 60
    wave = 0.5 * torch.sin(2 * torch.pi * time)
    motion = puppet.typical(facings(UP, 1).expand(count, 3, 3), torch.zeros(count, 3))
    smooth = replace(motion, place=wave[:, None] * torch.tensor([1.0, 0.0, 0.0]),
                     controls=motion.controls + wave[:, None, None],
                     turn=wave[:, None] * torch.tensor([0.0, 0.0, 1.0]))
    flicker = torch.where(torch.arange(count) % 2 == 0, 0.1, -0.1)
    given = replace(smooth, place=smooth.place + flicker[:, None],
                    controls=smooth.controls + flicker[:, None, None],
                    turn=smooth.turn + flicker[:, None] * torch.tensor([0.0, 0.0, 1.0]))
    seconds, inner = torch.full((count - 1,), 1 / 60), slice(6, -6)  # ends have neighbours on one side only
    found = initialisation.settled(given, seconds, torch.ones(count - 1))
    assert bool((found.turn == 0).all())
    for left in (found.place - smooth.place, found.controls - smooth.controls,
                 roma.rotmat_to_rotvec(found.root.mT @ smooth.root)):
        assert left[inner].abs().max() < 0.01
    apart = initialisation.settled(given, seconds, torch.zeros(count - 1))  # that tell nothing of each other
    assert (apart.controls - given.controls).abs().max() < 1e-6
    assert (apart.root - given.root).abs().max() < 1e-5


# what is made small

def test_even_motion_costs_nothing_and_jerks_do(puppet):
    count = 5
    motion = puppet.typical(torch.eye(3).repeat(count, 1, 1), torch.zeros(count, 3))
    even = replace(motion, place=torch.arange(count)[:, None] * torch.tensor([0.1, 0.0, 0.0]))
    seconds, linked, spread = torch.full((count - 1,), 0.1), torch.ones(count - 1), puppet.prior.spread
    assert float(energy.smoothness_cost(even, spread, seconds, linked, True)) < 1e-6
    jerk = even.place.clone()
    jerk[2, 0] += 0.1
    cost = energy.smoothness_cost(replace(even, place=jerk), spread, seconds, linked, True)
    # speeds change by 1, -2 and 1 m/s
    assert float(cost) == pytest.approx(0.5 * 6 / (energy.PUSH["place"] ** 2 * 0.1), rel=1e-3)
    unlinked = energy.smoothness_cost(replace(even, place=jerk), spread, seconds, 0 * linked, True)
    assert float(unlinked) == 0


def test_a_jerk_of_a_joint_costs_by_how_far_the_joint_strays(puppet):
    seconds, linked, spread = torch.full((4,), 0.1), torch.ones(4), puppet.prior.spread
    still = puppet.typical(torch.eye(3).repeat(5, 1, 1), torch.zeros(5, 3))

    def cost(control):
        controls = still.controls.clone()
        controls[2, CONTROLS.index(control), 0] += 0.1
        return float(energy.smoothness_cost(replace(still, controls=controls), spread, seconds, linked, True))

    stiff, loose = (spread[CONTROLS.index(name), 0] for name in ("left_collar", "left_knee"))
    assert cost("left_collar") / cost("left_knee") == pytest.approx(float(loose / stiff) ** 2, rel=1e-3)


def test_joints_that_hurry_together_cost_less_than_joints_that_hurry_at_different_times(puppet):
    count, spread = 24, puppet.prior.spread
    seconds, linked = torch.full((count - 1,), 0.1), torch.ones(count - 1)
    still = puppet.typical(torch.eye(3).repeat(count, 1, 1), torch.zeros(count, 3))
    knees = [CONTROLS.index(name) for name in ("left_knee", "right_knee")]

    def cost(other, alone):
        controls, swing = still.controls.clone(), torch.arange(count) * 0.9
        controls[:, knees[0], 0] += 0.3 * swing.sin()
        controls[:, knees[1], 0] += 0.3 * other(swing)
        motion = replace(still, controls=controls)
        return float(energy.smoothness_cost(motion, spread, seconds, linked, alone))

    assert cost(torch.sin, False) < 0.8 * cost(torch.cos, False)
    assert cost(torch.sin, True) == pytest.approx(cost(torch.cos, True), rel=0.1)


def test_joints_that_move_together_cost_less_than_the_same_moves_at_different_times():
    swing = torch.sin(torch.arange(40) * 0.7)
    together, apart = torch.zeros(40, 18, 3), torch.zeros(40, 18, 3)
    together[:, 0, 0] = together[:, 1, 0] = apart[:, 0, 0] = swing
    apart[:, 1, 0] = torch.cos(torch.arange(40) * 0.7)
    assert float(energy.habit_cost(together)) < 0.7 * float(energy.habit_cost(apart))
    assert float(energy.habit_cost(torch.ones(40, 18, 3))) == 0


@pytest.mark.parametrize("count", [3, 80])  # fewer frames than controls, and more
def test_little_moves_cost_by_their_squares(count):
    controls = 1e-3 * torch.randn(count, 18, 3, generator=torch.Generator().manual_seed(3))
    away = controls - controls.mean(0)
    expected = (0.5 * (1 + count / energy.HABIT_FRAMES) * (away / energy.HABIT).square().sum())
    assert float(energy.habit_cost(controls)) == pytest.approx(float(expected), rel=0.02)


def test_a_corrected_camera_is_the_given_one_where_nothing_is_corrected():
    cameras = two_cameras()
    rig = energy.Rig.of(cameras)
    assert torch.allclose(rig.cameras(cameras).K, cameras.K) and float(rig.cost()) == 0
    longer = replace(rig, focal=torch.tensor([0.0, 0.5]))
    assert torch.allclose(longer.cameras(cameras).K[1, 0, 0], cameras.K[1, 0, 0] * np.exp(0.5))
    assert torch.allclose(longer.cameras(cameras).K[:, :, 2], cameras.K[:, :, 2])


@pytest.mark.parametrize("count", [2, 3])
def test_corrected_cameras_leave_a_person_in_place(count):
    """Points that corrected cameras see in the same pixels have place, direction and size as before."""
    some = torch.Generator().manual_seed(count)
    cameras = orbit(torch.tensor([[0.0, 0.0, 0.9]]), torch.tensor([0.0, 1.5, 2.6])[:count], 0.1, 4.0, 0.6,
                    (480, 360), UP)
    points = torch.tensor([0.3, 0.5, 0.8]) * torch.randn(60, 3, generator=some) + torch.tensor([0, 0, 0.9])
    pixels = cameras.project(points.expand(count, -1, -1))[0]
    turns, shifts = (size * torch.randn(count, 3, generator=some) for size in (0.004, 0.01))

    def moved(rig):
        """By how much the points go on the whole, their scale, and by how much each for itself, metres."""
        corrected = replace(rig, turns=turns, shifts=shifts).cameras(cameras)
        found = points.clone().requires_grad_()
        optimiser = torch.optim.LBFGS([found], max_iter=500, line_search_fn="strong_wolfe")

        def off():
            optimiser.zero_grad()
            error = (corrected.project(found.expand(count, -1, -1))[0] - pixels).square().sum()
            error.backward()
            return error

        optimiser.step(off)
        found = found.detach()
        R, t, scale = roma.rigid_points_registration(points, found, compute_scaling=True)
        middle = points.mean(0)
        return (float((scale * R @ middle + t - middle).norm()),
                float((scale * R - torch.eye(3)).abs().max()), float((found - points).norm(dim=-1).mean()))

    free, held = moved(energy.Rig.of(cameras)), moved(energy.Rig.of(cameras, points))
    assert free[0] > 0.005 and free[1] > 0.002
    assert held[0] < 0.001 and held[1] < 0.001
    assert held[2] > 0.001  # and yet they have moved against each other


def test_a_single_camera_is_not_corrected():
    camera = two_cameras()[:1]
    rig = replace(energy.Rig.of(camera, torch.randn(20, 3)), turns=torch.ones(1, 3), shifts=torch.ones(1, 3))
    assert torch.equal(rig.cameras(camera).R, camera.R) and torch.equal(rig.cameras(camera).t, camera.t)


def test_cameras_in_one_place_are_corrected_by_numbers():
    camera = two_cameras()[:1]
    kept = energy.Rig.of(Camera.cat([camera, camera]), torch.randn(20, 3)).kept
    assert bool(kept.isfinite().all()) and kept.abs().max() < 100


def test_refined_cameras_agree_better_and_the_person_stays(puppet):
    motion = puppet.typical(facings(UP, 1).expand(5, 3, 3), torch.tensor([[0.0, 0.0, 0.9]]).repeat(5, 1))
    controls = motion.controls.clone()
    controls[:, CONTROLS.index("right_knee"), 0] += torch.linspace(0, 0.8, 5)
    motion = replace(motion, controls=controls)
    truth = keypoints_of(puppet, motion)
    true = two_cameras()
    turned = torch.tensor([[0.0, 0.01, 0.004], [0.0, 0.01, -0.004]])  # looking aside alike, leaning apart
    given = replace(true, R=roma.rotvec_to_rotmat(turned) @ true.R,
                    t=(roma.rotvec_to_rotmat(turned) @ true.t[..., None])[..., 0])
    seen = replace(filmed(truth, true), cameras=given)
    as_given, refined = (fit_person(seen, UP, extrinsics=extrinsics, puppet=puppet)
                         for extrinsics in (False, True))
    assert refined.report.mean < 0.7 * as_given.report.mean

    def points(found):
        body = AnnyBody(found.shape)
        return body.keypoints(body(found.pose), "body25")

    assert float((points(refined) - points(as_given)).mean((0, 1)).norm()) < 0.01


def test_outlines_pull_a_body_that_stands_beside_its_mask_back(puppet):
    motion = puppet.typical(facings(UP, 1), torch.tensor([[0.0, 0.0, 0.9]]))
    rested = puppet.rested(motion.build)
    camera = two_cameras()[:1]
    seen = filmed(keypoints_of(puppet, motion), camera)
    body = AnnyBody(puppet.shape(motion.build))
    face = rasterize(body(puppet.pose(motion)).vertices, body.surface.faces, camera, camera.size).face_id[0]
    seen = replace(seen, outlines=[outline_of((face >= 0).numpy())])
    place = (motion.place + torch.tensor([[0.03, 0.0, 0.0]])).requires_grad_()
    aside = replace(motion, place=place)
    pairs = paired(puppet, seen, replace(motion, place=place.detach()), camera)
    cost = fitting.optimisation.silhouette_cost(puppet, seen, pairs, puppet.carry(aside, rested),
                                                pairs.rest(rested.coefficients), camera)
    cost.backward()
    exact = fitting.optimisation.silhouette_cost(puppet, seen, pairs, puppet.carry(motion, rested),
                                                 pairs.rest(rested.coefficients), camera)
    assert float(exact) < 0.3 * float(cost.detach())
    assert float(place.grad[0, 0]) > 10 * abs(float(place.grad[0, 2]))
    beside = replace(motion, place=motion.place + torch.tensor([[1.0, 0.0, 0.0]]))
    assert paired(puppet, seen, beside, camera) is None  # and then outlines say nothing


@pytest.mark.parametrize("count", [161, 320, 1000])
def test_windows_keep_every_frame_once_and_overlap(count):
    kept = [frame for _, _, first, last in windows(count) for frame in range(first, last)]
    assert kept == list(range(count))
    assert all(start <= first < last <= stop and stop - start <= fitting.TOGETHER
               for start, stop, first, last in windows(count))


def test_outlines_of_views_in_any_order_cost_the_same(puppet):
    motion = puppet.typical(facings(UP, 2), torch.tensor([[0.0, 0.0, 0.9]]).repeat(2, 1))
    rested = puppet.rested(motion.build)
    carry, cameras = puppet.carry(motion, rested), two_cameras()
    seen = filmed(puppet.keypoints(carry, rested), cameras)
    body = AnnyBody(puppet.shape(motion.build))
    vertices = body(puppet.pose(replace(motion, place=motion.place + 0.03))).vertices
    drawn = [rasterize(vertices[row:row + 1], body.surface.faces, cameras[camera], cameras.size)
             for camera, row in zip(seen.camera.tolist(), seen.moment.tolist(), strict=True)]
    seen = replace(seen, outlines=[outline_of((one.face_id[0] >= 0).numpy()) for one in drawn])
    order = torch.tensor([2, 1, 3, 0])
    other = replace(seen, camera=seen.camera[order], moment=seen.moment[order], points=seen.points[order],
                    belief=seen.belief[order], outlines=[seen.outlines[view] for view in order.tolist()])

    def cost(views):
        pairs = paired(puppet, views, motion, cameras)
        return float(fitting.optimisation.silhouette_cost(puppet, views, pairs, carry,
                                                          pairs.rest(rested.coefficients), cameras))

    assert cost(seen) > 1 and cost(other) == pytest.approx(cost(seen), rel=1e-4)


# the whole

def test_a_raised_knee_seen_from_the_side_is_the_right_one(puppet, monkeypatch):
    monkeypatch.setattr(fitting, "KEYPOINT_STEPS", 60)
    monkeypatch.setattr(fitting, "LAST_STEPS", 20)
    count = 5
    share = torch.linspace(0, 1, count)[:, None]
    motion = puppet.typical(facings(torch.tensor([0.0, -1.0, 0.0]), 4)[1:2].repeat(count, 1, 1),
                            torch.tensor([[0.0, 0.0, 4.0]]).repeat(count, 1))
    controls = motion.controls.clone()
    controls[:, CONTROLS.index("left_hip"), 0] -= 1.2 * share[:, 0]
    controls[:, CONTROLS.index("left_knee"), 0] += 1.3 * share[:, 0]
    motion = replace(motion, controls=controls)
    truth = keypoints_of(puppet, motion)
    K = torch.tensor([[[700.0, 0, 320], [0, 700, 240], [0, 0, 1]]])
    seen = filmed(truth, Camera(K, torch.eye(3)[None], torch.zeros(1, 3), size=(480, 640)))
    found = fit_person(seen, torch.tensor([0.0, -1.0, 0.0]))
    body = AnnyBody(found.shape)
    keypoints = body.keypoints(body(found.pose), "body25")
    keypoints, truth = (points - points.mean(1, keepdim=True) for points in (keypoints, truth))
    assert float((keypoints - truth).norm(dim=-1).mean()) < 0.08  # depth is what one view tells least of
    left, right = (BODY25.names.index(f"{side}_knee") for side in ("left", "right"))
    for row in (left, right):
        assert float((keypoints[:, row] - truth[:, row]).norm(dim=-1).max()) < 0.15
    assert float(keypoints[-1, left, 0] - keypoints[-1, right, 0]) == pytest.approx(
        float(truth[-1, left, 0] - truth[-1, right, 0]), abs=0.05)  # in front, along the picture
    assert found.report.mean < 2.0 and found.report.left_out < 6.0


def test_a_keypoint_of_something_else_is_told_and_hardly_believed(puppet, monkeypatch):
    monkeypatch.setattr(fitting, "KEYPOINT_STEPS", 60)
    monkeypatch.setattr(fitting, "LAST_STEPS", 30)
    place = torch.tensor([0.0, 0.0, 0.9]) + torch.linspace(-0.1, 0.1, 9)[:, None] * torch.tensor([1.0, 0, 0])
    truth = keypoints_of(puppet, puppet.typical(facings(UP, 8)[2:3].repeat(9, 1, 1), place))
    seen = filmed(truth, two_cameras())
    nose, points = KEYPOINT_NAMES.index("nose"), seen.points.clone()
    points[(seen.camera == 1) & (seen.moment >= 4) & (seen.moment < 7), nose, 0] = 0.0
    found = fit_person(replace(seen, points=points), UP)
    assert found.report.astray == [("nose", 1, frame) for frame in (4, 5, 6)]
    told = [line for line in found.report.lines(["left", "right"]) if "hardly believed" in line]
    assert len(told) == 1 and "nose in right (frames 4, 5, 6)" in told[0]
    body = AnnyBody(found.shape)
    assert float((body.keypoints(body(found.pose), "body25") - truth).norm(dim=-1).mean()) < 0.03
    undisturbed = fit_person(seen, UP).report
    assert not undisturbed.astray
    assert not any("hardly believed" in line for line in undisturbed.lines(["left", "right"]))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A posed capture before and after a fit."""
    folder = tmp_path_factory.mktemp("fit") / "capture"
    given = make_posed_capture(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "KEYPOINT_STEPS", 60)
        patch.setattr(fitting, "OUTLINE_STEPS", 30)
        patch.setattr(fitting, "LAST_STEPS", 30)
        return given, fit(folder)


def test_a_fit_through_two_cameras_finds_the_person_again(fitted):
    given, made = fitted
    posed = [capture.body.keypoints(capture.body(capture.recording), "coco23") for capture in (given, made)]
    assert float((posed[0] - posed[1]).norm(dim=-1).mean()) < 0.03
    assert made.poses.frame.tolist() == given.poses.frame.tolist()
    assert load_capture(made.path).body.shape == made.body.shape != given.body.shape


def test_a_fit_leaves_calibrated_cameras_alone(fitted):
    given, made = fitted
    for name, camera in given.cameras.items():
        assert torch.equal(made.cameras[name].K, camera.K) and torch.equal(made.cameras[name].t, camera.t)


def test_a_fit_that_cannot_be_had_says_what_to_do(fitted, tmp_path, capsys):
    given, _ = fitted
    folder = given.path
    assert main(["fit", str(folder), "--cameras", "front,back"]) == 2
    assert "back has no keypoints" in capsys.readouterr().err
    assert main(["fit", str(folder), "--body", "bob"]) == 2
    assert "use anny" in capsys.readouterr().err
    index = json.loads((folder / "capture.json").read_text())
    index["cameras"]["front"]["calibrated"] = False
    (folder / "capture.json").write_text(json.dumps(index))
    assert main(["fit", str(folder)]) == 2
    assert "--cameras front" in capsys.readouterr().err
    (folder / "capture.json").write_text(json.dumps({**index, "keypoints": None}))
    assert main(["fit", str(folder)]) == 2
    assert "no keypoints" in capsys.readouterr().err


def test_a_fit_of_nobody_is_refused(puppet):
    seen = filmed(torch.randn(2, 25, 3), two_cameras())
    with pytest.raises(ValueError, match="keypoints of the person"):
        fit_person(replace(seen, belief=torch.zeros_like(seen.belief)), UP)
    assert len(BODY25.names) == len(KEYPOINT_NAMES)
