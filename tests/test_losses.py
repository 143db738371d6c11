"""Picture losses: their values by hand, their gradients by finite differences, what a weight keeps out."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from anr_core import losses, pretrained


def pictures(seed, batch=1, channels=3, size=16, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, channels, size, size, generator=generator, dtype=dtype)


PICTURE_LOSSES = [losses.l1, losses.mse, losses.mask_entropy, losses.structure]


def test_l1_and_mse_by_hand():
    prediction = torch.tensor([[[[0.0, 1.0]]]])
    target = torch.tensor([[[[0.5, 0.0]]]])
    weight = torch.tensor([[[[3.0, 1.0]]]])
    assert losses.l1(prediction, target, weight).item() == pytest.approx((3 * 0.5 + 1) / 4)
    assert losses.mse(prediction, target, weight).item() == pytest.approx((3 * 0.25 + 1) / 4)


def test_mask_entropy_of_a_coin_toss_is_log_2():
    half = torch.full((2, 1, 4, 4), 0.5)
    assert losses.mask_entropy(half, torch.ones_like(half), half).item() == pytest.approx(math.log(2))


def test_a_saturated_wrong_mask_still_has_a_gradient():
    prediction = torch.zeros(1, 1, 2, 2, requires_grad=True)
    losses.mask_entropy(prediction, torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).backward()
    assert (prediction.grad < -1).all()


def test_structure_of_equal_pictures_is_zero():
    picture = pictures(0)
    assert losses.structure(picture, picture, torch.ones(1, 1, 16, 16)).item() == pytest.approx(0, abs=1e-12)


def test_ssim_map_agrees_with_scikit_image_where_windows_are_whole():
    prediction, target = pictures(0, size=32), pictures(1, size=32)
    ours, _ = losses.ssim_map(prediction, target, torch.ones(1, 1, 32, 32, dtype=torch.float64))
    _, theirs = structural_similarity(
        prediction[0].numpy(), target[0].numpy(), channel_axis=0, data_range=1, full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    inside = (..., slice(5, -5), slice(5, -5))
    torch.testing.assert_close(ours[0][inside], torch.from_numpy(theirs)[inside])


def test_ssim_map_agrees_with_a_loop_over_weighted_windows():
    prediction, target = pictures(0, channels=1, size=9), pictures(1, channels=1, size=9)
    weight = (pictures(2, channels=1, size=9) - 0.4).clamp(min=0)
    ours, share = losses.ssim_map(prediction, target, weight)
    x, y, w = prediction[0, 0].tolist(), target[0, 0].tolist(), weight[0, 0].tolist()
    normaliser = sum(math.exp(-d * d / 4.5) for d in range(-5, 6)) ** 2
    for row, column in [(0, 0), (4, 4), (8, 3)]:
        samples = [(x[r][c], y[r][c],
                    w[r][c] * math.exp(-((r - row) ** 2 + (c - column) ** 2) / 4.5) / normaliser)
                   for r in range(9) for c in range(9) if abs(r - row) <= 5 and abs(c - column) <= 5]
        total = sum(g for *_, g in samples)
        mx, my = (sum(s[i] * s[2] for s in samples) / total for i in (0, 1))
        vx, vy = (sum((s[i] - m) ** 2 * s[2] for s in samples) / total for i, m in ((0, mx), (1, my)))
        cov = sum((a - mx) * (b - my) * g for a, b, g in samples) / total
        by_hand = ((2 * mx * my + 1e-4) * (2 * cov + 9e-4)) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
        assert ours[0, 0, row, column].item() == pytest.approx(by_hand)
        assert share[0, 0, row, column].item() == pytest.approx(total)


def test_a_window_counts_for_its_centre_and_for_what_it_holds():
    prediction, target = pictures(0), pictures(1)
    weight = (pictures(2, channels=1) > 0.6).double()
    similarity, share = losses.ssim_map(prediction, target, weight)
    counts = (weight * share).expand_as(similarity).flatten().numpy()
    by_numpy = np.average(1 - similarity.flatten().numpy(), weights=counts)
    assert losses.structure(prediction, target, weight).item() == pytest.approx(by_numpy)


@pytest.mark.parametrize("loss", PICTURE_LOSSES)
def test_pixels_of_no_weight_do_not_matter(loss):
    prediction, target = pictures(2, channels=1), pictures(3, channels=1)
    weight = (pictures(4, channels=1) > 0.5).double()
    elsewhere = torch.where(weight > 0, prediction, pictures(5, channels=1))
    assert loss(prediction, target, weight) == loss(elsewhere, target, weight)
    assert loss(prediction, target, weight) != loss(prediction, target, torch.ones_like(weight))


@pytest.mark.parametrize("loss", PICTURE_LOSSES)
def test_no_weight_at_all_gives_zero_and_no_gradient(loss):
    prediction = pictures(2, channels=1).requires_grad_()
    value = loss(prediction, pictures(3, channels=1), torch.zeros(1, 1, 16, 16, dtype=torch.float64))
    value.backward()
    assert value == 0 and (prediction.grad == 0).all()


@pytest.mark.parametrize("loss", PICTURE_LOSSES)
def test_gradients_match_finite_differences(loss):
    prediction, target = pictures(6, batch=2, channels=1, size=6), pictures(7, batch=2, channels=1, size=6)
    weight = (pictures(8, batch=2, channels=1, size=6) - 0.3).clamp(min=0)
    assert torch.autograd.gradcheck(lambda x: loss(x, target, weight), prediction.requires_grad_())


def test_perceptual_is_none_and_says_so_once_where_its_network_cannot_be_had(monkeypatch, capsys):
    def missing():
        raise ImportError("No module named 'lpips'")

    monkeypatch.setattr(pretrained, "_import_torchvision", missing)
    losses.perceptual_network.cache_clear()
    picture = pictures(9, size=64, dtype=torch.float32)
    assert losses.perceptual(picture, picture, picture[:, :1]) is None
    assert losses.perceptual(picture, picture, picture[:, :1]) is None
    losses.perceptual_network.cache_clear()
    assert capsys.readouterr().err == "LPIPS (vgg) is left out: ImportError: No module named 'lpips'\n"


def test_threads_that_ask_for_a_network_at_once_have_it_looked_for_once(monkeypatch, capsys):
    def missing():
        time.sleep(0.05)
        raise ImportError("No module named 'lpips'")

    monkeypatch.setattr(pretrained, "_import_torchvision", missing)
    losses.perceptual_network.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(losses.perceptual_network, ["alex"] * 4)) == [None] * 4
    losses.perceptual_network.cache_clear()
    assert capsys.readouterr().err.count("left out") == 1


# a discriminator's


def said(*scales):
    """What a discriminator returns: of each scale one layer's features, and what it says."""
    return [[torch.tensor(features).view(1, 1, 1, -1), torch.tensor(says).view(1, 1, 1, -1)]
            for features, says in scales]


TAKEN = said(([1.0, 2.0], [2.0, 0.5]), ([0.0, 0.0], [-1.0, 1.0]))
DRAWN = said(([0.0, 4.0], [-3.0, 0.0]), ([1.0, 1.0], [1.0, 0.5]))


def test_a_discriminator_is_to_keep_taken_and_drawn_apart_by_one_on_either_side():
    first = (0 + 0.5) / 2 + (0 + 1) / 2
    second = (2 + 0) / 2 + (2 + 1.5) / 2
    assert float(losses.hinge_discriminator(TAKEN, DRAWN)) == pytest.approx((first + second) / 2)


def test_who_draws_is_to_be_taken_for_taken():
    assert float(losses.hinge_generator(DRAWN)) == pytest.approx((1.5 - 0.75) / 2)


def test_cross_entropy_is_that_of_a_sigmoid():
    def entropy(says, right):
        return torch.nn.functional.binary_cross_entropy(torch.sigmoid(says), torch.full_like(says, right))

    first, second = ((entropy(taken[-1], 1.0) + entropy(drawn[-1], 0.0)) / 2
                     for taken, drawn in zip(TAKEN, DRAWN, strict=True))
    assert float(losses.bce_discriminator(TAKEN, DRAWN)) == pytest.approx(float((first + second) / 2))
    drawn = sum(entropy(scale[-1], 1.0) for scale in DRAWN) / 2
    assert float(losses.bce_generator(DRAWN)) == pytest.approx(float(drawn))


def test_least_squares_want_one_of_taken_and_none_of_drawn():
    first = ((1 + 0.25) / 2 + (9 + 0) / 2) / 2
    second = ((4 + 0) / 2 + (1 + 0.25) / 2) / 2
    assert float(losses.square_discriminator(TAKEN, DRAWN)) == pytest.approx((first + second) / 2)
    assert float(losses.square_generator(DRAWN)) == pytest.approx(((16 + 1) / 2 + (0 + 0.25) / 2) / 2)


def test_the_gradient_penalty_is_that_of_a_known_function_and_can_be_learned_from():
    picture = pictures(11, batch=2, channels=2, size=4).requires_grad_()
    factor = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    word = (factor * picture.square()).sum(1, keepdim=True)  # of 16 patches
    penalty = losses.gradient_penalty([[word]], picture)
    expected = (2 * 3 * picture / 16).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(penalty, expected)
    penalty.backward()
    torch.testing.assert_close(factor.grad, 2 * expected / 3)


def test_features_are_matched_layer_by_layer_but_not_what_is_said():
    assert float(losses.feature_matching(TAKEN, DRAWN)) == pytest.approx(((1 + 2) / 2 + 1) / 2)


def test_matching_moves_what_was_drawn_alone():
    taken, drawn = ([[part.clone().requires_grad_() for part in scale] for scale in given]
                    for given in (TAKEN, DRAWN))
    losses.feature_matching(taken, drawn).backward()
    assert drawn[0][0].grad.any() and taken[0][0].grad is None


def test_a_weighted_loss_without_any_weight_has_no_gradient():
    drawn = torch.rand(1, 3, 8, 8, requires_grad=True)
    (1e3 * losses.mse(drawn, torch.zeros_like(drawn), torch.zeros(1, 1, 8, 8))).backward()
    assert not drawn.grad.any()
