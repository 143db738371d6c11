"""Format `people-snapshot`: a person turns before a still camera, as Alldieck et al. hand it out.

    camera.pkl                  camera_f, camera_c, camera_k, camera_rt, camera_t, width, height (Python 2)
    masks.hdf5                  masks (n, H, W), 1 where the person is
    reconstructed_poses.hdf5    SMPL: betas (10,), pose (m, 72), trans (m, 3) metres, the last n of the m
    keypoints.hdf5              keypoints (n, 54): OpenPose's 18 points; may be missing
    NAME.mp4                    the video

The camera is the world's origin, which looks along +Z. SMPL is posed by the user's model, of the gender that
the folder's name tells. Source: Alldieck et al., Video based reconstruction of 3D people models, 2018, and
Neural Body's preparation of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anr_core.body.pickles import read_pickle
from anr_core.capture.footage import Footage, Take
from anr_core.capture.readers.arrays import entry, numbers
from anr_core.capture.readers.calibration import camera_for, checked, original_of
from anr_core.capture.readers.clips import VIDEO_SUFFIXES, first_frame, frame_count, video_rate
from anr_core.capture.readers.hdf5 import open_arrays
from anr_core.capture.readers.openpose import LAYOUTS
from anr_core.capture.readers.smpl_meshes import posed, without_model
from anr_core.capture.readers.timing import EVERYTHING, Span
from anr_core.capture.sources import decoded, stated_licence
from anr_core.telling import brief

ABOUT = "camera.pkl, masks.hdf5 and a video"
LICENCE = "People-Snapshot: non-commercial research, not to be passed on; cite Alldieck et al., CVPR 2018"
CAMERA = "camera"
MASK_DOUBT = 2.0  # pixels: others erode these masks by a square of four
SKELETON, PLACES = LAYOUTS[18]


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    return (source / "camera.pkl").is_file() and (source / "masks.hdf5").is_file()


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """The video with its masks; its frames are decoded only while the takes are asked for."""
    video = _video(source)
    rate, size = video_rate(video), tuple(first_frame(video).shape[:2])
    with open_arrays(source / "masks.hdf5") as masks:
        count, *mask_size = masks.shape("masks") or (0,)
    if tuple(mask_size) != size or not count:
        raise ValueError(f"{masks.file}: masks have the shape {brief((count, *mask_size))}, but the video's "
                         f"pictures are {size[1]}x{size[0]}; expected (n, {size[0]}, {size[1]}).")
    if count > 2 * frame_count(video) + 100:  # the video's length is stated roughly
        raise ValueError(f"{masks.file} has {count} masks, but {video.name} has about {frame_count(video)} "
                         "pictures. Copy both again.")
    camera, original = _camera(source / "camera.pkl", size)
    wanted = span.frames(range(count), rate)
    notes, keypoints = [], _keypoints(source / "keypoints.hdf5", count)
    body, found = _body(source, count, sorted(wanted))
    notes += found
    return Footage(
        format="people-snapshot", cameras={CAMERA: camera}, originals={CAMERA: original},
        takes=_takes(source / "masks.hdf5", video, wanted, keypoints, body["surface"] is not None), fps=rate,
        up=(0.0, -1.0, 0.0), person=source.resolve().name, notes=notes,
        keypoints=None if keypoints is None else SKELETON, **stated_licence(source, LICENCE), **body)


def _video(source: Path) -> Path:
    videos = [file for file in sorted(source.glob("*")) if file.suffix.lower() in VIDEO_SUFFIXES]
    named = [file for file in videos if file.stem == source.resolve().name]
    if not videos:
        raise FileNotFoundError(f"{source} has no video ({', '.join(VIDEO_SUFFIXES)}). Copy it there again.")
    return (named or videos)[0]


def _camera(file: Path, size):
    record = read_pickle(file)
    focal, centre = (numbers(entry(record, key, file), (2,), f"{file}: {key}")
                     for key in ("camera_f", "camera_c"))
    lens = numbers(record.get("camera_k", np.zeros(5)), (None,), f"{file}: camera_k")
    turn, place = (numbers(record.get(key, np.zeros(3)), (3,), f"{file}: {key}")
                   for key in ("camera_rt", "camera_t"))
    full = [record.get(side, pixels) for side, pixels in zip(("height", "width"), size, strict=True)]
    K = [[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]]
    calibration = checked(CAMERA, file, K, turn, place, lens, full)
    return camera_for(calibration, CAMERA, size)[0], original_of(calibration, size)


def _takes(file, video, wanted, keypoints, registered) -> Iterator[Take]:
    frame = -1
    with open_arrays(file) as masks:
        for frame, image in decoded(video):
            if frame > max(wanted):
                return
            if frame in wanted:
                person = masks.row("masks", frame) > 0
                mask = np.uint8(255) * person if person.any() else None  # empty where nobody was found
                yield Take(CAMERA, frame, image, mask, MASK_DOUBT, registered,
                           keypoints=None if keypoints is None else keypoints[frame])
    if frame < max(wanted):
        raise ValueError(f"{video} ends after {frame + 1} frames, but there are masks of {max(wanted) + 1}. "
                         "Copy it again.")


def _body(source: Path, count: int, frames: list[int]) -> tuple[dict, list[str]]:
    """The fields of a footage that tell the body, and notes."""
    file = source / "reconstructed_poses.hdf5"
    empty = {"frames": np.zeros(0, np.int64), "vertices": None, "surface": None}
    if not file.is_file():
        return empty, [f"{file.name} is missing, so there is no body; let fit find one."]
    with open_arrays(file) as stored:
        betas, poses, trans = (stored.whole(name, shape) for name, shape in (
            ("betas", (None,)), ("pose", (None, 72)), ("trans", (None, 3))))
    if len(poses) != len(trans) or len(poses) < count:
        raise ValueError(f"{file} has {len(poses)} poses and {len(trans)} translations for {count} masks. "
                         "Copy it again.")
    rows = np.array(frames) + len(poses) - count  # the first poses may belong to frames that were cut away
    poses, trans = np.float32(poses[rows]), np.float32(trans[rows])
    foreign = {"frames": np.array(frames, np.int64), "poses": poses, "trans": trans,
               "betas": np.float32(betas)}
    variant = "female" if source.resolve().name.startswith("female") else "male"
    meshes = posed(poses, trans, betas, variant)
    if meshes is None:
        return empty | {"foreign": foreign}, [without_model(f"{len(frames)} poses of SMPL")]
    return {"frames": foreign["frames"], "vertices": meshes[0], "surface": meshes[1], "foreign": foreign}, \
        [f"posed by your {variant} SMPL model."]


def _keypoints(file: Path, count: int) -> np.ndarray | None:
    if not file.is_file():
        return None
    with open_arrays(file) as stored:
        points = stored.whole("keypoints", (None, 54))
    if len(points) < count:
        raise ValueError(f"{file} has {len(points)} rows for {count} masks. Copy it again.")
    return np.float32(points[len(points) - count:]).reshape(count, 18, 3)[:, PLACES]
