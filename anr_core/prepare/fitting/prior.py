"""What a person's pose is likely to be: a few controls, each with its rest, its spread and its limits.

A control turns one joint, or several in a row that share a bend. Elbows are hinges: their first axis is that
of the bend, their second runs along the forearm. All other controls turn about the body's axes: X to its
left, Y to its back, Z up. On the right, what is said here of the left is mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from anr_core.body.anny import AnnyBody
from anr_core.skeleton import ANNY, anny_limits

STRAIGHT = 0.05  # radians that an elbow bends backwards

# joints, what a standing person does with them, and how far people stray from that: radians about each axis;
# with half of it, the keypoints that a fit had not seen lay further off, of walkers most
_MIDDLE = {"waist": ("lumbar spine1", (0.0, 0.0, 0.0), (0.40, 0.30, 0.40)),
           "chest": ("spine2 spine3", (0.0, 0.0, 0.0), (0.40, 0.30, 0.40)),
           "neck": ("neck neck_middle", (0.0, 0.0, 0.0), (0.50, 0.30, 0.50)),
           "head": ("neck_upper head", (0.0, 0.0, 0.0), (0.50, 0.30, 0.60))}
_SIDE = {"collar": ("collar scapula", (0.0, 0.0, 0.0), (0.20, 0.30, 0.20)),
         "shoulder": ("shoulder", (0.0, 0.4, 0.0), (1.40, 1.20, 1.00)),
         "elbow": ("elbow", (-0.4, 0.0, 0.0), (1.20, 1.00, 0.20)),
         "wrist": ("wrist", (0.0, 0.0, 0.0), (0.60, 0.60, 0.60)),
         "hip": ("hip", (-0.1, 0.0, 0.0), (1.20, 0.60, 0.80)),
         "knee": ("knee", (0.2, 0.0, 0.0), (1.20, 0.12, 0.30)),
         "ankle": ("ankle", (0.0, 0.0, 0.0), (0.80, 0.40, 0.60))}

CONTROLS = (*_MIDDLE, *(f"{side}_{name}" for side in ("left", "right") for name in _SIDE))


@dataclass(frozen=True)
class PosePrior:
    """What controls (C, 3) are likely to be: mean, spread (a standard deviation), low and high limits."""

    mean: torch.Tensor
    spread: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    def cost(self, controls: torch.Tensor) -> torch.Tensor:
        """(F,) of controls (F, C, 3): half their squared deviations; over a limit 0.05 radians are one."""
        away = ((controls - self.mean) / self.spread).square()
        beyond = functional.relu(self.low - controls) + functional.relu(controls - self.high)
        return 0.5 * (away + (beyond / 0.05).square()).sum((1, 2))


def pose_prior(body: AnnyBody) -> PosePrior:
    """The prior of CONTROLS; limits are the skeleton's, and an elbow's those of a hinge."""
    limits = dict(zip(ANNY.names[1:], anny_limits(), strict=True))
    rows = []
    for control in CONTROLS:
        joints, mean, spread = _described(control)
        mirror = torch.tensor([1.0, -1.0, -1.0] if control.startswith("right_") else [1.0, 1.0, 1.0])
        low, high = torch.tensor([limits[joint] for joint in joints]).unbind(-1)
        low, high = low.amax(0) * len(joints), high.amin(0) * len(joints)
        mean, spread = torch.tensor(mean) * mirror, torch.tensor(spread)
        if control.endswith("elbow"):
            bent = _bend_at_rest(body, control.removesuffix("elbow"))
            low, high = torch.tensor([-bent - STRAIGHT, -1.0, -0.2]), torch.tensor([2.6 - bent, 1.0, 0.2])
        rows.append((mean, spread, low, high))
    return PosePrior(*(torch.stack(column) for column in zip(*rows, strict=True)))


def joint_shares() -> torch.Tensor:
    """(J - 1, C): how much of each control's turn each joint after the root takes."""
    shares = torch.zeros(len(ANNY) - 1, len(CONTROLS))
    for column, control in enumerate(CONTROLS):
        joints = _described(control)[0]
        for joint in joints:
            shares[ANNY.names.index(joint) - 1, column] = 1 / len(joints)
    return shares


def control_axes(body: AnnyBody) -> torch.Tensor:
    """(C, 3, 3): the three axes that each control turns about, one a row."""
    axes = torch.eye(3).repeat(len(CONTROLS), 1, 1)
    for side in ("left_", "right_"):
        upper, fore = _arm_at_rest(body, side)
        hinge = functional.normalize(torch.linalg.cross(upper, fore), dim=0)
        axes[CONTROLS.index(f"{side}elbow")] = torch.stack([hinge, fore, torch.linalg.cross(hinge, fore)])
    return axes


def _described(control):
    """Names of the joints, mean and spread."""
    side, _, name = control.rpartition("_")
    joints, mean, spread = _SIDE[name] if side else _MIDDLE[name]
    return [f"{side}_{joint}" if side else joint for joint in joints.split()], mean, spread


def _arm_at_rest(body, side):
    """Unit vectors along the upper arm and the forearm."""
    joints = body(body.rest_pose()).joints[0]
    shoulder, elbow, wrist = (joints[ANNY.names.index(side + joint)]
                              for joint in ("shoulder", "elbow", "wrist"))
    return functional.normalize(elbow - shoulder, dim=0), functional.normalize(wrist - elbow, dim=0)


def _bend_at_rest(body, side):
    upper, fore = _arm_at_rest(body, side)
    return float(torch.acos(upper @ fore))
