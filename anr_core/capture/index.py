"""capture.json, read as a stranger's: each entry of its type, each file inside of the capture's folder.

A capture may have been handed on. What it says becomes paths that are read, and written by `annotate` and
`mask`, sizes that memory is made for, and names of folders; so all that is checked here once.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from anr_core.capture.pictures import LARGEST_PICTURE
from anr_core.capture.readers.arrays import focuses, is_rotation, numbers
from anr_core.capture.sources import LONGEST_NUMBER, read_json
from anr_core.skeleton.named import skeleton_named
from anr_core.telling import brief, quoted, reason

VERSION = 1
CAMERA_NAME = re.compile(r"\w[\w.-]{,99}")  # a folder's name, which leads nowhere else
HIGHEST_RATE = 100_000  # frames a second
LONGEST_PATH = 300  # characters: two folders, of which a camera's name is one, and a number

SHOT = {"camera": (str,), "frame": (int,), "image": (str,), "mask": (str, None), "certain": (str, None),
        "registered": (bool,), "split": (str,), "truth": (str, None), "input": (str, None)}
FILES = ("image", "mask", "certain", "truth", "input")
WORDS = {"format": (str,), "licence": (str,), "person": (str,), "keypoints": (str, None),
         "link": (str, None), "joints": (dict, None), "body": (dict, None)}


def read_index(path: Path) -> dict:
    """What the capture.json of a folder holds, checked; raises ValueError that names what is wrong in it."""
    file = path / "capture.json"
    remedy = f"Make it with: python -m anr_core prepare SOURCE {path.name}"
    if not file.is_file():
        raise FileNotFoundError(f"{path} has no capture.json, so it is not a capture. {remedy}")
    index = read_json(file, f"{file} is broken ({{}}). {remedy}")
    version = index.get("version") if isinstance(index, dict) else None
    if version != VERSION:
        raise ValueError(f"{file} is of version {quoted(version)}, but {VERSION} is read. {remedy}")
    try:
        _check(index)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        what = f"it has no {reason(error)}" if isinstance(error, KeyError) else reason(error)
        raise ValueError(f"{file} is broken ({what}). Prepare it again.") from None
    return index


def check_camera_name(name: str, file: Path) -> None:
    """Raise ValueError where a file calls a camera what no folder can be called, or what leads out of it."""
    if not CAMERA_NAME.fullmatch(name):
        raise ValueError(f"{file}: a camera is called {quoted(name)}, which can't be a folder's name. Use at "
                         "most a hundred letters, digits and _ - .")


def _check(index):
    for name, kinds in WORDS.items():
        _typed(index.get(name) if None in kinds else index[name], kinds, name)
    if isinstance(index["fps"], bool) or not isinstance(index["fps"], int | float) or \
            not 0 < index["fps"] < HIGHEST_RATE:
        raise ValueError(f"fps is {quoted(index['fps'])}, expected frames a second")
    if not 0.99 < np.linalg.norm(numbers(index["up"], (3,), "up")) < 1.01:
        raise ValueError("up is no unit vector")
    _typed(index["cameras"], (dict,), "cameras")
    for name, entry in index["cameras"].items():
        if not CAMERA_NAME.fullmatch(name):
            raise ValueError(f"a camera is called {quoted(name)}, which is no name of a folder")
        _check_camera(_typed(entry, (dict,), f"camera {brief(name)}"), f"of camera {brief(name)}")
    for camera, background in _typed(index["backgrounds"], (dict,), "backgrounds").items():
        if camera not in index["cameras"]:  # `convert` calls files by it
            raise ValueError(f"there is a background of camera {quoted(camera)}, which is not described")
        _inside(background, f"the background of {quoted(camera)}")
    for shot in _typed(index["shots"], (list,), "shots"):
        _check_shot(_typed(shot, (dict,), "a shot"), index["cameras"])
    if not index["shots"]:
        raise ValueError("it has no shots")
    if index.get("keypoints") is not None:
        skeleton_named(index["keypoints"])


def _check_camera(entry, which):
    K, R, _ = (numbers(entry[name], shape, f"{name} {which}")
               for name, shape in (("K", (3, 3)), ("R", (3, 3)), ("t", (3,))))
    if not focuses(K):
        raise ValueError(f"K {which} has focal lengths that are not positive")
    if not is_rotation(R):
        raise ValueError(f"R {which} is no rotation")
    _typed(entry.get("calibrated", True), (bool,), f"calibrated {which}")
    size = _typed(entry["size"], (list,), f"size {which}")
    if len(size) != 2 or not all(type(side) is int and side > 0 for side in size) or \
            size[0] * size[1] > LARGEST_PICTURE:
        raise ValueError(f"size {which} is {brief(size)}, expected [H, W] of at most {LARGEST_PICTURE} "
                         "pixels")


def _check_shot(shot, cameras):
    if unknown := shot.keys() - SHOT.keys():
        raise ValueError(f"a shot has {quoted(min(unknown))}, which no shot has")
    for name, kinds in SHOT.items():
        if name in shot or name in ("camera", "frame", "image", "mask"):
            _typed(shot[name], kinds, f"{name} of a shot")
    if shot["camera"] not in cameras:
        raise ValueError(f"a shot is of camera {quoted(shot['camera'])}, which is not described")
    if not 0 <= shot["frame"] < 10**LONGEST_NUMBER:
        raise ValueError(f"a shot is of frame {brief(shot['frame'])}, which is no number of a frame")
    for name in FILES:
        if shot.get(name) is not None:
            _inside(shot[name], f"{name} of a shot")


def _typed(value, kinds, what):
    if not any(value is None if kind is None else type(value) is kind for kind in kinds):
        expected = " or ".join("null" if kind is None else kind.__name__ for kind in kinds)
        raise ValueError(f"{what} is {quoted(value)}, expected {expected}")
    return value


def _inside(name, what):
    """Refuse a name that leads out of the capture. Links in it are its owner's: archives bring none."""
    _typed(name, (str,), what)
    if not name or len(name) > LONGEST_PATH or not name.isprintable() or "\\" in name or \
            PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or \
            ".." in PurePosixPath(name).parts:
        raise ValueError(f"{what} is {quoted(name)}, which is no path inside of the capture")
