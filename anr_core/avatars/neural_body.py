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

A frame that was not trained is drawn with the latent of the nearest that was, and this is said.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from anr_core.volume import (
    MARGIN,
    Diffusion,
    Field,
    Integral,
    Level,
    Nearby,
    body_points,
    crossing,
    integrate,
    largest_grid,
    march,
    rigid_frame,
    rigid_weights,
    sample,
    shares,
    voxelise,
)

POSES = 30   # training views out of which the body's frame is found
SLICE = 16   # samples at a time, from the camera on, in drawing: what lies behind the person is left out
SEEN = 1e-3  # share of a ray's light below which a sample has no colour, and a ray goes no further
DENSE = 20.0  # a metre: density of one, where it is bounded softly

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
    # metres around the body's vertices where there may be something; hair and clothes have to be within it
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
    "base": Settings(preset="base", size=512, batch=1, width=16, workers=2, steps=200_000),
    "large": Settings(preset="large", size=512, batch=4, width=16, samples=128, mask=0.1, workers=4,
                      steps=200_000),
}


class NeuralBody(Avatar):
    """See the module; `pictures` are (camera name, frame) of the training views."""

    needs = ("posed", "camera", "frame", "pixels")
    draws = "rays"
    controls = ("pose", "view", "background")
    shared = ("diffusion", "field")
    textured = ("codes", "latents")

    def __init__(self, config: Settings, surface: Surface, pictures: list[tuple[str, int]]):
        super().__init__(config, surface)
        count = int(surface.faces.max()) + 1
        frames = sorted({frame for _, frame in pictures})
        self.codes = nn.Embedding(count, config.code)
        self.latents = nn.Embedding(len(frames), config.latent)
        self.diffusion = Diffusion(config.code, config.width, config.backend)
        self.field = Field(self.diffusion.channels, config.hidden, config.latent)
        self.register_buffer("frames", torch.tensor(frames))
        self.register_buffer("rest", torch.zeros(count, 3))  # metres: the mesh that the body's frame is of
        self.register_buffer("rigid", torch.zeros(count))
        self.hull: Callable[[torch.Tensor], torch.Tensor] | None = None
        self.memory = config.memory
        self._said: set[int | None] = set()

    @staticmethod
    def decided(config: Settings, captures: list[Capture]) -> Settings:
        for name, choices in (("density", DENSITIES), ("backend", ("torch", "spconv"))):
            if getattr(config, name) not in choices:
                raise ValueError(f"{name} is {getattr(config, name)!r}; use one of {', '.join(choices)}.")
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

    def volume(self, posed: Posed) -> Volume:
        """The space around posed bodies, filled; raises ValueError where its tables take too much memory."""
        vertices = posed.vertices
        rotation, translation = rigid_frame(vertices, self.rest, self.rigid)
        local, side = body_points(vertices, rotation, translation), self.config.voxel
        low, high = local.amin(1) - MARGIN, local.amax(1) + MARGIN
        shape = largest_grid(low, high, side, self.memory)
        with torch.autocast(vertices.device.type, enabled=False):  # its sums need all their digits
            levels = self.diffusion(*voxelise(local, self.codes.weight, low, shape, side))
        nearby = Nearby((local - low[:, None]) / side, shape, self.config.reach / side)
        return Volume(levels, [level.voxels.table() for level in levels], nearby, rotation, translation, low,
                      side)

    def density(self, posed: Posed, points: torch.Tensor, volume: Volume | None = None) -> torch.Tensor:
        """(B, P) a metre, of points (B, P, 3) in the world; 0 where nothing is near.

        volume  of the same bodies, where it is there already
        """
        volume, item = volume or self.volume(posed), items(points)
        density = points.new_zeros(len(item))
        for part in self._parts(len(item), 1):
            density[part] = self._features(volume, item[part], points.flatten(0, 1)[part])[0]
        return density.view(points.shape[:2])

    def facing(self, scene: Scene, volume: Volume, points: torch.Tensor,
               normals: torch.Tensor) -> torch.Tensor:
        """(P, 3) colours in [0, 1] of a surface's points (P, 3), seen along their inward normals.

        normals  (P, 3) unit, outward
        volume   of the scene's body, a batch of one; the scene's camera isn't looked at

        What is seen is integrated from a voxel before the surface to four behind it, as a ray does.
        """
        distances = self.config.voxel * torch.linspace(-1, 4, 6, device=points.device)
        item, latents = items(points[None]), self.latents(self._frame(scene))
        pieces = [self._gathered(volume, latents, item[part], points[part], -normals[part],
                                 distances.expand(len(item[part]), -1))
                  for part in self._parts(len(item), len(distances))]
        return torch.cat([(piece.rgb / piece.alpha[:, None].clamp(min=1e-4)).clamp(max=1)
                          for piece in pieces])

    def forward(self, scene: Scene) -> Rendering:
        camera, size = self.projected(scene.camera, scene.posed), scene.size
        pixels = pixel_centres(size).to(camera.K).expand(len(camera), -1, -1) if scene.pixels is None \
            else scene.pixels
        origins, directions = camera.rays(pixels)
        vertices = scene.posed.vertices
        near, far = crossing(origins, directions, vertices.amin(1) - MARGIN, vertices.amax(1) + MARGIN)
        drawn = self._integral(self.volume(scene.posed), self.latents(self._frame(scene)), near, far, origins,
                               directions)

        def picture(values):
            return values.view(len(camera), *size, -1).permute(0, 3, 1, 2)

        alpha = drawn.alpha[:, None]
        some = alpha.clamp(min=1e-4)  # colours that are multiplied by less are nobody's
        along = (directions @ camera.R[:, 2, :, None]).flatten(0, 1)
        return Rendering(picture(drawn.rgb / some).clamp(max=1), picture(alpha),
                         picture(drawn.distance[:, None] / some * along),
                         {"weights": picture(drawn.weights), "depth": picture(drawn.distance[:, None] * along)})

    def _integral(self, volume: Volume, latents: torch.Tensor, near: torch.Tensor, far: torch.Tensor,
                  origins: torch.Tensor, directions: torch.Tensor) -> Integral:
        """What all rays (B, M) gather."""
        item, (near, far) = items(origins), (near.flatten(), far.flatten())
        origins, directions = origins.flatten(0, 1), directions.flatten(0, 1)
        rows = (far > near).nonzero()[:, 0]
        stretch, there = self._stretch(volume, item[rows], origins[rows], directions[rows], near[rows],
                                       far[rows])
        rows, stretch = rows[there], stretch[there]
        gathered = Integral(*(origins.new_zeros(len(item), *shape)
                              for shape in ((3,), (), (), (self.config.samples,))))
        pieces = []
        for part in self._parts(len(rows), self.config.samples):
            some = rows[part]
            distances = march(*stretch[part].unbind(1), self.config.samples, self.training)
            pieces.append(self._gathered(volume, latents, item[some], origins[some], directions[some],
                                         distances))
        if not pieces:
            return gathered
        return Integral(*(whole.index_put((rows,), torch.cat([getattr(piece, name) for piece in pieces]))
                          for name, whole in vars(gathered).items()))

    def _parts(self, count: int, samples: int) -> list[slice]:
        """All of so many rays where gradients are wanted; else as many at a time as memory allows."""
        most = count
        if not torch.is_grad_enabled():
            # of a sample: its features' eight corners, what is decoded of them, and the way there
            floats = 2 * self.diffusion.channels + 8 * self.config.hidden + 256
            most = int(self.memory * 2**30 / (4 * floats * min(samples, SLICE)))
        return [slice(begin, begin + most) for begin in range(0, count, max(1, most))]

    def _stretch(self, volume, item, origins, directions, near, far):
        """(M, 2) from where to where rays are near the body, metres; and which of them are at all."""
        distances = march(near, far, 64, False)
        points = origins[:, None] + distances[..., None] * directions[:, None]
        close = volume.near(item[:, None].expand(distances.shape).flatten(), points.flatten(0, 1))
        close, step = close.view(distances.shape), (far - near) / 63
        first = torch.where(close, distances, torch.inf).amin(1) - step
        last = torch.where(close, distances, -torch.inf).amax(1) + step
        return torch.stack([first.maximum(near), last.minimum(far)], 1), close.any(1)

    def _gathered(self, volume, latents, item, origins, directions, distances) -> Integral:
        """What rays (M,) gather at distances (M, S)."""
        steps = distances[:, -1:].diff(dim=1, prepend=distances[:, -2:-1])[:, 0]
        if torch.is_grad_enabled():
            weights, rgb = self._stopped(volume, latents, item, origins, directions, distances, steps, None)
            return integrate(weights, rgb, distances)
        weights, rgb = torch.zeros_like(distances), distances.new_zeros(*distances.shape, 3)
        light = torch.ones_like(distances[:, 0])
        for begin in range(0, distances.shape[1], SLICE):
            on = (light > SEEN).nonzero()[:, 0]
            places = distances[on, begin:begin + SLICE]
            last = distances[on, begin + SLICE] - places[:, -1] if begin + SLICE < distances.shape[1] \
                else steps[on]
            stopped, colours = self._stopped(volume, latents, item[on], origins[on], directions[on], places,
                                             last, light[on])
            weights[on, begin:begin + SLICE], rgb[on, begin:begin + SLICE] = stopped, colours
            light[on] = light[on] - stopped.sum(1)
        return integrate(weights, rgb, distances)

    def _stopped(self, volume, latents, item, origins, directions, distances, last, light):
        """Of samples (M, S) the share of the light that each stops (M, S), and their colours (M, S, 3)."""
        points = origins[:, None] + distances[..., None] * directions[:, None]
        item = item[:, None].expand(distances.shape)
        raw, hidden, rows = self._features(volume, item.flatten(), points.flatten(0, 1), True)
        weights = shares(raw.view(distances.shape), distances, last, light)
        if not torch.is_grad_enabled():
            seen = weights.flatten()[rows] > SEEN
            rows, hidden = rows[seen], hidden[seen]
        rgb = self.field.rgb(hidden, latents[item.flatten()[rows]], points.flatten(0, 1)[rows],
                             directions[:, None].expand(points.shape).flatten(0, 1)[rows])
        colours = rgb.new_zeros(points.shape).flatten(0, 1).index_put((rows,), rgb)
        return weights, colours.view(points.shape)

    def _features(self, volume: Volume, item: torch.Tensor, points: torch.Tensor, hidden: bool = False):
        """The density (P,) at points (P, 3) of items (P,); what colours are made of, of which points."""
        rows = volume.near(item, points).nonzero()[:, 0]
        raw, decoded = self.field.density(volume.features(item[rows], points[rows]))
        dense = DENSITIES[self.config.density](raw)
        if self.hull is not None:
            dense = dense * self.hull(points[rows])
        density = dense.new_zeros(len(points)).index_put((rows,), dense)
        return (density, decoded, rows) if hidden else (density,)

    def _frame(self, scene: Scene) -> torch.Tensor:
        """(B,) which latent each picture is drawn with."""
        count, last = len(scene.posed.vertices), int(self.frames[-1])
        if scene.frame is None:
            self._say(None, f"Poses of no frame are drawn with the latent of frame {last}, the last trained.")
            return self.frames.new_full((count,), len(self.frames) - 1)
        wanted = scene.frame.to(self.frames.device).double()
        nearest = (wanted[:, None] - self.frames).abs().argmin(1)
        for frame, found in zip(wanted.tolist(), self.frames[nearest].tolist(), strict=True):
            if frame != found:
                self._say(0, f"Frame {frame:g} was not trained: it is drawn with the latent of frame "
                             f"{found}, the nearest. So are others, each with its nearest.")
        return nearest.expand(count)

    def _say(self, about: int | None, what: str) -> None:
        """Once, what is done for want of something else."""
        if about not in self._said:
            print(what, file=sys.stderr)
        self._said.add(about)

    # how it is trained

    def begin(self, stage: Stage, views: Callable[..., Iterator[tuple[View, Posed]]]) -> None:
        super().begin(stage, views)
        if bool((self.rigid > 0).any()):
            return  # a later stage, or a run that goes on
        poses = torch.cat([posed.vertices for _, posed in views(POSES)])
        self.rest.copy_(poses[0] - poses[0].mean(0))
        self.rigid.copy_(rigid_weights(poses - poses.mean(1, keepdim=True)))

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
            side = (len(drawn) * drawn.shape[2] // config.patch, -1, config.patch, config.patch)
            patches = [picture.unflatten(2, (-1, config.patch)).transpose(1, 2).flatten(0, 1)
                       for picture in (drawn, taken, certain)]
            distance = losses.perceptual(*patches)
            if distance is not None:
                terms["perceptual"] = config.perceptual * distance
        return terms

    def stages(self, config: Settings) -> list[Stage]:
        groups = {"codes": (config.rate, config.rate / 10), "latents": (config.rate, config.rate / 10)}
        if config.freeze_texture:
            groups = {}
        if not config.freeze_renderers:
            groups |= {name: (config.rate, config.rate / 10) for name in self.shared}
        return [Stage("volume", 1.0, groups, clip=40.0)]


@dataclass(frozen=True)
class Volume:
    """What is around B posed bodies.

    levels, tables  of the diffused grids       nearby  which places are near
    rotation, translation  (B, 3, 3), (B, 3)    world from body
    low             (B, 3) metres, body: the centre of each finest grid's first voxel, `side` metres large
    """

    levels: list[Level]
    tables: list[torch.Tensor]
    nearby: Nearby
    rotation: torch.Tensor
    translation: torch.Tensor
    low: torch.Tensor
    side: float

    def _places(self, item: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """World points (P, 3) of items (P,) in voxels of their grids."""
        local = ((points - self.translation[item])[:, None] @ self.rotation[item])[:, 0]
        return (local - self.low[item]) / self.side

    def near(self, item: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """(P,) bool"""
        return self.nearby(item, self._places(item, points))

    def features(self, item: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """(P, C)"""
        return sample(self.levels, self.tables, item, self._places(item, points))


def items(points: torch.Tensor) -> torch.Tensor:
    """(B P,) the item of each of points (B, P, 3)."""
    return torch.arange(len(points), device=points.device).repeat_interleave(points.shape[1])
