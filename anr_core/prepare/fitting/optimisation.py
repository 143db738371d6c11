"""From a first motion to the likeliest: all frames at once, keypoints first, then outlines too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from anr_core.prepare.fitting.energy import (
    Rig,
    build_cost,
    habit_cost,
    keypoint_cost,
    place_cost,
    smoothness_cost,
)
from anr_core.prepare.fitting.observations import Observations
from anr_core.prepare.fitting.puppet import Motion, Puppet
from anr_core.prepare.fitting.silhouette import paired, silhouette_cost

# Steps with keypoints alone, and with outlines, which find new partners every so often.
KEYPOINT_STEPS, OUTLINE_STEPS, NEW_PARTNERS = 150, 120, 15

# How far Adam moves in a step: radians, metres, logits, and the logarithm of a focal length.
RATES = {"controls": 0.04, "turn": 0.03, "place": 0.02, "build": 0.05, "rig_turn": 0.002, "rig_shift": 0.004,
         "focal": 0.01}


@dataclass(frozen=True)
class Freedom:
    """What of the cameras is found along: their focal lengths, their places."""

    focal: bool = False
    extrinsics: bool = False


def refined(puppet: Puppet, seen: Observations, motion: Motion, linked: torch.Tensor, rig: Rig,
            freedom: Freedom, tell: Callable[[str], None] = lambda line: None) -> tuple[Motion, Rig]:
    """The likeliest motion near to a first one, and the corrections of the cameras."""
    free = {name: getattr(motion, name).clone().requires_grad_() for name in
            ("controls", "turn", "place", "build")}
    corrections = {"rig_turn": rig.turn.clone().requires_grad_(freedom.extrinsics),
                   "rig_shift": rig.shift.clone().requires_grad_(freedom.extrinsics),
                   "focal": rig.focal.clone().requires_grad_(freedom.focal)}
    every = {**free, **corrections}
    groups = [{"params": [value], "lr": RATES[name], "rate": RATES[name]} for name, value in every.items()
              if value.requires_grad]
    outlines = any(outline is not None for outline in seen.outlines)
    for steps, with_outlines in ((KEYPOINT_STEPS, False), (OUTLINE_STEPS if outlines else 0, True)):
        optimiser, pairs = torch.optim.Adam(groups, betas=(0.9, 0.99)), None
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = group["rate"] * (0.5 if with_outlines else 1) * (1 - step / steps) ** 0.7
            now = replace(motion, **free)
            rig = Rig(*(every[name] for name in ("rig_turn", "rig_shift", "focal")))
            cameras = rig.cameras(seen.cameras)
            if with_outlines and step % NEW_PARTNERS == 0:
                pairs = paired(puppet, seen, _still(now), _still_camera(cameras))
            cost = _cost(puppet, seen, now, linked, rig, cameras, pairs)
            optimiser.zero_grad()
            cost.backward()
            optimiser.step()
            if step % 30 == 0:
                tell(f"step {step}: {float(cost.detach()) / len(motion):.2f}")
    return (replace(motion, **{name: value.detach() for name, value in free.items()}),
            Rig(*(value.detach() for value in corrections.values())))


def _cost(puppet, seen, motion, linked, rig, cameras, pairs):
    coefficients = puppet.coefficients(motion.build)
    carry = puppet.carry(motion, coefficients)
    keypoints = puppet.keypoints(carry, coefficients)
    cost = (keypoint_cost(seen, keypoints, cameras).sum() + place_cost(seen, keypoints) + rig.cost()
            + puppet.prior.cost(motion.controls).sum() + build_cost(puppet, motion.build))
    if len(motion) > 2:
        cost = cost + smoothness_cost(motion, seen.seconds, linked)
    if len(motion) > 1:
        cost = cost + habit_cost(motion.controls)
    if pairs is not None:
        cost = cost + silhouette_cost(puppet, seen, pairs, carry, coefficients, cameras)
    return cost


def _still(motion):
    return replace(motion, **{name: getattr(motion, name).detach() for name in
                              ("controls", "turn", "place", "build")})


def _still_camera(camera):
    return replace(camera, K=camera.K.detach(), R=camera.R.detach(), t=camera.t.detach())
