"""What SMPLpix is shown of a posed mesh: its surface in colour, or its vertices as points.

An input is (B, 5, H, W) in [0, 1]: straight colour (3), how near the surface is (1), and coverage (1), which
is all 0 beside the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from anr_core.avatars.conditions import Light
from anr_core.body import Posed, Surface
from anr_core.camera import Camera
from anr_core.rasterizer import GBuffer, gbuffer, vertex_normals
from anr_core.rasterizer.gbuffer import weighted
from anr_core.texture import bilinear, chart_of

CHANNELS = 5

KINDS = ("texture", "vertices", "shading", "points")

# Metres nearer than the middle of the person at which nearness is 1, an arm's length; as far behind it is all
# but 0.
REACH = 0.8

# Samples a pixel's side: a texture that is drawn with one is as jagged as no camera sees it.
FINER = 2


@dataclass(frozen=True)
class Look:
    """How a mesh is coloured and drawn.

    kind    "texture"   the surface, coloured by texels
            "vertices"  the surface, coloured by its vertices, which have the colours of their texels
            "shading"   the surface in grey, the brighter the more it faces the camera
            "points"    vertices alone, each one pixel, with their colours
    points  how many vertices are drawn as points, spread over all; 0 for all
    texels  (P * h * w, 3) colours, row by row
    size    (P, h, w)
    light   what shines on the surface; None where the colours are as they are
    """

    kind: str
    points: int
    texels: torch.Tensor
    size: tuple[int, int, int]
    light: Light | None = None


def draw_input(posed: Posed, camera: Camera, size: tuple[int, int],
               look: Look) -> tuple[torch.Tensor, GBuffer | None]:
    """The input (B, 5, H, W) of posed meshes, and the surface at twice the size where it was drawn."""
    middle = camera.project(posed.vertices.mean(1, keepdim=True))[1][:, 0]
    if look.kind == "points":
        return points(posed, camera, size, look, middle), None
    fine = tuple(FINER * side for side in size)
    buffer = gbuffer(posed, replace(camera, size=size).resize(fine), fine)
    near = nearness(buffer.depth, middle[buffer.picture])
    values = torch.cat([surface_colours(buffer, look), near[:, None], torch.ones_like(near)[:, None]], 1)
    return averaged(buffer.image(values)), buffer


def averaged(fine: torch.Tensor) -> torch.Tensor:
    """Pictures (B, C, FINER H, FINER W) as (B, C, H, W), whose last channel is coverage.

    The others become straight: what is beside the mesh takes no part in a mean.
    """
    image = functional.avg_pool2d(fine, FINER)
    coverage = image[:, -1:]
    return torch.cat([image[:, :-1] / coverage.clamp(min=1e-6), coverage], 1)


def surface_layers(buffer: GBuffer) -> dict[str, torch.Tensor]:
    """Depth, parts with their texture coordinates, and normals, of a surface drawn FINER times as large."""
    columns = buffer.depth[:, None], buffer.part[:, None].to(buffer.uv), buffer.uv, buffer.camera_normal
    depth, iuv, normals = buffer.image(torch.cat(columns, 1))[..., ::FINER, ::FINER].split([1, 3, 3], 1)
    return {"depth": depth, "iuv": iuv, "normals": normals}


def surface_colours(buffer: GBuffer, look: Look) -> torch.Tensor:
    """Colours (N, 3) of the covered pixels."""
    if look.kind == "shading":
        # no black: that is what lies beside the mesh
        return (0.2 + 0.8 * buffer.facing.clamp(0, 1))[:, None].expand(-1, 3)
    if look.kind == "texture":
        colours = bilinear(look.texels, look.size, chart_of(buffer.part, look.size[0]), buffer.uv)
    else:
        surface = buffer.posed.surface
        colours = weighted(vertex_colours(surface, buffer.posed.vertices.shape[1], look),
                           surface.faces.index_select(0, buffer.face), buffer.barycentric)
    return colours if look.light is None else (colours * look.light(buffer.normal)).clamp(max=1)


def vertex_colours(surface: Surface, count: int, look: Look) -> torch.Tensor:
    """Colours (V, 3): of each vertex that at one of its places in the atlas."""
    corner = torch.zeros(count, dtype=torch.int64, device=surface.faces.device)
    corner[surface.faces.flatten()] = torch.arange(surface.faces.numel(), device=surface.faces.device)
    uv = surface.uv[surface.uv_faces.flatten()[corner]]
    chart = chart_of(surface.part[corner // 3], look.size[0])
    return bilinear(look.texels, look.size, chart, uv)


def nearness(depth: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
    """1 at REACH before the middle of the person or nearer, 0.5 at the middle; never 0, as background is."""
    return (0.5 + 0.5 * (middle - depth) / REACH).clamp(0.05, 1)


def points(posed: Posed, camera: Camera, size: tuple[int, int], look: Look,
           middle: torch.Tensor) -> torch.Tensor:
    """Vertices as single pixels (B, 5, H, W), of several in one pixel the nearest.

    Source: Prokudin et al., SMPLpix, WACV 2021, section 3.1.
    """
    chosen = spread_vertices(posed.vertices.shape[1], look.points).to(posed.vertices.device)
    pixels, depth = camera.project(posed.vertices[:, chosen])
    column, row = pixels.floor().long().unbind(-1)
    there = (depth > 0) & (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    picture = torch.arange(len(depth), device=depth.device)[:, None].expand_as(depth)
    place = ((picture * size[0] + row) * size[1] + column)[there]
    depth, vertex, picture = depth[there], torch.arange(len(chosen), device=depth.device).expand_as(
        there)[there], picture[there]
    count = len(posed.vertices) * size[0] * size[1]
    nearest = torch.full((count,), torch.inf, device=depth.device).scatter_reduce(0, place, depth, "amin")
    wins = depth == nearest[place]
    # of those equally near the first: the same picture on every machine
    first = torch.full((count,), len(chosen), device=depth.device).scatter_reduce(
        0, place[wins], vertex[wins], "amin")
    wins &= vertex == first[place]
    colours = vertex_colours(posed.surface, posed.vertices.shape[1], look)[chosen].expand(
        len(there), -1, -1)
    if look.light is not None:
        normals = vertex_normals(posed.vertices, posed.surface.faces)[:, chosen]
        colours = colours * look.light(normals.flatten(0, 1)).view_as(normals)
    near = nearness(depth, middle[picture])[wins, None]
    image = depth.new_zeros(count, CHANNELS)
    image[place[wins]] = torch.cat([colours[picture[wins], vertex[wins]].clamp(max=1), near,
                                    torch.ones_like(near)], 1)
    return image.view(len(posed.vertices), *size, CHANNELS).permute(0, 3, 1, 2)


def spread_vertices(count: int, most: int) -> torch.Tensor:
    """At most so many of a mesh's vertices, all for 0, at random but always the same ones, ascending."""
    if not 0 < most < count:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most].sort().values
