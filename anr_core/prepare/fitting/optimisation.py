"""From a first motion to the likeliest: all frames at once, keypoints first, then outlines too."""

from __future__ import annotations

from dataclasses import fields

import torch

from anr_core.camera import Camera
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

MOTION = ("controls", "turn", "place")

# How far Adam goes in a step: radians, metres, logits; radians, metres and the logarithm of a focal length.
RATES = {"controls": 0.04, "turn": 0.03, "place": 0.02, "build": 0.05,
         "turns": 0.0003, "shifts": 0.0006, "focal": 0.01}

NEW_PARTNERS = 15  # steps after which outlines find new partners


def refined(puppet: Puppet, seen: Observations, motion: Motion, linked: torch.Tensor, rig: Rig,
            free: tuple[str, ...], steps: int, outlines: bool, pace: float = 1.0) -> tuple[Motion, Rig]:
    """The likeliest motion and corrections of the cameras near to those given.

    free      names of what may change: fields of Motion and of Rig
    outlines  masks count too
    pace      times RATES
    """
    values = {entry.name: getattr(record, entry.name) for record in (motion, rig) for entry in fields(record)}
    for name in free:
        values[name] = values[name].clone().requires_grad_()
    optimiser = torch.optim.Adam([{"params": [values[name]], "rate": pace * RATES[name]} for name in free],
                                 betas=(0.9, 0.99))
    pairs = None
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * (1 - step / steps) ** 0.7
        motion, rig = _records(values)
        cameras = rig.cameras(seen.cameras)
        if outlines and step % NEW_PARTNERS == 0:
            pairs = paired(puppet, seen, motion, cameras)
        cost = _cost(puppet, seen, motion, linked, cameras, pairs) + rig.cost()
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
    return _records({name: value.detach() for name, value in values.items()})


def _records(values):
    return tuple(kind(*(values[entry.name] for entry in fields(kind))) for kind in (Motion, Rig))


def _cost(puppet, seen, motion, linked, cameras: Camera, pairs):
    coefficients = puppet.coefficients(motion.build)
    carry = puppet.carry(motion, coefficients)
    keypoints = puppet.keypoints(carry, coefficients)
    cost = (keypoint_cost(seen, keypoints, cameras).sum() + place_cost(seen, keypoints)
            + puppet.prior.cost(motion.controls).sum() + build_cost(puppet, motion.build))
    if len(motion) > 1:
        cost = cost + habit_cost(motion.controls)
    if len(motion) > 2:
        cost = cost + smoothness_cost(motion, seen.seconds, linked)
    if pairs is not None:
        cost = cost + silhouette_cost(puppet, seen, pairs, carry, coefficients, cameras)
    return cost
