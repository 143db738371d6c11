"""The modulated U-Net: as many weights as published, each sample as under a convolution of its own."""

import math

import pytest
import torch
from torch.nn import functional

from anr_core.renderer import ModulatedUNet
from anr_core.renderer.convolutions import blur
from anr_core.renderer.modulated import ModulatedConv
from anr_core.training.schedule import average


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(inputs=3, outputs=2, style=5, width=4, levels=2, outer=0):
    """In float64, its running means and biases shaken."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = ModulatedUNet(inputs, outputs, style, width, levels, outer).double().eval()
        for buffer in unet.buffers():
            buffer.uniform_(0.5, 2)
        for name, parameter in unet.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter)
    return unet


@pytest.mark.parametrize("style, outer, millions", [(1728, 0, 39.45), (1728, 1, 39.59), (256, 0, 28.57)])
def test_weights_are_as_many_as_published(style, outer, millions):
    with torch.device("meta"):
        unet = ModulatedUNet(16, 3, style, outer=outer)
    assert round(sum(parameter.numel() for parameter in unet.parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("outer", [0, 1, 2])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (16, 16), (17, 40)])
def test_a_picture_of_any_size_keeps_it_or_is_doubled(size, outer):
    drawn = network(outer=outer)(random(2, 3, *size), random(2, 5))
    assert drawn.shape == (2, 2, size[0] << outer, size[1] << outer)


def test_a_width_that_cannot_be_halved_as_often_is_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        ModulatedUNet(3, 3, 5, width=6, outer=2)


# a convolution


def plainly(layer, x, style):
    """The convolution of each sample's own weights, written out."""
    drawn = []
    for picture, mine in zip(x, style, strict=True):
        if layer.scale < 0:
            picture = blur(picture[None], 5)[0]
        modulation = layer.style.weight / math.sqrt(len(mine)) @ mine + layer.style.bias
        weight = layer.weight / math.sqrt(layer.weight[0].numel()) * modulation[:, None, None]
        if not layer.last:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        picture = picture / layer.moment.running_mean.sqrt()[:, None, None]
        if layer.scale > 0:
            apart = picture.new_zeros(len(picture), *(2 * n for n in picture.shape[1:]))
            apart[:, ::2, ::2] = picture  # rows and columns of zeros between
            got = functional.conv2d(apart[None], 4 * weight.flip(2, 3), padding=1)
            got = blur(got, 5)[0]
        else:
            got = functional.conv2d(picture[None], weight, stride=1 - layer.scale,
                                    padding=weight.shape[-1] // 2)[0]
        got = got + layer.bias[:, None, None]
        drawn.append(got if layer.last else functional.leaky_relu(got, 0.2) * math.sqrt(2))
    return torch.stack(drawn)


@pytest.mark.parametrize("how", [{}, {"scale": -1}, {"scale": 1}, {"side": 1, "last": True}])
@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
def test_each_sample_is_drawn_as_by_a_convolution_of_its_own(how, size):
    torch.manual_seed(1)
    layer = ModulatedConv(3, 4, 5, **how).double().eval()
    torch.nn.init.normal_(layer.bias)
    layer.moment.running_mean.uniform_(0.5, 2)
    x, style = random(3, 3, *size), random(3, 5, seed=1)
    torch.testing.assert_close(layer(x, style), plainly(layer, x, style))


@pytest.mark.parametrize("scale", [-1, 0, 1])
def test_what_is_smooth_comes_out_of_the_size_of_one(scale):
    torch.manual_seed(2)
    layer = ModulatedConv(32, 32, 5, scale=scale)
    drawn = layer(7 * torch.randn(64, 32, 1, 1).expand(-1, -1, 16, 16), torch.randn(64, 5)).detach()
    inside = drawn[..., 3:-3, 3:-3] if scale < 0 else drawn[..., 6:-6, 6:-6]  # the rim is darker
    assert float(inside.square().mean()) == pytest.approx(1, abs=0.2)


# the network


def test_a_batch_is_drawn_as_its_pictures_alone():
    unet, latent, style = network(), random(3, 3, 12, 9), random(3, 5, seed=1)
    alone = torch.cat([unet(latent[[k]], style[[k]]) for k in range(3)])
    torch.testing.assert_close(unet(latent, style), alone)


def test_another_style_is_another_picture():
    unet, latent = network(), random(1, 3, 12, 9)
    first, second = (unet(latent, random(1, 5, seed=seed)) for seed in (1, 2))
    assert float((first - second).abs().mean().detach()) > 1e-2


@pytest.mark.parametrize("outer", [0, 1])
def test_every_weight_counts_and_so_do_latent_and_style(outer):
    unet = network(outer=outer)
    latent, style = random(2, 3, 16, 12).requires_grad_(), random(2, 5, seed=1).requires_grad_()
    unet(latent, style).square().sum().backward()
    assert all((tensor.grad != 0).all() for tensor in (latent, style, *unet.parameters()))


def test_gradients_match_finite_differences():
    unet = network(inputs=1, outputs=1, style=1, width=2, levels=1, outer=1)
    names = [name for name, _ in unet.named_parameters()]

    def draw(latent, style, *parameters):
        return torch.func.functional_call(unet, dict(zip(names, parameters, strict=True)), (latent, style))

    assert torch.autograd.gradcheck(draw, (random(1, 1, 3, 2).requires_grad_(),
                                           random(1, 1, seed=1).requires_grad_(), *unet.parameters()),
                                    fast_mode=True)


# running moments


def moments(unet):
    return {name: buffer.clone() for name, buffer in unet.named_buffers()}


def test_in_evaluation_running_moments_rest():
    unet = network()
    before = moments(unet)
    unet(random(1, 3, 12, 9), random(1, 5))
    assert before and all(torch.equal(before[name], now) for name, now in unet.named_buffers())


def test_the_first_pictures_are_taken_as_they_are_and_others_followed_slowly():
    layer = ModulatedConv(3, 4, 5).train()
    first, second = 0.01 * random(2, 3, 6, 6).float(), random(2, 3, 6, 6, seed=1).float()
    for picture in (first, second):
        layer(picture, torch.ones(2, 5))
    seen, new = (picture.square().mean((0, 2, 3)) for picture in (first, second))
    torch.testing.assert_close(layer.moment.running_mean, 0.995 * seen + 0.005 * new)


def test_from_the_first_step_on_features_of_any_size_draw_alike():
    drawn = []
    for scale in (1e-3, 1e3):
        unet = network()
        for buffer in unet.buffers():
            buffer.fill_(1)
        drawn.append(unet.train()(scale * random(1, 3, 12, 9), random(1, 5)))
    torch.testing.assert_close(*drawn, rtol=1e-4, atol=1e-4)


def test_running_moments_are_kept_and_follow_into_the_averaged_weights():
    newest, averaged = network(), network()
    newest.train()(10 * random(1, 3, 12, 9), random(1, 5))
    assert all(name in newest.state_dict() for name, _ in newest.named_buffers())
    average(averaged, newest, 0)  # takes the newest
    for name, moment in averaged.named_buffers():
        torch.testing.assert_close(moment, newest.get_buffer(name))
