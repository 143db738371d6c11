"""Qualisys' calibration, as its Track Manager exports it: XML in a file named ....qca.txt.

    <camera serial active model viewrotation>   one each; motion capture's own cameras stand beside video ones
      <fov_video left top right bottom>         the pixels that the video shows, both ends included
      <transform x y z r11 ... r33>             where the camera is, millimetres, and its axes as rows
      <intrinsic focalLengthU ... skew>         1/64 pixel of the whole sensor, and so is the distortion

Its cameras have +X right, +Y up and look along -Z. pose2sim divides the distortion by 64 as well, and what it
made of one recording is the oracle of our tests; other programs of Qualisys' users take it as it stands.
Sources: pose2sim's documentation and its published recording, which it comes with in TOML too; Theia's
documentation for `active` and `viewrotation`.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from anr_core.capture.readers.calibration import FARTHEST, Calibration, checked
from anr_core.telling import brief, reason

ENDING = ".qca.txt"
LARGEST_FILE = 2**20  # bytes; a camera takes 1500, and what is nested deeply time
UNITS = 64.0  # a pixel
# Metres: nearer than this to the origin, all of them, no cameras of a person stand.
NEAREST = 0.05
# Focal lengths, in longer sides of the picture: from a wider lens than any without a fish eye to a telescope.
SHORTEST, LONGEST = 0.15, 50.0
SIDEWAYS = (90, 270)
# OpenCV's camera from Qualisys'
FLIPPED = np.diag([1.0, -1.0, -1.0])


def is_qualisys(file: Path) -> bool:
    """Whether a file's name is that of a calibration of Qualisys."""
    return file.name.lower().endswith(ENDING)


def read_qualisys(file: Path) -> tuple[dict[str, Calibration], dict[str, int]]:
    """The video cameras of a file by their serial, as their sensors see; and the viewrotation of each."""
    cameras = [camera for camera in _root(file).iter("camera") if camera.get("active", "1") != "0"]
    films = [camera for camera in cameras if _films(camera)] or cameras
    found, turned = {}, {}
    for number, camera in enumerate(films):
        name = camera.get("serial") or ""
        if not name:
            raise ValueError(f"{file}: camera {number + 1} has no serial, which would be its name. Export "
                             "the calibration again.")
        if name in found:
            raise ValueError(f"{file} has camera {brief(name)} twice. Keep one.")
        found[name] = _camera(name, file, camera)
        turned[name] = int(_numbers(name, file, camera, None, ["viewrotation"], default="0")[0]) % 360
        if turned[name] % 90:
            raise ValueError(f"{file}: camera {brief(name)} has viewrotation {turned[name]}; 0, 90, 180 and "
                             "270 are known.")
    if not found:
        raise ValueError(f"{file} describes no cameras: expected <camera> with <transform> and <intrinsic>. "
                         "Export the calibration again.")
    if max(np.linalg.norm(_place(camera)) for camera in found.values()) < NEAREST:
        raise ValueError(f"{file}: all cameras stand within {NEAREST:g} m of the origin: x, y and z of "
                         "<transform> are in metres, not in millimetres. Multiply them by 1000.")
    return found, turned


def upright(name: str, calibration: Calibration, size: tuple[int, int]) -> tuple[Calibration, list[str]]:
    """The calibration of a sideways camera's pictures (H, W), which somebody may have turned to be upright.

    Which way is not told by a number that anybody explained: of the two the one in which Z points up.
    """
    height, width = calibration.size
    as_seen, as_turned = (abs(size[1] / size[0] - ratio) for ratio in (width / height, height / width))
    if as_seen <= as_turned:
        return calibration, [f"{name} was calibrated lying on its side, and its pictures are taken as it "
                             "sees them."]
    up = calibration.R[:, 2]  # Z in the camera
    if abs(up[0]) < 0.2:
        raise ValueError(f"Camera {brief(name)} was calibrated with pictures of {width}x{height} pixels, but "
                         f"they are {size[1]}x{size[0]}, and it looks down too steeply to tell which way "
                         "they were turned. Export its video as the camera sees it.")
    clockwise = up[0] < 0  # what lies on the left comes to the top
    return _turned(calibration, clockwise), [
        f"{name}: pictures are taken as turned upright, {'' if clockwise else 'counter'}clockwise, from the "
        "camera's own, which lies on its side."]


def _turned(calibration, clockwise) -> Calibration:
    """The calibration of the same pictures, turned by 90 degrees."""
    (height, width), sign = calibration.size, 1.0 if clockwise else -1.0
    axes = np.array([[0, -sign, 0], [sign, 0, 0], [0, 0, 1]])
    pixels = axes.copy()
    pixels[:2, 2] = (height - 1, 0) if clockwise else (0, width - 1)  # the first pixel comes to the last
    k1, k2, p1, p2, *more = calibration.distortion
    return Calibration(pixels @ calibration.K @ axes.T, axes @ calibration.R, axes @ calibration.t,
                       np.array([k1, k2, sign * p2, -sign * p1, *more]), (width, height))


def _root(file):
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{file} has {file.stat().st_size / 1e6:.0f} MB: too much for a calibration.")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text ({reason(error)}). Copy it again.") from None
    if "<!" in text.replace("<!--", ""):  # entities are what XML can be made to explode with
        raise ValueError(f"{file} defines types or entities of its own (<!...>), which no calibration needs, "
                         "and is not read. Export it again.")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{file} is not whole XML ({reason(error)}). Copy it again.") from None


def _films(camera):
    """Whether it is a video camera: of other systems' cameras the model is none."""
    model = camera.get("model", "none").lower()
    return "video" in model or model == "none"


def _camera(name, file, camera) -> Calibration:
    left, top, right, bottom = _numbers(name, file, camera, "fov_video", ["left", "top", "right", "bottom"])
    place = _numbers(name, file, camera, "transform", "xyz") / 1000
    R = FLIPPED @ _numbers(name, file, camera, "transform",
                           [f"r{row}{column}" for row in "123" for column in "123"]).reshape(3, 3)
    fu, fv, cu, cv = _numbers(name, file, camera, "intrinsic",
                              ["focalLengthU", "focalLengthV", "centerPointU", "centerPointV"]) / UNITS
    skew = _numbers(name, file, camera, "intrinsic", ["skew"], default="0")[0] / UNITS
    lens = _numbers(name, file, camera, "intrinsic",
                    ["radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2",
                     "radialDistortion3"], default="0") / UNITS
    if np.linalg.norm(place) > FARTHEST:
        raise ValueError(f"{file}: camera {brief(name)} stands {np.linalg.norm(place):.3g} m from the "
                         "origin: x, y and z of <transform> are not in millimetres. Scale them.")
    size = (bottom - top + 1, right - left + 1)
    calibration = checked(name, file, [[fu, skew, cu - left], [0, fv, cv - top], [0, 0, 1]], R, -R @ place,
                          lens if lens[4] else lens[:4], size)
    if not SHORTEST < min(fu, fv) / max(size) <= max(fu, fv) / max(size) < LONGEST:
        raise ValueError(f"{file}: camera {brief(name)} has a focal length of {fu:.3g} pixels for pictures "
                         f"of {size[1]:g}x{size[0]:g}: focalLengthU and V are not in 1/64 pixel. Multiply "
                         "intrinsics by 64.")
    return calibration


def _place(calibration):
    return -calibration.R.T @ calibration.t


def _numbers(name, file, camera, tag, keys, default=None) -> np.ndarray:
    """Finite numbers, the attributes of a camera's element or, without a tag, of the camera itself."""
    element = camera if tag is None else camera.find(tag)
    if element is None:
        raise ValueError(f"{file}: camera {brief(name)} has no <{tag}>. Export the calibration again.")
    words = [element.get(key, default) for key in keys]
    if missing := [key for key, word in zip(keys, words, strict=True) if word is None]:
        raise ValueError(f"{file}: <{tag}> of camera {brief(name)} has no {', '.join(missing)}. Export the "
                         "calibration again.")
    try:
        found = np.array([float(word) for word in words])
    except ValueError:
        found = np.full(len(words), np.nan)
    if not np.isfinite(found).all():
        wrong = ", ".join(f'{key}="{word}"' for key, word in zip(keys, words, strict=True)
                          if not _is_finite(word))
        raise ValueError(f"{file}: camera {brief(name)} has {brief(wrong)}, which is no number. Export the "
                         "calibration again.")
    return found


def _is_finite(word):
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False
