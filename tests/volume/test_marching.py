"""Samples along rays, and what they add up to."""

import math

import pytest
import torch

from anr_core.volume import Field, integrate, march, shares
from anr_core.volume.field import encode


def by_two_loops(density, rgb, distances, last):
    """NeRF's equation 3 as it is written."""
    results = []
    for one in range(len(density)):
        colour, alpha, light = torch.zeros(3, dtype=torch.float64), 0.0, 1.0
        for step in range(density.shape[1]):
            length = last if step == density.shape[1] - 1 else distances[one, step + 1] - distances[one, step]
            stopped = light * (1 - math.exp(-density[one, step] * length))
            colour, alpha = colour + stopped * rgb[one, step], alpha + stopped
            light = light * math.exp(-density[one, step] * length)
        results.append((*colour.tolist(), float(alpha)))
    return torch.tensor(results, dtype=torch.float64)


def test_rays_add_up_as_the_two_loop_reference_does():
    torch.manual_seed(0)
    density, rgb = torch.rand(5, 9, dtype=torch.float64) * 20, torch.rand(5, 9, 3, dtype=torch.float64)
    distances = torch.rand(5, 9, dtype=torch.float64).sort(1).values
    drawn = integrate(shares(density, distances, 0.1), rgb, distances)
    found = torch.cat([drawn.rgb, drawn.alpha[:, None]], 1)
    torch.testing.assert_close(found, by_two_loops(density, rgb, distances, 0.1))
    torch.testing.assert_close(drawn.distance, (drawn.weights * distances).sum(1))


def test_a_ray_in_two_pieces_is_the_whole():
    torch.manual_seed(0)
    density, distances = torch.rand(4, 10) * 9, torch.rand(4, 10).sort(1).values
    whole = shares(density, distances, 0.2)
    first = shares(density[:, :6], distances[:, :6], distances[:, 6] - distances[:, 5])
    second = shares(density[:, 6:], distances[:, 6:], 0.2, 1 - first.sum(1))
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


def test_a_fog_of_one_density_lets_through_what_the_law_says():
    distances = march(torch.zeros(1), torch.ones(1), 1001)
    alpha = shares(torch.full((1, 1001), 3.0), distances, 0.0).sum()
    assert float(alpha) == pytest.approx(1 - math.exp(-3), abs=1e-5)


def test_jittered_samples_stay_in_order_and_in_their_stretch():
    near, far = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 2.5])
    even, jittered = march(near, far, 16), march(near, far, 16, torch.rand(len(near), 16))
    assert (jittered.diff(dim=1) >= 0).all()
    assert ((jittered - even).abs() <= (far - near)[:, None] / 30 + 1e-6).all()
    assert (even[:, 0] == near).all() and torch.allclose(even[:, -1], far)


def test_the_published_field_has_its_number_of_parameters():
    assert sum(parameter.numel() for parameter in Field(352, 256, 128).parameters()) == 431_364  # 0.431 M


def test_an_encoding_holds_the_value_and_its_waves():
    values = torch.tensor([[0.5, -1.0]])
    found = encode(values, 2)
    assert found.shape == (1, 10)
    torch.testing.assert_close(found[0, :2], values[0])
    assert {round(float(n), 4) for n in found[0, 2:]} == {
        round(f(k * v), 4) for f in (math.sin, math.cos) for k in (1, 2) for v in (0.5, -1.0)}
