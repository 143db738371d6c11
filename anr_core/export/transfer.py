"""Motion from one capture, looks from another: a person moves as somebody else was filmed to.

Whoever has a body is moved by its rotations (motion/retargeting.py). Of whom a film tells joints alone,
lifted from keypoints or known to its source, an avatar that draws bones is moved by those, with bones as long
as its own person's. An avatar that is drawn out of keypoints is moved by a film's (driving.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from anr_core.avatars import Avatar, Scene
from anr_core.avatars.run import Run, check_surface
from anr_core.body import Pose, Surface, TrackedBody
from anr_core.capture import Capture, resample
from anr_core.export.backgrounds import OWN, Own
from anr_core.export.driving import first_trained, staged_keypoints
from anr_core.export.lending import look_like
from anr_core.export.staging import circling, picture_count, turning, watching
from anr_core.export.video import ROUND_SECONDS, VIDEO_FPS, check_shown, staged_motion, write_scenes
from anr_core.motion import read_motion
from anr_core.motion.alignment import HOW, SMOOTH
from anr_core.motion.keypoints import FlatMotion, best_camera
from anr_core.skeleton.bones import as_skeleton, with_bones, without_gaps
from anr_core.skeleton.named import skeleton_named
from anr_core.telling import listed

AROUND = 0.12  # metres that a body reaches beyond its joints


def transfer(run: Run, out: str | Path, source: Capture | FlatMotion, looks: str | Path | None = None,
             view: str | None = None, background: str | Path | None = None,
             overview: bool | Collection[str] = False,
             size: int | None = None, align: str | None = None, smooth: float | None = None,
             fit: bool = True) -> None:
    """Draw a run's avatar as somebody moves in another capture.

    out     as `render` takes it, and so is the background; but whom keypoints drive stands before their own
            camera's, where nothing else is wanted
    source  who moves: a capture, or where the avatar is drawn out of keypoints those of a film
    looks   whose looks an avatar takes that looks at pictures: a capture's folder, CAPTURE:CAMERA:FRAME, or a
            picture of one person; None for its own person's
    view    "orbit", "turn", or a camera: of the avatar's own capture, or where the motion is joints alone of
            the motion's; None for the first
    overview  show what happens on the way, or these of `layers.STEPS`
    align   how keypoints become the person's own: one of `alignment.HOW`, None for its first
    smooth  sigma in frames by which keypoints are smoothed over time, None for `alignment.SMOOTH`
    fit     fit the person's body to keypoints and draw that, where there is one

    Raises ValueError where there is no motion in the source, or no picture in looks.
    """
    size = size or run.config.size
    check_shown(out, background, overview)
    avatar, person = run.avatar(), run.capture()
    if looks is not None:
        person = look_like(avatar, str(looks), person)
    asked = align is not None or smooth is not None
    if "keypoints" in avatar.needs and (asked or not _have_bodies(source, person)):
        _check_view(view, list(person.cameras))
        view = view or first_trained(run, person)
        many, scenes, beside = staged_keypoints(run, avatar, source, view, size, VIDEO_FPS, align or HOW[0],
                                                SMOOTH if smooth is None else smooth, _film(source), fit)
        own = Own(avatar, person, view)
        if background is None and own.known:  # who stays before their own camera stands where it saw them
            background = OWN
        write_scenes(out, avatar, scenes, many, size, background, overview, beside, own)
        return
    _check_source(source, asked, avatar)
    if "keypoints" in avatar.needs:
        print("Both have a body, which moves the person in space; --align scale or limbs takes the film's "
              "keypoints instead.")
    if _have_bodies(source, person):
        check_surface(person, avatar.surface)
        motion, known = read_motion(source.path), list(person.cameras)
        view = _view(view, person)
        many, scenes = staged_motion(person, motion, view, known[0], size)
        stage = person
    else:
        view = _view(view, source)
        many, scenes = staged_joints(avatar, source, view, size)
        stage = source
    own = Own(avatar, stage, view) if view in stage.cameras else None
    write_scenes(out, avatar, scenes, many, size, background, overview, Film(source), own)


def _have_bodies(source: Capture | FlatMotion, person: Capture) -> bool:
    return isinstance(source, Capture) and source.poses is not None and person.poses is not None


def _film(source: Capture | FlatMotion) -> Callable | None:
    """What the camera whose keypoints drive took at a frame number, where there are pictures."""
    if isinstance(source, FlatMotion) or not source.keypoints:
        return None
    return Film(source, best_camera(source)).at


def _check_source(source: Capture | FlatMotion, asked: bool, avatar: Avatar) -> None:
    """Raise ValueError for what is of keypoints alone, where an avatar isn't moved by them."""
    if asked:
        raise ValueError(f"--align and --smooth are of keypoints; a {avatar.config.system} avatar is moved "
                         "by a body or by joints in space. Leave them out.")
    if isinstance(source, FlatMotion):
        raise ValueError(f"{source.source} has keypoints alone, and a {avatar.config.system} avatar isn't "
                         "moved by them. Prepare the film that they are of, and fit or lift it: python -m "
                         "anr_core prepare SOURCE CAPTURE")


def _view(view: str | None, capture: Capture) -> str:
    """A view that there is."""
    known = ["orbit", "turn", *capture.cameras]
    _check_view(view, known)
    return view or known[2]


def _check_view(view: str | None, known: list[str]) -> None:
    if view is not None and view not in known:
        raise ValueError(f"There is no view {view!r}; use one of {listed(known)}.")


def staged_joints(avatar: Avatar, source: Capture, view: str, size: int) -> tuple[int, Iterator[Scene]]:
    """How many pictures a video has of the joints that a capture holds, and its scenes, without meshes."""
    if "joints" not in avatar.needs:
        raise ValueError(f"A {avatar.config.system} avatar draws a body, and {source.path} has none that "
                         f"moves it. Fit one: python -m anr_core fit {source.path}")
    if source.joints is None:
        raise ValueError(f"{source.path} tells no joints in space. Lift its keypoints: "
                         f"python -m anr_core lift {source.path}")
    frames = sorted(source.joints.points)
    joints = torch.stack([source.joints.points[frame] for frame in frames])
    joints = without_gaps(as_skeleton(joints, skeleton_named(source.joints.skeleton), avatar.skeleton))
    joints = with_bones(joints, avatar.skeleton, avatar.lengths.cpu())
    # what a camera frames are the joints and what is around them: as vertices of a mesh without faces
    around = AROUND * torch.cat([torch.zeros(1, 3), torch.eye(3), -torch.eye(3)])
    known = joints[..., 3:] > 0
    points = torch.where(known, joints[..., :3], _middle(joints))
    corners = (points[:, None] + around[:, None]).flatten(1, 2)
    none = torch.zeros(1, 3, dtype=torch.long)
    body = TrackedBody(frames, corners, Surface(none, torch.zeros(1, 2), none, none[:, 0]), interpolate=True)
    seconds = (frames[-1] - frames[0]) / source.fps
    rounds = 1 if seconds == 0 else max(1, round((0 if view in source.cameras else ROUND_SECONDS) / seconds))
    once = torch.linspace(frames[0], frames[-1], picture_count(seconds, VIDEO_FPS), dtype=torch.float64)
    poses = [Pose.of_frame(moment[None]) for moment in once.repeat(rounds)]
    if view in source.cameras:
        scenes = watching(body, poses, source.cameras[view], view, size)
    else:
        stage = circling if view == "orbit" else turning
        scenes = stage(body, poses, next(iter(source.cameras.values())), source.up, size, VIDEO_FPS,
                       loops=False)
    always = known.float().amin(0)[None]
    return len(poses), (_of_joints(scene, always) for scene in scenes)


def _middle(joints):
    """(n, 1, 3) the middle of those that are known."""
    weight = (joints[..., 3:] > 0).to(joints)
    return (weight * joints[..., :3]).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)


def _of_joints(scene, confidence):
    points = scene.posed.vertices[:, :confidence.shape[1]]
    return replace(scene, posed=None, camera_name=None,
                   joints=torch.cat([points, confidence.expand(len(points), -1, -1)], -1))


class Film:
    """What the motion's film shows at each picture of a video: the whole person, through one camera.

    camera  that with the most pictures if none is named
    """

    def __init__(self, source: Capture, camera: str | None = None):
        self.source = source
        camera = camera or max(source.cameras,
                               key=lambda name: sum(shot.camera == name for shot in source.shots))
        self.shots = sorted((shot for shot in source.shots if shot.camera == camera),
                            key=lambda shot: shot.frame)
        self.frames = [shot.frame for shot in self.shots]

    def __call__(self, place: int, scene: Scene) -> dict[str, torch.Tensor]:
        """The picture (1, 3, H, W) of the moment that a video's picture `place` plays, in rounds."""
        lasts = max(self.frames[-1] - self.frames[0], 1)
        moment = self.frames[0] + place / VIDEO_FPS * self.source.fps % lasts
        return {"motion": self.at(moment, scene.size)}

    def at(self, moment: float, size: tuple[int, int]) -> torch.Tensor:
        """The picture (1, 3, H, W) that was taken nearest to a frame number, as a square of max(size)."""
        shot = min(self.shots, key=lambda shot: abs(shot.frame - moment))
        view = replace(self.source, shots=[shot]).views()[0]
        side = max(view.size)
        window = resample(view, torch.tensor([view.size[::-1]]) / 2, torch.tensor([float(side)]),
                          torch.zeros(1), max(size))
        return window.image
