"""What readers find in a source's folder: numbered pictures, videos, JSON; with errors that name the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import torch

from anr_core.camera import Camera
from anr_core.capture.pictures import picture_size, read_image
from anr_core.telling import reason

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
LARGEST_JSON = 2**28  # bytes, which become up to twenty times as many in memory
LONGEST_NUMBER = 12  # digits, of OpenPose's files
# ffmpeg looks into a file for what it is, whatever its name: a playlist would have it open other files and
# addresses
PLAIN_VIDEO = ["-protocol_whitelist", "file", "-format_whitelist",
               "mov,mp4,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,gif,h264,hevc,m4v"]
LICENCE_NAME = re.compile("licen[cs]e|copying", re.IGNORECASE)


def read_json(file: Path, broken: str | None = None):
    """What a JSON file holds.

    broken  what is told of a file that is not whole, with {} for the reason
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. Put it back.")
    if (size := file.stat().st_size) > LARGEST_JSON:
        raise ValueError(f"{file} has {size / 1e6:.0f} MB; JSON up to {LARGEST_JSON / 1e6:.0f} MB is read.")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        told = broken.replace("{}", reason(error)) if broken else \
            f"{file} is not whole JSON ({reason(error)}). Copy it again."
        raise ValueError(told) from None


def licence_files(folder: Path) -> list[Path]:
    """The files of a folder that state a licence, by their names."""
    return [file for file in sorted(folder.glob("*")) if LICENCE_NAME.match(file.name) and file.is_file()]


def stated_licence(source: Path, dataset: str | None = None) -> dict:
    """The fields of a footage that tell the licence: of its dataset, and of a file beside."""
    file = next(iter(licence_files(source)), None)
    known = ([dataset] if dataset else []) + ([f"stated in {file.name}"] if file else [])
    return {"licence": "; ".join(known) or "not stated", "licence_file": file}


def is_number(word: str) -> bool:
    """Whether a word is the number of a frame: times in nanoseconds, for example, have more digits."""
    return word.isascii() and word.isdigit() and len(word) <= LONGEST_NUMBER


def numbered_pictures(folder: Path) -> dict[int, Path]:
    """The pictures of a folder by the number that is their name; none where there is no folder."""
    numbered = {}
    for file in sorted(folder.glob("*")):
        if file.suffix.lower() not in PICTURE_SUFFIXES:
            continue
        if not is_number(file.stem):
            raise ValueError(f"{file} is not named by its frame number, as in 0008{file.suffix}.")
        if (other := numbered.setdefault(int(file.stem), file)) != file:
            raise ValueError(f"{file} and {other.name} are both frame {int(file.stem)}. Keep one.")
    return numbered


def common_size(files: list[Path]) -> tuple[int, int]:
    """(H, W) that all pictures have, read from their headers."""
    sizes = {file: picture_size(file) for file in files}
    common = max(sorted(set(sizes.values())), key=list(sizes.values()).count)
    for file, size in sizes.items():
        if size != common:
            raise ValueError(f"{file} is {size[1]}x{size[0]} pixels, but others of the same camera are "
                             f"{common[1]}x{common[0]}. All pictures of a camera need one size.")
    return common


def upright_axis(cameras: list[Camera]) -> tuple[float, float, float]:
    """The world's axis, with its sign, that points upwards in the pictures: cameras are held upright."""
    upwards = -torch.cat([camera.R[:, 1] for camera in cameras]).mean(0)
    axis = int(upwards.abs().argmax())
    return tuple(float(upwards[axis].sign()) if i == axis else 0.0 for i in range(3))


def video_frames(video: Path, pictures: dict[int, Path]) -> Iterator[tuple[int, np.ndarray]]:
    """All frames (H, W, 3) uint8 of a video by number, after a look whether it counts as the pictures do.

    Raises ValueError where the pictures resemble the video's frames before or after their own more than
    these: the video was cut, and its numbers are off.
    """
    known = {frame: read_image(file)[::4, ::4].astype(np.int16)
             for frame, file in sorted(pictures.items())[:16]}  # a few are enough, at a quarter of the size
    difference = {shift: [] for shift in (0, 1, -1, 2, -2, 3, -3, 4, -4)}  # of equals the first wins
    for index, image in decoded(video):
        for shift, found in difference.items():
            if index - shift in known:
                found.append(np.abs(image[::4, ::4] - known[index - shift]).mean())
    shift = min(difference, key=lambda shift: np.mean(difference[shift] or np.inf))
    if shift:
        raise ValueError(f"{video}: its frame n looks like picture n{-shift:+d} of the source. Cut it so "
                         "that they agree, or leave --fps away to use the pictures alone.")
    yield from decoded(video)


def stated(video: Path) -> dict:
    """What a video says of itself: `fps`, and `duration` in seconds."""
    try:
        with closing(imageio_ffmpeg.read_frames(video, input_params=PLAIN_VIDEO)) as frames:
            found = next(frames)  # what it says comes before its pictures
        return {name: float(found[name]) for name in ("fps", "duration")}
    except (OSError, ValueError, LookupError, RuntimeError, StopIteration) as error:
        raise _no_video(video, error) from None


def decoded(video: Path) -> Iterator[tuple[int, np.ndarray]]:
    """The frames (H, W, 3) uint8 of a video, counted from 0, as they are asked for."""
    try:
        yield from enumerate(iio.imiter(video, plugin="FFMPEG", input_params=PLAIN_VIDEO))
    except (OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise _no_video(video, error) from None


def _no_video(video, error):
    return ValueError(f"{video} can't be read as a video ({reason(error)}). Copy it again.")
