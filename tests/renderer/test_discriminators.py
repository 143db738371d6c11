"""Who judges pictures: how much of one each says something of, and how strongly."""

import pytest
import torch

from anr_core.renderer import PatchDiscriminator


def pictures(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def discriminator(**changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PatchDiscriminator(4, **changes).eval()


def test_every_scale_says_something_of_each_patch():
    said = discriminator(width=8, layers=3, scales=2)(pictures(2, 4, 64, 48).float())
    assert [[tuple(feature.shape[1:]) for feature in scale] for scale in said] == [
        [(8, 32, 24), (16, 16, 12), (32, 8, 6), (1, 8, 6)], [(8, 16, 12), (16, 8, 6), (32, 4, 3), (1, 4, 3)]]


def test_a_patch_of_the_first_scale_is_some_pixels_wide():
    network, image = discriminator(scales=1), pictures(1, 4, 128, 128).float().requires_grad_()
    network(image)[0][-1][0, 0, 8, 8].backward()
    rows = image.grad[0].abs().sum((0, 2)).nonzero()[:, 0]
    assert int(rows[-1] - rows[0]) + 1 == 38


def test_layers_are_held_to_a_spectral_norm_of_one():
    network = discriminator(width=8).train()
    for _ in range(30):  # each call comes closer
        network(pictures(1, 4, 32, 32).float())
    for scale in network.scales:
        for layer in scale:
            largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
            assert float(largest.detach()) == pytest.approx(1, abs=0.1)
