"""Clothes, shoes and hair, painted onto their layers.

Everything is measured in metres on the cloth: x to the right and y up on a sheet of the sewing pattern, and
`seam`, how far the sheet's edge is. So a stripe is as wide on a child as on a giant, and seams and hems lie
where they are sewn.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass

import numpy as np
import torch

from anr_core.prepare.studio.painting import clouds, linear, mixed, noise, step

FABRICS = {"skin": ("skin",), "shirt": ("print", "stripes", "plaid", "checks", "dots", "knit"),
           "trousers": ("denim", "chino", "sport", "denim"),
           "skirt": ("plaid", "flowers", "denim", "stripes"),
           "shoes": ("canvas", "leather"), "hair": ("hair",)}
FINISHES = {"skin": "skin", "denim": "denim", "leather": "leather", "hair": "hair"}


@dataclass(frozen=True)
class Sheet:
    """Places on a layer: x and y (N,) metres on the cloth, seam (N,) metres, place (N, 3) in the first frame,
    and the middle (2,) of the chest in x and y, or None."""

    x: torch.Tensor
    y: torch.Tensor
    seam: torch.Tensor
    place: torch.Tensor
    chest: torch.Tensor | None


def palette(random: np.random.Generator) -> torch.Tensor:
    """(4, 3) sRGB colours that go together: a ground, a near tone, an accent and a light or dark one."""
    hue, saturation, value = random.uniform(), random.uniform(0.1, 0.6), random.uniform(0.2, 0.85)
    turn = random.choice([0.08, 0.33, 0.5, 0.6])
    tones = [(hue, saturation, value), (hue + 0.03, saturation * 0.8, value * random.choice([0.6, 0.75])),
             (hue + turn, random.uniform(0.35, 0.7), random.uniform(0.4, 0.85)),
             (hue, 0.08, 0.92 if value < 0.6 else 0.13)]
    return torch.tensor([colorsys.hsv_to_rgb(h % 1, s, v) for h, s, v in tones], dtype=torch.float32)


def paint_fabric(kind: str, sheet: Sheet, tones: torch.Tensor, seed: int) -> torch.Tensor:
    """(N, 5) linear albedo, height in metres and gloss of a fabric in some tones (4, 3)."""
    albedo, height, gloss = globals()[f"_{kind}"](sheet, tones, seed, np.random.default_rng([seed, 31]))
    if kind not in ("hair", "leather"):
        albedo, height = _worn(albedo, height, sheet, seed)
    return torch.cat([linear(albedo.clamp(0.01, 0.95)), height[:, None], gloss[:, None]], 1)


def _worn(albedo, height, sheet, seed):
    """Seams with their stitches, and the unevenness that all cloth has."""
    flat = torch.stack([sheet.x, sheet.y], 1)
    uneven = 1 + 0.06 * clouds(flat, 0.12, seed + 200, 4) + 0.05 * noise(flat, 0.004, seed + 210)
    line = torch.exp(-((sheet.seam - 0.009) / 0.0016).square())
    stitches = line * (0.5 + 0.5 * torch.sin((sheet.x + sheet.y) * 2 * math.pi / 0.007))
    fold = step(0.007, 0.0, sheet.seam)
    ridges = 1 - clouds(flat + 0.03 * clouds(flat, 0.2, seed + 221, 2)[:, None], 0.16, seed + 220, 3).abs()
    crumpled = 0.0045 * ridges.square() + 0.0008 * clouds(flat, 0.035, seed + 230, 2)
    return (albedo * (uneven * (1 - 0.35 * fold - 0.25 * line + 0.3 * stitches))[:, None],
            height + crumpled + 0.0008 * step(0.02, 0.012, sheet.seam) - 0.0008 * line)


def _weave(sheet, period=0.0022, relief=1.5e-4):
    """Height of a plain weave, and its light and shade."""
    over = torch.sin(sheet.x * math.pi / period) * torch.sin(sheet.y * math.pi / period)
    return relief * over, 1 + 0.06 * over


def _print(sheet, tones, seed, random):
    """A shirt of one colour with something printed on its chest."""
    height, shade = _weave(sheet, 0.0018)
    albedo = tones[0].expand(len(sheet.x), 3)
    if sheet.chest is not None:
        x, y = sheet.x - sheet.chest[0], sheet.y - sheet.chest[1]
        art, ink = _emblem(x, y, tones, seed, random)
        cracked = 0.75 + 0.25 * step(-0.5, 0.1, noise(torch.stack([x, y], 1), 0.006, seed + 240))
        albedo = mixed(albedo, art, ink * cracked)
    return albedo * shade[:, None], height, torch.ones_like(shade)


def _emblem(x, y, tones, seed, random):
    """Colours and cover of a figure in a field of 24 cm, made of rings, rays, bars or letters."""
    radius, turn = (x.square() + y.square()).sqrt(), torch.atan2(y, x)
    kind = random.integers(4)
    art = mixed(tones[2], tones[3], step(0.0, 0.02, torch.sin(y * 130 + 6 * x)))
    if kind == 0:
        rays = torch.sin(turn * int(random.integers(7, 15)))
        ink = step(0.115, 0.113, radius) * torch.maximum(step(-0.05, 0.05, rays), step(0.055, 0.053, radius))
        art = mixed(art, tones[3], step(0.042, 0.040, radius))
    elif kind == 1:
        ink = step(0.115, 0.113, radius) * step(-0.2, 0.2, torch.sin(radius * 2 * math.pi / 0.045))
        art = mixed(art, tones[2], step(0.0, 0.002, y))
    elif kind == 2:
        ink = step(0.10, 0.098, y.abs()) * step(0.13, 0.128, x.abs()) * step(-0.3, 0.0, torch.sin(y * 160))
        art = mixed(tones[3], tones[2], step(0.0, 0.01, x - 0.6 * y + 0.03 * torch.sin(50 * y)))
    else:
        return _letters(x, y, tones, random)
    return art, ink


# A 5 x 5 alphabet of our own, one word of bits a row.
GLYPHS = {"A": "01110 10001 11111 10001 10001", "N": "10001 11001 10101 10011 10001",
          "R": "11110 10001 11110 10010 10001", "O": "01110 10001 10001 10001 01110",
          "U": "10001 10001 10001 10001 01110", "V": "10001 10001 10001 01010 00100",
          "E": "11111 10000 11110 10000 11111", "7": "11111 00001 00010 00100 00100",
          "3": "11110 00001 01110 00001 11110", "8": "01110 10001 01110 10001 01110"}
WORDS = ("ANR", "NOVA", "EURO", "AVENUE", "87", "33", "RUN", "NEON", "OVER")


def _letters(x, y, tones, random):
    word = WORDS[int(random.integers(len(WORDS)))]
    rows = ["0".join(GLYPHS[letter].split()[row] for letter in word) for row in range(5)]
    bits = torch.tensor([[float(bit) for bit in row] for row in rows])
    cell = min(0.26 / bits.shape[1], 0.026)
    column = (x / cell + bits.shape[1] / 2).floor().long()
    row = (2.5 - y / (1.3 * cell)).floor().long()
    inside = (column >= 0) & (column < bits.shape[1]) & (row >= 0) & (row < 5)
    ink = torch.where(inside, bits[row.clamp(0, 4), column.clamp(0, bits.shape[1] - 1)], 0.0)
    under = step(0.004, 0.003, (y + 3.8 * cell).abs()) * step(0.13, 0.128, x.abs())
    return mixed(tones[3], tones[2], step(-0.01, 0.01, y)), torch.maximum(ink, under)


def _stripes(sheet, tones, seed, random):
    width = random.uniform(0.025, 0.06)
    share = (sheet.y / width).remainder(1)
    height, shade = _weave(sheet, 0.0020)
    albedo = mixed(tones[0], tones[3], step(0.48, 0.52, share) * step(1.0, 0.97, share))
    thin = step(0.05, 0.03, (share - 0.25).abs())
    return mixed(albedo, tones[2], thin) * shade[:, None], height, torch.ones_like(share)


def _plaid(sheet, tones, seed, random):
    """Flannel: bands in both directions over a twill, each thread one colour."""
    size = random.uniform(0.07, 0.13)
    twill = step(-0.3, 0.3, torch.sin((sheet.x + sheet.y) * 2 * math.pi / 0.004))

    def threads(along):
        share = (along / size).remainder(1)
        wide = step(0.02, 0.03, share) * step(0.40, 0.39, share)
        thin = step(0.035, 0.025, (share - 0.55).abs()) + step(0.035, 0.025, (share - 0.85).abs())
        colours = mixed(tones[0], tones[1] * 0.55, wide)
        colours = mixed(colours, tones[2], thin.clamp(max=1) * step(0.8, 0.7, share))
        return mixed(colours, tones[3], thin.clamp(max=1) * step(0.7, 0.8, share))

    albedo = mixed(threads(sheet.x), threads(sheet.y), 0.25 + 0.5 * twill)
    return albedo, 1.2e-4 * twill, torch.ones_like(twill)


def _checks(sheet, tones, seed, random):
    size = random.uniform(0.015, 0.035)
    one, other = ((along / size).remainder(2) < 1 for along in (sheet.x, sheet.y))
    height, shade = _weave(sheet, 0.0018)
    albedo = mixed(torch.tensor([0.9, 0.9, 0.9]), tones[0], 0.5 * one.float() + 0.5 * other.float())
    return albedo * shade[:, None], height, torch.ones_like(shade)


def _dots(sheet, tones, seed, random):
    size = random.uniform(0.03, 0.055)
    row = (sheet.y / size).round()
    column = sheet.x / size + 0.5 * row.remainder(2)
    away = ((column - column.round()).square() + (sheet.y / size - row).square()).sqrt()
    height, shade = _weave(sheet, 0.0016)
    return mixed(tones[0], tones[3], step(0.27, 0.24, away)) * shade[:, None], height, \
        torch.ones_like(shade)


def _knit(sheet, tones, seed, random):
    """Wool: stitches in columns like plaits, with bands of another colour."""
    wide, tall = 0.0065, 0.0055
    share = (sheet.x / wide).remainder(1) - 0.5
    slanted = (sheet.y / tall + share.abs() * 1.6).remainder(1)
    loop = step(0.0, 0.3, slanted) * step(1.0, 0.7, slanted) * step(0.5, 0.3, share.abs())
    band = step(0.3, 0.6, noise(torch.stack([sheet.y, sheet.y * 0], 1), 0.09, seed + 250))
    wave = 0.012 * torch.sin(sheet.x * 2 * math.pi / 0.052)
    zigzag = step(-0.1, 0.1, wave + sheet.y.remainder(0.11) - 0.05)
    albedo = mixed(mixed(tones[0], tones[3], band * zigzag), tones[2], 0.5 * band * (1 - zigzag))
    return albedo * (0.72 + 0.33 * loop)[:, None], 9e-4 * loop, torch.ones_like(loop) * 0.5


def _flowers(sheet, tones, seed, random):
    """Flowers strewn over the cloth, a random one in each cell."""
    size = random.uniform(0.045, 0.075)
    flat = torch.stack([sheet.x, sheet.y], 1)
    albedo = tones[0].expand(len(flat), 3)
    for layer in range(2):
        cell = (flat / size + 0.5 * layer).floor()
        hue, dx, dy = (noise(cell + 0.5, 0.617, seed + 260 + 3 * layer + k) for k in range(3))
        x, y = ((flat / size + 0.5 * layer) - cell - 0.5 - 0.22 * torch.stack([dx, dy], 1)).unbind(1)
        radius, turn = (x.square() + y.square()).sqrt(), torch.atan2(y, x) + 3 * hue
        petals = 0.17 + 0.08 * torch.cos(5 * turn)
        bloom = mixed(tones[2], tones[3], step(-0.1, 0.1, hue))
        stalk = step(0.04, 0.02, (y + 0.5 * x).abs()) * step(0.34, 0.3, radius)
        albedo = mixed(albedo, tones[1], 0.8 * stalk)
        albedo = mixed(albedo, bloom * (0.8 + radius)[:, None], step(0.02, -0.02, radius - petals))
        albedo = mixed(albedo, torch.tensor([0.93, 0.75, 0.25]), step(0.08, 0.06, radius))
    height, shade = _weave(sheet, 0.0014)
    return albedo * shade[:, None], height, torch.ones_like(shade)


def _denim(sheet, tones, seed, random):
    """Blue twill, washed out where it is worn, with orange stitches."""
    flat = torch.stack([sheet.x, sheet.y], 1)
    twill = torch.sin((sheet.x + 0.6 * sheet.y) * 2 * math.pi / 0.0026)
    slub = noise(torch.stack([sheet.x * 9, sheet.y * 0.6], 1), 0.012, seed + 270)
    dark, worn = torch.tensor([0.12, 0.17, 0.30]), torch.tensor([0.45, 0.54, 0.67])
    dark = torch.lerp(dark, torch.tensor([0.10, 0.10, 0.12]), float(random.uniform(0, 0.7)))
    fade = 0.28 + 0.30 * clouds(flat, 0.22, seed + 280, 4) + 0.06 * slub + 0.07 * twill
    fade = fade + 0.25 * step(0.012, 0.003, sheet.seam) * (0.6 + 0.8 * noise(flat, 0.01, seed + 290))
    albedo = mixed(dark, worn, fade.clamp(0, 1))
    lines = sum(torch.exp(-((sheet.seam - away) / 0.0011).square()) for away in (0.012, 0.018))
    dashes = step(-0.5, 0.0, torch.sin((sheet.x + sheet.y) * 2 * math.pi / 0.006))
    return mixed(albedo, torch.tensor([0.75, 0.48, 0.20]), 0.85 * lines.clamp(max=1) * dashes), \
        1.2e-4 * twill + 1e-4 * slub, 0.8 + 0 * twill


def _chino(sheet, tones, seed, random):
    tone = torch.tensor([[0.55, 0.46, 0.34], [0.30, 0.32, 0.26], [0.20, 0.21, 0.25], [0.62, 0.58, 0.52]])[
        int(random.integers(4))]
    twill = torch.sin((sheet.x - sheet.y) * 2 * math.pi / 0.0022)
    worn = clouds(torch.stack([sheet.x, sheet.y], 1), 0.2, seed + 300, 4)
    return tone * (1 + 0.05 * twill + 0.08 * worn)[:, None], 1e-4 * twill, torch.ones_like(twill)


def _sport(sheet, tones, seed, random):
    """Jersey with bands along the outer seams."""
    rib, shade = _weave(sheet, 0.0013, 0.8e-4)
    dark = torch.tensor([[0.10, 0.11, 0.14], [0.13, 0.16, 0.26], [0.30, 0.31, 0.33], [0.22, 0.12, 0.14]])[
        int(random.integers(4))]
    bands = step(0.014, 0.016, sheet.seam) * step(0.030, 0.028, sheet.seam) \
        + step(0.038, 0.040, sheet.seam) * step(0.054, 0.052, sheet.seam)
    return mixed(dark, tones[3], bands) * shade[:, None], rib, 1.3 + 0 * bands


def _shoe(sheet):
    """How far up a shoe is, metres, and how much of the sole's rim it is."""
    up = sheet.place[:, 2] - sheet.place[:, 2].min()
    return up, step(0.026, 0.022, up)


def _canvas(sheet, tones, seed, random):
    up, sole = _shoe(sheet)
    height, shade = _weave(sheet, 0.003, 2e-4)
    tone = torch.tensor([[0.15, 0.16, 0.18], [0.80, 0.79, 0.76], [0.17, 0.21, 0.33], [0.50, 0.13, 0.13],
                         [0.36, 0.38, 0.36]])[int(random.integers(5))]
    albedo = mixed(tone * shade[:, None], torch.tensor([0.90, 0.89, 0.86]), sole)
    albedo = mixed(albedo, tones[2] * 0.7, step(0.003, 0.002, (up - 0.014).abs()))
    return albedo * (1 - 0.15 * clouds(sheet.place, 0.03, seed + 310, 3))[:, None], height, 1 + sole


def _leather(sheet, tones, seed, random):
    up, sole = _shoe(sheet)
    tone = torch.tensor([[0.16, 0.10, 0.07], [0.33, 0.19, 0.10], [0.07, 0.07, 0.08]])[int(random.integers(3))]
    creases = clouds(sheet.place, 0.02, seed + 320, 4)
    albedo = mixed(tone * (1 + 0.25 * creases)[:, None], torch.tensor([0.10, 0.08, 0.07]), sole)
    return albedo, 4e-4 * creases, 1.2 - 0.8 * sole


def _hair(sheet, tones, seed, random):
    """Strands along y, in locks whose sides lie in the others' shadow."""
    locks = noise(torch.stack([sheet.x, sheet.y * 0.12], 1), 0.011, seed + 330)
    strands = noise(torch.stack([sheet.x, sheet.y * 0.05], 1), 0.0034, seed + 331)
    fine = noise(torch.stack([sheet.x, sheet.y * 0.03], 1), 0.0014, seed + 332)
    sides = step(0.006, 0.0, sheet.seam)
    shade = (0.9 + 0.2 * locks + 0.42 * strands + 0.25 * fine) * (1 - 0.2 * sides)
    return tones[0] * shade.clamp(0.2, 1.7)[:, None], 8e-4 * locks + 1e-3 * strands, \
        (0.5 + 0.9 * strands + 0.5 * fine).clamp(min=0)
