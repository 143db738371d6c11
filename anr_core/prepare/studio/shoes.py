"""Shoes: a taut skin around the foot, on a sole; they move with the foot and are not simulated."""

from __future__ import annotations

import numpy as np

from anr_core.prepare.studio.garments import Garment, sewn
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

AROUND = 30  # vertices around a shoe
THICK = 0.006  # metres of leather


def shoes(figure: Figure, collar: float, sole: float) -> Garment:
    """A pair of shoes that reach to a height `collar`, on soles of a thickness, metres."""
    pattern = Pattern()
    for side in ("left", "right"):
        rings = _rings(figure, side, collar)
        keys = [[(side, r, c % AROUND) for c in range(AROUND + 1)] for r in range(len(rings) - 1)]
        tip = [[(side, "tip")] * (AROUND + 1)]
        pattern.sheet(f"{side} shoe", tip + keys[::-1], np.stack(rings[::-1]))
    places, quads = pattern.places, np.concatenate(pattern.quads)
    smooth = averaging(edges_of(quads), len(places), triangles(quads))
    ground = figure.vertices[:, 2].min()
    for _ in range(4):
        places = places + 0.5 * (smooth @ places - places)
    places = grown(places, triangles(quads), smooth, np.full(len(places), THICK))
    low = np.clip((ground + 0.016 - places[:, 2]) / 0.008, 0, 1)
    places[:, 2] -= low * (places[:, 2] - (ground - sole))
    return sewn("shoes", pattern, places, pull=1)


def _rings(figure: Figure, side: str, collar: float) -> list[np.ndarray]:
    """Rings (31, 3) from the collar around the heel and forward to the toes; the last one is a point."""
    part = figure.moved_by(f"{side}_knee") > 0.5
    forward = figure.at(f"{side}_third_toe1") - figure.at(f"{side}_ankle")
    forward = forward * [1, 1, 0] / np.linalg.norm(forward[:2])
    across = np.cross([0, 0, 1.0], forward)
    top = figure.section(part, (0, 0, collar), (0, 0, 1))
    pivot = top[(top @ forward).argmax()] + 0.012 * forward
    foot = figure.vertices[part & (figure.vertices[:, 2] < collar)]
    reach = ((foot - pivot) @ forward).max()
    under = np.array([0, 0, -1.0])
    frames = [(pivot, under * np.sin(a) - forward * np.cos(a)) for a in np.linspace(0, np.pi / 2, 11)]
    frames += [(pivot + reach * s * forward, under) for s in np.linspace(0.08, 0.74, 9)]
    rings = []
    for point, down in frames:
        cut = figure.section(part, point, np.cross(across, down)) - point
        flat = np.stack([cut @ across, cut @ down], -1)
        flat = flat[flat[:, 1] > -0.1] if abs(down[2]) > 0.999 else flat[flat[:, 1] > 0]
        tape = hull_at(flat)
        start = [tape[:, 0].mean(), tape[:, 1].min() - 1]
        ring = along(tape, np.array(start), np.array(start), AROUND)
        rings.append(point + ring[:, :1] * across + ring[:, 1:] * down)
    last, middle = rings[-1], (rings[-1].max(0) + rings[-1].min(0)) / 2
    for s in (0.35, 0.6, 0.78, 0.9, 0.97, 1):  # a round toe box
        rings.append(middle + (1 - s ** 3) ** (1 / 3) * (last - middle) + 0.27 * reach * s * forward)
    return rings
