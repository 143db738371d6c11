"""Limbs as pictures: where they are drawn, which way they point, what is left out."""

import pytest
import torch

from anr_core.parts import Limbs
from anr_core.parts.limbs import COARSE, RADIUS, STRENGTH
from anr_core.skeleton import BODY25, COCO23
from anr_core.skeleton.detailed import BODY25_DETAILED

SIZE = (128, 96)


def pose(skeleton, **places):
    points = torch.zeros(1, len(skeleton), 3)
    for name, place in places.items():
        points[0, skeleton.names.index(name)] = torch.tensor([*place, 1.0])
    return points


def edge(limbs, skeleton, one, other):
    ends = {skeleton.names.index(one), skeleton.names.index(other)}
    return next(index for index, pair in enumerate(limbs.edges) if set(pair) == ends)


def test_maps_are_a_quarter_of_the_picture_rounded_up():
    limbs = Limbs(COCO23)
    for size, coarse in (((128, 96), (32, 24)), ((129, 97), (33, 25)), ((7, 9), (2, 3))):
        assert limbs(torch.zeros(2, 23, 3), size).shape == (2, limbs.channels, *coarse)


def test_a_picture_shows_limbs_in_colours_of_their_own_where_they_are():
    limbs, size = Limbs(BODY25), (129, 97)
    points = pose(BODY25, right_elbow=(20, 40), right_wrist=(60, 40), left_knee=(50, 80),
                  left_ankle=(50, 110))
    shown = limbs.picture(limbs(points, size), size)
    assert shown.shape == (1, 3, *size) and shown.min() >= 0 and shown.max() <= 1
    arm, leg, beside = shown[0, :, 40, 40], shown[0, :, 95, 50], shown[0, :, 70, 85]
    assert arm.max() > 0.6 and leg.max() > 0.6 and beside.max() < 0.01
    assert (arm - leg).abs().max() > 0.3


def test_half_precision_moves_no_limb():
    limbs, points = Limbs(BODY25), torch.rand(1, 25, 3) * torch.tensor([*SIZE[::-1], 1.0])
    with torch.autocast("cpu", torch.bfloat16):
        cast = limbs(points, SIZE)
    assert torch.equal(cast, limbs(points, SIZE))


def test_a_limb_is_drawn_from_joint_to_joint_in_its_own_channel():
    limbs = Limbs(BODY25)
    points = pose(BODY25, right_elbow=(20, 40), right_wrist=(60, 40))
    maps = limbs(points, SIZE)[0]
    mine = edge(limbs, BODY25, "right_elbow", "right_wrist")
    others = [index for index in range(len(limbs.edges)) if index != mine]
    assert not maps[others].any()
    row, column = 40 // COARSE, 40 // COARSE
    offset = (row * COARSE + COARSE / 2 - 40) / (RADIUS * max(SIZE))
    assert maps[mine, row, column] == pytest.approx(STRENGTH * float(torch.tensor(-offset**2).exp()),
                                                    abs=1e-4)
    assert maps[mine, 0, 0] < 1e-2


def test_how_far_along_rises_from_one_end_to_the_other_and_across_changes_sides():
    limbs = Limbs(BODY25)
    points = pose(BODY25, right_wrist=(60, 42), right_elbow=(20, 42))
    maps, count = limbs(points, SIZE)[0], len(limbs.edges)
    mine = edge(limbs, BODY25, "right_elbow", "right_wrist")
    near, along, across = (maps[kind * count + mine] for kind in range(3))
    share = along / near.clamp(min=1e-6)
    start, end = limbs.edges[mine]
    ways = points[0, end, 0] - points[0, start, 0]
    profile = share[42 // COARSE, 5:15]
    assert bool((profile.diff() * ways > 0).all())
    assert across[9, 10] * across[11, 10] < 0


def test_who_is_not_seen_is_not_drawn():
    limbs = Limbs(COCO23)
    points = 50 * torch.ones(1, 23, 3)
    points[..., 2] = 0.05
    assert not limbs(points, SIZE).any()
    points[..., 2], points[..., 0] = 1, torch.nan
    assert not limbs(points, SIZE).any()


def test_a_pose_outside_of_the_picture_is_finite_and_leaves_it_empty():
    limbs = Limbs(COCO23)
    points = torch.cat([1e6 * torch.ones(1, 23, 2), torch.ones(1, 23, 1)], 2)
    maps = limbs(points, SIZE)
    assert maps.isfinite().all() and not maps.any()


def test_hands_and_face_have_a_channel_each():
    limbs = Limbs(BODY25_DETAILED)
    assert limbs.channels == Limbs(BODY25).channels
    maps = limbs(pose(BODY25_DETAILED, left_index1=(20, 20), left_index2=(24, 20)), SIZE)[0]
    drawn = [channel for channel in range(limbs.channels) if maps[channel].any()]
    assert drawn == [limbs.channels - 3]
    maps = limbs(pose(BODY25_DETAILED, right_lip_corner=(20, 20), right_lip_upper1=(24, 20)), SIZE)[0]
    assert [channel for channel in range(limbs.channels) if maps[channel].any()] == [limbs.channels - 1]


def test_in_a_window_limbs_are_as_thick_as_in_the_whole():
    limbs = Limbs(BODY25)
    points = pose(BODY25, right_elbow=(20, 40), right_wrist=(60, 40))
    whole, window = limbs(points, (128, 128)), limbs(points, (64, 64), whole=128)
    assert torch.equal(whole[..., :16, :16], window)
