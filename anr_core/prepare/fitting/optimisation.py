"""From a first motion to the likeliest: all frames at once, keypoints first, then outlines too.

Smoothness ties neighbouring frames together so stiffly that plain gradient steps creep. So steps are taken in
coordinates in which a motion is about as stiff in every direction: a third of the steps get as far.
"""

from __future__ import annotations

from dataclasses import fields

import torch

from anr_core.camera import Camera
from anr_core.prepare.fitting import energy
from anr_core.prepare.fitting.descent import Descent
from anr_core.prepare.fitting.energy import Rig
from anr_core.prepare.fitting.observations import Observations
from anr_core.prepare.fitting.puppet import Motion, Puppet
from anr_core.prepare.fitting.resting import Resting
from anr_core.prepare.fitting.silhouette import paired, silhouette_cost

MOTION = ("controls", "turn", "place")

# How far a step goes where nothing is stiff: parts of what controls stray by, radians, metres, logits;
# radians and metres of a camera, and the logarithm of its focal length.
STEP = {"controls": 0.2, "turn": 0.04, "place": 0.02, "build": 0.2,
        "turns": 0.0005, "shifts": 0.001, "focal": 0.01}

NEW_PARTNERS = 30  # steps after which outlines find new partners


def refined(puppet: Puppet, seen: Observations, motion: Motion, linked: torch.Tensor, rig: Rig,
            free: tuple[str, ...], steps: int, outlines: bool, near: bool = False) -> tuple[Motion, Rig]:
    """The likeliest motion and corrections of the cameras near to those given.

    free      names of what may change: fields of Motion and of Rig
    outlines  masks count too
    near      the likeliest motion is not far: smaller steps, and joints move together as they are wont to
    """
    start = {entry.name: getattr(record, entry.name) for record in (motion, rig) for entry in fields(record)}
    stride = {name: _stride(name, seen.seconds, linked) for name in free}
    unit = {name: puppet.prior.spread if name == "controls" else 1.0 for name in free}
    descent = Descent({name: start[name].shape for name in free}, betas=(0.9, 0.99))
    cameras, pairs, resting = rig.cameras(seen.cameras), None, Resting(puppet)
    corrected = not {entry.name for entry in fields(Rig)}.isdisjoint(free)

    def now():
        values = start | {name: start[name] + unit[name] * _strode(stride[name], moved)
                          for name, moved in descent.values().items()}
        return tuple(kind(*(values[entry.name] for entry in fields(kind))) for kind in (Motion, Rig))

    for step in range(steps):
        rate = (0.5 if near else 1.0) * (1 - step / steps) ** 0.7
        motion, rig = now()
        if corrected:
            cameras = rig.cameras(seen.cameras)
        if outlines and step % NEW_PARTNERS == 0:
            pairs = paired(puppet, seen, motion, cameras)
        rested, lines = resting.at(motion.build, pairs, STEP["build"] * rate)
        cost = (_cost(puppet, seen, motion, linked, cameras, rested, pairs, lines, not near)
                + energy.build_cost(puppet, motion.build) + rig.cost())
        descent.step(cost, rate)
    with torch.no_grad():
        return now()


def _stride(name, seconds, linked):
    """What a step is multiplied by: a number, or a matrix (F, F) that makes smoothness no stiffer than data.

    With H the smoothness cost's second derivative and s the length of a free step, (H + 1/s^2)^(-1/2).
    """
    if name not in energy.PUSH or len(seconds) < 2:
        return STEP[name]
    count = len(seconds) + 1
    speed = torch.eye(count).diff(dim=0) / seconds[:, None]
    change = speed.diff(dim=0) * energy.smoothness_weight(seconds, linked, energy.PUSH[name]).sqrt()[:, None]
    values, vectors = torch.linalg.eigh((change.mT @ change).double())
    return (vectors * (values.clamp(min=0) + STEP[name] ** -2).rsqrt() @ vectors.mT).float()


def _strode(stride, moved):
    return moved * stride if isinstance(stride, float) else (stride @ moved.flatten(1)).view_as(moved)


def _cost(puppet, seen, motion, linked, cameras: Camera, rested, pairs, lines, alone):
    """Of a motion, given what rests: the person, and the vertices on outlines (V, N, 3), if any."""
    carry = puppet.carry(motion, rested)
    keypoints = puppet.keypoints(carry, rested)
    cost = (energy.keypoint_cost(seen, keypoints, cameras).sum() + puppet.prior.cost(motion.controls).sum()
            + energy.smoothness_cost(motion, puppet.prior.spread, seen.seconds, linked, alone))
    if not alone:
        cost = cost + energy.habit_cost(motion.controls)
    if pairs is not None:
        cost = cost + silhouette_cost(puppet, seen, pairs, carry, lines, cameras)
    return cost
