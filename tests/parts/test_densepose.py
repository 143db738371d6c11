"""DensePose's charts: pictures laid out on them, a published texture, and what neither shows."""

import numpy as np
import torch

from anr_core.parts import densepose
from anr_core.texture import bilinear, table
from tests.danced import SIDE, atlas


def as_parts(picture):
    """(6 side, 4 side, 3) as (24, side, side, 3)"""
    side = picture.shape[0] // 6
    return picture.reshape(6, side, 4, side, 3).transpose(2, 0, 1, 3, 4).reshape(24, side, side, 3)


def pixels(*labels):
    """Pictures (1, 3, 1, n) of white pixels, their labels, all trusted."""
    labels = torch.tensor(labels).T[None, :, None]
    return torch.ones(1, 3, *labels.shape[2:]), labels, torch.ones(1, 1, *labels.shape[2:], dtype=torch.bool)


def test_u_goes_right_and_v_up():
    colours, count = densepose.laid_out([pixels([3.0, 0.95, 0.15], [24.0, 0.0, 1.0], [0.0, 0.5, 0.5])], 10)
    assert count.nonzero().tolist() == [[2, 0, 8, 9], [23, 0, 0, 0]]
    assert (colours.sum((1, 2, 3)) > 0).nonzero().flatten().tolist() == [2, 23]


def test_a_texel_is_the_mean_of_its_pixels_and_doubtful_ones_count_nothing():
    image, labels, trusted = pixels([1.0, 0.5, 0.5], [1.0, 0.5, 0.5], [1.0, 0.5, 0.5])
    image[..., 1], image[..., 2], trusted[..., 2] = 0.5, 0.0, False
    colours, count = densepose.laid_out([(image, labels, trusted)], 4)
    assert colours[0, :, 2, 2].tolist() == [0.75] * 3 and count.max() == 2


def test_a_published_texture_is_sampled_where_its_colours_say():
    """atlas() tells of every texel u in red, v in green and the part in blue."""
    parts = np.uint8(255 * as_parts(atlas()))[:, ::-1]  # as readers keep it: v goes down
    for size in (SIDE, 2 * SIDE, SIDE // 2):
        colours, known = densepose.published(parts, size)
        part, uv = torch.randint(1, 25, (500,)), 0.1 + 0.8 * torch.rand(500, 2)
        found = bilinear(table(colours), (24, size, size), part - 1, uv)
        expected = torch.cat([uv, part[:, None] / 24], 1)
        torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


def test_black_texels_of_a_published_texture_are_unknown_and_darken_none():
    parts = np.full((24, 8, 8, 3), 200, np.uint8)
    parts[0, :, :4] = 3
    colours, known = densepose.published(parts, 4)
    assert not known[0, 0, :, 0].any() and known[0, 0, :, 2:].all() and known[1:].all()
    there = known.expand(-1, 3, -1, -1) > 0
    assert torch.allclose(colours[there], torch.tensor(200 / 255))


def test_what_nobody_saw_is_the_nearest_colour_or_the_mean_of_all():
    colours, count = torch.zeros(24, 3, 4, 4), torch.zeros(24, 1, 4, 4)
    colours[0, :, 0, 0], colours[0, :, 3, 3] = 0.2, 0.8
    count[0, 0, 0, 0] = count[0, 0, 3, 3] = 1
    full = densepose.filled(colours, count)
    assert torch.equal(full[0, 0, :2, :2], torch.full((2, 2), 0.2))
    assert torch.equal(full[0, 0, 2:, 3], torch.full((2,), 0.8))
    assert torch.allclose(full[1:], torch.tensor(0.5))
    assert not densepose.filled(torch.zeros_like(colours), torch.zeros_like(count)).isnan().any()
