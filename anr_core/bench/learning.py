"""What a training step costs: reading a batch out of a capture, and learning from it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.nn import functional

from anr_core.avatars import SYSTEMS, Avatar, Config, Stage, avatar_class, configure, make_avatar
from anr_core.bench.clocking import clock
from anr_core.bench.made_up import standing, view
from anr_core.body import Body, Pose, Posed
from anr_core.body.anny import AnnyBody
from anr_core.camera import Camera
from anr_core.capture import Capture, View, load_capture
from anr_core.capture.footage import Footage, Take
from anr_core.capture.pictures import Memory
from anr_core.capture.writing import write_capture
from anr_core.launch import ALONE
from anr_core.rasterizer import gbuffer
from anr_core.training.batches import batches_of
from anr_core.training.beginning import State
from anr_core.training.learner import Learner
from anr_core.training.schedule import average
from anr_core.training.windows import Turns, Windows

AZIMUTHS, FRAMES, SIDE = (0.4, 1.4), 6, 512  # of the film: where cameras stand, frames, pixels
PICTURES = 200  # that a training has, for the networks' size and what learns
LEVELS = 3  # of networks that learn from so many
LONGEST = 8  # runs that are timed at the most: some take a second
STEPS = 1 << 20  # more than are ever taken
CHANGES: dict = {}  # settings other than the presets'; tests are quick by them

Views = Callable[..., Iterator[tuple[View, Posed]]]  # what `Avatar.begin` is given


def timings(anny: AnnyBody, repeats: int) -> Iterator[tuple[str, int, list[float]]]:
    """Stage, size and milliseconds of each run; the size is the side of a window, of rays of pictures."""
    timed = partial(clock, repeats=min(repeats, LONGEST), warm_up=1)
    with film(anny) as capture:
        config = settings("anr", capture)
        for stage, limit in (("reading", 0), ("reading again", capture.memory.limit)):
            batches = Windows([replace(capture, memory=Memory(limit)).views(crop="loose")], config,
                              range(STEPS))
            yield stage, config.window, timed(partial(read, batches, cycle(range(6))), warm_up=6)
        for system in SYSTEMS:
            config = settings(system, capture)
            avatar, stage = begun(config, anny, names(config, capture), partial(shown, capture))
            if stage is None:
                continue
            batch = batches_of([avatar], [capture], stage, config, range(1))[0]
            size = config.size if batch.pixels is not None else config.window
            yield step_name(system), size, timed(training_step([avatar], [stage], anny, [batch]))


def step_name(system: str) -> str:
    """What a system's training step is called among the stages."""
    return "step" if system == "anr" else f"step {system}"


def settings(system: str, capture: Capture) -> Config:
    """Those of the preset `quick`, as after many pictures."""
    levels = {"levels": LEVELS} if system in ("anr", "deferred", "smplpix") else {}
    config = configure("quick", system=system, **levels | CHANGES)
    return avatar_class(system).decided(config, [capture])


def names(config: Config, capture: Capture) -> list[tuple[str, int]]:
    """The pictures that an avatar is told it is trained on: those of the film, and that there are many more.

    Not smplpix, which would want to see all of them before it begins.
    """
    filmed = [(shot.camera, shot.frame) for shot in capture.shots]
    return filmed if config.system == "smplpix" else filmed + pictures()


def pictures() -> list[tuple[str, int]]:
    """(camera name, frame) of made-up training pictures."""
    return [("camera", frame) for frame in range(PICTURES)]


# a film


@contextmanager
def film(anny: AnnyBody) -> Iterator[Capture]:
    """A capture of Anny, who sways before cameras, in a folder that vanishes: soft noise in JPEGs."""
    random = np.random.default_rng(0)
    pose = standing(anny)
    share = torch.linspace(0, 1, FRAMES)
    poses = replace(pose, rotations=pose.rotations.expand(FRAMES, -1, -1),
                    root_rotation=pose.root_rotation.expand(FRAMES, -1),
                    root_translation=pose.root_translation + share[:, None] * torch.tensor([0.1, 0, 0]))
    posed = anny(poses)
    keypoints = anny.keypoints(posed, "coco23")
    cameras = {f"camera_{number}": view(SIDE, azimuth=azimuth) for number, azimuth in enumerate(AZIMUTHS)}
    takes = []
    for name, camera in cameras.items():
        masks = gbuffer(posed, Camera.cat([camera] * FRAMES), camera.size).coverage()[:, 0]
        for frame in range(FRAMES):
            soft = torch.from_numpy(random.random((1, 3, 16, 16), np.float32))
            picture = functional.interpolate(soft, camera.size, mode="bicubic")[0].clamp(0, 1)
            seen = torch.cat([camera.project(keypoints[frame:frame + 1])[0][0], torch.ones(23, 1)], 1)
            takes.append(Take(name, frame, (255 * picture).byte().permute(1, 2, 0).numpy(),
                              (255 * masks[frame]).byte().numpy(), keypoints=seen.numpy()))
    footage = Footage("made up", cameras, {name: {} for name in cameras}, takes, np.arange(FRAMES), None,
                      anny.surface, 25.0, (0.0, 1.0, 0.0), "CC0", body=anny, poses=poses,
                      keypoints="coco23")
    with TemporaryDirectory(prefix="anr_core-bench-") as folder:
        write_capture(footage, Path(folder))
        yield load_capture(folder)


def shown(capture: Capture, most: int | None = None) -> Iterator[tuple[View, Posed]]:
    """The film's views with their meshes, as training gives them to what begins a stage."""
    for one in (capture if most is None else capture.evenly(most)).views(crop="body", size=256):
        yield one, capture.body(one.pose)


def read(batches: Turns, step: Iterator[int]) -> None:
    """The next batch of some that come again, so that each one's pictures were read before."""
    batches[next(step)]


# a step


def begun(config: Config, body: Body, pictures: list[tuple[str, int]], views: Views,
          device: str = "cpu") -> tuple[Avatar, Stage | None]:
    """An avatar in its last stage of training, and that; None of a system that learns nothing."""
    avatar = make_avatar(config, body.surface.to("cpu"), pictures).to(device)
    stages = avatar.stages(config)
    if stages:
        avatar.begin(stages[-1], views)
    return avatar, stages[-1] if stages else None


def rows_of(batch: View, body: Body) -> Views:
    """A batch's views one by one, with their meshes."""
    return lambda most=None: ((batch_of_one(batch, row), body(batch.pose[row:row + 1]))
                              for row in range(len(batch))[:most])


def training_step(avatars: Sequence[Avatar], stages: Sequence[Stage], body: Body,
                  batches: Sequence[View]) -> Callable[[], None]:
    """What learns from one batch a person, in turn; a discriminator along, if the first's stage has one."""
    config, names = avatars[0].config, [str(row) for row in range(len(avatars))]
    fabric = Fabric(accelerator=avatars[0].device.type, devices=1, precision=config.precision)
    together = torch.nn.ModuleList(avatars)
    state = State(together, copy.deepcopy(together))
    learner = Learner(state, config, names, stages, lambda row: body, fabric, ALONE)
    named = [replace(batch, person=[name] * len(batch)) for name, batch in zip(names, batches, strict=True)]

    def step():
        for batch in named:
            learner.step(batch)
            average(state.averaged, state.avatars, 1)

    return step


def window(config: Config, body: Body, device: str) -> View:
    """A batch of windows in which the person is as large as a training shows them, in noise."""
    count, size = config.batch, config.window
    pose = Pose.of_frame(torch.linspace(0, 1, count, device=device))
    camera = Camera.cat([view(size, distance=3.5)] * count).to(device)
    mask = gbuffer(body(pose), camera, (size, size)).coverage()
    noise = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    frame = torch.arange(count, device=device)
    return View(noise, mask, torch.ones_like(mask, dtype=torch.bool), camera, pose, None, ["person"] * count,
                ["camera"] * count, frame, frame.float())


def batch_of_one(batch: View, row: int) -> View:
    """One view of a batch, as a batch of one, without keypoints."""
    one = slice(row, row + 1)
    return View(batch.image[one], batch.mask[one], batch.certain[one], batch.camera[one], batch.pose[one],
                None, batch.person[one], batch.camera_name[one], batch.frame[one], batch.time[one])
