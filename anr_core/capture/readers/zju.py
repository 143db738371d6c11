"""Format `zju`: one subject of ZJU-MoCap's LightStage recordings, as Neural Body's authors hand them out.

    annots.npy                 cams: K, D, R, and T in millimetres, of each camera; ims: each frame's pictures
    Camera_B1/000000.jpg       the pictures; of 313 and 315 Camera (1)/CoreView_313_Camera_(1)_0001_....jpg
    mask_cihp/Camera_B1/...    a map of body parts, not zero where the person is; or mask/
    vertices/0.npy             (6890, 3) metres; new_vertices/ of the better fit with pose blend shapes
    params/0.npy               Rh, Th, poses, shapes; new_params/ likewise
    lbs/faces.npy              SMPL's triangles, where another project's files lie beside

313 and 315 count pictures and vertices from 1, all others from 0; here all count from 0. Views and frames are
held out as published, at every 30th frame. SMPL's triangles are not in the dataset: without them the vertices
are kept as points, for `fit`. Source: Peng et al., Neural Body, 2021, and its code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from anr_core.body.npz import read_npy
from anr_core.capture.footage import Footage, Take
from anr_core.capture.pictures import read_mask
from anr_core.capture.readers.arrays import entry, numbers
from anr_core.capture.readers.calibration import Calibration, camera_for, checked, original_of
from anr_core.capture.readers.smpl_meshes import surface_of, without_model
from anr_core.capture.readers.timing import ASSUMED_FPS, EVERYTHING, Span
from anr_core.capture.sources import common_size, is_number, stated_licence, upright_axis
from anr_core.telling import brief, listed

ABOUT = "annots.npy beside pictures and masks"
LICENCE = "ZJU-MoCap: non-commercial research, not to be passed on; cite Peng et al., Neural Body, CVPR 2021"

MASK_DOUBT = 2.0  # pixels: Neural Body, too, leaves a band of five out of its losses

# By subject, the first and the one after the last frame of training, and of what is held out as novel poses.
PUBLISHED = {
    "313": ((0, 60), (60, 1060)), "315": ((0, 400), (400, 1400)), "377": ((0, 300), (300, 617)),
    "386": ((0, 300), (300, 646)), "387": ((0, 300), (300, 654)), "390": ((700, 1000), (0, 700)),
    "392": ((0, 300), (300, 556)), "393": ((0, 300), (300, 658)), "394": ((0, 300), (300, 859)),
}
TRAINING_VIEWS, EVERY = (0, 6, 12, 18), 30
SPLITS = {(True, False): "train", (False, False): "novel_view", (True, True): "novel_pose",
          (False, True): "novel_both"}  # by whether the view is trained, and the pose held out


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    return (source / "annots.npy").is_file()


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """Everything of a subject's folder; pictures are read only while the takes are asked for."""
    file = source / "annots.npy"
    annotations = read_npy(file)
    rows, calibrations = _rows(entry(annotations, "ims", file), file), _calibrations(annotations, file)
    wanted = span.frames(rows, ASSUMED_FPS)
    subject = next(iter(re.findall(r"3\d\d", source.resolve().name)), None)
    notes = [f"times are counted at {ASSUMED_FPS:g} frames a second, which the dataset doesn't state."]
    if subject not in PUBLISHED:
        notes.append(f"no split is published of {source.resolve().name}: all of it is for training.")
    shots, lost = [], 0
    for frame in sorted(wanted):
        for view, path in enumerate(rows[frame].paths):
            split = _split(subject, view, frame)
            there = split is not None and (source / path).is_file()
            lost += split is not None and not there
            shots += [_Shot(view, frame, split, source / path, source)] if there else []
    if not shots:
        raise FileNotFoundError(f"{source} holds none of the pictures that {file.name} lists, such as "
                                f"{brief(rows[min(rows)].paths[0])}. Unpack them beside it.")
    notes += [f"{lost} pictures that {file.name} lists are not here."] if lost else []
    body, found = _body(source, rows, sorted({shot.frame for shot in shots}))
    notes += found
    shots = [shot for shot in shots if shot.frame in set(body["frames"].tolist()) or body["surface"] is None]
    cameras, originals = {}, {}
    for view in sorted({shot.view for shot in shots}):
        if view >= len(calibrations):
            raise ValueError(f"{file} lists pictures of camera {view}, but has {len(calibrations)} cameras.")
        pictures = [shot.picture for shot in shots if shot.view == view]
        name, size = _name(source, pictures[0]), common_size(pictures)
        cameras[name], found = camera_for(calibrations[view], name, size)
        originals[name] = original_of(calibrations[view], size)
        notes += found
    points = {frame: row.keypoints for frame, row in rows.items() if row.keypoints is not None}
    return Footage(
        format="zju", cameras=cameras, originals=originals,
        takes=(_take(shot, points, body["surface"] is not None) for shot in shots),
        fps=ASSUMED_FPS, up=upright_axis(list(cameras.values())), person=source.resolve().name,
        notes=notes, keypoints="body25" if points else None,
        **stated_licence(source, LICENCE), **body)


# annots.npy

@dataclass(frozen=True)
class _Row:
    """One frame of annots.npy: its number in the other folders' files, each camera's picture, keypoints."""

    number: int
    paths: list[str]
    keypoints: np.ndarray | None


def _rows(entries, file: Path) -> dict[int, _Row]:
    """The frames by our number."""
    rows = {}
    for row in _flat(entries):
        paths = [str(path) for path in _flat(entry(row, "ims", file))]
        if not paths or any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts
                            for path in paths):
            raise ValueError(f"{file} lists {listed(paths[:1])} as a frame's pictures; expected paths "
                             "below it.")
        number, first = _number(paths[0], file)
        points = row.get("kpts2d")
        if points is not None:
            points = numbers(points, (len(paths), 25, 3), f"{file}: kpts2d of frame {number}")
        if number - first in rows:
            raise ValueError(f"{file} lists frame {number} twice. Copy it again.")
        rows[number - first] = _Row(number, paths, points)
    if not rows:
        raise ValueError(f"{file} lists no pictures.")
    return rows


def _flat(values) -> list:
    """The entries of a list or an array, and of lists and arrays in it."""
    found, waiting = [], [values]
    while waiting:
        value = waiting.pop()
        value = value.ravel().tolist() if isinstance(value, np.ndarray) else value
        if isinstance(value, list | tuple):
            waiting += value[::-1]
        else:
            found.append(value)
    return found


def _number(path, file) -> tuple[int, int]:
    """The frame's number in a picture's name, and the number of the first frame."""
    stem, fields = PurePosixPath(path).stem, PurePosixPath(path).stem.split("_")
    if is_number(stem):
        return int(stem), 0
    if len(fields) > 4 and is_number(fields[4]):  # CoreView_313_Camera_(1)_0001_2019-08-23_...
        return int(fields[4]), 1
    raise ValueError(f"{file} lists {brief(path)}, whose name has no frame number, as 000000.jpg does.")


def _calibrations(annotations, file) -> list[Calibration]:
    cams = entry(annotations, "cams", file)
    K, D, R, T = (entry(cams, key, file) for key in "KDRT")
    if not all(isinstance(values, list | tuple) or isinstance(values, np.ndarray) and values.ndim
               for values in (K, D, R, T)):
        raise ValueError(f"{file}: K, D, R and T of cams are not lists; expected one entry a camera.")
    if not len(K) == len(D) == len(R) == len(T):
        raise ValueError(f"{file} has {len(K)} K, {len(D)} D, {len(R)} R and {len(T)} T; expected one "
                         "a camera.")
    millimetres = [numbers(t, (3,), f"{file}: T of camera {view}") for view, t in enumerate(T)]
    return [checked(str(view), file, K[view], R[view], millimetres[view] / 1000, D[view])
            for view in range(len(K))]


def _name(source, picture):
    """A camera's name, of the folder that its pictures lie in: Camera_B1, and Camera_1 for Camera (1)."""
    return re.sub(r"\W+", "_", picture.relative_to(source).parts[0]).strip("_")


def _split(subject, view, frame) -> str | None:
    """What a view is for by the published protocol; None where it isn't used."""
    if subject not in PUBLISHED:
        return "train"
    trained, held_out = PUBLISHED[subject]
    novel = held_out[0] <= frame < held_out[1]
    if not novel and not trained[0] <= frame < trained[1]:
        return None
    split = SPLITS[view in TRAINING_VIEWS, novel]
    first = held_out[0] if novel else trained[0]
    return split if split == "train" or (frame - first) % EVERY == 0 else None


# pictures and meshes

@dataclass(frozen=True)
class _Shot:
    view: int
    frame: int
    split: str
    picture: Path
    source: Path

    @property
    def mask(self) -> Path | None:
        path = self.picture.relative_to(self.source).with_suffix(".png")
        return next((file for folder in ("mask_cihp", "mask")
                     if (file := self.source / folder / path).is_file()), None)


def _take(shot: _Shot, points: dict[int, np.ndarray], registered: bool) -> Take:
    mask, name = shot.mask, _name(shot.source, shot.picture)
    keypoints = np.float32(points[shot.frame][shot.view]) if shot.frame in points else None
    person = None if mask is None else read_mask(mask) > 0
    if person is not None:
        person = np.uint8(255) * person if person.any() else None  # empty where nobody was found
    return Take(name, shot.frame, shot.picture, person, MASK_DOUBT, registered, shot.split, keypoints)


def _body(source: Path, rows: dict[int, _Row], frames: list[int]) -> tuple[dict, list[str]]:
    """The fields of a footage that tell the body, and notes."""
    new = (source / "new_vertices").is_dir()
    folders = [source / f"{'new_' if new else ''}{name}" for name in ("vertices", "params")]
    meshes, parameters = {}, {}
    for frame in frames:
        mesh, record = (folder / f"{rows[frame].number}.npy" for folder in folders)
        if mesh.is_file():
            meshes[frame] = numbers(read_npy(mesh), (None, 3), str(mesh)).astype(np.float32)
        if record.is_file():
            found = read_npy(record)
            parameters[frame] = {key: numbers(entry(found, key, record), (None,), f"{record}: {key}")
                                 for key in ("Rh", "Th", "poses", "shapes")}
    empty = {"frames": np.zeros(0, np.int64), "vertices": None, "surface": None}
    notes = [f"{len(frames) - len(meshes)} of {len(frames)} frames have no mesh in {folders[0].name}/."] \
        if len(meshes) < len(frames) else []
    known = [frame for frame in frames if frame in parameters]
    foreign = {}
    for key in parameters[known[0]] if known else ():
        if len(sizes := {parameters[frame][key].shape for frame in known}) > 1:
            raise ValueError(f"{folders[1]} mixes {key} of the shapes {listed(sorted(sizes))}. Keep those of "
                             "one model.")
        foreign[key] = np.stack([parameters[frame][key] for frame in known])
    if known:
        foreign |= {"frames": np.array(known, np.int64), "pose_blend_shapes": np.array(new)}
    if not meshes:
        return empty | {"foreign": foreign or None}, notes
    if len(sizes := {len(mesh) for mesh in meshes.values()}) > 1:
        raise ValueError(f"{folders[0]} mixes meshes of {listed(sorted(sizes))} vertices. Keep those of one "
                         "model.")
    vertices, meshed = np.stack(list(meshes.values())), np.array(list(meshes), np.int64)
    surface = surface_of(vertices[0], source)
    if surface is None:
        foreign |= {"mesh_frames": meshed, "vertices": vertices}
        told = without_model("vertices, which come without triangles,")
        return empty | {"foreign": foreign}, [*notes, told]
    return {"frames": meshed, "vertices": vertices, "surface": surface, "foreign": foreign or None}, notes
