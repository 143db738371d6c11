"""How long the parts and the whole take on this machine: its CPU, and where it has one its GPU (gpu.py).

All but Anny itself is timed on a made-up person of its size, ten capsules with 13 700 vertices and 27 360
faces that cover 8 % of the picture, so that figures compare between machines and versions of the body.

    body                  vertices out of a pose: Anny's 13 718, and 13 700 as a mixture of two meshes
    rasterizer            `rasterize`, all of it, without gradients
    rasterizer_backward   the same with gradients, forward and backward to the vertices
    frame                 pose and camera to RGB: an untrained ANR of the preset `quick`, its networks running
    gbuffer               part of a frame: rasterizing and interpolating UVs and normals
    texture, networks     parts of a frame: sampling, R1 and R2
    smplpix, gaussian, deferred, static, dynamic-texture
                          a frame of these systems, untrained, of their presets `quick`
    gaussians             a picture of 16 features of 108 Gaussians, as many as Panoptic Studio's skeleton has
    gaussians_backward    the same with gradients, forward and backward to the Gaussians and their features
    diffusion             codes of so many occupied voxels through the published network: as many as SMPL has,
                          Anny's of 10 mm and of 5 mm
    diffusion_backward    the same with gradients, forward and backward
    neural-body           a frame of that system, untrained, of its preset `quick`
    reading               a training batch of ANR, windows of this size out of pictures of 512 on the disk
    reading again         the same once the pictures have been read: what is left is cropping
    step                  training ANR by such a batch, which is there; of the preset `quick`
    step smplpix ...      the same of another system, in its last stage; the size is that of windows, of
                          neural-body's rays that of the pictures which they are in

Body and rasterizer run on one thread, what follows on two where there are two. The Gaussians are bones of
Anny's in its resting pose, in 5 % of the picture, and the longest of them twice. `growth.py` tells how it
grows, `peers.py` what stands beside it.
"""

from __future__ import annotations

import json as json_format
import os
import platform
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from anr_core import gaussians
from anr_core.avatars.run import write_atomically
from anr_core.bench import gpu, learning, peers, volumes
from anr_core.bench.clocking import clock, clock_inside, forget_peak, peak
from anr_core.bench.frames import ON_ANNY, untrained
from anr_core.bench.growth import exponents
from anr_core.bench.growth import timings as grown
from anr_core.bench.made_up import GAUSSIANS, gaussian_bones, person, standing, view
from anr_core.body import Pose, Posed
from anr_core.body.anny import AnnyBody
from anr_core.gaussians import Solids
from anr_core.rasterizer import gbuffer, rasterize
from anr_core.threads import running_on

REPEATS = 100
SIZES, FRAME_SIZES = (256, 512, 1024), (256, 512)
FEATURES = 16
SELDOM = 20  # runs, at the most, of a frame of systems that few draw with


def bench(json: str | Path | None = None, all: bool = False, repeats: int = REPEATS,
          device: str | None = None, growth: bool = False) -> dict:
    """Time every stage, print a line for each, and return {stage: {size: {median_ms, p95_ms, peak_mib}}}.

    json     a file for the figures, or None
    all      also time slow peers: the reference backend, PyTorch3D's where it is installed, and plain
             skinning and sampling
    repeats  how often a stage is run; what takes long, less often
    device   "cpu", "cuda", whose stages end in that word (see gpu.py), or None for both where there is a GPU
    growth   also time stages at several resolutions, numbers of faces, batches and people (see growth.py),
             and tell as which power of these they grow

    The size of `body` is its number of vertices, that of most others the side of the picture. peak_mib is
    what the process had resident at the most while a stage was prepared and run, on a GPU what was allocated.
    """
    there = torch.cuda.is_available()
    if device not in (None, "cpu", "cuda") or device == "cuda" and not there:
        raise ValueError(f"There is no device {device!r} to time{'' if there else ', and no GPU'}; "
                         "use cpu, or leave it out.")
    print(hardware())
    results, most = {}, {}
    for where, stage, size, milliseconds, memory in _everywhere(all, repeats, device, growth, there):
        median, p95 = np.percentile(milliseconds, [50, 95]).round(3).tolist()
        results.setdefault(stage, {})[str(size)] = {"median_ms": median, "p95_ms": p95, "peak_mib": memory}
        print(f"{stage:<24}{size:>6}   median {median:8.2f} ms   95th percentile {p95:8.2f} ms"
              f"{1000 / max(median, 1e-3):9.1f} a second   {memory or 0:6.0f} MiB   {where}")
        kind = "allocated on the GPU" if stage.endswith(" cuda") else "resident"
        most[kind] = max(most.get(kind, 0), memory or 0)
    for (what, varied), power in exponents(results).items():
        print(f"{what:<24} grows as {varied}^{power:.2f}")
    print("memory at the most: " + ", ".join(f"{memory:.0f} MiB {kind}" for kind, memory in most.items()))
    if json is not None:
        write_atomically(Path(json), json_format.dumps(results, indent=1).encode())
    return results


def _everywhere(all, repeats, device, growth, there):
    """Where, stage, size, milliseconds of each run and memory, on the CPU and the GPU or one of them."""
    if device != "cuda":
        for (threads, *timed), memory in with_peaks(timings(all, repeats, growth), "cpu"):
            yield f"{threads} thread{'s' * (threads > 1)}", *timed, memory
    if device != "cpu" and there:
        timed = chain(gpu.timings("cuda", repeats), grown("cuda", repeats) if growth else ())
        for (stage, size, milliseconds), memory in with_peaks(timed, "cuda"):
            yield torch.cuda.get_device_name(), f"{stage} cuda", size, milliseconds, memory


def with_peaks(timed: Iterator[tuple], device: str) -> Iterator[tuple[tuple, float | None]]:
    """What is timed, and the memory that it took."""
    forget_peak(device)
    for one in timed:
        most = peak(device)
        yield one, most and round(most, 1)
        forget_peak(device)


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


def timings(all: bool, repeats: int, growth: bool = False) -> Iterator[tuple[int, str, int, list[float]]]:
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
    avatar = untrained("anr", body)
    with running_on(min(2, cores())) as threads:
        for size in FRAME_SIZES:
            frame = partial(avatar.render, pose, view(size), (size, size))
            yield threads, "frame", size, clock(frame, repeats)
            yield threads, "gbuffer", size, clock(partial(interpolated, posed, size), repeats)
            for stage, modules in (("texture", [avatar.texture]), ("networks", [avatar.r1, avatar.r2])):
                yield threads, stage, size, clock_inside(frame, modules, repeats)
        for system, often in (("smplpix", repeats), ("gaussian", repeats), ("deferred", SELDOM),
                              ("static", SELDOM), ("dynamic-texture", SELDOM)):
            figure, its_pose = (anny, standing(anny)) if system in ON_ANNY else (body, pose)
            other = untrained(system, figure)
            for size in FRAME_SIZES:
                frame = partial(other.render, its_pose, view(size), (size, size))
                yield threads, system, size, clock(frame, min(often, repeats))
        bones = gaussian_bones(anny)
        for stage, work in (("gaussians", draw_gaussians), ("gaussians_backward", gaussians_and_back)):
            for size in FRAME_SIZES:
                yield threads, stage, size, clock(partial(work, bones, size), repeats)
        for room in (volumes, learning):
            for timed in room.timings(anny, repeats):
                yield threads, *timed
        if growth:
            for timed in grown("cpu", repeats):
                yield threads, *timed
        if all:
            for timed in peers.sampling(avatar.texture, posed, FRAME_SIZES[0], repeats):
                yield threads, *timed
    if all:
        with running_on(1):
            for timed in (*peers.skinning(anny, repeats), *peers.rasterizers(posed, repeats)):
                yield 1, *timed


# what is timed


def draw(posed: Posed, size: int) -> None:
    """Rasterize at size x size pixels."""
    rasterize(posed.vertices, posed.surface.faces, view(size), (size, size))


def draw_and_back(posed: Posed, size: int) -> None:
    """The same, and gradients to the vertices."""
    vertices = posed.vertices.clone().requires_grad_()
    fragments = rasterize(vertices, posed.surface.faces, view(size), (size, size))
    (fragments.barycentric.sum() + fragments.depth.sum()).backward()


def interpolated(posed: Posed, size: int) -> None:
    """The G-buffer: part, UV and normal of every covered pixel."""
    buffer = gbuffer(posed, view(size), (size, size))
    _ = buffer.part, buffer.uv, buffer.normal


def draw_gaussians(bones: Solids, size: int) -> None:
    """A picture of bones at size x size pixels."""
    with torch.no_grad():
        gaussian_picture(bones, torch.ones(GAUSSIANS, FEATURES), size)


def gaussians_and_back(bones: Solids, size: int) -> None:
    """The same, and gradients to means, rotations, scales and appearance."""
    leaves = [value.clone().requires_grad_() for value in list(bones)[:3]]
    appearance = torch.ones(GAUSSIANS, FEATURES, requires_grad=True)
    gaussian_picture(Solids(*leaves, bones.present), appearance, size).sum().backward()


def gaussian_picture(bones: Solids, appearance: torch.Tensor, size: int) -> torch.Tensor:
    """(1, FEATURES, size, size) of bones with a given appearance."""
    return gaussians.draw(bones, appearance, torch.zeros(FEATURES), view(size))
