"""What one camera recorded, and what lies beside it: pictures or a video, masks, keypoints, a background.

    frames/ images/                      CAMERA/0008.jpg, or the pictures themselves where there is one camera
    videos/                              CAMERA.mp4
    masks/ mask/                         CAMERA/0008.png, 255 where the person is
    keypoints/ openpose/ annots/ pose/   CAMERA/..._0008_keypoints.json; CAMERA may end in _json
    background.../                       CAMERA.jpg, the scene without the person; or background....png

Folders may be left out where the files lie beside each other. A frame's number is the last one in its name;
a video's frames count from 0, unless pictures of the same camera tell that they count otherwise.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anr_core.capture.pictures import read_image
from anr_core.capture.readers.openpose import read_keypoint_files
from anr_core.capture.sources import (
    LONGEST_NUMBER,
    PICTURE_SUFFIXES,
    common_size,
    decoded,
    is_number,
    stated,
)
from anr_core.telling import brief

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
PICTURE_FOLDERS = ("frames", "images", "image", "color")
VIDEO_FOLDERS = ("videos", "video")
MASK_FOLDERS = ("masks", "mask", "mask_cihp")
KEYPOINT_FOLDERS = ("keypoints", "openpose", "openpose_json", "annots", "pose", "pose-2d", "keypoints_json")

# Of colours, out of 255, that a picture and the same video's frame differ by: both were compressed.
SAME_PICTURE = 8.0
HIGHEST_RATE = 10_000  # frames a second: nobody films a person faster


@dataclass(frozen=True)
class Clip:
    """One camera's recording.

    size       (H, W) of its pictures
    pictures   by frame number
    video      or None
    fps        of the video; None where there is none
    first      number of the video's first frame
    masks      by frame number
    keypoints  (K, 3) by frame number
    skeleton   of the keypoints, or None
    folder     what the source calls it, where it isn't its name
    offset     to be added to all its numbers
    """

    name: str
    size: tuple[int, int]
    pictures: dict[int, Path]
    video: Path | None
    fps: float | None
    first: int
    masks: dict[int, Path]
    keypoints: dict[int, np.ndarray]
    skeleton: str | None
    background: Path | None
    notes: tuple[str, ...] = ()
    folder: str = ""
    offset: int = 0

    @property
    def begin(self) -> int:
        """The number that its seconds count from: of its video's first frame, or of its first picture."""
        return self.first if self.video is not None else min(self.pictures)

    @property
    def spacing(self) -> int:
        """From one picture's number to the next one's, as it mostly is."""
        steps = np.diff(sorted(self.pictures))
        return int(Counter(steps.tolist()).most_common(1)[0][0]) if len(steps) else 1

    @property
    def last(self) -> int:
        """The highest number that a picture of it may have."""
        return max([*self.pictures, 0 if self.video is None else self.first + frame_count(self.video)])

    def some(self, most: int) -> list[np.ndarray]:
        """At most so many pictures (H, W, 3) of it, spread over its length."""
        if self.pictures:
            files = list(self.pictures.values())
            return [read_image(file) for file in files[::max(1, -(-len(files) // most))]]
        step = max(1, frame_count(self.video) // most)
        return [image for index, image in decoded(self.video) if index % step == 0]


# finding

def clip_names(root: Path) -> list[str]:
    """The cameras that a folder has recordings of, in their natural order; one without a name is "camera"."""
    named = (
        *([below.name for below in _folders(root / name) if _files(below, PICTURE_SUFFIXES)]
          for name in PICTURE_FOLDERS),
        *([file.stem for file in _files(root / name, VIDEO_SUFFIXES)] for name in (*VIDEO_FOLDERS, "")),
    )
    if found := next(filter(None, named), None):
        return sorted(found, key=natural)
    reserved = (*MASK_FOLDERS, *KEYPOINT_FOLDERS, *PICTURE_FOLDERS)
    below = [folder.name for folder in _folders(root)
             if folder.name not in reserved and not folder.name.startswith(("background", "."))
             and _files(folder, PICTURE_SUFFIXES)]
    if below and not _frames_in(root):
        return sorted(below, key=natural)
    flat = any(_files(root / name, PICTURE_SUFFIXES) for name in PICTURE_FOLDERS) or _frames_in(root)
    return ["camera"] if flat else []


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts cam2 before cam10."""
    return [(int(part), "") if is_number(part) else (-1, part) for part in re.split("([0-9]+)", name)]


def open_clip(root: Path, name: str, alone: bool = False) -> Clip:
    """What there is of one camera; `alone` where all that lies in the folders belongs to it."""
    pictures = _beside(root, PICTURE_FOLDERS, name, alone, PICTURE_SUFFIXES)
    video = next((file for folder in (*(root / one for one in VIDEO_FOLDERS), root)
                  for file in _files(folder, VIDEO_SUFFIXES) if file.stem == name), None)
    if not pictures and video is None:
        raise FileNotFoundError(f"{root} holds neither pictures nor a video of camera {name}. They belong "
                                f"into {root / 'images' / name} or {root / 'videos' / name}.mp4.")
    size = common_size(list(pictures.values())) if pictures else first_frame(video).shape[:2]
    fps, first, notes = None, 0, []
    if video is not None:
        fps = video_rate(video)
        if pictures:
            first = first_number(video, pictures)
            if first is None:
                notes.append(f"{video.name} doesn't show the pictures in {_parent(pictures)}; it is not "
                             "used.")
                video, fps, first = None, None, 0
            elif first:
                notes.append(f"{video.name}: its first frame is picture {first} of {_parent(pictures).name}; "
                             "it is counted like that.")
    masks = _beside(root, MASK_FOLDERS, name, alone, PICTURE_SUFFIXES)
    files = _beside(root, KEYPOINT_FOLDERS, name, alone, (".json",))
    keypoints, skeleton = read_keypoint_files(files, size) if files else ({}, None)
    return Clip(name, tuple(size), pictures, video, fps, first, masks, keypoints, skeleton,
                _background(root, name, size), tuple(notes))


def _places(root, kinds, name, alone):
    """Folders that may hold a kind of files of a camera, the likeliest first."""
    for kind in kinds:
        for own in (name, f"{name}_json", f"pose_{name}_json"):
            yield root / kind / own
    if kinds is KEYPOINT_FOLDERS:
        yield from (root / f"{name}_json", root / f"{name}_keypoints")
    if kinds is PICTURE_FOLDERS:
        yield root / name
    if alone:
        yield from (root / kind for kind in kinds)
        if kinds is not MASK_FOLDERS:
            yield root


def _beside(root, kinds, name, alone, suffixes) -> dict[int, Path]:
    """The numbered files of one kind that belong to a camera."""
    places = _places(root, kinds, name, alone)
    return next((found for place in places if (found := numbered(place, suffixes))), {})


def _background(root, name, size):
    """A picture of the scene without the person: the camera's own, or the only one that there is."""
    own = [file for folder in sorted(root.glob("background*")) for file in _files(folder, PICTURE_SUFFIXES)
           if file.stem == name]
    common = [file for file in _files(root, PICTURE_SUFFIXES) if file.stem.startswith("background")]
    return next((file for file in own + common if common_size([file]) == tuple(size)), None)


def _files(folder: Path, suffixes) -> list[Path]:
    return [file for file in sorted(folder.glob("*")) if file.suffix.lower() in suffixes and file.is_file()] \
        if folder.is_dir() else []


def _folders(folder: Path) -> list[Path]:
    return [below for below in sorted(folder.glob("*")) if below.is_dir()] if folder.is_dir() else []


def _frames_in(root):
    return [file for file in _files(root, PICTURE_SUFFIXES) if not file.stem.startswith("background")]


def _parent(pictures):
    return next(iter(pictures.values())).parent


def numbered(folder: Path, suffixes) -> dict[int, Path]:
    """A folder's files by the last number in their names; by their order where one has none."""
    files = [file for file in _files(folder, suffixes) if not file.stem.startswith("background")]
    numbers = [re.findall("[0-9]+", file.stem.removesuffix("_keypoints")) for file in files]
    if not all(numbers):
        return dict(enumerate(files))
    found = {}
    for file, number in zip(files, numbers, strict=True):
        if not is_number(number[-1]):
            raise ValueError(f"{file} is named by {brief(number[-1])}, which is no number of a frame. Rename "
                             "the files of that folder, as in 0008.")
        if (other := found.setdefault(int(number[-1]), file)) != file:
            raise ValueError(f"{file} and {other.name} are both frame {int(number[-1])}. Keep one.")
    return dict(sorted(found.items()))


# videos

def video_rate(video: Path) -> float:
    """Frames a second that a video states."""
    rate = stated(video)["fps"]
    if not 0 < rate < HIGHEST_RATE:
        raise ValueError(f"{video} states {rate:g} frames a second. Convert it with ffmpeg, or extract "
                         "pictures.")
    return rate


def frame_count(video: Path) -> int:
    """About how many frames a video has, by its stated length."""
    told = stated(video)
    return math.ceil(min(told["duration"] * told["fps"], 10.0**LONGEST_NUMBER))


def first_frame(video: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    for _, image in decoded(video):
        return image
    raise ValueError(f"{video} holds no picture. Copy it again.")


def first_number(video: Path, pictures: dict[int, Path]) -> int | None:
    """The number that the video's first frame has among its camera's pictures; None if it shows others."""
    some = sorted(pictures.items())[len(pictures) // 8::max(1, len(pictures) // 6)]  # seldom before the video
    known = {number: read_image(file)[::4, ::4].astype(np.int16) for number, file in some}
    best = dict.fromkeys(known, (np.inf, 0))
    for index, image in decoded(video):
        small = image[::4, ::4].astype(np.int16)
        for number, picture in known.items():
            if small.shape == picture.shape:
                best[number] = min(best[number], (float(np.abs(small - picture).mean()), index))
    found = Counter(number - index for number, (difference, index) in best.items()
                    if difference < SAME_PICTURE)
    if not found or found.most_common(1)[0][1] < 0.5 * len(known):
        return None
    return found.most_common(1)[0][0]
