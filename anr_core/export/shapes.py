"""Looking at the renderer of diffuse Gaussians: spheres, ellipsoids and people, as a sheet or a video."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch
from PIL import Image, ImageDraw, ImageFont

from anr_core.body.anny import AnnyBody
from anr_core.camera import Camera, orbit
from anr_core.capture.pictures import write_image
from anr_core.export.video import VIDEO_FPS
from anr_core.export.writing import write_video
from anr_core.gaussians import Solids, draw, side_colours, solids_of
from anr_core.skeleton import ANNY

BACKGROUND = 0.08  # dark: what is soft is seen against it
CAPTION = 30  # pixels above a picture
COLUMNS = 3
SECONDS = 6  # of a video, in which the camera circles once
RED, BLUE, YELLOW = (0.95, 0.25, 0.2), (0.25, 0.45, 1.0), (1.0, 0.8, 0.2)

# What a picture can tell
SHOWN = ("colours", "nearness", "weight of the first", "weight of the background")

# Radians about Anny's axes: X to the left, Y to the back, Z up
_ARMS_DOWN = {"left_shoulder": (0, 0.75, 0), "right_shoulder": (0, -0.75, 0)}
POSES = {
    "resting": {},
    "walking": _ARMS_DOWN | {"left_hip": (-0.5, 0, 0), "left_knee": (0.3, 0, 0), "right_hip": (0.3, 0, 0),
                             "right_knee": (0.6, 0, 0), "left_elbow": (-0.4, 0, 0),
                             "right_elbow": (-0.9, 0, 0), "spine2": (0.1, 0, 0.1)},
    "waving": {"left_shoulder": (0, -1.6, 0), "left_elbow": (-0.9, 0, 0), "right_shoulder": (0, -0.75, 0),
               "neck": (0, 0.2, 0)},
}


@dataclass(frozen=True)
class Shape:
    """A scene: primitives with colours (N, 3), Z up, and how far from the middle it is looked at, metres."""

    solids: Solids
    colours: torch.Tensor
    distance: float

    def scaled(self, along: float, across: float) -> Shape:
        """So many times as long along each primitive's first axis, and as thick across it."""
        times = torch.tensor([along, across, across])
        return replace(self, solids=replace(self.solids, squared_scales=self.solids.squared_scales
                                            * times.square()))

    def with_first_nearer(self, metres: float) -> Shape:
        """The first primitive moved towards who looks from the front."""
        means = self.solids.means.clone()
        means[:, 0, 1] -= metres  # Y is to the back
        return replace(self, solids=replace(self.solids, means=means))


def write_shapes(out: Path, which: str = "all", size: int = 384, count: int = 100) -> None:
    """Draw one of SHAPES or all of them: a picture in .png or .jpg, or in .mp4 a turn around it.

    size   side of a picture, pixels
    count  primitives of those scenes that have many
    """
    if out.suffix.lower() not in (".png", ".jpg", ".mp4"):
        raise ValueError(f"{out} is no name of a picture or video; write one in .png, .jpg or .mp4.")
    if which not in ("all", *SHAPES):
        raise ValueError(f"There is no shape {which!r}; use all or one of {', '.join(SHAPES)}.")
    if size < 16 or count < 1:
        raise ValueError(f"Size {size} and count {count} draw nothing; give 16 or more, and 1 or more.")
    names = list(SHAPES) if which == "all" else [which]
    scenes = {name: SHAPES[name](count) for name in names}
    if out.suffix.lower() == ".mp4":
        write_video(out, turn(scenes, size), VIDEO_FPS)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_image(out, sheet(scenes, size, 0.3))


def turn(scenes: dict[str, Shape], size: int) -> Iterator[np.ndarray]:
    """Sheets (H, W, 3) uint8 while the camera circles once."""
    for azimuth in torch.linspace(0, 2 * math.pi, round(SECONDS * VIDEO_FPS) + 1)[:-1].tolist():
        yield sheet(scenes, size, azimuth)


def sheet(scenes: dict[str, Shape], size: int, azimuth: float) -> np.ndarray:
    """Pictures of scenes under their names, (H, W, 3) uint8."""
    tiles = [_captioned(picture(scene, size, azimuth), name.replace("-", " "))
             for name, scene in scenes.items()]
    columns = min(COLUMNS, len(tiles))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[row:row + columns], 1)
                           for row in range(0, len(tiles), columns)])


def picture(shape: Shape, size: int, azimuth: float, elevation: float = 0.15, distance: float | None = None,
            half_line: bool = True, shown: str = SHOWN[0]) -> np.ndarray:
    """(size, size, 3) uint8, by default from a little above, and as far away as the shape wants it.

    shown  one of SHOWN: colours, how near primitives are (white is the nearest), or how much the first one or
           the background weighs among all, from black (nothing) to white (alone)
    """
    camera = orbit(torch.zeros(3), azimuth, elevation, distance or shape.distance, 0.6, (size, size),
                   (0, 0, 1))
    values, background = _shown(shape, camera, shown)
    drawn = draw(shape.solids, values, background, camera, half_line=half_line)[0]
    return (255 * drawn.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()


def _shown(shape: Shape, camera: Camera, shown: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What each primitive (N, 3) and the background (3,) bring into the picture."""
    if shown == SHOWN[0]:
        return shape.colours, torch.full((3,), BACKGROUND)
    if shown == SHOWN[1]:
        depth = camera.camera_from_world(shape.solids.means)[0, :, 2:]
        far = (depth - depth.min()) / (depth.max() - depth.min()).clamp(min=1e-6)
        return (1 - 0.8 * far).expand(-1, 3), torch.zeros(3)
    first = torch.zeros_like(shape.colours)
    if shown == SHOWN[2]:
        first[0] = 1
    return first, torch.full((3,), float(shown == SHOWN[3]))


# scenes


def one_sphere(count: int) -> Shape:
    """One ball; count says nothing."""
    return _shape([[0, 0, 0]], [[1.0] * 3], [RED], 3)


def one_ellipsoid(count: int) -> Shape:
    """One ellipsoid, turned; count says nothing."""
    return _shape([[0, 0, 0]], [[2.2, 0.7, 0.7]], [YELLOW], 3, torch.tensor([[0.0, -0.6, 0.5]]))


def two_that_overlap(count: int) -> Shape:
    """Red is nearer at first, Y being to the back."""
    return _shape([[-0.12, -0.35, 0], [0.12, 0.35, 0]], [[1.0] * 3] * 2, [RED, BLUE], 3)


def many_spheres(count: int) -> Shape:
    """So many balls of several sizes, at random; always the same ones."""
    generator = torch.Generator().manual_seed(0)
    means = 1.2 * torch.rand(count, 3, generator=generator) - 0.6
    scale = 0.15 + 0.4 * torch.rand(count, 1, generator=generator)
    return _shape(means, scale.expand(-1, 3), rainbow(count), 4)


def many_ellipsoids(count: int) -> Shape:
    """So many ellipsoids, turned at random; always the same ones."""
    generator = torch.Generator().manual_seed(1)
    means = 1.2 * torch.rand(count, 3, generator=generator) - 0.6
    scales = torch.tensor([1.0, 0.2, 0.2]) * (0.4 + torch.rand(count, 1, generator=generator))
    return _shape(means, scales, rainbow(count), 4, math.pi * torch.randn(count, 3, generator=generator))


def people(count: int) -> Shape:
    """Three of Anny's in a row, as thick as bones are; left limbs are warm, right ones cold."""
    body = AnnyBody()
    rest = body.rest_pose()
    figures = []
    for place, turned in enumerate(POSES.values()):
        rotations = rest.rotations.clone()
        for name, angles in turned.items():
            rotations[0, ANNY.names.index(name) - 1] = torch.tensor(angles)
        joints = body(replace(rest, rotations=rotations)).joints
        middle = (joints.amin(1, keepdim=True) + joints.amax(1, keepdim=True)) / 2
        figures.append(solids_of(joints - middle + torch.tensor([0.9 * (place - 1), 0, 0]), ANNY))
    colours = side_colours(ANNY).repeat(len(POSES), 1)
    return Shape(Solids(*(torch.cat(values, 1) for values in zip(*figures, strict=True))), colours, 4.8)


SHAPES = {"one-sphere": one_sphere, "one-ellipsoid": one_ellipsoid, "two-that-overlap": two_that_overlap,
          "many-spheres": many_spheres, "many-ellipsoids": many_ellipsoids, "people": people}


def rainbow(count: int) -> torch.Tensor:
    """(count, 3) colours that differ."""
    return torch.tensor([colorsys.hsv_to_rgb(index * 0.618 % 1, 0.75, 1.0) for index in range(count)])


def _shape(means, scales, colours, distance, turns=None):
    means, scales, colours = (torch.as_tensor(value, dtype=torch.float32)
                              for value in (means, scales, colours))
    rotations = roma.rotvec_to_rotmat(torch.zeros_like(means) if turns is None else turns)
    present = torch.ones(1, len(means), dtype=torch.bool)
    return Shape(Solids(means[None], rotations[None], scales.square()[None], present), colours, distance)


def _captioned(tile, words):
    whole = Image.new("RGB", (tile.shape[1], CAPTION + tile.shape[0]), "black")
    whole.paste(Image.fromarray(tile), (0, CAPTION))
    ImageDraw.Draw(whole).text((8, 6), words, "white", ImageFont.load_default(16))
    return np.asarray(whole)
