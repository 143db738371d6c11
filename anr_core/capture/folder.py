"""A capture on disk. `prepare` makes one from any format; everything after reads only this.

    capture.json        what there is, in words and numbers: the fields of `Capture` and one entry a picture
    body.npz            registered meshes: frames (n,), vertices (n, V, 3) metres, faces, uv, uv_faces, part
    poses.npz           or Anny, whose shape is in capture.json: frames (n,) and the fields of `Pose`;
                        neither before somebody has fitted a body: `fit` does
    foreign.npz         body parameters of another system that came along, as its files have them: EasyMocap's
                        frames (n,), poses, Rh, Th, shapes, whose convention body/conventions.py tells
    keypoints.npz       where they are known: cameras (m,), frames (m,), points (m, K, 3)
    joints.npz          where they are known: frames (n,), points (n, J, 4) metres, world, and confidence
    lifter.safetensors  what `lift` learned for this set of keypoints
    frames/             CAMERA/0008.jpg, undistorted
    masks/              CAMERA/0008.png, 255 where the person is; absent where nobody measured it
    certain/            CAMERA/0008.png, 255 where the mask can be believed; absent where it can be everywhere
    background/         CAMERA.jpg, the scene without the person, where it is known
    inputs/             CAMERA/0008.png, what an image-to-image system is given for a picture, a rendered mesh
                        for example, of 1, 3 or 4 channels; only captures of pairs have them
    truth/              CAMERA/0008.npz, whatever else is known of the picture, array by array
    LICENSE...          what the source said

Cameras hold K (3, 3) for these pictures, R, t and size [H, W]; `original` keeps the source's own K,
distortion and size; `calibrated` is false where the focal length is a guess and the camera itself is the
world's origin. Paths are relative to the folder, so it can be moved.

A capture of pairs (readers/smplpix.py) has no body and never will: each picture has an input. Where nobody
knows the picture, its `image` is the input itself, and nothing in it is certain. Where there is no mask the
picture as a whole is what is to be drawn, background and all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from anr_core.body import Body, Pose
from anr_core.body.npz import names_in_npz, read_npz
from anr_core.camera import Camera
from anr_core.capture.index import read_index
from anr_core.capture.joints import Joints, read_joints
from anr_core.capture.keypoints import Table, of_body, read_keypoints
from anr_core.capture.pictures import Memory, read_image
from anr_core.capture.posing import read_posing
from anr_core.capture.views import Views, as_floats
from anr_core.telling import brief, listed, quoted, reason

# Multiples of it, modulo 1, fill [0, 1) evenly at every number of them (Weyl's sequence).
GOLDEN = 0.6180339887498949

# Decoded pictures that are kept, bytes: 200 loose crops of a person 800 pixels tall.
MEMORY = 512 * 2**20


@dataclass(frozen=True)
class Shot:
    """One picture of a capture: who took it and when, and its files, relative to the capture.

    camera      its name
    mask        None where nobody measured it: a view then has the mesh's projection, or none; the whole
                picture where there is an input
    certain     where the mask can be believed; None where it can be everywhere
    registered  the mesh was fitted to this frame; else it is interpolated, or there is none
    split       "train", or the name of what it is held out for
    truth       arrays of whatever else is known of the picture
    input       picture that an image-to-image system is given for it, or None
    """

    camera: str
    frame: int
    image: str
    mask: str | None
    certain: str | None = None
    registered: bool = True
    split: str = "train"
    truth: str | None = None
    input: str | None = None

    @property
    def known(self) -> bool:
        """Whether there is a picture, beside an input for one that nobody took."""
        return self.image != self.input


@dataclass(frozen=True)
class Capture:
    """A person, filmed: an index in memory, the pictures on disk until a view is read.

    path          its folder
    cameras       each a batch of one, for the pictures as they are here
    shots         all pictures
    registration  the body that was fitted to the person, or None before that
    format        what it was prepared from
    licence       what the source states; it travels into runs
    fps           frames a second
    up            (3,) the world's unit vector against gravity
    person        the person's name
    backgrounds   file of the scene without the person, by camera
    poses         of the registered frames, which rise; None where the body is a mesh a frame
    keypoints     (K, 3) pixels and confidence by camera name and frame
    skeleton      name of the skeleton that the keypoints belong to, such as "coco23"
    uncalibrated  names of the cameras whose focal length is a guess; each stands at the world's origin
    joints        in space, with their skeleton; None where nobody knows them
    link          address that its source was downloaded from, or file:// and where it lay; or None
    """

    path: Path
    cameras: dict[str, Camera]
    shots: list[Shot]
    registration: Body | None
    format: str
    licence: str
    fps: float
    up: torch.Tensor
    person: str
    backgrounds: dict[str, str]
    poses: Pose | None = None
    keypoints: Table = field(default_factory=dict)
    skeleton: str | None = None
    uncalibrated: frozenset[str] = frozenset()
    link: str | None = None
    joints: Joints | None = None
    memory: Memory = field(default_factory=lambda: Memory(MEMORY), repr=False, compare=False)

    @property
    def body(self) -> Body:
        """What `pose` poses; raises ValueError where no body was fitted to the person yet, or ever can be."""
        if self.registration is None and self.paired:
            raise ValueError(f"{self.path} holds pairs of pictures, without cameras and a body. Only system "
                             "smplpix trains on it.")
        if self.registration is None:
            raise ValueError(f"{self.path} has no registration yet. Fit a body to the person: "
                             f"python -m anr_core fit {self.path}")
        return self.registration

    @property
    def paired(self) -> bool:
        """Whether these are pairs of pictures, an input and what is to be drawn of it, and nothing else."""
        return self.registration is None and any(shot.input is not None for shot in self.shots)

    @property
    def of_body(self) -> Capture:
        """The same capture with the keypoints of the body alone, without those of hands and face: for what
        asks each of them alike whether it lies on the body.
        """
        keypoints, skeleton = of_body(self.keypoints, self.skeleton)
        return self if skeleton == self.skeleton else replace(self, keypoints=keypoints, skeleton=skeleton)

    def views(self, cameras: Iterable[str] | None = None, frames: Iterable[int] | None = None,
              crop: str | None = None, size: int | tuple[int, int] | None = None,
              labelled: bool = False) -> Views:
        """The views of some cameras and frames (None: all); a picture is opened only when its view is read.

        crop  None     the whole picture, resized to size (H, W) where that is given
              "body"   a square of 1.15 times the body's box, at size x size pixels
              "loose"  the pixels around the body as they are, no resizing: for `resample` to draw from

        Labels of parts are read only where labelled says so.
        """
        kept = _chosen(self.shots, "camera", cameras)
        return Views(self, _chosen(kept, "frame", frames), crop, size, labelled)

    def pose(self, frame: torch.Tensor) -> Pose:
        """The poses of frame numbers (B,)."""
        return Pose.of_frame(frame) if self.poses is None else self.poses.at(frame)

    @property
    def recording(self) -> Pose:
        """The poses of all registered frames, which rise."""
        body = self.body
        return Pose.of_frame(body.frames) if self.poses is None else self.poses

    @property
    def splits(self) -> list[str]:
        """Names of the splits that its shots are of, sorted."""
        return sorted({shot.split for shot in self.shots})

    def split(self, name: str) -> Capture:
        """The same capture with only the views marked so: "train", or what others are held out for.

        Raises ValueError for a split that there is not.
        """
        if name not in self.splits:
            raise ValueError(f"{self.path} has no split {quoted(name)}; it has {listed(self.splits)}.")
        return self.only(lambda shot: shot.split == name)

    def only(self, wanted: Callable[[Shot], bool]) -> Capture:
        """The same capture with only the shots that are wanted."""
        return replace(self, shots=[shot for shot in self.shots if wanted(shot)])

    def evenly(self, most: int) -> Capture:
        """The same capture with at the most so many of its shots, spread evenly over all.

        One out of each of so many equal parts, at another place in each: a fixed step meets the same camera
        again and again where the number of cameras divides it.
        """
        count = min(most, len(self.shots))
        places = (np.arange(count) + np.arange(count) * GOLDEN % 1) * len(self.shots) / max(count, 1)
        return replace(self, shots=[self.shots[int(place)] for place in places])

    def knows(self, shot: Shot, *names: str) -> bool:
        """Whether `truth` has all these of a picture."""
        if shot.truth is None:
            return False
        return set(names) <= set(names_in_npz(self.path / shot.truth))

    def truth(self, shot: Shot, name: str) -> np.ndarray:
        """One array of what else is known of a picture; only this one is read."""
        if shot.truth is None:
            raise ValueError(f"{self.path} keeps no truth of {brief(shot.image)}; studio captures do.")
        file = self.path / shot.truth
        if name not in (there := names_in_npz(file)):
            raise ValueError(f"{file} holds no {quoted(name)}; it holds {listed(there)}.")
        found = read_npz(file, only=(name,))[name]
        if found.dtype.kind not in "biuf":
            raise ValueError(f"{file}: {quoted(name)} is {brief(found.dtype)}, expected numbers. Prepare it "
                             "again.")
        return found

    def background(self, camera: str) -> torch.Tensor | None:
        """(1, 3, H, W) the scene without the person as that camera sees it, or None where it isn't known."""
        if camera not in self.backgrounds:
            return None
        return as_floats(read_image(self.path / self.backgrounds[camera]))


def _chosen(shots, name, wanted):
    """Shots whose field is among the wanted values, each of which must occur."""
    if wanted is None:
        return shots
    wanted, there = set(wanted), {getattr(shot, name) for shot in shots}
    if missing := wanted - there:
        raise ValueError(f"The capture has no {name} {listed(sorted(missing))}; it has "
                         f"{listed(sorted(there))}.")
    return [shot for shot in shots if getattr(shot, name) in wanted]


def load_capture(path: str | Path) -> Capture:
    """Read a capture's index and body; its pictures stay on disk.

    Raises FileNotFoundError for a folder that is no capture, ValueError for a broken one.
    """
    path = Path(path).resolve()
    try:
        return _described(path, read_index(path))
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{path / 'capture.json'} is broken ({type(error).__name__}: {reason(error)}). "
                         "Prepare it again.") from None


def _camera(entry, name, path):
    try:
        return Camera(*(torch.tensor(entry[key], dtype=torch.float32)[None] for key in ("K", "R", "t")),
                      size=tuple(entry["size"]))
    except ValueError as error:
        raise ValueError(f"{path / 'capture.json'} has a broken camera {brief(name)} ({reason(error)}). "
                         "Prepare it again.") from None


def _described(path, index):
    cameras = {name: _camera(entry, name, path) for name, entry in index["cameras"].items()}
    shots, skeleton = [Shot(**shot) for shot in index["shots"]], index.get("keypoints")
    body, poses = read_posing(path, index.get("body"))
    if body is not None:
        what, file, known = ("mesh", "body.npz", body.frames) if poses is None else \
                            ("pose", "poses.npz", poses.frame)
        if missing := {shot.frame for shot in shots} - set(known.tolist()):
            raise ValueError(f"{path / file} has no {what} of frame {listed(sorted(missing))}. Prepare it "
                             "again.")
    table = read_keypoints(path / "keypoints.npz", skeleton) if skeleton else {}
    if unknown := {camera for camera, _ in table} - cameras.keys():
        raise ValueError(f"{path / 'keypoints.npz'} has keypoints of camera {listed(sorted(unknown))}, which "
                         "capture.json doesn't describe. Prepare it again.")
    up = torch.tensor(index["up"], dtype=torch.float32)
    uncalibrated = (name for name, entry in index["cameras"].items() if not entry.get("calibrated", True))
    return Capture(path, cameras, shots, body, index["format"], index["licence"], index["fps"],
                   up, index["person"], index["backgrounds"], poses,
                   table, skeleton, frozenset(uncalibrated), index.get("link"),
                   read_joints(path / "joints.npz", index.get("joints")))
