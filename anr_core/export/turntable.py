"""A mesh with colours, turning: its colours beside its shape alone, as a video or a strip of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from anr_core.camera import look_at
from anr_core.export.geometry import Extracted
from anr_core.export.staging import ELEVATION, FIELD_OF_VIEW, rounds
from anr_core.export.video import ROUND_SECONDS, STRIP, VIDEO_FPS
from anr_core.export.writing import write_strip, write_video
from anr_core.layers import GREY, normal_colours
from anr_core.rasterizer import interpolate, rasterize, vertex_normals

MARGIN = 1.05  # of the distance from which all of a mesh is seen


def write_turn(out: Path, made: Extracted, size: int) -> None:
    """Draw a mesh from all around: a video in .mp4, six views in .jpg or .png; pictures of size x size."""
    video = out.suffix.lower() == ".mp4"
    count = ROUND_SECONDS * VIDEO_FPS if video else STRIP
    pictures = turned(made, size, count)
    if video:
        write_video(out, tqdm(pictures, "drawing", count, unit=" pictures", leave=False), VIDEO_FPS)
    else:
        write_strip(out, list(pictures))


def turned(made: Extracted, size: int, count: int) -> Iterator[np.ndarray]:
    """So many views (2 size, size, 3) uint8, evenly around: colours above, normals below."""
    vertices, faces = torch.from_numpy(made.vertices).float()[None], torch.from_numpy(made.faces)
    normals = vertex_normals(vertices, faces)
    colours = torch.from_numpy(made.colours).float()[None]
    low, high = vertices[0].aminmax(dim=0)
    middle, radius = (low + high) / 2, float((high - low).norm()) / 2
    distance = MARGIN * radius / math.sin(FIELD_OF_VIEW / 2)
    focal = size / 2 / math.tan(FIELD_OF_VIEW / 2)
    K = torch.tensor([[[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]]])
    up = functional.normalize(made.up.float().cpu(), dim=0)
    across = torch.linalg.cross(up, torch.eye(3)[up.abs().argmin()])
    around = rounds(up, count) @ functional.normalize(across, dim=0)
    for outward in math.cos(ELEVATION) * around + math.sin(ELEVATION) * up:
        camera = look_at((middle + distance * outward)[None], middle[None], up, K, (size, size))
        fragments = rasterize(vertices, faces, camera, (size, size))
        covered = (fragments.face_id >= 0)[..., None]
        shown = torch.where(covered, interpolate(fragments, faces, colours), GREY)
        turned_normals = functional.normalize(interpolate(fragments, faces, normals) @ camera.R[0].T, dim=-1)
        shape = normal_colours((turned_normals * covered).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        shape = torch.where(covered, shape, GREY)
        yield (255 * torch.cat([shown, shape], 1)[0]).round().clamp(0, 255).byte().numpy()
