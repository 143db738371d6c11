"""Clothes: each garment is cut as a pattern of sheets and wrapped around a figure in its zero pose.

Cloth is longer and wider than the body it hangs on (ease), so gravity and every pose leave folds in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from anr_core.prepare.studio.patterns import (Figure, Pattern, along, averaging, diagonals_of, edges_of, grown,
                                              hull_at, pack, quarters, shrink_wrap, skips_of, triangles)

CELL = 0.018  # metres: the side of a quad


@dataclass(frozen=True)
class Garment:
    """A piece of cloth on a figure, ready to hang.

    places    (N, 3)  metres, zero pose
    quads     (Q, 4), uv (U, 2), uv_quads (Q, 4)
    boxes     sheet -> (left, bottom, right, top) in uv; metres of cloth that a unit of uv is
    ease      (N,)    how much wider the cloth is than the tape around the body
    fixed     (N,)    share of its way to the body's motion that a vertex is pulled: 1 is sewn to the body
    """

    name: str
    places: np.ndarray
    quads: np.ndarray
    uv: np.ndarray
    uv_quads: np.ndarray
    boxes: dict
    metres: float
    pull: np.ndarray
    tether: np.ndarray
    clearance: np.ndarray
    slack: np.ndarray
    stiff: np.ndarray
    over: str = ""

    @property
    def triangles(self) -> np.ndarray:
        return triangles(self.quads)

    @property
    def uv_triangles(self) -> np.ndarray:
        return triangles(self.uv_quads)


def finished(name, pattern: Pattern, places, pull, tether, clearance, slack, stiff, over="") -> Garment:
    uv, boxes, metres = pack(pattern.sheets, places)
    uv_quads, count = [], 0
    for piece in uv:
        ids = count + np.arange(piece.shape[0] * piece.shape[1]).reshape(piece.shape[:2])
        uv_quads.append(np.stack([ids[:-1, :-1], ids[:-1, 1:], ids[1:, 1:], ids[1:, :-1]], -1).reshape(-1, 4))
        count += ids.size
    return Garment(name, places, np.concatenate(pattern.quads), np.concatenate([p.reshape(-1, 2) for p in uv]),
                   np.concatenate(uv_quads), boxes, metres, pull, tether, clearance, slack, stiff, over)


def _tape(figure: Figure, part, height) -> np.ndarray:
    """A level tape (N, 2) around a part of the body at a height."""
    return hull_at(figure.section(part, (0, 0, height), (0, 0, 1))[:, :2])


def _taut(places, smooth, figure, part, level):
    """Places drawn taut around a part of the figure; where tapes lay level (N,), they stay."""
    wrapped = shrink_wrap(places, smooth, figure, part, np.full(len(places), 0.004), 25)
    for _ in range(3):
        places = places + 0.5 * (smooth @ places - places)
    level = np.asarray(level, float)
    for _ in range(4):
        level = smooth @ level
    return wrapped + level[:, None] * (places - wrapped)


def trousers(figure: Figure, waist: float, cuff: float, width: float, flare: float, length: float = 1.02) -> Garment:
    """Trousers or shorts, from height waist to height cuff of the figure.

    width  metres that thighs stand away from the skin; flare, that cuffs do
    """
    legs = figure.moved_by("left_hip", "right_hip")
    arms = figure.moved_by("left_shoulder", "right_shoulder") > 0.3
    lower = ~arms
    left_leg = figure.moved_by("left_hip")
    # the crotch: where the legs part
    middle = figure.vertices[lower & (np.abs(figure.vertices[:, 0]) < 0.012)]
    crotch = middle[middle[:, 2] > figure.at("left_knee")[2]][:, 2].min() - 0.015
    above, below = round((waist - crotch) / CELL), round((crotch - cuff) / CELL)
    heights = np.concatenate([np.linspace(cuff, crotch, below, endpoint=False),
                              np.linspace(crotch, waist, above + 1)])
    half = 18
    pattern = Pattern()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        keys, rows = [], []
        for r, height in enumerate(heights):
            if r > below:
                tape = _tape(figure, lower, height)
                _, front, out, back = quarters(tape)
                ring = np.concatenate([along(tape, front, out, half)[:-1], along(tape, out, back, half)])
                ring[:, 0] *= sign
                ring[[0, -1], 0] = 0
                inner = [("mid", "front", r), ("mid", "back", r)]
            else:
                mine = lower & (figure.vertices[:, 0] > 0) if height > crotch - 0.02 else lower & (left_leg > 0.5)
                tape = _tape(figure, mine, min(height, crotch - 0.012))
                start, out = tape[np.argmin(tape[:, 0])], tape[np.argmax(tape[:, 0])]
                ring = np.concatenate([along(tape, start, out, half)[:-1], along(tape, out, start, half)])
                ring[:, 0] *= sign
                inner = [("crotch",)] * 2 if r == below else [(side, "in", r)] * 2
                if r == below:
                    ring[[0, -1]] = [0, ring[0, 1]]
            row = [inner[0], *((side, c, r) for c in range(1, 2 * half)), inner[1]]
            ring = np.concatenate([ring, np.full((len(ring), 1), height)], 1)
            keys.append(row if sign > 0 else row[::-1])
            rows.append(ring if sign > 0 else ring[::-1])
        pattern.sheet(f"{side} leg", keys, np.stack(rows))
    places, quads = pattern.places, np.concatenate(pattern.quads)
    faces = triangles(quads)
    smooth = averaging(edges_of(quads), len(places), True, faces)
    height = places[:, 2].copy()
    places = _taut(places, smooth, figure, lower, height > crotch + 0.03)
    places[:, 2] = height
    drop = np.clip((crotch + 0.06 - height) / (crotch - cuff), 0, 1)
    grow = width * np.clip((waist - 0.03 - height) / (waist - crotch), 0, 1) + (flare - width) * drop
    places = grown(places, faces, smooth, 0.001 + np.maximum(grow, 0))
    band = np.clip((height - waist + 0.04) / 0.03, 0, 1)
    pull = 0.003 + 0.5 * band
    tether = 0.03 + 0.06 * drop - 0.015 * band
    return finished("trousers", pattern, places, pull, tether, 0.004 + 0.006 * drop ** 4,
                     1.0 + (length - 1) * np.minimum(1, 3 * drop), 0.2 + 0.3 * band)


def skirt(figure: Figure, waist: float, hem: float, flare: float) -> Garment:
    """A skirt from height waist to height hem; the hem stands off by flare metres."""
    arms = figure.moved_by("left_shoulder", "right_shoulder") > 0.3
    lower = ~arms
    count, half = round((waist - hem) / CELL), 26
    heights = np.linspace(hem, waist, count + 1)
    places = {"front": [], "back": []}
    hips = figure.at("left_hip")[2] - 0.05
    widest = None
    for height in heights[::-1]:
        tape = _tape(figure, lower, height)
        if height < hips:  # hangs from the hips
            widest = widest if widest is not None else tape
            drop = (hips - height) / (hips - hem)
            tape = widest * (1 + drop * flare / np.abs(widest[:, 0]).max()) * [1, 1]
        right, front, left, back = quarters(tape)
        for name, (a, b, c) in {"front": (right, front, left), "back": (left, back, right)}.items():
            ring = np.concatenate([along(tape, a, b, half)[:-1], along(tape, b, c, half)])
            places[name].append(np.concatenate([ring, np.full((len(ring), 1), height)], 1))
    pattern = Pattern()
    last = 2 * half
    for name in ("front", "back"):
        ends = ("right", "left") if name == "front" else ("left", "right")
        keys = [[(ends[0], r), *((name, c, r) for c in range(1, last)), (ends[1], r)] for r in range(count + 1)]
        pattern.sheet(name, keys, np.stack(places[name][::-1]))
    places, quads = pattern.places, np.concatenate(pattern.quads)
    smooth = averaging(edges_of(quads), len(places), True, triangles(quads))
    height = places[:, 2].copy()
    places = grown(places, triangles(quads), smooth, np.full(len(places), 0.006))
    places[:, 2] = height
    drop = (waist - height) / (waist - hem)
    band = np.clip((height - waist + 0.04) / 0.03, 0, 1)
    return finished("skirt", pattern, places, 0.5 * band + 0.001 * (1 - drop), 0.03 + 0.35 * drop,
                     np.full(len(places), 0.006), np.ones(len(places)), 0.2 + 0.3 * band)


def shirt(figure: Figure, hem: float, sleeve: float, width: float, cuff: float, collar: float = 0.02,
          length: float = 1.03) -> Garment:
    """A shirt with its hem at a height.

    sleeve  share of the arm that the sleeves cover: 0.35 is a T-shirt, 1 reaches the wrists
    width   metres that it stands away from the skin; cuff, that the sleeves do at their ends
    collar  metres that it stands up around the neck
    """
    arm = np.maximum(figure.moved_by("left_shoulder"), figure.moved_by("right_shoulder"))
    head = figure.moved_by("neck_upper")
    trunk = (arm < 0.5) & (head < 0.5)
    vertices = figure.vertices
    # landmarks: the armpit, the shoulder's point and the neck's foot
    shoulder, neck = figure.at("left_shoulder"), figure.at("neck")
    armpit = shoulder[2] - 0.105 * (figure.at("neck")[2] - figure.at("pelvis")[2]) / 0.6
    neck_width = 0.072
    seam = shoulder[0] + 0.01
    above, below, half = 13, round((armpit - hem) / CELL), 22
    ridge_x = np.linspace(0, seam, 24)
    ridge = np.stack([max(vertices[trunk | (arm >= 0.5)][_near(vertices[trunk | (arm >= 0.5)], x)],
                          key=lambda p: p[2]) for x in ridge_x])
    front_neck, back_neck = neck[2] - 0.045, neck[2] + 0.0
    body = head < 0.5
    tree = cKDTree(vertices[body][:, [0, 2]])

    def depth(x, z, face):
        near = vertices[body][tree.query_ball_point([x, z], 0.02)]
        near = near if len(near) else vertices[body][tree.query([x, z], k=6)[1]]
        return near[:, 1].min() if face == "front" else near[:, 1].max()

    places = {"front": [], "back": []}
    for r in range(below + above + 1):
        if r <= below:
            height = hem + (armpit - hem) * r / below
            tape = _tape(figure, trunk, height)
            right, front, left, back = quarters(tape)
            for name, (a, b, c) in {"front": (right, front, left), "back": (left, back, right)}.items():
                ring = np.concatenate([along(tape, a, b, half)[:-1], along(tape, b, c, half)])
                places[name].append(np.concatenate([ring, np.full((len(ring), 1), height)], 1))
            side_x = left[0]
            continue
        t = (r - below) / above
        across = np.linspace(-1, 1, 2 * half + 1) * (side_x + (seam - side_x) * t)
        for name in places:
            row = []
            for x in across if name == "front" else -across:
                top = np.interp(abs(x), ridge_x, ridge[:, 2])
                middle = np.interp(abs(x), ridge_x, ridge[:, 1])
                if abs(x) < neck_width * (0.9 + 0.1 * t):
                    bow = np.sqrt(1 - (abs(x) / neck_width) ** 2) if abs(x) < neck_width else 0
                    edge = np.interp(neck_width, ridge_x, ridge[:, 2])
                    top = edge + ((front_neck if name == "front" else back_neck) - edge) * bow
                z = armpit + (top - armpit) * t
                y = depth(x, z, name)
                if abs(x) >= neck_width:
                    y = y + (middle - y) * t ** 3
                row.append((x, y, z))
            places[name].append(np.array(row))
    pattern, last, top = Pattern(), 2 * half, below + above
    columns = np.arange(last + 1)
    half_width = np.abs(places["front"][-1][:, 0])
    open_neck = half_width < neck_width - 1e-6
    for name in ("front", "back"):
        ends = ("right", "left") if name == "front" else ("left", "right")
        keys = []
        for r in range(top + 1):
            row = [(name, c, r) for c in columns] if name == "front" else [(name, last - c, r) for c in columns]
            if r <= below:
                row[0], row[-1] = (ends[0], r), (ends[1], r)
            if r == top:
                row = [key if open_neck[key[1]] else ("shoulder", key[1]) for key in row]
            keys.append(row)
        pattern.sheet(name, keys, np.stack(places[name]))
    for side in ("left", "right"):
        _sleeve(pattern, figure, side, arm, sleeve, below, above, last)
    _collar(pattern, open_neck, top, last, collar, figure)
    places, quads = pattern.places, np.concatenate(pattern.quads)
    faces = triangles(quads)
    smooth = averaging(edges_of(quads), len(places), True, faces)
    on_arm = np.zeros(len(places), bool)
    for name, ids in pattern.sheets:
        if name.endswith("sleeve"):
            on_arm[ids[:-4].ravel()] = True
    level = (places[:, 2] < armpit - 0.005) & ~on_arm
    wrapped = _taut(places, smooth, figure, body, level)
    wrapped[level, 2] = places[level, 2]
    along_arm = np.zeros(len(places))
    for name, ids in pattern.sheets:
        if name.endswith("sleeve"):
            along_arm[ids] = np.maximum(along_arm[ids], 1 - np.arange(len(ids))[:, None] / (len(ids) - 1))
    down = np.where(on_arm, 0, np.clip((armpit + 0.12 - places[:, 2]) / (armpit + 0.12 - hem), 0, 1))
    grow = np.where(on_arm, width * 0.7 + (cuff - width * 0.7) * along_arm, width * np.minimum(1, 1.6 * down))
    collar_ids = next(ids for name, ids in pattern.sheets if name == "collar")
    grow[collar_ids] = 0.003
    wrapped = grown(wrapped, faces, smooth, grow)
    pull = np.where(on_arm, 0.002, 0.002 + 0.004 * (1 - down))
    pull[collar_ids] = 0.4
    tether = np.where(on_arm, 0.05, 0.03 + 0.08 * down)
    stiff = np.full(len(places), 0.2)
    stiff[collar_ids] = 0.6
    slack = np.where(on_arm, length, 1 + (length - 1) * down)
    return finished("shirt", pattern, wrapped, pull, tether, np.full(len(places), 0.005), slack, stiff,
                     "trousers skirt")


def _near(points, x):
    return np.abs(np.abs(points[:, 0]) - x) < 0.012


def _sleeve(pattern, figure, side, arm, share, below, above, last):
    """A tube from the armhole down the arm; its seam is under the arm."""
    sign = 1.0 if side == "left" else -1.0
    column = last if side == "left" else 0
    front = [("front", column, below + k) for k in range(above + 1)]
    back = [("back", column, below + k) for k in range(above + 1)]
    front[0] = back[0] = (side, below)
    front[-1] = back[-1] = ("shoulder", column)
    loop = front + back[-2::-1]  # armpit, up the front, top, down the back, armpit
    if sign < 0:
        loop = loop[::-1]
    armhole = pattern.places[pattern.of(loop)]
    a, b, c = (figure.at(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
    upper, lower = np.linalg.norm(b - a), np.linalg.norm(c - b)
    reach = share * (upper + lower)
    count = max(6, round(reach / CELL))
    mine = figure.moved_by(f"{side}_shoulder") > 0.5
    rows = []
    for k in range(1, count + 1):
        s = 0.05 + (reach - 0.05) * k / count
        bend = np.clip((s - upper + 0.05) / 0.1, 0, 1)
        axis = (1 - bend) * (b - a) / upper + bend * (c - b) / lower
        axis /= np.linalg.norm(axis)
        centre = a + (b - a) * min(s / upper, 1) + (c - b) * max(0, s - upper) / lower
        # across the arm: forward is -Y, then up
        forward = np.array([0, -1.0, 0]) - axis * -axis[1]
        forward /= np.linalg.norm(forward)
        up = np.cross(axis, forward) * sign
        up = up if up[2] > 0 or abs(up[2]) < 0.2 else -up
        local = figure.section(mine, centre, axis) - centre
        local = local[np.linalg.norm(local, axis=1) < 0.13]
        tape = hull_at(np.stack([local @ forward, local @ up], -1))
        middle = (tape.max(0) + tape.min(0)) / 2
        ring = along(tape, middle - [0, 1], middle - [0, 1], 2 * above)
        if sign < 0:
            ring = ring[::-1]
        place = centre + ring[:, :1] * forward + ring[:, 1:] * up
        blend = np.clip(k / 4, 0, 1)
        rows.append((1 - blend) * (armhole + axis * s * 0.5) + blend * place)
    keys = [[(side, "sleeve", k, j) for j in range(2 * above)] + [(side, "sleeve", k, 0)]
            for k in range(1, count + 1)]
    pattern.sheet(f"{side} sleeve", [*keys[::-1], loop], np.stack([*rows[::-1], armhole]))


def _collar(pattern, open_neck, top, last, height, figure):
    """A band around the neck's opening."""
    inside = np.flatnonzero(open_neck)
    first, end = inside[0] - 1, inside[-1] + 1
    front = [("front", c, top) for c in inside]
    back = [("back", c, top) for c in inside[::-1]]
    loop = [("shoulder", first), *front, ("shoulder", end), *back, ("shoulder", first)]
    rim = pattern.places[pattern.of(loop)]
    axis = figure.at("neck_upper") - figure.at("neck")
    axis /= np.linalg.norm(axis)
    rows, keys = [rim], [loop]
    count = max(1, round(height / 0.012))
    for k in range(1, count + 1):
        rows.append(rim + axis * height * k / count - 0.06 * k / count * (rim - rim.mean(0)))
        ring = [("collar", k, j) for j in range(len(loop) - 1)]
        keys.append([*ring, ring[0]])
    pattern.sheet("collar", keys, np.stack(rows))
