"""The same on a GPU, in sizes and settings that are for one.

    body                 vertices of Anny out of a pose
    rasterizer           `rasterize`, all of it, without gradients, and with them (rasterizer_backward)
    frame base           pose and camera to RGB: an untrained ANR of the preset `base`, drawn at this size
    smplpix base, gaussian base    the same of these systems
    step base            training ANR by batches of windows of this size in "bf16-mixed", without LPIPS
    neural-body base, step neural-body base    its frames, and learning from 1024 rays of such a picture

Each run is waited for to its end. Reading and cropping pictures is no part of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from lightning_fabric import Fabric

from anr_core.avatars import Config, configure, make_avatar
from anr_core.bench.clocking import clock
from anr_core.bench.made_up import person, standing, view
from anr_core.body import Body, Pose, Posed
from anr_core.body.anny import AnnyBody
from anr_core.camera import Camera
from anr_core.capture import View
from anr_core.rasterizer import gbuffer, rasterize
from anr_core.training import Objective
from anr_core.training.schedule import average, make_optimizer

SIZES, STEP_SIZES = (512, 1024), (320, 512)  # of pictures, and of windows that are trained on
VOLUME_SIZE = 512
PICTURES = 200  # that a training has, for the networks' size and what learns
LONGEST = 30  # steps that are timed at the most


def timings(device: str, repeats: int, preset: str = "base") -> Iterator[tuple[str, int, list[float]]]:
    """Stage, size and milliseconds of each run."""
    figure, anny = person().to(device), AnnyBody().to(device)
    pose, stands = Pose.of_frame(torch.tensor([0.5], device=device)), standing(anny)
    posed = figure(pose)
    timed = partial(clock, repeats=repeats, device=device)
    yield "body", anny(stands).vertices.shape[1], timed(partial(anny, stands))
    for stage, work in (("rasterizer", drawn), ("rasterizer_backward", drawn_and_back)):
        for size in SIZES:
            yield stage, size, timed(partial(work, posed, view(size).to(device)))
    for stage, system, body, its_pose, settings in (
            ("frame", "anr", figure, pose, {}), ("smplpix", "smplpix", figure, pose, {}),
            ("gaussian", "gaussian", anny, stands, {"skeleton": "coco23"})):
        for size in SIZES:
            config = configure(preset, system=system, size=size, **settings)
            avatar = make_avatar(config, body.surface.to("cpu"), pictures()).eval().to(device)
            avatar.body = body
            if system == "gaussian":
                avatar.find_joints()
            yield f"{stage} {preset}", size, timed(partial(avatar.render, its_pose, view(size).to(device),
                                                           (size, size)))
    steps = partial(clock, repeats=min(repeats, LONGEST), device=device)
    for size in STEP_SIZES:
        config = configure(preset, window=size, perceptual=0.0, precision="bf16-mixed")
        yield f"step {preset}", size, steps(training_step(config, figure, window(config, figure, device)))
    size = VOLUME_SIZE
    config = configure(preset, system="neural-body", window=size, size=size, batch=1)
    rays = window(config, figure, device)
    rays = rays.at(*torch.randint(size, (2, 1, config.rays), device=device))
    yield f"step neural-body {preset}", size, steps(training_step(config, figure, rays))
    avatar = make_avatar(config, figure.surface.to("cpu"), pictures()).eval().to(device)
    avatar.begin(avatar.stages(config)[0], lambda most=None: [(rays, posed)])
    avatar.body = figure
    yield f"neural-body {preset}", size, steps(partial(avatar.render, pose, view(size).to(device),
                                                       (size, size)))


def pictures() -> list[tuple[str, int]]:
    """(camera name, frame) of made-up training pictures."""
    return [("camera", frame) for frame in range(PICTURES)]


def drawn(posed: Posed, camera: Camera) -> None:
    """Rasterize at the camera's size."""
    rasterize(posed.vertices, posed.surface.faces, camera, camera.size)


def drawn_and_back(posed: Posed, camera: Camera) -> None:
    """The same, and gradients to the vertices."""
    vertices = posed.vertices.clone().requires_grad_()
    fragments = rasterize(vertices, posed.surface.faces, camera, camera.size)
    (fragments.barycentric.sum() + fragments.depth.sum()).backward()


def training_step(config: Config, body: Body, batch: View) -> Callable[[], None]:
    """What learns from one batch of the made-up person, discriminator included."""
    device = batch.image.device.type
    fabric = Fabric(accelerator="cpu" if device == "cpu" else "auto", devices=1, precision=config.precision)
    avatar = make_avatar(config, body.surface.to("cpu"), pictures()).to(device)
    averaged = make_avatar(config, body.surface.to("cpu"), pictures()).to(device)
    stage = avatar.stages(config)[-1]
    avatar.begin(stage, lambda most=None: ((batch_of_one(batch, row), body(batch.pose[row:row + 1]))
                                           for row in range(len(batch))))
    adversary = stage.adversary and avatar.adversary(stage.adversary, config.adversary, config.seed, fabric)
    objective, optimizer = fabric.setup(Objective(torch.nn.ModuleList([avatar]), stage.name, adversary),
                                        make_optimizer([avatar], [stage]))

    def step():
        losses = objective(0, lambda avatar: avatar.placed(batch, body))
        optimizer.zero_grad()
        fabric.backward(sum(losses.values()))
        torch.stack([loss.detach() for loss in losses.values()]).tolist()
        optimizer.step()
        if adversary:
            adversary.step()
        average(averaged, avatar, 1)

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
