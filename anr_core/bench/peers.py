"""What stands beside ours: other rasterizers, and sampling and skinning as one writes them down first."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec

import torch
from torch.nn import functional

from anr_core.bench.clocking import clock
from anr_core.bench.made_up import view
from anr_core.body import Pose, Posed
from anr_core.body.anny import AnnyBody
from anr_core.rasterizer import gbuffer, rasterize
from anr_core.texture import Texture

BACKENDS = {"reference": 64, "pytorch3d": 256}  # at larger sizes a picture takes minutes
LONGEST = 3  # runs of a slow rasterizer that are timed at the most


def rasterizers(posed: Posed, repeats: int) -> Iterator[tuple[str, int, list[float]]]:
    """Stage, size and milliseconds of each run: other backends, and ours at the same size."""
    for backend, size in BACKENDS.items():
        if backend == "reference" or find_spec(backend):
            work = partial(rasterize, posed.vertices, posed.surface.faces, view(size), (size, size))
            yield f"rasterizer {backend}", size, clock(partial(work, backend), min(repeats, LONGEST), 0)
            if backend == "reference":  # too small a picture to be timed otherwise
                yield "rasterizer", size, clock(work, repeats)


def skinning(anny: AnnyBody, repeats: int) -> Iterator[tuple[str, int, list[float]]]:
    """The body with a matrix of weights."""
    weights, pose = dense_weights(anny), anny.rest_pose()
    yield "body plain", len(weights), clock(partial(plain_vertices, anny, weights, pose), repeats)


def sampling(texture: Texture, posed: Posed, size: int,
             repeats: int) -> Iterator[tuple[str, int, list[float]]]:
    """A texture, sampled at every pixel of a picture, covered or not."""
    buffer = gbuffer(posed, view(size), (size, size))
    uv, coverage, levels = buffer.image(buffer.uv), buffer.coverage(), pictures_of(texture)
    with torch.no_grad():
        yield "texture plain", size, clock(partial(plain_samples, levels, uv, coverage), repeats)


def dense_weights(anny: AnnyBody) -> torch.Tensor:
    """(V, J) how much each joint moves each vertex."""
    ends = torch.cat([anny.skin_start[1:], torch.tensor([len(anny.skin_joints)])])
    vertex = torch.repeat_interleave(torch.arange(len(ends)), ends - anny.skin_start)
    weights = torch.zeros(len(ends), len(anny.skeleton))
    return weights.index_put((vertex, anny.skin_joints), anny.skin_weights.to(weights), accumulate=True)


def plain_vertices(anny: AnnyBody, weights: torch.Tensor, pose: Pose) -> torch.Tensor:
    """Vertices (B, V, 3): each by the mean of its joints' matrices."""
    rest = anny.rest
    world_from_rest = anny.world_from_joint(rest, pose) @ rest.joint_from_rest
    blended = torch.einsum("vj,bjmn->bvmn", weights, world_from_rest)
    return (blended @ functional.pad(rest.vertices, (0, 1), value=1.0)[..., None])[..., :3, 0]


def pictures_of(texture: Texture) -> list[torch.Tensor]:
    """The levels of an atlas as pictures (1, C, h, w)."""
    return [level.detach().unflatten(0, size[1:]).permute(2, 0, 1)[None].contiguous()
            for level, size in zip(texture.levels, texture.sizes, strict=True)]


def plain_samples(levels: list[torch.Tensor], uv: torch.Tensor, coverage: torch.Tensor) -> torch.Tensor:
    """Channels (B, C, H, W) at texture coordinates (B, 2, H, W); 0 where coverage (B, 1, H, W) is."""
    u, v = uv.unbind(1)
    grid = torch.stack([2 * u - 1, 1 - 2 * v], -1)
    return coverage * sum(functional.grid_sample(level.expand(len(uv), -1, -1, -1), grid,
                                                 padding_mode="border", align_corners=False)
                          for level in levels)
