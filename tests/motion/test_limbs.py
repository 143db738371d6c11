"""The geometry of limbs."""

import math

import torch

from anr_core.motion.limbs import across, apply, frame, reached, swing, twist_about, two_bones, unit

X, Y, Z = torch.eye(3, dtype=torch.float64)


def randoms(*shape, seed=0):
    return unit(torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def test_a_swing_takes_one_direction_to_the_other_and_is_the_smallest_that_does():
    one, other = randoms(50), randoms(50, seed=1)
    turns = swing(one, other)
    assert torch.allclose(apply(turns, one), other, atol=1e-9)
    assert torch.allclose(turns @ turns.mT, torch.eye(3, dtype=torch.float64).expand(50, 3, 3), atol=1e-9)
    cosine = (turns.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    assert torch.allclose(cosine, (one * other).sum(1), atol=1e-9)


def test_a_swing_to_the_same_and_to_the_opposite_direction_is_a_rotation():
    for other in (X, -X):
        turn = swing(X, other)
        assert torch.allclose(apply(turn, X), other, atol=1e-9)
        assert float(torch.linalg.det(turn)) == 1


def test_twist_is_the_angle_about_an_axis_and_a_swing_has_none():
    turn = frame(torch.tensor([math.cos(0.7), math.sin(0.7), 0.0], dtype=torch.float64), Z) @ frame(X, Z).mT
    assert abs(float(twist_about(turn, Z)) - 0.7) < 1e-9
    assert abs(float(twist_about(swing(X, unit(X + Y)), X))) < 1e-9


def test_two_bones_point_where_they_are_told_and_meet_in_a_hinge():
    upper, bend = randoms(20), torch.linspace(0.5, 2.0, 20, dtype=torch.float64)
    axis = across(randoms(20, seed=3), upper)
    side = torch.linalg.cross(axis, upper, dim=-1)
    lower = torch.cos(bend)[:, None] * upper + torch.sin(bend)[:, None] * side
    guess = frame(upper, unit(axis + 0.2 * upper)) @ frame(-Z, X).mT
    first, second = two_bones(upper, lower, guess, -Z, -Z, X)
    assert torch.allclose(apply(first, -Z.expand(20, 3)), upper, atol=1e-9)
    assert torch.allclose(apply(second, -Z.expand(20, 3)), lower, atol=1e-9)
    assert torch.allclose(apply(first.mT @ second, X.expand(20, 3)), X.expand(20, 3), atol=1e-9)


def test_a_straight_limb_keeps_the_twist_that_it_is_given():
    for angle in (-1.0, 0.0, 1.0):
        hinge = torch.tensor([math.cos(angle), math.sin(angle), 0.0], dtype=torch.float64)
        guess = frame(-Z, hinge) @ frame(-Z, X).mT
        first, _ = two_bones(-Z[None], -Z[None], guess[None], -Z, -Z, X)
        assert torch.allclose(first[0], guess, atol=1e-9)


def test_a_limb_that_bends_a_little_the_wrong_way_is_not_turned_about():
    lower = unit(torch.tensor([[0.0, -0.1, -1.0]], dtype=torch.float64))  # about X +Y is the right way
    first, _ = two_bones(-Z[None], lower, torch.eye(3, dtype=torch.float64)[None], -Z, -Z, X)
    assert torch.allclose(first[0], torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_a_leg_reaches_its_goal_with_its_knee_before_it():
    start = torch.tensor([[0.0, 0.0, 0.9]], dtype=torch.float64)
    goal = torch.tensor([[0.1, 0.2, 0.2]], dtype=torch.float64)
    first, second = reached(start, goal, X[None], (0.4, 0.42), 1.0)
    knee = start + 0.4 * first
    assert torch.allclose(knee + 0.42 * second, goal, atol=1e-9)
    assert float((knee - (start + goal) / 2)[0] @ -Y) > 0  # Y is the back


def test_a_goal_out_of_reach_is_pointed_at():
    start, goal = torch.zeros(1, 3, dtype=torch.float64), -2 * Z[None]
    first, second = reached(start, goal, X[None], (0.4, 0.4), 0.999)
    assert float((0.4 * first + 0.4 * second)[0, 2]) < -0.798
