"""What a retargeted motion is judged by: feet that slide, limbs that point elsewhere, joints that break."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch

from anr_core.body import Body, Pose
from anr_core.motion import Motion, retarget
from anr_core.motion.anatomy import anatomy_of, upward
from anr_core.motion.puppet import puppet_of
from anr_core.motion.source import Source, source_of
from anr_core.skeleton import anny_limits

STILL = 0.05  # metres a second
BONES = {"thigh": ("hip", "knee"), "shin": ("knee", "ankle"), "upper arm": ("shoulder", "elbow"),
         "forearm": ("elbow", "wrist")}


@dataclass(frozen=True)
class Played:
    """A motion, and what became of it on a body: joints (T, J, 3), the lowest vertex (T,)."""

    body: Body
    source: Source
    poses: Pose
    joints: torch.Tensor
    lowest: torch.Tensor
    fps: float

    def joint(self, name: str) -> torch.Tensor:
        """(T, 3); "left_toe" is the middle of the toes."""
        names = self.body.skeleton.names
        if not name.endswith("_toe"):
            return self.joints[:, names.index(name)]
        side = name.split("_")[0]
        toes = [index for index, toe in enumerate(names)
                if toe == f"{side}_foot" or toe.startswith(side) and toe.endswith("toe1")]
        return self.joints[:, toes].mean(1)

    def apart(self, bone: str) -> torch.Tensor:
        """(2 T,) degrees between where a bone points here and in the source."""
        found = []
        for side in ("left", "right"):
            start, end = (f"{side}_{joint}" for joint in BONES[bone])
            own = torch.nn.functional.normalize(self.joint(end) - self.joint(start), dim=-1)
            cosine = (own * self.source.bone(start, end)).sum(-1).clamp(-1, 1)
            found.append(torch.rad2deg(torch.acos(cosine)))
        return torch.cat(found)

    def slides(self) -> list[tuple[float, float]]:
        """Metres that ankles and toes move here, and in the source, while they stand still there."""
        found = []
        for side in ("left", "right"):
            for joint in ("ankle", "toe"):
                if not self.source.anatomy.has(f"{side}_{joint}"):
                    continue
                there, here = self.source.place(f"{side}_{joint}"), self.joint(f"{side}_{joint}")
                speed = there.diff(dim=0).norm(dim=1) * self.fps
                still = torch.nn.functional.pad(speed, (1, 0), value=9) < STILL
                edges = torch.nn.functional.pad(still.int(), (1, 1)).diff()
                starts, ends = (edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist()
                found += [tuple(float(torch.cdist(p[a:b], p[a:b]).max()) for p in (here, there))
                          for a, b in zip(starts, ends, strict=True) if b - a >= 5]
        return found

    def beyond(self, name: str) -> float:
        """Radians that a joint of Anny turns beyond its limits at the most."""
        index = self.body.skeleton.names.index(name) - 1
        low, high = torch.tensor(anny_limits()[index]).T
        turned = self.poses.rotations[:, index]
        return float(torch.maximum(low - turned, turned - high).clamp(min=0).max())


def played(motion: Motion, body: Body, **options) -> Played:
    """A motion on a body; options are `retarget`'s, but none that changes the time."""
    poses = retarget(motion, body, **options)
    anatomy = anatomy_of(motion)
    up = upward(anatomy, motion.placed()[1], options.get("up"))
    source = source_of(motion, anatomy, up, puppet_of(body))
    with torch.no_grad():
        posed = [body(poses[start:start + 64]) for start in range(0, len(poses), 64)]
    return Played(body, source, poses, torch.cat([part.joints for part in posed]).double(),
                  torch.cat([part.vertices[..., 2].amin(1) for part in posed]), motion.fps)


def turned_apart(one: Pose, other: Pose) -> float:
    """Degrees between the same joints of two batches of poses, at the most."""
    one, other = (roma.rotvec_to_rotmat(pose.rotations.double()) for pose in (one, other))
    return float(torch.rad2deg(roma.rotmat_to_rotvec(one.mT @ other).norm(dim=-1)).max())
