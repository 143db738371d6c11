"""Sewing patterns: sheets of cloth, grids of quads, sewn along their edges and wrapped around a body.

A sheet's rows go up and its columns to the right, for somebody who looks at it from outside. Corners of
sheets that have the same key are one vertex: that is what sewing means here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.spatial import ConvexHull, cKDTree


@dataclass(frozen=True)
class Figure:
    """A body in the zero pose, for clothes to be measured on.

    vertices, normals (V, 3), faces (F, 3), weights (V, J) of joints by names, with parents, at joints (J, 3)
    """

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    names: tuple[str, ...]
    parents: tuple[int, ...]
    joints: np.ndarray

    def at(self, name: str) -> np.ndarray:
        """(3,) where a joint rests, metres."""
        return self.joints[self.names.index(name)]

    def moved_by(self, *names: str) -> np.ndarray:
        """(V,) weight of these joints and of all that hang on them."""
        chosen = [self.names.index(name) for name in names]
        for joint, parent in enumerate(self.parents):  # parents come first
            if parent in chosen:
                chosen.append(joint)
        return self.weights[:, sorted(set(chosen))].sum(1)

    def section(self, part: np.ndarray, point, normal) -> np.ndarray:
        """Where a plane cuts the edges of a part (V,) of the body: points (N, 3)."""
        edges = self.edges[part[self.edges].all(1)]
        side = (self.vertices - point) @ normal
        edges = edges[side[edges[:, 0]] * side[edges[:, 1]] < 0]
        a, b = side[edges[:, 0], None], side[edges[:, 1], None]
        return (b * self.vertices[edges[:, 0]] - a * self.vertices[edges[:, 1]]) / (b - a)

    @cached_property
    def edges(self) -> np.ndarray:
        """The edges of its faces, (E, 2)."""
        return edges_of(self.faces)


class Pattern:
    """Sheets being sewn together."""

    def __init__(self):
        self.ids, self.sums, self.counts = {}, [], []
        self.quads, self.sheets = [], []

    def sheet(self, name: str, keys, places: np.ndarray):
        """Add a sheet: keys [R][C] of hashables, places (R, C, 3) metres."""
        ids = np.empty(places.shape[:2], np.int64)
        for index in np.ndindex(ids.shape):
            key = keys[index[0]][index[1]]
            ids[index] = self.ids.setdefault(key, len(self.ids))
            if ids[index] == len(self.sums):
                self.sums.append(np.zeros(3))
                self.counts.append(0)
            self.sums[ids[index]] += places[index]
            self.counts[ids[index]] += 1
        self.quads.append(quads_of(ids))
        self.sheets.append((name, ids))

    @property
    def places(self) -> np.ndarray:
        """(V, 3) the vertices: each the mean of all places that were given for it."""
        return np.stack(self.sums) / np.array(self.counts)[:, None]

    def of(self, keys) -> np.ndarray:
        """Indices of the vertices that keys name."""
        return np.array([self.ids[key] for key in keys])


def quads_of(ids: np.ndarray) -> np.ndarray:
    """The cells of a grid of ids (R, C), counterclockwise: (Q, 4)."""
    return np.stack([ids[:-1, :-1], ids[:-1, 1:], ids[1:, 1:], ids[1:, :-1]], -1).reshape(-1, 4)


def triangles(quads: np.ndarray) -> np.ndarray:
    """Two triangles a quad (2 Q, 3), their diagonals in turn this way and that."""
    turned = np.where((np.arange(len(quads)) % 2 == 1)[:, None], np.roll(quads, 1, axis=1), quads)
    return np.stack([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]], 1).reshape(-1, 3)


def edges_of(quads: np.ndarray) -> np.ndarray:
    """The sides of quads or triangles, each once (E, 2)."""
    return np.unique(_sides(quads), axis=0)


def diagonals_of(quads: np.ndarray) -> np.ndarray:
    """(2 Q, 2) both diagonals of quadrilaterals (Q, 4)."""
    return np.concatenate([quads[:, [0, 2]], quads[:, [1, 3]]])


def skips_of(quads: np.ndarray) -> np.ndarray:
    """Pairs of vertices with one vertex between them along a row or a column, across seams too."""
    sides = {}
    for quad in quads.tolist():
        for k in range(4):
            a, b, c, d = quad[k], quad[(k + 1) % 4], quad[(k + 2) % 4], quad[(k + 3) % 4]
            sides.setdefault((min(a, b), max(a, b)), []).append((d, c) if a < b else (c, d))
    found = {(min(p), max(p)) for pair in sides.values() if len(pair) == 2
             for p in zip(*pair, strict=True) if p[0] != p[1]}
    return np.array(sorted(found))


def averaging(edges: np.ndarray, count: int, faces=None) -> sparse.csr_matrix:
    """(N, N) the mean of each vertex's neighbours; with faces, of those on the rim where it is on one."""
    links = np.concatenate([edges, edges[:, ::-1]])
    if faces is not None:
        rim = rim_of(faces)
        links = np.concatenate([links[~np.isin(links[:, 0], rim)], rim, rim[:, ::-1]])
    matrix = sparse.csr_matrix((np.ones(len(links)), links.T), (count, count))
    matrix.data[:] = 1
    return (sparse.diags(1 / np.maximum(np.asarray(matrix.sum(1))[:, 0], 1)) @ matrix).tocsr()


def rim_of(polygons: np.ndarray) -> np.ndarray:
    """Sides (E, 2) that only one polygon has."""
    unique, count = np.unique(_sides(polygons), axis=0, return_counts=True)
    return unique[count == 1]


def _sides(polygons):
    """Sides (N, 2) of all polygons, the lower vertex first."""
    size = polygons.shape[1]
    return np.sort(np.concatenate([polygons[:, [k, (k + 1) % size]] for k in range(size)]), axis=1)


def shrink_wrap(places, smooth: sparse.csr_matrix, figure: Figure, part, gap: float) -> np.ndarray:
    """Places (N, 3) drawn taut around a part (V,) of the figure, a gap of metres away from its skin."""
    skin, normals = figure.vertices[part], figure.normals[part]
    tree = cKDTree(skin)
    for _ in range(25):
        places = places + 0.7 * (smooth @ places - places)
        _, near = tree.query(places)
        depth = gap - ((places - skin[near]) * normals[near]).sum(1)
        places = places + np.maximum(depth, 0)[:, None] * normals[near]
    return places


def grown(places, faces, smooth: sparse.csr_matrix, amount) -> np.ndarray:
    """Places (N, 3) of a surface moved outward by amount (N,) metres."""
    normals = np.zeros_like(places)
    a, b, c = (places[faces[:, k]] for k in range(3))
    for k in range(3):
        np.add.at(normals, faces[:, k], np.cross(b - a, c - a))
    for _ in range(4):
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        normals = 0.5 * normals + 0.5 * (smooth @ normals)
    return places + amount[:, None] * normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


# measuring

def hull_at(points: np.ndarray) -> np.ndarray:
    """The tape around points (N, 2): 400 points evenly along their convex hull, counterclockwise."""
    corners = points[ConvexHull(points).vertices]
    return _evenly(np.concatenate([corners, corners[:1]]), 400)[:-1]


def along(tape: np.ndarray, start: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
    """Count + 1 points evenly along a counterclockwise tape, between the ones nearest start and end.

    All around where start and end are the same.
    """
    first, last = (int(np.argmin(np.linalg.norm(tape - point, axis=1))) for point in (start, end))
    piece = np.roll(tape, -first, axis=0)[: (last - first - 1) % len(tape) + 2]
    return _evenly(np.concatenate([piece, tape[[last]]]) if last == first else piece, count)


def quarters(tape: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The points of a tape around the body furthest right, in the front, furthest left and in the back."""
    x, y = tape.T
    front, back = (np.where(half, np.abs(x), np.inf).argmin() for half in (y < y.mean(), y > y.mean()))
    return tape[x.argmin()], tape[front], tape[x.argmax()], tape[back]


def _evenly(line, count):
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, lengths[-1], count + 1)
    return np.stack([np.interp(at, lengths, line[:, k]) for k in range(2)], -1)


def pack(sheets: list[tuple[str, np.ndarray]], places: np.ndarray):
    """Lay the sheets out flat in one square, rows level, at one scale for all.

    returns  uv of each sheet, a list of (R, C, 2); boxes, name -> (left, bottom, right, top); and how many
             metres a unit of uv is
    """
    flat = []
    for _, ids in sheets:
        grid = places[ids]
        up = np.linalg.norm(np.diff(grid, axis=0), axis=-1).mean(1)
        across = np.linalg.norm(np.diff(grid, axis=1), axis=-1).mean(1)  # (R,) a column's width
        columns = np.arange(ids.shape[1]) - (ids.shape[1] - 1) / 2
        v = np.concatenate([[0], np.cumsum(up)])
        flat.append(np.stack([across[:, None] * columns, np.broadcast_to(v[:, None], ids.shape)], -1))
    sizes = [np.ptp(sheet.reshape(-1, 2), axis=0) for sheet in flat]
    for scale in np.arange(0.6, 6, 0.05):  # metres a unit: the first at which shelves of sheets fit
        corners = _shelves([size / scale for size in sizes])
        if corners is not None:
            break
    uv = [(sheet - sheet.reshape(-1, 2).min(0)) / scale + corner
          for sheet, corner in zip(flat, corners, strict=True)]
    boxes = {name: (*piece.reshape(-1, 2).min(0), *piece.reshape(-1, 2).max(0))
             for (name, _), piece in zip(sheets, uv, strict=True)}
    return uv, boxes, float(scale)


def _shelves(sizes, margin=0.012):
    """Corners for boxes side by side on shelves in the unit square, or None where they don't fit."""
    x = y = margin
    height, corners = 0.0, []
    for width, tall in sizes:
        if x + width + margin > 1:
            x, y, height = margin, y + height + margin, 0.0
        if x + width + margin > 1 or y + tall + margin > 1:
            return None
        corners.append(np.array([x, y]))
        x, height = x + width + margin, max(height, tall)
    return corners
