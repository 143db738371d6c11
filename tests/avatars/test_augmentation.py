"""Changes of what a discriminator is shown: alike for taken and drawn, masks only move."""

import math

import pytest
import torch

from anr_core.avatars.augmentation import TRANSLATION, augment, colour_changes


def pictures(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_at_probability_zero_nothing_changes_and_no_random_number_is_drawn():
    image, state = pictures(2, 4, 16, 16), torch.get_rng_state()
    assert augment([image], 0.0)[0] is image and torch.equal(torch.get_rng_state(), state)


def test_close_to_zero_colours_are_what_they_were():
    image = pictures(4, 4, 16, 16)
    torch.testing.assert_close(augment([image], 1e-9)[0], image)


@pytest.mark.parametrize("size", [(32, 32), (24, 33)])
def test_at_probability_one_values_are_finite_and_masks_only_move(size):
    image = pictures(16, 4, *size)
    image[:, 3] = (image[:, 3] > 0.5).float()
    changed, = augment([image], 1.0)
    assert changed.shape == image.shape and changed.isfinite().all()
    assert torch.equal(changed[:, 3].flatten(1).sort().values, image[:, 3].flatten(1).sort().values)
    assert not any(torch.allclose(a[:3], b[:3]) for a, b in zip(changed, image, strict=True))


def test_drawn_and_taken_are_changed_alike():
    image = pictures(4, 4, 16, 16)
    first, second = augment([image, image.clone()], 1.0)
    assert torch.equal(first, second)


def test_samples_are_changed_each_in_its_own_way():
    changed, = augment([pictures(1, 4, 16, 16).expand(4, -1, -1, -1)], 1.0)
    assert not torch.allclose(changed[0], changed[1])


def test_the_same_seed_changes_pictures_the_same():
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(augment([pictures(4, 4, 16, 16)], 0.5)[0])
    assert torch.equal(*found)


def test_gradients_come_back_to_every_pixel_of_what_was_drawn():
    image = pictures(3, 4, 16, 16).requires_grad_()
    (augment([image], 1.0)[0] * pictures(3, 4, 16, 16, seed=1)).sum().backward()
    assert (image.grad != 0).all()


def test_nothing_is_shifted_farther_than_an_eighth():
    dot = torch.zeros(64, 4, 33, 33)
    dot[..., 16, 16] = 1  # in the middle, where flips and turns leave it
    places = augment([dot], 1.0)[0][:, 3].flatten(1).argmax(1)
    off = torch.stack([places // 33, places % 33]) - 16
    assert 0 < int(off.abs().max()) <= math.ceil(TRANSLATION * 33)


# colours


def test_colours_are_changed_in_the_published_order_about_mid_grey():
    torch.manual_seed(5)
    matrix, offset = colour_changes(50, 1.0)
    grey = torch.full((3,), 1 / math.sqrt(3))
    for changed, moved in zip(matrix, offset, strict=True):
        along = changed @ grey  # greys stay grey: every change is about their axis
        torch.testing.assert_close(along, grey * (along @ grey))
        across = torch.eye(3) - torch.outer(grey, grey)  # hues are turned, and as much more or less strong
        squared = across @ changed.T @ changed @ across
        torch.testing.assert_close(squared, across * squared.trace() / 2, rtol=1e-3, atol=1e-4)
        # what brightness takes to mid-grey stays there: 2 x - 1 = -brightness, and matrix x + offset = 1/2
        brightness = torch.linalg.solve(changed, 2 * moved + changed @ torch.ones(3) - 1)
        torch.testing.assert_close(brightness, brightness[:1].expand(3), rtol=1e-3, atol=1e-4)
        assert abs(float(brightness[0])) < 1


def test_changes_are_as_frequent_as_their_probability():
    matrix, offset = colour_changes(4000, 0.25)
    untouched = ((matrix - torch.eye(3)).abs().amax((1, 2)) < 1e-6) & (offset.abs().amax(1) < 1e-6)
    # brightness, contrast, hue, saturation, and half as often luma
    assert float(untouched.float().mean()) == pytest.approx(0.75**4 * 0.875, abs=0.03)


def test_contrast_and_saturation_are_powers_of_two_as_published():
    matrix, _ = colour_changes(4000, 1.0)
    grey = torch.full((3,), 1 / math.sqrt(3))
    contrast = (grey @ matrix @ grey).abs()  # a mirrored luma is negative
    saturation = (torch.linalg.det(matrix).abs() / contrast**3).sqrt()
    for found, deviation in ((contrast, 0.5), (saturation, 1.0)):
        assert float(found.log2().mean()) == pytest.approx(0, abs=0.06)
        assert float(found.log2().std()) == pytest.approx(deviation, rel=0.05)
