"""Rays through what is around bodies: where they come near, what they meet there, what that adds up to.

While gradients are wanted everything near the body is computed. In drawing, what doesn't show is left out:
rays go on only as far as light does, samples that nobody sees have no colour, and rays come in as many pieces
as memory allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from anr_core.processes import own
from anr_core.volume.box import crossing
from anr_core.volume.field import Field
from anr_core.volume.marching import Integral, integrate, march, shares
from anr_core.volume.space import Space

LOOKS = 64   # places along a ray that are looked at, whether they are near
LOOK_FLOATS = 40  # that a look takes: the place, its cell, and both within bounds
SLICE = 16   # samples at a time, from the camera on, in drawing
FINE = 2.0   # voxels of the finest grid between the places that are looked at, whether anything is there
THIN = 0.1   # a metre: what is less dense, and not beside what is more, is nothing, in drawing
BEST = 0.1   # GiB on a CPU: larger pieces don't stay in its cache and take half as long again
SEEN = 1e-3  # share of a ray's light below which a sample has no colour, and a ray goes no further


@dataclass(frozen=True)
class Tracer:
    """What traces rays through the space around B bodies.

    latents  (B, L)  of the frame that each is drawn with
    bounded  what makes a density of what the field says
    samples  S, along the stretch of a ray that is near a body
    jitter   take samples anywhere in what they stand for
    memory   GiB that drawing may take
    hull     how much of the density is left at points (P, 3) of the world: (P,); or None for all
    half     what the field is computed in, where that is half precision
    """

    space: Space
    field: Field
    latents: torch.Tensor
    bounded: Callable[[torch.Tensor], torch.Tensor]
    samples: int
    jitter: bool
    memory: float
    hull: Callable[[torch.Tensor], torch.Tensor] | None = None
    half: torch.dtype | None = None

    def integral(self, origins: torch.Tensor, directions: torch.Tensor, low: torch.Tensor,
                 high: torch.Tensor) -> Integral:
        """What rays gather, all items' one after the other (B M).

        origins, directions  (B, M, 3)  metres; unit
        low, high            (B, 3)     metres, world: corners of the boxes outside of which nothing is
        """
        near, far = crossing(origins, directions, low, high)
        jitter = None
        if self.jitter:
            count, rays = origins.shape[:2]
            jitter = own(lambda rows: torch.rand(rows, rays, self.samples), count).flatten(0, 1).to(origins)
        item, near, far = items(origins), near.flatten(), far.flatten()
        origins, directions = origins.flatten(0, 1), directions.flatten(0, 1)
        rows = (far > near).nonzero()[:, 0]
        looked = [self._stretch(*(values[rows[part]] for values in (item, origins, directions, near, far)))
                  for part in self._parts(len(rows), LOOKS * LOOK_FLOATS) or [slice(0)]]
        near, far, there = (torch.cat(values) for values in zip(*looked, strict=True))
        rows, near, far = rows[there], near[there], far[there]
        gathered = Integral(*(origins.new_zeros(len(item), *shape)
                              for shape in ((3,), (), (), (self.samples,))))
        tracer = self if torch.is_grad_enabled() else self._narrowed(len(rows) * self.samples)
        for part in self._parts(len(rows), self._floats * min(self.samples, SLICE)):
            some = rows[part]
            distances = march(near[part], far[part], self.samples,
                              None if jitter is None else jitter[some])
            piece = tracer._gathered(item[some], origins[some], directions[some], distances)
            for name, whole in vars(gathered).items():
                whole.index_put_((some,), getattr(piece, name))
        if torch.is_grad_enabled() and not len(rows):  # else nothing would have a gradient
            return replace(gathered, rgb=gathered.rgb + 0 * self.latents.sum())
        return gathered

    def density(self, points: torch.Tensor) -> torch.Tensor:
        """(B, P) a metre, of points (B, P, 3) in the world; 0 where nothing is near."""
        item, flat = items(points), points.flatten(0, 1)
        parts = [self._met(item[part], flat[part])[0] for part in self._parts(len(item), self._floats)]
        return torch.cat([*parts, flat.new_zeros(0)]).view(points.shape[:2])

    def facing(self, points: torch.Tensor, normals: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
        """(P, 3) colours in [0, 1] of a surface's points (P, 3), seen along their inward normals; one item's.

        normals    (P, 3)  unit, outward
        distances  (S,)    metres along the inward normal, rising, between which what is seen is added up
        """
        item, distances = items(points[None]), distances.expand(len(points), -1)
        pieces = [self._gathered(item[part], points[part], -normals[part], distances[part])
                  for part in self._parts(len(points), self._floats * distances.shape[1])]
        return torch.cat([(piece.rgb / piece.alpha[:, None].clamp(min=1e-4)).clamp(max=1)
                          for piece in pieces])

    @property
    def _floats(self) -> int:
        """That a sample takes: its features' eight corners, what is decoded of them, and the way there."""
        return 2 * self.field.hidden[0].in_features + 8 * self.field.dense.in_features + 256

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.latents.device.type, self.half, enabled=self.half is not None)

    def _parts(self, count: int, floats: int) -> list[slice]:
        """All of so many rays where gradients are wanted; else as many at a time as memory allows.

        floats  that one of them takes
        """
        most, memory = count, self.memory
        if not torch.is_grad_enabled():
            if self.latents.device.type == "cpu":
                memory = min(memory, BEST)
            most = int(memory * 2**30 / (4 * floats))
        return [slice(begin, begin + max(1, most)) for begin in range(0, count, max(1, most))]

    def _narrowed(self, samples: int) -> Tracer:
        """One for which only what is dense is near, if looking takes less than so many samples do."""
        nearby = self.space.nearby
        if int(nearby.near.sum()) * (nearby.side / FINE) ** 3 > samples:
            return self
        cells, places = nearby.places(FINE)
        points = self.space.world(cells[:, 0], places)
        dense = [self._met(cells[part, 0], points[part])[0] > THIN
                 for part in self._parts(len(cells), self._floats)]
        kept = cells[torch.cat([*dense, cells[:0, 0] > 0])]
        return replace(self, space=replace(self.space, nearby=nearby.narrowed(kept, FINE)))

    def _stretch(self, item, origins, directions, near, far):
        """From where to where (M,) rays are near the body, metres; and (M,) which of them are at all."""
        distances = march(near, far, LOOKS)
        points = origins[:, None] + distances[..., None] * directions[:, None]
        close = self.space.near(item[:, None].expand(distances.shape).flatten(), points.flatten(0, 1))
        close, step = close.view(distances.shape), (far - near) / (LOOKS - 1)
        first = torch.where(close, distances, torch.inf).amin(1) - step
        last = torch.where(close, distances, -torch.inf).amax(1) + step
        return first.maximum(near), last.minimum(far), close.any(1)

    def _gathered(self, item, origins, directions, distances) -> Integral:
        """What rays (M,) gather at distances (M, S)."""
        step = distances[:, -1] - distances[:, -2]
        if torch.is_grad_enabled():
            return integrate(*self._stopped(item, origins, directions, distances, step), distances)
        weights, rgb = torch.zeros_like(distances), distances.new_zeros(*distances.shape, 3)
        light = torch.ones_like(step)
        for begin in range(0, distances.shape[1], SLICE):
            end = begin + SLICE
            on = (light > SEEN).nonzero()[:, 0]
            places = distances[on, begin:end]
            last = distances[on, end] - places[:, -1] if end < distances.shape[1] else step[on]
            stopped, colours = self._stopped(item[on], origins[on], directions[on], places, last, light[on])
            weights[on, begin:end], rgb[on, begin:end] = stopped.to(weights), colours.to(rgb)
            light[on] = light[on] - stopped.sum(1)
        return integrate(weights, rgb, distances)

    def _stopped(self, item, origins, directions, distances, last, light=None):
        """Of samples (M, S) the share of the light that each stops (M, S), and their colours (M, S, 3)."""
        points = origins[:, None] + distances[..., None] * directions[:, None]
        item, flat = item[:, None].expand(distances.shape).flatten(), points.flatten(0, 1)
        density, hidden, rows = self._met(item, flat)
        weights = shares(density.view(distances.shape), distances, last, light)
        if not torch.is_grad_enabled():
            seen = weights.flatten()[rows] > SEEN
            rows, hidden = rows[seen], hidden[seen]
        towards = directions[:, None].expand(points.shape).flatten(0, 1)
        with self._precision():
            rgb = self.field.rgb(hidden, self.latents[item[rows]], flat[rows], towards[rows]).to(weights)
        return weights, rgb.new_zeros(flat.shape).index_put((rows,), rgb).view(points.shape)

    def _met(self, item, points):
        """The density (P,) at points (P, 3) of items (P,); what colours are made of, and of which points."""
        rows = self.space.near(item, points).nonzero()[:, 0]
        features = self.space.features(item[rows], points[rows])
        with self._precision():
            raw, hidden = self.field.density(features)
        density = self.bounded(raw.to(points))
        if self.hull is not None:
            density = density * self.hull(points[rows])
        return points.new_zeros(len(points)).index_put((rows,), density), hidden, rows


def items(points: torch.Tensor) -> torch.Tensor:
    """(B P,) the item of each of points (B, P, 3)."""
    return torch.arange(len(points), device=points.device).repeat_interleave(points.shape[1])
