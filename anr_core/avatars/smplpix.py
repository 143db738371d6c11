"""SMPLpix: a posed mesh is drawn in colour, and one U-Net turns the picture into the person.

Without a surface it is a system for pairs of pictures: whatever somebody else has drawn goes in.

The preset `base` is the published one: a deep network draws the person anew. `quick` has a few minutes on two
cores to come out ahead of the texture that is put in. For that, here:

- the network adds to the colours that it is shown, beginning with nothing, and to the logit of the mesh's
  outline; errors are squared: by absolute ones, two of six views of a turning person lose 0.4 dB inside the
  mesh and fall behind the texture;
- a training view is drawn with colours that it has not contributed to (`folds`), on a mesh that was moved out
  to the clothes (`displacement`);
- exposure and light are taken out of the pictures first (`balance`): without that, new poses of a man filmed
  by three cameras come out 0.2 dB behind the texture inside the mesh, with it 0.9 dB ahead;
- what training views are drawn as is kept, in bytes, so that a step draws no mesh (training/inputs.py).

Source: Prokudin, Black and Romero, SMPLpix: Neural Avatars from 3D Human Models, WACV 2021; its published
program draws whole meshes, in the paper vertices are projected as points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from anr_core import losses
from anr_core.avatars.balance import ROUNDS, balance
from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.conditions import Conditions, Light
from anr_core.avatars.config import Config
from anr_core.avatars.displacement import ENOUGH, displaced, displacement
from anr_core.avatars.folds import Folds
from anr_core.avatars.inputs import CHANNELS, KINDS, Look, draw_input, surface_layers
from anr_core.avatars.rims import beyond, depths, outline
from anr_core.body import Posed, Surface
from anr_core.capture import View
from anr_core.rasterizer import GBuffer, gbuffer
from anr_core.renderer import BlockUNet
from anr_core.telling import quoted
from anr_core.texture import Unwrapping, bilinear, chart_of, sheet_of, table

# The network's learning rate at first, and what a plateau multiplies it by.
LEARN, PLATEAU = 1e-3, 0.1

# Weights of what colour and mask composite to around the outline, and of the mask alone.
COMPOSITE, MASK = 10.0, 0.1

# Weight of what the network adds where the mesh is or nothing is certain, and for few pictures, of which it
# learns tones by heart.
HELD, HELD_OF_FEW = 3.0, 10.0

# How much steeper a mask is drawn than learned, as ANR's.
SHARP = 1.5

# A drawn mask below half a byte's step is none. Else some of it is left at a picture's edge, beyond which the
# network's layers see zeros: a faint frame on a grey of 0.5, which lies between two bytes.
LEAST = 0.5 / 255

# Whether this CPU multiplies bfloat16; torch says so in private alone.
BFLOAT16 = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()

# Share of a training in which a discriminator judges along, where one does, and its rates: the paper's second
# stage.
JUDGED, ADVERSARY = 0.3, (4e-4, 4e-5)


@dataclass(frozen=True)
class Settings(Config):
    """A SMPLpix's settings; `levels` is its number of blocks, `width` the channels of the first."""

    network_settings: ClassVar[tuple[str, ...]] = ("width", "levels", "fold", "norm", "activation", "up",
                                                   "input_channels", "masked", "residual", "sigmoid")

    system: str = "smplpix"
    # what of a posed mesh is drawn: its surface by "texture", "vertices" (their colours) or "shading", or
    # "points" (vertices alone)
    drawn: str = "texture"
    # how many vertices are drawn as points; 0 for all
    points: int = 0
    # channels of its input that the network is shown: 3 of colour, 4 with nearness, 5 with coverage; of pairs
    # of pictures as many as theirs have
    input_channels: int = 3
    # the network draws a mask, too; else a person is where the mesh is, and a pair's picture is all of one
    masked: bool = True
    # the network adds to the colours that it is shown, and begins by adding nothing; else it draws anew
    residual: bool = True
    # what follows each convolution: "batch", "group", "instance" or "none"
    norm: str = "none"
    # "relu", "leaky", "silu" or "none"
    activation: str = "relu"
    # how the network gains resolution: "bilinear" or "nearest" with a convolution, or "transpose"
    up: str = "bilinear"
    # colours are compared by their squared difference, or as published by the absolute one
    squared: bool = True
    # weight of what differs in the features of a VGG16, where its weights can be had; far too slow for two
    # cores. Where they can't, `structure` stands in for it
    vgg: float = 0.0
    # how learning rates fall: "cosine", down to the end of a stage; or "plateau", to a tenth where the loss
    # of the views of split "validation" no longer falls, or without these that of the training views
    schedule: str = "cosine"
    # how often in a row, every ten passes, the loss may be no lower before the learning rate falls
    patience: int = 3
    # colours end in a sigmoid, where they are drawn anew
    sigmoid: bool = True
    # pairs of pictures are drawn so many times smaller than they are
    downsample: float = 1.0
    # share of the pairs that training scales, turns and shifts, input and picture alike: more for fewer pairs
    augment: float = 0.2
    # up to so many times larger or smaller
    augment_scale: float = 1.3
    # degrees, to either side
    augment_turn: float = 20.0
    # share of the picture's width and height, to either side
    augment_shift: float = 0.1

    def levels_for(self, pictures: int) -> int:
        """From a hundred pictures on one more than ANR has: here is one network, not two in a row."""
        return self.levels or 1 + sum(pictures >= enough for enough in (30, 100, 1000))


# As published, but for what a discriminator says, which is the paper's.
PUBLISHED = Settings(size=512, width=32, levels=5, fold=1, norm="batch", residual=False, squared=False,
                     vgg=1.0, structure=0.1, schedule="plateau", adversary=0.001, batch=8)

PRESETS = {
    # two large windows a step: what is read and cut takes half as long as for four small ones
    "quick": Settings(width=32, window=224, batch=2),
    "base": replace(PUBLISHED, preset="base", window=320, texture_size=512, workers=2, steps=20_000),
    "large": replace(PUBLISHED, preset="large", window=512, texture_size=1024, width=48, workers=4,
                     steps=60_000),
}


class SMPLpix(Avatar):
    """See the module; `surface` is None for pairs of pictures, `pictures` are those of the training."""

    needs = ("posed", "camera", "frame", "camera_name")
    draws = "image pair"
    shared = ("network",)
    textured = ("texels", "displacement", "light")

    def __init__(self, config: Settings, surface: Surface | None, pictures: list[tuple[str, int]]):
        super().__init__(config, surface)
        if config.drawn not in KINDS:
            raise ValueError(f"drawn {quoted(config.drawn)} is unknown; use one of {', '.join(KINDS)}.")
        self.folds, self.trained = Folds(pictures), len(pictures)
        if surface is None:
            self.needs, self.controls = ("image",), ()
        else:
            if not 3 <= config.input_channels <= CHANNELS:
                raise ValueError(f"input_channels is {config.input_channels}; a drawn mesh has 3 (colour), 4 "
                                 "(with nearness) or 5 (with coverage).")
            charts = int(surface.part.max()) if config.charts_by_part else 1
            self.size = (charts, config.texture_size, config.texture_size)
            self.register_buffer("texels", torch.full((charts * config.texture_size**2, 3), 0.5))
            self.register_buffer("displacement", torch.zeros(int(surface.faces.max()) + 1))  # metres
            self.light, self.conditions = Light(), Conditions(pictures)
        self.left_out: list[torch.Tensor] = []  # texels without each group of pictures
        self.network = BlockUNet(config.input_channels, 3 + config.masked, config.width,
                                 config.levels_for(len(pictures)), config.norm, config.activation, config.up,
                                 config.fold)
        if config.residual:
            torch.nn.init.zeros_(self.network.leave.weight)

    def begin(self, stage: Stage, views: Callable[..., Iterator[tuple[View, Posed]]]) -> None:
        super().begin(stage, views)
        if not self.has_surface or self.left_out or self.config.freeze_texture:
            return

        def seen(most):
            for view, posed in views(most):
                yield replace(view, camera=self.projected(view.camera, posed)), posed

        self.displacement.copy_(displacement(seen, self.trained, len(self.displacement)))
        for _ in range(ROUNDS if self.trained >= ENOUGH else 0):
            self.texels.copy_(table(self._unwrapped(views()).texture()[0]))
            balance(self.conditions, self.light, self._beside_texture(views()))
        unwrapping = self._unwrapped(views(), self.folds)
        self.texels.copy_(table(unwrapping.texture()[0]))
        self.left_out = [table(unwrapping.texture(without=1 + group)[0]) for group in range(self.folds.count)]

    @torch.no_grad()
    def _unwrapped(self, views: Iterator[tuple[View, Posed]], folds: Folds | None = None) -> Unwrapping:
        """The training views, laid onto the surface rid of gain and light: all, and in the folds' groups."""
        unwrapping = Unwrapping(self.surface, self.config.texture_size, self.size[0],
                                1 + (folds.count if folds else 0))
        for scene, view, posed, camera in self._meshes(views):
            buffer = gbuffer(posed, camera, view.size)
            # 1 beside the mesh: texels at the outline are sampled from both sides of it
            light = 1 + buffer.image(self.light(buffer.normal) - 1)
            light = light * self.conditions.gain(scene)[..., None, None]
            groups = folds.of((view.camera_name[0], int(view.frame))) if folds else ()
            unwrapping.add(view.image / light, view.trusted(), posed, camera,
                           (0, *(1 + group for group in groups)))
        return unwrapping

    @torch.no_grad()
    def _beside_texture(self, views: Iterator[tuple[View, Posed]]):
        """Of training views what `balance` compares."""
        for _, view, posed, camera in self._meshes(views):
            buffer = gbuffer(posed, camera, view.size)
            use = view.trusted().flatten()[buffer.pixels] & (buffer.facing > 0.2)
            drawn = bilinear(self.texels, self.size, chart_of(buffer.part, self.size[0]), buffer.uv)
            taken = view.image.permute(0, 2, 3, 1).flatten(0, 2)[buffer.pixels]
            yield (view.camera_name[0], int(view.frame)), drawn[use], buffer.normal[use], taken[use]

    def _meshes(self, views: Iterator[tuple[View, Posed]]):
        for view, posed in views:
            scene = Scene(posed, view.camera, view.size, None, view.frame, view.camera_name)
            yield scene, view, displaced(posed, self.displacement), self.projected(view.camera, posed)

    @torch.no_grad()
    def inputs(self, scene: Scene) -> list[torch.Tensor]:
        groups = self.folds.of((scene.camera_name[0], int(scene.frame))) if self.left_out else []
        textures = [self.left_out[group] for group in groups] or [self.texels]
        shown = [*range(self.config.input_channels), CHANNELS - 1]  # coverage last, shown or not
        return [self._draw(scene, texels)[0][:, sorted(set(shown))] for texels in textures]

    def _draw(self, scene: Scene, texels: torch.Tensor) -> tuple[torch.Tensor, GBuffer | None]:
        look = Look(self.config.drawn, self.config.points, texels, self.size, self.light)
        return draw_input(displaced(scene.posed, self.displacement),
                          self.projected(scene.camera, scene.posed), scene.size, look)

    def forward(self, scene: Scene) -> Rendering:
        image, layers = scene.image, {}
        if image is None:
            image, buffer = self._draw(scene, self.texels)
            layers = ({} if buffer is None else surface_layers(buffer)) | {"texture": image[:, :3]}
        gain = self.conditions.gain(scene)[..., None, None] if self.has_surface else None
        rgb, mask, added, coverage = self.drawn(image, gain)
        return Rendering(rgb, mask, layers.pop("depth", None),
                         {"input": image[:, :3], "coverage": coverage, "added": added, **layers})

    def drawn(self, image: torch.Tensor, gain: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """What becomes of an input: colour, mask, what was added to the input's colour, and coverage.

        image  (B, C, H, W)  as `draw_input` draws it, or a pair's
        gain   (B, 3, 1, 1)  of the picture; None for pairs of pictures
        """
        shown = image[:, :self.config.input_channels]
        coverage = image[:, -1:].contiguous() if self.has_surface else torch.ones_like(image[:, :1])
        with self._short(shown):
            added = self.network(shown).to(shown)
        rgb = added[:, :3]
        if self.config.residual:
            rgb = rgb + (beyond(image[:, :3], coverage) if self.has_surface else image[:, :3])
        elif self.config.sigmoid:
            rgb = torch.sigmoid(rgb)
        if self.has_surface:
            rgb = rgb * gain
        mask = coverage
        if self.config.masked:
            begins = outline(coverage) if self.has_surface else 0
            logit = added[:, 3:] + begins
            mask = torch.sigmoid(logit if self.training else SHARP * logit)
            if not self.training:
                mask = mask * (mask >= LEAST)
        return rgb if self.training else rgb.clamp(0, 1), mask, added[:, :3], coverage

    def _short(self, image: torch.Tensor) -> AbstractContextManager:
        """bfloat16 where a CPU multiplies it and nothing is learned: the network takes a third less time.

        Only of what is added to a texture: there no colour moves by as much as a byte's step.
        """
        if self.training or torch.is_grad_enabled() or not self.config.residual or image.is_cuda:
            return nullcontext()
        if torch.jit.is_tracing():  # a graph that is handed on keeps its digits
            return nullcontext()
        return torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16)

    def pictures(self) -> dict[str, torch.Tensor]:
        return {} if self.surface is None else {"atlas": sheet_of(self.texels, self.size)}

    def initialize(self, rgb: torch.Tensor) -> None:
        if not self.config.freeze_texture:
            self.texels.copy_(table(rgb))

    def losses(self, scene: Scene, rendering: Rendering, view: View, stage: str) -> dict[str, torch.Tensor]:
        certain, inside = view.certain.to(view.image), view.trusted().to(view.image)
        coverage = rendering.layers["coverage"]
        compare = losses.mse if self.config.squared else losses.l1
        terms = {"colour": compare(rendering.rgb, view.image, inside)}
        if self.config.masked:
            # at the outline colour and mask are judged together, as what they composite to; pairs have none
            rim = 1 - depths(coverage) if self.has_surface else torch.ones_like(certain)
            terms["composite"] = COMPOSITE * compare(rendering.over(0), view.image * view.mask, certain * rim)
            terms["mask"] = MASK * losses.mask_entropy(rendering.mask, view.mask, certain)
        if self.has_surface and self.config.residual and not self.config.freeze_texture:
            unchecked = torch.maximum((coverage > 0).to(certain), 1 - certain)
            held = HELD if self.trained >= ENOUGH else HELD_OF_FEW
            terms["added"] = held * losses.weighted_mean(rendering.layers["added"].square(), unchecked)
        return terms | self._sharpness(rendering, view, certain, inside)

    def _sharpness(self, rendering, view, certain, inside):
        """What makes pictures sharp, and takes longer than the rest."""
        config, terms = self.config, {}
        features = None
        if config.vgg:
            features = losses.vgg(rendering.over(0), view.image * view.mask, certain)
        if features is not None:
            terms["vgg"] = config.vgg * features
        elif config.structure:
            terms["structure"] = config.structure * losses.structure(rendering.rgb, view.image, inside)
        if config.perceptual:
            distance = losses.perceptual(rendering.rgb, view.image, inside)
            if distance is not None:
                terms["perceptual"] = config.perceptual * distance
        return terms

    def stages(self, config: Settings) -> list[Stage]:
        if config.freeze_renderers:
            return []  # another's network, as it is, draws what was unwrapped
        plateau = (PLATEAU, config.patience) if config.schedule == "plateau" else None
        fast, slow = {"network": (LEARN, LEARN / 20)}, {"network": (LEARN / 10, LEARN / 100)}
        if config.adversary and config.freeze_texture:  # who paints can draw already
            return [Stage("adversary", 1.0, fast, ADVERSARY, plateau)]
        judged = JUDGED if config.adversary else 0.0
        stages = [Stage("pictures", 1 - judged, fast, None, plateau)]
        if judged:
            stages.append(Stage("adversary", judged, slow, ADVERSARY, plateau))
        return stages
