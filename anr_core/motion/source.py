"""The motion's own skeleton, in the body's axes and of its size: what retargeting looks at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from anr_core.motion.anatomy import SIDES, Anatomy, check_sides
from anr_core.motion.feet import standing
from anr_core.motion.limbs import rotation_nearest, swing, unit
from anr_core.motion.puppet import Puppet
from anr_core.motion.record import Motion
from anr_core.motion.timing import blurred, smoothed

Z = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


@dataclass(frozen=True)
class Source:
    """A motion in canonical axes, as large as the puppet.

    turns   (T, J, 3, 3)  from the joints' own axes
    places  (T, J, 3)     metres; the floor at zero
    rest    (J, 3)        of the rest pose, canonical too; None where it is no person's
    axes    (3, 3)        the file's rest axes (`Anatomy.rest_axes`), or None
    stands  (T, 2)        whether each foot stands
    levels  (2,)          how much higher each ankle is meant to be
    """

    anatomy: Anatomy
    turns: torch.Tensor
    places: torch.Tensor
    rest: torch.Tensor | None
    axes: torch.Tensor | None
    stands: torch.Tensor
    levels: torch.Tensor

    def turn(self, name: str) -> torch.Tensor:
        """(n, 3, 3) how a joint is turned in each frame, world from joint."""
        return self.turns[:, self.anatomy.joints[name]]

    def place(self, name: str) -> torch.Tensor:
        """(n, 3) where a joint is in each frame."""
        return self.places[:, self.anatomy.joints[name]]

    def bone(self, start: str, end: str) -> torch.Tensor:
        """(T, 3) unit vectors from one joint to another."""
        return unit(self.place(end) - self.place(start))

    def rest_bone(self, start: str, end: str) -> torch.Tensor:
        """(3,) the unit direction from one joint to another in the rest pose."""
        joints = self.anatomy.joints
        return unit(self.rest[joints[end]] - self.rest[joints[start]])


def source_of(motion: Motion, anatomy: Anatomy, upright: torch.Tensor, puppet: Puppet,
              smooth: float = 0.0) -> Source:
    """The motion in canonical axes, as large as the puppet, its floor at zero and its first hips above 0."""
    turns, places = motion.placed()
    check_sides(anatomy, places, upright)
    canonical = swing(upright, Z)
    places, turns = places @ canonical.T, canonical @ turns
    at = anatomy.joints
    length = 0.0
    for side in SIDES:
        for one, other in (("hip", "knee"), ("knee", "ankle")):
            bone = places[:, at[f"{side}_{one}"]] - places[:, at[f"{side}_{other}"]]
            length += float(bone.norm(dim=-1).median())
    if length <= 0:
        raise ValueError("The motion's legs have no length. Export it again.")
    scale = sum(sum(puppet.leg(side)) for side in SIDES) / length
    shift = -scale * (places[0, at["left_hip"]] + places[0, at["right_hip"]]) / 2
    shift[2] = 0
    places = places * scale + shift
    ankles = torch.stack([places[:, at[f"{side}_ankle"]] for side in SIDES], 1)
    toes = torch.stack([places[:, at.get(f"{side}_toe", at[f"{side}_ankle"])] for side in SIDES], 1)
    stands, levels = standing(ankles, toes, motion.fps)
    own = -puppet.soles[..., 2].amin(1)  # the puppet's ankles' height while they stand
    shift[2] = (own - levels).mean()
    places[..., 2] += shift[2]
    if smooth:
        calm = smoothed(motion, smooth).placed()
        calm = canonical @ calm[0], calm[1] @ canonical.T * scale + shift
        turns, places = standing_kept((turns, places), calm, stands, anatomy, smooth, motion.fps)
    rest = None if anatomy.rest_axes is None else motion.resting() @ anatomy.rest_axes
    return Source(anatomy, turns, places, rest, anatomy.rest_axes, stands,
                  (own - levels) - (own - levels).mean())


def standing_kept(rough, calm, stands: torch.Tensor, anatomy: Anatomy, smooth: float, fps: float):
    """Turns (T, J, 3, 3) and places (T, J, 3) of a smoothed motion whose feet stand as in the rough one."""
    turns, places = calm[0].clone(), calm[1].clone()
    for foot, side in enumerate(SIDES):
        rows = stands[:, foot].to(places)
        around = max(1, round(2 * smooth * fps))
        rows = functional.max_pool1d(rows[None, None], 2 * around + 1, 1, around)[0, 0]
        share = blurred(rows, smooth * fps / 1.5).clamp(0, 1)[:, None]
        for name in (f"{side}_ankle", f"{side}_toe"):
            if anatomy.has(name):
                joint = anatomy.joints[name]
                places[:, joint] = torch.lerp(calm[1][:, joint], rough[1][:, joint], share)
                mixed = torch.lerp(calm[0][:, joint], rough[0][:, joint], share[..., None])
                turns[:, joint] = rotation_nearest(mixed)
    return turns, places
