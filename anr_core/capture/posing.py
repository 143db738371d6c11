"""How a capture's body is made and posed: registered meshes, or a model's shape and a pose a frame.

A description, as it stands in capture.json and in a run's config.json, is all that a body is made from:
{"model": "anny", "shape": {"gender": 0.3, ...}}, {"model": "smpl", "variant": "neutral", "betas": [...]} with
the user's own model file, or None for meshes, which only their capture holds. In capture.json {"model": None}
says that no body was fitted yet.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from anr_core.body import Body, Pose, TrackedBody, make_surface
from anr_core.body.npz import read_npz
from anr_core.body.smpl import VERTICES, SmplBody, own_model
from anr_core.capture.footage import Footage
from anr_core.capture.readers.arrays import frame_numbers, numbers
from anr_core.telling import quoted, reason

UNREGISTERED = {"model": None}


def describe_body(body: Body | None) -> dict | None:
    """What `make_body` makes the same body from; None for meshes, which only the capture has, or for none."""
    if isinstance(body, SmplBody):
        return {"model": body.model_type, "variant": body.variant, "betas": body.betas[0].tolist()}
    return None if isinstance(body, TrackedBody | None) else {"model": "anny", "shape": asdict(body.shape)}


def make_body(description: dict) -> Body:
    """The body that is described.

    Raises FileNotFoundError where it is made from a model file of the user's own that isn't there.
    """
    from anr_core.body.anny import AnnyBody, Shape

    try:
        if description["model"] == "anny":
            return AnnyBody(Shape(**description["shape"]))
        if description["model"] in VERTICES:
            model, betas = own_model(description["model"], description["variant"]), description["betas"]
            betas = numbers(betas, (None,), "betas")
            return SmplBody(model, description["model"], description["variant"], betas)
    except (KeyError, TypeError) as error:
        raise ValueError(f"The description of the body, {quoted(description, 200)}, is broken "
                         f"({reason(error)}). Prepare the capture again, or train the run again.") from None
    raise ValueError(f"The body {quoted(description['model'])} is unknown; this version knows anny, "
                     f"{', '.join(VERTICES)}. Prepare the capture again, or train the run again.")


def write_posing(footage: Footage, folder: Path) -> dict | None:
    """Write poses.npz or body.npz, if there is a body; returns its description."""
    if not footage.registered:
        return UNREGISTERED
    if footage.poses is None:
        np.savez(folder / "body.npz", frames=footage.frames, vertices=footage.vertices,
                 **{name: getattr(footage.surface, name).numpy()
                    for name in ("faces", "uv", "uv_faces", "part")})
        return None
    write_poses(replace(footage.poses, frame=torch.from_numpy(footage.frames)), folder / "poses.npz")
    return describe_body(footage.body)


def write_poses(poses: Pose, file: Path) -> None:
    """Write poses, whose frames are known, as poses.npz holds them."""
    np.savez(file, frames=poses.frame.numpy(),
             **{name: getattr(poses, name).numpy()
                for name in ("rotations", "root_rotation", "root_translation")})


def read_posing(folder: Path, description: dict | None) -> tuple[Body | None, Pose | None]:
    """A capture's body, if it has one, and its poses in the order of their frames; None for meshes."""
    if description == UNREGISTERED:
        return None, None
    if description is None:
        return _read(folder / "body.npz", _tracked), None
    try:
        body = make_body(description)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{folder}: {error} Or prepare the capture again, and fit Anny.") from None
    except ValueError as error:
        raise ValueError(f"{folder / 'capture.json'}: {reason(error)}") from None
    poses = _read(folder / "poses.npz", _poses)
    if (found := poses.rotations.shape[1]) != (known := body.rest_pose().rotations.shape[1]):
        raise ValueError(f"{folder / 'poses.npz'} turns {found} joints, but the body has {known}. Prepare "
                         "the capture again.")
    return body, poses


def _tracked(arrays):
    vertices = arrays["vertices"]
    if vertices.dtype != np.float32 or vertices.ndim != 3:
        vertices = numbers(vertices, (None, None, 3), "vertices")
    for mesh in vertices:  # one by one: all together may be larger than memory
        numbers(mesh, (None, 3), "vertices")
    surface = make_surface(vertices[0], *(arrays[name] for name in ("faces", "uv", "uv_faces", "part")))
    return TrackedBody(frame_numbers(arrays["frames"], "frames"), vertices, surface)


def _poses(arrays):
    frames = torch.from_numpy(frame_numbers(arrays["frames"], "frames"))
    turns = (torch.from_numpy(numbers(arrays[name], (len(frames), *shape), name)).float() for name, shape in (
        ("rotations", (None, 3)), ("root_rotation", (3,)), ("root_translation", (3,))))
    return Pose(*turns, frames)[frames.argsort()]


def _read(file, make):
    """What is made of a file's arrays."""
    try:
        return make(read_npz(file, mapped=("vertices",)))
    except (FileNotFoundError, KeyError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{file} is missing or broken ({reason(error)}). Prepare the capture again."
                         ) from None
