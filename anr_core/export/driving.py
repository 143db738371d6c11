"""A driving video's keypoints onto an avatar that is drawn out of keypoints: scenes, and what stands beside.

Such an avatar knows its person through the cameras that filmed them, so the driven one stands in the picture
of one of these, and what is drawn is a square window of it. Where that person has a body and the avatar
draws bodies, theirs is fitted to the keypoints that have become theirs: its mesh says where on its parts a
pixel is, which keypoints alone say badly of poses that were never filmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from anr_core.avatars import Avatar, Scene
from anr_core.avatars.run import Run
from anr_core.body import Pose
from anr_core.camera import Camera
from anr_core.capture import Capture
from anr_core.capture.keypoints import SURE
from anr_core.export.staging import picture_count, reach
from anr_core.layers.given import bones_picture
from anr_core.motion.alignment import SMOOTH, aligned
from anr_core.motion.keypoints import FlatMotion, flat_motion
from anr_core.prepare.fitting import fit_poses, puppet_of
from anr_core.prepare.fitting.observations import Observations, by_name
from anr_core.skeleton import Skeleton

Film = Callable[[float, tuple[int, int]], torch.Tensor]  # (1, 3, H, W) of a frame number, and a size (H, W)

# Of how high a person's keypoints reach, what is there beyond them: above the face, and around all others.
ABOVE, AROUND = 0.14, 0.04
EDGE = 0.02  # and what is around a body that is drawn
MOST = 1.5  # of the picture's longer side, for a window: what is farther out is left there


def driven(run: Run, avatar: Avatar, source: Capture | FlatMotion, camera: str | None, how: str, smooth: float
           ) -> tuple[str, FlatMotion, FlatMotion]:
    """The camera before which the run's person is driven, the driving motion, and it as that person's.

    how, smooth  of `aligned`
    """
    person = run.capture()
    camera = camera or first_trained(run, person)
    trained = {frame for name, frame in run.trained if name == camera} or None
    target = flat_motion(person, camera, trained)
    skeleton = getattr(avatar, "skeleton", None)
    if isinstance(skeleton, Skeleton):
        target = target.of_skeleton(skeleton)
    motion = flat_motion(source) if isinstance(source, Capture) else source
    return camera, motion, aligned(motion, target, how, smooth)


def first_trained(run: Run, person: Capture) -> str:
    """The first camera of a capture that a run was trained on."""
    return next(name for name, _ in run.trained if name in person.cameras)


def staged_keypoints(run: Run, avatar: Avatar, source: Capture | FlatMotion, camera: str | None, size: int,
                     fps: float, how: str = "limbs", smooth: float = SMOOTH, film: Film | None = None,
                     fit: bool = True) -> tuple[int, Iterator[Scene], Beside]:
    """How many pictures a video of a driving motion has, its scenes, and what an overview shows beside each.

    camera  of the run's capture; None for the first that it was trained on
    fps     pictures a second of the video
    film    what the motion's camera took at a frame number; None where nobody has it
    fit     fit the person's body, if they have one that the avatar draws: 0.3 s a picture
    """
    camera, motion, mine = driven(run, avatar, source, camera, how, smooth)
    moments = torch.linspace(float(motion.frames[0]), float(motion.frames[-1]),
                             picture_count(motion.seconds, fps), dtype=torch.float64)
    person, points = run.capture(), mine.at(moments).points
    whole = person.cameras[camera]
    poses = fitted(person, points, mine.skeleton, whole, fps) if fit and avatar.knows_bodies else None

    def posed(row):
        return person.body(poses[row:row + 1])

    far = None if poses is None else reach(posed, len(poses), whole)
    corner, side = window(mine, whole.size, far)
    seen = whole.crop(*corner, side, side).resize((size, size))
    points = (points - torch.cat([corner, torch.zeros(1)])) * torch.tensor([size / side, size / side, 1.0])
    scenes = (Scene(None if poses is None else posed(row), seen, (size, size), keypoints=points[row:row + 1],
                    camera_name=[camera]) for row in range(len(points)))
    return len(points), scenes, Beside(motion, moments, mine.skeleton, film)


def fitted(person: Capture, points: torch.Tensor, skeleton: Skeleton, camera: Camera, fps: float
           ) -> Pose | None:
    """Poses (m) of a capture's person, whose keypoints (m, K, 3) a camera would see; None without a body that
    has poses.

    fps  pictures a second
    """
    puppet = None if person.registration is None else \
        puppet_of(person.body, openpose="middle_hip" in skeleton.names)
    if puppet is None:
        return None
    count = len(points)
    print(f"Fitting the person's body to {count} pictures' keypoints.")
    places, belief = by_name(points, skeleton.names)
    rows = torch.arange(count)
    return fit_poses(Observations(camera, torch.zeros_like(rows), rows, rows, fps, places, belief,
                                  [None] * count, "middle_hip" in skeleton.names), person.up, puppet)


def window(motion: FlatMotion, size: tuple[int, int] | None,
           far: tuple[torch.Tensor, torch.Tensor] | None = None) -> tuple[torch.Tensor, float]:
    """The corner (2,), x and y, and the side of a square that holds a person in all frames, pixels.

    size  (H, W) of the picture, if it is known; where there is room the square lies in it
    far   the least and the largest x and y (2,) of what is drawn, if somebody knows
    """
    points, sure = motion.points[..., :2], motion.points[..., 2] > SURE
    tall = float((points[..., 1].masked_fill(~sure, -torch.inf).amax(1)
                  - points[..., 1].masked_fill(~sure, torch.inf).amin(1)).clamp(min=0).median())
    face = torch.tensor([not {"nose", "eye", "ear"}.isdisjoint(name.split("_"))
                         for name in motion.skeleton.names])
    above = torch.stack([torch.full(face.shape, AROUND * tall), torch.where(face, ABOVE, AROUND) * tall], -1)
    low = (points - above)[sure].amin(0)
    high = (points + AROUND * tall)[sure].amax(0)
    if far is not None:
        low, high = low.minimum(far[0] - EDGE * tall), high.maximum(far[1] + EDGE * tall)
    side = float((high - low).max())
    if size is None:
        return (low + high - side) / 2, side
    side = min(side, MOST * max(size))
    corner = (low + high - side) / 2
    inside = torch.tensor(size[::-1]) - side  # where the corner may be at the most
    corner = torch.where(inside >= 0, corner.clamp(min=0).minimum(inside), inside / 2)
    # the person before the picture, whose edge they may cross
    return corner.minimum(low).maximum(high - side), side


class Beside:
    """What an overview shows beside a driven avatar: who drives it, and the pose that is drawn, as bones."""

    def __init__(self, motion: FlatMotion, moments: torch.Tensor, skeleton: Skeleton, film: Film | None):
        self.motion, self.moments, self.skeleton, self.film = motion.at(moments), moments, skeleton, film
        self.corner, self.side = window(motion, motion.size)

    def __call__(self, place: int, scene: Scene) -> dict[str, torch.Tensor]:
        mine = bones_picture(scene.keypoints[0], self.skeleton, scene.size)
        if self.film is not None:
            return {"motion": self.film(float(self.moments[place]), scene.size), "skeleton": mine}
        driving = self.motion.points[place].clone()
        driving[:, :2] = (driving[:, :2] - self.corner) * max(scene.size) / self.side
        return {"motion": bones_picture(driving, self.motion.skeleton, scene.size), "skeleton": mine}
