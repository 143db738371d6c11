"""Clothes: each garment is cut as a pattern of sheets and wrapped around a figure in its rest shape.

Cloth is wider and longer than the body it hangs on, so that gravity and every pose leave folds in it. Nothing
here knows of motion: how a garment is held is written beside its vertices, for the simulation to use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from anr_core.prepare.studio.patterns import (
    Figure,
    Pattern,
    along,
    averaging,
    edges_of,
    grown,
    hull_at,
    pack,
    quads_of,
    quarters,
    shrink_wrap,
    triangles,
)

CELL = 0.018  # metres: the side of a quad
GAP = 0.003  # metres between skin and taut cloth


@dataclass(frozen=True)
class Garment:
    """A piece of cloth on a figure, ready to hang.

    places     (N, 3)  metres, on the figure
    quads      (Q, 4), with uv (U, 2) and uv_quads (Q, 4)
    boxes      sheet -> (left, bottom, right, top) in uv
    metres     of cloth that a unit of uv is
    pull       (N,)    share of its way to the body's motion that a vertex goes in a substep; 1 is sewn on
    tether     (N,)    metres that it may be away from there
    clearance  (N,)    metres that it keeps from the skin
    slack      (N,)    how much longer cloth is than where it lies, as a factor
    stiffness  (N,)    against folding, in [0, 1]
    reach      (N,)    metres around a vertex where it finds the skin it lies on
    """

    name: str
    places: np.ndarray
    quads: np.ndarray
    uv: np.ndarray
    uv_quads: np.ndarray
    boxes: dict[str, tuple[float, float, float, float]]
    metres: float
    pull: np.ndarray
    tether: np.ndarray
    clearance: np.ndarray
    slack: np.ndarray
    stiffness: np.ndarray
    reach: np.ndarray

    @cached_property
    def triangles(self) -> np.ndarray:
        """(2 Q, 3) of its quadrilaterals."""
        return triangles(self.quads)

    @cached_property
    def uv_triangles(self) -> np.ndarray:
        """(2 Q, 3) the same, into its UVs."""
        return triangles(self.uv_quads)

    @cached_property
    def ironed(self) -> sparse.csr_matrix:
        """(N, N) takes the cloth's places to smoother ones, to be drawn: a crease is as wide as a cell."""
        count = len(self.places)
        mean = averaging(edges_of(self.quads), count, self.triangles)
        share = sparse.diags(np.where(self.pull < 1, 0.5, 0))
        return (sparse.identity(count) + share @ (mean - sparse.identity(count))).tocsr()


def sewn(name: str, pattern: Pattern, places: np.ndarray, pull=0.0, tether=0.0, clearance=0.0, slack=1.0,
         stiffness=0.0, reach=0.0) -> Garment:
    """The garment of a pattern whose vertices lie at places; how it is held is (N,) or one number."""
    uv, boxes, metres = pack(pattern.sheets, places)
    quads, uv_quads, count = np.concatenate(pattern.quads), [], 0
    for piece in uv:
        ids = count + np.arange(piece.shape[0] * piece.shape[1]).reshape(piece.shape[:2])
        uv_quads.append(quads_of(ids))
        count += ids.size
    held = (np.broadcast_to(np.asarray(value, float), len(places))
            for value in (pull, tether, clearance, slack, stiffness, reach))
    uv = np.concatenate([piece.reshape(-1, 2) for piece in uv])
    return Garment(name, places, quads, uv, np.concatenate(uv_quads), boxes, metres, *held)


def tape(figure: Figure, part, height) -> np.ndarray:
    """A level tape (400, 2) around a part of the body at a height."""
    return hull_at(figure.section(part, (0, 0, height), (0, 0, 1))[:, :2])


def front_and_back(around: np.ndarray, height: float, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (2 half + 1, 3) of a front and a back sheet on a level tape, each from the viewer's left."""
    right, front, left, back = quarters(around)
    rows = []
    for a, b, c in ((right, front, left), (left, back, right)):
        row = np.concatenate([along(around, a, b, half)[:-1], along(around, b, c, half)])
        rows.append(np.concatenate([row, np.full((len(row), 1), height)], 1))
    return tuple(rows)


def taut(places, smooth, figure: Figure, part, level) -> np.ndarray:
    """Places drawn taut around a part of the figure; where tapes lie level (N,) they stay as they are."""
    wrapped = shrink_wrap(places, smooth, figure, part, GAP)
    for _ in range(3):
        places = places + 0.5 * (smooth @ places - places)
    level = level.astype(float)
    for _ in range(4):
        level = smooth @ level
    return wrapped + level[:, None] * (places - wrapped)


def trousers(figure: Figure, waist: float, cuff: float, width: float, flare: float) -> Garment:
    """Trousers or shorts from height waist to height cuff; width and flare are metres that thighs and cuffs
    stand away from a taut fit.

    Sheets: "left leg" and "right leg", each cut along its inner side; the front is the middle of the person.
    """
    arms = figure.moved_by("left_shoulder", "right_shoulder") > 0.3
    left_leg = ~arms & (figure.moved_by("left_hip") > 0.5)
    middle = figure.vertices[~arms & (np.abs(figure.vertices[:, 0]) < 0.012), 2]
    crotch = middle[middle > figure.at("left_knee")[2]].min() - 0.015
    above, below, half = round((waist - crotch) / CELL), round((crotch - cuff) / CELL), 18
    heights = np.concatenate([np.linspace(cuff, crotch, below, endpoint=False),
                              np.linspace(crotch, waist, above + 1)])
    rings = []  # of the left leg, from its inner side around the front; above the crotch from front to back
    for r, height in enumerate(heights):
        if r > below:
            around = tape(figure, ~arms, height)
            _, front, out, back = quarters(around)
        else:
            part = ~arms & (figure.vertices[:, 0] > 0) if height > crotch - 0.02 else left_leg
            around = tape(figure, part, min(height, crotch - 0.012))
            front, out = around[around[:, 0].argmin()], around[around[:, 0].argmax()]
            back = front
        ring = np.concatenate([along(around, front, out, half)[:-1], along(around, out, back, half)])
        if r >= below:
            ring[[0, -1], 0] = 0
        rings.append(np.concatenate([ring, np.full((len(ring), 1), height)], 1))
    pattern = Pattern()
    for side, sign in (("left", 1), ("right", -1)):
        keys = []
        for r in range(len(heights)):
            ends = ([("rise", "front", r), ("rise", "back", r)] if r > below
                    else [("crotch",)] * 2 if r == below else [(side, "inseam", r)] * 2)
            keys.append([ends[0], *((side, c, r) for c in range(1, 2 * half)), ends[1]][::sign])
        pattern.sheet(f"{side} leg", keys, np.stack(rings)[:, ::sign] * [sign, 1, 1])
    places, quads = pattern.places, np.concatenate(pattern.quads)
    smooth = averaging(edges_of(quads), len(places), triangles(quads))
    height = places[:, 2].copy()
    places = taut(places, smooth, figure, ~arms, height > crotch + 0.03)
    places[:, 2] = height
    drop = np.clip((crotch + 0.06 - height) / (crotch - cuff), 0, 1)
    loose = width * np.clip((waist - 0.03 - height) / (waist - crotch), 0, 1) + (flare - width) * drop
    places = grown(places, triangles(quads), smooth, 0.001 + np.maximum(loose, 0))
    band = np.clip((height - waist + 0.04) / 0.03, 0, 1)
    hips = np.clip((height - crotch + 0.08) / 0.1, 0, 1)  # a shirt lies over them: they keep to the body
    return sewn("trousers", pattern, places, pull=0.003 + 0.02 * hips + 0.5 * band,
                tether=0.03 + 0.06 * drop - 0.025 * hips, clearance=0.003 + 0.006 * drop ** 4,
                slack=1 + 0.04 * np.minimum(1, 3 * drop), stiffness=0.2 + 0.3 * band, reach=0.12)


def skirt(figure: Figure, waist: float, hem: float, flare: float) -> Garment:
    """A skirt over a tucked-in shirt, from height waist to height hem, which stands off by flare metres.

    Sheets: "front" and "back".
    """
    arms = figure.moved_by("left_shoulder", "right_shoulder") > 0.3
    count, half = round((waist - hem) / CELL), 26
    heights = np.linspace(waist, hem, count + 1)
    hips = figure.at("left_hip")[2] - 0.05
    rows = []
    for height in heights:
        if height > hips:
            around = widest = tape(figure, ~arms, height)
        else:  # hangs from the hips
            spread = (hips - height) / (hips - hem) * flare
            around = widest * (1 + spread / np.abs(widest[:, 0]).max())
        rows.append(front_and_back(around, height, half))
    pattern = Pattern()
    for k, (name, ends) in enumerate((("front", ("right", "left")), ("back", ("left", "right")))):
        keys = [[(ends[0], r), *((name, c, r) for c in range(1, 2 * half)), (ends[1], r)]
                for r in range(count + 1)]
        pattern.sheet(name, keys, np.stack([row[k] for row in rows[::-1]]))
    places, quads = pattern.places, np.concatenate(pattern.quads)
    smooth = averaging(edges_of(quads), len(places), triangles(quads))
    height = places[:, 2].copy()
    places = grown(places, triangles(quads), smooth, np.full(len(places), 0.008))
    places[:, 2] = height
    drop = (waist - height) / (waist - hem)
    band = np.clip((height - waist + 0.04) / 0.03, 0, 1)
    return sewn("skirt", pattern, places, pull=0.5 * band + 0.001 * (1 - drop), tether=0.02 + 0.35 * drop,
                clearance=0.008 - 0.003 * drop, stiffness=0.2 + 0.3 * band, reach=1.0)
