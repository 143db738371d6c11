"""Shirts: a front and a back, sewn at the sides and the shoulders, with sleeves and a collar."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from anr_core.prepare.studio.garments import CELL, Garment, front_and_back, sewn, tape, taut
from anr_core.prepare.studio.patterns import (
    Figure,
    Pattern,
    along,
    averaging,
    edges_of,
    grown,
    hull_at,
    triangles,
)

HALF = 22  # columns from the middle to a side
ABOVE = 13  # rows from the armpit to the shoulder; a sleeve is twice as many around
FACES = {"front": ("right", "left"), "back": ("left", "right")}  # a sheet's sides, as its viewer sees them


def shirt(figure: Figure, waist: float, hem: float, sleeve: float, width: float, cuff: float,
          collar: float = 0.02, neckline: float = 0.045, tucked: bool = False) -> Garment:
    """A shirt that reaches down to a height hem.

    sleeve    share of the arm that is covered: 0.4 is a T-shirt, 1 reaches the wrist
    width     metres that it stands away from a taut fit; cuff, that sleeves do at their ends
    collar    metres that it stands up around the neck; neckline, that it is cut out in front
    tucked    into what is worn below the waist; otherwise it hangs over it

    Sheets: "front", "back", "left sleeve", "right sleeve", "collar".
    """
    cut = _Cut(figure, hem, neckline)
    pattern = Pattern()
    for name, rows in cut.sheets().items():
        pattern.sheet(name, cut.keys(name), rows)
    for side in ("left", "right"):
        _add_sleeve(pattern, cut, side, sleeve)
    _add_collar(pattern, cut, collar)
    places, quads = pattern.places, np.concatenate(pattern.quads)
    smooth = averaging(edges_of(quads), len(places), triangles(quads))
    # where on the garment a vertex is
    on_arm, on_collar = np.zeros(len(places), bool), np.zeros(len(places), bool)
    down_arm = np.zeros(len(places))
    for name, ids in pattern.sheets:
        if name.endswith("sleeve"):
            on_arm[ids[:-4]] = True
            down_arm[ids] = np.maximum(down_arm[ids], np.linspace(1, 0, len(ids))[:, None])
        elif name == "collar":
            on_collar[ids] = True
    height = places[:, 2].copy()
    level = (height < cut.armpit - 0.005) & ~on_arm
    down = np.where(on_arm, 0, np.clip((cut.armpit + 0.12 - height) / (cut.armpit + 0.12 - hem), 0, 1))
    below = ~on_arm & (height < waist + 0.02)
    # how it fits
    places = taut(places, smooth, figure, cut.body, level)
    places[level, 2] = height[level]
    loose = np.where(on_arm, 0.5 * width + (cuff - 0.5 * width) * down_arm, width * np.minimum(1, 1.6 * down))
    loose[below] = 0 if tucked else loose[below] + 0.005
    places = grown(places, triangles(quads), smooth, np.where(on_collar, 0.002, loose))
    pull = np.where(on_arm, 0.006, 0.006 - 0.004 * down)
    tether = np.where(on_arm, 0.05, 0.03 + 0.08 * down)
    clearance = np.full(len(places), 0.004)
    if tucked:
        pull[below], tether[below] = 0.1, 0.004
    else:  # it lies on trousers, which bridge what it bridges
        clearance[below] = np.maximum(0.01, _off_skin(figure, places[below]) - 0.003)
    return sewn("shirt", pattern, places, pull=np.where(on_collar, 0.4, pull), tether=tether,
                clearance=clearance,
                slack=1 + np.where(on_arm, 0.06, 0.05 * down), stiffness=np.where(on_collar, 0.6, 0.2),
                reach=np.where(on_arm, 0.14, 0.15))


def _off_skin(figure: Figure, places) -> np.ndarray:
    """(N,) metres from the skin's nearest vertex, along its normal."""
    _, near = cKDTree(figure.vertices).query(places)
    return ((places - figure.vertices[near]) * figure.normals[near]).sum(1)


class _Cut:
    """The trunk of a shirt, measured on a figure."""

    def __init__(self, figure: Figure, hem: float, neckline: float):
        self.figure, self.hem = figure, hem
        self.arm = figure.moved_by("left_shoulder", "right_shoulder") > 0.5
        self.body = figure.moved_by("neck_upper") < 0.5
        shoulder, neck = figure.at("left_shoulder"), figure.at("neck")
        self.armpit = shoulder[2] - 0.175 * (neck[2] - figure.at("pelvis")[2])
        self.seam = shoulder[0] + 0.01  # where sleeves begin, at the top
        self.neck_width = 0.06 + 0.27 * neckline
        self.necks = {"front": neck[2] - neckline, "back": neck[2]}
        self.below = round((self.armpit - hem) / CELL)
        self.top = self.below + ABOVE
        self.tree = cKDTree(figure.vertices[self.body][:, [0, 2]])
        self.ridge_x = np.linspace(0, self.seam, 24)
        skin = figure.vertices[self.body]
        self.ridge = np.stack([max(skin[np.abs(np.abs(skin[:, 0]) - x) < 0.012], key=lambda place: place[2])
                               for x in self.ridge_x])  # the shoulders' highest line

    def sheets(self) -> dict[str, np.ndarray]:
        """(R, C, 3) of front and back, rows from the hem to the shoulders."""
        rows = {name: [] for name in FACES}
        trunk = self.body & ~self.arm
        for height in np.linspace(self.hem, self.armpit, self.below + 1):
            around = tape(self.figure, trunk, height)
            for name, row in zip(FACES, front_and_back(around, height, HALF), strict=True):
                rows[name].append(row)
        side = rows["front"][-1][-1, 0]
        for t in np.arange(1, ABOVE + 1) / ABOVE:
            across = np.linspace(-1, 1, 2 * HALF + 1) * (side + (self.seam - side) * t)
            for name in FACES:
                rows[name].append(np.stack([self._above(name, x, t) for x in
                                            (across if name == "front" else -across)]))
        self.open = np.flatnonzero(np.abs(across) < self.neck_width - 1e-6)  # columns of the neck's opening
        return {name: np.stack(value) for name, value in rows.items()}

    def _above(self, name, x, t):
        """A place above the armpit, at a share t of the way to the shoulder or the neck's opening."""
        top, middle = (np.interp(abs(x), self.ridge_x, self.ridge[:, k]) for k in (2, 1))
        opening = abs(x) < self.neck_width
        if opening:
            edge = np.interp(self.neck_width, self.ridge_x, self.ridge[:, 2])
            top = edge + (self.necks[name] - edge) * np.sqrt(1 - (x / self.neck_width) ** 2)
        z = self.armpit + (top - self.armpit) * t
        skin = self.figure.vertices[self.body]
        near = self.tree.query_ball_point([x, z], 0.02) or self.tree.query([x, z], k=6)[1]
        y = skin[near, 1].min() if name == "front" else skin[near, 1].max()
        return np.array([x, y if opening else y + (middle - y) * t ** 3, z])

    def keys(self, name) -> list[list]:
        """Of a sheet's corners: sides and shoulders are sewn, armholes and neck are open."""
        first, last = FACES[name]
        keys = []
        for r in range(self.top + 1):
            row = [(name, c, r) for c in range(2 * HALF + 1)][:: 1 if name == "front" else -1]
            if r <= self.below:
                row[0], row[-1] = (first, r), (last, r)
            if r == self.top:
                row = [key if key[1] in self.open else ("shoulder", key[1]) for key in row]
            keys.append(row)
        return keys


def _add_sleeve(pattern: Pattern, cut: _Cut, side: str, share: float):
    """A tube from the armhole down the arm; its seam is under the arm."""
    figure, sign, column = cut.figure, (1 if side == "left" else -1), (2 * HALF if side == "left" else 0)
    armpit, shoulder = (side, cut.below), ("shoulder", column)
    up = [("front", column, r) for r in range(cut.below + 1, cut.top)]
    down = [("back", column, r) for r in range(cut.top - 1, cut.below, -1)]
    loop = [armpit, *up, shoulder, *down, armpit][::sign]
    armhole = pattern.places[pattern.of(loop)]
    a, b, c = (figure.at(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
    upper, lower = np.linalg.norm(b - a), np.linalg.norm(c - b)
    reach = share * (upper + lower)
    count = max(6, round(reach / CELL))
    mine = figure.moved_by(f"{side}_shoulder") > 0.5
    rows = []
    for k in range(1, count + 1):
        s = 0.05 + (reach - 0.05) * k / count
        bend = np.clip((s - upper + 0.05) / 0.1, 0, 1)  # rings turn with the elbow over 10 cm
        axis = (1 - bend) * (b - a) / upper + bend * (c - b) / lower
        axis /= np.linalg.norm(axis)
        centre = a + (b - a) * min(s / upper, 1) + (c - b) * max(0, s - upper) / lower
        forward = np.array([0, -1.0, 0]) + axis * axis[1]
        forward /= np.linalg.norm(forward)
        upward = np.cross(forward, axis) * sign
        cut_here = figure.section(mine, centre, axis) - centre
        cut_here = cut_here[np.linalg.norm(cut_here, axis=1) < 0.13]
        around = hull_at(np.stack([cut_here @ forward, cut_here @ upward], -1))
        lowest = (around.max(0) + around.min(0)) / 2 - [0, 1]
        ring = along(around, lowest, lowest, 2 * ABOVE)[::sign]
        place = centre + ring[:, :1] * forward + ring[:, 1:] * upward
        blend = min(k / 4, 1)
        rows.append((1 - blend) * (armhole + axis * s * 0.5) + blend * place)
    keys = [[(side, "sleeve", k, j % (2 * ABOVE)) for j in range(2 * ABOVE + 1)] for k in range(count)]
    pattern.sheet(f"{side} sleeve", [*keys[::-1], loop], np.stack([*rows[::-1], armhole]))


def _add_collar(pattern: Pattern, cut: _Cut, height: float):
    """A band that stands up around the neck's opening."""
    first, last = cut.open[0] - 1, cut.open[-1] + 1
    loop = [("shoulder", first), *(("front", c, cut.top) for c in cut.open), ("shoulder", last),
            *(("back", c, cut.top) for c in cut.open[::-1]), ("shoulder", first)]
    rim = pattern.places[pattern.of(loop)]
    axis = cut.figure.at("neck_upper") - cut.figure.at("neck")
    axis /= np.linalg.norm(axis)
    shares = np.arange(max(1, round(height / 0.012)) + 1) / max(1, round(height / 0.012))
    rows = [rim + axis * height * share - 0.06 * share * (rim - rim.mean(0)) for share in shares]
    keys = [[("collar", k, j % (len(loop) - 1)) for j in range(len(loop))] for k in range(1, len(shares))]
    pattern.sheet("collar", [loop, *keys], np.stack(rows))
