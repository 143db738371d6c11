"""How what a frame and a training step take grows with resolution, faces, batch and people.

    body         the vertices of the made-up person, mixed out of two meshes
    rasterizer   `rasterize`, without gradients
    frame        pose and camera to picture: an untrained ANR of the preset `quick`, drawn at this very size
    texture, networks    parts of that frame: sampling; R1 and R2
    step         training it by as many windows, of this size

One of these is varied, the others stay: a picture of 256 pixels a side, 27 360 faces, one picture at a time,
one person. A batch is drawn and learned from together. Several people share R1 and R2 and have a texture
each; they are drawn, and learn, one after another, and all of them are timed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from anr_core.avatars import Avatar, configure, make_avatar
from anr_core.bench.clocking import clock, clock_inside
from anr_core.bench.frames import LARGE, ready
from anr_core.bench.learning import begun, pictures, rows_of, training_step, window
from anr_core.bench.made_up import RINGS, SEGMENTS, person, view
from anr_core.body import Body, Pose
from anr_core.camera import Camera
from anr_core.rasterizer import rasterize
from anr_core.training.beginning import sharing

LONGEST, STEPS = 10, 3  # runs that are timed at the most: of drawing, and of steps


@dataclass(frozen=True)
class Setting:
    """What is drawn: sides of pictures and windows, parts of a capsule's rings and segments, how many."""

    resolution: int = 256
    faces: float = 1.0
    batch: int = 1
    people: int = 1

    def body(self) -> Body:
        """The made-up person with so many times its faces."""
        return person(round(RINGS * self.faces**0.5), round(SEGMENTS * self.faces**0.5))


VARIED = {"resolution": (256, 512, 1024), "faces": (0.25, 1.0, 4.0), "batch": (1, 2, 4, 8),
          "people": (1, 2, 4, 8)}
UNVARIED = Setting()
CHANGES: dict = {}  # settings other than the preset's; tests are quick by them


def timings(device: str, repeats: int) -> Iterator[tuple[str, int, list[float]]]:
    """Stage, what was varied and milliseconds of each run, in order of what is varied."""
    known: dict[Setting, dict[str, list[float]]] = {}
    for name, values in VARIED.items():
        for value in values:
            setting = replace(UNVARIED, **{name: value})
            if setting not in known:
                known[setting] = measured(setting, device, repeats)
            size = len(setting.body().surface.faces) if name == "faces" else value
            for stage, milliseconds in known[setting].items():
                yield f"{stage} by {name}", size, milliseconds


def measured(setting: Setting, device: str, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each run, by stage."""
    body, side = setting.body().to(device), setting.resolution
    config = configure("quick", size=side, window=side, batch=setting.batch, **LARGE | CHANGES)
    pose = Pose.of_frame(torch.linspace(0.2, 0.8, setting.batch, device=device))
    camera = Camera.cat([view(side)] * setting.batch).to(device)
    posed, faces, people = body(pose), body.surface.faces, range(setting.people)
    made = [make_avatar(config, body.surface.to("cpu"), pictures()).to(device) for _ in people]
    avatars = [ready(avatar, body) for avatar in sharing(made)]

    def each(work: Callable[[], object]) -> Callable[[], None]:
        return lambda: [work() for _ in people] and None

    def frame():
        for avatar in avatars:
            avatar.render(pose, camera, camera.size)

    timed = partial(clock, repeats=min(repeats, LONGEST), warm_up=2, device=device)
    inside = partial(clock_inside, frame, repeats=min(repeats, LONGEST), device=device)
    found = {"body": timed(each(partial(body, pose))),
             "rasterizer": timed(each(partial(rasterize, posed.vertices, faces, camera, camera.size))),
             "frame": timed(frame),
             "texture": inside([avatar.texture for avatar in avatars]),
             "networks": inside([network for avatar in avatars for network in (avatar.r1, avatar.r2)])}
    step = round_of(config, body, setting.people, device)
    return found | {"step": clock(step, min(repeats, STEPS), 1, device)}


def round_of(config, body: Body, people: int, device: str) -> Callable[[], None]:
    """A training step of each person."""
    batch = window(config, body, device)
    first, stage = begun(config, body, pictures(), rows_of(batch, body), device)
    others: Sequence[Avatar] = [copy.deepcopy(first) for _ in range(people - 1)]
    avatars = sharing([first, *others])
    return training_step(list(avatars), [stage] * people, body, [batch] * people)


def exponents(figures: dict[str, dict]) -> dict[tuple[str, str], float]:
    """By what was timed and what was varied, the power of it that medians grow as: least squares in log-log.

    figures  {stage: {size: {median_ms, ...}}}, as `bench` returns them
    """
    found = {}
    for stage, sizes in figures.items():
        what, by, varied = stage.removesuffix(" cuda").partition(" by ")
        what += " cuda" * stage.endswith(" cuda")
        if by and len(sizes) > 1:
            medians = [figure["median_ms"] for figure in sizes.values()]
            # 1 microsecond: what is quicker was rounded to nothing
            logs = np.log(np.array([list(map(float, sizes)), np.maximum(medians, 1e-3)]))
            found[what, varied] = float(np.polyfit(*logs, 1)[0])
    return found
