"""What happens on the way to a picture, as pictures: IUV, features, latent image, normals, mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw

from anr_core.avatars import Rendering
from anr_core.body import Surface

CAPTION_HEIGHT = 16  # pixels


class Layers:
    """Renderings of one avatar as pictures, whose colours mean the same from one to the next."""

    def __init__(self):
        self._colours = {}

    def panels(self, rendering: Rendering, surface: Surface, background: torch.Tensor | float
               ) -> dict[str, torch.Tensor]:
        """(1, 3, H, W) of each step that this system has, by its name; the result is the last one."""
        layers = rendering.layers
        panels = {}
        if "iuv" in layers:
            part, uv = layers["iuv"].split([1, 2], 1)
            panels["IUV"] = torch.cat([part / surface.part.max(), uv], 1)
        if "texture" in layers:
            panels["texture"] = layers["texture"]
        for name in ("features", "latent"):
            if name in layers:
                if name not in self._colours:
                    self._colours[name] = main_colours(layers[name], rendering.mask)
                panels[name] = self._colours[name](layers[name])
        if "normals" in layers:
            panels["normals"] = (layers["normals"] + 1) / 2 * (layers["normals"] != 0).any(1, keepdim=True)
        panels["mask"] = rendering.mask.expand(-1, 3, -1, -1)
        panels["result"] = rendering.over(background)
        return panels

    def overview(self, rendering: Rendering, surface: Surface, background: torch.Tensor | float
                 ) -> np.ndarray:
        """(H, W, 3) uint8: all of them side by side, under their names."""
        panels = self.panels(rendering, surface, background)
        row = picture(torch.cat(list(panels.values()), 3))
        return np.concatenate([captions(list(panels), row.shape[1]), row])


def picture(batch: torch.Tensor) -> np.ndarray:
    """The first of (B, 3, H, W) as (H, W, 3) uint8."""
    return (batch[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


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
