"""Format `easymocap`: intri.yml and extri.yml beside pictures or videos, and what EasyMocap found in them.

    intri.yml, extri.yml   OpenCV's YAML: K_CAM, dist_CAM, R_CAM (a rotation vector) or Rot_CAM, T_CAM in
                           metres
    images/                CAM/000000.jpg; or videos/CAM.mp4
    annots/, openpose/     CAM/000000.json, keypoints
    mask/                  CAM/000000.png
    smpl/, output.../smpl/ 000000.json, body parameters

Where the person's model is not at hand the parameters are kept as they are, and `fit` finds a body instead.
What `convert` wrote has a folder anr_core/ too, for all that EasyMocap has no place for.
Source: EasyMocap's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from anr_core.capture.folder import Shot
from anr_core.capture.footage import Footage, Take
from anr_core.capture.index import read_index
from anr_core.capture.keypoints import BODIES
from anr_core.capture.posing import read_posing
from anr_core.capture.readers.calibration import Calibration, camera_for, checked, original_of
from anr_core.capture.readers.clips import clip_names, numbered, open_clip
from anr_core.capture.readers.smpl_json import MODELS, posed_meshes, read_parameters
from anr_core.capture.readers.smpl_meshes import MODEL_FOLDER
from anr_core.capture.readers.takes import footage_of
from anr_core.capture.readers.timing import EVERYTHING, Span
from anr_core.capture.sources import upright_axis
from anr_core.telling import brief, listed, quoted, reason

ABOUT = "intri.yml and extri.yml beside images or videos"
OURS = "anr_core"
FILES = ("intri.yml", "extri.yml")
PARAMETER_FOLDERS = ("smpl", "output/smpl", "output-smpl-3d/smpl")  # before any output.../smpl...


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    return all((source / name).is_file() for name in FILES)


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """Everything of a recording; videos are decoded only while the takes are asked for."""
    calibrations = read_calibration(source)
    root = next((folder for folder in (source, source.resolve().parent) if clip_names(folder)), None)
    if root is None:
        raise FileNotFoundError(f"{source} has no pictures: expected images/CAMERA/000000.jpg or "
                                "videos/CAMERA.mp4.")
    names = clip_names(root)
    notes = [f"{name} is not calibrated in intri.yml and extri.yml and is left out." for name in names
             if name not in calibrations]
    notes += [f"{name} is calibrated, but has no pictures." for name in calibrations if name not in names]
    clips = [open_clip(root, name) for name in names if name in calibrations]
    if not clips:
        raise ValueError(f"{root} has pictures of {listed(names)}, but intri.yml and extri.yml calibrate "
                         f"{listed(calibrations)}. Give both the same names.")
    cameras, originals = {}, {}
    for clip in clips:
        cameras[clip.name], found = camera_for(calibrations[clip.name], clip.name, clip.size)
        originals[clip.name] = original_of(calibrations[clip.name], clip.size)
        notes += found
    footage = footage_of("easymocap", root, clips, cameras, originals, upright_axis(list(cameras.values())),
                         span, notes=notes)
    return _read_back(footage, source) if (source / OURS).is_dir() else _with_body(footage, source)


def _read_back(footage: Footage, source: Path) -> Footage:
    """What `convert` wrote: the same capture again, of the frames that are asked for."""
    folder = source / OURS
    index = read_index(folder)
    try:
        shots = {(shot.camera, shot.frame): shot for shot in (Shot(**entry) for entry in index["shots"])}
        body, poses = read_posing(folder, index["body"])
        if poses is not None:
            registered = {"frames": poses.frame.numpy(), "surface": body.surface,
                          "body": body, "poses": poses}
        elif body is not None:
            registered = {"frames": body.frames.numpy(), "surface": body.surface,
                          "vertices": body.vertices.numpy()}
        else:
            registered = {}
        known = set(registered["frames"].tolist()) if registered else None
        if known is not None and (missing := {frame for _, frame in shots} - known):
            raise ValueError(f"{folder} has no mesh or pose of frame {listed(sorted(missing))}, of which "
                             "capture.json has pictures. Convert the capture again.")
        cameras = {name: index["cameras"][name] for name in footage.cameras}
        # hands and face may have been in pictures alone that aren't asked for
        skeleton = footage.keypoints if index["keypoints"] in BODIES else index["keypoints"]
        return replace(
            footage, fps=index["fps"], up=tuple(index["up"]), person=index["person"],
            licence=index["licence"],
            originals={name: camera["original"] for name, camera in cameras.items()},
            takes=_as_they_were(footage.takes, shots, folder), notes=[], keypoints=skeleton,
            uncalibrated=frozenset(name for name, camera in cameras.items() if not camera["calibrated"]),
            **registered)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'capture.json'} lacks {reason(error)}. Convert the capture again, or "
                         f"remove {folder} to go without.") from None


def _as_they_were(takes, shots, folder) -> Iterator[Take]:
    for take in takes:
        shot = shots.get((take.camera, take.frame))
        if shot is not None:
            yield replace(take, registered=shot.registered, split=shot.split,
                          certain=folder / shot.certain if shot.certain else None,
                          truth=folder / shot.truth if shot.truth else None)


def _with_body(footage: Footage, source: Path) -> Footage:
    """The same, with the body parameters that lie beside, and with their meshes where a model is at hand."""
    folders = [*(source / name for name in PARAMETER_FOLDERS), *sorted(source.glob("output*/smpl*"))]
    files = next((found for folder in folders if (found := numbered(folder, (".json",)))), None)
    if files is None:
        return footage
    parameters = read_parameters(files)
    meshes = posed_meshes(parameters)
    model = MODELS[parameters["poses"].shape[1]]
    if meshes is None:
        note = (f"{len(files)} frames have {model} parameters, kept in foreign.npz. Set {MODEL_FOLDER} to "
                f"the folder of your {model} model to pose it, or let fit find a body.")
        return replace(footage, foreign=parameters, notes=[*footage.notes, note])
    vertices, surface = meshes
    known = set(parameters["frames"].tolist())
    return replace(footage, foreign=parameters, frames=parameters["frames"], vertices=vertices,
                   surface=surface, takes=_of_frames(footage.takes, known),
                   notes=[*footage.notes, f"posed by your {model} model; frames without parameters are left "
                                          "out."])


def _of_frames(takes: Iterator[Take], known: set[int]) -> Iterator[Take]:
    return (replace(take, registered=True) for take in takes if take.frame in known)


# calibration

def read_calibration(source: Path) -> dict[str, Calibration]:
    """The cameras by name, of a folder's intri.yml and extri.yml."""
    intrinsic, extrinsic = (read_yaml(source / name) for name in FILES)
    names = intrinsic.get("names") or sorted(key[2:] for key in intrinsic if key.startswith("K_"))
    found = {}
    for name in names:
        K = _entry(intrinsic, source / FILES[0], f"K_{name}")
        size = [intrinsic.get(f"{side}_{name}") for side in "HW"]
        R = extrinsic[f"Rot_{name}"] if f"Rot_{name}" in extrinsic else \
            _entry(extrinsic, source / FILES[1], f"R_{name}")
        t = _entry(extrinsic, source / FILES[1], f"T_{name}")
        lens = intrinsic.get(f"dist_{name}", intrinsic.get(f"D_{name}", np.zeros(0)))
        found[name] = checked(name, source / FILES[1], K, R, t, lens, None if None in size else size)
    if not found:
        raise ValueError(f"{source / FILES[0]} describes no cameras: expected names, and K_NAME of each.")
    return found


def _entry(values, file, key):
    if key not in values:
        raise ValueError(f"{file} has no {brief(key)}. Calibrate that camera, or take it out of `names`.")
    return values[key]


MATRIX = re.compile(r"^([\w.-]+):\s*!!opencv-matrix\s+rows:\s*(\d+)\s+cols:\s*(\d+)\s+dt:\s*\w+\s+"
                    r"data:\s*\[([^\]]*)\]", re.MULTILINE)
NAMES = re.compile(r"^names:\s*\n((?:[ \t]*-[^\n]*\n?)+)", re.MULTILINE)
NUMBER = re.compile(r"^([\w.-]+):\s*([-+.\deE]+)\s*$", re.MULTILINE)


def read_yaml(file: Path) -> dict:
    """Matrices, numbers and `names` of a file in OpenCV's YAML."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. EasyMocap's calibration writes it.")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text ({reason(error)}). Copy it again.") from None
    found = {}
    for key, rows, columns, data in MATRIX.findall(text):
        try:
            values = [float(word) for word in data.replace(".Nan", "nan").replace(".Inf", "inf").split(",")]
            found[key] = np.array(values).reshape(int(rows), int(columns))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{file}: {brief(key)} is no matrix of {brief(rows)} x {brief(columns)} "
                             f"numbers ({reason(error)}).") from None
    for key, value in NUMBER.findall(text):
        try:
            found[key] = float(value)
        except ValueError:
            raise ValueError(f"{file}: {brief(key)} is {quoted(value)}, which is no number.") from None
    if names := NAMES.search(text):
        found["names"] = [line.strip(" \t-").strip().strip("\"'") for line in names[1].splitlines()]
    if not found:
        raise ValueError(f"{file} holds no matrices in OpenCV's YAML. Copy it again.")
    return found
