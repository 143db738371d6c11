"""A capture at a glance: its cameras and moments side by side, over each picture what is known of it.

The body's outline is green, a mask's is blue where there is no body; a picture of a pair stands beside its
input. Keypoints are joined, those of the person's left side in yellow, of the right in red. Where outline or
keypoints leave the person, the body was fitted badly, or a convention was mistaken.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from anr_core.capture.bones import draw_bones
from anr_core.capture.folder import Capture, Shot
from anr_core.capture.pictures import write_image
from anr_core.rasterizer import rasterize
from anr_core.skeleton.named import SKELETONS

HEIGHT = 200  # pixels of a picture
HEAD = 14  # pixels of the line of words above it
OUTLINE = np.array([60, 255, 90], np.uint8)
MASK_OUTLINE = np.array([60, 160, 255], np.uint8)


def write_sheet(capture: Capture, out: Path, cameras: int = 6, moments: int = 6) -> None:
    """Write `contact_sheet` as a picture; raises ValueError for another name than .jpg or .png."""
    if out.suffix.lower() not in (".jpg", ".png"):
        raise ValueError(f"{out} is no name of a picture; write one that ends in .jpg or .png.")
    if cameras < 1 or moments < 1:
        raise ValueError(f"A sheet of {cameras} cameras and {moments} moments is empty; give 1 or more.")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_image(out, contact_sheet(capture, cameras, moments))


def contact_sheet(capture: Capture, cameras: int = 6, moments: int = 6) -> np.ndarray:
    """(H, W, 3) uint8: at most so many cameras from top to bottom, and of each so many frames.

    Each picture is named by its camera and frame, and by what it is held out for. A capture with one frame a
    camera is laid out in one order, row by row.
    """
    shots = [shot for shot in capture.shots if shot.registered or capture.registration is None]
    rows = [sorted((shot for shot in shots if shot.camera == name), key=lambda shot: shot.frame)
            for name in capture.cameras]
    rows = [row for row in rows if row]
    if all(len(row) == 1 for row in rows):
        flat = _spread([row[0] for row in rows], cameras * moments)
        rows = [flat[start:start + moments] for start in range(0, len(flat), moments)]
    rows = [_spread(row, moments) for row in _spread(rows, cameras)]
    tiles = [[_tile(capture, shot) for shot in row] for row in rows]
    width = max(sum(tile.shape[1] for tile in row) for row in tiles)
    return np.concatenate([_filled(np.concatenate(row, 1), width) for row in tiles])


def _spread(values, most):
    """At most so many of the values, evenly spread, the first and the last among them."""
    places = np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int)
    return [values[place] for place in places]


def _tile(capture: Capture, shot: Shot) -> np.ndarray:
    """One picture, small, with the body's outline and a line of words."""
    full = capture.cameras[shot.camera].size
    size = HEIGHT, max(1, round(HEIGHT * full[1] / full[0]))
    view = capture.views([shot.camera], [shot.frame], size=size)[0]
    picture = _pixels(view.image)
    if view.pose is None:
        picture[_outline(view.mask[0, 0] > 0.5)] = MASK_OUTLINE
    else:
        posed = capture.body(view.pose)
        covered = rasterize(posed.vertices, posed.surface.faces, view.camera, size).face_id[0] >= 0
        picture[_outline(covered)] = OUTLINE
    if shot.input is not None:
        picture = np.concatenate([_pixels(view.input), picture if shot.known else 0 * picture], 1)
    picture = Image.fromarray(picture)
    if view.keypoints is not None and capture.skeleton in SKELETONS:
        draw_bones(picture, view.keypoints[0].numpy(), SKELETONS[capture.skeleton])
    tile = Image.new("RGB", (picture.width, HEAD + HEIGHT), "black")
    tile.paste(picture, (0, HEAD))
    words = f"{shot.camera} {shot.frame}" + ("" if shot.split == "train" else f" {shot.split}")
    ImageDraw.Draw(tile).text((3, 1), words, "white")
    return np.asarray(tile)


def _pixels(batch: torch.Tensor) -> np.ndarray:
    """The first of (B, C, H, W) as (H, W, 3) uint8: grey ones thrice, of four channels the first three."""
    return (batch[0, :3].expand(3, -1, -1).permute(1, 2, 0) * 255).round().byte().numpy()


def _outline(covered: torch.Tensor) -> np.ndarray:
    """The pixels (H, W) just outside of a covered region."""
    around = torch.nn.functional.max_pool2d(covered[None, None].float(), 3, 1, 1)[0, 0] > 0
    return (around & ~covered).numpy()


def _filled(row: np.ndarray, width: int) -> np.ndarray:
    return np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)))
