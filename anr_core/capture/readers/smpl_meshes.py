"""Meshes of SMPL: its triangles and its posing come from the user's model, since no dataset may hold them.

The folder of the models is named by the environment variable ANR_CORE_SMPL. Without it vertices stay points
and parameters stay numbers, which a capture keeps in foreign.npz, and `fit` finds a body instead.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from anr_core.body import Body, Pose, Surface, make_surface
from anr_core.body.conventions import pose_from_smplx
from anr_core.body.npz import read_npy
from anr_core.body.smpl import MODEL_FOLDER, SmplBody, find_model, read_model
from anr_core.capture.readers.arrays import numbers
from anr_core.telling import reason

MODELS = {6890: "smpl", 10475: "smplx"}  # by their number of vertices


def surface_of(vertices: np.ndarray, source: Path) -> Surface | None:
    """The surface of vertices (V, 3), by triangles that lie beside or the user's model; None without."""
    beside = source / "lbs" / "faces.npy"
    if beside.is_file():
        faces = numbers(read_npy(beside), (None, 3), str(beside)).astype(np.int64)
    elif len(vertices) in MODELS and (model := own_model(MODELS[len(vertices)])):
        beside, faces = model, read_model(model)["f"]
    else:
        return None
    try:
        return make_surface(vertices, faces)
    except ValueError as error:
        raise ValueError(f"{beside}: {reason(error)}") from None


def posed(poses, translation, betas, variant: str | None = None,
          pose_blend_shapes: bool = True) -> tuple[np.ndarray, Surface] | None:
    """Vertices (n, V, 3) and surface of smplx's parameters, by the user's model; None without.

    poses (n, 72)   translation (n, 3) metres   betas (10,) or (n, 10), of which the mean is taken
    """
    model = own_model("smpl", variant)
    if model is None:
        return None
    body = SmplBody(model, betas=np.atleast_2d(betas).mean(0), pose_blend_shapes=pose_blend_shapes)
    pose = pose_from_smplx(*(torch.from_numpy(np.float32(values)) for values in (poses, translation)))
    return vertices_of(body, pose), body.surface


@torch.no_grad()
def vertices_of(body: Body, pose: Pose) -> np.ndarray:
    """Vertices (n, V, 3) of n poses, some at a time: pose blend shapes of all at once would fill memory."""
    return torch.cat([body(pose[row:row + 16]).vertices for row in range(0, len(pose), 16)]).numpy()


def own_model(kind: str, variant: str | None = None) -> Path | None:
    """The file of the user's model, or None where no folder was named."""
    if (folder := os.environ.get(MODEL_FOLDER)) is None:
        return None
    return find_model(Path(folder), kind, variant)


def without_model(what: str) -> str:
    """The note that tells how to get meshes out of what came without them."""
    return (f"{what} are kept in foreign.npz. Set {MODEL_FOLDER} to the folder of your SMPL model to have "
            "meshes, or let fit find a body.")
