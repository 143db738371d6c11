"""Deferred Neural Rendering, the baseline: one network, view direction in the features, nothing held back.

Source: Thies et al., Deferred Neural Rendering, ACM Transactions on Graphics 2019, sections 4.1 to 4.3: a
texture pyramid, channels 3 to 11 multiplied by nine spherical harmonics of the view direction, channels 0 to
2 also supervised as colour, one U-Net, trained end to end. The mask is ours, so that it can stand beside ANR.
"""

from __future__ import annotations

import torch

from anr_core import losses
from anr_core.avatars.anr import LATENT
from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.conditions import spherical_harmonics
from anr_core.avatars.config import Config
from anr_core.body import Surface
from anr_core.capture import View
from anr_core.rasterizer import gbuffer
from anr_core.renderer import UNet
from anr_core.texture import Texture, sheet


class Deferred(Avatar):
    """See the module; its network has as many parameters as R1 and R2 of the same settings, to 2 %."""

    shared = ("network",)

    def __init__(self, config: Config, surface: Surface, pictures=()):
        super().__init__(config, surface)
        if config.texture_channels < 12:
            raise ValueError("deferred needs 12 texture channels or more (3 of colour, 9 that follow the "
                             f"view), but texture_channels is {config.texture_channels}.")
        charts = int(surface.part.max()) if config.charts_by_part else 1
        self.texture = Texture(config.texture_channels, config.texture_size, config.texture_levels, charts)
        levels = config.levels_for(len(pictures))
        self.network = UNet(config.texture_channels, 4, matched_width(config, levels), levels, config.fold)

    def forward(self, scene: Scene) -> Rendering:
        buffer = gbuffer(scene.posed, self.projected(scene.camera, scene.posed), scene.size)
        sampled = buffer.image(self.followed(self.texture(buffer.part, buffer.uv), buffer.towards))
        rgb, mask = self.drawn(sampled)
        return Rendering(rgb, mask, buffer.image(buffer.depth),
                         {"iuv": buffer.iuv(), "features": sampled, "texture": sampled[:, :3],
                          "normals": buffer.image(buffer.camera_normal), "coverage": buffer.coverage()})

    def followed(self, features: torch.Tensor, towards: torch.Tensor) -> torch.Tensor:
        """The texture's channels (..., C) where the camera is in direction (..., 3): some follow the view."""
        colour, followed, rest = features.split([3, 9, self.texture.channels - 12], -1)
        return torch.cat([colour, followed * spherical_harmonics(towards), rest], -1)

    def drawn(self, sampled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Colour (B, 3, H, W) and mask (B, 1, H, W) of features (B, C, H, W)."""
        rgb, mask = torch.sigmoid(self.network(sampled)).split([3, 1], 1)
        return rgb, mask

    def pictures(self) -> dict[str, torch.Tensor]:
        return {"atlas": sheet(self.texture.image()[:, :3])}

    def initialize(self, rgb: torch.Tensor) -> None:
        self.texture.initialize(rgb)

    def losses(self, scene: Scene, rendering: Rendering, view: View, stage: str) -> dict[str, torch.Tensor]:
        certain = view.certain.to(view.image)
        inside = view.trusted().to(view.image)
        covered = inside * rendering.layers["coverage"]
        return {"l1": losses.l1(rendering.rgb, view.image, inside),
                "texture": losses.l1(rendering.layers["texture"], view.image, covered),
                "mask": 0.1 * losses.mask_entropy(rendering.mask, view.mask, certain),
                "levels": 1e-3 * self.texture.regularization()}

    def stages(self, config: Config) -> list[Stage]:
        network = {} if config.freeze_renderers else {"network": (1e-3, 1e-4)}
        return [Stage("all", 1.0, {"texture": (1e-2, 1e-3)} | network)]


def matched_width(config: Config, levels: int) -> float:
    """The width at which one U-Net has about the parameters of R1 and R2 of the same settings together."""
    def count(*networks):
        return sum(parameter.numel() for network in networks for parameter in network.parameters())

    rest = levels, config.fold
    with torch.device("meta"):
        wanted = count(UNet(config.texture_channels + 2, LATENT, config.width, *rest),
                       UNet(LATENT + 3, 4, config.width, *rest))
        widths = [config.width * (1 + step / 64) for step in range(65)]  # up to twice as wide
        counts = [count(UNet(config.texture_channels, 4, width, *rest)) for width in widths]
        return min(zip(counts, widths, strict=True), key=lambda pair: abs(pair[0] - wanted))[1]
