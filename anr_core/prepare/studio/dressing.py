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
        pieces.append(_locks(figure, hair, slices, pieces))
        slices["hair"] = slice(count, count + len(pieces[-1]["rest"]))
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
    kind = np.repeat([0, 1, 2], [len(edges), len(diagonals), len(skips)])
    order = np.argsort(-places[pairs, 2].max(1), kind="stable")  # from the top, as gravity does
    order = order[(garment.pull[pairs[order]] < 1).any(1)]
    pairs, kind = pairs[order], kind[order]
    longer = np.choose(kind, [1.0, 0.35, 0.02])
    shorter = np.choose(kind, [0.6, 0.1, garment.stiff[pairs].mean(1)])
    lengths = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1) * garment.slack[pairs].mean(1)
    smooth = averaging(edges, len(places), False)
    weights = _carried(figure, places)
    for _ in range(60 if garment.name == "skirt" else 6):
        weights = smooth @ weights
    joints, weights = strongest(weights)
    return dict(rest=places, joints=joints, weights=weights, pairs=pairs, lengths=lengths,
                stiffness=np.stack([longer, shorter], -1), pull=garment.pull, tether=garment.tether,
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
    first = _nearest(places, figure.vertices, slice(None))
    second = np.full(len(places), -1)
    if garment.name == "shirt":
        second = np.where(arms[first], _nearest(places, figure.vertices, ~arms), -1)
        for name, piece in zip(slices, pieces, strict=False):
            under = body + slices[name].start + _nearest(places, piece["rest"], slice(None))
            overlap = ~arms[first] & (places[:, 2] < piece["rest"][:, 2].max() + 0.03)
            second = np.where(overlap, under, second)
    return np.stack([first, second], -1)


def _locks(figure: Figure, hair: Hair, slices, pieces) -> dict:
    """The cap is fixed to the head, so are the locks' roots; towards the tip style holds less and less."""
    locks, nodes = hair.lines.shape[:2]
    places = np.concatenate([hair.cap, hair.lines.reshape(-1, 3)])
    roots = np.concatenate([hair.cap, np.repeat(hair.lines[:, 0], nodes, 0)])
    joints, weights = strongest(_carried(figure, roots))
    ids = len(hair.cap) + np.arange(locks * nodes).reshape(locks, nodes)
    pairs = np.concatenate([np.stack([ids[:, :-1], ids[:, 1:]], -1).reshape(-1, 2),
                            np.stack([ids[:, :-2], ids[:, 2:]], -1).reshape(-1, 2)])
    straight = np.repeat([[1.0, 1.0], [0.2, 0.2]], [locks * (nodes - 1), locks * (nodes - 2)], axis=0)
    along = np.linspace(0, 1, nodes)
    hold = hair.style.hold[0] * (hair.style.hold[1] / hair.style.hold[0]) ** along
    hold[:2] = 1
    length = np.linalg.norm(np.diff(hair.lines, axis=1), axis=-1).sum(1)

    def with_cap(value, values):
        return np.concatenate([np.full(len(hair.cap), value), np.asarray(values).reshape(-1)])

    skin = _nearest(places, figure.vertices, slice(None))
    shirt = len(figure.vertices) + slices["shirt"].start + _nearest(
        places, pieces[list(slices).index("shirt")]["rest"], slice(None))
    contacts = np.stack([skin, shirt], -1)
    contacts[: len(hair.cap)] = -1
    return dict(rest=places, joints=joints, weights=weights, pairs=pairs,
                lengths=np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1), stiffness=straight,
                pull=with_cap(1, np.tile(hold, locks)), tether=with_cap(0.001, 0.005 + length[:, None] * along),
                drag=np.full(len(places), 4.0), clearance=with_cap(0, np.tile(0.003 + 0.006 * along, locks)),
                contacts=contacts)


def _nearest(places, vertices, part) -> np.ndarray:
    return np.arange(len(vertices))[part][cKDTree(vertices[part]).query(places)[1]]


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
