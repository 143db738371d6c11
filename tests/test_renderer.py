"""Image networks: any size, no memory of what else is in the picture or in the batch."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional

from anr_core.renderer import PatchDiscriminator, UNet


def network(inputs=3, outputs=2, width=4, levels=3, fold=2, seed=0):
    """In float64, its last layer shaken out of zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet(inputs, outputs, width, levels, fold).double()
        torch.nn.init.normal_(unet.leave.weight, std=0.1)
    return unet.requires_grad_(False)


def pictures(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("fold", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (16, 16), (17, 40)])
def test_a_picture_of_any_size_keeps_it(size, fold):
    assert network(fold=fold)(pictures(2, 3, *size)).shape == (2, 2, *size)


def test_a_network_begins_by_adding_nothing():
    assert not UNet(3, 4, 4)(pictures(1, 3, 20, 20).float()).any()


def test_a_picture_of_odd_size_is_drawn_as_with_a_black_rim():
    image, unet = pictures(1, 3, 21, 13), network()
    torch.testing.assert_close(unet(image), unet(functional.pad(image, (0, 3, 0, 3)))[..., :21, :13])


def test_a_batch_is_drawn_as_its_pictures_alone():
    batch, unet = pictures(3, 3, 24, 16), network()
    alone = torch.cat([unet(picture[None]) for picture in batch])
    torch.testing.assert_close(unet(batch), alone)


def test_what_is_far_away_changes_nothing():
    image, unet = pictures(1, 3, 96, 96), network()
    other = image.clone()
    other[..., 80:, 80:] = 1 - other[..., 80:, 80:]
    drawn, redrawn = unet(image), unet(other)
    torch.testing.assert_close(drawn[..., :40, :40], redrawn[..., :40, :40], atol=0, rtol=0)
    assert not torch.allclose(drawn[..., 80:, 80:], redrawn[..., 80:, 80:])


def test_a_crop_is_drawn_as_within_the_whole_picture():
    image, unet = pictures(1, 3, 96, 96), network()
    crop = unet(image[..., 16:, 8:])  # moved by whole blocks of the coarsest level
    torch.testing.assert_close(crop[..., 40:, 40:], unet(image)[..., 56:, 48:])


def test_gradients_match_finite_differences():
    unet = network(inputs=2, outputs=1, width=2, levels=2).requires_grad_()
    names = [name for name, _ in unet.named_parameters()]

    def draw(image, *parameters):
        return torch.func.functional_call(unet, dict(zip(names, parameters, strict=True)), (image,))

    assert gradcheck(draw, (pictures(1, 2, 5, 4).requires_grad_(), *unet.parameters()))


def test_every_weight_counts():
    unet = network().requires_grad_()
    unet(pictures(1, 3, 16, 16)).square().sum().backward()
    assert all((parameter.grad != 0).all() for parameter in unet.parameters())


def test_weights_are_as_many_as_counted_by_hand():
    # widths 4 and 8; blocks of 2 x 2 pixels enter and leave
    enter, down, middle, up = 4 * (3 * 4 + 1), 8 * (4 * 9 + 1), 8 * (8 * 9 + 1), 4 * (8 * 9 + 1)
    merge, leave = 4 * (8 * 9 + 1), 8 * (4 + 1)
    counted = sum(parameter.numel() for parameter in network(levels=2).parameters())
    assert counted == enter + down + middle + up + merge + leave
    widest = max(parameter.shape[0] for parameter in UNet(3, 4, 4, levels=6).parameters())
    assert widest == 8 * 4


def test_a_width_may_be_between_two_whole_ones():
    counts = [sum(parameter.numel() for parameter in UNet(3, 4, width).parameters()) for width in (8, 8.3, 9)]
    assert counts[0] < counts[1] < counts[2]
    assert UNet(3, 4, 8.3)(pictures(1, 3, 20, 20).float()).shape == (1, 4, 20, 20)


# the discriminator


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
