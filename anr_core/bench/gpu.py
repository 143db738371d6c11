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

from anr_core.avatars import Config, configure, make_avatar
from anr_core.bench.clocking import clock
from anr_core.bench.frames import ready
from anr_core.bench.learning import begun, pictures, rows_of, training_step, window
from anr_core.bench.made_up import person, standing, view
from anr_core.body import Body, Pose, Posed
from anr_core.body.anny import AnnyBody
from anr_core.camera import Camera
from anr_core.capture import View
from anr_core.rasterizer import rasterize

SIZES, STEP_SIZES = (512, 1024), (320, 512)  # of pictures, and of windows that are trained on
VOLUME_SIZE = 512
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
            avatar = ready(make_avatar(config, body.surface.to("cpu"), pictures()).to(device), body)
            yield f"{stage} {preset}", size, timed(partial(avatar.render, its_pose, view(size).to(device),
                                                           (size, size)))
    steps = partial(clock, repeats=min(repeats, LONGEST), device=device)
    for size in STEP_SIZES:
        config = configure(preset, window=size, perceptual=0.0, precision="bf16-mixed")
        yield f"step {preset}", size, steps(step_of(config, figure, window(config, figure, device)))
    size = VOLUME_SIZE
    config = configure(preset, system="neural-body", window=size, size=size, batch=1)
    rays = window(config, figure, device)
    rays = rays.at(*torch.randint(size, (2, 1, config.rays), device=device))
    yield f"step neural-body {preset}", size, steps(step_of(config, figure, rays))
    avatar = make_avatar(config, figure.surface.to("cpu"), pictures()).eval().to(device)
    avatar.begin(avatar.stages(config)[0], lambda most=None: [(rays, posed)])
    avatar.body = figure
    yield f"neural-body {preset}", size, steps(partial(avatar.render, pose, view(size).to(device),
                                                       (size, size)))


def step_of(config: Config, body: Body, batch: View) -> Callable[[], None]:
    """What learns from one batch of the made-up person, discriminator included."""
    avatar, stage = begun(config, body, pictures(), rows_of(batch, body), batch.image.device.type)
    return training_step([avatar], [stage], body, [batch])


def drawn(posed: Posed, camera: Camera) -> None:
    """Rasterize at the camera's size."""
    rasterize(posed.vertices, posed.surface.faces, camera, camera.size)


def drawn_and_back(posed: Posed, camera: Camera) -> None:
    """The same, and gradients to the vertices."""
    vertices = posed.vertices.clone().requires_grad_()
    fragments = rasterize(vertices, posed.surface.faces, camera, camera.size)
    (fragments.barycentric.sum() + fragments.depth.sum()).backward()
