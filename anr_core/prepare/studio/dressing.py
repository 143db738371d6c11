"""Hanging clothes and hair on a body: everything they are tied to and held by, as one system of threads."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from anr_core.prepare.studio.cloth import NEIGHBOURS, Threads
from anr_core.prepare.studio.garments import Garment
from anr_core.prepare.studio.hair import Hair
from anr_core.prepare.studio.patterns import Figure, averaging, diagonals_of, edges_of, skips_of, triangles

CARRIERS = 8  # joints that move a particle, at most


def hang(figure: Figure, garments: list[Garment], hair: Hair | None) -> tuple[Threads, dict[str, slice]]:
    """One system of garments and hair, and which particles belong to which."""
    pieces, parts, slices, count = [], [], {}, 0
    for garment in garments:
        slices[garment.name] = slice(count, count + len(garment.places))
        count += len(garment.places)
        pieces.append(_cloth(figure, garment, slices, pieces))
        parts.append(garment)
    if hair is not None:
        slices["hair"] = slice(count, count + len(hair.places))
        pieces.append(_locks(figure, hair))
    starts = [piece.start for piece in slices.values()]
    body = len(figure.vertices)
    links = [edges_of(figure.faces)] + [body + start + edges_of(garment.triangles)
                                        for start, garment in zip(starts, parts, strict=False)]
    faces = [figure.faces] + [body + start + garment.triangles
                              for start, garment in zip(starts, parts, strict=False)]
    total = body + sum(len(piece["rest"]) for piece in pieces)
    joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0] if name != "pairs"}
    pairs = np.concatenate([piece["pairs"] + start for piece, start in zip(pieces, starts, strict=True)])
    return Threads(**joined, pairs=pairs, neighbours=_neighbours(np.concatenate(links), total),
                   faces=np.concatenate(faces)), slices


def _cloth(figure: Figure, garment: Garment, slices, pieces) -> dict:
    places, quads = garment.places, garment.quads
    edges, diagonals, skips = edges_of(quads), diagonals_of(quads), skips_of(quads)
    pairs = np.concatenate([edges, diagonals, skips])
    order = np.argsort(-places[pairs, 2].max(1), kind="stable")  # from the top, as gravity does
    stiff = garment.stiff[pairs].mean(1)
    kind = np.repeat([0, 1, 2], [len(edges), len(diagonals), len(skips)])
    longer = np.choose(kind, [1.0, 0.35, 0.02])
    shorter = np.choose(kind, [0.6, 0.1, 1.0]) * np.where(kind == 2, stiff, 1)
    lengths = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1) * garment.slack[pairs].mean(1)
    smooth = averaging(edges, len(places), False)
    weights = _carried(figure, places)
    for _ in range(60 if garment.name == "skirt" else 6):
        weights = smooth @ weights
    joints, weights = strongest(weights)
    return dict(rest=places, joints=joints, weights=weights, pairs=pairs[order], lengths=lengths[order],
                stiffness=np.stack([longer, shorter], -1)[order], pull=garment.pull, tether=garment.tether,
                drag=np.full(len(places), 3.0), clearance=garment.clearance,
                contacts=_contacts(figure, garment, slices, pieces))


def _contacts(figure: Figure, garment: Garment, slices, pieces) -> np.ndarray:
    """Where each vertex touches first: the skin, and the other leg, the trunk or the garment below."""
    places, body = garment.places, len(figure.vertices)
    arms = figure.moved_by("left_shoulder", "right_shoulder") > 0.5
    left = figure.vertices[:, 0] > 0
    if garment.name == "skirt":
        return np.stack([_nearest(places, figure.vertices, ~arms & left),
                         _nearest(places, figure.vertices, ~arms & ~left)], -1)
    first = _nearest(places, figure.vertices, np.ones(body, bool))
    second = np.full(len(places), -1)
    if garment.name == "shirt":
        second = np.where(arms[first], _nearest(places, figure.vertices, ~arms), -1)
        for name, piece in zip(slices, pieces, strict=False):
            under = body + slices[name].start + _nearest(places, piece["rest"], np.ones(len(piece["rest"]), bool))
            overlap = ~arms[first] & (places[:, 2] < piece["rest"][:, 2].max() + 0.03)
            second = np.where(overlap, under, second)
    return np.stack([first, second], -1)


def _locks(figure: Figure, hair: Hair) -> dict:
    joints, weights = strongest(_carried(figure, hair.roots)[hair.root_of])
    count = len(hair.places)
    first = _nearest(hair.places, figure.vertices, np.ones(len(figure.vertices), bool))
    return dict(rest=hair.places, joints=joints, weights=weights, pairs=hair.pairs, lengths=hair.lengths,
                stiffness=hair.stiffness, pull=hair.pull, tether=hair.tether, drag=np.full(count, 4.0),
                clearance=hair.clearance, contacts=np.stack([first, np.full(count, -1)], -1))


def _nearest(places, vertices, part) -> np.ndarray:
    return np.flatnonzero(part)[cKDTree(vertices[part]).query(places)[1]]


def _carried(figure: Figure, places) -> np.ndarray:
    """(N, J) joint weights of the skin around places."""
    distance, near = cKDTree(figure.vertices).query(places, k=12)
    share = 1 / (distance + 0.01) ** 2
    return (figure.weights[near] * (share / share.sum(1, keepdims=True))[..., None]).sum(1)


def strongest(weights) -> tuple[np.ndarray, np.ndarray]:
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :CARRIERS]
    kept = np.take_along_axis(weights, joints, 1)
    return joints, kept / kept.sum(1, keepdims=True)


def _neighbours(links, count) -> np.ndarray:
    """(A, 10) neighbours of each vertex, padded with -1."""
    links = np.concatenate([links, links[:, ::-1]])
    links = links[np.argsort(links[:, 0], kind="stable")]
    first = np.searchsorted(links[:, 0], np.arange(count))
    place = np.arange(len(links)) - first[links[:, 0]]
    table = np.full((count, NEIGHBOURS), -1)
    keep = place < NEIGHBOURS
    table[links[keep, 0], place[keep]] = links[keep, 1]
    return table
