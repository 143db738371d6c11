"""Who judges pictures: how much of one each says something of, and how strongly."""

import pytest
import torch

from anr_core.renderer import PatchDiscriminator, ResidualDiscriminator


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


# the residual one


def residual(**changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ResidualDiscriminator(4, **changes)


@pytest.mark.parametrize("size, words", [((32, 32), (2, 2)), ((33, 70), (3, 5)), ((160, 96), (10, 6))])
def test_it_says_something_of_a_picture_of_any_size(size, words):
    scale, = residual(width=4)(pictures(2, 4, *size).float())
    assert [feature.shape[1] for feature in scale] == [4, 8, 16, 32, 32, 1]
    assert tuple(scale[0].shape[2:]) == size and scale[-1].shape == (2, 1, *words)


def test_features_keep_the_size_of_what_is_smooth():
    for feature in residual()(5 * torch.ones(1, 4, 128, 128))[0][1:-1]:
        inside = feature[..., 2:-2, 2:-2].square().mean() / 5**2
        assert 0.2 < float(inside.detach()) < 5


def test_what_it_says_of_a_picture_does_not_depend_on_the_batch():
    batch, network = pictures(3, 4, 40, 48).float(), residual(width=4)
    alone = torch.cat([network(picture[None])[0][-1] for picture in batch])
    torch.testing.assert_close(network(batch)[0][-1], alone)


def test_every_layer_of_it_learns():
    network = residual(width=4)
    network(pictures(2, 4, 48, 48).float())[0][-1].square().sum().backward()
    assert all(parameter.grad.any() for parameter in network.parameters())
