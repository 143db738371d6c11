"""Which point of one surface belongs to which of another, and how far they are apart.

Meshes of one registration know where a point of the body is in every frame. So what belongs together is found
in several poses at once and kept for all: where an arm lies on the belly, the other frames tell them apart.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch.nn import functional

# Metres: how far apart a right angle between normals counts, and from where on it doesn't matter how far.
RIGHT_ANGLE, FAR = 0.10, 0.10

CENTRES = 12  # nearest centres, of whose faces one is the nearest


def vertex_normals(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Unit normals (B, V, 3) of meshes (B, V, 3), weighted by the faces' areas."""
    a, b, c = (vertices[:, faces[:, corner]] for corner in range(3))
    across = torch.linalg.cross(b - a, c - a)
    summed = torch.zeros_like(vertices)
    for corner in range(3):
        summed.index_add_(1, faces[:, corner], across)
    return functional.normalize(summed, dim=-1)


def evenly(points: torch.Tensor, spacing: float) -> torch.Tensor:
    """(N,) of points (V, 3) about one in each cube of a side of `spacing`."""
    cube = np.floor(points.numpy() / spacing).astype(np.int64)
    return torch.from_numpy(np.sort(np.unique(cube, axis=0, return_index=True)[1]))


def nearest(points: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
    """(N,) which of `among` (M, D) is nearest to each of points (N, D)."""
    return torch.from_numpy(cKDTree(among.numpy()).query(points.numpy())[1])


def described(points: torch.Tensor, normals: torch.Tensor | None) -> torch.Tensor:
    """(..., 3 or 6) in which distance counts place and direction; normals may be unknown."""
    return points if normals is None else torch.cat([points, RIGHT_ANGLE / 2**0.5 * normals], -1)


def partners(query: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
    """(N,) which of described points (K, M, D) goes best with each of (K, N, D) over all of K frames.

    Each frame proposes its nearest, and whichever is nearest over all frames is taken.
    """
    proposed = torch.stack([nearest(one, other) for one, other in zip(query, among, strict=True)])
    apart = torch.stack([sum((one - other[row]).square().sum(-1).clamp(max=FAR**2)
                             for one, other in zip(query, among, strict=True)) for row in proposed])
    return proposed[apart.argmin(0), torch.arange(query.shape[1])]


# distances

def distances(points: torch.Tensor, vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """(N,) how far points (N, 3) are from the surface of a mesh (V, 3), among the faces with near centres."""
    corners = vertices[faces]
    near = torch.from_numpy(cKDTree(corners.mean(1).numpy()).query(points.numpy(), CENTRES)[1])
    return _to_triangles(points[:, None], *corners[near].unbind(2)).amin(1)


def _to_triangles(p, a, b, c):
    """Distances (...) of points from triangles, all (..., 3): beside one, that from its nearest edge."""
    normal = functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    to_edges, inside = [], None
    for one, other in ((a, b), (b, c), (c, a)):
        edge, away = other - one, p - one
        share = ((away * edge).sum(-1) / edge.square().sum(-1).clamp(min=1e-12)).clamp(0, 1)
        to_edges.append((away - share[..., None] * edge).norm(dim=-1))
        side = (torch.linalg.cross(edge, away) * normal).sum(-1) >= 0
        inside = side if inside is None else inside & side
    to_plane = ((p - a) * normal).sum(-1).abs()
    return torch.where(inside, to_plane, torch.stack(to_edges).amin(0))
