"""How long the parts and the whole take on this machine's CPU.

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

Body and rasterizer run on one thread, what follows on two where there are two. The Gaussians are bones of
Anny's in its resting pose, in 5 % of the picture, and the longest of them twice.
"""

from __future__ import annotations

import json as json_format
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from anr_core import gaussians
from anr_core.avatars import configure, make_avatar
from anr_core.avatars.run import write_atomically
from anr_core.body import Pose, Posed, Surface, TrackedBody
from anr_core.body.anny import AnnyBody
from anr_core.camera import Camera, orbit
from anr_core.gaussians import Solids
from anr_core.rasterizer import gbuffer, rasterize
from anr_core.skeleton import ANNY
from anr_core.threads import running_on

REPEATS = 100
SIZES, FRAME_SIZES = (256, 512, 1024), (256, 512)
GAUSSIANS, FEATURES = 108, 16
PEERS = {"reference": 64, "pytorch3d": 256}  # at larger sizes a picture takes minutes

# start and end, metres, Y up, and radius
ARM_AND_LEG = [((0.20, 1.42, 0.0), (0.30, 1.15, 0.00), 0.050), ((0.31, 1.12, 0.00), (0.36, 0.85, 0.1), 0.042),
               ((0.09, 0.92, 0.0), (0.12, 0.52, 0.04), 0.080), ((0.12, 0.46, 0.04), (0.13, 0.10, 0.0), 0.060)]
LIMBS = [((0, 1.00, 0), (0, 1.45, 0), 0.150), ((0, 1.62, 0), (0, 1.75, 0), 0.110)] + [
    ((side * start[0], *start[1:]), (side * end[0], *end[1:]), radius)
    for side in (-1, 1) for start, end, radius in ARM_AND_LEG]
RINGS, SEGMENTS = 36, 38  # of a capsule, its two poles not counted
TILES = 4  # the atlas has 4 x 4 tiles, one a capsule


def bench(json: str | Path | None = None, all: bool = False, repeats: int = REPEATS) -> dict:
    """Time every stage, print a line for each, and return {stage: {size: {median_ms, p95_ms}}}.

    json     a file for the figures, or None
    all      also time slow peers: the reference backend, and PyTorch3D's where it is installed
    repeats  how often a stage is run; slow peers run three times at most

    The size of `body` is its number of vertices, that of all others the side of the picture.
    """
    print(hardware())
    results = {}
    for threads, stage, size, milliseconds in timings(all, repeats):
        median, p95 = np.percentile(milliseconds, [50, 95]).round(3).tolist()
        results.setdefault(stage, {})[str(size)] = {"median_ms": median, "p95_ms": p95}
        print(f"{stage:<20}{size:>6}   median {median:8.2f} ms   95th percentile {p95:8.2f} ms"
              f"{1000 / median:9.1f} a second   {threads} thread{'s' * (threads > 1)}")
    if json is not None:
        write_atomically(Path(json), json_format.dumps(results, indent=1).encode())
    return results


def hardware() -> str:
    """Processor, cores and versions in one line."""
    model = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return (f"{model}, {cores()} cores; Python {platform.python_version()}, torch {torch.__version__}, "
            f"warp {metadata.version('warp-lang')}")


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


# how it is timed


def clock(work: Callable[[], object], repeats: int, warm_up: int = 5) -> list[float]:
    """Milliseconds of each of many runs, after some that don't count."""
    milliseconds = []
    for _ in range(warm_up + repeats):
        started = time.perf_counter()
        work()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return milliseconds[warm_up:]


def clock_inside(work: Callable[[], object], modules: list[nn.Module], repeats: int) -> list[float]:
    """Milliseconds that modules take together in each of many runs of `work`."""
    spent = []

    def begin(*_):
        spent.append(-time.perf_counter())

    def end(*_):
        spent[-1] += time.perf_counter()

    handles = [handle for module in modules for handle in
               (module.register_forward_pre_hook(begin), module.register_forward_hook(end))]
    for _ in range(repeats):
        work()
    for handle in handles:
        handle.remove()
    return (1000 * np.reshape(spent, (repeats, -1)).sum(1)).tolist()


# the made-up person, and bones


def view(size: int) -> Camera:
    """A camera in whose square pictures the person covers 8 %."""
    return orbit(torch.tensor([0.0, 0.95, 0.0]), 0.4, 0.1, 5.3, 0.5, (size, size), (0, 1, 0))


def standing(anny: AnnyBody) -> Pose:
    """Anny's resting pose where the made-up person stands, with Y up."""
    return replace(anny.rest_pose(), root_rotation=torch.tensor([[-math.pi / 2, 0.0, 0.0]]),
                   root_translation=torch.tensor([[0.0, 0.95, 0.0]]))


def gaussian_bones(anny: AnnyBody) -> Solids:
    """Where the made-up person stands, with Y up."""
    joints = anny(anny.rest_pose()).joints
    joints = joints - (joints.amin(1, keepdim=True) + joints.amax(1, keepdim=True)) / 2
    upright = torch.stack([joints[..., 0], joints[..., 2] + 0.95, -joints[..., 1]], -1)
    bones = gaussians.solids_of(upright, ANNY)
    longest = bones.squared_scales[0, :, 0].topk(GAUSSIANS - len(ANNY.edges)).indices
    rows = torch.cat([torch.arange(len(ANNY.edges)), longest])
    return Solids(*(value[:, rows] for value in bones))


def person() -> TrackedBody:
    """Two registered meshes, in frames 0 and 1, the second swaying; frames between mix them."""
    rest = torch.cat([capsule(*limb) for limb in LIMBS])
    swayed = rest + torch.tensor([0.1, 0, 0]) * rest[:, 1:2]
    grid = capsule_faces()
    limb = torch.arange(len(LIMBS)).repeat_interleave(len(grid))
    faces = grid.repeat(len(LIMBS), 1) + limb[:, None] * (RINGS * SEGMENTS + 2)
    tile = torch.stack(torch.meshgrid(*[torch.arange(TILES)] * 2, indexing="ij"), -1).view(-1, 1, 2)
    uv = ((capsule_uv() + tile[:len(LIMBS)]) / TILES).flatten(0, 1)
    surface = Surface(faces, uv, faces, limb + 1)
    return TrackedBody(torch.tensor([0, 1]), torch.stack([rest, swayed]), surface, interpolate=True)


def capsule(start, end, radius: float) -> torch.Tensor:
    """(RINGS SEGMENTS + 2, 3) from start to end, metres: rings from pole to pole, then the two poles."""
    start, end = torch.tensor(start), torch.tensor(end)
    along = functional.normalize(end - start, dim=0)
    across = functional.normalize(torch.linalg.cross(along, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    third = torch.linalg.cross(along, across)
    down = torch.linspace(0, math.pi, RINGS + 2)[:, None]
    around = 2 * math.pi * torch.arange(SEGMENTS) / SEGMENTS
    width = radius * down.sin().clamp(min=0).sqrt()  # sqrt: fuller than an ellipsoid
    place = -down.cos() * ((end - start).norm() / 2 + radius)
    points = ((start + end) / 2 + place[..., None] * along
              + (width * around.cos())[..., None] * across + (width * around.sin())[..., None] * third)
    return torch.cat([points[1:-1].flatten(0, 1), points[[0, -1], 0]])


def capsule_faces() -> torch.Tensor:
    """(2 RINGS SEGMENTS, 3) counterclockwise from outside; a pole is a row that is one vertex."""
    row, segment = torch.meshgrid(torch.arange(RINGS + 1), torch.arange(SEGMENTS), indexing="ij")

    def corner(row, segment):
        inner = (row - 1) * SEGMENTS + segment % SEGMENTS
        return torch.where(row == 0, RINGS * SEGMENTS, torch.where(row > RINGS, RINGS * SEGMENTS + 1, inner))

    here, right, above, above_right = (corner(row + up, segment + side) for up in (0, 1) for side in (0, 1))
    return torch.cat([torch.stack([here, right, above], -1)[1:].flatten(0, 1),
                      torch.stack([right, above_right, above], -1)[:-1].flatten(0, 1)])


def capsule_uv() -> torch.Tensor:
    """(RINGS SEGMENTS + 2, 2) within a tile; the seam is not cut open, which timing doesn't mind."""
    rows, columns = torch.linspace(0.03, 0.97, RINGS + 2)[1:-1], torch.linspace(0.03, 0.97, SEGMENTS)
    rings = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).flatten(0, 1)
    return torch.cat([rings, torch.tensor([[0.5, 0.03], [0.5, 0.97]])])
