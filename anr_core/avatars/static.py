"""The static texture: frames unwrapped onto the surface, nothing learned. Every result's yardstick."""

from __future__ import annotations

import torch

from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.config import Config
from anr_core.body import Surface
from anr_core.rasterizer import gbuffer
from anr_core.texture import bilinear, chart_of, sheet_of, table


class StaticTexture(Avatar):
    """One colour a texel, the same in every picture; its mask is the mesh's outline."""

    def __init__(self, config: Config, surface: Surface, pictures=()):
        super().__init__(config, surface)
        charts = int(surface.part.max()) if config.charts_by_part else 1
        self.size = (charts, config.texture_size, config.texture_size)
        self.register_buffer("texels", torch.full((charts * config.texture_size**2, 3), 0.5))

    def initialize(self, rgb: torch.Tensor) -> None:
        self.texels.copy_(table(rgb))

    def forward(self, scene: Scene) -> Rendering:
        buffer = gbuffer(scene.posed, self.projected(scene.camera, scene.posed), scene.size)
        chart = chart_of(buffer.part, self.size[0])
        colour = buffer.image(bilinear(self.texels, self.size, chart, buffer.uv))
        return Rendering(colour, buffer.coverage(), buffer.image(buffer.depth),
                         {"iuv": buffer.iuv(), "normals": buffer.image(buffer.camera_normal)})

    def pictures(self) -> dict[str, torch.Tensor]:
        return {"atlas": sheet_of(self.texels, self.size)}

    def stages(self, config: Config) -> list[Stage]:
        return []
