"""The body that a motion is given to: its bones at rest, in canonical axes, and what its feet stand on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anr_core.body import Body, Pose, Posed, TrackedBody
from anr_core.motion.anatomy import SIDES, ancestors, axes_at_rest, meeting
from anr_core.motion.limbs import across, unit

SOLE = 0.012  # metres above the lowest vertex: what is lower is the sole
BACK = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)


@dataclass(frozen=True)
class Puppet:
    """A body at rest; canonical axes, metres, float64.

    names, parents   of its joints
    canonical        (3, 3)     from the body's own axes
    rest             (J, 3)     where joints rest
    spine            joints from below the root to the chest        neck  from above the chest to the head
    toes             joints of each foot that bend at the ball
    balls            (2, 3)     from each ankle to the ball of the foot
    soles            (2, P, 3)  from each ankle to points of the sole
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    canonical: torch.Tensor
    rest: torch.Tensor
    spine: list[int]
    neck: list[int]
    toes: tuple[list[int], list[int]]
    balls: torch.Tensor
    soles: torch.Tensor

    def joint(self, name: str) -> int:
        """The index of a joint by its name."""
        return self.names.index(name)

    def bone(self, start: str, end: str) -> torch.Tensor:
        """(3,) from one joint to another."""
        return self.rest[self.joint(end)] - self.rest[self.joint(start)]

    def leg(self, side: str) -> tuple[float, float]:
        """Lengths of thigh and shin."""
        return (float(self.bone(f"{side}_hip", f"{side}_knee").norm()),
                float(self.bone(f"{side}_knee", f"{side}_ankle").norm()))

    def hinge(self, side: str, limb: str) -> torch.Tensor:
        """(3,) the axis about which a knee or an elbow bends, at rest; across the upper bone."""
        start, middle, end = (f"{side}_{joint}" for joint in limb.split())
        upper, lower = unit(self.bone(start, middle)), unit(self.bone(middle, end))
        bend = torch.linalg.cross(upper, lower, dim=-1)
        if limb.startswith("hip"):
            bend = torch.linalg.cross(upper, BACK, dim=-1)
        elif float(bend.norm()) < 0.15:  # straight at rest, as SMPL's arms are
            bend = torch.linalg.cross(upper, -BACK, dim=-1)
        return across(unit(bend), upper)

    def hand(self, side: str) -> str | None:
        """The name of the joint that a hand points to."""
        names = (f"{side}_middle1", f"{side}_hand")
        return next((name for name in names if name in self.names), None)


def puppet_of(body: Body) -> Puppet:
    """The puppet of a body with arms and legs; raises ValueError for any other."""
    skeleton = body.skeleton
    if skeleton is None or isinstance(body, TrackedBody):
        raise ValueError("This body is one registered mesh a frame, which can't be posed anew. Fit one that "
                         "can: python -m anr_core fit CAPTURE --to meshes, then train again.")
    if "left_hip" not in skeleton.names:
        raise ValueError("This body has no legs, so no motion can be retargeted to it; use Anny or SMPL.")
    posed = at_rest(body)
    rest, vertices = posed.joints[0].double().cpu(), posed.vertices[0].double().cpu()
    names, parents = skeleton.names, skeleton.parents
    joints = {name: index for index, name in enumerate(names)}
    axes = axes_at_rest(rest, joints)
    canonical = (torch.eye(3, dtype=torch.float64) if axes is None else axes).T
    rest, vertices = rest @ canonical.T, vertices @ canonical.T
    chest = meeting(parents, joints["left_collar"], joints["right_collar"])
    toes = tuple([index for index, name in enumerate(names)
                  if name == f"{side}_foot" or name.startswith(f"{side}_") and name.endswith("toe1")]
                 for side in SIDES)
    ankles = rest[[joints[f"{side}_ankle"] for side in SIDES]]
    balls = torch.stack([rest[found].mean(0) - ankle for found, ankle in zip(toes, ankles, strict=True)])
    soles = torch.stack([_sole(vertices, ankle, ball) for ankle, ball in zip(ankles, balls, strict=True)])
    return Puppet(names, parents, canonical, rest, ancestors(parents, chest)[:-1][::-1],
                  _between(parents, chest, joints["head"]), toes, balls, soles)


def at_rest(body: Body) -> Posed:
    """A body of which nothing is turned or moved."""
    zero = torch.zeros(1, len(body.skeleton), 3, device=next(body.buffers()).device)
    with torch.no_grad():
        return body(Pose(zero[:, 1:], zero[:, 0], zero[:, 0]))


def _between(parents, start, end):
    """Joints below `start` down to `end`."""
    above = ancestors(parents, end)
    return above[:above.index(start)][::-1]


def _sole(vertices, ankle, ball):
    """(P, 3) from an ankle to the lowest points of heel and ball, foremost, hindmost and on both sides."""
    lowest = vertices[:, 2].min()
    side = torch.sign(ankle[0])
    near = (vertices[:, 0] * side > 0) & (vertices[:, 2] < lowest + SOLE) \
        & ((vertices - ankle)[:, :2].norm(dim=1) < 0.4)
    points = vertices[near] - ankle
    points = points[points[:, 1] > ball[1] - 0.01]  # toes bend
    if len(points) < 4:  # no foot of flesh
        return torch.stack([ball * ball.new_tensor([1.0, share, 1.0]) for share in (-0.3, 1.0, 1.0, 1.0)])
    points[:, 2] = lowest - ankle[2]
    order = points[:, 1].argsort()
    return torch.stack([points[order[0]], points[order[-1]], points[points[:, 0].argmin()],
                        points[points[:, 0].argmax()]])
