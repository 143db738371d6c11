"""A picture as if painted by hand: strokes of few colours that follow its forms, coarse under fine, and ink.

Lengths are in units: a person is some 250 of them tall, whatever the picture's size. Pictures are (H, W, 3)
float32 sRGB in [0, 1], places (N, 2) x and y in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

ANGLES = 48    # directions that strokes have, over half a turn
VARIANTS = 4   # brushes of each kind: two strokes with the same bristles are seen as such

REPEATED = 2**16  # numbers of strokes after which chance repeats

SHADE = 0.10   # by how much the bristles lighten and darken
WAYWARD = 0.16  # radians that a stroke is off the form
SPREAD = 0.05  # standard deviation of a stroke's brightness
PALETTE = 0.6  # share of a stroke's colour that is the nearest one of the palette's

INK = 0.6      # how dark lines are at the most
LINE = 0.9     # units, the scale of what is lined


@dataclass(frozen=True)
class Brush:
    """One layer's strokes.

    length, width  units
    apart          units from one to the next
    detail         they are set only where the picture is as detailed as this, 0 to 1
    """

    length: float
    width: float
    apart: float
    detail: float = 0.0


GROUND = Brush(34, 11, 6)
PERSON = Brush(15, 5, 2.6), Brush(8, 2.6, 1.7, 0.25), Brush(4.5, 1.5, 1.1, 0.55)


@dataclass(frozen=True)
class Strokes:
    """Where strokes of a brush are set, (N, 2), and numbers (N,) that tell the same one in every picture."""

    places: np.ndarray
    numbers: np.ndarray

    @staticmethod
    def over(size: tuple[int, int], apart: float, seed: int) -> Strokes:
        """All over a picture (H, W), as far apart as that, pixels, and off a grid by up to half of it."""
        rows, columns = (np.arange(0, side + apart, apart) for side in size)
        random = np.random.default_rng((seed, len(rows), len(columns)))
        places = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
        places = places + random.uniform(-0.5, 0.5, places.shape) * apart
        return Strokes(places, np.arange(len(places)))

    def only(self, chosen: np.ndarray) -> Strokes:
        """Some of the strokes, by a mask or by their indices."""
        return Strokes(self.places[chosen], self.numbers[chosen])


def palette_of(pixels: np.ndarray, colours: int, rounds: int = 12) -> np.ndarray:
    """(colours, 3) that pixels (N, 3) are best told by, the darkest first: k-means, begun far apart.

    Source: Arthur and Vassilvitskii, k-means++, SODA 2007.
    """
    random = np.random.default_rng(0)
    centres = pixels[:1].astype(np.float32)
    for _ in range(colours - 1):
        far = np.square(pixels[:, None] - centres).sum(-1).min(1).astype(np.float64) + 1e-12
        centres = np.concatenate([centres, pixels[random.choice(len(pixels), 1, p=far / far.sum())]])
    for _ in range(rounds):
        nearest = np.square(pixels[:, None] - centres).sum(-1).argmin(1)
        for index in np.unique(nearest):
            centres[index] = pixels[nearest == index].mean(0)
    return centres[np.argsort(centres.sum(1), kind="stable")]


def vivid(picture: np.ndarray, much: float = 1.35) -> np.ndarray:
    """The same picture with its colours further from grey."""
    grey = picture @ np.float32([0.3, 0.59, 0.11])
    return (grey[..., None] + much * (picture - grey[..., None])).clip(0, 1)


@dataclass(frozen=True)
class Forms:
    """What strokes follow in a picture: directions (H, W) radians, and how detailed it is (H, W), 0 to 1."""

    direction: np.ndarray
    detail: np.ndarray

    @staticmethod
    def of(picture: np.ndarray, unit: float) -> Forms:
        """Along edges, or where there are none the way that the nearest run."""
        grey = gaussian_filter(picture.mean(-1), 0.8 * unit)
        down, across = np.gradient(grey)
        tensor = [gaussian_filter(plane, 3 * unit) for plane in (across**2, across * down, down**2)]
        # a faint pull upwards, as one would paint what has no form
        direction = 0.5 * np.arctan2(2 * tensor[1], tensor[0] - tensor[2] + 1e-7) + np.pi / 2
        edges = gaussian_filter(np.hypot(across, down), 1.2 * unit) * unit
        return Forms(direction, (edges / 0.05).clip(0, 1))


def ink(picture: np.ndarray, unit: float) -> np.ndarray:
    """(H, W) how much of a dark line there is, 0 to 1: where it is darker than around, as pens are used.

    Source: Winnemoeller, Kyprianidis and Olsen, XDoG, Computers & Graphics 2012, section 2.
    """
    grey = picture.mean(-1)
    near, far = (gaussian_filter(grey, scale * LINE * unit) for scale in (1.0, 1.6))
    return np.tanh(18 * (far - near - 0.02).clip(0, None))


def set_strokes(canvas: np.ndarray, strokes: Strokes, brush: Brush, colours: np.ndarray, forms: Forms,
                palette: np.ndarray, unit: float, within: np.ndarray | None = None) -> None:
    """Paint strokes onto a canvas, one over the other.

    colours  (H, W, 3) the picture: each stroke has its colour there, or nearly that of the palette
    within   (H, W) in [0, 1], where they may be; None: everywhere
    """
    height, width = canvas.shape[:2]
    inside = ((strokes.places >= 0) & (strokes.places < (width, height))).all(1)
    strokes = strokes.only(inside)
    columns, rows = strokes.places.T.astype(int)
    wanted = forms.detail[rows, columns] >= brush.detail
    strokes, columns, rows = strokes.only(wanted), columns[wanted], rows[wanted]
    chance = _chances(strokes.numbers)
    colour = _few(gaussian_at(colours, strokes.places, brush.width * unit / 3), palette)
    colour = (colour * (1 + SPREAD * chance[:, :1])).clip(0, 1).astype(np.float32)
    angle = forms.direction[rows, columns] + WAYWARD * chance[:, 1]
    angle = np.round(angle / np.pi * ANGLES).astype(int) % ANGLES
    variant = strokes.numbers % VARIANTS
    length, wide = (round(extent * unit, 2) for extent in (brush.length, brush.width))
    for place in np.argsort(chance[:, 2], kind="stable"):
        alpha, shade = _stamp(length, wide, int(variant[place]), int(angle[place]))
        reach = alpha.shape[0] // 2
        top, left = rows[place] - reach, columns[place] - reach
        part = slice(max(top, 0), top + alpha.shape[0]), slice(max(left, 0), left + alpha.shape[1])
        under = canvas[part]
        cut = slice(part[0].start - top, part[0].start - top + under.shape[0]), \
            slice(part[1].start - left, part[1].start - left + under.shape[1])
        share = alpha[cut] if within is None else alpha[cut] * within[part]
        under += share[..., None] * (colour[place] * shade[cut][..., None] - under)


def gaussian_at(picture: np.ndarray, places: np.ndarray, sigma: float) -> np.ndarray:
    """(N, 3) the colours of a blurred picture at places."""
    return np.stack([map_coordinates(gaussian_filter(picture[..., channel], sigma), places.T[::-1], order=1,
                                     mode="nearest") for channel in range(3)], -1)


def _few(colours, palette):
    nearest = palette[np.square(colours[:, None] - palette).sum(-1).argmin(1)]
    return colours + PALETTE * (nearest - colours)


def _chances(numbers):
    """(N, 3) normal deviates that belong to numbers, whatever others are asked for."""
    return np.random.default_rng(0).standard_normal((REPEATED, 3))[numbers % REPEATED]


@lru_cache(maxsize=4096)
def _stamp(length: float, width: float, variant: int, angle: int) -> tuple[np.ndarray, np.ndarray]:
    """How much a stroke covers, and how light its bristles are, squares of one size."""
    reach = int(np.ceil(length / 2 + 1))
    down, across = np.mgrid[-reach:reach + 1, -reach:reach + 1].astype(np.float32)
    bristles, ends = np.random.default_rng((7, variant)).standard_normal((2, 64))
    cos, sin = np.cos(angle * np.pi / ANGLES), np.sin(angle * np.pi / ANGLES)
    along, beside = across * cos + down * sin, down * cos - across * sin
    hair = np.clip((beside / width + 0.5) * 63, 0, 63)  # which bristle
    tone = np.interp(hair, np.arange(64), gaussian_filter(bristles, 2.5) * 2.5)
    # bristles leave the canvas one by one, so a stroke's ends are ragged
    frayed = np.interp(hair, np.arange(64), gaussian_filter(ends, 1.5)) * 0.12 * length
    bent = beside + 0.12 * width * np.sin(3 * along / max(length, 1e-6) + variant)
    ends_at = length / 2 + np.minimum(frayed, 0)
    alpha = 0.92 * _soft(width / 2 - np.abs(bent)) * _soft(ends_at - np.abs(along))
    return alpha.astype(np.float32), (1 + SHADE * np.tanh(tone)).astype(np.float32)


def _soft(distance):
    """1 inside, 0 outside, over one pixel."""
    return (distance + 0.5).clip(0, 1)
