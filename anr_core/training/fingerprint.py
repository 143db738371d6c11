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

    Of a picture it is the name and the size of the file. Raises FileNotFoundError for one that is gone.
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
        try:
            yield name, name and (training.path / name).stat().st_size
        except FileNotFoundError:
            raise FileNotFoundError(f"{training.path / name} is missing. Put it back, or prepare the capture "
                                    "again.") from None


def _poses(training):
    body, poses = training.registration, training.poses
    if isinstance(body, TrackedBody):
        return [body.frames, *body.vertices[::-(-len(body.vertices) // MOST)]]
    return [] if poses is None else [poses.frame, poses.rotations, poses.root_rotation,
                                     poses.root_translation]


def _digest(values: Iterable) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(value.detach().cpu().numpy().tobytes() if torch.is_tensor(value) else
                      repr(value).encode())
    return digest.hexdigest()[:16]
