"""A motion in a picture made another person's: standing where they stand, as tall, with limbs as long.

    driven = aligned(dancer, filmed, how="limbs", smooth=2)      FlatMotion in the pixels of `filmed`

In pictures y points down: feet that are nearer to the camera are lower, their y larger. Two lines of feet,
far and near, and how tall somebody is on them tell how they stand; in between both change evenly, as they do
on a level floor. Source: the alignment of Chan et al., Everybody Dance Now, 2019, as Sun et al., Robust pose
transfer with dynamic details, 2021, use it. Ours differs: a jump doesn't lift the floor, who bends stays as
tall as they are, and limbs get the lengths of the person.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from anr_core.capture.keypoints import SURE
from anr_core.motion.keypoints import FlatMotion
from anr_core.motion.proportions import on_skeleton, ratios, with_ratios
from anr_core.motion.standing import Standing, in_common, lowest, of_body, standing, standing_on
from anr_core.motion.steady import filled, smoothed
from anr_core.skeleton import BODY25
from anr_core.telling import quoted

HOW = ("limbs", "scale", "none")
SMOOTH = 2.0  # frames
BEYOND = 0.5  # of a walk, beyond its ends: farther nobody is placed
ROOT = BODY25.names.index("middle_hip")
STEPS = 50    # tried to shrink a walk until it fits


def aligned(source: FlatMotion, target: FlatMotion, how: str = "limbs", smooth: float = SMOOTH) -> FlatMotion:
    """The motion of `source` as if the person of `target` did it before their camera, in its pixels.

    how     "scale": where they stand and as tall; "limbs": also with limbs as long; "none": where it is
    smooth  sigma in frames by which it is smoothed over time

    Points that were missing for a while are put in between, with less confidence the longer it is; those that
    are never seen have confidence 0. Points outside of the picture stay there. Raises ValueError where one
    shows neither hips nor shoulders.
    """
    if how not in HOW:
        raise ValueError(f"An alignment {quoted(how)} is unknown; use {', '.join(HOW)}.")
    if not 0 <= smooth < float("inf"):
        raise ValueError(f"Smoothing over {smooth:g} frames means nothing; give 0 or more.")
    source = source.of_skeleton(target.skeleton)
    source = replace(source, points=filled(source.points, source.frames / source.fps))
    if how != "none":
        source = replace(source, points=_placed(source, target, how == "limbs").to(source.points))
    return replace(source, points=smoothed(source.points, source.frames, smooth), size=target.size)


def _placed(source, target, limbs):
    """Points (n, K, 3) of a source whose gaps are filled."""
    body, theirs = of_body(source), of_body(target)
    shown = in_common(body, theirs)
    here, there = standing(source, body, shown), standing(target, theirs, shown)
    tall, floor = where(here, there)
    points, body = (onto(one, here, there, tall, floor) for one in (source.points.double(), body))
    if limbs:
        moves = with_ratios(body, ratios(body, tall, theirs, there.height))
        feet = standing_on(shown)
        moved = torch.cat([body[..., :2] + moves, body[..., 2:]], -1)
        moves[..., 1] += (lowest(body, feet) - lowest(moved, feet))[:, None]  # they stand where they stood
        body[..., :2] += moves
        points[..., :2] += on_skeleton(moves, source.skeleton)
    if target.size is not None:
        points[..., 0] += inside(body, there.middle, *_reach(theirs, target.size))[:, None]
    return points


def where(here: Standing, there: Standing) -> tuple[torch.Tensor, torch.Tensor]:
    """How tall (n,) the target's person is where the source's walk takes them, and the floor's y (n,) there.

    Who walks less far into the distance than the target's person did uses the middle of their walk.
    """
    far, near = there.tall
    walk, own = (float(one.tall[1] / one.tall[0]) for one in (there, here))
    if walk > own:
        middle = (far * near).sqrt()
        far, near = middle / own**0.5, middle * own**0.5
    tall = torch.lerp(far, near, here.share.clamp(-BEYOND, 1 + BEYOND))
    if not there.walks:
        return tall, there.floor[0].expand_as(tall)
    slope = (there.floor[1] - there.floor[0]) / (there.tall[1] - there.tall[0])
    return tall, there.floor[0] + slope * (tall - there.tall[0])


def onto(points: torch.Tensor, here: Standing, there: Standing, tall: torch.Tensor, floor: torch.Tensor
         ) -> torch.Tensor:
    """Points (n, K, 3) scaled to how tall (n,) somebody is, and moved to the floor (n,) and their walk."""
    line = here.line if here.walks else here.floor[0].expand_as(tall)
    origin = torch.stack([torch.full_like(line, here.middle), line], -1)
    target = torch.stack([torch.full_like(floor, there.middle), floor], -1)
    scale = (tall / here.height)[:, None, None]
    return torch.cat([(points[..., :2] - origin[:, None]) * scale + target[:, None], points[..., 2:]], -1)


def inside(body: torch.Tensor, middle: float, low: float, high: float) -> torch.Tensor:
    """(n,) pixels to the right by which somebody who walks about x = `middle` stays between low and high.

    body  (n, 25, 3) their points

    The walk is moved as a whole, by no more than needed; where it is too wide it is shrunk around its middle,
    while the person keeps their size. Who is wider than that stands in the middle.
    """
    away = body[:, ROOT, 0] - middle
    sure = body[..., 2] > SURE
    left = body[..., 0].masked_fill(~sure, torch.inf).amin(1) - body[:, ROOT, 0]
    right = body[..., 0].masked_fill(~sure, -torch.inf).amax(1) - body[:, ROOT, 0]
    left, right = (torch.where(side.isfinite(), side, 0) for side in (left, right))
    for step in range(STEPS + 1):
        walk = (1 - step / STEPS) * away
        least, most = float((low - walk - left).max()), float((high - walk - right).min())
        if least <= most:
            break
    place = min(max(middle, least), most) if least <= most else (least + most) / 2
    return place - middle + walk - away



def _reach(body, size):
    """x of the picture's sides, or of what the person reaches beyond them."""
    sure = body[..., 0][body[..., 2] > SURE]
    return min(0.0, float(sure.min())), max(float(size[1]), float(sure.max()))
