"""A capture whose pictures are painted: the same person, cameras, poses and masks, in another style.

It is what a run of photographs is turned into a painter with, by a handful of frames. Strokes on a person
belong to places of the body, so that they go along when it moves; those beside the body, and of the ground,
belong to places of the picture.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter
from tqdm import tqdm

from anr_core.body import Posed
from anr_core.camera import Camera
from anr_core.capture import Capture, body_box, load_capture
from anr_core.capture.pictures import read_channels, read_image, write_image
from anr_core.capture.view import View
from anr_core.capture.writing import whole_or_nothing
from anr_core.prepare.brushes import (
    GROUND,
    INK,
    PERSON,
    Brush,
    Forms,
    Strokes,
    ink,
    palette_of,
    set_strokes,
    vivid,
)
from anr_core.rasterizer import rasterize

COLOURS = 20   # of the palette
TALL = 250     # units that a person is tall, or a picture without a body
HIDDEN = 0.03  # metres behind the nearest surface: further back a place of the body is not seen
LOOKED_AT = 24  # pictures that the palette is taken from
GROUND_SEED, BESIDE_SEED = 1, 2
LEFT_ALONE = "report.png", "evaluation"


def paint(capture: Capture, out: Path) -> Capture:
    """Write a copy of a capture whose pictures and backgrounds are painted; all else stays.

    Of a capture `only` of some shots the others' pictures stay, too.

    The same capture is painted the same. Raises ValueError where `out` is something else than a capture, or
    the capture itself.
    """
    out = Path(out)
    if out.resolve() == capture.path:
        raise ValueError(f"{out} is the capture that is to be painted. Name another folder.")
    units, palette = _units(capture), _palette(capture)
    with whole_or_nothing(out) as folder:
        shutil.copytree(capture.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_ALONE))
        body = None if capture.registration is None else Places.of(capture)
        views = capture.views()
        for row, shot in enumerate(tqdm(views.shots, "painting", unit=" pictures", leave=False)):
            if shot.known:
                view = views[row]
                places = body and body.seen(capture.body(view.pose), view.camera, view.size)
                _write(folder / shot.image, painted_view(view, places, palette, units[shot.camera]))
        for camera, file in capture.backgrounds.items():
            picture = read_image(capture.path / file).astype(np.float32) / 255
            _write(folder / file, painted_ground(vivid(picture), palette, units[camera]))
    return load_capture(out)


def painted_view(view: View, places: dict[Brush, Strokes] | None, palette: np.ndarray,
                 unit: float) -> np.ndarray:
    """(H, W, 3) a view (a batch of one) as painted.

    places   of the body, where strokes are set; None where there is none
    palette  (N, 3)
    unit     pixels
    """
    picture = vivid(view.image[0].permute(1, 2, 0).numpy())
    mask = view.mask[0, 0].numpy()
    forms = Forms.of(picture, unit)
    whole = bool((mask > 0.5).all()) or not bool((mask > 0.5).any())
    canvas = painted_ground(picture if whole else _without(picture, mask, unit), palette, unit)
    within = None if whole else gaussian_filter(mask, 0.6)
    covered = np.zeros_like(mask) if places is None else _near(places[PERSON[0]], mask.shape, unit)
    for brush in PERSON:
        beside = Strokes.over(mask.shape, brush.apart * unit, BESIDE_SEED)
        if not whole:
            beside = beside.only(_at(mask * (1 - covered), beside) > 0.3)
        for strokes in (beside, *([places[brush]] if places else [])):
            set_strokes(canvas, strokes, brush, picture, forms, palette, unit, within)
    lines = ink(picture, unit) * INK
    return canvas * (1 - lines[..., None] * (1 - 0.35 * palette[0]))


def painted_ground(picture: np.ndarray, palette: np.ndarray, unit: float) -> np.ndarray:
    """(H, W, 3) a picture in the coarsest strokes, on a canvas of its own colours."""
    canvas = gaussian_filter(picture, (GROUND.width * unit, GROUND.width * unit, 0))
    strokes = Strokes.over(picture.shape[:2], GROUND.apart * unit, GROUND_SEED)
    set_strokes(canvas, strokes, GROUND, picture, Forms.of(picture, 2 * unit), palette, unit)
    return canvas


@dataclass(frozen=True)
class Places:
    """Places of a body where strokes are set, evenly over its surface.

    face         (N,)
    barycentric  (N, 3)
    count        how many of them a brush uses
    """

    face: torch.Tensor
    barycentric: torch.Tensor
    count: dict[Brush, int]

    @staticmethod
    def of(capture: Capture) -> Places:
        """Places on a capture's body for every brush, at random and evenly; always the same ones."""
        posed = capture.body(capture.recording[:1])
        corners = posed.vertices[0][posed.surface.faces]
        sides = corners[:, 1:] - corners[:, :1]
        areas = torch.linalg.cross(*sides.unbind(1)).norm(dim=1).double().numpy() / 2  # square metres
        tall = float((posed.vertices[0].amax(0) - posed.vertices[0].amin(0)).max())
        count = {brush: int(areas.sum() / (brush.apart * tall / TALL)**2) for brush in PERSON}
        random = np.random.default_rng(0)
        face = random.choice(len(areas), max(count.values()), p=areas / areas.sum())
        root, other = np.sqrt(random.uniform(size=len(face))), random.uniform(size=len(face))
        barycentric = np.stack([1 - root, root * (1 - other), root * other], -1).astype(np.float32)
        return Places(torch.from_numpy(face), torch.from_numpy(barycentric), count)

    def seen(self, posed: Posed, camera: Camera, size: tuple[int, int]) -> dict[Brush, Strokes]:
        """Those of each brush that a camera's picture of size (H, W) shows."""
        points = (posed.vertices[0][posed.surface.faces[self.face]] * self.barycentric[..., None]).sum(1)
        pixels, depth = (found[0].numpy() for found in camera.project(points[None]))
        nearest = rasterize(posed.vertices, posed.surface.faces, camera, size).depth[0].numpy()
        inside = ((pixels >= 0) & (pixels < size[::-1])).all(1) & (depth > 0)
        columns, rows = np.where(inside[:, None], pixels, 0).astype(int).T
        seen = inside & (depth < np.where(nearest > 0, nearest, np.inf)[rows, columns] + HIDDEN)
        every = Strokes(pixels, np.arange(len(pixels)))
        return {brush: every.only(np.flatnonzero(seen[:count])) for brush, count in self.count.items()}


def _units(capture: Capture) -> dict[str, float]:
    """Pixels of a unit in each camera's pictures: the same in all of them, so that brushes don't change."""
    sides = defaultdict(list)
    for shot in capture.shots if capture.registration is not None else ():
        vertices = capture.body(capture.pose(torch.tensor([shot.frame]))).vertices
        side = float(body_box(capture.cameras[shot.camera], vertices)[1])
        if np.isfinite(side):
            sides[shot.camera].append(side)
    return {name: float(np.median(sides[name] or [max(camera.size)])) / TALL
            for name, camera in capture.cameras.items()}


def _palette(capture: Capture) -> np.ndarray:
    """(COLOURS, 3) of the pictures to train on, more of the person than of what is around."""
    training = capture.only(lambda shot: shot.split == "train" and shot.known)
    taken, random = [], np.random.default_rng(0)
    for view in (training if training.shots else capture).evenly(LOOKED_AT).views():
        pixels = vivid(view.image[0].permute(1, 2, 0).numpy()).reshape(-1, 3)
        person = view.mask[0, 0].numpy().ravel() > 0.5
        taken += [random.choice(part, count) for part, count in
                  ((pixels[person], 600), (pixels[~person], 200)) if len(part)]
    return palette_of(np.concatenate(taken), COLOURS)


def _without(picture, mask, unit):
    """A picture whose person is filled with what is nearest around, blurred."""
    person = gaussian_filter(mask, 2 * unit) > 0.05
    nearest = distance_transform_edt(person, return_distances=False, return_indices=True)
    filled = picture[tuple(nearest)]
    return np.where(person[..., None], gaussian_filter(filled, (6 * unit, 6 * unit, 0)), picture)


def _near(strokes, size, unit):
    """(H, W) 1 where strokes are set, or near that."""
    there = np.zeros(size)
    columns, rows = strokes.places.T.astype(int)
    there[rows, columns] = 1
    return (gaussian_filter(there, 2 * unit) * (2 * unit)**2 > 0.05).astype(float)


def _at(plane, strokes):
    """(N,) the values of a plane (H, W) where strokes are set; 0 beyond it."""
    columns, rows = np.floor(strokes.places.T).astype(int)
    inside = (columns >= 0) & (rows >= 0) & (columns < plane.shape[1]) & (rows < plane.shape[0])
    return np.where(inside, plane[np.where(inside, rows, 0), np.where(inside, columns, 0)], 0)


def _write(file, picture):
    """Exchange a picture for a painted one; its alpha stays."""
    pixels, before = (picture.clip(0, 1) * 255).round().astype(np.uint8), read_channels(file)
    write_image(file, np.dstack([pixels, before[..., 3]]) if before.shape[2] == 4 else pixels)
