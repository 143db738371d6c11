"""Format `human-view-synthesis`: a sequence of Human3.6M or Panoptic, in the databases of that project.

    cameras.json                                     by view: R, t metres, K, dist_coef, resolution (w, h)
    Databases/Images/VIEW.lmdb                       encoded pictures
    Databases/Masks/SOLO/VIEW.lmdb                   1 where the person is
    Databases/Poses/2D/CPN/VIEW.lmdb                 Human3.6M: (17, 2, 1) pixels
    Databases/Poses/2D/BODY_135/VIEW.lmdb            Panoptic: (135, 3, 1) pixels and confidence
    Databases/Poses/3D/Groundtruth.lmdb              Human3.6M: (17, 3, 1) metres
    Databases/Poses/3D/BODY_135/Reconstructed.lmdb   Panoptic: (135, 4, 1), metres and confidence;
                                                     both kept in foreign.npz as they are, and
                                                     in joints.npz, of Panoptic's without jaw and pupils

A database has an entry for each frame, whose key is the pickled number, one for "keys", all of these, and
one, "protocol", that tells how keys are pickled. Source: Rochette et al., Human pose manipulation and novel
view synthesis, 2021, and its code.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from anr_core.body.pickles import unpickle
from anr_core.capture.footage import Footage, Take
from anr_core.capture.joints import Joints
from anr_core.capture.pictures import BROKEN, decoded
from anr_core.capture.readers.arrays import entry, numbers
from anr_core.capture.readers.calibration import camera_for, checked, original_of
from anr_core.capture.readers.lmdb import Entries, open_entries
from anr_core.capture.readers.panoptic import FPS as PANOPTIC_FPS
from anr_core.capture.readers.panoptic import LICENCE as PANOPTIC_LICENCE
from anr_core.capture.readers.timing import EVERYTHING, Span
from anr_core.capture.sources import LONGEST_NUMBER, read_json, stated_licence, upright_axis
from anr_core.skeleton import COCO17
from anr_core.telling import brief, quoted, reason

ABOUT = "cameras.json and Databases/Images"
LICENCES = {"CPN": "Human3.6M: academic use; cite Ionescu et al., Human3.6M, TPAMI 2014",
            "BODY_135": PANOPTIC_LICENCE}
RATES = {"CPN": 50.0, "BODY_135": PANOPTIC_FPS}
BODIES = {"CPN": "3D/Groundtruth.lmdb", "BODY_135": "3D/BODY_135/Reconstructed.lmdb"}

# Human3.6M's 17 joints that COCO has: (ours, theirs). Their ninth is neck or nose, by detector.
H36M = {"right_hip": 1, "right_knee": 2, "right_ankle": 3, "left_hip": 4, "left_knee": 5, "left_ankle": 6,
        "left_shoulder": 11, "left_elbow": 12, "left_wrist": 13, "right_shoulder": 14, "right_elbow": 15,
        "right_wrist": 16}


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    return (source / "Databases" / "Images").is_dir()


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """A sequence; pictures are read only while the takes are asked for."""
    root, file = source / "Databases", source / "cameras.json"
    kind = next((kind for kind in BODIES if (root / "Poses" / "2D" / kind).is_dir()), None)
    described, views = read_json(file), sorted(path.stem for path in (root / "Images").glob("*.lmdb"))
    if not views:
        raise FileNotFoundError(f"{root / 'Images'} holds no databases such as 00.lmdb.")
    rate = RATES.get(kind, 30.0)
    cameras, originals, frames, notes = {}, {}, {}, []
    for view in views:
        with database(root / "Images" / f"{view}.lmdb") as pictures:
            frames[view] = pictures.keys
    wanted = span.frames(set().union(*frames.values()), rate)
    for view in [view for view in views if not frames[view] & wanted]:
        views.remove(view)
        notes.append(f"{view} has none of the frames that are asked for and is left out.")
    for view in views:
        frames[view] &= wanted
        with database(root / "Images" / f"{view}.lmdb") as pictures:
            size = _picture(pictures, min(frames[view])).shape[:2]
        record = entry(described, view, file)
        width, height = numbers(entry(record, "resolution", file), (2,), f"{file}: resolution of {view}")
        calibration = checked(view, file, *(entry(record, key, file) for key in ("K", "R", "t", "dist_coef")),
                              (height, width))
        cameras[view], found = camera_for(calibration, view, size)
        originals[view] = original_of(calibration, size)
        notes += found
    if kind is None:
        notes.append("there are no poses in Databases/Poses/2D, so nothing is known of the rights either.")
    body = root / "Poses" / BODIES[kind] if kind else None
    poses = _joints(body, wanted) if body and body.exists() else None
    return Footage(
        format="human-view-synthesis", cameras=cameras, originals=originals,
        takes=(take for view in views for take in _takes(root, view, kind, sorted(frames[view]))),
        frames=np.zeros(0, np.int64), vertices=None, surface=None, fps=rate,
        up=upright_axis(list(cameras.values())), person=source.resolve().name, notes=notes,
        keypoints={"CPN": "coco17", "BODY_135": "body25b"}.get(kind),
        **stated_licence(source, LICENCES.get(kind)),
        foreign=poses, joints=poses and _named(poses, kind, body))


def _takes(root: Path, view: str, kind: str | None, frames: list[int]) -> Iterator[Take]:
    with database(root / "Images" / f"{view}.lmdb") as pictures, \
            database(root / "Masks" / "SOLO" / f"{view}.lmdb") as masks, \
            database(root / "Poses" / "2D" / str(kind) / f"{view}.lmdb") as points:
        for frame in frames:
            mask = _picture(masks, frame, "L") if frame in masks.keys else None
            if mask is not None:
                mask = np.where(mask > 127, np.uint8(255), np.uint8(0)) if (mask > 127).any() else None
            yield Take(view, frame, _picture(pictures, frame), mask, registered=False,
                       keypoints=_points(points.value(frame), kind, points) if frame in points.keys else None)


def _picture(pictures, frame: int, mode: str = "RGB") -> np.ndarray:
    try:
        return decoded(io.BytesIO(pictures.data(frame)), mode)
    except BROKEN as error:
        raise ValueError(f"{pictures.path}: frame {frame} can't be read as a picture ({reason(error)}). Copy "
                         "it again.") from None


def _points(values, kind: str, source) -> np.ndarray:
    """Keypoints (K, 3) in pixels, as COCO or BODY_25B orders them."""
    if kind == "BODY_135":
        return np.float32(numbers(values, (135, 3, 1), f"{source.path}: a pose")[:25, :, 0])  # the body
    found = numbers(values, (17, 2, 1), f"{source.path}: a pose")[..., 0]
    points = np.zeros((len(COCO17), 3), np.float32)
    for name, place in H36M.items():
        points[COCO17.names.index(name)] = *found[place], 1
    return points


def _joints(path: Path, frames: set[int]) -> dict[str, np.ndarray] | None:
    """The joints in space of the frames that have them, (n, J, 3 or 4): metres and confidence."""
    with database(path) as poses:
        known = sorted(frames & poses.keys)
        found = [numbers(poses.value(frame), (None, None, 1), f"{path}: a pose")[..., 0] for frame in known]
    if len({pose.shape for pose in found}) > 1:
        raise ValueError(f"{path} mixes poses of different skeletons. Copy it again.")
    return {"frames": np.array(known, np.int64), "joints": np.float32(found)} if found else None


def _named(poses: dict[str, np.ndarray], kind: str, path: Path) -> Joints:
    """The joints as one of our skeletons has them."""
    joints = poses["joints"]
    expected = ((17, 3),) if kind == "CPN" else ((135, 3), (135, 4))
    if joints.shape[1:] not in expected:
        raise ValueError(f"{path}: poses are {brief(joints.shape[1:])}, expected {expected[-1]}. Copy it "
                         "again.")
    if kind == "CPN":
        return Joints.of("human36m", poses["frames"], joints)
    return Joints.of("panoptic", poses["frames"], _without_jaw(joints))


def _without_jaw(joints: np.ndarray) -> np.ndarray:
    """Joints (n, 117, 3 or 4) as PANOPTIC orders them of (n, 135, 3 or 4): body, hands and the face's 70.

    The sternum is the middle of the shoulders, as sure as the less sure of the two.
    """
    jaw, pupils = 17, 2  # first and last of the face
    left, right = (joints[:, [COCO17.names.index(f"{side}_shoulder")]] for side in ("left", "right"))
    sternum = (left + right) / 2
    sternum[..., 3:] = np.minimum(left[..., 3:], right[..., 3:])
    return np.concatenate([joints[:, :65], joints[:, 65 + jaw:135 - pupils], sternum], 1)


# databases

class _Database:
    """The entries of an open database by frame."""

    def __init__(self, path: Path, entries: Entries):
        self.path, self._entries = path, entries
        self._protocol = self._number(b"protocol")
        keys = unpickle(self._bytes(self._key("keys")), f"{path}: keys")
        if not isinstance(keys, list | tuple | set | frozenset) or not keys or \
                not all(isinstance(key, int) and 0 <= key < 10**LONGEST_NUMBER for key in keys):
            raise ValueError(f"{path}: its keys are no frame numbers. Copy it again.")
        self.keys = set(keys)

    def data(self, frame: int) -> bytes:
        return self._bytes(self._key(frame))

    def value(self, frame: int):
        return unpickle(self.data(frame), f"{self.path}: frame {frame}")

    def _number(self, key):
        found = unpickle(self._bytes(key), f"{self.path}: protocol")
        if not isinstance(found, int) or not 0 <= found <= pickle.HIGHEST_PROTOCOL:
            raise ValueError(f"{self.path}: its keys are of pickle's protocol {quoted(found)}. Copy it "
                             "again.")
        return found

    def _key(self, value):
        return pickle.dumps(value, self._protocol)

    def _bytes(self, key):
        found = self._entries.get(key)
        if found is None:
            raise ValueError(f"{self.path} has no entry {quoted(key)}. Copy it again.")
        return found


class _Nothing:
    """A database that is not there."""

    keys = frozenset()


@contextmanager
def database(path: Path):
    """An open database, or one without entries where there is none."""
    if not path.exists():
        yield _Nothing()
        return
    with open_entries(path) as entries:
        yield _Database(path, entries)
