"""Format `panoptic`: a sequence of CMU's Panoptic Studio, as its getData.sh downloads it.

    calibration_NAME.json                    cameras: name, type, K, distCoef, R, t in centimetres
    hdPose3d_stage1_coco19/                  body3DScene_00000168.json: bodies, id and joints19 in centimetres
    hdImgs/00_00/00_00_00000168.jpg          pictures; or hdVideos/hd_00_00.mp4

Of several people the one who is seen in most frames is taken. Only frames with a pose are; its joints are
projected into the pictures as keypoints, and kept in metres in joints.npz and foreign.npz. The world's Y
points down.
Source: Joo et al., Panoptic Studio, 2015, and its toolbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from anr_core.camera import Camera
from anr_core.capture.footage import Footage, Take
from anr_core.capture.index import check_camera_name
from anr_core.capture.joints import Joints
from anr_core.capture.readers.arrays import entry, numbers
from anr_core.capture.readers.calibration import Calibration, camera_for, checked, original_of
from anr_core.capture.readers.clips import first_frame, numbered
from anr_core.capture.readers.timing import EVERYTHING, Span
from anr_core.capture.sources import PICTURE_SUFFIXES, common_size, decoded, read_json, stated_licence
from anr_core.skeleton import BODY25

ABOUT = "calibration_NAME.json and hdPose3d_stage1_coco19"
LICENCE = "CMU Panoptic Studio: non-commercial research; cite Joo et al., Panoptic Studio, ICCV 2015"
POSES = "hdPose3d_stage1_coco19"
FPS = 29.97
CENTIMETRE = 0.01  # metres

# The 19 joints of a file, by BODY_25's names.
JOINTS = ("neck", "nose", "middle_hip", "left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee",
          "left_ankle", "right_shoulder", "right_elbow", "right_wrist", "right_hip", "right_knee",
          "right_ankle", "left_eye", "left_ear", "right_eye", "right_ear")


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    return (source / POSES).is_dir() and any(source.glob("calibration_*.json"))


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """One person of a sequence; videos are decoded only while the takes are asked for."""
    calibrations, (joints, notes) = read_calibrations(source), read_joints(source)
    wanted = span.frames(joints, FPS)
    recordings = {name: found for name in calibrations if (found := _recording(source, name, wanted))}
    if not recordings:
        raise FileNotFoundError(f"{source} has neither pictures of the {len(joints)} frames in {POSES} "
                                "(hdImgs/00_00/00_00_00000168.jpg) nor videos (hdVideos/hd_00_00.mp4). "
                                "Download them with the Panoptic Studio's getData.sh.")
    cameras, originals = {}, {}
    for name, recording in recordings.items():
        size = tuple(first_frame(recording).shape[:2]) if isinstance(recording, Path) else \
            common_size(list(recording.values()))
        cameras[name], found = camera_for(calibrations[name], name, size)
        originals[name] = original_of(calibrations[name], size)
        notes += found
    frames = np.array(sorted(wanted), np.int64)
    points = np.stack([joints[frame] for frame in frames])
    return Footage(
        format="panoptic", cameras=cameras, originals=originals,
        takes=(Take(name, frame, image, None, registered=False, keypoints=_seen(joints[frame], cameras[name]))
               for name, recording in recordings.items() for frame, image in _images(recording, wanted)),
        frames=np.zeros(0, np.int64), vertices=None, surface=None, fps=FPS, up=(0.0, -1.0, 0.0),
        person=source.resolve().name, notes=notes, keypoints="body25", **stated_licence(source, LICENCE),
        foreign={"frames": frames, "joints": points}, joints=Joints.of("body25", frames, points))


def read_calibrations(source: Path) -> dict[str, Calibration]:
    """The HD cameras by name, in metres."""
    files = sorted(source.glob("calibration_*.json"))
    if not files:
        raise FileNotFoundError(f"{source} has no calibration_NAME.json. Download it with getData.sh.")
    file, found = files[0], {}
    for camera in _list(read_json(file), "cameras", file):
        if entry(camera, "type", file) != "hd":
            continue
        name, (width, height) = str(entry(camera, "name", file)), numbers(
            entry(camera, "resolution", file), (2,), f"{file}: resolution")
        check_camera_name(name, file)
        place = numbers(entry(camera, "t", file), (3,), f"{file}: t of {name}")
        found[name] = checked(name, file, entry(camera, "K", file), entry(camera, "R", file),
                              CENTIMETRE * place, entry(camera, "distCoef", file), (height, width))
    if not found:
        raise ValueError(f"{file} describes no camera of type hd. Download it again.")
    return found


def read_joints(source: Path) -> tuple[dict[int, np.ndarray], list[str]]:
    """By frame BODY_25's points (25, 4), metres and confidence, of the person seen most; and notes."""
    files = numbered(source / POSES, (".json",))
    if not files:
        raise FileNotFoundError(f"{source / POSES} holds no poses such as body3DScene_00000168.json.")
    people = {frame: _people(file) for frame, file in files.items()}
    seen = Counter(person for found in people.values() for person in found)
    if not seen:
        raise ValueError(f"{source / POSES} holds nobody in any frame. Take another sequence.")
    who = min(seen, key=lambda person: (-seen[person], person))
    places, joints = [BODY25.names.index(name) for name in JOINTS], {}
    for frame, found in people.items():
        if who in found:
            given = np.array(found[who], object).reshape(-1)
            if len(given) != 4 * len(JOINTS):
                raise ValueError(f"{files[frame]}: joints19 has {len(given)} numbers, expected "
                                 f"{4 * len(JOINTS)}.")
            points = numbers(given.reshape(-1, 4), (len(JOINTS), 4), f"{files[frame]}: joints19")
            joints[frame] = np.zeros((len(BODY25), 4), np.float32)
            joints[frame][places] = points * [*[CENTIMETRE] * 3, 1]
    joints = {frame: np.where(points[:, 3:] > 0, points, 0) for frame, points in joints.items()}
    notes = [f"{len(seen)} people are there; person {who} is taken, who is in {seen[who]} of {len(files)} "
             "frames."] if len(seen) > 1 else []
    return joints, notes


def _people(file: Path) -> dict[int, list]:
    """Everybody's joints by number."""
    return {int(numbers(entry(body, "id", file), (), f"{file}: id")): entry(body, "joints19", file)
            for body in _list(read_json(file), "bodies", file)}


def _list(record, key, file) -> list:
    found = entry(record, key, file)
    if not isinstance(found, list):
        raise ValueError(f"{file}: {key} is no list. Download it again.")
    return found


def _recording(source: Path, name: str, wanted: set[int]) -> dict[int, Path] | Path | None:
    """The pictures of a camera by frame, its video, or None."""
    pictures = {frame: file for frame, file in numbered(source / "hdImgs" / name, PICTURE_SUFFIXES).items()
                if frame in wanted}
    video = source / "hdVideos" / f"hd_{name}.mp4"
    return pictures or (video if video.is_file() else None)


def _images(recording, wanted) -> Iterator[tuple[int, Path | np.ndarray]]:
    if not isinstance(recording, Path):
        yield from recording.items()
        return
    for frame, image in decoded(recording):
        if frame in wanted:
            yield frame, image
        if frame >= max(wanted):
            return


def _seen(joints: np.ndarray, camera: Camera) -> np.ndarray:
    """The points (25, 3) of a picture: pixels, lens distortion included, and confidence."""
    pixels, depth = camera.project(torch.from_numpy(joints[None, :, :3]))
    pixels, depth = pixels[0].numpy(), depth[0].numpy()
    inside = (pixels >= 0).all(1) & (pixels <= camera.size[::-1]).all(1) & (depth > 0)
    return np.concatenate([pixels, np.where(inside, joints[:, 3], 0)[:, None]], 1)
