"""Filming: every frame is lit once, drawn for each camera, and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anr_core.camera import Camera
from anr_core.capture.footage import Take
from anr_core.capture.pictures import write_image, write_mask
from anr_core.prepare.studio.annotations import (
    annotated,
    keypoints_seen,
    write_annotations,
    write_layers,
    write_surface,
)
from anr_core.prepare.studio.drawing import Lit, Model, developed, draw
from anr_core.prepare.studio.light import studio_lights
from anr_core.prepare.studio.materials import painted
from anr_core.prepare.studio.stage import backdrop
from anr_core.prepare.studio.tucking import Tuck
from anr_core.prepare.studio.workers import side_by_side

KEYPOINTS = "coco23"
LARGE = 512  # pixels: larger pictures get fewer samples a pixel
EXPOSURE_ERROR, BALANCE_ERROR = 0.03, 0.012  # deviations of cameras' gains: all channels' and each one's


@dataclass(frozen=True)
class Set:
    """All that stays the same while a person is filmed.

    exposures  (3,) gains of each camera's channels
    samples    a pixel's, along each side
    folder     of the capture
    """

    person: object
    model: Model
    tuck: Tuck
    lights: object
    cameras: dict[str, Camera]
    backdrops: dict
    exposures: dict[str, torch.Tensor]
    samples: int
    folder: Path

    @staticmethod
    def built(person, vertices: dict[str, np.ndarray], chest: torch.Tensor, cameras: dict[str, Camera],
              folder: Path) -> Set:
        """The set of a person, painted as the vertices of one moment lie; see `painted`."""
        size = max(next(iter(cameras.values())).size)
        lights = studio_lights(person.number)
        # of a person's front, about two texels fall on a pixel, and one on a sample
        texels = 2 ** min(max((4 * size - 1).bit_length(), 8), 11)
        paint = painted(person, vertices, chest, texels)
        model = Model.of(person.layers, [len(vertices[layer.name]) for layer in person.layers], paint)
        random = np.random.default_rng([person.number, 6])
        gains = random.normal(0, EXPOSURE_ERROR, (len(cameras), 1)) \
            + random.normal(0, BALANCE_ERROR, (len(cameras), 3))
        exposures = dict(zip(cameras, torch.from_numpy(np.exp(gains)).float(), strict=True))
        empty = side_by_side(((person.number, camera, lights) for camera in cameras.values()), backdrop)
        backdrops = dict(zip(cameras, empty, strict=True))
        write_layers(folder / "surface", model.names, person.layers)
        return Set(person, model, Tuck(person.layers, vertices), lights, cameras, backdrops, exposures,
                   3 if size <= LARGE else 2, folder)

    def write_backgrounds(self) -> dict[str, Path]:
        """Each camera's picture of the empty room."""
        files = {name: self.folder / "background" / f"{name}.jpg" for name in self.cameras}
        (self.folder / "background").mkdir()
        for name, file in files.items():
            light = self.backdrops[name].picture()
            write_image(file, developed(light, self.exposures[name], self._random(name, 0)))
        return files

    def film(self, before, now, after, split: dict[str, str]) -> list[Take]:
        """Draw one moment, of those before and after, from every camera, and write all that is known of it.

        The takes hold the pictures themselves; `split` says by camera what they are held out for.
        """
        dressed = self.tuck.drawn_in(now.vertices)
        write_surface(self.folder / "surface" / f"{now.frame:04d}.npz", dressed)
        surface = self.model.joined(dressed)
        others = [one and self.model.joined(self.tuck.drawn_in(one.vertices)) for one in (before, after)]
        lit = Lit.of(self.model, surface, self.lights)
        naked = self.person.body(now.pose)
        points = self.person.body.keypoints(naked, KEYPOINTS)[0]
        takes = []
        for name, camera in self.cameras.items():
            picture = draw(lit, camera, self.backdrops[name], self.samples)
            image = developed(picture.light, self.exposures[name], self._random(name, 1 + now.frame))
            mask, truth = (self.folder / kind / name / f"{now.frame:04d}{suffix}"
                           for kind, suffix in (("masks", ".png"), ("truth", ".npz")))
            write_mask(mask, (picture.coverage * 255).round().byte().numpy())
            arrays, seen = annotated(naked, surface, self.model.faces, self.model.layer, camera, *others)
            write_annotations(truth, arrays)
            takes.append(Take(name, now.frame, image, mask, split=split[name], truth=truth,
                              keypoints=keypoints_seen(points, camera, seen).numpy()))
        return takes

    def _random(self, name, index):
        return np.random.default_rng([self.person.number, 7, list(self.cameras).index(name), index])
