"""The scene behind a person as a still camera sees it: what colours each pixel has when nobody is before it.

Colours are CIE L*a*b* with 16 added to L*. Light that is weaker by a factor s scales such a colour by the
cube root of s, as L* + 16, a* and b* are differences of cube roots of light: so a shadow moves a pixel along
the line to 0, and what it is off that line tells another colour from a shadow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import distance_transform_edt, uniform_filter
from skimage.color import rgb2lab

# Of the pictures: a place that was seen free in fewer is not known.
LEAST_FREE = 0.2
# Least number of pictures for the same.
FEWEST_FREE = 3
# Of 255: what stands near the person in every picture, but is not the person, keeps its colours within it.
STEADY = 16
SAME = 6.0                # colours nearer than this can hardly be told apart in a compressed picture
LEAST_NOISE = 1.5         # of a colour: pictures are compressed
SHADOW_SPREAD = 4.0       # that a shadow is off its line: the light that is left has another colour
SHADES = 0.65, 1.35       # of a colour's length: from a deep shadow to the light where the plate has a shadow
SHADED = 0.3              # how often a pixel lies in another light than in the plate
ODD = 0.02                # how often it has any colour
GAMUT = 1e6               # volume of all colours
GHOST = 0.5               # of a place's pictures with the person, that look like it: the plate has the person


@dataclass(frozen=True)
class Plate:
    """What each pixel of a picture looks like without the person; several colours are possible.

    colours  K of (H, W, 3), float32
    known    K of (H, W) bool: where each holds
    seen     (H, W) bool: it was seen free in the pictures
    noise    (H, W) standard deviation of a colour's channel
    middle   (H, W, 3) the likeliest
    picture  (H, W, 3) uint8, the same as a picture
    """

    colours: list[np.ndarray]
    known: list[np.ndarray]
    seen: np.ndarray
    noise: np.ndarray
    middle: np.ndarray
    picture: np.ndarray

    def density(self, colours: np.ndarray, where: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """How likely colours (N, 3) are at pixels where = rows (N,), columns (N,): per unit of colour."""
        total, count = np.zeros(len(colours), np.float32), np.zeros(len(colours), np.float32)
        for plate, known in zip(self.colours, self.known, strict=True):
            here = known[where]
            total += here * _density(colours, plate[where], self.noise[where])
            count += here
        return (1 - ODD) * total / count + ODD / GAMUT


def colours_of(picture: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 as L* + 16, a*, b*, float32."""
    colours = rgb2lab(np.float32(picture) / 255).astype(np.float32, copy=False)
    colours[..., 0] += 16
    return colours


def shade(colours: np.ndarray, plate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much longer colours (..., 3) are than the plate's, within SHADES, and how far off its line."""
    factor = ((colours * plate).sum(-1) / (plate * plate).sum(-1)).clip(*SHADES)
    return factor, np.linalg.norm(colours - factor[..., None] * plate, axis=-1)


def _density(colours, plate, noise):
    """Of colours (N, 3): about the plate's with its noise, or anywhere on its line of shades."""
    direct = ((colours - plate) ** 2).sum(-1)
    same = np.exp(-direct / (2 * noise**2)) / ((2 * np.pi) ** 1.5 * noise**3)
    spread = noise**2 + SHADOW_SPREAD**2
    length = np.linalg.norm(plate, axis=-1) * (SHADES[1] - SHADES[0])
    shaded = np.exp(-shade(colours, plate)[1] ** 2 / (2 * spread)) / (2 * np.pi * spread * length)
    return (1 - SHADED) * same + SHADED * shaded


def relit(picture: np.ndarray, scene: np.ndarray, where: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 in the scene's exposure and white balance, as pixels (H, W) bool show both.

    One gain a channel. Where fewer than 100 pixels show both, the picture as it is.
    """
    rows, columns = (index[::7] for index in np.nonzero(where))
    if len(rows) < 100:
        return picture
    ratio = (np.float32(scene[rows, columns]) + 1) / (np.float32(picture[rows, columns]) + 1)
    gain = np.median(ratio, 0)
    levels = (np.arange(256, dtype=np.float32)[:, None] * gain).round().clip(0, 255).astype(np.uint8)
    return np.stack([levels[picture[..., channel], channel] for channel in range(3)], -1)


def plate_of(pictures: np.ndarray, free: np.ndarray, near: np.ndarray | None = None,
             given: np.ndarray | None = None, core: np.ndarray | None = None) -> Plate:
    """The plate that pictures of a still camera show, and a given one where they don't.

    pictures  (N, H, W, 3) uint8
    free      (N, H, W) bool: what certainly is not the person
    near      (N, H, W) bool: what hardly is; asked where a place is never free, and steady there
    given     (H, W, 3) uint8, or None. Where the pictures show something else it is not believed.
    core      (N, H, W) bool: what certainly is the person, to see whether the given plate shows the person

    A place has the quartiles of its free colours, so it may be lit or in shadow. One that was never seen is
    as the given plate has it, or like its surroundings.
    """
    quartiles, seen = _quartiles(pictures, free)
    if near is not None:
        others, also = _quartiles(pictures, near)
        also &= ~seen & (np.int16(others[2]) - others[0] < STEADY).all(-1)
        quartiles[:, also] = others[:, also]
        seen |= also
    if not seen.any():
        raise ValueError("nothing of the scene is ever seen without the person before it")
    if not seen.all():
        nearest = distance_transform_edt(~seen, return_distances=False, return_indices=True)
        quartiles[:, ~seen] = quartiles[:, nearest[0], nearest[1]][:, ~seen]
    colours = [colours_of(quartile) for quartile in quartiles]
    steps = [np.linalg.norm(above - below, axis=-1) for below, above in pairwise(colours)]
    noise = np.minimum(*steps) / 0.67 / np.sqrt(3)  # a quartile lies 0.67 standard deviations from the middle
    noise = np.where(seen, noise, np.median(noise[seen]))
    noise = uniform_filter(noise, 5).clip(LEAST_NOISE).astype(np.float32)
    picture = quartiles[1].copy()
    known = [seen, np.ones(seen.shape, bool), seen]  # what is guessed counts once
    if given is not None:
        shown = colours_of(given)
        believed = np.minimum(*(shade(shown, plate)[1] for plate in colours[::2])) < 3 * SHADOW_SPREAD
        ghost = np.zeros_like(seen) if core is None else _share_alike(pictures, core, shown, noise) > GHOST
        believed = np.where(seen, believed, ~ghost)
        colours, known = [*colours, shown], [*known, believed]
        picture[~seen & believed] = given[~seen & believed]
    return Plate(colours, known, seen, noise, colours_of(picture), picture)


def _quartiles(pictures, free):
    """Quartiles (3, H, W, 3) uint8 of each pixel's colours where it is free, and (H, W) where enough are."""
    count = free.sum(0)
    found = np.zeros((3, *pictures.shape[1:]), np.uint8)
    for row in range(len(count)):  # row by row: sorting needs a copy
        colours = np.sort(np.where(free[:, row, :, None], pictures[:, row], np.uint8(255)), 0)
        for place in range(3):
            rank = np.round((count[row] - 1).clip(0) * (place + 1) / 4).astype(int)
            found[place, row] = np.take_along_axis(colours, rank[None, :, None], 0)[0]
    return found, count >= max(FEWEST_FREE, LEAST_FREE * len(pictures))


def _share_alike(pictures, core, plate, noise):
    """(H, W) of the pictures where a place certainly is the person, the share that look like the plate."""
    alike, count = np.zeros(plate.shape[:2], np.float32), core.sum(0)
    for picture, person in zip(pictures, core, strict=True):
        off = np.linalg.norm(colours_of(picture[person]) - plate[person], axis=-1)
        alike[person] += off < 4 * noise[person]
    return np.where(count >= FEWEST_FREE, alike / count.clip(1), 0)


def unlike(pictures: np.ndarray, where: np.ndarray, plate: np.ndarray) -> float:
    """The share of pixels, of those (N, H, W) bool that are asked, that no shade of the plate explains.

    pictures (N, H, W, 3) uint8 and plate (H, W, 3) uint8 of one light; 0 where no pixel is asked
    """
    shown = colours_of(plate)
    wrong = sum(int((shade(colours_of(picture[there]), shown[there])[1] > 3 * SHADOW_SPREAD).sum())
                for picture, there in zip(pictures, where, strict=True))
    return wrong / max(int(where.sum()), 1)


def alike(pictures: np.ndarray, where: np.ndarray, plate: np.ndarray) -> float:
    """The share of pixels, of those (N, H, W) bool that are asked, that have the plate's very colours."""
    shown = colours_of(plate)
    same = sum(int((np.linalg.norm(colours_of(picture[there]) - shown[there], axis=-1) < SAME).sum())
               for picture, there in zip(pictures, where, strict=True))
    return same / max(int(where.sum()), 1)
