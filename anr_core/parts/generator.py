"""The UV generator: which part of a body is seen at every pixel, and where on it, told by a 2D pose.

Where a posed body is at hand, its mesh says that already, and the generator is shown its parts and asked for
what has to be mended: clothes and hair stand off a naked body, and fits are some pixels off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from anr_core.parts.limbs import COARSE
from anr_core.rasterizer import GBuffer
from anr_core.renderer.convolutions import conv

LEVELS = 4  # of the maps' resolution: at 256 pixels the last sees the picture as 8 x 8
FINER = 2   # times finer than the maps, what the network says of a pixel
STEP = COARSE // FINER
# What the generator's mending is of size 1: of a chart's side, and of a mask's logit
MOVES, GROWS = 0.1, 5.0
GUIDE = 3.0  # how large the parts are that it is shown


@dataclass(frozen=True)
class Labelling:
    """What is seen where in B pictures of size (H, W), said STEP times smaller and rounded up.

    logits  (B, 1 + P, h, w)  of the background and parts 1 to P
    chart   (B, P, 2, h, w)   in [0, 1], where on the chart of each part, were it the one that is seen

    What is asked for at the pictures' size is interpolated.
    """

    logits: torch.Tensor
    chart: torch.Tensor

    def foreground(self, size: tuple[int, int]) -> torch.Tensor:
        """(B, 1, H, W) the logit of seeing any part: the logarithm of (1 - P0) / P0."""
        return _finer(self.logits[:, 1:].logsumexp(1, keepdim=True) - self.logits[:, :1], size)

    def shares(self, size: tuple[int, int]) -> torch.Tensor:
        """(B, P, H, W) how likely each part is, if any is seen."""
        return _finer(self.logits[:, 1:].softmax(1), size)

    def uv(self, pixels: torch.Tensor, part: torch.Tensor, size: tuple[int, int] | None = None
           ) -> torch.Tensor:
        """(N, 2) where on the charts of parts (N,), from 1, pixels (N,) lie.

        pixels  flat indices into (B, H, W), or without a size into (B, h, w)

        Of the few that are asked for: interpolating every part's everywhere takes longer than the network.
        """
        count, parts, _, rows, columns = self.chart.shape
        (height, width), step = ((rows, columns), 1) if size is None else (size, STEP)
        table = self.chart.permute(0, 1, 3, 4, 2).reshape(-1, 2)
        x = ((pixels % width + 0.5) / step - 0.5).clamp(0, columns - 1)
        y = ((pixels // width % height + 0.5) / step - 0.5).clamp(0, rows - 1)
        left, top = x.floor().long(), y.floor().long()
        right, low = (left + 1).clamp(max=columns - 1), (top + 1).clamp(max=rows - 1)
        start = (pixels // (width * height) * parts + part - 1) * rows
        taps = torch.stack([(start + row) * columns + column for row in (top, low)
                            for column in (left, right)], 1)
        x, y = x - left, y - top
        shares = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], 1)
        return functional.embedding_bag(taps, table, mode="sum", per_sample_weights=shares.to(table))


def _finer(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    planes = functional.interpolate(planes, scale_factor=STEP, mode="bilinear", align_corners=False)
    return planes[..., :size[0], :size[1]]


class Generator(nn.Module):
    """An encoder and decoder with skip connections and residual blocks in between.

    inputs  channels of the maps
    parts   P
    width   channels of the first level; each further one has twice as many, at most four times
    depth   residual blocks at the coarsest level

    Of two generators the smaller one fits into the larger: `take` lets this one say what the other says.
    There is no normalisation: a window is labelled as it would be within the whole picture. Sun et al.'s is
    pix2pixHD's global generator, with 182.7 million parameters.
    """

    def __init__(self, inputs: int, parts: int, width: int = 32, depth: int = 2):
        super().__init__()
        self.parts = parts
        widths = [width, 2 * width, 4 * width, 4 * width]
        self.enter = conv(inputs + parts + 1, width)
        self.down = nn.ModuleList(conv(a, b, stride=2) for a, b in zip(widths, widths[1:], strict=False))
        self.blocks = nn.ModuleList(Block(widths[-1]) for _ in range(depth))
        pairs = list(reversed(list(zip(widths, widths[1:], strict=False))))
        self.up = nn.ModuleList(conv(b, a) for a, b in pairs)
        self.skip = nn.ModuleList(conv(a, a, 1) for a, _ in pairs)
        self.merge = nn.ModuleList(conv(a, a) for a, _ in pairs)
        self.widen = conv(width, 2 * width)
        self.leave = conv(2 * width, (1 + 3 * parts) * FINER**2, 1)
        nn.init.zeros_(self.leave.weight)
        self.mend = conv(2 * width, 3 * FINER**2, 1)
        nn.init.zeros_(self.mend.weight)
        # it begins with four fifths background everywhere, as pictures are
        nn.init.constant_(self.leave.bias[:FINER**2], math.log(4 * parts))
        self.to(memory_format=torch.channels_last)  # faster on CPUs

    def forward(self, maps: torch.Tensor) -> Labelling:
        """Of maps (B, inputs, h', w'), a quarter of the pictures' size, rounded up."""
        logits, chart = self._said(maps, None, self.leave).split([1 + self.parts, 2 * self.parts], 1)
        return Labelling(logits, torch.sigmoid(chart).unflatten(1, (self.parts, 2)))

    def mended(self, maps: torch.Tensor, around: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """(B, 3, H, W) what is to be added to a drawn body's chart coordinates and to its mask's logit.

        around  (B, P, h', w')  how much of the maps' pixels each of its parts covers: see `parts_around`
        size    (H, W) of the pictures
        """
        # single values of it, left alone, dither masks of poses that were never seen
        said = functional.avg_pool2d(self._said(maps, around, self.mend), 3, 1, 1, count_include_pad=False)
        return _finer(torch.cat([MOVES * torch.tanh(said[:, :2]), GROWS * said[:, 2:]], 1), size)

    def _said(self, maps, around, head):
        """(B, C, FINER h, FINER w) of float32."""
        height, width = maps.shape[-2:]
        if around is None:
            maps = functional.pad(maps, (0, 0, 0, 0, 0, 1 + self.parts))
        else:
            maps = torch.cat([maps, GUIDE * around.to(maps), torch.ones_like(maps[:, :1])], 1)
        stride = 1 << (LEVELS - 1)
        padded = functional.pad(maps, (0, -width % stride, 0, -height % stride))
        skips = [functional.silu(self.enter(padded.contiguous(memory_format=torch.channels_last)))]
        for layer in self.down:
            skips.append(functional.silu(layer(skips[-1])))
        x = skips.pop()
        for block in self.blocks:
            x = block(x)
        for up, skip, merge in zip(self.up, self.skip, self.merge, strict=True):
            x = functional.interpolate(up(x), scale_factor=2, mode="nearest")
            x = functional.silu(x + skip(skips.pop()))
            x = x + functional.silu(merge(x))
        x = functional.silu(self.widen(x))
        # half precision has coordinates in steps of a third of a texel of 200
        with torch.autocast(x.device.type, enabled=False):
            x = head(x.float())
        return functional.pixel_shuffle(x, FINER)[..., :FINER * height, :FINER * width].float()

    @torch.no_grad()
    def take(self, other: Generator) -> None:
        """Say what another generator says, of the same maps and parts.

        It may be narrower and have fewer blocks: channels and blocks that it lacks begin without a say.
        Raises ValueError where it is wider or deeper.
        """
        mine, theirs = self.state_dict(), other.state_dict()
        for what, here, there in (("parts", self.parts, other.parts),
                                  ("maps of limbs", self.enter.in_channels, other.enter.in_channels)):
            if here != there:
                raise ValueError(f"A generator of {here} {what} can't take what one of {there} has learned. "
                                 "Name a run of the same body and set of keypoints.")
        if len(self.blocks) < len(other.blocks) or any(
                a > b for name, value in theirs.items() for a, b in zip(value.shape, mine[name].shape,
                                                                        strict=True)):
            raise ValueError(f"A generator of width {self.enter.out_channels} and depth {len(self.blocks)} "
                             f"can't hold one of width {other.enter.out_channels} and depth "
                             f"{len(other.blocks)}. Give it at least these.")
        for name, value in mine.items():
            if name not in theirs:
                if ".second." in name:
                    value.zero_()
                continue
            corner = tuple(slice(side) for side in theirs[name].shape)
            if value.ndim == 4:  # what only this one has doesn't speak to what both have
                value[:theirs[name].shape[0], theirs[name].shape[1]:] = 0
            value[corner] = theirs[name]


class Block(nn.Module):
    """Two convolutions whose result is added to what came in; it begins by adding nothing."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = conv(channels, channels), conv(channels, channels)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) of the same."""
        return x + self.second(functional.silu(self.first(functional.silu(x))))


def parts_around(buffer: GBuffer, parts: int) -> torch.Tensor:
    """(B, P, h', w') shares of the maps' pixels that each part of a drawn body covers."""
    count, height, width = buffer.shape
    rows, columns = (-(-side // COARSE) for side in (height, width))
    place = buffer.pixels % (height * width)
    cell = (buffer.picture * rows + place // width // COARSE) * columns + place % width // COARSE
    covered = torch.bincount(cell * parts + buffer.part - 1, minlength=count * rows * columns * parts)
    shares = covered.view(count, rows, columns, parts) / COARSE**2
    return shares.permute(0, 3, 1, 2)
