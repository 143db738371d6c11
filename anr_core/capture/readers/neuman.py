"""Format `neuman`: a person before a moving phone camera, as Jiang et al. hand it out and prepare it.

    images/00000.png             each is its own camera
    segmentations/00000.png      0 where the person is, 255 where not
    keypoints/00000.png.npy      (17, 3) COCO; may be missing
    sparse/                      COLMAP's cameras.txt and images.txt, in a unit of its own
    smpl_output_optimized.pkl    joblib's: {1: pose (n, 72), betas (n, 10)}, by the number in a picture's name
    smpl_output_romp.pkl         the fit before that, which has verts (n, 6890, 3), too
    alignments.npy               by picture (4, 3): world = (x, y, z, 1) @ it, from metres to COLMAP's unit
    train_split.txt ...          names of pictures; val_split.txt, test_split.txt

SMPL is meant without pose blend shapes. The world is scaled to metres by the alignments' median scale.
Source: Jiang et al., NeuMan, 2022, and its code.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from anr_core.body.npz import read_npy
from anr_core.body.pickles import read_pickle
from anr_core.camera import Camera
from anr_core.capture.footage import Footage, Take
from anr_core.capture.pictures import read_mask
from anr_core.capture.readers.arrays import entry, numbers, real
from anr_core.capture.readers.calibration import camera_for, checked, original_of
from anr_core.capture.readers.colmap import read_photographs
from anr_core.capture.readers.smpl_meshes import posed, surface_of, without_model
from anr_core.capture.readers.timing import ASSUMED_FPS, EVERYTHING, Span
from anr_core.capture.sources import common_size, is_number, stated_licence
from anr_core.telling import brief

ABOUT = "images, sparse and alignments.npy"
LICENCE = "NeuMan: research; cite Jiang et al., NeuMan, ECCV 2022"
FITS = ("smpl_output_optimized.pkl", "smpl_output_romp.pkl")
SPLITS = {"train": "train", "val": "validation", "test": "test"}
MASK_DOUBT = 2.0  # pixels, of a network's segmentation


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    return (source / "alignments.npy").is_file() and (source / "sparse").is_dir()


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """All pictures of a scene; they are read only while the takes are asked for."""
    photographs = {}
    for name, photograph in read_photographs(source / "sparse").items():
        if not is_number(Path(name).stem) or Path(name).name != name:
            raise ValueError(f"{source / 'sparse' / 'images.txt'} has {brief(name)}, expected names like "
                             "00000.png.")
        if photographs.setdefault(int(Path(name).stem), (name, photograph))[0] != name:
            raise ValueError(f"{source / 'sparse' / 'images.txt'} has frame {int(Path(name).stem)} "
                             f"twice, once as {brief(name)}. Keep one.")
    wanted = sorted(span.frames(photographs, ASSUMED_FPS))
    alignments = _alignments(source / "alignments.npy", {frame: photographs[frame][0] for frame in wanted})
    unit = float(np.median([np.cbrt(np.linalg.det(turn[:3])) for turn in alignments.values()])) \
        if alignments else 1.0  # of COLMAP's length, a metre
    files = {frame: source / "images" / photographs[frame][0] for frame in wanted}
    size = common_size(list(files.values()))
    cameras, originals = {}, {}
    for frame in wanted:
        name, found = photographs[frame]
        calibration = checked(name, source / "sparse" / "images.txt", found.K, found.R, found.t / unit,
                              found.distortion, found.size)
        cameras[f"{frame:05d}"], _ = camera_for(calibration, name, size)
        originals[f"{frame:05d}"] = original_of(calibration, size)
    body, notes = _body(source, alignments, unit)
    if body["surface"] is not None:
        wanted = [frame for frame in wanted if frame in set(body["frames"].tolist())]
    splits, points = _splits(source), {frame: _keypoints(source, file) for frame, file in files.items()}
    notes += [f"times are counted at {ASSUMED_FPS:g} frames a second, which the dataset doesn't state.",
              f"COLMAP's unit of length is taken as {1 / unit:.3g} m."]
    return Footage(
        format="neuman", cameras=cameras, originals=originals,
        takes=(Take(f"{frame:05d}", frame, files[frame], _mask(source, files[frame]), MASK_DOUBT,
                    body["surface"] is not None, splits.get(files[frame].name, "train"), points[frame])
               for frame in wanted),
        fps=ASSUMED_FPS, up=_upwards(list(cameras.values())), person=source.resolve().name, notes=notes,
        keypoints="coco17" if any(one is not None for one in points.values()) else None,
        **stated_licence(source, LICENCE), **body)


def _upwards(cameras: list[Camera]) -> tuple[float, float, float]:
    """The pictures' mean upward direction: COLMAP's axes mean nothing, and a phone is held upright."""
    mean = -torch.cat([camera.R[:, 1] for camera in cameras]).mean(0)
    return tuple(functional.normalize(mean, dim=0).tolist())


def _mask(source: Path, picture: Path) -> np.ndarray | None:
    file = source / "segmentations" / picture.name
    if not file.is_file():
        return None
    person = read_mask(file) == 0
    return np.uint8(255) * person if person.any() else None  # empty where nobody was found


def _keypoints(source: Path, picture: Path) -> np.ndarray | None:
    file = source / "keypoints" / f"{picture.name}.npy"
    return np.float32(numbers(read_npy(file), (17, 3), str(file))) if file.is_file() else None


def _splits(source: Path) -> dict[str, str]:
    found = {}
    for name, split in SPLITS.items():
        if (file := source / f"{name}_split.txt").is_file():
            found |= {line.strip(): split for line in file.read_text(errors="replace").splitlines()}
    return found


# SMPL

def _alignments(file: Path, names: dict[int, str]) -> dict[int, np.ndarray]:
    """By frame (4, 3), where there is one."""
    record, found = read_npy(file), {}
    for frame, name in names.items():
        if isinstance(record, dict) and name not in record:
            continue
        found[frame] = numbers(entry(record, name, file), (4, 3), f"{file}: {brief(name)}")
        if np.linalg.det(found[frame][:3]) <= 0:
            raise ValueError(f"{file}: {brief(name)} mirrors or flattens the body. Align it again, or leave "
                             "it out.")
    return found


def _body(source: Path, alignments: dict[int, np.ndarray], unit: float) -> tuple[dict, list[str]]:
    """The fields of a footage that tell the body, and notes."""
    empty = {"frames": np.zeros(0, np.int64), "vertices": None, "surface": None}
    file = next((source / name for name in FITS if (source / name).is_file()), None)
    if file is None or not alignments:
        return empty, [f"there is no {' or '.join(FITS)} with an alignment; let fit find a body."]
    record, frames = _person(file), sorted(alignments)
    poses = numbers(_stacked(record, "pose", file), (None, 72), f"{file}: pose")
    betas = numbers(_stacked(record, "betas", file), (len(poses), None), f"{file}: betas")
    frames = [frame for frame in frames if frame < len(poses)]
    if not frames:
        raise ValueError(f"{file} has {len(poses)} poses, but pictures are numbered from {min(alignments)}.")
    aligned = np.stack([alignments[frame] for frame in frames])
    notes = [f"{len(alignments) - len(frames)} pictures have no pose in {file.name}."] \
        if len(frames) < len(alignments) else []
    foreign = {"frames": np.array(frames, np.int64), "poses": np.float32(poses[frames]),
               "betas": np.float32(betas[frames].mean(0)), "alignments": np.float32(aligned),
               "pose_blend_shapes": np.array(False)}
    meshes = posed(poses[frames], np.zeros((len(frames), 3)), betas[frames], pose_blend_shapes=False)
    if meshes is None:
        vertices, surface = _romp_vertices(source / FITS[1], frames), None
    else:
        vertices, surface = meshes
    if vertices is None:
        return empty | {"foreign": foreign}, [*notes, without_model(f"{len(frames)} poses of SMPL")]
    vertices = np.float32((vertices @ aligned[:, :3] + aligned[:, 3:]) / unit)
    surface = surface or surface_of(vertices[0], source)
    if surface is None:
        foreign |= {"mesh_frames": foreign["frames"], "vertices": vertices}
        return empty | {"foreign": foreign}, [*notes, without_model("poses and vertices of SMPL")]
    return {"frames": foreign["frames"], "vertices": vertices, "surface": surface, "foreign": foreign}, notes


def _person(file: Path):
    """The record of the only person in a fit's file."""
    record = read_pickle(file)
    if not isinstance(record, dict) or len(record) != 1:
        raise ValueError(f"{file} holds {len(record) if isinstance(record, dict) else 'no'} people, expected "
                         "one. Copy it again.")
    person = next(iter(record.values()))
    if not isinstance(person, dict):
        raise ValueError(f"{file} holds a {type(person).__name__} as its person, expected a dictionary. "
                         "Copy it again.")
    return person


def _stacked(record, key, file) -> np.ndarray:
    values = entry(record, key, file)
    try:
        return np.stack([real(one, key) for one in values])
    except (ValueError, TypeError):
        raise ValueError(f"{file}: {key} is empty, or its entries differ in length. Copy it again.") from None


def _romp_vertices(file: Path, frames: list[int]) -> np.ndarray | None:
    """Vertices (n, V, 3) that ROMP left, or None."""
    if not file.is_file() or "verts" not in (record := _person(file)):
        return None
    vertices = numbers(_stacked(record, "verts", file), (None, None, 3), f"{file}: verts")
    return vertices[frames] if max(frames) < len(vertices) else None
