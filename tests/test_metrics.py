"""Figures: against loops written without array maths, and at values known beforehand."""

import math

import flip_evaluator
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anr_core import losses, metrics


def picture(seed, size=(24, 20)):
    return np.random.default_rng(seed).random((*size, 3)).astype(np.float32)


def some_pixels(seed, size=(24, 20), share=0.5):
    return np.random.default_rng(seed).random(size) < share


def block(size=(24, 20), rows=slice(2, 20), columns=slice(3, 18)):
    pixels = np.zeros(size, bool)
    pixels[rows, columns] = True
    return pixels


ALL = np.ones((24, 20), bool)
FIGURES = [metrics.psnr, metrics.psnr_aligned, metrics.ssim, metrics.flip, metrics.sharpness,
           lambda *arguments: metrics.ssim_in_box(*arguments, ALL)]


def test_psnr_agrees_with_a_loop():
    prediction, target, pixels = picture(0), picture(1), some_pixels(2)
    squares = [(float(prediction[r, c, k]) - float(target[r, c, k])) ** 2
               for r in range(24) for c in range(20) if pixels[r, c] for k in range(3)]
    by_hand = 10 * math.log10(1 / (sum(squares) / len(squares)))
    assert metrics.psnr(prediction, target, pixels) == pytest.approx(by_hand)


def test_psnr_of_a_tenth_everywhere_is_20_db():
    target = picture(0) * 0.5
    assert metrics.psnr(target + 0.1, target, ALL) == pytest.approx(20, abs=1e-4)


def test_psnr_of_equal_pictures_is_the_cap():
    assert metrics.psnr(picture(0), picture(0), ALL) == metrics.PSNR_CAP


def test_alignment_undoes_a_gain_and_an_offset_a_channel():
    target, pixels = picture(0), some_pixels(1)
    dimmed = target * np.float32([0.5, 0.7, 0.9]) + np.float32([0.1, 0.0, 0.05])
    assert metrics.psnr(dimmed, target, pixels) < 20
    assert metrics.psnr_aligned(dimmed, target, pixels) > 90


@pytest.mark.parametrize("seed", range(5))
def test_alignment_agrees_with_a_least_squares_solver_and_never_costs_anything(seed):
    prediction, target, pixels = picture(seed), picture(seed + 100), some_pixels(seed + 200, share=0.2)
    squares = []
    for k in range(3):
        x, y = prediction[pixels][:, k].astype(float), target[pixels][:, k].astype(float)
        design = np.stack([x, np.ones_like(x)], 1)
        squares.append(np.square(np.clip(design @ np.linalg.lstsq(design, y)[0], 0, 1) - y))
    by_solver = -10 * math.log10(np.mean(squares))
    assert metrics.psnr_aligned(prediction, target, pixels) == pytest.approx(by_solver)
    assert by_solver >= metrics.psnr(prediction, target, pixels)


def test_a_flat_prediction_aligns_to_the_mean_colour():
    target = picture(0)
    flat = np.full_like(target, 0.2)
    mean = np.broadcast_to(target.mean((0, 1)), target.shape)
    assert metrics.psnr_aligned(flat, target, ALL) == pytest.approx(metrics.psnr(mean, target, ALL), abs=1e-5)


def ssim_of_window(x, y, weights, data_range):
    """SSIM of one window of one channel; x, y and weights are flat lists."""
    mean_x, mean_y = (sum(w * v for w, v in zip(weights, values, strict=True)) for values in (x, y))
    variance_x = sum(w * (v - mean_x) ** 2 for w, v in zip(weights, x, strict=True))
    variance_y = sum(w * (v - mean_y) ** 2 for w, v in zip(weights, y, strict=True))
    covariance = sum(w * (a - mean_x) * (b - mean_y) for w, a, b in zip(weights, x, y, strict=True))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)
            / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)))


def test_ssim_agrees_with_a_loop_over_whole_windows():
    prediction, target, pixels = picture(0).astype(float), picture(1).astype(float), block()
    pixels[10, 4] = False
    offsets = range(-5, 6)
    weights = [math.exp(-(r * r + c * c) / 4.5) for r in offsets for c in offsets]
    weights = [w / sum(weights) for w in weights]
    values = []
    for r in range(5, 24 - 5):
        for c in range(5, 20 - 5):
            around = np.s_[r - 5:r + 6, c - 5:c + 6]
            if pixels[around].all():
                x, y = (p[around].reshape(-1, 3).T.tolist() for p in (prediction, target))
                values += [ssim_of_window(x[k], y[k], weights, 1) for k in range(3)]
    assert 0 < len(values) < 3 * 14 * 10
    assert metrics.ssim(prediction, target, pixels) == pytest.approx(np.mean(values))


@pytest.mark.parametrize("data_range", [1, 2])
def test_ssim_in_box_agrees_with_a_loop_over_the_rectangle(data_range):
    prediction, target = picture(0).astype(float), picture(1).astype(float)
    pixels, certain = block() & some_pixels(3, share=0.9), ALL.copy()
    pixels[2, 3] = pixels[19, 17] = True  # the rectangle's corners
    certain[15, 10] = False
    pixels &= certain
    black = [np.where(pixels[..., None], p, 0) for p in (prediction, target)]
    values = []
    for r in range(2 + 3, 20 - 3):
        for c in range(3 + 3, 18 - 3):
            around = np.s_[r - 3:r + 4, c - 3:c + 4]
            if certain[around].all():
                for k in range(3):
                    x, y = (p[around][..., k].ravel() for p in black)
                    covariance = np.cov(x, y)  # 0.14 used the sample covariance, as its successors do
                    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
                    values.append((2 * x.mean() * y.mean() + c1) * (2 * covariance[0, 1] + c2)
                                  / ((x.mean()**2 + y.mean()**2 + c1) * (np.trace(covariance) + c2)))
    found = metrics.ssim_in_box(prediction, target, pixels, certain, data_range)
    assert found == pytest.approx(np.mean(values), abs=1e-5)


def test_ssim_needs_one_whole_window():
    assert metrics.ssim(picture(0), picture(1), block(columns=slice(3, 13))) is None


def test_equal_pictures_are_alike_and_black_against_white_is_not():
    assert metrics.ssim(picture(0), picture(0), ALL) == pytest.approx(1)
    assert metrics.flip(picture(0), picture(0), ALL) == 0
    assert metrics.flip(np.zeros((24, 20, 3)), np.ones((24, 20, 3)), ALL) > 0.9


def test_flip_is_the_mean_over_the_whole_picture():
    target = picture(0, (96, 96))
    prediction = target.copy()
    prediction[50:60, 40:45] = 1 - prediction[50:60, 40:45]
    pixels = block((96, 96), slice(0, 55), slice(0, 96))
    black = [np.where(pixels[..., None], p, 0).astype(np.float32) for p in (target, prediction)]
    error, _, _ = flip_evaluator.evaluate(*black, "LDR", applyMagma=False)
    assert metrics.flip(prediction, target, pixels) == pytest.approx(error[..., 0][pixels].mean(), rel=1e-4)


@pytest.mark.parametrize("figure", FIGURES)
def test_what_lies_outside_of_the_pixels_does_not_matter(figure):
    prediction, target, pixels = picture(0), picture(1), block()
    elsewhere = np.where(pixels[..., None], prediction, picture(2))
    assert figure(prediction, target, pixels) == figure(elsewhere, target, pixels)
    assert figure(prediction, target, pixels) != figure(picture(3), target, pixels)


@pytest.mark.parametrize("figure", FIGURES)
def test_no_pixels_give_no_figure(figure):
    assert figure(picture(0), picture(1), ~ALL) is None


def test_mask_iou_agrees_with_a_loop():
    prediction, target, pixels = picture(0)[..., 0], picture(1)[..., 0], some_pixels(2)
    inside = [(prediction[r, c] > 0.5, target[r, c] > 0.5)
              for r in range(24) for c in range(20) if pixels[r, c]]
    by_hand = sum(a and b for a, b in inside) / sum(a or b for a, b in inside)
    assert metrics.mask_iou(prediction, target, pixels) == pytest.approx(by_hand)


def test_mask_iou_of_two_empty_masks_is_none():
    assert metrics.mask_iou(np.zeros((24, 20)), np.zeros((24, 20)), ALL) is None


def test_flicker_is_the_change_that_did_not_take_place():
    truth, pixels = [picture(0), picture(1)], [block(), some_pixels(5)]
    steady = [t + 0.25 for t in truth]
    swimming = [truth[0] + 0.25, truth[1] - 0.25]
    for predictions, expected in ((steady, 0), (swimming, 0.5)):
        errors = tuple(p - t for p, t in zip(predictions, truth, strict=True))
        assert metrics.flicker(errors, tuple(pixels)) == pytest.approx(expected, abs=1e-6)
    assert metrics.flicker(errors, (ALL, ~ALL)) is None


# in time, along the true flow


def ramp(shift=0.0):
    """A picture that rises by 0.04 from column to column, moved so many pixels to the right."""
    return np.broadcast_to(((np.arange(20) - shift) * 0.04)[:, None], (24, 20, 3)).astype(np.float32)


def even_flow(right, down=0.0):
    return np.broadcast_to(np.float32([right, down]), (24, 20, 2)).copy()


def test_what_moves_along_the_flow_has_no_warp_error():
    taken = ramp(), ramp(2)
    assert metrics.warp_error(taken, taken, (ALL, ALL), even_flow(-2)) == 0
    other = 1 - ramp() / 2, 1 - ramp(2) / 2  # whatever it shows
    assert metrics.warp_error(other, taken, (ALL, ALL), even_flow(-2)) == pytest.approx(0, abs=1e-6)


def test_what_stands_while_the_person_moves_has_the_difference_that_the_way_makes():
    still, taken = (ramp(), ramp()), (ramp(), ramp(2))
    assert metrics.warp_error(still, taken, (ALL, ALL), even_flow(-2)) == pytest.approx(2 * 0.04, abs=1e-6)
    half = metrics.warp_error(still, taken, (ALL, ALL), even_flow(-0.5))  # of which 1.5 were never travelled
    assert half == pytest.approx(0.5 * 0.04 - 1.5 * 0.04, abs=1e-6)


def test_light_that_changes_on_the_person_is_no_warp_error_but_what_is_drawn_too_much_is():
    taken = ramp(), ramp(2) + 0.1
    assert metrics.warp_error(taken, taken, (ALL, ALL), even_flow(-2)) == 0
    dark = ramp(), ramp(2) + 0.25
    assert metrics.warp_error(dark, taken, (ALL, ALL), even_flow(-2)) == pytest.approx(0.15, abs=1e-6)
    assert metrics.warp_error((ramp(), ramp(2)), taken, (ALL, ALL), even_flow(-2)) == \
        pytest.approx(-0.1, abs=1e-6)


def test_warp_error_counts_pixels_of_both_frames_whose_flow_is_known():
    still, taken = [ramp(), ramp()], [ramp(), ramp(2)]
    now, before, flow = block(), block(columns=slice(3, 12)), even_flow(-2)
    flow[:, 8] = np.nan
    counted = np.zeros((24, 20), bool)
    counted[2:20, 5:14] = True  # from here two columns to the left are in `before`
    counted[:, 8] = False
    for frames in (still, taken):
        frames[1] = np.where(counted[..., None], frames[1], 7).astype(np.float32)
    assert metrics.warp_error(still, taken, (before, now), flow) == pytest.approx(0.08, abs=1e-6)
    assert metrics.warp_error(still, taken, (before, now), np.full_like(flow, np.nan)) is None
    assert metrics.warp_error(still, taken, (~ALL, ALL), flow) is None


# sharpness


def test_sharpness_is_the_share_of_the_laplacians_variance():
    target = picture(0)
    assert metrics.sharpness(target, target, ALL) == 1
    assert metrics.sharpness(0.5 * target + 0.2, target, ALL) == pytest.approx(0.25, rel=1e-4)


def test_sharpness_agrees_with_a_loop():
    pictures, pixels, found = (picture(0), picture(1)), some_pixels(2, share=0.9), []
    for shown in (p.mean(-1) for p in pictures):
        values = [shown[r - 1, c] + shown[r + 1, c] + shown[r, c - 1] + shown[r, c + 1] - 4 * shown[r, c]
                  for r in range(1, 23) for c in range(1, 19) if pixels[r, c] and pixels[r - 1, c]
                  and pixels[r + 1, c] and pixels[r, c - 1] and pixels[r, c + 1]]
        found.append(np.var(values))
    assert metrics.sharpness(*pictures, pixels) == pytest.approx(found[0] / found[1], rel=1e-4)


def test_a_blurred_picture_is_less_sharp_and_a_flat_truth_has_no_sharpness():
    blurred = (picture(0) + np.roll(picture(0), 1, 0) + np.roll(picture(0), 1, 1)) / 3
    assert metrics.sharpness(blurred, picture(0), block()) < 0.5
    assert metrics.sharpness(picture(0), np.full_like(picture(0), 0.3), block()) is None


def test_lpips_is_none_without_its_network(monkeypatch):
    monkeypatch.setattr(losses, "perceptual_network", lambda backbone: None)
    square = picture(0, (64, 64))
    assert metrics.lpips(square, square, np.ones((64, 64), bool)) is None


def test_lpips_is_told_which_pixels_count(monkeypatch):
    seen = {}

    def perceptual(prediction, target, weight, backbone):
        seen.update(prediction=prediction, weight=weight, backbone=backbone)
        return prediction.new_tensor(0.25)

    monkeypatch.setattr(losses, "perceptual", perceptual)
    pixels = some_pixels(1, (64, 64))
    assert metrics.lpips(picture(0, (64, 64)), picture(1, (64, 64)), pixels) == 0.25
    assert seen["backbone"] == "alex" and seen["prediction"].shape == (1, 3, 64, 64)
    assert (seen["weight"][0, 0].numpy() == pixels).all()


# joints in space

def some_poses(count=5, joints=17):
    random = np.random.default_rng(3)
    return random.normal(size=(count, joints, 3))


def turned(poses, angle=0.7):
    c, s = np.cos(angle), np.sin(angle)
    return poses @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def test_joints_that_are_shifted_by_a_metre_are_a_metre_off():
    poses = some_poses()
    np.testing.assert_allclose(metrics.mpjpe(poses + [0, 0.6, 0.8], poses), 1, atol=1e-12)
    np.testing.assert_allclose(metrics.p_mpjpe(poses + [0, 0.6, 0.8], poses), 0, atol=1e-12)


def test_a_scale_costs_nothing_in_n_mpjpe_and_a_similarity_nothing_in_p_mpjpe():
    poses = some_poses()
    np.testing.assert_allclose(metrics.n_mpjpe(0.4 * poses, poses), 0, atol=1e-12)
    assert (metrics.n_mpjpe(turned(poses), poses) > 0.1).all()
    np.testing.assert_allclose(metrics.p_mpjpe(0.4 * turned(poses) + 2, poses), 0, atol=1e-12)


def test_a_reflection_is_no_similarity():
    poses = some_poses()
    assert (metrics.p_mpjpe(poses * [-1, 1, 1], poses) > 0.1).all()


def test_the_procrustes_fit_is_the_best_of_many_turns():
    poses, truth = some_poses(1), some_poses(2)[1:]
    poses, truth = poses - poses.mean(1, keepdims=True), truth - truth.mean(1, keepdims=True)
    best = min(np.square(s * poses[0] @ r.T - truth[0]).sum()
               for r in Rotation.random(3000, np.random.default_rng(0)).as_matrix() for s in (0.1, 0.2, 0.4))
    left, stretch, right = np.linalg.svd(truth[0].T @ poses[0])
    sign = np.sign(np.linalg.det(left @ right))
    least = (truth**2).sum() - (stretch[0] + stretch[1] + sign * stretch[2]) ** 2 / (poses**2).sum()
    assert least <= best and metrics.p_mpjpe(poses, truth)[0] ** 2 <= least / 17 + 1e-9  # mean below the RMS


def test_joints_that_nobody_sees_do_not_count_and_a_pose_without_any_has_no_figure():
    poses = some_poses(2)
    off, visible = poses.copy(), np.ones((2, 17))
    off[0, 3] += 5
    visible[0, 3], visible[1] = 0, 0
    for figure in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe):
        one, none = figure(off, poses, visible)
        assert one < 1e-9 and np.isnan(none)


def test_degenerate_poses_have_finite_figures():
    truth, point = some_poses(1), np.zeros((1, 17, 3))
    spread = np.linalg.norm(truth - truth.mean(1, keepdims=True), axis=-1).mean()
    np.testing.assert_allclose(metrics.p_mpjpe(point, truth), spread)
    line = truth * [1, 0, 0]
    for figure in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe):
        for one, other in ((point, truth), (line, truth), (truth, point), (truth, line), (point, point)):
            assert np.isfinite(figure(one, other)).all()


def test_poses_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expected"):
        metrics.mpjpe(np.zeros((2, 17, 3)), np.zeros((2, 16, 3)))
