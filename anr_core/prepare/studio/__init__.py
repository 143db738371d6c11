"""The studio: people nobody filmed, drawn in the light of a room that doesn't exist.

    capture = studio_capture("captures/demo", subject=0)

A studio capture is like any other (see anr_core/capture/folder.py), and holds what no real one can:

    studio.json           the call that made it: the same call finds it again
    truth/CAMERA/0008.npz annotations of each picture, see `annotations`
    surface/layers.npz    the dressed person's layers: names; of the n-th, from 1, faces_n, uv_n, uv_faces_n
    surface/0008.npz      vertices_n (V, 3) of each layer in that frame, metres, world
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody
from anr_core.capture import Capture, load_capture
from anr_core.capture.footage import Footage
from anr_core.capture.writing import whole_or_nothing, write_capture
from anr_core.prepare.studio import people, stage
from anr_core.prepare.studio.filming import KEYPOINTS, Set
from anr_core.prepare.studio.registration import Jitter
from anr_core.prepare.studio.workers import side_by_side
from anr_core.threads import running_on

REGISTRATIONS = ("jittered", "exact")
VERSION = 1  # of what is drawn: a capture of another one is not reused
SPLITS = {(False, False): "train", (True, False): "novel_view", (False, True): "novel_pose",
          (True, True): "novel_both"}  # by whether the camera is held out, and the frame


@dataclass(frozen=True)
class Call:
    """What a studio capture is made of; checked."""

    subject: int
    cameras: int
    frames: int
    size: tuple[int, int]
    fps: float
    registration: str

    def __post_init__(self):
        if not _whole(self.subject) or self.subject < 0:
            raise ValueError(f"subject is {self.subject!r}; the studio's people are numbered 0, 1, 2 ...")
        for name in ("cameras", "frames"):
            if not _whole(getattr(self, name)) or getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a positive integer.")
        if not (len(self.size) == 2 and all(_whole(side) and side > 0 for side in self.size)):
            raise ValueError(f"size is {self.size!r}; give a positive number of pixels, or (H, W).")
        if not (isinstance(self.fps, int | float) and 0 < self.fps < float("inf")):
            raise ValueError(f"fps is {self.fps!r}; give a positive number of frames a second.")
        if self.registration not in REGISTRATIONS:
            raise ValueError(f"registration {self.registration!r} is unknown; use "
                             f"{' or '.join(REGISTRATIONS)}.")

    def text(self) -> str:
        """The call as studio.json keeps it: equal for equal calls."""
        numbers = {name: int(getattr(self, name)) for name in ("subject", "cameras", "frames")}
        return json.dumps({"version": VERSION, **numbers, "size": [int(side) for side in self.size],
                           "fps": float(self.fps), "registration": self.registration}, indent=1)


def _whole(number) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def studio_capture(path: str | Path, subject: int = 0, *, cameras: int = 6, frames: int = 40,
                   size: int | tuple[int, int] = 256, fps: float = 6.0,
                   registration: str = "jittered") -> Capture:
    """Film one of the studio's people; a folder that this very call has filled is used as it is.

    subject       0, 1, 2 ...: every number is another person, dressed and moving in another way
    cameras       on two rings, a low and a high one in turn
    size          of the pictures, pixels: one number, or (H, W)
    fps           frames a second; the person's film lasts as many seconds as the frames come to
    registration  "jittered", as wrong as a real fit is, or "exact"

    Two cameras are held out (one of three, none of fewer), as split "novel_view"; the punches, which follow
    the warm-up, as "novel_pose"; both as "novel_both". The same call gives the same bytes.
    Raises ValueError for a bad argument, and for a folder that holds anything else.
    """
    size = tuple(size) if isinstance(size, tuple | list) else (size, size)
    call = Call(subject, cameras, frames, size, fps, registration)
    path, file = Path(path), Path(path) / "studio.json"
    if file.is_file() and file.read_text(encoding="utf-8") == call.text():
        return load_capture(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"{path} holds something else than this capture of subject {subject}, so it is left "
                         "alone. Name another folder, or remove this one.")
    with whole_or_nothing(path) as folder:
        _film(call, folder)
        (folder / "studio.json").write_text(call.text(), encoding="utf-8")
    return load_capture(path)


# filming


def _film(call: Call, folder: Path) -> None:
    with running_on(1):  # frames are drawn side by side, and sums come out the same on any machine
        _write(call, folder)


def _write(call, folder):
    person = people.subject(call.subject)
    low, high = person.body.rest_vertices[0, :, 2].aminmax()
    cameras = stage.cameras(call.subject, call.cameras, call.size, float(high - low))
    moments = people.moments(person, call.frames, call.fps)
    first = next(moments)
    studio = Set.built(person, first.vertices, _chest(person, first), cameras, folder)
    jitter = Jitter(call.subject) if call.registration == "jittered" else None
    registered = AnnyBody(jitter.shape(person.body.shape)) if jitter else person.body
    poses = Pose(torch.zeros(call.frames, *first.pose.rotations.shape[1:]), torch.zeros(call.frames, 3),
                 torch.zeros(call.frames, 3))
    held_out = held_out_cameras(list(cameras))

    def jobs():
        before, now = None, first
        while now is not None:
            after = next(moments, None)
            pose = jitter.pose(now.pose, now.frame / call.fps) if jitter else now.pose
            for name in ("rotations", "root_rotation", "root_translation"):
                getattr(poses, name)[now.frame] = getattr(pose, name)[0]
            split = {name: SPLITS[name in held_out, now.motion == "punching"] for name in cameras}
            yield before, now, after, split
            before, now = now, after

    backgrounds = studio.write_backgrounds()
    write_capture(Footage(
        format="studio", cameras=cameras,
        originals={name: {"K": camera.K[0].tolist(), "distortion": [], "size": list(camera.size)}
                   for name, camera in cameras.items()},
        takes=chain.from_iterable(tqdm(side_by_side(jobs(), studio.film), f"subject {call.subject}",
                                       call.frames, leave=False)),
        frames=np.arange(call.frames), vertices=None, surface=registered.surface, fps=float(call.fps),
        up=(0.0, 0.0, 1.0), licence="CC0", person=f"subject {call.subject}", backgrounds=backgrounds,
        body=registered, poses=poses, keypoints=KEYPOINTS), folder)


def _chest(person, moment):
    """A place in front of the chest, (3,) metres."""
    joints = person.body(moment.pose).joints[0]
    at = {name: joints[person.body.skeleton.names.index(name)]
          for name in ("neck", "spine2", "left_shoulder", "right_shoulder")}
    left, up = at["left_shoulder"] - at["right_shoulder"], at["neck"] - at["spine2"]
    forward = torch.nn.functional.normalize(torch.linalg.cross(left, up), dim=0)
    return torch.lerp(at["spine2"], at["neck"], 0.35) + 0.3 * forward


def held_out_cameras(names: list[str]) -> set[str]:
    """Two cameras far apart, one of each ring; one of three, none of fewer."""
    if len(names) < 3:
        return set()
    return {names[1]} if len(names) == 3 else {names[1], names[(len(names) + 3) // 4 * 2]}
