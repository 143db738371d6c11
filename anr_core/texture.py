"""The neural texture: learned channels on a body's surface, sampled where the rasterizer sees it.

A texture is a pyramid whose levels are summed (Laplacian style; Thies et al., Deferred Neural Rendering,
2019, section 4.1), on one atlas for the whole body or one chart a part. `Unwrapping` turns frames into an RGB
texture; `mix` puts parts of one person's texture onto another's.

`h w` are texels of a level, `N` surface points, `P` charts. The uv origin is the bottom left; row 0 is the
top.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.ndimage import distance_transform_edt
from torch import nn
from torch.nn import functional

from anr_core.body import Posed, Surface
from anr_core.body.atlas import mirrored
from anr_core.camera import Camera
from anr_core.rasterizer import rasterize, vertex_normals

DOUBTED = 0.1  # a weight of one grazing view, below which neighbours know a texel's colour better
GRAZED = 0.1   # of the weight that the body's other side has, below which that side knows it better


def bilinear(table: torch.Tensor, size: tuple[int, int, int], chart: torch.Tensor,
             uv: torch.Tensor) -> torch.Tensor:
    """Sample charts at surface points, bilinearly; beyond the outermost texel centres the border is repeated.

    table    (P * h * w, C)  texels, row by row
    size     (P, h, w)
    chart    (N,)            int64, from 0
    uv       (N, 2)          in [0, 1]
    returns  (N, C)          differentiable in table and uv
    """
    _, height, width = size
    x = (uv[:, 0] * width - 0.5).clamp(0, width - 1)
    y = ((1 - uv[:, 1]) * height - 0.5).clamp(0, height - 1)
    left = x.detach().floor().clamp(max=max(width - 2, 0))
    top = y.detach().floor().clamp(max=max(height - 2, 0))
    right_share, bottom_share = x - left, y - top
    corner = (chart * height + top.long()) * width + left.long()
    across, down = min(1, width - 1), width * min(1, height - 1)
    taps = torch.stack([corner, corner + across, corner + down, corner + down + across], 1)
    shares = torch.stack([(1 - right_share) * (1 - bottom_share), right_share * (1 - bottom_share),
                          (1 - right_share) * bottom_share, right_share * bottom_share], 1)
    # one fused gather and sum: a sixth of the time of grid_sample with its backward
    return functional.embedding_bag(taps, table, mode="sum", per_sample_weights=shares)


def chart_of(part: torch.Tensor, charts: int) -> torch.Tensor:
    """The chart (N,), from 0, of surface points of part (N,), from 1: one a part, or the single atlas."""
    return part - 1 if charts > 1 else torch.zeros_like(part)


def table(picture: torch.Tensor) -> torch.Tensor:
    """A picture (P, C, h, w) as rows of texels (P * h * w, C), as `bilinear` takes them."""
    return picture.movedim(1, -1).flatten(0, 2)


def sheet(picture: torch.Tensor) -> torch.Tensor:
    """Charts (P, C, h, w) as one picture (C, H, W), in rows of as many as make it about square; rest is 0."""
    across = math.ceil(math.sqrt(len(picture)))
    rows = math.ceil(len(picture) / across)
    filled = functional.pad(picture, (0, 0) * 3 + (0, rows * across - len(picture)))
    charts = filled.unflatten(0, (rows, across)).permute(2, 0, 3, 1, 4)  # (C, rows, h, across, w)
    return charts.flatten(3, 4).flatten(1, 2)


def sheet_of(texels: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """Rows of texels (P * h * w, C), which `table` made, as one picture (C, H, W)."""
    return sheet(texels.unflatten(0, size).movedim(-1, 1))


class Texture(nn.Module):
    """Learned channels on a surface.

    channels  C
    size      side of the finest level, texels; each further level is half as wide
    levels    number of levels, whose samples are summed
    charts    1 for one atlas, or the number of parts for one chart a part
    """

    def __init__(self, channels: int = 16, size: int = 512, levels: int = 4, charts: int = 1):
        super().__init__()
        self.channels, self.charts = channels, charts
        self.sizes = [(charts, size >> level, size >> level) for level in range(levels)]
        if self.sizes[-1][1] < 1:
            raise ValueError(f"a texture of {size} texels has no {levels} levels; "
                             "use a larger size or fewer levels.")
        self.levels = nn.ParameterList(nn.Parameter(torch.zeros(p * h * w, channels))
                                       for p, h, w in self.sizes)

    def forward(self, part: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
        """Channels (N, C) at surface points: part (N,) from 1, uv (N, 2)."""
        chart = chart_of(part, self.charts)
        return sum(bilinear(level, size, chart, uv)
                   for level, size in zip(self.levels, self.sizes, strict=True))

    def image(self) -> torch.Tensor:
        """The sum of the levels (P, C, h, w) at the finest size, for looking at."""
        finest = self.sizes[0][1:]
        return sum(functional.interpolate(self._picture(level), size=finest, mode="bilinear",
                                          align_corners=False) for level in range(len(self.levels)))

    def regularization(self, channels: slice = slice(None)) -> torch.Tensor:
        """Mean square of some channels of the levels, each finer one weighed four times the next coarser.

        What a coarse level can say is cheaper there, so that texels which no frame shows stay smooth.
        """
        return sum(level[:, channels].square().mean() * 0.25**depth
                   for depth, level in enumerate(self.levels))

    @torch.no_grad()
    def initialize(self, rgb: torch.Tensor, generator: torch.Generator | None = None,
                   noise: float = 0.05) -> None:
        """Write a picture (P, 3, h, w) into channels 0 to 2, and small noise into the others."""
        self.write(rgb)
        coarse = self.levels[-1]
        coarse[:, 3:] = noise * torch.randn(coarse[:, 3:].shape, generator=generator)

    @torch.no_grad()
    def write(self, picture: torch.Tensor) -> None:
        """Write a picture (P, c, h, w) into the first c channels.

        Each level takes what the coarser ones left, so that the sum is the picture and unseen detail is zero.
        """
        missing = picture
        for level in reversed(range(len(self.levels))):
            size = self.sizes[level][1:]
            coarse = functional.interpolate(missing, size=size, mode="area")
            self.levels[level][:, :picture.shape[1]] = table(coarse)
            missing = missing - functional.interpolate(coarse, size=missing.shape[-2:], mode="bilinear",
                                                       align_corners=False)

    def _picture(self, level: int) -> torch.Tensor:
        charts, height, width = self.sizes[level]
        return self.levels[level].view(charts, height, width, self.channels).movedim(-1, 1)


# two people's textures


@torch.no_grad()
def mix(mine: Texture, other: Texture, share: torch.Tensor) -> Texture:
    """A texture that is the other's where share (P, 1, h, w) is 1 and mine where it is 0.

    Both have the same sizes, channels and charts, and were trained with the same renderers: else the channels
    of one mean nothing to the other's.
    """
    mixed = copy.deepcopy(mine)
    mixed.write(torch.lerp(mine.image(), other.image(), share))
    return mixed


def belonging(parts: Iterable[int], surface: Surface) -> torch.Tensor:
    """How much each vertex belongs to some parts: (V,), going from 0 to 1 within some edges of a seam."""
    member = torch.isin(surface.part, torch.tensor(list(parts), device=surface.part.device)).float()
    corners, count = surface.faces.flatten(), int(surface.faces.max()) + 1
    around = torch.zeros(count, 2, device=corners.device)
    around.index_add_(0, corners, torch.stack([member, torch.ones_like(member)], 1).repeat_interleave(3, 0))
    share = around[:, :1] / around[:, 1:].clamp(min=1)
    # weight 0.01: half-way values reach some four edges far, 5 cm on Anny; the ends are cut to 0 and 1
    share = spread(share, torch.full_like(share[:, 0], 0.01), surface.faces)
    return ((share - 0.1) / 0.8).clamp(0, 1)[:, 0]


def on_texels(values: torch.Tensor, surface: Surface, size: int, charts: int = 1) -> torch.Tensor:
    """Vertex values (V,) as a picture (P, 1, h, w), in which both sides of a cut of the atlas agree."""
    picture = torch.zeros(charts, 1, size, size, device=values.device)
    for chart in range(charts):
        texels = _texels(surface, size, None if charts == 1 else chart + 1)
        picture[chart].flatten(1)[:, texels.place] = _on_surface(values[:, None], surface.faces, texels).T
        _extend(picture[chart], texels.place)
    return picture


@torch.no_grad()
def weave(rgb: torch.Tensor, surface: Surface, charts: Surface, size: int, count: int) -> torch.Tensor:
    """An atlas, or charts, as other charts: of a picture (P, C, h, w) what it shows, (count, C, size, size).

    surface  whose coordinates the picture has
    charts   the same triangles, with those that are wanted, a chart a part
    """
    source, shape = table(rgb), (len(rgb), *rgb.shape[-2:])
    woven = rgb.new_zeros(count, rgb.shape[1], size, size)
    for chart in range(count):
        texels = _texels(charts, size, chart + 1)
        if not len(texels.place):
            continue
        corners = surface.uv[surface.uv_faces[texels.face]]
        uv = (corners * texels.barycentric[..., None]).sum(1)
        part = surface.part[texels.face]
        woven[chart].flatten(1)[:, texels.place] = bilinear(source, shape, chart_of(part, len(rgb)), uv).T
        _extend(woven[chart], texels.place)
    return woven


# from frames to texture


class Unwrapping:
    """Frames, laid onto the surface: the mean colour of every texel, weighed by how squarely it was seen.

    surface  whose texels these are; pictures come on its device
    size     texels a side
    charts   1, or the number of parts for one chart a part
    groups   number of groups that pictures fall into; a texture can be had with one group left out

    A texel is seen where the depth buffer has nothing nearer and the picture can be trusted; its weight is
    the squared cosine between normal and ray. What no picture shows takes the colours of the body's other
    side, of Anny where that was seen: so half a face is a face. Else it takes those around it on the surface.
    """

    def __init__(self, surface: Surface, size: int, charts: int = 1, groups: int = 1):
        self.surface, self.size, self.charts = surface, size, charts
        parts = [None] if charts == 1 else range(1, charts + 1)
        self.texels = [_texels(surface, size, part) for part in parts]
        self.sums = [surface.uv.new_zeros(groups, len(texels.place), 4) for texels in self.texels]
        self.vertices = 0

    @torch.no_grad()
    def add(self, image: torch.Tensor, trusted: torch.Tensor, posed: Posed, camera: Camera,
            groups: Iterable[int] = (0,)) -> None:
        """Lay one picture (1, 3, H, W) on, where trusted (1, 1, H, W); it counts in each of the groups."""
        fragments = rasterize(posed.vertices, self.surface.faces, camera, image.shape[-2:])
        normals = vertex_normals(posed.vertices, self.surface.faces)[0]
        self.vertices = posed.vertices.shape[1]
        for texels, sums in zip(self.texels, self.sums, strict=True):
            seen = _seen(texels, self.surface, posed.vertices[0], normals, image, trusted, camera,
                         fragments.depth)
            for group in groups:
                sums[group] += seen

    @torch.no_grad()
    def texture(self, group: int = 0, without: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """What the pictures of a group show, or those of it that are not in another one.

        returns  (P, 3, h, w) sRGB in [0, 1], holes filled; (P, 1, h, w) the summed weights, 0 in holes
        """
        if not self.vertices:
            raise ValueError("There is no picture to take the texture from; train on at least one view.")
        rgb, weight = (self.surface.uv.new_zeros(self.charts, channels, self.size, self.size)
                       for channels in (3, 1))
        totals = [sums[group] if without is None else (sums[group] - sums[without]).clamp(min=0)
                  for sums in self.sums]
        around = _vertex_colours(self.texels, totals, self.surface, self.vertices)
        colours, bound, doubted = _with_other_side(*around, mirrored(self.surface))
        colours = spread(colours, bound, self.surface.faces)
        for chart, (texels, total) in enumerate(zip(self.texels, totals, strict=True)):
            around = _on_surface(colours, self.surface.faces, texels)
            mean = total[:, :3] / total[:, 3:].clamp(min=1e-6)
            trust = (total[:, 3:] / _on_surface(doubted[:, None], self.surface.faces, texels)).clamp(max=1)
            rgb[chart].flatten(1)[:, texels.place] = torch.lerp(around, mean, trust).T
            weight[chart].flatten(1)[:, texels.place] = total[:, 3:].T
            for picture in (rgb[chart], weight[chart]):
                _extend(picture, texels.place)
        return rgb, weight


@dataclass(frozen=True)
class _Texels:
    """The texels of one chart that lie on the surface: flat index, face and barycentrics."""

    place: torch.Tensor
    face: torch.Tensor
    barycentric: torch.Tensor


def _texels(surface: Surface, size: int, part: int | None) -> _Texels:
    """What is drawn where when the UV layout is looked at squarely from above."""
    chosen = (surface.part == part if part else surface.part > 0).nonzero()[:, 0]
    u, v = surface.uv.T
    layout = torch.stack([u, 1 - v, torch.ones_like(u)], 1)[None]
    K = torch.diag(torch.tensor([size, size, 1.0]))[None]
    above = Camera(K, torch.eye(3)[None], torch.zeros(1, 3), projection="weak").to(surface.uv.device)
    fragments = rasterize(layout, surface.uv_faces[chosen], above, (size, size))
    place = fragments.pixels
    return _Texels(place, chosen[fragments.face_id.flatten()[place].long()],
                   fragments.barycentric.flatten(0, 2)[place])


def _on_surface(values: torch.Tensor, faces: torch.Tensor, texels: _Texels) -> torch.Tensor:
    """Vertex values (V, C) at the texels (N, C)."""
    return (values[faces[texels.face]] * texels.barycentric[..., None]).sum(1)


def _seen(texels, surface, vertices, normals, image, trusted, camera, depth):
    """Colour times weight, and weight, of every texel in one picture: (N, 4)."""
    place = _on_surface(vertices, surface.faces, texels)[None]
    normal = functional.normalize(_on_surface(normals, surface.faces, texels), dim=-1)
    pixels, far = camera.project(place)
    grid = (2 * pixels / pixels.new_tensor([image.shape[3], image.shape[2]]) - 1)[:, None]
    planes = torch.cat([image, trusted.to(image)], 1)
    sampled = functional.grid_sample(planes, grid, align_corners=False)[0, :, 0].T
    nearest = functional.grid_sample(depth[None], grid, mode="nearest", align_corners=False)[0, 0, 0]
    facing = (camera.view_directions(place)[0] * normal).sum(-1).clamp(min=0)
    # 2 cm: twice what the depth of one pixel differs by on a slanted limb, half a wrist
    visible = (far[0] > 0) & ((far[0] - nearest).abs() < 0.02) & (sampled[:, 3] > 0.999)
    weight = (facing.square() * visible)[:, None]
    return torch.cat([sampled[:, :3] * weight, weight], 1)


def _vertex_colours(texels, total, surface, count):
    """Weighed mean colour (V, 3) of the texels around each vertex, their weight (V,) and number (V,)."""
    table = surface.uv.new_zeros(count, 5)
    for t, sums in zip(texels, total, strict=True):
        told = torch.cat([sums, torch.ones_like(sums[:, :1])], 1)
        for corner in range(3):
            table.index_add_(0, surface.faces[t.face, corner], told * t.barycentric[:, corner, None])
    return table[:, :3] / table[:, 3:4].clamp(min=1e-6), table[:, 3], table[:, 4]


def _with_other_side(colours, weight, around, across):
    """Vertex colours (V, 3) and weights (V,) with those of vertices across (V,) where there are none, and the
    mean weight (V,) of the texels around below which that is so.

    around  (V,) how many texels these are
    """
    doubted = torch.full_like(weight, DOUBTED)
    if across is None or len(across) != len(weight):
        return colours, weight, doubted
    mean = weight / around.clamp(min=1e-6)
    # whatever grazes the surface in every picture is as often what stands before it, of a body a little off
    doubted = torch.maximum(doubted, GRAZED * mean[across])
    doubt = (1 - mean / doubted).clamp(min=0)
    # a weight of 1 binds about as much as the neighbours do, so that there is no edge where sides meet
    own, lent = weight * (1 - doubt), weight[across].clamp(max=1) * doubt
    total = own + lent
    mixed = (own[:, None] * colours + lent[:, None] * colours[across]) / total[:, None].clamp(min=1e-6)
    return mixed, total, doubted


def spread(colours: torch.Tensor, weight: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Vertex colours (V, 3) smoothed over the edges of a mesh until those of weight 0 have one too.

    Solves (W + D - A) x = W c with D - A the graph Laplacian: a vertex of much weight keeps its colour,
    others take the mean of their neighbours. Parts of the mesh without any colour get the mean of all.
    """
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).cpu().numpy()
    count, known = len(colours), weight > 0
    if not bool(known.any()):
        return torch.full_like(colours, 0.5)
    adjacency = sparse.coo_matrix((np.ones(len(edges)), tuple(edges.T)), (count, count)).tocsr()
    adjacency = ((adjacency + adjacency.T) > 0).astype(np.float64)
    keep = weight.double() * 10 + 1e-6  # 1e-6 towards the mean: an island without colour has one solution
    mean = (colours[known].double() * weight[known, None]).sum(0) / weight[known].sum()
    wanted = (weight.double()[:, None] * 10 * colours + 1e-6 * mean).cpu().numpy()
    matrix = sparse.diags(keep.cpu().numpy()) + sparse.csgraph.laplacian(adjacency)
    solved = sparse.linalg.splu(matrix.tocsc()).solve(wanted)
    return torch.from_numpy(solved).to(colours)


def _extend(picture: torch.Tensor, place: torch.Tensor) -> None:
    """Continue a chart (C, h, w) beyond its outline, so that bilinear samples at its edge stay clean."""
    empty = np.ones(picture.shape[1:], bool)
    empty.reshape(-1)[place.cpu().numpy()] = False
    nearest = distance_transform_edt(empty, return_distances=False, return_indices=True)
    rows, columns = torch.from_numpy(nearest).to(picture.device)
    picture.copy_(picture[:, rows, columns])
