"""A capture on disk that somebody learns more of: its body, its annotations, its joints.

What is killed leaves a capture: each file is exchanged whole, capture.json last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from anr_core.body import Body, Pose
from anr_core.camera import Camera
from anr_core.capture.folder import Capture, Shot, load_capture
from anr_core.capture.index import read_index
from anr_core.capture.joints import Joints
from anr_core.capture.keypoints import Table, write_keypoints
from anr_core.capture.pictures import write_mask
from anr_core.capture.posing import describe_body, write_poses
from anr_core.capture.writing import numbers_of


def write_registration(capture: Capture, body: Body, poses: Pose, cameras: dict[str, Camera] | None = None,
                       fitted: Iterable[int] | None = None) -> Capture:
    """Give a capture on disk the body that was fitted to it, and read it again.

    poses    of every frame that has a picture, whose numbers are in `poses.frame`
    cameras  those that were estimated along; they count as calibrated from now on
    fitted   frames whose pose was found in their pictures, not in between; all if not given

    capture.json is exchanged last: a first fit that is killed leaves none. One that is killed between the two
    files of a later fit leaves the new poses with the old shape: fit again.
    """
    if missing := {shot.frame for shot in capture.shots} - set(poses.frame.tolist()):
        raise ValueError(f"There is no pose of frame {min(missing)}, of which {capture.path} has a picture. "
                         "Give a pose of every frame.")
    poses = poses[poses.frame.argsort()]
    fitted = set(poses.frame.tolist() if fitted is None else fitted)
    file = capture.path / "capture.json"
    index = read_index(capture.path)
    for name, camera in (cameras or {}).items():
        index["cameras"][name].update(**numbers_of(camera), calibrated=True)
    for shot in index["shots"]:
        shot["registered"] = shot["frame"] in fitted
    index["body"] = describe_body(body)
    with exchanged(capture.path / "poses.npz") as fresh:
        write_poses(poses, fresh)
    write_index(index, file)
    return load_capture(capture.path)


def write_annotations(capture: Capture, keypoints: Table, skeleton: str,
                      masks: Iterable[tuple[Shot, np.ndarray]], outdated: set[Shot] = frozenset()) -> Capture:
    """Give a capture on disk keypoints and masks that were found in its pictures, and read it again.

    keypoints  all that it has from now on, of a set named `skeleton`
    masks      pictures and their masks (H, W) uint8, which may be made while they are asked for
    outdated   pictures that have no mask any more unless a new one is among them

    capture.json is exchanged last, and names no keypoints while those of another set take their place: what
    is killed leaves a capture, with the old annotations, some of them or none.
    """
    file = capture.path / "capture.json"
    index = read_index(capture.path)
    written = {}
    for shot, mask in masks:
        written[shot.camera, shot.frame] = name = f"masks/{shot.camera}/{shot.frame:04d}.png"
        (capture.path / name).parent.mkdir(parents=True, exist_ok=True)
        with exchanged(capture.path / name) as fresh:
            write_mask(fresh, mask)
    if index["keypoints"] not in (None, skeleton):
        write_index({**index, "keypoints": None}, file)
    with exchanged(capture.path / "keypoints.npz") as fresh:
        write_keypoints(fresh, keypoints)
    dropped = {(shot.camera, shot.frame): shot.mask for shot in outdated if shot.mask is not None}
    for shot in index["shots"]:
        place = shot["camera"], shot["frame"]
        shot["mask"] = written.get(place, None if place in dropped else shot["mask"])
    write_index({**index, "keypoints": skeleton}, file)
    for place in dropped.keys() - written.keys():
        (capture.path / dropped[place]).unlink(missing_ok=True)
    return load_capture(capture.path)


def write_joints(capture: Capture, joints: Joints) -> Capture:
    """Give a capture on disk joints in space, and read it again.

    capture.json is exchanged last, and names none while those of another skeleton take their place.
    """
    file = capture.path / "capture.json"
    index = read_index(capture.path)
    if index.get("joints") not in (None, joints.description):
        write_index({**index, "joints": None}, file)
    with exchanged(capture.path / "joints.npz") as fresh:
        joints.write(fresh)
    write_index({**index, "joints": joints.description}, file)
    return load_capture(capture.path)


def write_index(index: dict, file: Path) -> None:
    """Exchange a capture.json for one that says this."""
    with exchanged(file) as fresh:
        fresh.write_text(json.dumps(index, indent=1), encoding="utf-8")


@contextmanager
def exchanged(file: Path) -> Iterator[Path]:
    """A place to write to, which takes the file's once it is whole."""
    fresh = file.with_name(f".new.{file.name}")
    try:
        yield fresh
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
