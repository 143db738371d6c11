"""What a page plays: the poses of the run's own capture, or a motion's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from anr_core.avatars.base import Avatar
from anr_core.avatars.run import Run
from anr_core.body import Body, Pose, TrackedBody
from anr_core.export.staging import placed, playable
from anr_core.motion import read_motion, retarget

FPS = 25.0  # of a motion's poses: the page turns joints evenly between two of them
LONGEST = 60.0  # seconds that are kept


@dataclass(frozen=True)
class Played:
    """Poses one after the other.

    times           (m,) seconds of each
    there_and_back  they are played backwards in turn; else in rounds
    """

    body: Body
    poses: Pose
    times: torch.Tensor
    there_and_back: bool
    name: str

    @property
    def fps(self) -> float:
        """Poses a second, about."""
        return (len(self.times) - 1) / float(self.times[-1] - self.times[0]) if len(self.times) > 1 else 0.0


def recorded(run: Run, avatar: Avatar) -> Played:
    """The poses of the run's capture; where that is gone, how the body stands by itself."""
    try:
        capture = run.capture()
    except FileNotFoundError:
        return Played(avatar.body, avatar.body.rest_pose(), torch.zeros(1), True, "no motion")
    body, poses = playable(capture)
    if not isinstance(body, TrackedBody):
        body = avatar.body
    times = (poses.frame - poses.frame[0]).double() / capture.fps
    return Played(body, *_kept(poses, times), True, "the film's own poses")


def moved(run: Run, avatar: Avatar, motion: str | Path, up: str | None) -> Played:
    """A motion's poses on the run's person, who begins where their own film has them stand."""
    start = recorded(run, avatar).poses[:1]
    poses = retarget(read_motion(motion), avatar.body, FPS, loop=1, up=up, world_up=avatar.up)
    poses = placed(avatar.body, poses, start, avatar.up)
    times = torch.arange(len(poses)).double() / FPS
    return Played(avatar.body, *_kept(poses, times), False, Path(motion).name)


def thinned(played: Played, most: int) -> Played:
    """At the most so many of the poses, evenly: for a page that keeps a mesh of each."""
    rows = torch.linspace(0, len(played.times) - 1, min(most, len(played.times))).round().long()
    return replace(played, poses=played.poses[rows], times=played.times[rows])


def _kept(poses, times):
    rows = times <= LONGEST
    return poses[rows], times[rows]
