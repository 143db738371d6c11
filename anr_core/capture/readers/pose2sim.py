"""Format `pose2sim`: a calibration in TOML beside videos, with OpenPose's JSON in folders.

    calibration/Calib....toml   or any .toml here that describes cameras
    videos/                     cam01.mp4
    pose/                       cam01_json/..._000000_keypoints.json

In the TOML one table a camera: name, size [W, H], matrix, distortions, rotation (a rotation vector),
translation (metres), x_camera = R x_world + t. Cameras are matched with videos by their names, whose
punctuation doesn't count. Source: pose2sim's documentation.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from anr_core.capture.footage import Footage
from anr_core.capture.readers.calibration import Calibration, camera_for, checked, original_of
from anr_core.capture.readers.clips import clip_names, natural, open_clip
from anr_core.capture.readers.takes import footage_of
from anr_core.capture.readers.timing import EVERYTHING, Span
from anr_core.capture.sources import upright_axis

ABOUT = "a calibration in .toml beside videos"
ENTRIES = ("matrix", "distortions", "rotation", "translation")


def recognises(source: Path) -> bool:
    if source.is_file():
        return source.suffix == ".toml"
    return any(_describes_cameras(file) for file in _candidates(source))


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """Everything of a recording; videos are decoded only while the takes are asked for."""
    file = source if source.is_file() else \
        next((file for file in _candidates(source) if _describes_cameras(file)), None)
    if file is None:
        raise FileNotFoundError(f"{source} has no calibration: a .toml with {', '.join(ENTRIES)} of each "
                                "camera.")
    root = next((folder for folder in (source, file.parent, file.parent.parent)
                 if folder.is_dir() and clip_names(folder)), None)
    if root is None:
        raise FileNotFoundError(f"{file.parent} has no videos of the cameras in {file.name}. Put them into "
                                f"{file.parent / 'videos'}.")
    calibrations, notes = read_calibration(file), []
    matched = _matched(calibrations, clip_names(root), file, notes)
    clips = [open_clip(root, name) for name in matched]
    cameras, originals = {}, {}
    for clip in clips:
        calibration = matched[clip.name]
        cameras[clip.name], found = camera_for(calibration, clip.name, clip.size)
        originals[clip.name] = original_of(calibration, clip.size)
        notes += found
    return footage_of("pose2sim", root, clips, cameras, originals, upright_axis(list(cameras.values())),
                      span, notes=notes)


def read_calibration(file: Path) -> dict[str, Calibration]:
    """The cameras of a TOML file by name."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is not whole TOML ({error}). Copy it again.") from None
    found = {}
    for key, table in tables.items():
        if key == "metadata" or not isinstance(table, dict):
            continue
        if missing := [name for name in (*ENTRIES, "size") if name not in table]:
            raise ValueError(f"{file}: camera {key} has no {', '.join(missing)}.")
        if table.get("fisheye"):
            raise ValueError(f"{file}: camera {key} has a fisheye lens, which is not known here. Undistort "
                             "its pictures and calibrate again.")
        size = table["size"][::-1] if isinstance(table["size"], list) and len(table["size"]) == 2 else "?"
        found[str(table.get("name", key))] = checked(
            key, file, table["matrix"], table["rotation"], table["translation"], table["distortions"], size)
    if not found:
        raise ValueError(f"{file} describes no cameras. Expected a table a camera with {', '.join(ENTRIES)}.")
    return found


def _candidates(source: Path) -> list[Path]:
    return [file for pattern in ("*.toml", "[cC]alib*/*.toml") for file in sorted(source.glob(pattern))]


def _describes_cameras(file):
    text = file.read_bytes()[:100_000]
    return all(name.encode() in text for name in ("matrix", "rotation", "translation"))


def _matched(calibrations, names, file, notes) -> dict[str, Calibration]:
    """The calibration of each video's name: of the same name, or in the same order where none agrees."""
    plain = {_plain(name): calibration for name, calibration in calibrations.items()}
    matched = {name: plain[_plain(name)] for name in names if _plain(name) in plain}
    if not matched:
        if len(names) != len(calibrations):
            raise ValueError(f"{file} calibrates {', '.join(calibrations)}, but the videos are "
                             f"{', '.join(names)}. Give both the same names.")
        ordered = sorted(calibrations, key=natural)
        pairs = ", ".join(f"{name} is {other}" for name, other in zip(names, ordered, strict=True))
        notes.append(f"videos and calibration have other names and are matched in their order: {pairs}.")
        return {name: calibrations[other] for name, other in zip(names, ordered, strict=True)}
    for name in names:
        if name not in matched:
            notes.append(f"{name} is not calibrated in {file.name} and is left out.")
    for name in calibrations:
        if _plain(name) not in {_plain(one) for one in matched}:
            notes.append(f"{name} is calibrated in {file.name}, but has no video.")
    return matched


def _plain(name):
    """cam_01, Cam01 and cam1 are the same."""
    return re.sub(r"0*(\d+)", r"\1", re.sub(r"[\W_]", "", name.lower()))
