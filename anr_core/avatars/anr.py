"""Articulated Neural Rendering: a learned texture on a posed mesh, drawn by two networks.

R1 turns the sampled features into a refined latent image, which may leave the mesh's outline (hair, loose
clothes); R2 takes it with the mesh's normals and gives colour and foreground mask. Source: Raj et al.,
Articulated Neural Rendering for Virtual Avatars, CVPR 2021 (arXiv 2012.12890).

With few frames and registrations that are some pixels off, such a network learns its training views by heart
and draws a new camera worse than the plain texture does: 22.8 dB against 26.5 inside the mesh, on two of six
views of a turning person, after four minutes. Against that, here:

- the first three channels are the colour itself, under a light that is fixed in the world, and the networks
  begin by adding nothing to it; the mask begins as the mesh's outline, blurred; at the outline colour and
  mask are judged together, as what they composite to (`depths`);
- exposure and colour balance of the pictures have parameters of their own, which are learned first, from
  some thirty pictures on (`conditions`); then the colour is unwrapped anew, rid of them, and rests while the
  networks learn;
- while they learn, a picture is drawn with the colours that the pictures of other cameras, or of other
  stretches of time, have left on the surface (`folds`), and only where those saw something;
- the mesh is moved out to where clothes and hair are, by one number a vertex, from some thirty pictures on
  (`displacement`): without it colours taken from different sides don't meet;
- the other channels begin at zero, are left out half of the time, so that a texel that nobody has seen does
  no harm, and are learned the slower the fewer pictures there are, from some thirty pictures on;
- networks of few pictures see less far (`Config.levels_for`), and what they add is held down;
- normals are those of the camera: every new view has the same kinds of them, while a network that knows the
  world's has never seen those of a side that no camera was on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch

from anr_core import losses
from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.conditions import Conditions, Light
from anr_core.avatars.config import Config
from anr_core.avatars.displacement import displaced, displacement
from anr_core.avatars.folds import Folds
from anr_core.avatars.rims import beyond, depths, outline
from anr_core.body import Posed, Surface
from anr_core.capture import View
from anr_core.processes import own
from anr_core.rasterizer import GBuffer, gbuffer
from anr_core.renderer import UNet
from anr_core.texture import (
    Texture,
    Unwrapping,
    belonging,
    bilinear,
    chart_of,
    mix,
    on_texels,
    sheet,
    table,
)

LATENT = 16  # channels between R1 and R2

# The networks' learning rate at first.
LEARN = 1e-3

# The discriminator's.
ADVERSARY = (4e-4, 4e-5)

# With fewer training pictures than this the learned channels stay at zero: at any learning rate they came to
# hold single pictures, and views held out lost up to 4 dB. Nor are light and gains learned, which so few
# can't tell from the person's own colours: views held out lost 0.001 FLIP by them.
FEW = 30

# With fewer cameras than this what the networks add is held down ten times as firmly: of two cameras of three
# they learned something that cost the third 0.3 dB, and nothing that new poses gained by. Four gain by it.
FEW_CAMERAS = 4

# The learned channels' rate where they are all that learns: no network can read out of them which picture it
# is. Of 68 pictures it gains 0.14 dB on a new camera over what these channels learn at beside a network.
FROZEN = 3e-3

# How much steeper a mask is drawn than learned. Learned by squared errors it is as wide as registrations are
# doubtful, which nobody wants to see: on two real and made-up people FLIP gains 2 to 7 %, PSNR loses 0.1 dB.
SHARP = 1.5

# Share of the training pictures that the learned channels are kept in; in the others they are 0, as on texels
# that no picture has shown.
KEPT = 0.5


class ANR(Avatar):
    """See the module; `pictures` are (camera name, frame) of the training views."""

    needs = ("posed", "camera", "frame", "camera_name")
    shared = ("r1", "r2")

    def __init__(self, config: Config, surface: Surface, pictures: list[tuple[str, int]]):
        super().__init__(config, surface)
        self.charts = int(surface.part.max()) if config.charts_by_part else 1
        self.texture = Texture(config.texture_channels, config.texture_size, config.texture_levels,
                               self.charts)
        self.register_buffer("seen", torch.zeros(self.charts * config.texture_size**2, 1))
        self.register_buffer("displacement", torch.zeros(int(surface.faces.max()) + 1))  # metres
        self.light = Light()
        self.conditions = Conditions(pictures)
        levels = config.levels_for(len(pictures))
        self.r1 = UNet(config.texture_channels + 2, LATENT, config.width, levels, config.fold)
        self.r2 = UNet(LATENT + 3, 4, config.width, levels, config.fold)
        self.stage: str | None = None
        self.folds = Folds(pictures)
        self.left_out: torch.Tensor | None = None  # (groups * P * h * w, 4) colour and `seen` without a group

    def begin(self, stage: Stage, views: Callable[..., Iterator[tuple[View, Posed]]]) -> None:
        super().begin(stage, views)
        self.stage = stage.name
        if stage.name == "renderers":
            self._unwrap(views())
        else:
            def seen(most):
                for view, posed in views(most):
                    yield replace(view, camera=self.projected(view.camera, posed)), posed

            self.displacement.copy_(displacement(seen, len(self.conditions.pictures),
                                                 len(self.displacement)))

    def _unwrap(self, views: Iterator[tuple[View, Posed]]) -> None:
        """Lay the training views onto the surface, rid of gain and light: all, and without each group."""
        size = self.config.texture_size
        unwrapping = Unwrapping(self.surface, size, self.charts, self.folds.count + 1)
        with torch.no_grad():
            for view, posed in views:
                scene = Scene(posed, view.camera, view.size, None, view.frame, view.camera_name)
                camera, posed = self.projected(view.camera, posed), displaced(posed, self.displacement)
                buffer = gbuffer(posed, camera, view.size)
                # 1 beside the mesh: texels at the outline are sampled from both sides of it
                light = 1 + buffer.image(self.light(buffer.normal) - 1)
                light = light * self.conditions.gain(scene)[..., None, None]
                picture = view.camera_name[0], int(view.frame)
                unwrapping.add(view.image / light, view.trusted(), posed, camera,
                               (0, *(1 + group for group in self.folds.of(picture))))
            rgb, weight = unwrapping.texture()
            self.texture.write(rgb)
            self.seen.copy_(table(weight / (weight + 1)))
            rest = []
            for group in range(self.folds.count):
                rgb, weight = unwrapping.texture(without=1 + group)
                rest.append(table(torch.cat([rgb, weight / (weight + 1)], 1)))
            self.left_out = torch.cat(rest) if rest else None

    def features(self, buffer: GBuffer, scene: Scene) -> torch.Tensor:
        """(N, C + 1) the texture's channels and how well the colour was seen."""
        features = self.texture(buffer.part, buffer.uv)
        chart = chart_of(buffer.part, self.charts)
        shape = (self.charts, self.config.texture_size, self.config.texture_size)
        if not self.training or self.stage != "renderers" or self.left_out is None:
            return torch.cat([features, bilinear(self.seen, shape, chart, buffer.uv)], 1)
        kept = (own(torch.rand, len(scene.camera)) < KEPT).to(features)[buffer.picture, None]
        group = self.folds.choose(scene).to(chart)[buffer.picture]
        colour = bilinear(self.left_out, (self.charts * self.folds.count, *shape[1:]),
                          chart + group * self.charts, buffer.uv)
        return torch.cat([colour[:, :3], features[:, 3:] * kept, colour[:, 3:]], 1)

    def forward(self, scene: Scene) -> Rendering:
        buffer = gbuffer(displaced(scene.posed, self.displacement),
                         self.projected(scene.camera, scene.posed), scene.size)
        features = self.features(buffer, scene)
        lit = features[:, :3] * self.light(buffer.normal)
        covered = torch.ones_like(buffer.depth)[:, None]
        image = buffer.image(torch.cat([features, covered, buffer.camera_normal, lit], 1))
        sampled, normals, lit = image.split([self.texture.channels + 2, 3, 3], 1)
        gain = self.conditions.gain(scene)[..., None, None]
        rgb, mask, latent, added = self.drawn(sampled, normals, lit, gain)
        return Rendering(rgb, mask, buffer.image(buffer.depth),
                         {"iuv": buffer.iuv(), "features": sampled[:, :-2], "latent": latent,
                          "normals": normals, "texture": lit * gain, "coverage": sampled[:, -1:],
                          "seen": sampled[:, -2:-1], "added": added})

    def drawn(self, sampled: torch.Tensor, normals: torch.Tensor, lit: torch.Tensor, gain: torch.Tensor
              ) -> tuple[torch.Tensor, ...]:
        """What becomes of a G-buffer: colour, mask, R1's latent image, and what R2 adds to colours.

        sampled  (B, C + 2, H, W)  `features` as pictures, and coverage
        normals  (B, 3, H, W)      camera coordinates
        lit      (B, 3, H, W)      the texture's colour in the world's light
        gain     (B, 3, 1, 1)      of the picture
        """
        coverage = sampled[:, -1:]
        latent, added, mask = self._networks(sampled, normals)
        rgb = (beyond(lit, coverage) + added) * gain
        logit = mask + outline(coverage)
        if self.training:
            return rgb, torch.sigmoid(logit), latent, added  # clamped, it has no gradient
        return rgb.clamp(0, 1), torch.sigmoid(SHARP * logit), latent, added

    def _networks(self, sampled, normals):
        """R1's latent image, and what R2 adds to colour (B, 3, H, W) and to the mask's logit (B, 1, H, W)."""
        if self.stage == "conditions":  # they have not begun
            return sampled[:, :LATENT], torch.zeros_like(normals), torch.zeros_like(normals[:, :1])
        latent = self.r1(sampled) + sampled[:, :LATENT]
        return latent, *self.r2(torch.cat([latent, normals], 1)).split([3, 1], 1)

    def pictures(self) -> dict[str, torch.Tensor]:
        return {"atlas": sheet(self.texture.image()[:, :3])}

    def initialize(self, rgb: torch.Tensor) -> None:
        self.texture.write(rgb)  # unseen texels say nothing in the others

    def wearing(self, other: ANR, parts: Iterable[str]) -> ANR:
        """This person with texture and displacement of another in some parts, named as `Body.parts` does.

        Raises ValueError where the two have other renderers, textures or surfaces.
        """
        if self.body is None:
            raise ValueError("This avatar has no body, which knows the parts: its capture was not found. "
                             "Set avatar.body, or load the run beside its capture.")
        mine, theirs = self.state_dict(), other.state_dict()
        alike = [name for name in mine if name.startswith(("surface", *self.shared))]
        if mine.keys() != theirs.keys() or mine["seen"].shape != theirs["seen"].shape or \
                not all(torch.equal(mine[name], theirs[name]) for name in alike):
            raise ValueError("These two can't wear each other's parts: surface, texture size or renderers "
                             "differ. Train them together, or one with --init and --freeze-renderers.")
        belongs = belonging(self.body.parts(parts), self.surface)
        share = on_texels(belongs, self.surface, self.config.texture_size, self.charts)
        worn = copy.deepcopy(self)
        worn.texture = mix(self.texture, other.texture, share)
        worn.seen.lerp_(other.seen, table(share))
        worn.displacement.lerp_(other.displacement, belongs)
        return worn

    def losses(self, scene: Scene, rendering: Rendering, view: View, stage: str) -> dict[str, torch.Tensor]:
        certain = view.certain.to(view.image)
        inside = view.trusted().to(view.image)
        if stage == "conditions":
            seen = inside * rendering.layers["coverage"]
            return {"texture": losses.mse(rendering.layers["texture"], view.image, seen),
                    "conditions": 0.01 * self.conditions.regularization(),
                    "light": 0.1 * self.light.regularization()}
        # where the texture was made without any picture of a place, there is nothing to be learned about it
        coverage, seen = rendering.layers["coverage"], rendering.layers["seen"]
        inside = inside * torch.where(coverage > 0, (seen / 0.2).clamp(max=1), 1.0)
        # on the mesh and where nothing is certain: what no loss looks at would drift to any colour
        unchecked = torch.maximum((coverage > 0).to(certain), 1 - certain)
        # few pictures' silhouettes are not to be learned too well; of many, a weak loss leaves a haze around
        sure = 0.02 if len(self.conditions.pictures) < FEW else 0.1
        held = 30 if len(self.conditions.cameras) < FEW_CAMERAS else 3
        terms = {"mse": losses.mse(rendering.rgb, view.image, inside),
                 "added": held * losses.weighted_mean(rendering.layers["added"].square(), unchecked),
                 "composite": 10 * losses.mse(rendering.over(0), view.image * view.mask,
                                              certain * (1 - depths(coverage))),
                 "mask": sure * losses.mask_entropy(rendering.mask, view.mask, certain),
                 "levels": 1e-3 * self.texture.regularization(slice(3, None))}
        if self.config.structure:
            terms["structure"] = self.config.structure * losses.structure(rendering.rgb, view.image, inside)
        if self.config.perceptual:
            distance = losses.perceptual(rendering.rgb, view.image, inside)
            if distance is not None:
                terms["perceptual"] = self.config.perceptual * distance
        return terms

    def stages(self, config: Config) -> list[Stage]:
        coarse = f"texture.levels.{config.texture_levels - 1}"
        renderers = {} if config.freeze_renderers else {name: (LEARN, LEARN / 20) for name in self.shared}
        pictures = len(self.conditions.pictures)
        if pictures >= FEW or config.freeze_renderers:
            learn = FROZEN if config.freeze_renderers else 5e-3 * min(1.0, pictures / 1000)
            renderers["texture"] = (learn, learn / 10)
        conditions = {coarse: (5e-3, 5e-4)}
        if pictures >= FEW:
            # half as fast, the gains are not there yet when the stage ends: new poses of a walk lost 0.16 dB
            conditions |= {"light": (5e-3, 5e-4), "conditions.camera_gain": (1e-2, 1e-3),
                           "conditions.picture_gain": (5e-3, 5e-4)}
        return [Stage("conditions", 0.15, conditions),
                Stage("renderers", 0.85, renderers, ADVERSARY if config.adversary else None)]
