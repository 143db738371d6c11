"""A capture as EasyMocap lays it out (readers/easymocap.py), to be fitted or trained by other systems.

What EasyMocap has no place for lies beside in anr_core/: the capture's index, its body and poses, what is
certain and true of its pictures. Read back it is the same capture.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from anr_core.body.npz import names_in_npz, read_npz
from anr_core.camera import Camera
from anr_core.capture.folder import Capture
from anr_core.capture.keypoints import BODIES
from anr_core.capture.readers.arrays import frame_numbers, numbers
from anr_core.capture.readers.easymocap import FILES, OURS, PARAMETER_FOLDERS
from anr_core.capture.readers.openpose import DETAILS
from anr_core.capture.readers.smpl_json import FIELDS
from anr_core.capture.sources import licence_files
from anr_core.skeleton import KEYPOINT_SETS

KEPT = ("capture.json", "body.npz", "poses.npz", "certain", "truth")


def write(capture: Capture, folder: Path) -> list[str]:
    """Fill an empty folder: calibration, pictures, masks, keypoints, body parameters; there are no notes."""
    for shot in capture.shots:
        place = Path(shot.camera) / f"{shot.frame:06d}"
        _copy(capture.path / shot.image, (folder / "images" / place).with_suffix(Path(shot.image).suffix))
        if shot.mask is not None:
            _copy(capture.path / shot.mask, (folder / "mask" / place).with_suffix(".png"))
        points = capture.keypoints.get((shot.camera, shot.frame))
        if points is not None:
            _write_annotation((folder / "annots" / place).with_suffix(".json"),
                              _parted(points.numpy(), capture.skeleton), capture.cameras[shot.camera].size,
                              f"images/{place}{Path(shot.image).suffix}")
    for name, picture in capture.backgrounds.items():
        _copy(capture.path / picture, folder / "background" / f"{name}{Path(picture).suffix}")
    for licence in licence_files(capture.path):
        _copy(licence, folder / licence.name)
    for name in KEPT:
        _copy(capture.path / name, folder / OURS / name)
    _write_cameras(capture.cameras, folder)
    if (file := capture.path / "foreign.npz").is_file() and {"frames", *FIELDS} <= set(names_in_npz(file)):
        _write_parameters(read_npz(file), folder / PARAMETER_FOLDERS[0], file)
    return []


def _copy(source: Path, target: Path) -> None:
    """A file or a folder, where there is one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copyfile(source, target)


def _parted(points, skeleton):
    """Keypoints (K, 3) by the names that EasyMocap has for them: there a hand begins with its wrist."""
    if skeleton not in BODIES:
        return {"keypoints": points.tolist()}
    name, count = BODIES[skeleton]
    body, rest = np.split(points, [count])
    parted = {"keypoints": body.tolist()}
    for (keys, count, first), place in zip(DETAILS, ("left_wrist", "right_wrist", None), strict=True):
        part, rest = np.split(rest, [count - first])
        wrist = body[[KEYPOINT_SETS[name].names.index(place)]] if first else part[:0]
        parted[keys[1]] = np.concatenate([wrist, part]).tolist()
    return parted


def _write_annotation(file, parted, size, picture):
    points = np.array(parted["keypoints"])
    sure = points[points[:, 2] > 0, :2] if (points[:, 2] > 0).any() else points[:, :2]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({
        "filename": picture, "height": size[0], "width": size[1],
        "annots": [{"personID": 0, "bbox": [*sure.min(0).tolist(), *sure.max(0).tolist(), 1.0],
                    **parted, "isKeyframe": False}]}))


def _write_cameras(cameras: dict[str, Camera], folder: Path) -> None:
    import roma  # a second to import

    names = ["%YAML:1.0", "---", "names:", *(f'  - "{name}"' for name in cameras)]
    intrinsic, extrinsic = list(names), list(names)
    for name, camera in cameras.items():
        intrinsic += [_matrix(f"K_{name}", camera.K[0].numpy()), _matrix(f"dist_{name}", np.zeros((1, 5))),
                      f"H_{name}: {camera.size[0]}", f"W_{name}: {camera.size[1]}"]
        extrinsic += [_matrix(f"R_{name}", roma.rotmat_to_rotvec(camera.R[0]).numpy()[:, None]),
                      _matrix(f"Rot_{name}", camera.R[0].numpy()),
                      _matrix(f"T_{name}", camera.t[0].numpy()[:, None])]
    for file, lines in zip(FILES, (intrinsic, extrinsic), strict=True):
        (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _matrix(name, values):
    numbers = ", ".join(f"{value:.9g}" for value in values.flatten())  # nine digits are a float32, exactly
    return (f"{name}: !!opencv-matrix\n  rows: {values.shape[0]}\n  cols: {values.shape[1]}\n  dt: d\n"
            f"  data: [{numbers}]")


def _write_parameters(parameters, folder, file):
    folder.mkdir(parents=True)
    frames = frame_numbers(parameters["frames"], f"{file}: frames").tolist()
    values = {name: numbers(parameters[name], (len(frames), None), f"{file}: {name}") for name in FIELDS}
    for row, frame in enumerate(frames):
        person = {"id": 0} | {name: of_all[row:row + 1].tolist() for name, of_all in values.items()}
        (folder / f"{frame:06d}.json").write_text(json.dumps({"annots": [person]}))
