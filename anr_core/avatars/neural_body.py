"""Neural Body: codes on the body's vertices become a volume around it, which rays are integrated through.

    posed vertices and their codes -> voxels in the body's frame -> four diffused grids (volume/diffusion.py)
    a ray's samples near the body -> features out of all four -> density, colour under the frame's latent
    samples along a ray -> colour, mask, depth

The same codes are used in all frames, so that what one shows of the person is known in all. Source: Peng et
al., Neural Body: Implicit Neural Representations with Structured Latent Codes for Novel View Synthesis of
Dynamic Humans, CVPR 2021 (arXiv 2012.15838).

What differs from the published code, for any preset:

- no compiled sparse convolution is needed; statistics of normalisations are a picture's own (diffusion.py);
- the body's frame is found from the vertices, since a tracked mesh comes without one (volume/frame.py);
- where a ray is in the box but far from the body nothing is computed, and its samples go where the body is;
- what the last sample of a ray stands for ends where the others' stretches do, and not at infinity.

A frame that was not trained is drawn with the latent of the nearest that was, and this is said. Frames are
told by number: another capture's frames have the latents of what was filmed under the same numbers.

The body's frame is how the person stood at the first training picture, upright. People who share what
diffuses their codes (--with, --init) do best if all look the same way there, as the studio's do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from anr_core import losses
from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.config import Config
from anr_core.body import Posed, Surface
from anr_core.camera import pixel_centres
from anr_core.capture import Capture, View
from anr_core.telling import quoted
from anr_core.volume import (
    MARGIN,
    Diffusion,
    Field,
    Nearby,
    Space,
    Tracer,
    body_points,
    largest_grid,
    rigid_frame,
    rigid_weights,
    voxelise,
)
from anr_core.volume.spconv import MISSING

POSES = 30    # training views out of which the body's frame is found
DENSE = 20.0  # a metre: density of one, where it is bounded softly

# what settings may be where room for tables and samples depends on them
LIMITS = {"voxel": (1e-4, 0.1), "reach": (0.02, 1.0), "samples": (2, 4096), "rays": (2, 10**6),
          "memory": (1e-2, 1e4)}

DENSITIES = {"relu": functional.relu, "softplus": lambda raw: DENSE * functional.softplus(raw - 1)}


@dataclass(frozen=True)
class Settings(Config):
    """Those of the system; `width` is that of the first convolutions, the other ones' follow from it."""

    network_settings: ClassVar[tuple[str, ...]] = ("code", "width", "hidden", "latent", "voxel", "density")

    system: str = "neural-body"
    # side of a voxel, metres: smaller ones are sharper, and slower
    voxel: float = 0.005
    # channels of a vertex's code
    code: int = 16
    # width of what decodes density and colour
    hidden: int = 256
    # channels of a frame's latent
    latent: int = 128
    # samples along a ray
    samples: int = 64
    # metres around the body's vertices where there may be something; hair and clothes have to be within it,
    # and within 5 cm of the box around all of the body
    reach: float = 0.1
    # pixels a picture and step
    rays: int = 1024
    # side of the square patches that these come in, pixels: what `perceptual` needs; 0 takes single pixels
    patch: int = 0
    # how a density is kept above zero: "relu" as published, or "softplus", which begins quicker
    density: str = "relu"
    # weight of the mask, which the published losses don't look at
    mask: float = 0.0
    # what is behind the person in training: 0 black, 1 white
    background: float = 0.0
    # learning rate at first
    rate: float = 5e-4
    # GiB that drawing may take: pictures are drawn in as many pieces as that needs
    memory: float = 1.0
    # what diffuses codes: "torch", or "spconv" where it is installed
    backend: str = "torch"


PRESETS = {
    "quick": Settings(batch=2, width=8, voxel=0.01, hidden=128, latent=64, samples=32, rays=512,
                      density="softplus", mask=0.1, rate=2e-3),
    "base": Settings(preset="base", size=512, batch=1, width=16, mask=0.1, workers=2, steps=200_000),
    "large": Settings(preset="large", size=512, batch=4, width=16, samples=128, mask=0.1, workers=4,
                      steps=200_000),
}


def _check(config: Settings) -> None:
    for name, choices in (("density", DENSITIES), ("backend", ("torch", "spconv"))):
        if getattr(config, name) not in choices:
            raise ValueError(f"{name} is {quoted(getattr(config, name))}; use one of {', '.join(choices)}.")
    for name, (least, most) in LIMITS.items():
        if not least <= getattr(config, name) <= most:
            raise ValueError(f"{name} is {getattr(config, name)}; it has to be {least} or more, and {most} "
                             "at most.")


class NeuralBody(Avatar):
    """See the module; `pictures` are (camera name, frame) of the training views."""

    needs = ("posed", "camera", "frame", "pixels")
    draws = "rays"
    controls = ("pose", "view", "background")
    shared = ("diffusion", "field")
    textured = ("codes",)

    def __init__(self, config: Settings, surface: Surface, pictures: list[tuple[str, int]]):
        super().__init__(config, surface)
        _check(config)  # what a run says makes no parameters, and yet takes memory and time
        count = int(surface.faces.max()) + 1
        frames = sorted({frame for _, frame in pictures})
        self.codes = nn.Embedding(count, config.code)
        self.latents = nn.Embedding(len(frames), config.latent)
        self.diffusion = Diffusion(config.code, config.width, config.backend)
        self.field = Field(self.diffusion.channels, config.hidden, config.latent)
        self.register_buffer("frames", torch.tensor(frames))
        # metres: the mesh that the body's frame is of; before training there is none, and no turn
        self.register_buffer("rest", torch.zeros(count, 3))
        self.register_buffer("rigid", torch.ones(count))
        self.hull: Callable[[torch.Tensor], torch.Tensor] | None = None
        self.memory = config.memory
        self.latent: int | None = None  # the trained frame whose latent all are drawn with; None: the nearest
        self._said: set[str] = set()

    @staticmethod
    def decided(config: Settings, captures: list[Capture]) -> Settings:
        _check(config)
        if config.backend == "spconv" and not find_spec("spconv"):
            raise ValueError(MISSING)
        if config.patch > config.size:
            raise ValueError(f"patch is {config.patch}, but pictures have {config.size} pixels a side.")
        if config.adversary:
            raise ValueError("neural-body is trained on rays, which a discriminator of pictures can't judge. "
                             "Leave adversary at 0.")
        if config.perceptual and not config.patch:
            raise ValueError("perceptual compares pictures, and single rays are none: set patch too, such as "
                             "to 32.")
        if config.patch and config.rays < config.patch**2:
            raise ValueError(f"{config.rays} rays make no patch of {config.patch} x {config.patch} pixels. "
                             f"Set rays to {config.patch**2} or more.")
        return config

    # what is drawn

    def space(self, posed: Posed) -> Space:
        """What is around posed bodies; raises ValueError where its tables take too much memory."""
        vertices, side = posed.vertices, self.config.voxel
        rotation, translation = rigid_frame(vertices, self.rest, self.rigid)
        local = body_points(vertices, rotation, translation)
        low, high = local.amin(1) - MARGIN, local.amax(1) + MARGIN
        shape = largest_grid(low, high, side, self.memory)
        levels = self.diffusion(*voxelise(local, self.codes.weight, low, shape, side))
        nearby = Nearby.around((local - low[:, None]) / side, shape, self.config.reach / side)
        return Space(levels, [level.voxels.table() for level in levels], nearby, rotation, translation, low,
                     side)

    def tracer(self, scene: Scene, space: Space | None = None) -> Tracer:
        """What traces rays through the space around a scene's bodies, its latents those of the frames.

        space  of the same bodies, where it is there already
        """
        return Tracer(space or self.space(scene.posed), self.field, self.latents(self._frame(scene)),
                      DENSITIES[self.config.density], self.config.samples, self.training, self.memory,
                      self.hull)

    def forward(self, scene: Scene) -> Rendering:
        half = half_precision(scene.posed.vertices.device.type)
        # places and the diffusion's sums need all their digits; what decodes a sample does not
        with torch.autocast(scene.posed.vertices.device.type, enabled=False):
            return self._drawn(scene, half)

    def _drawn(self, scene: Scene, half: torch.dtype | None) -> Rendering:
        camera, size = self.projected(scene.camera, scene.posed), scene.size
        pixels = pixel_centres(size).to(camera.K).expand(len(camera), -1, -1) if scene.pixels is None \
            else scene.pixels
        origins, directions = camera.rays(pixels)
        vertices = scene.posed.vertices
        box = vertices.amin(1) - MARGIN, vertices.amax(1) + MARGIN
        drawn = replace(self.tracer(scene), half=half).integral(origins, directions, *box)

        def picture(values):
            return values.view(len(camera), *size, -1).permute(0, 3, 1, 2)

        some = drawn.alpha[:, None].clamp(min=1e-4)  # colours that are multiplied by less are nobody's
        along = (directions @ camera.R[:, 2, :, None]).flatten(0, 1)
        depth = picture(drawn.distance[:, None] / some * along)
        rgb, mask = picture(drawn.rgb / some).clamp(max=1), picture(drawn.alpha[:, None]).clamp(max=1)
        return Rendering(rgb, mask, depth, {"weights": picture(drawn.weights), "depth": depth})

    def _frame(self, scene: Scene) -> torch.Tensor:
        """(B,) which latent each picture is drawn with."""
        count = len(scene.posed.vertices)
        if self.latent is not None:
            return (self.frames == self.latent).nonzero()[:, 0].expand(count)
        if scene.frame is None:
            self._say("none", f"Poses of no frame are drawn with the latent of frame {int(self.frames[-1])}, "
                              "the last that was trained.")
            return self.frames.new_full((count,), len(self.frames) - 1)
        wanted = scene.frame.to(self.frames.device).double()
        nearest = (wanted[:, None] - self.frames).abs().argmin(1)
        for frame, found in zip(wanted.tolist(), self.frames[nearest].tolist(), strict=True):
            if abs(frame - found) >= 1:  # what is played between two frames has the nearer one's
                self._say("near", f"Frame {frame:g} was not trained: it is drawn with the latent of frame "
                                  f"{found}, the nearest. So are others, each with its nearest.")
        return nearest

    def _say(self, about: str, what: str) -> None:
        """Once, what is done for want of something else."""
        if about not in self._said:
            print(what, file=sys.stderr)
        self._said.add(about)

    # how it is trained

    def begin(self, stage: Stage, views: Callable[..., Iterator[tuple[View, Posed]]]) -> None:
        super().begin(stage, views)
        if bool(self.rest.any()):
            return  # a later stage, or a run that goes on
        poses = torch.cat([posed.vertices for _, posed in views(POSES)])
        self.rest.copy_((poses[0] - poses[0].mean(0)) @ standing(self.up.to(poses)).T)
        self.rigid.copy_(rigid_weights(poses, self.surface_faces))

    def initialize(self, rgb: torch.Tensor) -> None:
        """Nothing is unwrapped."""

    def losses(self, scene: Scene, rendering: Rendering, view: View, stage: str) -> dict[str, torch.Tensor]:
        config, certain = self.config, view.certain.to(view.image)
        drawn = rendering.over(config.background)
        taken = view.image * view.mask + config.background * (1 - view.mask)
        terms = {"mse": losses.mse(drawn, taken, certain)}
        if config.mask:
            terms["mask"] = config.mask * losses.mse(rendering.mask, view.mask, certain)
        if config.perceptual and view.pixels is not None:
            patches = [picture.unflatten(2, (-1, config.patch)).transpose(1, 2).flatten(0, 1)
                       for picture in (drawn, taken, certain)]
            distance = losses.perceptual(*patches)
            if distance is not None:
                terms["perceptual"] = config.perceptual * distance
        return terms

    def stages(self, config: Settings) -> list[Stage]:
        learn = ["latents", *([] if config.freeze_texture else self.textured),
                 *([] if config.freeze_renderers else self.shared)]
        groups = {name: (config.rate, config.rate / 10) for name in learn}
        return [Stage("volume", 1.0, groups, clip=40.0)]


def standing(up: torch.Tensor) -> torch.Tensor:
    """(3, 3) the rotation that brings the unit vector up (3,) of a world to z, the shorter way round."""
    z = up.new_tensor([0.0, 0.0, 1.0])
    axis, cosine = torch.linalg.cross(up, z), up @ z
    if float(cosine) < -0.999:
        return torch.diag(up.new_tensor([1.0, -1.0, -1.0]))
    cross = torch.stack([torch.linalg.cross(axis, unit) for unit in torch.eye(3).to(up)], 1)
    return torch.eye(3).to(up) + cross + cross @ cross / (1 + cosine)


def half_precision(device: str) -> torch.dtype | None:
    """What networks compute in here, where that is half precision."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
