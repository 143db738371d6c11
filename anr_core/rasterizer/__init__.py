"""Rasterizing: a mesh and a camera go in, the face behind each pixel comes out.

    fragments = rasterize(vertices, faces, camera, (H, W))   which face, where on it, how far
    buffer = gbuffer(posed, camera, (H, W))                  covered pixels alone: UV, part, normals
"""

from __future__ import annotations

from importlib import import_module

import torch

from anr_core.body import Posed
from anr_core.camera import Camera
from anr_core.rasterizer.fragments import NEAR, Fragments
from anr_core.rasterizer.gbuffer import GBuffer, interpolate, vertex_normals

__all__ = ["BACKENDS", "NEAR", "Fragments", "GBuffer", "gbuffer", "interpolate", "rasterize",
           "vertex_normals"]

BACKENDS = ("warp", "reference", "pytorch3d")


def rasterize(vertices: torch.Tensor, faces: torch.Tensor, camera: Camera, size: tuple[int, int],
              backend: str = "warp") -> Fragments:
    """The nearest face behind the centre of each pixel.

    vertices  (B, V, 3)  metres, world; float32 or float64
    faces     (F, 3)     vertex indices, shared by the batch
    camera    B cameras
    size      (H, W)     of the pictures, pixels
    backend   "warp" (fast; CPU and CUDA), "reference" (slow, plain) or "pytorch3d" (where it is installed)

    Both sides of a face are drawn. A sample on an edge is in both faces of the edge; of two faces at equal
    depth (in float32) the lower id is seen. A perspective camera sees from NEAR on: faces across that plane
    are clipped. A weak one sees all depths. Gradients of barycentrics and depth reach vertices and camera;
    which face is seen has none.
    Raises ValueError for shapes that don't fit together, numbers that aren't finite, faces without vertices.
    """
    if backend not in BACKENDS:
        raise ValueError(f"Rasterizer backend {backend!r} is unknown; use one of {', '.join(BACKENDS)}.")
    _check(vertices, faces, camera, size)
    return import_module(f"anr_core.rasterizer.{backend}").fragments(vertices, faces, camera, size)


def gbuffer(posed: Posed, camera: Camera, size: tuple[int, int], backend: str = "warp") -> GBuffer:
    """What is seen of posed meshes, one row a covered pixel; rules and errors are those of `rasterize`."""
    fragments = rasterize(posed.vertices, posed.surface.faces, camera, size, backend)
    return GBuffer.of(fragments, posed, camera)


def _check(vertices, faces, camera, size):
    if vertices.ndim != 3 or vertices.shape[2] != 3 or len(vertices) != len(camera):
        raise ValueError(f"rasterize: vertices have shape {tuple(vertices.shape)} for {len(camera)} cameras, "
                         f"expected ({len(camera)}, V, 3); expand one of the two to the batch of the other.")
    if vertices.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"rasterize: vertices are {vertices.dtype}; convert them to float32 or float64.")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"rasterize: faces are {faces.dtype} of shape {tuple(faces.shape)}, expected int32 "
                         "or int64 (F, 3); split other polygons into triangles.")
    if min(size) < 1:
        raise ValueError(f"rasterize: the picture's size (H, W) is {tuple(size)}; give positive integers.")
    values = vertices.detach()
    # a sum is one pass, only then look closer; and all questions together let a GPU wait once
    asked = [value.detach().sum().isfinite() for value in (values, camera.K, camera.R, camera.t)]
    asked += faces.aminmax() if len(faces) else ()
    sound, *camera_sound = torch.stack([answer.long() for answer in asked]).tolist()
    low, high = camera_sound[3:] or (0, -1)
    if low < 0 or high >= vertices.shape[1]:
        raise ValueError(f"rasterize: faces name vertices {low} to {high} of {vertices.shape[1]}; "
                         "take faces and vertices from the same mesh.")
    if not sound:
        bad = (~values.isfinite().all(-1)).nonzero().tolist()
        found = f"vertex {bad[0][1]} of picture {bad[0][0]} and {len(bad) - 1} more" if bad else "their sum"
        raise ValueError(f"rasterize: vertices are not finite ({found}); repair the mesh or its pose.")
    for name, fine in zip(("K", "R", "t"), camera_sound[:3], strict=True):
        if not fine:
            raise ValueError(f"rasterize: camera.{name} is not finite; repair the camera.")
