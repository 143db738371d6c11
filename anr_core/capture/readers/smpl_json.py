"""EasyMocap's body parameters, one JSON a frame: kept as they are, and posed where the user has the model.

A file is a list of people, or {"annots": [...]}: id, Rh (1, 3), Th (1, 3) metres, poses (1, n), shapes
(1, 10), and expression (1, 10) for SMPL-X. n is 72 for SMPL, 78 for SMPL-H and 87 for SMPL-X, whose hands are
six components each, 156 and 165 where they are given in full; 3 less where the root is left out.
Conventions: body/conventions.py. Source: EasyMocap's documentation.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch

from anr_core.body import Surface
from anr_core.body.conventions import pose_from_easymocap, resting_pelvis
from anr_core.body.npz import read_npz
from anr_core.capture.readers.smpl_meshes import own_model, vertices_of
from anr_core.capture.sources import read_json
from anr_core.telling import reason

MODELS = {72: "smpl", 69: "smpl", 78: "smplh", 75: "smplh", 87: "smplx", 84: "smplx",
          156: "smplh", 153: "smplh", 165: "smplx", 162: "smplx"}
FIELDS = ("Rh", "Th", "poses", "shapes")


def read_parameters(files: dict[int, Path]) -> dict[str, np.ndarray]:
    """Frames (n,), Rh (n, 3), Th (n, 3), poses (n, m), shapes (n, s) of whoever is in most of the files."""
    people = {frame: _read_people(file) for frame, file in files.items()}
    seen = Counter(person["id"] for found in people.values() for person in found)
    if not seen:
        raise ValueError(f"{next(iter(files.values())).parent} holds no person in any file.")
    who = min(seen, key=lambda person: (-seen[person], person))
    rows = {frame: person for frame, found in sorted(people.items())
            for person in found if person["id"] == who}
    arrays = {"frames": np.array(list(rows), np.int64)}
    for name in FIELDS:
        widths = Counter(len(person[name]) for person in rows.values())
        usual = widths.most_common(1)[0][0]
        for frame, person in rows.items():
            if len(person[name]) != usual:
                raise ValueError(f"{files[frame]} has {len(person[name])} values of {name}, the others "
                                 f"{usual}. Fit all frames with one model.")
        arrays[name] = np.array([person[name] for person in rows.values()], np.float32)
    if arrays["poses"].shape[1] not in MODELS:
        raise ValueError(f"{next(iter(files.values()))} has {arrays['poses'].shape[1]} pose values; SMPL has "
                         "72, SMPL-H 78 or 156, SMPL-X 87 or 165.")
    return arrays


def posed_meshes(parameters: dict[str, np.ndarray]) -> tuple[np.ndarray, Surface] | None:
    """Vertices (n, V, 3) metres and their surface, by the user's own model; None where none was named."""
    kind = MODELS[parameters["poses"].shape[1]]
    file = own_model(kind)
    if file is None:
        return None
    from anr_core.body.smpl import SmplBody  # leads to smplx, which few have

    body = SmplBody(file, kind, betas=parameters["shapes"].mean(0))
    pose = pose_from_easymocap(*(torch.from_numpy(parameters[name]) for name in ("poses", "Rh", "Th")),
                               resting_pelvis(body), kind, _hands(file))
    return vertices_of(body, pose), body.surface


def _hands(file: Path):
    """Components and mean of each hand, where a model's .npz has them."""
    if file.suffix != ".npz":
        return None
    names = [(f"hands_components{side}", f"hands_mean{side}") for side in "lr"]
    arrays = read_npz(file, only=[name for pair in names for name in pair])
    return [tuple(arrays[name] for name in pair) for pair in names] if len(arrays) == 4 else None


def _read_people(file: Path) -> list[dict]:
    content = read_json(file)
    people = content.get("annots") if isinstance(content, dict) else content
    if not isinstance(people, list):
        raise ValueError(f'{file} is no list of people, and no {{"annots": [...]}}.')
    found = []
    for person in people:
        try:
            values = {name: np.array(person[name], np.float64).reshape(-1) for name in FIELDS}
            values["id"] = int(person.get("id", person.get("personID", 0)))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(f"{file}: a person lacks id, Rh, Th, poses or shapes in numbers "
                             f"({reason(error)}).") from None
        if len(values["Rh"]) != 3 or len(values["Th"]) != 3:
            raise ValueError(f"{file}: Rh and Th need three numbers each.")
        if not all(np.isfinite(values[name]).all() for name in FIELDS):
            raise ValueError(f"{file} has NaN or infinite parameters. Fit that frame again, or remove the "
                             "file.")
        found.append(values)
    return found
