"""Filming: every frame is lit once and drawn for each camera, two frames side by side, and written at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anr_core.body import Posed
from anr_core.camera import Camera
from anr_core.capture.footage import Take
from anr_core.capture.pictures import write_image, write_mask
from anr_core.prepare.studio.annotations import annotated, keypoints_seen
from anr_core.prepare.studio.drawing import Lit, Model, developed, draw
from anr_core.prepare.studio.light import studio_lights
from anr_core.prepare.studio.materials import painted
from anr_core.prepare.studio.stage import backdrop

WORKERS = 2
EXPOSURE_ERROR, BALANCE_ERROR = 0.03, 0.012  # standard deviations of cameras' gains, all channels' and each one's


@dataclass(frozen=True)
class Set:
    """All that stays the same while a person is filmed.

    exposures  (3,) gains of each camera's channels
    samples    a pixel's, along each side
    """

    person: object
    model: Model
    lights: object
    cameras: dict[str, Camera]
    backdrops: dict
    exposures: dict[str, torch.Tensor]
    samples: int

    @staticmethod
    def built(person, vertices: dict[str, np.ndarray], chest: torch.Tensor, cameras: dict[str, Camera]) -> Set:
        """The set of a person, painted as the vertices of one moment lie; see `painted`."""
        size = max(next(iter(cameras.values())).size)
        # four texels a pixel of a picture that shows all of the person
        texture = 1024 if size <= 512 else 2048
        lights = studio_lights(person.number)
        model = Model.of(person.layers, [len(vertices[layer.name]) for layer in person.layers],
                         painted(person, vertices, chest, texture))
        random = np.random.default_rng([person.number, 6])
        exposures = {name: torch.from_numpy(np.exp(random.normal(0, EXPOSURE_ERROR)
                                                   + random.normal(0, BALANCE_ERROR, 3))).float() for name in cameras}
        backdrops = {name: backdrop(person.number, camera, lights) for name, camera in cameras.items()}
        return Set(person, model, lights, cameras, backdrops, exposures, 3 if size <= 512 else 2)

    def write_backgrounds(self, folder: Path) -> dict[str, Path]:
        """Each camera's picture of the empty room."""
        files = {}
        for name, empty in self.backdrops.items():
            files[name] = folder / f"{name}.jpg"
            folder.mkdir(exist_ok=True)
            write_image(files[name], developed(empty.picture(), self.exposures[name], self._random(name, 0)))
        return files

    def film(self, frame: int, pose, before, now, after, split: dict[str, str], folder: Path) -> list[Take]:
        """Draw one frame from every camera; the pictures are returned, everything else is written.

        before, now, after  (V, 3) the joined layers in this frame and its neighbours; None where there is none
        """
        lit = Lit.of(self.model, now, self.lights)
        naked = self.person.body(pose)
        points = self.person.body.keypoints(naked, "coco23")[0]
        takes = []
        for name, camera in self.cameras.items():
            picture = draw(lit, camera, self.backdrops[name], self.samples)
            image = developed(picture.light, self.exposures[name], self._random(name, 1 + frame))
            mask = folder / "masks" / name / f"{frame:04d}.png"
            write_mask(mask, (picture.coverage * 255).round().byte().numpy())
            arrays, seen = annotated(naked, now, self.model.faces, self.model.layer, camera, before, after)
            arrays["keypoints"] = keypoints_seen(points, camera, seen).numpy()
            file = folder / "truth" / name / f"{frame:04d}.npz"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(file, **arrays)
            takes.append(Take(name, frame, image, mask, split=split[name]))
        return takes

    def _random(self, name, index):
        return np.random.default_rng([self.person.number, 7, list(self.cameras).index(name), index])


def side_by_side(jobs: Iterable, work) -> Iterator:
    """work(*job) of every job, in order; at most a few jobs are taken in advance."""
    with ThreadPoolExecutor(WORKERS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        running = deque()
        for job in jobs:
            running.append(pool.submit(work, *job))
            if len(running) > WORKERS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
