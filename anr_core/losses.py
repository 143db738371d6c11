"""Losses on pictures; every one is a mean under a weight, and a pixel of weight 0 enters none of them.

Pictures are (B, C, H, W) in [0, 1]; a weight is (B, 1, H, W), not negative. Where a whole batch has no
weight a loss is 0, and so is its gradient. Where several processes share a batch, the mean of their losses is
that of the whole.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from anr_core.pretrained import asked_once, had
from anr_core.processes import mean_of_all


def weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The mean of values (B, C, H, W) under a weight (B, 1, H, W), one scalar."""
    # not the least float there is: its inverse, times a loss's own weight, is infinite
    total = (mean_of_all(weight.sum()) * values.shape[1]).clamp(min=1e-12)
    return (values * weight).sum() / total


def l1(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference."""
    return weighted_mean((prediction - target).abs(), weight)


def mse(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean squared difference."""
    return weighted_mean((prediction - target).square(), weight)


def mask_entropy(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of a predicted mask (B, 1, H, W), a probability, against the true one."""
    # Squeezed, not clamped: a clamp would silence the gradient exactly where the mask is most wrong.
    squeezed = 1e-3 + (1 - 2e-3) * prediction.to(target.dtype)
    return weighted_mean(-(target * squeezed.log() + (1 - target) * (1 - squeezed).log()), weight)


def structure(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """1 - SSIM; a window counts for its centre's weight and for the share of it that has any."""
    similarity, share = ssim_map(prediction, target, weight)
    return weighted_mean(1 - similarity, weight * share)


def ssim_map(prediction: torch.Tensor, target: torch.Tensor,
             weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """SSIM around every pixel with statistics under the weight, and the weight that each window holds.

    returns  (B, C, H, W) in [-1, 1], (B, 1, H, W); what lies at pixels of weight 0 changes neither.
    Source: Wang et al. 2004, equation 13, Gaussian window of 11 pixels with sigma 1.5; weighted statistics
    are normalised convolution (Knutsson and Westin 1993).
    """
    # An offset cancels in every variance, but E[x^2] - E[x]^2 loses fewer digits around 0. Channels-last:
    # twice as fast on a CPU.
    x, y = ((picture.to(target.dtype, memory_format=torch.channels_last) - 0.5) * (weight > 0)
            for picture in (prediction, target))
    wx, wy, share = x * weight, y * weight, _blur(weight)
    moments = _blur(torch.cat([wx, wy, wx * x + wy * y, wx * y], 1))
    x, y, squares, product = (moments / share.clamp(min=1e-6)).chunk(4, 1)
    structure = (2 * (product - x * y) + 0.03**2) / (squares - x * x - y * y + 0.03**2)
    x, y = x + 0.5, y + 0.5
    luminance = (2 * x * y + 0.01**2) / (x * x + y * y + 0.01**2)
    return luminance * structure, share


def _blur(pictures: torch.Tensor) -> torch.Tensor:
    """Convolve each channel with SSIM's Gaussian window; beyond the edge lies zero."""
    offsets = torch.arange(-5, 6, device=pictures.device, dtype=pictures.dtype)
    window = torch.softmax(-offsets.square() / (2 * 1.5**2), 0).expand(pictures.shape[1], 1, 1, 11)
    with torch.autocast(pictures.device.type, enabled=False):  # bfloat16 has too few digits for a variance
        pictures = F.conv2d(pictures, window, padding=(0, 5), groups=len(window))
        return F.conv2d(pictures, window.transpose(2, 3), padding=(5, 0), groups=len(window))


def hinge_discriminator(taken: list[list[torch.Tensor]], drawn: list[list[torch.Tensor]]) -> torch.Tensor:
    """What a discriminator minimises: at every scale it is to say 1 or more of taken, -1 or less of drawn.

    Both as `PatchDiscriminator` returns them. Source: Lim and Ye, Geometric GAN, 2017.
    """
    return mean_of([F.relu(1 - true[-1]).mean() + F.relu(1 + false[-1]).mean()
                    for true, false in zip(taken, drawn, strict=True)])


def hinge_generator(drawn: list[list[torch.Tensor]]) -> torch.Tensor:
    """What who draws minimises: that the discriminator says little of it."""
    return mean_of([-scale[-1].mean() for scale in drawn])


def bce_discriminator(taken: list[list[torch.Tensor]], drawn: list[list[torch.Tensor]]) -> torch.Tensor:
    """Cross-entropy of what a discriminator says of taken and of drawn: log 2 where it knows nothing.

    Both as a discriminator returns them. Source: Goodfellow et al. 2014.
    """
    return mean_of([(F.softplus(-true[-1]).mean() + F.softplus(false[-1]).mean()) / 2
                    for true, false in zip(taken, drawn, strict=True)])


def bce_generator(drawn: list[list[torch.Tensor]]) -> torch.Tensor:
    """What who draws minimises: the cross-entropy of being taken; its gradient doesn't vanish at first."""
    return mean_of([F.softplus(-scale[-1]).mean() for scale in drawn])


def square_discriminator(taken: list[list[torch.Tensor]], drawn: list[list[torch.Tensor]]) -> torch.Tensor:
    """Least squares: a discriminator is to say 1 of taken and 0 of drawn; half of both squared errors.

    Both as `PatchDiscriminator` returns them. Source: Mao et al., Least Squares GAN, 2017, equation 9.
    """
    return mean_of([((true[-1] - 1).square().mean() + false[-1].square().mean()) / 2
                    for true, false in zip(taken, drawn, strict=True)])


def square_generator(drawn: list[list[torch.Tensor]]) -> torch.Tensor:
    """What who draws minimises: the squared error of what is said of it to 1. Source: as above.

    Without the factor 1/2, as pix2pixHD and Sun et al. have it.
    """
    return mean_of([(scale[-1] - 1).square().mean() for scale in drawn])


def gradient_penalty(taken: list[list[torch.Tensor]], pictures: torch.Tensor) -> torch.Tensor:
    """R1: how steeply what a discriminator says depends on taken pictures, squared; the batch's mean.

    taken     as it returns them of the pictures; its word is the mean over a scale's patches
    pictures  (B, C, H, W)  which ask for a gradient

    Source: Mescheder et al. 2018, equation 9, without the factor gamma / 2.
    """
    word = sum(scale[-1].mean((1, 2, 3)).sum() for scale in taken) / len(taken)
    gradient, = torch.autograd.grad(word, pictures, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def feature_matching(taken: list[list[torch.Tensor]], drawn: list[list[torch.Tensor]]) -> torch.Tensor:
    """Mean absolute difference of the discriminator's features; those of what was taken get no gradient.

    Source: Wang et al. 2018, equation 4.
    """
    return mean_of([F.l1_loss(false, true.detach()) for scales in zip(taken, drawn, strict=True)
                    for true, false in zip(*(scale[:-1] for scale in scales), strict=True)])


def mean_of(losses: list[torch.Tensor]) -> torch.Tensor:
    """The mean of scalars, one scalar."""
    return torch.stack(losses).mean()


def perceptual(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor,
               backbone: str = "vgg") -> torch.Tensor | None:
    """LPIPS: the distance in a trained network's features, or None where the network can't be had.

    Pictures are sRGB (B, 3, H, W) of 32 pixels a side or more. Pixels of weight 0 are black in both.
    Source: Zhang et al. 2018.
    """
    network = perceptual_network(backbone)
    if network is None:
        return None
    seen = weight > 0
    distance = network.to(target.device)(prediction * seen, target * seen, normalize=True)
    return weighted_mean(distance, weight)


def vgg(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor | None:
    """SMPLpix's distance: pictures and features of VGG16 in one vector; None where the network can't be had.

    The picture counts once, relu1_2 one sixteenth, relu2_2 one eighth, relu3_3 a quarter, relu4_3 once, and
    the mean goes over all their numbers. Pictures are sRGB (B, 3, H, W) of 8 pixels a side or more, taken as
    they are, without ImageNet's mean and deviation. Pixels of weight 0 are black in both.
    Source: Prokudin et al., SMPLpix, WACV 2021, in its published program.
    """
    network = vgg_network()
    if network is None:
        return None
    network, weight = network.to(target.device), weight.to(target)
    drawn, taken = prediction * weight, target * weight
    total, count = (drawn - taken).abs().sum(), drawn.numel()
    for index, layer in enumerate(network):
        drawn = layer(drawn)
        with torch.no_grad():
            taken = layer(taken)
        if index in VGG_LAYERS:
            total = total + VGG_LAYERS[index] * (drawn - taken).abs().sum()
            count += drawn.numel()
    return total / count


# place in torchvision's VGG16, and what the features there weigh
VGG_LAYERS = {3: 1 / 16, 8: 1 / 8, 15: 1 / 4, 22: 1.0}


@asked_once
def vgg_network() -> torch.nn.Sequential | None:
    """VGG16 up to relu4_3, downloaded once by torchvision; one printed line says whether it is used."""
    def build():
        from torchvision import models

        layers = models.vgg16(weights=models.VGG16_Weights.IMAGENET1K_V1, progress=False).features[:23]
        for layer in layers:
            if isinstance(layer, torch.nn.ReLU):
                layer.inplace = False  # else a gradient's picture is overwritten
        return layers.eval().requires_grad_(False)

    return had("VGG16", build)


@asked_once
def perceptual_network(backbone: str) -> torch.nn.Module | None:
    """LPIPS on "vgg" or "alex", downloaded once by torchvision; one printed line says whether it is used."""
    def build():
        import lpips

        return lpips.LPIPS(net=backbone, spatial=True, verbose=False).eval().requires_grad_(False)

    return had(f"LPIPS ({backbone})", build)
