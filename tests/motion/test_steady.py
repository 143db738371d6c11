"""Gaps are closed and noise lowered, without a pull from what isn't known."""

import pytest
import torch

from anr_core.motion.steady import FADES, filled, smoothed


def line(count=21, joints=1, sure=0.9):
    """(count, joints, 3) points that move evenly."""
    moments = torch.arange(count).float()
    places = torch.stack([3 * moments + 10, 100 - 2 * moments], -1)[:, None].expand(-1, joints, -1)
    return torch.cat([places, torch.full((count, joints, 1), sure)], -1).contiguous()


def test_a_missing_point_is_put_between_with_less_confidence():
    points, seconds = line(), torch.arange(21) / 25
    points[8:11] = 0
    found = filled(points, seconds)
    assert torch.allclose(found[..., :2], line()[..., :2], atol=1e-4)
    assert (found[8:11, 0, 2] < 0.9).all() and float(found[9, 0, 2]) < float(found[8, 0, 2])
    assert float(found[9, 0, 2]) == pytest.approx(0.9 * 0.5 ** (2 / 25 / FADES), abs=1e-5)
    assert torch.equal(found[:8], points[:8]) and torch.equal(found[11:], points[11:])


def test_before_the_first_sight_and_after_the_last_a_point_is_held():
    points, seconds = line(), torch.arange(21) / 25
    points[:4], points[15:, :, 2] = 0, 0.04
    found = filled(points, seconds)
    assert torch.equal(found[0, 0, :2], points[4, 0, :2]) and torch.equal(found[20, 0, :2], points[14, 0, :2])
    assert float(found[20, 0, 2]) < float(found[16, 0, 2])


def test_what_is_never_seen_has_no_confidence():
    points = line(joints=2)
    points[:, 1, 2] = 0.03
    assert not filled(points, torch.arange(21) / 25)[:, 1, 2].any()


def test_smoothing_lowers_noise_to_what_a_gaussian_leaves():
    noise = torch.randn(400, 1, 2, generator=torch.Generator().manual_seed(0))
    points = line(400)
    points[..., :2] += noise
    left = (smoothed(points, torch.arange(400), 2.0) - line(400))[20:-20, :, :2].std()
    assert float(left) == pytest.approx((1 / (2 * 2.0 * torch.pi**0.5)) ** 0.5, rel=0.15)


def test_smoothing_leaves_an_even_motion_as_it_is_up_to_its_ends_and_beside_gaps():
    points = line()
    points[9:12] = 0  # nobody knows where
    found = smoothed(points, torch.arange(21), 2.0)
    known = points[:, 0, 2] > 0
    assert torch.allclose(found[known], points[known], atol=0.05)
    assert torch.allclose(found[9:12, 0, :2], line()[9:12, 0, :2], atol=0.05)


def test_smoothing_counts_frames_not_rows():
    points, frames = line(30), torch.tensor([frame for frame in range(40) if frame % 4 != 1])
    points[:, 0, 0] = frames * 3.0
    assert torch.allclose(smoothed(points, frames, 2.0)[:, 0, 0], points[:, 0, 0], atol=0.05)


def test_no_smoothing_is_none_and_what_is_nowhere_stays():
    points = line()
    assert smoothed(points, torch.arange(21), 0.0) is points
    points[..., 2] = 0
    assert torch.equal(smoothed(points, torch.arange(21), 2.0), points)
