"""What is known of a picture beyond its colours, exactly: every pixel's is that of its centre.

    part     (H, W)     uint8    part of the naked body, 0 where there is none: the clothes are not looked at
    uv       (H, W, 2)  uint16   its texture coordinates, 65535 being 1
    normal   (H, W, 3)  int8     its smooth unit normals, world, 127 being 1
    layer    (H, W)     uint8    what is seen of the dressed person: 0 nothing, n the n-th layer of surface/
    surface_normal      (H, W, 3) int8
    depth    (H, W)     uint16   camera Z of what is seen, 0.1 mm; 0 is background
    flow_forward, flow_backward  (H, W, 2) float16   pixels (right, down) from what is seen to where it is in
             the next frame, and in the one before; NaN where nothing is seen or there is no such frame
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from anr_core.body import Posed
from anr_core.camera import Camera
from anr_core.rasterizer import Fragments, gbuffer, rasterize, vertex_normals
from anr_core.rasterizer.fragments import scattered
from anr_core.rasterizer.gbuffer import weighted

# Metres that a keypoint, which lies inside of the body, may lie behind the surface and still count as seen.
INSIDE = 0.13


def annotated(naked: Posed, surface: torch.Tensor, faces: torch.Tensor, layer: torch.Tensor, camera: Camera,
              before: torch.Tensor | None,
              after: torch.Tensor | None) -> tuple[dict[str, np.ndarray], Fragments]:
    """The arrays above of one camera's picture, and the dressed surface's fragments in it.

    naked          the body, a batch of one
    surface        (V, 3) metres, with faces (F, 3)
    layer          (F,)    layer of each face, from 0
    before, after  (V, 3)  the surface in the neighbouring frames, or None
    """
    body = gbuffer(naked, camera, camera.size)
    seen = rasterize(surface[None], faces, camera, camera.size)
    face = seen.face_id.view(-1)[seen.pixels].long()
    weights, corners = seen.barycentric.flatten(0, 2)[seen.pixels], faces[face]
    normals = functional.normalize(weighted(vertex_normals(surface[None], faces)[0], corners, weights), dim=1)

    def plane(values):
        return scattered(values, seen.pixels, seen.face_id.shape)[0].numpy()

    arrays = {
        "part": body.image(body.part)[0, 0].numpy().astype(np.uint8),
        "uv": _rows(body.image((body.uv * 65535).round())).astype(np.uint16),
        "normal": _rows(body.image((body.normal * 127).round())).astype(np.int8),
        "layer": plane(layer[face] + 1).astype(np.uint8),
        "surface_normal": plane((normals * 127).round()).astype(np.int8),
        "depth": (seen.depth[0] * 1e4).round().clamp(max=65535).numpy().astype(np.uint16),
    }
    for name, other in (("flow_forward", after), ("flow_backward", before)):
        flow = np.full((*camera.size, 2), np.nan, np.float16)
        if other is not None:
            here, there = (camera.project(weighted(mesh, corners, weights)[None])[0][0]
                           for mesh in (surface, other))
            flow.reshape(-1, 2)[seen.pixels.numpy()] = (there - here).numpy()
        arrays[name] = flow
    return arrays, seen


def _rows(picture):
    return picture[0].permute(1, 2, 0).numpy()


def keypoints_seen(points: torch.Tensor, camera: Camera, seen: Fragments) -> torch.Tensor:
    """(K, 3) pixels and confidence of points (K, 3) in the world: 1 where seen, 0 where hidden or outside."""
    pixels, depth = (values[0] for values in camera.project(points[None]))
    size = pixels.new_tensor(camera.size[::-1])
    inside = ((pixels >= 0) & (pixels < size)).all(1)
    column, row = pixels.nan_to_num().long().clamp(min=0).minimum(size.long() - 1).unbind(1)
    front = seen.depth[0, row, column]
    visible = inside & ((front == 0) | (depth - front < INSIDE))
    return torch.cat([pixels, visible[:, None].to(pixels)], 1)


# files


def write_annotations(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays by name into an .npz, in a folder that is made if it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **arrays)


def write_layers(folder: Path, names: Iterable[str], layers) -> None:
    """layers.npz: what stays the same of the dressed surface."""
    folder.mkdir()
    arrays = {f"{part}_{index}": getattr(layer, part) for index, layer in enumerate(layers, 1)
              for part in ("faces", "uv", "uv_faces")}
    np.savez_compressed(folder / "layers.npz", names=np.array(list(names)), **arrays)


def write_surface(file: Path, vertices: dict[str, np.ndarray]) -> None:
    """One frame's vertices of every layer."""
    np.savez(file, **{f"vertices_{index}": layer for index, layer in enumerate(vertices.values(), 1)})


def read_surface(folder: Path, frame: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The dressed surface of a studio capture in one frame, all layers as one mesh; None where there is none.

    returns  vertices (V, 3), metres, world, and faces (F, 3)
    """
    layers, moved = folder / "surface" / "layers.npz", folder / "surface" / f"{frame:04d}.npz"
    if not (layers.is_file() and moved.is_file()):
        return None
    with np.load(layers) as constant, np.load(moved) as moment:
        count = len(constant["names"])
        vertices = [moment[f"vertices_{index}"] for index in range(1, count + 1)]
        faces = [constant[f"faces_{index}"] for index in range(1, count + 1)]
    starts = np.cumsum([0, *map(len, vertices[:-1])])
    return (np.concatenate(vertices),
            np.concatenate([corners + start for corners, start in zip(faces, starts, strict=True)]))
