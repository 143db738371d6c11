"""How a person of a page stands and is looked at: mesh, joints, sliders, poses to play, the way up."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import torch

from anr_core.body import Body, Pose
from anr_core.body.anny import AnnyBody
from anr_core.body.controls import Control, Controls, arms_at
from anr_core.export.around import LIMITS, Around
from anr_core.export.page.playing import Played

PROBES = 512  # vertices that tell where in the picture the person is: no other is far from one of them
ARMS = {"T-pose": 0.0, "A-pose": -45.0}


def person(body: Body, surface, played: Played, up: torch.Tensor) -> tuple[dict, dict]:
    """Words and arrays of a person's segment.

    body     its poses are those of `played`, the first of which is seen from the front at azimuth 0
    surface  the avatar's, whose coordinates its texture has
    up       (3,) unit vector against gravity
    """
    start = played.poses[:1]
    around = Around(body, up, start)
    told = {"up": up.tolist(), "offset": around.offset.tolist(), "front": around.front,
            "home": asdict(around.whole()), "limits": LIMITS, "fps": played.fps,
            "there_and_back": played.there_and_back, "motion": played.name, "controls": [], "poses": {}}
    uv = np.round(surface.uv.double().numpy() * 65535).astype("u2")
    arrays = {"faces": _small(surface.faces), "uv": uv, "uv_faces": _small(surface.uv_faces),
              "part": surface.part.numpy().astype("u1"), "times": played.times.numpy().astype("f4")}
    if isinstance(body, AnnyBody):
        told |= {"controls": _controls(body), "parents": list(body.skeleton.parents)}
        arrays |= _joints(body) | _poses(played.poses)
        for name, degrees in ARMS.items():
            told["poses"][name] = arms_at(body, degrees)[0].tolist()
        probes = _spread(body.rest.vertices[0], PROBES)
    else:
        frames = torch.cat([body(played.poses[row:row + 1]).vertices for row in range(len(played.poses))])
        low, high = frames.flatten(0, 1).aminmax(dim=0)
        told |= {"low": low.tolist(), "high": high.tolist()}
        arrays["frames"] = ((frames - low) / (high - low) * 65535).round().numpy().astype("u2")
        probes = _spread(frames[0], PROBES)
    places, reach = probes
    return told | {"reach": reach}, arrays | {"probes": places.astype("u4")}


def _controls(body) -> list[dict]:
    """The sliders by the joints that they bend together, and what makes their angles of a turn."""
    return [{"joints": joints, "angles_of_turn": matrix.tolist(), "bends": [_told(bend) for bend in bends]}
            for joints, bends, matrix in Controls(body).together]


def _told(bend: Control) -> dict:
    return {**asdict(bend), "axis": bend.axis.tolist()}


def _joints(body: AnnyBody) -> dict:
    """The rest shape, and how joints move it."""
    end = torch.tensor([len(body.skin_joints)])
    return {"vertices": body.rest.vertices[0], "steps": body.rest.steps[0],
            "joint_from_rest": body.rest.joint_from_rest[0, :, :3],
            "skin_start": torch.cat([body.skin_start, end]).numpy().astype("u4"),
            "skin_joints": body.skin_joints.numpy().astype("u2"),
            "skin_weights": np.round(body.skin_weights.double().numpy() * 65535).astype("u2")}


def _poses(poses: Pose) -> dict:
    """Joint rotations in steps of pi / 32767: a tenth of a millimetre at the end of an arm."""
    turns = _shortest(poses.rotations.double())
    return {"rotations": np.round(turns.numpy() / math.pi * 32767).astype("i2"),
            "root_rotation": poses.root_rotation.float(), "root_translation": poses.root_translation.float()}


def _shortest(turns: torch.Tensor) -> torch.Tensor:
    """The same rotations (..., 3) by at most half a turn."""
    angle = turns.norm(dim=-1, keepdim=True)
    short = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
    return torch.where(angle > 0, turns * short / angle.where(angle > 0, 1), turns)


def _small(indices: torch.Tensor) -> np.ndarray:
    return indices.numpy().astype("u2" if int(indices.max()) < 1 << 16 else "u4")


def _spread(vertices: torch.Tensor, count: int) -> tuple[np.ndarray, float]:
    """Vertices each as far as possible from those before it, and metres from any to the nearest of them."""
    chosen, away = [0], (vertices - vertices[0]).norm(dim=-1)
    while len(chosen) < min(count, len(vertices)):
        chosen.append(int(away.argmax()))
        away = away.minimum((vertices - vertices[chosen[-1]]).norm(dim=-1))
    return np.array(chosen), float(away.max())
