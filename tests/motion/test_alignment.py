"""A motion in a picture becomes another person's."""

from dataclasses import replace

import pytest
import torch

from anr_core.motion.alignment import HOW, aligned
from anr_core.motion.keypoints import FlatMotion
from anr_core.motion.standing import in_common, of_body, standing
from anr_core.skeleton import BODY25, COCO17
from anr_core.skeleton.detailed import BODY25_DETAILED
from tests.motion.flat import film, joint

N = 60
STEPS = torch.linspace(0, 1, N)


def scaled(motion, times, right, down):
    """The same film, larger and moved."""
    change = torch.tensor([times, times, 1.0]), torch.tensor([float(right), float(down), 0.0])
    return replace(motion, points=motion.points * change[0] + change[1], size=None)


def stands(motion):
    points = of_body(motion)
    return standing(motion, points, in_common(points, points))


def feet(motion):
    """(n,) y of the lowest toe."""
    return torch.stack([joint(motion, f"{side}_big_toe")[:, 1] for side in ("left", "right")]).amax(0)


@pytest.mark.parametrize("how", ["scale", "limbs"])
@pytest.mark.parametrize("target", [film(torch.full((N,), 400.0), 300, 320 + 60 * STEPS),
                                    film(300 + 150 * STEPS, 150 + 150 * STEPS, 320 + 30 * STEPS)],
                         ids=["at one distance", "towards the camera"])
def test_the_target_scaled_and_shifted_comes_back_as_the_target(how, target):
    found = aligned(scaled(target, 1.7, -200, 90), target, how, smooth=0)
    assert torch.allclose(found.points, target.points, atol=0.01) and found.size == target.size


@pytest.mark.parametrize("how", ["scale", "limbs"])
def test_who_walks_towards_the_camera_keeps_the_feet_on_the_targets_floor(how):
    source, target = film(300 + 150 * STEPS, 150 + 150 * STEPS, 320), film(torch.full((N,), 400.0), 280, 320)
    assert stands(source).walks and not stands(target).walks
    found = aligned(source, target, how)
    assert torch.allclose(feet(found), torch.full((N,), 400.0), atol=3)
    height = feet(found) - joint(found, "nose")[:, 1]
    assert torch.allclose(height, torch.full((N,), 0.93 * 280), rtol=0.03)


def test_who_walks_the_less_uses_the_middle_of_the_targets_walk():
    target = film(300 + 150 * STEPS, 150 + 150 * STEPS, 320)
    found = aligned(film(torch.full((N,), 900.0), 700, 1000), target)
    assert torch.allclose(feet(found), feet(found)[:1].expand(N), atol=0.5)
    assert 330 < float(feet(found)[0]) < 420


def test_who_walks_nearer_by_a_little_grows_by_as_little():
    target = film(300 + 150 * STEPS, 150 + 150 * STEPS, 320)  # grows to twice the size
    found = aligned(film(700 + 100 * STEPS, 400 + 100 * STEPS, 500, size=None), target)
    height = feet(found) - joint(found, "nose")[:, 1]
    assert float(height[-1] / height[0]) == pytest.approx(1.25, rel=0.03)
    # on the floor that the target walked on: there y is as much larger as the person is taller
    assert torch.allclose(feet(found), 150 + height / 0.93, atol=4)


def test_who_walks_as_far_stands_where_the_target_stood_far_and_near():
    target = film(300 + 150 * STEPS, 150 + 150 * STEPS, 320)
    source = film(600 + 300 * STEPS.flip(0), 200 + 200 * STEPS.flip(0), 500, size=None)
    found = aligned(source, target, smooth=0)
    assert torch.allclose(feet(found), feet(target).flip(0), atol=4)


def test_a_jump_is_no_walk_into_the_distance():
    up = torch.zeros(N)
    up[25:35] = 60 * torch.sin(torch.linspace(0, torch.pi, 10))
    source, target = film(800 - up, 600, 500), film(torch.full((N,), 400.0), 300, 320)
    found = aligned(source, target, smooth=0)
    assert torch.allclose(feet(found), 400 - up / 2, atol=1)


def test_a_person_who_bends_is_not_made_taller():
    source, target = film(torch.full((N,), 800.0), 600, 500), film(torch.full((N,), 400.0), 300, 320)
    bent = source.points.clone()
    upper = [row for row, name in enumerate(BODY25.names)
             if not any(word in name for word in ("hip", "knee", "ankle", "toe", "heel"))]
    hip = joint(source, "middle_hip")[20:, None, :2]
    away = bent[20:, upper, :2] - hip
    bent[20:, upper, :2] = hip + torch.stack([-away[..., 1], away[..., 0]], -1)  # over by a right angle
    found, upright = (aligned(replace(source, points=points), target, "scale", 0)
                      for points in (bent, source.points))
    assert torch.allclose(found.points[:20], upright.points[:20], atol=1)


def test_limbs_get_the_targets_lengths_and_feet_stay_on_the_floor():
    source, target = film(torch.full((N,), 800.0), 600, 500), film(torch.full((N,), 400.0), 300, 320)
    points = target.points.clone()
    shins = [BODY25.names.index(f"{side}_knee") for side in ("left", "right")]
    points[:, shins, 1] += 12  # longer thighs, shorter shins
    target = replace(target, points=points)

    def thigh(motion):
        return (joint(motion, "left_hip") - joint(motion, "left_knee"))[:, :2].norm(dim=-1)

    limbs, plain = (aligned(source, target, how, smooth=0) for how in ("limbs", "scale"))
    assert torch.allclose(thigh(limbs), thigh(target), rtol=0.02)
    assert not torch.allclose(thigh(plain), thigh(target), rtol=0.1)
    assert torch.allclose(feet(limbs), feet(plain), atol=1e-3)


def test_a_width_that_was_never_seen_from_the_front_is_not_taken_over():
    source, target = film(torch.full((N,), 800.0), 600, 500), film(torch.full((N,), 400.0), 300, 320)
    points = target.points.clone()
    points[..., 0] = 320 + 0.3 * (points[..., 0] - 320)  # from the side
    found = aligned(source, replace(target, points=points))
    across = (joint(found, "left_shoulder") - joint(found, "right_shoulder"))[:, 0]
    assert torch.allclose(across, torch.full((N,), 0.24 * 300), rtol=0.05)


def test_left_stays_left():
    found = aligned(film(torch.full((N,), 800.0), 600, 500), film(torch.full((N,), 400.0), 300, 320))
    assert (joint(found, "left_wrist")[:, 0] > joint(found, "right_wrist")[:, 0]).all()


def test_a_wide_walk_is_shrunk_around_its_middle_and_the_person_keeps_their_size():
    source = film(torch.full((N,), 800.0), 600, 2000 * STEPS)
    found = aligned(source, film(torch.full((N,), 400.0), 300, 320), "scale", smooth=0)
    assert found.points[..., 0].min() >= -0.1 and found.points[..., 0].max() <= 640.1
    across = (joint(found, "left_shoulder") - joint(found, "right_shoulder"))[:, 0]
    assert torch.allclose(across, torch.full((N,), 0.24 * 300), rtol=0.01)
    steps = joint(found, "middle_hip")[:, 0].diff()
    assert torch.allclose(steps, steps.mean().expand(N - 1), rtol=0.01) and float(steps[0]) > 3


def test_a_walk_beside_the_middle_is_moved_into_the_picture_as_a_whole():
    source, target = film(torch.full((N,), 400.0), 300, 300 * STEPS), film(torch.full((N,), 400.0), 300, 560)
    found = aligned(source, target, "scale", smooth=0)
    assert found.points[..., 0].max() <= 640.1
    assert float(joint(found, "neck")[-1, 0] - joint(found, "neck")[0, 0]) == pytest.approx(300, rel=0.01)


def test_one_missing_wrist_is_put_between_and_a_hand_that_was_never_seen_stays_unknown():
    target = film(torch.full((N,), 400.0), 300, 320)
    points = target.points.clone()
    row = BODY25.names.index("left_wrist")
    points[14:17, row] = 0
    points = torch.cat([points, torch.zeros(N, 110, 3)], 1)
    fingers = BODY25_DETAILED.names.index("right_index1")
    points[:, fingers] = points[:, BODY25.names.index("right_wrist")] + torch.tensor([0.0, 5.0, 0.0])
    source = replace(target, points=points, skeleton=BODY25_DETAILED)
    theirs = replace(source, points=source.points.clone())
    found = aligned(source, theirs, smooth=0)
    assert torch.allclose(found.points[14:17, row, :2], target.points[14:17, row, :2], atol=8)
    assert (found.points[14:17, row, 2] < 0.9).all() and (found.points[14:17, row, 2] > 0.3).all()
    hand = [row for row, name in enumerate(BODY25_DETAILED.names) if name.startswith("left_index")]
    assert not found.points[:, hand, 2].any() and found.points[:, fingers, 2].all()


def test_hands_go_along_with_longer_arms():
    target = film(torch.full((N,), 400.0), 300, 320)
    hand = torch.zeros(N, 110, 3)
    fingers = BODY25_DETAILED.names.index("left_thumb1") - 25
    hand[:, fingers] = joint(target, "left_wrist") + torch.tensor([0.0, 6.0, 0.0])
    source = replace(target, points=torch.cat([target.points, hand], 1), skeleton=BODY25_DETAILED)
    points = source.points.clone()
    points[:, [BODY25.names.index("left_wrist"), fingers + 25], 1] += 7
    found = aligned(source, replace(source, points=points), smooth=0)
    away = found.points[:, fingers + 25, :2] - joint(found, "left_wrist")[:, :2]
    assert torch.allclose(away, torch.tensor([0.0, 6.0]).expand(N, 2), atol=0.01)
    assert float(joint(found, "left_wrist")[0, 1] - joint(target, "left_wrist")[0, 1]) > 3


def test_points_outside_of_the_picture_stay_there():
    target = film(torch.full((N,), 250.0), 300, 320)  # whose head is above the picture
    assert joint(target, "nose")[:, 1].max() < 0
    assert torch.allclose(aligned(target, target, smooth=0).points, target.points, atol=0.01)


def test_noise_is_lowered():
    target = film(torch.full((N,), 400.0), 300, 320)
    noise = 3 * torch.randn(N, 25, 2, generator=torch.Generator().manual_seed(1))
    noisy = replace(target, points=target.points + torch.cat([noise, torch.zeros(N, 25, 1)], -1))
    rough, smooth = (aligned(noisy, target, "scale", sigma).points[..., :2].diff(dim=0).norm(dim=-1).mean()
                     for sigma in (0.0, 2.0))
    assert float(smooth) < 0.35 * float(rough)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_few_frames_of_somebody_who_stands_still_are_enough(count):
    still = film(torch.full((count,), 400.0), 300, 320)
    found = aligned(scaled(still, 2, 10, 10), film(torch.full((N,), 400.0), 300, 320))
    assert torch.allclose(found.points, still.points, atol=12)


def test_another_set_of_keypoints_drives_by_the_names_of_its_points():
    target = film(torch.full((N,), 400.0), 300, 320)
    coco = replace(target, skeleton=COCO17, points=target.points[:, [BODY25.names.index(name)
                                                                     for name in COCO17.names]])
    found = aligned(coco, target, smooth=0)
    for name in ("left_wrist", "right_ankle", "nose"):
        assert torch.allclose(joint(found, name), joint(target, name), atol=2)
    assert (joint(found, "neck")[:, 2] > 0).all() and not joint(found, "left_heel")[:, 2].any()
    back = aligned(target, coco, smooth=0)
    assert back.skeleton == COCO17 and torch.allclose(back.points, coco.points, atol=2)


def test_who_is_cut_off_at_the_knees_is_aligned_by_them():
    target = film(torch.full((N,), 400.0), 300, 320)
    source = scaled(target, 2, 5, 5)
    low = [row for row, name in enumerate(BODY25.names)
           if any(word in name for word in ("ankle", "toe", "heel"))]
    source.points[:, low] = 0
    found = aligned(source, target, smooth=0)
    assert torch.allclose(joint(found, "left_knee"), joint(target, "left_knee"), atol=2)


@pytest.mark.parametrize("how", ["scale", "limbs"])
def test_a_side_of_the_hips_that_a_camera_never_shows_does_no_harm(how):
    target = film(torch.full((N,), 400.0), 300, 320)
    target = target.of_skeleton(COCO17)  # whose hips' middle is between the two
    source = scaled(target, 2, 5, 5)
    for hidden in (source, target):
        one = replace(hidden, points=hidden.points.clone())
        one.points[:, COCO17.names.index("right_hip")] = 0
        found = aligned(*((one, target) if hidden is source else (source, one)), how, smooth=0)
        for name in ("left_hip", "left_knee", "right_knee", "nose", "left_wrist"):
            # no farther off than half the hips are wide, and a pixel
            assert torch.allclose(joint(found, name)[:, :2], joint(target, name)[:, :2], atol=22)


def test_what_makes_no_sense_is_said():
    target = film(torch.full((N,), 400.0), 300, 320)
    with pytest.raises(ValueError, match="'bones' is unknown; use limbs, scale, none"):
        aligned(target, target, "bones")
    with pytest.raises(ValueError, match="Smoothing over -1 frames"):
        aligned(target, target, smooth=-1)
    hipless = target.points.clone()
    hipless[:, [BODY25.names.index(f"{side}_hip") for side in ("left", "right")]] = 0
    other = FlatMotion(target.frames, torch.cat([hipless, torch.zeros(N, 110, 3)], 1), BODY25_DETAILED, 25.0,
                       None, target.source)
    with pytest.raises(ValueError, match="never shows left_hip"):
        aligned(other, target)
    assert HOW[0] == "limbs"
