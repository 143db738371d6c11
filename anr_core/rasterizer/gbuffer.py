"""The G-buffer: what texture and renderer need to know of a drawn surface, on covered pixels alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional

from anr_core.body import Posed
from anr_core.camera import Camera
from anr_core.rasterizer.fragments import Fragments, corner_rows, scattered


@dataclass(frozen=True)
class GBuffer:
    """The covered pixels of B pictures, one row each; what is not asked for is not computed.

    pixels       (N,)    int64, flat indices into (B, H, W), ascending
    face         (N,)    int64
    barycentric  (N, 3)  weights of the face's corners
    depth        (N,)    camera Z, metres
    shape        (B, H, W)
    """

    pixels: torch.Tensor
    face: torch.Tensor
    barycentric: torch.Tensor
    depth: torch.Tensor
    shape: tuple[int, int, int]
    posed: Posed
    camera: Camera

    @staticmethod
    def of(fragments: Fragments, posed: Posed, camera: Camera) -> GBuffer:
        """The G-buffer of posed meshes that are rasterized already."""
        pixels = fragments.pixels
        return GBuffer(pixels, fragments.face_id.view(-1)[pixels].long(),
                       fragments.barycentric.flatten(0, 2).index_select(0, pixels),
                       fragments.depth.flatten()[pixels], tuple(fragments.face_id.shape), posed, camera)

    @cached_property
    def picture(self) -> torch.Tensor:
        """(N,) which picture of the batch a pixel belongs to."""
        return self.pixels // (self.shape[1] * self.shape[2])

    @cached_property
    def part(self) -> torch.Tensor:
        """(N,) int64 part of the surface, from 1."""
        return self.posed.surface.part.index_select(0, self.face)

    @cached_property
    def uv(self) -> torch.Tensor:
        """(N, 2) texture coordinates."""
        surface = self.posed.surface
        return weighted(surface.uv, surface.uv_faces.index_select(0, self.face), self.barycentric)

    @cached_property
    def position(self) -> torch.Tensor:
        """(N, 3) metres, world."""
        return weighted(self.posed.vertices.flatten(0, 1), self._rows, self.barycentric)

    @cached_property
    def normal(self) -> torch.Tensor:
        """(N, 3) smooth unit normals, world; they point out of the surface, also where its inside is seen."""
        normals = vertex_normals(self.posed.vertices, self.posed.surface.faces)
        return functional.normalize(weighted(normals.flatten(0, 1), self._rows, self.barycentric), dim=-1)

    @cached_property
    def camera_normal(self) -> torch.Tensor:
        """(N, 3) the same in camera coordinates: -Z looks at the camera."""
        return self._turned(self.normal)

    @cached_property
    def facing(self) -> torch.Tensor:
        """(N,) cosine between the normal and the direction to the camera: 1 squarely seen, 0 grazing."""
        return (self.towards * self.normal).sum(-1)

    @cached_property
    def towards(self) -> torch.Tensor:
        """(N, 3) unit directions from the surface to the camera, world."""
        camera = self.camera.to(self.position.dtype)
        if camera.projection == "weak":
            return -camera.R[:, 2].index_select(0, self.picture)
        return functional.normalize(camera.center.index_select(0, self.picture) - self.position, dim=-1)

    def _turned(self, vectors: torch.Tensor) -> torch.Tensor:
        """World vectors (N, 3) along the camera's axes: R's columns, weighted by the vectors' components."""
        columns = self.camera.R.transpose(1, 2).flatten(0, 1).to(vectors)
        rows = 3 * self.picture[:, None] + torch.arange(3, device=vectors.device)
        return weighted(columns, rows, vectors)

    @cached_property
    def _rows(self) -> torch.Tensor:
        return corner_rows(self.posed.surface.faces, self.face, self.picture, self.posed.vertices.shape[1])

    def image(self, values: torch.Tensor) -> torch.Tensor:
        """Values (N,) or (N, C) of the covered pixels as pictures (B, C, H, W), channels last, else 0."""
        columns = values[:, None] if values.ndim == 1 else values
        return scattered(columns, self.pixels, self.shape).permute(0, 3, 1, 2)

    def coverage(self) -> torch.Tensor:
        """(B, 1, H, W) 1 where the surface is seen, 0 elsewhere."""
        return self.image(torch.ones_like(self.depth.detach()))

    def iuv(self) -> torch.Tensor:
        """(B, 3, H, W) part, u and v; part 0 is background."""
        return self.image(torch.cat([self.part[:, None].to(self.uv), self.uv], -1))


def interpolate(fragments: Fragments, faces: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
    """Vertex attributes (B, V, C), or (V, C) shared by the batch, as seen: (B, H, W, C), background 0.

    Differentiable in the attributes and, through the barycentrics, in vertices and camera.
    """
    shape = fragments.face_id.shape
    pixels = fragments.pixels
    attributes = attributes.expand(shape[0], -1, -1)
    picture = pixels // (shape[1] * shape[2])
    rows = corner_rows(faces, fragments.face_id.view(-1)[pixels], picture, attributes.shape[1])
    weights = fragments.barycentric.flatten(0, 2).index_select(0, pixels)
    values = weighted(attributes.flatten(0, 1), rows, weights)
    return scattered(values, pixels, shape)


def weighted(table: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sums (N, C) of rows (N, 3) of a table (M, C) times weights (N, 3), without the (N, 3, C) in between."""
    table = table.contiguous()  # else torch adds up in another order, and the last bit changes
    return functional.embedding_bag(rows, table, per_sample_weights=weights.to(table), mode="sum")


def vertex_normals(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Unit normals (B, V, 3) of vertices (B, V, 3): the mean of the faces around, weighed by area.

    Faces are counterclockwise seen from outside. A vertex without a face gets 0. On CUDA the last bits may
    differ from run to run, unless torch.use_deterministic_algorithms is on.
    """
    table = vertices.flatten(0, 1)
    pictures = torch.arange(len(vertices), device=faces.device)[:, None]
    corners = (faces.T[:, None] + vertices.shape[1] * pictures).flatten(1)  # (3, B F) rows of the table
    a, b, c = (table.index_select(0, rows) for rows in corners)
    across = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(table)
    for rows in corners:
        total.index_add_(0, rows, across)
    return functional.normalize(total, dim=-1).view_as(vertices)
