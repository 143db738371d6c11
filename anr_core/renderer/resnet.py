"""An encoder of pictures: a residual network that normalises groups of channels, not batches."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from anr_core.pretrained import asked_once, had

# blocks of each of four stages, by the number of layers
BLOCKS = {14: (1, 1, 1, 1), 26: (2, 2, 2, 2), 38: (2, 3, 5, 2), 50: (3, 4, 6, 3)}
WIDER = 4  # how many times as wide as its inside a block comes out

# of ImageNet's pictures
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ResNet(nn.Module):
    """Pictures in, a vector of each out; a batch is seen as its pictures alone.

    outputs  length of the vector
    depth    layers: 14, 26, 38 or 50
    width    channels of the first stage's inside; each further stage has twice as many
    groups   of channels, each normalised by itself, or as many as divide the channels of a layer

    It begins at random; `imagenet` lets it begin from what is known of pictures.
    Sources: He et al. 2016 (halved by a block's middle convolution, as torchvision does it); Wu and He, Group
    Normalization, 2018.
    """

    def __init__(self, outputs: int, depth: int = 50, width: int = 64, groups: int = 32):
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth is {depth}; a ResNet has {', '.join(map(str, BLOCKS))} layers.")
        self.depth, self.width = depth, width

        def norm(channels):
            return nn.GroupNorm(math.gcd(groups, channels), channels)

        layers = [plain(3, width, 7, 2), norm(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        inputs = width
        for stage, blocks in enumerate(BLOCKS[depth]):
            for block in range(blocks):
                layers.append(Block(inputs, width << stage, 2 if stage and not block else 1, norm))
                inputs = WIDER * (width << stage)
        self.trunk = nn.Sequential(*layers)
        self.leave = nn.Linear(inputs, outputs)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)
        self.to(memory_format=torch.channels_last)  # faster on CPUs

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1], of 32 pixels a side or more -> (B, outputs)"""
        image = image.contiguous(memory_format=torch.channels_last)
        return self.leave(self.trunk((image - self.mean) / self.deviation).mean((2, 3)))


class Block(nn.Module):
    """Three convolutions, narrow inside, that are added to what came in."""

    def __init__(self, inputs: int, inside: int, stride: int, norm):
        super().__init__()
        outputs = WIDER * inside
        self.inside = nn.Sequential(
            plain(inputs, inside, 1), norm(inside), nn.ReLU(inplace=True),
            plain(inside, inside, 3, stride), norm(inside), nn.ReLU(inplace=True),
            plain(inside, outputs, 1), norm(outputs))
        self.around = nn.Identity() if stride == 1 and inputs == outputs else nn.Sequential(
            plain(inputs, outputs, 1, stride), norm(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) -> (B, 4 inside, H / stride, W / stride)"""
        return functional.relu(self.inside(x) + self.around(x), inplace=True)


def plain(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without a bias: a norm comes after it."""
    layer = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


@torch.no_grad()
def imagenet(network: ResNet) -> bool:
    """Let a network of 50 layers and width 64 begin from what ImageNet taught one with batch norm.

    Its convolutions, and the norms' scales and shifts; the last layer stays as it is. Returns whether the
    weights could be had; one printed line says so too, and else the network stays as it is altogether.
    """
    if (network.depth, network.width) != (50, 64):
        raise ValueError(f"This network has {network.depth} layers and width {network.width}; ImageNet's "
                         "weights are for 50 and 64. Make ResNet(outputs), or leave them out.")
    known = imagenet_weights()
    if known is None:
        return False
    # both in the order in which they are used
    for mine, theirs in zip(network.trunk.parameters(), known, strict=True):
        mine.copy_(theirs)
    return True


@asked_once
def imagenet_weights() -> list[torch.Tensor] | None:
    """ResNet-50's weights but the last layer's, downloaded once by torchvision, or None."""
    def build():
        from torchvision import models

        known = models.ResNet50_Weights.IMAGENET1K_V1.get_state_dict(progress=False)
        return [weight for name, weight in known.items()
                if name.endswith(("weight", "bias")) and not name.startswith("fc.")]

    return had("ResNet-50 (ImageNet)", build)
