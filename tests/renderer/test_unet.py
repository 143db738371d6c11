"""Image networks: any size, no memory of what else is in the picture or in the batch."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional

from anr_core.renderer import UNet


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
