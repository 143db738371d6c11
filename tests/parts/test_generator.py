"""The UV generator: sizes, one that fits into a larger one, coordinates where they are asked for."""

import pytest
import torch
from torch.nn import functional

from anr_core.parts import Generator


def shaken(*sizes):
    torch.manual_seed(0)
    generator = Generator(6, 4, *sizes)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return generator


@pytest.mark.parametrize("size", [(64, 64), (40, 52), (8, 12), (7, 9)])
def test_any_size_is_labelled(size):
    labelled = shaken(8, 1)(torch.randn(2, 6, *(-(-side // 4) for side in size)))
    assert labelled.foreground(size).shape == (2, 1, *size)
    shares = labelled.shares(size)
    assert shares.shape == (2, 4, *size)
    torch.testing.assert_close(shares.sum(1), torch.ones(2, *size))
    assert 0 <= labelled.chart.min() and labelled.chart.max() <= 1


def test_foreground_is_the_odds_of_any_part():
    labelled = shaken(8, 1)(torch.randn(1, 6, 8, 8))
    odds = torch.logit(1 - labelled.logits.softmax(1)[:, :1])
    wanted = functional.interpolate(odds, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(labelled.foreground((32, 32)), wanted, atol=1e-4, rtol=1e-4)


def test_coordinates_are_those_of_the_interpolated_whole():
    labelled = shaken(8, 1)(torch.randn(2, 6, 8, 8))
    whole = functional.interpolate(labelled.chart.flatten(1, 2), size=(32, 32), mode="bilinear",
                                   align_corners=False).unflatten(1, (4, 2))
    pixels, part = torch.tensor([0, 33, 500, 1024, 2047]), torch.tensor([1, 2, 4, 3, 1])
    wanted = torch.stack([whole[pixel // 1024, number - 1, :, pixel % 1024 // 32, pixel % 32]
                          for pixel, number in zip(pixels, part, strict=True)])
    torch.testing.assert_close(labelled.uv(pixels, part, (32, 32)), wanted)
    own = labelled.uv(torch.tensor([5]), torch.tensor([2]))
    torch.testing.assert_close(own[0], labelled.chart[0, 1, :, 0, 5])


@pytest.mark.parametrize("larger", [(8, 1), (8, 3), (12, 1), (16, 4)])
def test_a_smaller_generator_fits_into_a_larger_one(larger):
    small, large = shaken(8, 1), shaken(*larger)
    large.take(small)
    maps = torch.randn(2, 6, 8, 8)
    for mine, theirs in zip(*((said.logits, said.chart) for said in (large(maps), small(maps))),
                            strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_what_is_new_in_a_larger_one_can_learn():
    small, large = shaken(8, 1), shaken(12, 2)
    large.take(small)
    large(torch.randn(1, 6, 8, 8)).logits.square().sum().backward()
    assert large.blocks[1].second.weight.grad.any() and large.enter.weight.grad[:8].any()
    assert large.merge[-1].weight.grad[:, 8:].any()  # by which its new channels come to have a say


@pytest.mark.parametrize("smaller", [(6, 1), (8, 0)])
def test_a_larger_one_does_not_fit_into_a_smaller_one(smaller):
    with pytest.raises(ValueError, match="at least"):
        shaken(*smaller).take(shaken(8, 1))
