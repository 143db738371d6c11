"""How long the parts and the whole take on this machine: its CPU, and where it has one its GPU (gpu.py).

All but Anny itself is timed on a made-up person of its size, ten capsules with 13 700 vertices and 27 360
faces that cover 8 % of the picture, so that figures compare between machines and versions of the body.

    body                  vertices out of a pose: Anny's 13 718, and 13 700 as a mixture of two meshes
    rasterizer            `rasterize`, all of it, without gradients
    rasterizer_backward   the same with gradients, forward and backward to the vertices
    frame                 pose and camera to RGB: an untrained ANR of the preset `quick`, its networks running
    gbuffer               part of a frame: rasterizing and interpolating UVs and normals
    texture, networks     parts of a frame: sampling, R1 and R2
    smplpix, gaussian     a frame of these systems, untrained, of their presets `quick`
    gaussians             a picture of 16 features of 108 Gaussians, as many as Panoptic Studio's skeleton has
    gaussians_backward    the same with gradients, forward and backward to the Gaussians and their features
    diffusion             codes of so many occupied voxels through the published network: as many as SMPL has,
                          Anny's of 10 mm and of 5 mm
    diffusion_backward    the same with gradients, forward and backward
    neural-body           a frame of that system, untrained, of its preset `quick`

Body and rasterizer run on one thread, what follows on two where there are two. The Gaussians are bones of
Anny's in its resting pose, in 5 % of the picture, and the longest of them twice.
"""

from __future__ import annotations

import json as json_format
import os
import platform
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from anr_core import gaussians
from anr_core.avatars import configure, make_avatar
from anr_core.avatars.run import write_atomically
from anr_core.bench import volumes
from anr_core.bench.clocking import clock, clock_inside
from anr_core.bench.made_up import GAUSSIANS, gaussian_bones, person, standing, view
from anr_core.body import Pose, Posed
from anr_core.body.anny import AnnyBody
from anr_core.gaussians import Solids
from anr_core.rasterizer import gbuffer, rasterize
from anr_core.threads import running_on

REPEATS = 100
SIZES, FRAME_SIZES = (256, 512, 1024), (256, 512)
FEATURES = 16
PEERS = {"reference": 64, "pytorch3d": 256}  # at larger sizes a picture takes minutes


def bench(json: str | Path | None = None, all: bool = False, repeats: int = REPEATS,
          device: str | None = None) -> dict:
    """Time every stage, print a line for each, and return {stage: {size: {median_ms, p95_ms}}}.

    json     a file for the figures, or None
    all      also time slow peers: the reference backend, and PyTorch3D's where it is installed
    repeats  how often a stage is run; slow peers run three times at most
    device   "cpu", "cuda", whose stages end in that word (see gpu.py), or None for both where there is a GPU

    The size of `body` is its number of vertices, that of all others the side of the picture.
    """
    there = torch.cuda.is_available()
    if device not in (None, "cpu", "cuda") or device == "cuda" and not there:
        raise ValueError(f"There is no device {device!r} to time{'' if there else ', and no GPU'}; "
                         "use cpu, or leave it out.")
    print(hardware())
    results = {}
    for where, stage, size, milliseconds in _everywhere(all, repeats, device, there):
        median, p95 = np.percentile(milliseconds, [50, 95]).round(3).tolist()
        results.setdefault(stage, {})[str(size)] = {"median_ms": median, "p95_ms": p95}
        print(f"{stage:<24}{size:>6}   median {median:8.2f} ms   95th percentile {p95:8.2f} ms"
              f"{1000 / median:9.1f} a second   {where}")
    if json is not None:
        write_atomically(Path(json), json_format.dumps(results, indent=1).encode())
    return results


def _everywhere(all, repeats, device, there):
    """Where, stage, size and milliseconds of each run, on the CPU and the GPU or one of them."""
    for threads, *timed in () if device == "cuda" else timings(all, repeats):
        yield f"{threads} thread{'s' * (threads > 1)}", *timed
    if device != "cpu" and there:
        from anr_core.bench import gpu  # what trains takes a second to import

        for stage, *timed in gpu.timings("cuda", repeats):
            yield torch.cuda.get_device_name(), f"{stage} cuda", *timed


def hardware() -> str:
    """Processor, cores and versions in one line."""
    return (f"{processor()}, {cores()} cores; Python {platform.python_version()}, torch {torch.__version__}, "
            f"warp {metadata.version('warp-lang')}")


def processor() -> str:
    """The processor's model."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def timings(all: bool, repeats: int) -> Iterator[tuple[int, str, int, list[float]]]:
    """Threads, stage, size and milliseconds of each run, stage by stage."""
    body = person()
    pose = Pose.of_frame(torch.tensor([0.5]))
    posed = body(pose)
    with running_on(1):
        anny = AnnyBody()
        for one, its_pose in ((anny, anny.rest_pose()), (body, pose)):
            yield 1, "body", one(its_pose).vertices.shape[1], clock(partial(one, its_pose), repeats)
        for stage, work in (("rasterizer", draw), ("rasterizer_backward", draw_and_back)):
            for size in SIZES:
                yield 1, stage, size, clock(partial(work, posed, size), repeats)
    avatar = make_avatar(configure("quick", levels=3), body.surface, [("camera", 0)]).eval()
    avatar.body = body
    with running_on(min(2, cores())) as threads:
        for size in FRAME_SIZES:
            frame = partial(avatar.render, pose, view(size), (size, size))
            yield threads, "frame", size, clock(frame, repeats)
            yield threads, "gbuffer", size, clock(partial(interpolated, posed, size), repeats)
            for stage, modules in (("texture", [avatar.texture]), ("networks", [avatar.r1, avatar.r2])):
                yield threads, stage, size, clock_inside(frame, modules, repeats)
        for system, figure, its_pose, settings in (
                ("smplpix", body, pose, {"levels": 3}),
                ("gaussian", anny, standing(anny), {"skeleton": "coco23"})):
            avatar = make_avatar(configure("quick", system=system, **settings), figure.surface,
                                 [("camera", 0)]).eval()
            avatar.body = figure
            if system == "gaussian":
                avatar.find_joints()
            for size in FRAME_SIZES:
                frame = partial(avatar.render, its_pose, view(size), (size, size))
                yield threads, system, size, clock(frame, repeats)
        bones = gaussian_bones(anny)
        for stage, work in (("gaussians", draw_gaussians), ("gaussians_backward", gaussians_and_back)):
            for size in FRAME_SIZES:
                yield threads, stage, size, clock(partial(work, bones, size), repeats)
        for timed in volumes.timings(anny, repeats):
            yield threads, *timed
    if not all:
        return
    with running_on(1):
        for backend, size in PEERS.items():
            if backend == "reference" or find_spec(backend):
                milliseconds = clock(partial(draw, posed, size, backend), min(repeats, 3), warm_up=0)
                yield 1, f"rasterizer {backend}", size, milliseconds


# what is timed


def draw(posed: Posed, size: int, backend: str = "warp") -> None:
    rasterize(posed.vertices, posed.surface.faces, view(size), (size, size), backend)


def draw_and_back(posed: Posed, size: int) -> None:
    vertices = posed.vertices.clone().requires_grad_()
    fragments = rasterize(vertices, posed.surface.faces, view(size), (size, size))
    (fragments.barycentric.sum() + fragments.depth.sum()).backward()


def interpolated(posed: Posed, size: int) -> None:
    buffer = gbuffer(posed, view(size), (size, size))
    _ = buffer.part, buffer.uv, buffer.normal


def draw_gaussians(bones: Solids, size: int) -> None:
    with torch.no_grad():
        gaussian_picture(bones, torch.ones(GAUSSIANS, FEATURES), size)


def gaussians_and_back(bones: Solids, size: int) -> None:
    leaves = [value.clone().requires_grad_() for value in list(bones)[:3]]
    appearance = torch.ones(GAUSSIANS, FEATURES, requires_grad=True)
    gaussian_picture(Solids(*leaves, bones.present), appearance, size).sum().backward()


def gaussian_picture(bones: Solids, appearance: torch.Tensor, size: int) -> torch.Tensor:
    return gaussians.draw(bones, appearance, torch.zeros(FEATURES), view(size))
