"""What tells whether a capture is still the one that a run was begun with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch

from anr_core.body import TrackedBody
from anr_core.capture import Capture

MOST = 100  # pictures, and meshes, that are looked at: of a long film on a slow disk all would take minutes


def fingerprint(training: Capture) -> dict[str, str]:
    """A digest each of cameras, pictures, masks and poses, of some of them where there are many.

    Of pictures and masks it is the names: better ones may take their place, and a film that is drawn anew on
    another processor has other bytes; so have its numbers, of which a few digits count. Raises
    FileNotFoundError for a file that is gone.
    """
    shots = training.evenly(MOST).shots
    named = sorted({shot.camera for shot in training.shots} & training.cameras.keys())
    cameras = [training.cameras[name] for name in named]
    return {"cameras": _digest([*named, *(tensor for camera in cameras for tensor in
                                          (camera.K, camera.R, camera.t, camera.size))]),
            "pictures": _digest(_files(training, shots, "image", "input")),
            "masks": _digest(_files(training, shots, "mask", "certain")),
            "poses": _digest(_poses(training))}


def changed(begun: dict[str, str] | None, now: dict[str, str]) -> list[str]:
    """Names of what differs; of runs from before there were fingerprints, nothing is known to."""
    return [name for name, digest in now.items() if (begun or {}).get(name, digest) != digest]


def _files(training, shots, *kinds):
    for name in (getattr(shot, kind) for shot in shots for kind in kinds):
        if name and not (training.path / name).is_file():
            raise FileNotFoundError(f"{training.path / name} is missing. Put it back, or prepare the capture "
                                    "again.")
        yield name


def _poses(training):
    """Of the frames that are trained, so that others may be fitted later."""
    body, poses = training.registration, training.poses
    trained = torch.tensor(sorted({shot.frame for shot in training.shots}))
    if isinstance(body, TrackedBody):
        rows = torch.isin(body.frames.cpu(), trained).nonzero()[:, 0]
        rows = rows[::max(1, -(-len(rows) // MOST))]
        return [body.frames[rows], *body.vertices[rows]]
    if poses is None:
        return []
    poses = poses[torch.isin(poses.frame.cpu(), trained)]
    return [poses.frame, poses.rotations, poses.root_rotation, poses.root_translation]


def _told_of(numbers):
    """Few digits of many numbers: their length as a vector, and where it points on a fixed scale.

    Each number rounded would not do: of thousands some lie where the last bit decides.
    """
    numbers = numbers.detach().cpu().double().flatten()
    scale = torch.linspace(1, 2, len(numbers), dtype=torch.double)
    length = numbers.norm()
    return len(numbers), f"{length:.4g}", f"{numbers @ scale / (length * scale.norm() + 1e-9):.4f}"


def _digest(values: Iterable) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(repr(_told_of(value) if torch.is_tensor(value) else value).encode())
    return digest.hexdigest()[:16]
