"""Which point of one surface belongs to which of another, and how far they are apart.

Meshes of one registration know where a point of the body is in every frame. So what belongs together is found
in several poses at once and kept for all: where an arm lies on the belly, the other frames tell them apart.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.spatial import cKDTree
from torch.nn import functional

# Metres: how far apart a right angle between normals counts, and from where on it doesn't matter how far.
RIGHT_ANGLE, FAR = 0.10, 0.10

# Of bare points: how many are looked at for neighbours, and how many of them become a fan of triangles.
AROUND, FAN = 24, 8

CENTRES = 12  # nearest centres, of whose faces one is the nearest


def vertex_normals(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Unit normals (B, V, 3) of meshes (B, V, 3), weighted by the faces' areas."""
    a, b, c = (vertices[:, faces[:, corner]] for corner in range(3))
    across = torch.linalg.cross(b - a, c - a)
    summed = torch.zeros_like(vertices)
    for corner in range(3):
        summed.index_add_(1, faces[:, corner], across)
    return functional.normalize(summed, dim=-1)


def fans(points: torch.Tensor) -> torch.Tensor:
    """Faces (N FAN, 3) around each of bare points (F, N, 3), which look out: enough to have normals by.

    Neighbours are those that stay near in all frames. Planes through them look the same way as those beside,
    along a tree of the most alike, and out at its top. Source: Hoppe et al., "Surface reconstruction from
    unorganized points", 1992, section 3.3.
    """
    near = torch.from_numpy(cKDTree(points[0].numpy()).query(points[0].numpy(), AROUND + 1)[1][:, 1:])
    apart = torch.stack([(frame[near] - frame[:, None]).norm(dim=-1) for frame in points]).amax(0)
    near = near.gather(1, apart.argsort(1)[:, :FAN])
    to_near = points[0][near] - points[0][:, None]
    about = to_near - to_near.mean(1, keepdim=True)
    axes = torch.linalg.eigh(about.mT @ about)[1]
    normal = _looking_out(points[0], axes[..., 0], near)
    side = axes[..., 2]
    angle = torch.atan2((to_near * torch.linalg.cross(normal, side)[:, None]).sum(-1),
                        (to_near * side[:, None]).sum(-1))
    around = near.gather(1, angle.argsort(1))
    centre = torch.arange(len(near))[:, None].expand_as(around)
    return torch.stack([centre, around, around.roll(-1, 1)], -1).flatten(0, 1)


def _looking_out(points, normal, near):
    """Normals (N, 3) with the signs that make neighbours (N, K) look the same way."""
    row, column = torch.arange(len(near)).repeat_interleave(near.shape[1]), near.flatten()
    unlike = 1.001 - (normal[row] * normal[column]).sum(-1).abs()  # zero would be no edge
    graph = coo_array((unlike.numpy(), (row.numpy(), column.numpy())), shape=(len(near),) * 2).tocsr()
    tree, normal = minimum_spanning_tree(graph), normal.clone()
    todo = np.ones(len(near), bool)
    while todo.any():  # fingers may be islands
        top = int(np.flatnonzero(todo)[points.numpy()[todo, 2].argmax()])
        normal[top] *= 1.0 if normal[top, 2] >= 0 else -1.0
        order, parents = breadth_first_order(tree, top, directed=False)
        for one in order[1:].tolist():
            if normal[one] @ normal[parents[one]] < 0:
                normal[one] *= -1
        todo[order] = False
    return normal


def evenly(points: torch.Tensor, spacing: float) -> torch.Tensor:
    """(N,) of points (V, 3) about one in each cube of a side of `spacing`."""
    cube = np.floor(points.numpy() / spacing).astype(np.int64)
    return torch.from_numpy(np.sort(np.unique(cube, axis=0, return_index=True)[1]))


def nearest(points: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
    """(N,) which of `among` (M, D) is nearest to each of points (N, D)."""
    return torch.from_numpy(cKDTree(among.numpy()).query(points.numpy())[1])


def described(points: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """(..., 6) in which distance counts place and direction."""
    return torch.cat([points, RIGHT_ANGLE / 2**0.5 * normals], -1)


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
