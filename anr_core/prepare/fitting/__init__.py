"""A body fitted to what was seen of a person: keypoints in pictures, outlines of masks, one camera or many.

    fit = fit_person(seen, up)     shape, a pose a frame, cameras, and how well they agree with what was seen
    poses = fit_poses(seen, up, puppet_of(body))     of somebody whose shape is known

The body is Anny, or one of SMPL's family. One shape is shared by all frames. Each frame is first fitted from
several sides and the likeliest sequence chosen (initialisation); then all frames move together (optimisation)
until what was seen (observations, silhouette), what people do (prior) and how they move (energy) agree best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from anr_core.body import Body, Pose
from anr_core.body.anny import AnnyBody, Shape
from anr_core.body.smpl import VERTICES, SmplBody
from anr_core.camera import Camera
from anr_core.prepare.fitting.energy import Rig
from anr_core.prepare.fitting.initialisation import first_motion
from anr_core.prepare.fitting.observations import Observations
from anr_core.prepare.fitting.optimisation import MOTION, refined
from anr_core.prepare.fitting.puppet import Motion, Puppet, keypoints_of
from anr_core.prepare.fitting.report import Report, keypoint_distances, report_of
from anr_core.prepare.fitting.smpl_puppet import SmplPuppet
from anr_core.prepare.fitting.swaps import doubled, unswapped
from anr_core.threads import running_on

# Frames that are fitted together, and how many of them overlap with those before.
TOGETHER, OVERLAP = 160, 8

# With keypoints alone, then with outlines too; and once more with the keypoints that had been left out.
KEYPOINT_STEPS, OUTLINE_STEPS, LAST_STEPS = 300, 240, 120

PLACES = 40  # frames whose keypoints stay in place while cameras are corrected


@dataclass(frozen=True)
class Fit:
    """A person in F frames.

    shape    what the puppet makes the person from
    pose     knows its frames
    cameras  C, corrected where that was asked for
    """

    shape: Shape | torch.Tensor
    pose: Pose
    cameras: Camera
    report: Report


@running_on(1)  # a second thread, which many small steps wait for, makes six frames take twice as long
def fit_person(seen: Observations, up: torch.Tensor, focal: bool = False, extrinsics: bool = False,
               puppet: Puppet | SmplPuppet | None = None) -> Fit:
    """Fit a body to what was seen.

    up          (3,) the world's unit vector against gravity
    focal       the cameras' focal lengths are guesses, and found along
    extrinsics  the cameras' places are a little off, and corrected along
    puppet      moves the body; Anny's if not given

    Every fifth keypoint is left out at first to measure by, and taken in at the end.
    Raises ValueError where no frame shows enough of a person.
    """
    puppet = puppet or Puppet(seen.openpose)
    cameras = (("focal",) if focal else ()) + (("turns", "shifts") if extrinsics else ())
    seen, swapped = unswapped(seen)
    twice = doubled(seen)
    believed = seen.without(twice)
    some = believed.without_left_out()
    motion, linked = first_motion(some, puppet, up)
    rig = Rig.of(seen.cameras, _places(puppet, motion) if extrinsics else None)
    motion, rig = _fitted(puppet, some, motion, linked, rig, cameras, (KEYPOINT_STEPS, OUTLINE_STEPS))
    before = keypoint_distances(puppet, seen, motion, rig.cameras(seen.cameras))
    motion, rig = _fitted(puppet, believed, motion, linked, rig, cameras, (0, LAST_STEPS))
    corrected = rig.cameras(seen.cameras)
    report = report_of(puppet, seen, motion, corrected, before, swapped, twice)
    return Fit(puppet.shape(motion.build), puppet.pose(motion, seen.frames), corrected, report)


def puppet_of(person: Body, openpose: bool = True) -> Puppet | SmplPuppet | None:
    """What moves somebody whose shape is known; None for a body that keypoints don't tell the pose of."""
    if isinstance(person, AnnyBody):
        return Puppet(openpose, person)
    if isinstance(person, SmplBody) and person.model_type in VERTICES:
        return SmplPuppet(person.model_type, openpose, person)
    return None


@running_on(1)
def fit_poses(seen: Observations, up: torch.Tensor, puppet: Puppet | SmplPuppet) -> Pose:
    """Poses (F) of a puppet's person, of keypoints that somebody made this person's: in their pictures.

    seen  through cameras that are known
    up    (3,) the world's unit vector against gravity

    Raises ValueError where no frame shows enough of a person.
    """
    seen, _ = unswapped(seen)
    believed = seen.without(doubled(seen))
    motion, linked = first_motion(believed, puppet, up)
    motion, _ = _in_parts(puppet, believed, motion, linked, Rig.of(seen.cameras),
                          (KEYPOINT_STEPS, OUTLINE_STEPS))
    return puppet.pose(motion, seen.frames)


def _places(puppet, motion):
    """(P, 3) where the person's keypoints are, in some of the frames."""
    motion = motion[torch.linspace(0, len(motion) - 1, min(len(motion), PLACES)).round().long()]
    return keypoints_of(puppet, motion).flatten(0, 1)


def _fitted(puppet, seen, motion, linked, rig, cameras, steps):
    """Shape and cameras from as many frames as fit together, spread evenly; then all frames, part by part."""
    count = len(motion)
    spread = torch.linspace(0, count - 1, min(count, TOGETHER)).round().long()
    among = torch.ones(len(spread) - 1)
    for row, (one, other) in enumerate(zip(spread, spread[1:], strict=False)):
        among[row] = linked[one:other].prod()
    chosen, rig = _in_two(puppet, seen.at(spread), motion[spread], among, rig, (*MOTION, "build", *cameras),
                          steps)
    if count <= TOGETHER:
        return chosen, rig
    return _in_parts(puppet, seen, replace(motion, build=chosen.build), linked, rig, steps)


def _in_parts(puppet, seen, motion, linked, rig, steps):
    """All frames, part by part, by a shape and cameras that stay."""
    parts = []
    for start, stop, first, last in windows(len(motion)):
        rows = torch.arange(start, stop)
        part, _ = _in_two(puppet, seen.at(rows), motion[rows], linked[start:stop - 1], rig, MOTION, steps)
        parts.append(part[first - start:last - start])
    return Motion.cat(parts), rig


def windows(count: int) -> list[tuple[int, int, int, int]]:
    """Frames (start, stop) that are fitted together, and of them those (first, last) that are kept."""
    found = []
    for start in range(0, max(count - OVERLAP, 1), TOGETHER - OVERLAP):
        stop = min(start + TOGETHER, count)
        found.append((start, stop, start + OVERLAP // 2 if start else 0,
                      count if stop == count else stop - OVERLAP // 2))
    return found


def _in_two(puppet, seen, motion, linked, rig, free, steps):
    motion, rig = refined(puppet, seen, motion, linked, rig, free, steps[0], outlines=False)
    masks = any(outline is not None for outline in seen.outlines)
    return refined(puppet, seen, motion, linked, rig, free, steps[1], masks, near=True)
