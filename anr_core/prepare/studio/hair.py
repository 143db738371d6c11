"""Hair: locks grow out of a cap on the scalp, are combed into a style, and hang from the head.

What moves is the locks' middle lines, as threads of the same system that cloth is; the locks' surfaces, flat
tubes, are laid around them afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from anr_core.prepare.studio.patterns import Figure, averaging, edges_of

NODES = 10  # of a lock's middle line
AROUND = 5  # vertices around a lock
ACROSS = 20  # locks side by side in the atlas
CAP_TOP = 0.18  # of the atlas is the cap's


@dataclass(frozen=True)
class Style:
    """How hair is cut and combed; lengths in metres.

    length  of locks, from and to
    comb    "away" from the crown, "apart" from a parting, "back" to where it is tied, or to a "bun" there
    tail    that hangs beyond the tie
    lift    of the locks off the scalp
    hold    share of the way that a lock is pulled back into style in a substep, at its root and at its tip
    weight  0 stands off the head as it grew, 1 falls
    curl    radius of ringlets
    width   of a lock
    stray   how much locks differ in direction
    """

    length: tuple[float, float]
    comb: str
    locks: int = 200
    tail: float = 0.0
    lift: float = 0.012
    hold: tuple[float, float] = (0.3, 0.05)
    weight: float = 0.5
    curl: float = 0.0
    width: float = 0.024
    stray: float = 0.04


STYLES = {
    "short": Style((0.04, 0.065), "away", lift=0.008, hold=(0.5, 0.2), weight=0.15, width=0.032, stray=0.14),
    "bob": Style((0.15, 0.19), "apart", lift=0.009, hold=(0.2, 0.02), weight=0.8, width=0.045),
    "long": Style((0.3, 0.37), "apart", lift=0.008, hold=(0.2, 0.003), weight=0.9, width=0.048),
    "ponytail": Style((0.0, 0.02), "back", tail=0.2, lift=0.003, hold=(0.5, 0.004), weight=0.7, width=0.036),
    "bun": Style((0.0, 0.01), "bun", tail=0.2, lift=0.004, hold=(0.6, 0.5), weight=0.2, width=0.036),
    "curls": Style((0.09, 0.14), "away", lift=0.014, hold=(0.3, 0.05), weight=0.3, curl=0.012, width=0.034,
                   stray=0.14),
}


@dataclass(frozen=True)
class Hair:
    """Hair on a figure in its rest shape.

    cap      (P, 3)     places of the cap's vertices
    lines    (S, 10, 3) nodes of the locks' middle lines, from the root
    sides    (S, 10, 3) unit vectors along the locks' width, and widths (S, 10), metres
    triangles, uv, uv_triangles of the whole surface, the cap's vertices first
    """

    name: str
    style: Style
    cap: np.ndarray
    lines: np.ndarray
    sides: np.ndarray
    widths: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    uv_triangles: np.ndarray
    boxes: dict
    metres: float

    def surface(self, places: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """Vertices (V, 3) of the hair, from places of cap and nodes and the head's rotation since rest."""
        lines = places[len(self.cap):].reshape(self.lines.shape)
        return np.concatenate([places[: len(self.cap)], _tubes(lines, self.sides @ turn.T, self.widths)])


def grow_hair(name: str, figure: Figure, rng: np.random.Generator) -> Hair | None:
    """Hair of a style on a figure; None for a bald head."""
    if name == "bald":
        return None
    style, head = STYLES[name], _Head(figure)
    cap, cap_faces = head.cap(0.004)
    roots, normals = head.roots(style.locks, rng)
    lines = _combed(style, head, roots, normals, rng)
    tangent = np.gradient(lines, axis=1)
    out = lines - head.centre
    sides = np.cross(tangent, out)
    sides /= np.linalg.norm(sides, axis=-1, keepdims=True) + 1e-9
    along = np.linspace(0, 1, NODES)
    profile = np.minimum(1, 0.5 + 4 * along) * np.sqrt(np.clip(1.06 - along ** 5, 0, 1))
    widths = style.width * rng.uniform(0.7, 1.2, (len(lines), 1)) * profile
    triangles, uv, uv_triangles, boxes = _charts(head, cap, cap_faces, len(lines))
    length = np.linalg.norm(np.diff(lines, axis=1), axis=-1).sum(1).mean()
    return Hair("hair", style, cap, lines, sides, widths, triangles, uv, uv_triangles, boxes,
                float(length / (boxes["lock"][3] - boxes["lock"][1])))


class _Head:
    """Measures of a head: where its middle, its crown and its hairline are."""

    def __init__(self, figure: Figure):
        self.figure = figure
        eyes = (figure.at("left_eyeball") + figure.at("right_eyeball")) / 2
        mine = figure.moved_by("neck_upper") > 0.5
        skull = figure.vertices[mine & (figure.vertices[:, 2] > eyes[2])]
        self.top = skull[:, 2].max()
        self.high = self.top - eyes[2]  # from the eyes to the crown: the unit of everything below
        self.eyes = eyes[2]
        self.front, self.back = skull[:, 1].min(), skull[:, 1].max()
        self.wide = np.abs(skull[skull[:, 2] > eyes[2] + 0.35 * self.high][:, 0]).max()
        self.centre = np.array([0, (self.front + self.back) / 2, eyes[2] + 0.2 * self.high])
        self.crown = np.array([0, self.centre[1] + 0.35 * (self.back - self.centre[1]), self.top])
        self.mine = mine
        self.tree = cKDTree(figure.vertices)

    def inside(self, points: np.ndarray) -> np.ndarray:
        """How far inside the hairline (N,) points of the skin are, in units of the head; negative is skin."""
        x, y, _ = ((points - self.centre) / self.high).T
        away = np.arctan2(np.abs(x), -y)  # 0 in front, pi behind
        line = np.interp(away, [0, 0.5, 0.95, 1.2, 1.5, 1.85, 2.2, np.pi],
                         [0.66, 0.62, 0.4, 0.1, 0.12, 0.12, -0.5, -0.72])
        inside = (points[:, 2] - self.eyes) / self.high - line
        ear = (np.abs(points[:, 0]) > self.wide + 0.002) & (points[:, 2] < self.eyes + 0.25 * self.high)
        return np.where(ear, -1, inside)

    def cap(self, thickness: float):
        """A cap of skin, lifted: vertices (P, 3) and faces (Q, 3)."""
        figure = self.figure
        depth = np.where(self.mine, self.inside(figure.vertices), -1)
        faces = figure.faces[(depth[figure.faces] > 0).all(1)]
        used, local = np.unique(faces, return_inverse=True)
        faces = local.reshape(-1, 3)
        normals = figure.normals[used]
        smooth = averaging(edges_of(faces), len(used))
        for _ in range(5):
            normals = smooth @ normals
        lift = np.clip(depth[used] / 0.15, 0.15, 1) * thickness
        return figure.vertices[used] + lift[:, None] * normals, faces

    def roots(self, count: int, rng):
        """Places (S, 3) spread evenly over the scalp, and the skin's normals there."""
        figure = self.figure
        scalp = np.flatnonzero(self.mine & (self.inside(figure.vertices) > 0.04))
        directions = figure.vertices[scalp] - self.centre
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        chosen, nearest = [int(rng.integers(len(scalp)))], np.full(len(scalp), np.inf)
        for _ in range(count - 1):  # the farthest from all that were chosen
            nearest = np.minimum(nearest, np.linalg.norm(directions - directions[chosen[-1]], axis=1))
            chosen.append(int(nearest.argmax()))
        return figure.vertices[scalp[chosen]], figure.normals[scalp[chosen]]

    def lifted(self, points: np.ndarray, gap) -> np.ndarray:
        """Points (N, 3), moved out to a gap from the skin."""
        _, near = self.tree.query(points)
        normals = self.figure.normals[near]
        depth = gap - ((points - self.figure.vertices[near]) * normals).sum(1)
        return points + np.maximum(depth, 0)[:, None] * normals


def _combed(style: Style, head: _Head, roots, normals, rng) -> np.ndarray:
    """Middle lines (S, 10, 3) of locks that grow from roots (S, 3)."""
    count = len(roots)
    parting = rng.uniform(-0.35, 0.35) * head.wide
    tie = np.array([0, head.back + 0.015, head.eyes + rng.uniform(0.25, 0.6) * head.high])
    length = rng.uniform(*style.length, count)
    if style.tail:
        length += 1.1 * np.linalg.norm(roots - tie, axis=1) + style.tail
    step = length / (NODES - 1)
    place, heading = roots + 0.003 * normals, normals * (0.0 if style.tail else 0.4)
    lines, tied = [place], np.zeros(count, bool)
    phase, stray = rng.uniform(0, 2 * np.pi, count), rng.normal(0, style.stray, (count, 3))
    side = np.where(roots[:, 0] > parting, 1.0, -1.0)
    for k in range(1, NODES):
        _, near = head.tree.query(place)
        outward = head.figure.normals[near]
        close = np.exp(-np.linalg.norm(place - head.figure.vertices[near], axis=1) / 0.05)[:, None]
        behind = np.clip((place[:, 1] - head.centre[1]) / (head.back - head.centre[1]), -1, 1)
        if style.tail:
            tied |= np.linalg.norm(place - tie, axis=1) < np.maximum(0.03, step)
            wish = np.where(tied[:, None], _after_tie(style, place, tie), tie - place)
        elif style.comb == "away":
            wish = place - head.crown
            if style.length[1] > 0.08:  # out of the face
                aside = np.stack([side, np.full(count, 0.8), np.zeros(count)], -1)
                wish += 0.15 * np.clip(-behind, 0, 1)[:, None] * aside
        else:
            forward = np.clip(-behind, 0, 1)
            across = side * np.clip(1 - behind, 0.1, 2)
            wish = np.stack([across, 0.25 + 0.8 * forward, -1 + 0.3 * forward], -1)
        wish = wish - close * (wish * outward).sum(1, keepdims=True) * outward * ~tied[:, None]
        wish = wish / np.linalg.norm(wish, axis=1, keepdims=True) + stray
        if not style.tail:
            wish = wish + style.weight * (0.2 * k + 2 * (1 - close)) * np.array([0, 0, -1.0])
            wish = wish / np.linalg.norm(wish, axis=1, keepdims=True)
        heading = 0.4 * heading + 0.6 * wish
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        place = head.lifted(place + step[:, None] * heading, style.lift * min(1, k / 2))
        if style.comb == "bun":
            middle = tie + [0, 0.03, 0]
            ball = middle + 0.042 * (place - middle) / np.linalg.norm(place - middle, axis=1, keepdims=True)
            place = np.where(tied[:, None], ball, place)
        lines.append(place)
    lines = np.stack(lines, 1)
    if style.curl:
        turn = phase[:, None] + np.arange(NODES) * 1.9
        across = np.cross(normals, [0.3, 0.2, 1.0])
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        other = np.cross(normals, across)
        radius = style.curl * np.minimum(1, np.arange(NODES) / 3)[:, None]
        ringlet = np.cos(turn)[..., None] * across[:, None] + np.sin(turn)[..., None] * other[:, None]
        lines = lines + radius * ringlet
    return lines


def _after_tie(style, place, tie):
    """Where hair goes from where it is tied: down, or around a bun."""
    if style.comb == "bun":
        return np.cross([0.2, 1.0, 0.1], place - tie - [0, 0.03, 0]) / 0.04 + [0, 0.2, 0]
    return np.broadcast_to([0, 0.35, -1.0], place.shape) - 6 * (place - tie) * [1, 0, 0]


def _tubes(lines, sides, widths) -> np.ndarray:
    """Vertices (S * 10 * 5, 3) of flat tubes around lines."""
    tangent = np.empty_like(lines)
    tangent[:, 1:-1] = lines[:, 2:] - lines[:, :-2]
    tangent[:, 0], tangent[:, -1] = lines[:, 1] - lines[:, 0], lines[:, -1] - lines[:, -2]
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True) + 1e-9
    sides = sides - tangent * (sides * tangent).sum(-1, keepdims=True)
    sides /= np.linalg.norm(sides, axis=-1, keepdims=True) + 1e-9
    up = np.cross(sides, tangent)
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    ring = (np.cos(angle)[:, None] * sides[:, :, None] * 0.5 + np.sin(angle)[:, None] * up[:, :, None] * 0.14)
    return (lines[:, :, None] + ring * widths[:, :, None, None]).reshape(-1, 3)


def _charts(head: _Head, cap, cap_faces, locks: int):
    """Triangles and texture coordinates: strips for locks side by side, the cap seen from above on top."""
    spread = cap - head.centre
    polar = np.arccos(spread[:, 2] / np.linalg.norm(spread, axis=1)) / np.pi
    azimuth = np.arctan2(spread[:, 1], spread[:, 0])
    cap_uv = 0.5 + 0.62 * polar[:, None] * np.stack([np.cos(azimuth), np.sin(azimuth)], -1)
    cap_uv = np.clip(cap_uv, 0, 1) * (CAP_TOP - 0.01) + [0.005, 1 - CAP_TOP + 0.005]
    rows = -(-locks // ACROSS)
    cell = np.array([1 / ACROSS, (1 - CAP_TOP) / rows])
    around, along = np.meshgrid(np.arange(AROUND + 1) / AROUND, 1 - np.arange(NODES) / (NODES - 1))
    strip = np.stack([0.05 + 0.9 * around, 0.03 + 0.94 * along], -1).reshape(-1, 2)
    corner = np.stack([np.arange(locks) % ACROSS, np.arange(locks) // ACROSS], -1)
    uv = np.concatenate([cap_uv, ((corner[:, None] + strip) * cell).reshape(-1, 2)])

    k, j = np.meshgrid(np.arange(NODES - 1), np.arange(AROUND), indexing="ij")
    flat = k * (AROUND + 1) + j
    flat = np.stack([flat, flat + 1, flat + AROUND + 2, flat + AROUND + 1], -1)
    k, j = np.divmod(flat, AROUND + 1)
    quads = k * AROUND + j % AROUND

    def all_locks(quads, size):
        three = quads.reshape(-1, 4)[:, [0, 2, 1, 0, 3, 2]].reshape(-1, 3)
        return (len(cap) + np.arange(locks)[:, None, None] * size + three).reshape(-1, 3)

    tip = np.array([0, 1, 2, 0, 2, 3, 0, 3, 4]).reshape(3, 3)[:, ::-1] + (NODES - 1) * AROUND
    tip_uv = np.full((3, 3), (NODES - 1) * (AROUND + 1)) + np.array([[0, 1, 2]])
    tips = (len(cap) + np.arange(locks)[:, None, None] * NODES * AROUND + tip).reshape(-1, 3)
    tips_uv = (len(cap) + np.arange(locks)[:, None, None] * NODES * (AROUND + 1) + tip_uv).reshape(-1, 3)
    triangles = np.concatenate([cap_faces, all_locks(quads, NODES * AROUND), tips])
    uv_triangles = np.concatenate([cap_faces, all_locks(flat, NODES * (AROUND + 1)), tips_uv])
    boxes = {"cap": (0.0, 1 - CAP_TOP, CAP_TOP, 1.0), "locks": (0.0, 0.0, 1.0, 1 - CAP_TOP),
             "lock": (0.0, 0.0, *cell)}
    return triangles, uv, uv_triangles, boxes
