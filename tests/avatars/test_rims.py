"""The rim of a drawn mesh: a bar of two colours, whose outline is known."""

import torch

from anr_core.avatars.rims import beyond, far_from


def bar(size=64, low=24, high=40, skin=3):
    """Colour and coverage of an upright bar of white with red edges, so many pixels wide."""
    coverage = torch.zeros(1, 1, size, size)
    coverage[..., low:high] = 1
    colour = coverage.repeat(1, 3, 1, 1)
    for start in (low, high - skin):
        colour[:, 1:, :, start:start + skin] = 0
    return colour, coverage


def test_far_is_nothing_on_the_mesh_and_all_of_it_ten_pixels_beside():
    _, coverage = bar()
    far = far_from(coverage)
    assert not far[..., 26:38].any() and float(far[..., 23].max()) < 0.2
    assert (far[..., :10] == 1).all() and (far[..., 54:] == 1).all()
    beside = far[0, 0, 32, 40:52]
    assert (beside.diff() >= 0).all() and 0.2 < float(beside[4]) < 0.8


def test_the_pictures_edge_is_no_outline():
    coverage = torch.zeros(1, 1, 64, 64)
    coverage[..., :16] = 1
    assert not far_from(coverage)[..., :14].any()


def test_colours_go_on_beyond_the_outline_and_closely_those_at_it():
    colour, coverage = bar()
    wide, close = (beyond(colour, coverage, closely) for closely in (False, True))
    for found in (wide, close):
        assert torch.equal(found[..., 24:40], colour[..., 24:40])
        assert not found[..., :12].any() and (found[:, 0, :, 18:46] > 0.99).all()
    assert float(close[:, 1, :, 40].max()) < 0.4 < float(wide[:, 1, :, 40].min())
