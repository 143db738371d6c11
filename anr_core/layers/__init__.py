"""What happens on the way to a picture, as pictures: bones, IUV, features, latent image, depth and so on."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw

from anr_core.avatars import Rendering
from anr_core.body import Surface

CAPTION_HEIGHT = 16  # pixels
GREY = 0.5
# What is shown of a rendering, in the order in which it comes to be.
STEPS = ("motion", "source", "skeleton", "primitives", "parts", "UV", "IUV", "texture", "features", "latent",
         "normals", "depth", "mask", "foreground", "background", "result", "truth")
AS_THEY_ARE = ("motion", "source", "skeleton", "primitives", "texture", "background", "truth")
ALWAYS = ("mask", "result")  # what every rendering has


class Layers:
    """Renderings of one avatar as pictures, whose colours mean the same from one to the next."""

    def __init__(self):
        self._colours = {}

    def panel(self, step: str, rendering: Rendering, surface: Surface, background: torch.Tensor | float
              ) -> torch.Tensor | None:
        """(1, 3, H, W) of one of STEPS; None where the system has no such step."""
        if step == "result":
            return rendering.over(background)
        if step == "mask":
            return rendering.mask.expand(-1, 3, -1, -1)
        if step == "foreground":  # else it is the result
            return rendering.over(GREY) if "background" in rendering.layers else None
        layer = rendering.layers.get(step.lower())
        if layer is None or step in AS_THEY_ARE:
            return layer
        if step == "IUV":
            return iuv_colours(layer, surface)
        if step == "parts":
            return part_colours(layer)
        if step == "UV":
            return uv_colours(layer)
        if step == "normals":
            return normal_colours(layer)
        if step == "depth":
            if step not in self._colours:
                self._colours[step] = nearness(rendering)
            return self._colours[step](rendering)
        if step not in self._colours:
            self._colours[step] = main_colours(layer, rendering.mask)
        colours = self._colours[step](layer)
        if step == "features" and "coverage" in rendering.layers:  # beside it there are none
            return colours * (rendering.layers["coverage"] > 0)
        return colours

    @staticmethod
    def steps(rendering: Rendering) -> list[str]:
        """Those of STEPS that a rendering has."""
        there = {*ALWAYS, *rendering.layers, *(["foreground"] if "background" in rendering.layers else [])}
        return [step for step in STEPS if step.lower() in there]

    def overview(self, rendering: Rendering, surface: Surface, background: torch.Tensor | float,
                 chosen: Collection[str] = STEPS) -> np.ndarray:
        """(H, W, 3) uint8: those of the chosen that there are side by side, under their names."""
        return beside({step: picture(self.panel(step, rendering, surface, background))
                       for step in self.steps(rendering) if step in chosen})


def iuv_colours(iuv: torch.Tensor, surface: Surface) -> torch.Tensor:
    """Part, u and v (B, 3, H, W) as red, green and blue; black beside the mesh."""
    part, uv = iuv.split([1, 2], 1)
    return torch.cat([part / surface.part.max(), uv], 1)


def taken_apart(rendering: Rendering) -> Rendering:
    """The same with its layer "iuv" as two, "parts" and "uv", where it has one."""
    if "iuv" not in rendering.layers:
        return rendering
    layers = dict(rendering.layers)
    layers["parts"], layers["uv"] = layers.pop("iuv").split([1, 2], 1)
    return replace(rendering, layers=layers)


def part_colours(parts: torch.Tensor) -> torch.Tensor:
    """Part numbers (B, 1, H, W) as colours (B, 3, H, W) that tell neighbours apart; black for 0."""
    number = parts[:, 0].round().long()
    return colour_of_parts(int(number.max())).to(parts)[number].movedim(-1, 1)


@cache
def colour_of_parts(count: int) -> torch.Tensor:
    """(count + 1, 3) colours by part number."""
    # hues a golden section apart never come back; saturation and brightness in turns tell near ones apart
    hues = ((part * 0.618034 % 1, (0.75, 0.5)[part % 2], (1.0, 0.7, 0.85)[part % 3]) for part in range(count))
    return torch.tensor([(0.0, 0.0, 0.0), *(colorsys.hsv_to_rgb(*hue) for hue in hues)])


def uv_colours(uv: torch.Tensor) -> torch.Tensor:
    """u and v (B, 2, H, W) as red and green, with a little blue; black where both are 0, as beside a body."""
    blue = 0.25 * (uv > 0).any(1, keepdim=True)
    return torch.cat([uv, blue.to(uv)], 1)


def normal_colours(normals: torch.Tensor) -> torch.Tensor:
    """Normals (B, 3, H, W) as the camera sees them: red points right, green up, blue to it; black beside."""
    towards = normals * normals.new_tensor([1, -1, -1])[:, None, None]  # our cameras look down and away
    return (towards + 1) / 2 * (normals != 0).any(1, keepdim=True)


def beside(pictures: dict[str, np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) uint8 in a row, under their names."""
    row = np.concatenate(list(pictures.values()), 1)
    return np.concatenate([captions(list(pictures), row.shape[1]), row])


def picture(batch: torch.Tensor) -> np.ndarray:
    """The first of (B, 3, H, W) as (H, W, 3) uint8."""
    return (batch[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def nearness(rendering: Rendering) -> Callable[[Rendering], torch.Tensor]:
    """What turns the depth of renderings into grey (1, 3, H, W): the nearest is white, background black.

    The scale is found once, so that a video keeps it: the picture's own depths and half as much to either
    side, where the person turns to. What is farther than that is dark grey.
    """
    shown = rendering.depth[rendering.mask > 0.5]
    shown = shown if len(shown) else rendering.depth.flatten()
    near, far = shown.quantile(0.01), shown.quantile(0.99)
    room = ((far - near) / 2).clamp(min=0.05)

    def grey(rendering):
        place = ((far + room - rendering.depth) / (far - near + 2 * room)).clamp(0, 1)
        return ((0.15 + 0.85 * place) * rendering.mask).expand(-1, 3, -1, -1)

    return grey


def main_colours(layer: torch.Tensor, mask: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """What turns layers (1, C, H, W) into colours (1, 3, H, W): their place along three principal directions.

    These are found once, over the pixels of mask (1, 1, H, W), or all where it is empty, so that a video
    keeps its colours. Two standard deviations reach from mid grey to black and to full colour.
    """
    shown = mask[0, 0] > 0.5
    values = layer[0][:, shown if shown.any() else torch.ones_like(shown)]  # (C, N)
    mean = values.mean(1, keepdim=True)
    variances, directions = torch.linalg.eigh((values - mean) @ (values - mean).T / values.shape[1])
    quarters = 4 * variances[-3:].clamp(min=1e-12).sqrt()

    def colours(layer):
        places = directions[:, -3:].T @ (layer[0].flatten(1) - mean) / quarters[:, None]
        return (0.5 + places).clamp(0, 1).view(1, 3, *layer.shape[2:])

    return colours


def captions(names: list[str], width: int) -> np.ndarray:
    """A strip (CAPTION_HEIGHT, width, 3) uint8 with evenly spaced names."""
    strip = Image.new("RGB", (width, CAPTION_HEIGHT), "black")
    for index, name in enumerate(names):
        ImageDraw.Draw(strip).text((index * width // len(names) + 4, 2), name, "white")
    return np.array(strip)
