"""A capture as SMPLpix is trained with it (readers/smplpix.py): mesh in colour, and person, both over white.

    train/ validation/ test/     input/00001.png   the mesh from the picture's camera, over white
                                 output/00001.png  the person there, over white

The mesh wears the mean colours of the training pictures, unwrapped onto it; held-out pictures lend none.
Pictures are numbered in a row, camera by camera, or as their frames where there is one camera. They are as
large as the largest camera's; white fills those of smaller ones at the right and below.

A capture of pairs is written as the pairs that it is, unchanged.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from anr_core.body import Posed
from anr_core.camera import Camera
from anr_core.capture.folder import Capture
from anr_core.capture.pictures import write_image
from anr_core.capture.sources import licence_files
from anr_core.rasterizer import gbuffer
from anr_core.texture import Unwrapping, bilinear, table

TEXELS = 512  # a side of the texture, and pixels a side of the pictures that it is taken from
VALIDATION = 10  # where no split is named "validation", one of so many held-out pictures is for it


def write(capture: Capture, folder: Path) -> list[str]:
    """Fill an empty folder with pairs; returns notes. Raises ValueError where no body was fitted yet."""
    splits = _write_pairs(capture, folder) if capture.paired else _draw_pairs(capture, folder)
    licences = licence_files(capture.path)
    for licence in licences:
        shutil.copyfile(licence, folder / licence.name)
    if not licences and capture.licence != "not stated":
        (folder / "LICENSE.txt").write_text(capture.licence + "\n", encoding="utf-8", errors="replace")
    return [] if "test" in splits else ["nothing is held out, so there is no test/; SMPLpix's own program "
                                        "wants one."]


def _write_pairs(capture: Capture, folder: Path) -> set[str]:
    """Copy pairs as they are; returns their splits."""
    for shot in capture.shots:
        for kind, picture in (("input", shot.input), ("output", shot.image if shot.known else None)):
            if picture is not None:
                target = folder / shot.split / kind / f"{shot.frame:05d}{Path(picture).suffix}"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(capture.path / picture, target)
    return {shot.split for shot in capture.shots}


def _draw_pairs(capture: Capture, folder: Path) -> set[str]:
    """Draw the mesh and cut out the person of every picture; returns the splits that there are."""
    colours = _unwrapped(capture)
    size = tuple(max(camera.size[axis] for camera in capture.cameras.values()) for axis in (0, 1))
    views = capture.views()
    splits = _splits([shot.split for shot in views.shots])
    several = len({shot.camera for shot in views.shots}) > 1
    for row, (shot, split) in enumerate(zip(views.shots, splits, strict=True)):
        view = views[row]
        drawn, covered = _drawn(capture.body(view.pose), view.camera, colours)
        name = f"{row + 1 if several else shot.frame:05d}.png"
        for kind, picture, mask in (("input", drawn, covered), ("output", view.image, view.mask)):
            (folder / split / kind).mkdir(parents=True, exist_ok=True)
            write_image(folder / split / kind / name, _over_white(picture, mask, size))
    return set(splits)


def _unwrapped(capture: Capture) -> torch.Tensor:
    """The texels (TEXELS * TEXELS, 3) that the training pictures show."""
    unwrapping = Unwrapping(capture.body.surface, TEXELS)
    for view in capture.only(lambda shot: shot.split == "train").views(crop="body", size=TEXELS):
        unwrapping.add(view.image, view.trusted(), capture.body(view.pose), view.camera)
    return table(unwrapping.texture()[0])


def _drawn(posed: Posed, camera: Camera, colours: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mesh in colour (1, 3, H, W), and where it is (1, 1, H, W)."""
    buffer = gbuffer(posed, camera, camera.size)
    chart = torch.zeros_like(buffer.part)
    return buffer.image(bilinear(colours, (1, TEXELS, TEXELS), chart, buffer.uv)), buffer.coverage()


def _splits(marks: list[str]) -> list[str]:
    """SMPLpix's split of each picture, by its split in the capture."""
    held_out = [row for row, mark in enumerate(marks) if mark != "train"]
    named = {row for row in held_out if marks[row] == "validation"}
    validating = named or set(held_out[VALIDATION - 1::VALIDATION])
    return ["train" if mark == "train" else "validation" if row in validating else "test"
            for row, mark in enumerate(marks)]


def _over_white(picture: torch.Tensor, mask: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """What the mask (1, 1, H, W) keeps of a picture (1, 3, H, W), on white of a size: uint8."""
    page = np.full((*size, 3), 255, np.uint8)
    height, width = picture.shape[-2:]
    over = 1 + mask * (picture - 1)
    page[:height, :width] = (255 * over[0]).round().byte().permute(1, 2, 0).numpy()
    return page
