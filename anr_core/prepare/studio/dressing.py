"""Hanging clothes and hair on a body: everything they are tied to and held by, as one system of threads."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from anr_core.prepare.studio.cloth import NEIGHBOURS, Threads
from anr_core.prepare.studio.garments import Garment
from anr_core.prepare.studio.hair import Hair
from anr_core.prepare.studio.patterns import Figure, averaging, diagonals_of, edges_of, skips_of

CARRIERS = 8  # joints that move a particle, at most


def hang(figure: Figure, garments: list[Garment], hair: Hair | None) -> tuple[Threads, dict[str, slice]]:
    """One system of garments and hair, and which particles belong to which."""
    pieces = {garment.name: _cloth(figure, garment) for garment in garments}
    if hair is not None:
        pieces["hair"] = _locks(figure, hair)
    ends = np.cumsum([len(piece["rest"]) for piece in pieces.values()])
    slices = {name: slice(int(end) - len(piece["rest"]), int(end))
              for (name, piece), end in zip(pieces.items(), ends, strict=True)}
    for name, piece in pieces.items():
        piece["pairs"] = piece["pairs"] + slices[name].start
    joined = {key: np.concatenate([piece[key] for piece in pieces.values()]) for key in pieces["shirt"]}
    arms = figure.moved_by("left_shoulder", "right_shoulder") > 0.5
    return Threads(**joined, faces=figure.faces, neighbours=_neighbours(figure), region=arms), slices


def _cloth(figure: Figure, garment: Garment) -> dict:
    places, quads = garment.places, garment.quads
    edges, diagonals, skips = edges_of(quads), diagonals_of(quads), skips_of(quads)
    pairs = np.concatenate([edges, diagonals, skips])
    kind = np.repeat([0, 1, 2], [len(edges), len(diagonals), len(skips)])
    order = np.argsort(-places[pairs, 2].max(1), kind="stable")  # from the top, as gravity does
    order = order[(garment.pull[pairs[order]] < 1).any(1)]
    pairs, kind = pairs[order], kind[order]
    longer = np.choose(kind, [1.0, 0.35, 0.02])
    shorter = np.choose(kind, [0.6, 0.1, garment.stiffness[pairs].mean(1)])
    lengths = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1) * garment.slack[pairs].mean(1)
    smooth = averaging(edges, len(places))
    weights = _carried(figure, places)
    for _ in range(60 if garment.name == "skirt" else 6):
        weights = smooth @ weights
    joints, weights = strongest(weights)
    return dict(rest=places, joints=joints, weights=weights, pairs=pairs, lengths=lengths,
                stiffness=np.stack([longer, shorter], -1), pull=garment.pull, tether=garment.tether,
                drag=np.full(len(places), 3.0), clearance=garment.clearance,
                contacts=_contacts(figure, garment), range=garment.reach)


def _contacts(figure: Figure, garment: Garment) -> np.ndarray:
    """Where each vertex touches first: a sleeve the arm and the trunk, a skirt one leg and the other."""
    places = garment.places
    arms = figure.moved_by("left_shoulder", "right_shoulder") > 0.5
    left = figure.vertices[:, 0] > 0
    if garment.name == "skirt":
        return np.stack([_nearest(places, figure, ~arms & left), _nearest(places, figure, ~arms & ~left)], -1)
    first = _nearest(places, figure)
    return np.stack([first, np.where(arms[first], _nearest(places, figure, ~arms), -1)], -1)


def _locks(figure: Figure, hair: Hair) -> dict:
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

    contacts = np.stack([_nearest(places, figure), np.full(len(places), -1)], -1)
    contacts[: len(hair.cap)] = -1
    # below the neck it lies on the shirt
    clearance = 0.003 + 0.006 * along + 0.01 * (hair.lines[..., 2] < figure.at("neck_upper")[2])
    return dict(rest=places, joints=joints, weights=weights, pairs=pairs,
                lengths=np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1), stiffness=straight,
                pull=with_cap(1, np.tile(hold, locks)),
                tether=with_cap(0.001, 0.005 + length[:, None] * along),
                drag=np.full(len(places), 4.0), clearance=with_cap(0, clearance),
                contacts=contacts, range=np.full(len(places), 1.0))


def _nearest(places, figure: Figure, part=slice(None)) -> np.ndarray:
    """(N,) the vertex of a part of the body that is nearest to each place."""
    return np.arange(len(figure.vertices))[part][cKDTree(figure.vertices[part]).query(places)[1]]


def _carried(figure: Figure, places) -> np.ndarray:
    """(N, J) joint weights of the skin around places."""
    distance, near = cKDTree(figure.vertices).query(places, k=12)
    share = 1 / (distance + 0.01) ** 2
    return (figure.weights[near] * (share / share.sum(1, keepdims=True))[..., None]).sum(1)


def strongest(weights) -> tuple[np.ndarray, np.ndarray]:
    """The strongest joints (V, CARRIERS) of skinning weights (V, J), and their shares, which sum to 1."""
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :CARRIERS]
    kept = np.take_along_axis(weights, joints, 1)
    return joints, kept / kept.sum(1, keepdims=True)


def _neighbours(figure: Figure) -> np.ndarray:
    """(V, 10) neighbours of each vertex of the body, padded with -1."""
    links = np.concatenate([figure.edges, figure.edges[:, ::-1]])
    links = links[np.argsort(links[:, 0], kind="stable")]
    place = np.arange(len(links)) - np.searchsorted(links[:, 0], links[:, 0])
    table = np.full((len(figure.vertices), NEIGHBOURS), -1)
    kept = place < NEIGHBOURS
    table[links[kept, 0], place[kept]] = links[kept, 1]
    return table
