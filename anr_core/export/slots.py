"""What goes into a graph and comes out of it, and a texture that is sampled within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from anr_core.avatars.base import Scene
from anr_core.avatars.inputs import FINER
from anr_core.texture import sheet_of

FINE, LATENT = "fine ", "latent "  # sizes of pictures that are drawn larger, or smaller

# Sizes to trace with: primes, so that a network that pads does so in the graph.
TRACED = {"batch": 2, "height": 53, "width": 71, f"{FINE}height": 53 * FINER, f"{FINE}width": 71 * FINER,
          f"{LATENT}height": 13, f"{LATENT}width": 19}


@dataclass(frozen=True)
class Slot:
    """One thing that goes in or out.

    shape     sizes, or the names of those that differ
    channels  what each of the second size is
    told      what it is and where it comes from
    """

    shape: tuple[str | int, ...]
    channels: tuple[str, ...]
    told: str


def picture(channels: Sequence[str], told: str, prefix: str = "") -> Slot:
    """A slot of pictures (B, C, H, W); those of another size have a prefix before their height's name."""
    return Slot(("batch", len(channels), f"{prefix}height", f"{prefix}width"), tuple(channels), told)


RGB, XYZ = ("red", "green", "blue"), ("x", "y", "z")

IUV = picture(("part", "u", "v"), "What the rasterizer sees: the part's number, from 1, 0 beside the mesh; u "
              "and v on the run's atlas, in [0, 1], origin at the bottom left")
NORMALS = picture(XYZ, "Smooth unit normals, world coordinates; the light is fixed in the world")
GAIN = Slot(("batch", 3), RGB, "Factors of the picture's exposure and colour balance; a new camera's are 1")
OUTPUTS = {"rgb": picture(RGB, "Straight colour in [0, 1], sRGB-encoded, never multiplied by the mask"),
           "mask": picture(("mask",), "How much of the pixel is the person, in [0, 1]; a picture over a "
                           "background is rgb * mask + background * (1 - mask)")}


class Sampling(nn.Module):
    """Charts, sampled at every pixel that has a part, as `texture.bilinear` does on lists of pixels.

    tables  [(rows of texels (P * h * w, C), (P, h, w))], whose samples are summed; a table of fewer channels
            adds to the first ones
    """

    def __init__(self, tables: Sequence[tuple[torch.Tensor, tuple[int, int, int]]]):
        super().__init__()
        self.sizes = [size for _, size in tables]
        for level, (table, size) in enumerate(tables):
            # all charts on one sheet: coordinates end at the outermost texels' centres, so none mix. It is as
            # square as can be: the larger a coordinate, the fewer digits are left for its fraction
            self.register_buffer(f"level{level}", sheet_of(table.detach(), size)[None].contiguous())

    def forward(self, iuv: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) part, u and v -> (B, C, H, W)"""
        part, u, v = iuv.unbind(1)
        total = 0
        for level, (charts, height, width) in enumerate(self.sizes):
            texels = getattr(self, f"level{level}")
            rows, columns = texels.shape[2] // height, texels.shape[3] // width
            x, y = (u * width).clamp(0.5, width - 0.5), ((1 - v) * height).clamp(0.5, height - 0.5)
            if charts > 1:
                chart = (part - 1).clamp(min=0)
                row = torch.floor((chart + 0.5) / columns)
                x, y = x + (chart - row * columns) * width, y + row * height
            grid = torch.stack([2 * x / (columns * width) - 1, 2 * y / (rows * height) - 1], -1)
            found = functional.grid_sample(texels, grid.flatten(0, 1)[None], align_corners=False)[0]
            found = found.unflatten(1, (-1, part.shape[1])).transpose(0, 1)
            total = found if level == 0 else total + functional.pad(
                found, (0, 0, 0, 0, 0, total.shape[1] - found.shape[1]))
        return total * (part > 0)[:, None].to(total)


class Exported(nn.Module):
    """A module to trace, and what it takes.

    inputs    {name: Slot} in the order of `forward`
    outputs   the same in the order of what it returns
    """

    inputs: dict[str, Slot]
    outputs: dict[str, Slot] = OUTPUTS

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Colour (B, 3, H, W) and mask (B, 1, H, W) of what `inputs` names."""
        raise NotImplementedError

    def given(self, scene: Scene) -> dict[str, torch.Tensor]:
        """What goes in, by name, of a scene that the avatar would draw."""
        raise NotImplementedError

    def example(self) -> tuple[torch.Tensor, ...]:
        """What to trace with."""
        return tuple(torch.rand([TRACED.get(size, size) for size in slot.shape])
                     for slot in self.inputs.values())
