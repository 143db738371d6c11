"""How a person of a page looks: the texture's levels, as the shaders sample them, light and offsets."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from anr_core.avatars.anr import ANR
from anr_core.avatars.deferred import Deferred
from anr_core.avatars.static import StaticTexture
from anr_core.texture import Texture


def static_looks(static: StaticTexture) -> tuple[dict, dict]:
    """Of the texture that was unwrapped: 8 bits a colour, (charts, h, w, 4)."""
    texels = functional.pad(static.texels.view(*static.size, 3), (0, 1), value=1.0)
    return {"charts": static.size[0], "size": static.size[1]}, \
        {"colour": (texels.clamp(0, 1) * 255).round().numpy().astype("u1")}


def looks(avatar: ANR | Deferred) -> tuple[dict, dict]:
    """Words and arrays of what is learned, in half precision."""
    texture = avatar.texture
    told = {"channels": texture.channels, "charts": texture.charts, "size": texture.sizes[0][1],
            "levels": len(texture.levels), "light": None, "displaced": False}
    arrays = {"texture": _levels(texture)}
    if isinstance(avatar, ANR):
        told |= {"light": avatar.light.coefficients.tolist(), "displaced": True}
        arrays |= {"seen": _half(avatar.seen.view(texture.charts, *texture.sizes[0][1:])),
                   "displacement": avatar.displacement.float()}
    return told, arrays


def _levels(texture: Texture) -> np.ndarray:
    """(charts * groups, 1.5 h, w, 4): the finest level, below it the others side by side, finer first.

    A group is four channels; texels that nothing uses are zero.
    """
    charts, groups = texture.charts, -(-texture.channels // 4)
    _, height, width = texture.sizes[0]
    sheet = torch.zeros(charts, groups, height + height // 2 if len(texture.levels) > 1 else height, width, 4)
    top, left = 0, 0
    for level, (_, h, w) in zip(texture.levels, texture.sizes, strict=True):
        texels = functional.pad(level.detach(), (0, 4 * groups - texture.channels))
        sheet[:, :, top:top + h, left:left + w] = texels.view(charts, h, w, groups, 4).permute(0, 3, 1, 2, 4)
        top, left = height, left + w if top else 0
    return _half(sheet.flatten(0, 1))


def _half(values: torch.Tensor) -> np.ndarray:
    """As the bits of float16, which browsers have no arrays of."""
    return values.detach().half().numpy().view("u2")
