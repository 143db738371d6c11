"""Feet that stand still in the source do here, on the ground."""

import pytest
import roma
import torch

from anr_core.motion import read_motion, retarget
from anr_core.motion.feet import foot_goals, speed, standing, straightened, sunk, widened
from anr_core.motion.limbs import apply
from anr_core.motion.puppet import puppet_of
from tests.motion.made_up import (
    FAMILIES,
    PlainBody,
    renamed,
    scaled,
    turned_root,
    walk,
    with_own_frames,
    without,
)
from tests.motion.measures import played

UP = torch.tensor([torch.pi / 2, 0.0, 0.0])


@pytest.mark.parametrize("change", [
    lambda motion: motion, lambda motion: scaled(renamed(motion, FAMILIES["unreal"]), 100),
    lambda motion: turned_root(motion, UP), with_own_frames, lambda motion: without(motion, ["Toe"])],
    ids=["plain", "centimetres", "z up", "own frames", "no toes"])
@pytest.mark.parametrize("body", ["anny", "smpl"])
def test_feet_of_a_made_up_walk_stand_still_on_the_ground(change, body, anny):
    found = played(change(walk(1.5)), anny if body == "anny" else PlainBody())
    slides = found.slides()
    assert len(slides) >= 3
    assert max(here for here, _ in slides) < 0.008
    assert float(found.lowest.abs().max()) < 0.02


@pytest.mark.parametrize("fps", [100, 120])
def test_feet_stand_still_at_high_rates_too(fps, anny):
    slides = played(walk(2.0, fps), anny).slides()
    assert slides and max(here for here, _ in slides) < 0.005


@pytest.mark.parametrize("name", ["xia_neutral_01_000.bvh", "deepmimic_walk.txt", "dab.bvh",
                                  "jumping_jacks.bvh", "wave_hello.bvh"])
def test_feet_of_real_motions_slide_less_than_two_centimetres_and_hardly_more_than_the_sources(
        name, real_played):
    found = real_played(name)
    slides = found.slides()
    assert slides
    for here, there in slides:
        assert here < 0.015 and here < there + 0.006
    assert float(found.lowest.min()) > -0.015 and float(found.lowest.median()) < 0.02


def test_nothing_pops_that_did_not_in_the_source(real_played):
    found = real_played("xia_neutral_01_000.bvh")
    for joint in ("knee", "ankle", "toe"):
        for side in ("left", "right"):
            here, there = found.joint(f"{side}_{joint}"), found.source.place(f"{side}_{joint}")
            jerks = [float(places.diff(n=2, dim=0).norm(dim=1).max()) for places in (here, there)]
            assert jerks[0] < 2 * jerks[1] + 0.003  # a knee that snaps straight has 0.016


def test_the_knee_bends_forwards_even_where_the_sources_bends_back(anny):
    motion = walk(1.0)
    knee = motion.names.index("LeftLeg")
    motion.rotations[:, knee] = torch.minimum(motion.rotations[:, knee], torch.tensor(-0.1))
    poses = retarget(motion, anny)
    assert float(poses.rotations[:, anny.skeleton.names.index("left_knee") - 1, 0].min()) > -0.2


def test_a_foot_that_rolls_off_stays_on_its_ball_though_the_sources_is_shorter(anny):
    puppet, frames = puppet_of(anny), 40
    pitch = torch.cat([torch.zeros(20), torch.linspace(0, 0.8, 20)]).double()
    turns = roma.rotvec_to_rotmat(torch.nn.functional.pad(pitch[:, None], (0, 2)))
    turns = turns[:, None].expand(frames, 2, 3, 3)
    ball = torch.tensor([0.0, -0.09, -0.02], dtype=torch.float64)  # Anny's is 0.13 m before its ankle
    toes = torch.tensor([0.1, -0.09, 0.05], dtype=torch.float64).expand(frames, 2, 3)
    ankles = toes - apply(turns, ball)
    stands = (pitch == 0)[:, None].expand(frames, 2)
    balls = [apply(turns, puppet.balls) + foot_goals(ankles, known, turns, stands, puppet, 30)
             for known in (toes, None)]
    rolled, dragged = (float((places - places[:1])[..., :2].norm(dim=-1).max()) for places in balls)
    assert rolled < 0.008 and dragged > 0.02


def test_standing_is_slow_and_low():
    time = torch.arange(60) / 30
    still, swings = torch.zeros(60, 3), torch.stack([0 * time, time, 0.3 * (time > 1)], 1)
    stands, levels = standing(torch.stack([still, swings], 1) + torch.tensor([0.0, 0.0, 0.08]),
                              torch.stack([still, swings], 1), 30)
    assert bool(stands[:, 0].all()) and not bool(stands[:, 1].any())
    assert levels.tolist() == pytest.approx([0.08, 0.08])


def test_of_several_floors_the_lowest_is_the_ground():
    heights = torch.tensor([0.08] * 10 + [0.28] * 50)[:, None, None]
    ankles = heights * torch.tensor([0.0, 0.0, 1.0]).expand(60, 2, 3)
    stands, levels = standing(ankles, ankles, 30)
    assert levels.tolist() == pytest.approx([0.08, 0.08])
    assert bool(stands[:8].all()) and not bool(stands[12:].any())


def test_speed_is_in_metres_a_second():
    places = torch.arange(5.0)[:, None] * torch.tensor([0.1, 0.0, 0.0])
    assert torch.allclose(speed(places, 30), torch.tensor(3.0))


def test_hips_sink_smoothly_where_a_leg_is_too_short():
    hips = torch.tensor([0.0, 0.0, 1.0]).expand(60, 2, 3).clone()
    goals = torch.zeros(60, 2, 3)
    goals[30, 0, 2] = -0.05  # one frame asks for a longer leg
    down = sunk(hips, goals, torch.tensor([1.0, 1.0]), 30)
    assert float(down[30]) > 0.04 and float(down[0]) == 0
    assert float(down.diff().abs().max()) < 0.03


def test_a_leg_that_gets_too_short_becomes_straight_without_a_jump():
    hips = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(100, 2, 3)
    goals = torch.zeros(100, 2, 3, dtype=torch.float64)
    goals[..., 2] = torch.linspace(0.02, -0.02, 100)[:, None]  # from within to out of reach
    bent = torch.full((100, 2), 0.9, dtype=torch.float64)
    found = (hips - straightened(hips, goals, bent, torch.ones(2, dtype=torch.float64)))[:, 0, 2]
    assert float(found.max()) < 1
    knee = torch.acos(found)  # half of its bend, of equal bones
    assert float(knee.diff(n=2).abs().max()) < 0.005


def test_feet_widen_along_a_direction_that_is_constant_while_they_stand():
    stands = torch.tensor([[True, False]] * 20 + [[False, False]] * 10 + [[True, False]] * 20)
    angles = torch.linspace(0, 1, 50)
    left = torch.stack([angles.cos(), angles.sin(), 0 * angles], 1)
    found = widened(stands, left, 30)
    for part in (found[:20, 0], found[30:, 0]):
        assert float(part.diff(dim=0).abs().max()) < 1e-6
    assert float(found.diff(dim=0).norm(dim=-1).max()) < 0.15
    assert torch.allclose(found.norm(dim=-1), torch.ones(50, 2), atol=1e-5)


@pytest.mark.parametrize("seconds", [0.05, 0.2])
def test_smoothing_moves_no_foot_that_stands(seconds, real_motion, anny):
    motion = read_motion(real_motion("xia_neutral_01_000.bvh"))
    assert max(here for here, _ in played(motion, anny, smooth=seconds).slides()) < 0.016
