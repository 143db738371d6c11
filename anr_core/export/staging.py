"""Who stands where in a video: poses played in a loop or once, seen by a camera that circles or rests.

Each way of looking yields scenes of one picture. `m` counts pictures; poses are batches of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import roma
import torch
from torch.nn import functional

from anr_core.avatars.base import Scene
from anr_core.body import Body, Pose, Posed, TrackedBody
from anr_core.camera import Camera, look_at
from anr_core.capture import Capture
from anr_core.capture.window import BODY_MARGIN
from anr_core.motion import Motion, retarget
from anr_core.motion.puppet import at_rest

FIELD_OF_VIEW = 0.5  # radians: a portrait lens, which neither bloats nor flattens
ELEVATION = 0.15     # radians above the horizon, about a standing photographer's
SMOOTHING = 1.0      # seconds over which a camera follows the person: steps don't shake it
MOST_PICTURES = 10**6  # of a video: eleven hours


def picture_count(seconds: float, video_fps: float) -> int:
    """How many pictures a video of so many seconds has, one at least; raises ValueError for too many."""
    if not seconds * video_fps < MOST_PICTURES:
        raise ValueError(f"The video would last {seconds:.3g} s: its frames are numbered far apart, or are "
                         "few a second. Choose some with --frames.")
    return max(1, round(seconds * video_fps))


def there_and_back(first: float, last: float, fps: float, video_fps: float, least: float) -> torch.Tensor:
    """Frame numbers (m,) float64 that play first to last and back, in whole loops of `least` seconds or more.

    Where first and last are one frame it is held.
    """
    seconds = 2 * (last - first) / fps
    loops = max(1, math.ceil(least / seconds - 1e-9)) if seconds else 0
    place = torch.arange(picture_count(loops * seconds or least, video_fps)) / video_fps
    if not seconds:
        return torch.full_like(place, first, dtype=torch.float64)
    phase = place.double() / seconds % 1
    return first + (last - first) * (1 - (2 * phase - 1).abs())


def playable(capture: Capture, camera: str | None = None,
             frames: Iterable[int] | None = None) -> tuple[Body, Pose]:
    """The poses to play, between which the body takes others: those of some frames, or of what a camera saw.

    Where no two pictures share a camera or a frame there is no motion, only one pose seen from around; its
    first frame is all that is played.
    """
    shots = [shot for shot in capture.shots if camera in (None, shot.camera)]
    around = all(len({getattr(shot, name) for shot in capture.shots}) == len(capture.shots)
                 for name in ("camera", "frame"))
    wanted = sorted({shot.frame for shot in shots} if frames is None else set(frames))
    rows = torch.isin(capture.recording.frame, torch.tensor(wanted[:1] if around else wanted))
    body = capture.body
    if isinstance(body, TrackedBody):
        body = TrackedBody(body.frames[rows], body.vertices[rows], body.surface, interpolate=True)
    return body, capture.recording[rows]


def driven(body: Body, motion: Motion, like: Pose, up: torch.Tensor, video_fps: float, least: float,
           motion_up: str | None = None) -> Pose:
    """The poses of a motion for a video of `least` seconds or more: a shorter one is played in rounds.

    like       a pose (a batch of one) of the same body: where the motion begins, and where its person looks
    motion_up  `retarget`'s up
    """
    rounds = math.ceil(least / motion.seconds) if 0 < motion.seconds < least else 0
    return placed(body, retarget(motion, body, video_fps, loop=rounds, up=motion_up, world_up=up), like, up)


def placed(body: Body, poses: Pose, like: Pose, up: torch.Tensor) -> Pose:
    """Poses on a floor at height 0, moved to begin where another pose (a batch of one) stands and looks."""
    there, here = body(like), body(poses[:1])
    sides = [body.skeleton.names.index(f"{side}_hip") for side in ("left", "right")]
    lefts = [functional.normalize(left - left @ up * up, dim=0)
             for left in (posed.joints[0, sides[0]] - posed.joints[0, sides[1]] for posed in (here, there))]
    angle = torch.atan2(torch.linalg.cross(*lefts) @ up, lefts[0] @ lefts[1])
    turn = roma.rotvec_to_rotmat(angle * up)
    resting, floor = at_rest(body).joints[0, 0], (there.vertices[0] @ up).min()
    foot = there.joints[0, 0] + (floor - there.joints[0, 0] @ up) * up  # below the pelvis
    start = here.joints[0, 0] - here.joints[0, 0] @ up * up
    return replace(poses, root_rotation=roma.rotvec_composition(((angle * up).expand(len(poses), 3),
                                                                 poses.root_rotation)),
                   root_translation=(poses.root_translation + resting - start) @ turn.T + foot - resting)


def circling(body: Body, poses: list[Pose], start: Camera, up: torch.Tensor, size: int,
             video_fps: float, loops: bool = True) -> Iterator[Scene]:
    """The camera goes round the person once, from where `start` stands, as near as shows the whole person."""
    centres = followed(body, poses, video_fps, loops)
    radius = max(float((body(pose).vertices - centre).norm(dim=-1).max())
                 for pose, centre in zip(poses, centres, strict=True))
    distance = BODY_MARGIN * radius / math.sin(FIELD_OF_VIEW / 2)
    outward = start.center[0] - centres[0]
    outward = functional.normalize(outward - outward @ up * up, dim=0)
    outward = math.cos(ELEVATION) * (rounds(up, len(poses)) @ outward) + math.sin(ELEVATION) * up
    focal = size / 2 / math.tan(FIELD_OF_VIEW / 2)
    K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    cameras = look_at(centres + distance * outward, centres, up, K.repeat(len(poses), 1, 1), (size, size))
    for index, pose in enumerate(poses):
        yield Scene(body(pose), cameras[index], (size, size))


def turning(body: Body, poses: list[Pose], camera: Camera, up: torch.Tensor, size: int,
            video_fps: float, loops: bool = True) -> Iterator[Scene]:
    """The person turns once about the upright axis, on one spot, before a camera that rests."""
    centres = followed(body, poses, video_fps, loops)
    turns = rounds(up, len(poses))

    def mesh(index):
        posed = body(poses[index])
        # where they begin, which a camera of the capture sees: who walks on would leave its sight
        return replace(posed, vertices=(posed.vertices - centres[index]) @ turns[index].T + centres[0])

    return resting(mesh, len(poses), camera, size)


def watching(body: Body, poses: list[Pose], camera: Camera, name: str, size: int) -> Iterator[Scene]:
    """What a camera of the capture saw, with the exposure that it was trained with."""
    return resting(lambda index: body(poses[index]), len(poses), camera, size, name)


def going_along(body: Body, poses: list[Pose], camera: Camera, name: str, up: torch.Tensor, size: int,
                video_fps: float) -> Iterator[Scene]:
    """A camera of the capture goes along with the person, who walks on one spot before it."""
    away = followed(body, poses, video_fps, loops=False)
    away = away - away[0]
    away = away - (away @ up)[:, None] * up

    def mesh(index):
        posed = body(poses[index])
        return replace(posed, vertices=posed.vertices - away[index])

    return resting(mesh, len(poses), camera, size, name)


def resting(mesh: Callable[[int], Posed], count: int, camera: Camera, size: int,
            name: str | None = None) -> Iterator[Scene]:
    """Meshes 0 to count - 1 through one square window of a camera that holds them all."""
    low, high = reach(mesh, count, camera)
    side = BODY_MARGIN * (high - low).max()
    corner = (low + high - side) / 2
    window = camera.crop(*corner, side, side).resize((size, size))
    for index in range(count):
        yield Scene(mesh(index), window, (size, size), camera_name=[name])


def reach(mesh: Callable[[int], Posed], count: int, camera: Camera) -> tuple[torch.Tensor, torch.Tensor]:
    """The least and the largest x and y (2,) that a camera sees of meshes 0 to count - 1, pixels."""
    corners = []
    for index in range(count):
        pixels, depth = camera.project(mesh(index).vertices)
        corners += pixels[depth > 0].aminmax(dim=0)
    return torch.stack(corners).aminmax(dim=0)


def rounds(up: torch.Tensor, count: int) -> torch.Tensor:
    """(m, 3, 3) rotations about the unit vector up (3,), evenly over one full turn."""
    angles = 2 * math.pi * torch.arange(count)[:, None] / count
    return roma.rotvec_to_rotmat(angles * up)


def followed(body: Body, poses: list[Pose], video_fps: float, loops: bool = True) -> torch.Tensor:
    """(m, 3) the middle of the person while the poses play, in a loop or once, smoothed over time."""
    boxes = [torch.stack(body(pose).vertices[0].aminmax(dim=0)) for pose in poses]
    middles = torch.stack(boxes).mean(1)
    reach = min(round(SMOOTHING * video_fps / 2), (len(poses) - 1) // 2)
    before, after = middles[len(middles) - reach:], middles[:reach]
    if not loops and reach:  # who walks goes on walking
        before = 2 * middles[:1] - middles[1:reach + 1].flip(0)
        after = 2 * middles[-1:] - middles[-reach - 1:-1].flip(0)
    looped = torch.cat([before, middles, after])
    return looped.unfold(0, 2 * reach + 1, 1).mean(-1)
