"""Format `pose2sim`: a calibration beside videos, with OpenPose's JSON; a trial, or a session of them.

    S00_Calibration/          or calibration/, or any folder with calib in its name, or the trial itself:
        Calib....toml         any .toml that describes cameras, or Qualisys' own ....qca.txt
    S00_P00_Participant/      may be left out
        S00_P00_T01_Trial/    its calibration may also be that of a folder above, or of the one above that
            videos/           cam01.mp4
            pose/             cam01_json/..._000000_keypoints.json

In the TOML one table a camera: name, size [W, H], matrix, distortions, rotation (a rotation vector),
translation (metres), x_camera = R x_world + t. Cameras are matched with videos by their names, whose
punctuation doesn't count. Source: pose2sim's documentation, and the recording that it is published with.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from pathlib import Path

from anr_core.camera import Camera
from anr_core.capture.footage import Footage
from anr_core.capture.readers.calibration import Calibration, camera_for, checked, original_of
from anr_core.capture.readers.clips import VIDEO_FOLDERS, VIDEO_SUFFIXES, clip_names, natural, open_clip
from anr_core.capture.readers.qualisys import ENDING, SIDEWAYS, is_qualisys, read_qualisys, upright
from anr_core.capture.readers.takes import footage_of
from anr_core.capture.readers.timing import EVERYTHING, Span
from anr_core.capture.sources import upright_axis
from anr_core.telling import brief, listed, reason

ABOUT = f"a calibration in .toml or {ENDING} beside videos, or a session of such trials"
ENTRIES = ("matrix", "distortions", "rotation", "translation")
CALIBRATION_FOLDERS = "*[cC]alib*"
ABOVE = 2  # folders from a trial to its session
BELOW = 5  # folders from what a session was packed into to its trials
MOST_FOLDERS = 2000  # looked into on each level: somebody may have named their whole disk


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    if source.is_file():
        return source.suffix == ".toml" or is_qualisys(source)
    return _located(source)[0] is not None


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """Everything of a recording; videos are decoded only while the takes are asked for."""
    file, roots = _located(source)
    if file is None:
        raise FileNotFoundError(f"{source} has no videos with a calibration: a .toml with "
                                f"{', '.join(ENTRIES)} of each camera, or Qualisys' {ENDING}, beside "
                                "videos/, in a folder calibration/, or in one of their session's.")
    if not roots:
        raise FileNotFoundError(f"{file.parent} has no videos of the cameras in {file.name}. Put them into "
                                f"{file.parent / 'videos'}.")
    if len(roots) > 1:
        names = [_told_apart(root, roots) for root in roots]
        raise ValueError(f"{source} holds several trials: {listed(names, 100)}. Choose one of them: "
                         f"python -m anr_core prepare {source} CAPTURE --trial {shlex.quote(names[-1])}")
    root, notes = roots[0], []
    if not source.is_file() and not file.is_relative_to(source):
        notes.append(f"calibrated by {'/'.join(file.parts[-3:])}.")
    calibrations, turned = read_qualisys(file) if is_qualisys(file) else (read_calibration(file), {})
    matched = _matched(calibrations, clip_names(root), file, notes)
    clips = [open_clip(root, name) for name in matched]
    cameras, originals = {}, {}
    for clip in clips:
        name = matched[clip.name]
        calibration, found = calibrations[name], []
        if turned.get(name) in SIDEWAYS:
            calibration, found = upright(clip.name, calibration, clip.size)
        elif turned.get(name) == 180:
            found = [f"{clip.name} was calibrated upside down, and its pictures are taken as it sees them."]
        cameras[clip.name], more = camera_for(calibration, clip.name, clip.size)
        originals[clip.name] = original_of(calibration, clip.size)
        notes += found + more
    return footage_of("pose2sim", root, clips, cameras, originals, _up(cameras, matched, turned), span,
                      notes=notes)


def _up(cameras: dict[str, Camera], matched, turned):
    """The world's axis that points up; Qualisys' own is Z, where a camera that is not upright can't tell."""
    if any(turned.values()):
        return (0.0, 0.0, 1.0)
    return upright_axis(list(cameras.values()))


# finding

def _located(source: Path) -> tuple[Path | None, list[Path]]:
    """The calibration of a source, or None, and the folders whose videos may be meant."""
    file = source if source.is_file() else next(iter(_calibrations(source)), None)
    if file is not None:
        near = [folder for folder in (source, file.parent, file.parent.parent) if folder.is_dir()]
        if root := next((folder for folder in near if clip_names(folder)), None):
            return file, [root]
        session = file.parent.parent if "calib" in file.parent.name.lower() else file.parent
        return file, _trials(session)
    if clip_names(source):
        return _calibration_above(source), [source]
    trials = {trial: file for trial in _trials(source) if (file := _calibration_above(trial))}
    return next(iter(trials.values()), None), list(trials)


def _calibrations(folder: Path) -> list[Path]:
    """The calibrations in a folder or in its calibration folder, the likeliest first."""
    return [file for place in (folder, *_calibration_folders(folder)) for pattern in ("*.toml", f"*{ENDING}")
            for file in sorted(place.glob(pattern)) if is_qualisys(file) or _describes_cameras(file)]


def _calibration_folders(folder):
    return [below for below in sorted(folder.glob(CALIBRATION_FOLDERS)) if below.is_dir()]


def _calibration_above(trial: Path) -> Path | None:
    """The calibration of a trial: its own, or one of its session's that could be of its videos."""
    if own := _calibrations(trial):
        return own[0]
    if not any((trial / name).is_dir() for name in VIDEO_FOLDERS):
        return None  # pictures that happen to lie near somebody's calibration are no trial
    for above in trial.resolve().parents[:ABOVE]:
        for folder in _calibration_folders(above):
            for file in _calibrations(folder):
                if _could_be_of(file, clip_names(trial)):
                    return file
    return None


def _could_be_of(file, names):
    """Whether a calibration that lies elsewhere has these cameras, as far as it can be read."""
    try:
        calibrated = read_qualisys(file)[0] if is_qualisys(file) else read_calibration(file)
    except ValueError:
        return True  # who reads it says what is wrong
    return len(names) == len(calibrated) or bool({*map(_plain, names)} & {*map(_plain, calibrated)})


def _trials(folder: Path) -> list[Path]:
    """The folders below one that have videos of their own."""
    found, level = [], [folder]
    for _ in range(BELOW):
        level = [below for above in level for below in _folders(above)][:MOST_FOLDERS]
        found += [below for below in level if _has_videos(below)]
    return found


def _folders(folder):
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry) for entry in entries if entry.is_dir()
                          and not entry.name.startswith(".") and "calib" not in entry.name.lower())
    except OSError:  # not ours to read
        return []


def _has_videos(folder):
    return any(file.suffix.lower() in VIDEO_SUFFIXES for name in VIDEO_FOLDERS if (folder / name).is_dir()
               for file in (folder / name).iterdir())


def _told_apart(folder, folders):
    """A folder's name, with those above as far as others have the same."""
    parts = folder.parts
    count = next(count for count in range(1, len(parts) + 1)
                 if sum(other.parts[-count:] == parts[-count:] for other in folders) == 1)
    return "/".join(parts[-count:])


# calibration

def read_calibration(file: Path) -> dict[str, Calibration]:
    """The cameras of a TOML file by name."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not whole TOML ({reason(error)}). Copy it again.") from None
    found = {}
    for key, table in tables.items():
        if key == "metadata" or not isinstance(table, dict):
            continue
        if missing := [name for name in (*ENTRIES, "size") if name not in table]:
            raise ValueError(f"{file}: camera {brief(key)} has no {', '.join(missing)}.")
        if table.get("fisheye"):
            raise ValueError(f"{file}: camera {brief(key)} has a fisheye lens, which is not known here. "
                             "Undistort its pictures and calibrate again.")
        size = table["size"][::-1] if isinstance(table["size"], list) and len(table["size"]) == 2 else "?"
        found[str(table.get("name", key))] = checked(
            key, file, table["matrix"], table["rotation"], table["translation"], table["distortions"], size)
    if not found:
        raise ValueError(f"{file} describes no cameras. Expected a table a camera with {', '.join(ENTRIES)}.")
    return found


def _describes_cameras(file):
    with open(file, "rb") as stream:
        text = stream.read(100_000)
    return all(name.encode() in text for name in ("matrix", "rotation", "translation"))


def _matched(calibrations, names, file, notes) -> dict[str, str]:
    """The calibrated camera of each video's name: of the same name, or in their order where none agrees."""
    plain = {_plain(name): name for name in calibrations}
    matched = {name: plain[_plain(name)] for name in names if _plain(name) in plain}
    if not matched:
        if len(names) != len(calibrations):
            raise ValueError(f"{file} calibrates {listed(calibrations)}, but the videos are "
                             f"{listed(names)}. Give both the same names.")
        matched = dict(zip(names, sorted(calibrations, key=natural), strict=True))
        pairs = ", ".join(f"{name} is {other}" for name, other in matched.items())
        notes.append(f"videos and calibration have other names and are matched in their order: {pairs}.")
        return matched
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
