"""How far the dressed person stands off the naked body, found from the outlines of many pictures.

Clothes and hair lie some centimetres off a registered body. Colours that are laid onto the naked surface from
several sides then don't meet: of a person in loose clothes, drawn with exact poses, the plain texture gains
0.8 dB inside the mesh when every vertex is moved along its normal by what is found here (1.1 dB by the true
offsets), and two fifths of the whole picture's error go. One number a vertex, the same in every pose, will
do: the true offsets of each frame would gain 0.1 dB more. Colours that don't meet, as a further equation,
brought nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from scipy import sparse
from scipy.spatial import cKDTree
from torch.nn import functional

from anr_core.avatars.outlines import Outline
from anr_core.body import Posed
from anr_core.capture.view import View
from anr_core.rasterizer import vertex_normals

# Fewer pictures don't surround the person: what they show at an outline is rather the error of a pose.
ENOUGH = 30

# Pictures that are looked at, at the most: what they need stays in memory, 600 KB each at 256 pixels.
PICTURES = 64

ROUNDS = 3

# Metres between which offsets are kept: a body may be fitted too thick, and clothes stand off further.
LEAST, MOST = -0.015, 0.08

# Metres of outline that weigh as much as one edge between vertices, and as one vertex held to where it is.
SMOOTH, REST = 6e-3, 7e-7


def displaced(posed: Posed, offsets: torch.Tensor) -> Posed:
    """The mesh with its vertices moved along their normals by offsets (V,), metres; any that follow stay."""
    normals = vertex_normals(posed.vertices, posed.surface.faces)
    offsets = functional.pad(offsets, (0, posed.vertices.shape[1] - len(offsets)))
    return replace(posed, vertices=posed.vertices + normals * offsets[:, None])


@torch.no_grad()
def displacement(views: Callable[[int], Iterable[tuple[View, Posed]]], count: int,
                 vertices: int) -> torch.Tensor:
    """Offsets (V,) in metres that bring the outlines of meshes closest to those of the masks.

    views     gives at the most so many of them, spread evenly: batches of one, of one surface
    count     how many there are in all; of less than 30 the offsets are zero
    vertices  V, the first of each mesh

    Minimises the squared gaps between outlines, and the differences between neighbours: a sparse linear
    problem, put up anew after each step (Gauss and Newton's method). Where no outline ever passes the offsets
    follow from their neighbours'.
    """
    if count < ENOUGH:
        return torch.zeros(vertices)
    seen = []
    for view, posed in views(PICTURES):
        faces, mesh = posed.surface.faces, posed.vertices[:, :vertices]
        seen.append((Outline.of(view), mesh[0], vertex_normals(mesh, faces)[0]))
    held = SMOOTH * _laplacian(faces.cpu().numpy(), seen[0][1].cpu().numpy()) + REST * sparse.eye(vertices)
    offsets = seen[0][1].new_zeros(vertices)
    for _ in range(ROUNDS):
        matrices, wanted, weights = zip(*(_equations(outline, mesh, normals, faces, offsets)
                                          for outline, mesh, normals in seen), strict=True)
        matrix = sparse.vstack(matrices)
        weighted = matrix.T.multiply(np.concatenate(weights) / len(seen)).tocsr()
        right = weighted @ np.concatenate(wanted)
        solved = sparse.linalg.splu((weighted @ matrix + held).tocsc()).solve(right)
        offsets = torch.from_numpy(solved).to(offsets).clamp(LEAST, MOST)
    return offsets


def _equations(outline, vertices, normals, faces, offsets):
    """What offsets near the given ones are to solve: (N, V) matrix, (N,) right sides, (N,) weights."""
    crossings = outline.crossed_by(vertices + normals * offsets[:, None], faces)
    moved = (crossings.at(normals) * crossings.across).sum(1)
    use = moved > 0.2  # elsewhere the outline hardly moves with the offsets, and says nothing of them
    rows, share = torch.arange(len(moved)).repeat_interleave(3), crossings.barycentric * moved[:, None]
    matrix = sparse.csr_matrix((share.flatten().cpu(), (rows, crossings.corners.flatten().cpu())),
                               (len(moved), len(offsets)))
    wanted = crossings.at(offsets) * moved + crossings.gap
    return matrix, wanted.cpu().numpy(), (crossings.weight * use).cpu().numpy()


def _laplacian(faces: np.ndarray, vertices: np.ndarray) -> sparse.csr_matrix:
    """Of the mesh's edges, and of links from its smaller pieces (eyes, tongue) to what lies next to them."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, piece = sparse.csgraph.connected_components(_adjacent(edges, len(vertices)))
    main = piece == np.bincount(piece).argmax()
    if not main.all():
        _, nearest = cKDTree(vertices[main]).query(vertices[~main])
        links = np.stack([np.flatnonzero(~main), np.flatnonzero(main)[nearest]], 1)
        edges = np.concatenate([edges, links])
    return sparse.csgraph.laplacian(_adjacent(edges, len(vertices)))


def _adjacent(edges, count):
    graph = sparse.coo_matrix((np.ones(len(edges)), tuple(edges.T)), (count, count)).tocsr()
    return ((graph + graph.T) > 0).astype(np.float64)
