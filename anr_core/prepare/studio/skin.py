"""Skin and a face, painted onto Anny's texture atlas.

Tone, blotches, moles and freckles are laid over the rest pose, so that they run across the atlas's seams.
Eyes, brows, lips and nails have fixed places in the atlas: `across` the face from its middle line and `down`
from the eyes, both in UV units, of which one is about 0.95 m on the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from anr_core.prepare.studio.painting import Texels, clouds, colour, linear, mixed, noise, spots, step

MIDDLE, EYES = 0.483, 0.839  # v of the face's middle line, u of the line through the eyes
EYE, EYEBALLS, EYEBALL_RADIUS = 0.034, ((0.7666, 0.9506), (0.8070, 0.9506)), 0.0063
NAILS = ((0.4065, 0.0820), (0.4115, 0.0460), (0.4430, 0.0155), (0.4980, 0.0180), (0.5340, 0.0600))
HANDS_MIRROR = 1.126  # u of the right hand's nails is this less the left's
TONES = ((0.93, 0.77, 0.69), (0.89, 0.71, 0.60), (0.82, 0.62, 0.49), (0.71, 0.51, 0.38), (0.55, 0.37, 0.27),
         (0.41, 0.27, 0.20), (0.31, 0.20, 0.15))
HAIRS = ((0.09, 0.07, 0.06), (0.17, 0.11, 0.08), (0.27, 0.18, 0.11), (0.52, 0.36, 0.19), (0.72, 0.57, 0.36),
         (0.42, 0.17, 0.08), (0.55, 0.53, 0.51))
IRISES = ((0.30, 0.20, 0.12), (0.22, 0.13, 0.08), (0.35, 0.45, 0.55), (0.36, 0.42, 0.30), (0.45, 0.34, 0.18))


@dataclass(frozen=True)
class Complexion:
    """How a person's skin and face look; colours are sRGB.

    darkness  0 (palest) to 1        freckles, stubble, makeup, flush: how much, 0 to 1
    """

    darkness: float
    freckles: float
    stubble: float
    makeup: float
    flush: float
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]

    @staticmethod
    def drawn(random: np.random.Generator, bearded: bool) -> Complexion:
        """A complexion at random."""
        darkness = random.uniform(0, 1)
        hair = HAIRS[int(random.integers(2 if darkness > 0.6 else len(HAIRS)))]
        iris = IRISES[int(random.integers(2 if darkness > 0.5 else len(IRISES)))]
        return Complexion(
            darkness, freckles=random.uniform(0.2, 1) * (darkness < 0.35),
            stubble=random.uniform(0.2, 1) * bearded, makeup=random.uniform(0.2, 0.9) * (not bearded),
            flush=random.uniform(0.4, 1), hair=tuple(np.array(hair) * random.uniform(0.8, 1.15)), iris=iris)

    @property
    def tone(self) -> torch.Tensor:
        """(3,) the skin's sRGB colour."""
        place = self.darkness * (len(TONES) - 1.001)
        return torch.lerp(*(colour(*TONES[int(place) + step_]) for step_ in range(2)), place % 1)


def paint_skin(texels: Texels, place: torch.Tensor, uv: torch.Tensor, look: Complexion,
               seed: int) -> torch.Tensor:
    """(5, size, size) linear albedo, height in metres and gloss, of places (N, 3) in the rest pose."""
    random = np.random.default_rng([seed, 10])
    tone = look.tone
    blotches, fine = clouds(place, 0.09, seed + 50, 4), clouds(place, 0.006, seed + 60, 2)
    red = tone * colour(1.04, 0.80, 0.78)
    albedo = tone * (1 + 0.05 * clouds(place, 0.25, seed + 70, 3) + 0.035 * blotches + 0.03 * fine)[:, None]
    albedo = mixed(albedo, red, 0.35 * step(0.0, 0.9, clouds(place, 0.05, seed + 80, 4)))
    veins = step(0.06, 0.0, clouds(place, 0.11, seed + 90, 3).abs())
    veins = veins * step(0.2, 0.6, noise(place, 0.2, seed + 95))
    albedo = mixed(albedo, tone * colour(0.86, 0.93, 0.97), 0.35 * veins * (1 - look.darkness))
    height = 1.2e-4 * fine + 1.5e-4 * noise(place, 0.0022, seed + 97)
    gloss = 1 + 0.35 * blotches
    albedo = _moles(albedo, place, look, random)
    albedo, height, gloss = _face(albedo, height, gloss, place, uv, look, seed, random)
    albedo, gloss = _hands(albedo, gloss, uv, tone)
    albedo, height, gloss = _eyes(albedo, height, gloss, uv, look, seed)
    return texels.picture(torch.cat([linear(albedo), height[:, None], gloss[:, None]], 1))


def _moles(albedo, place, look, random):
    tone = look.tone
    for count, small, large, ink, strength in ((60, 0.0008, 0.0022, tone * colour(0.45, 0.33, 0.29), 0.8),
                                               (220, 0.0015, 0.0035, tone * colour(0.98, 0.74, 0.68), 0.3)):
        centres = place[torch.from_numpy(random.integers(len(place), size=count))]
        radii = torch.from_numpy(random.uniform(small, large, count)).float()
        albedo = mixed(albedo, ink, strength * spots(place, centres, radii))
    return albedo


def _face(albedo, height, gloss, place, uv, look, seed, random):
    tone = look.tone
    across, down = (uv[:, 1] - MIDDLE), uv[:, 0] - EYES
    aside = across.abs()
    # its chart lies between those of a forearm and of the hands
    head = (uv[:, 0] > 0.63) & (aside < 0.34 + 0.406 * down.clamp(max=-0.02))
    away = torch.where(head, 0.0, 9.0)  # puts everything that is not the head out of reach

    def blot(x, y, width, tall):
        return torch.exp(-(((aside - x) / width).square() + ((down - y) / tall).square() + away))

    # blood near the surface, shade around the eyes, a scalp under the hair
    flush = 0.55 * look.flush * blot(0.048, 0.032, 0.022, 0.018) + 0.6 * blot(0, 0.033, 0.010, 0.010) \
        + 0.35 * blot(0.155, 0.012, 0.04, 0.04) + 0.25 * blot(0, 0.1, 0.02, 0.012)
    albedo = mixed(albedo, tone * colour(1.05, 0.72, 0.68), flush.clamp(max=0.8))
    albedo = mixed(albedo, tone * colour(0.72, 0.60, 0.60), 0.55 * blot(EYE - 0.004, 0.010, 0.016, 0.006)
                   + 0.5 * blot(EYE, -0.007, 0.016, 0.006))
    albedo = mixed(albedo, tone * colour(0.70, 0.58, 0.56), 0.6 * blot(0.0085, 0.0375, 0.0035, 0.003)
                   + 0.35 * blot(0.019, 0.034, 0.003, 0.012))
    hair = colour(*look.hair)
    grown = torch.stack([across * 900, down * 120], 1) + place[:, :2] * 20
    strands = 0.5 + 0.5 * noise(grown, 1.0, seed + 100)
    bounds = down + 0.075 - 0.9 * (aside - 0.04).clamp(min=0) + 0.012 * clouds(uv, 0.03, seed + 101, 3)
    ears = blot(0.152, 0.012, 0.022, 0.022)
    beneath = step(0.006, -0.012, bounds) * head * (1 - ears.clamp(max=0.6) / 0.6)
    albedo = mixed(albedo, hair * 0.6 + tone * 0.15, 0.9 * beneath)
    freckled = place[(blot(0.03, 0.02, 0.05, 0.03) > 0.15)]
    if look.freckles and len(freckled):
        count = int(420 * look.freckles)
        centres = freckled[torch.from_numpy(random.integers(len(freckled), size=count))]
        radii = torch.from_numpy(random.uniform(0.0004, 0.0009, count)).float()
        albedo = mixed(albedo, tone * colour(0.80, 0.60, 0.48), 0.5 * spots(place, centres, radii))
    jaw = blot(0, 0.085, 0.075, 0.028) + 0.8 * blot(0, 0.05, 0.024, 0.006) + blot(0.10, 0.05, 0.03, 0.035)
    short = 0.5 + 0.5 * noise(place, 0.0016, seed + 102)
    beard = 0.8 * look.stubble * jaw.clamp(max=1) * short
    albedo = mixed(albedo, hair * 0.8 + tone * 0.1, beard.clamp(max=0.85))
    albedo, height, gloss = _lips(albedo, height, gloss, aside, across, down, away, look, seed)
    albedo = _brows(albedo, aside, down, away, strands, hair, look, random)
    oval = ((aside - EYE) / 0.0125).square() + ((down - 0.0005) / 0.0042).square()
    lashes = torch.exp(-3.2 * (oval - 1).abs() - away) * (down < 0.0015)
    albedo = mixed(albedo, hair * 0.25, (0.9 * lashes).clamp(max=0.9))
    oily = 0.8 * blot(0, -0.03, 0.03, 0.03) + 0.8 * blot(0, 0.025, 0.012, 0.02)
    return albedo, height, gloss + oily


def _lips(albedo, height, gloss, aside, across, down, away, look, seed):
    corner = (1 - (aside / 0.0235).square()).clamp(min=0)
    bow = 0.0022 * torch.exp(-(aside / 0.004).square())
    upper, lower = 0.0700 - 0.0095 * corner.sqrt() + bow, 0.0700 + 0.0125 * corner.sqrt()
    inside = step(-0.0012, 0.0012, torch.minimum(down - upper, lower - down)) * (corner > 0) * (away < 1)
    red = look.tone * colour(0.92, 0.60, 0.60) * (1 - look.makeup) + colour(0.62, 0.18, 0.22) * look.makeup
    wrinkles = noise(torch.stack([across * 700, down * 60], 1), 1.0, seed + 103)
    albedo = mixed(albedo, red * (1 + 0.1 * wrinkles)[:, None], 0.85 * inside)
    gap = torch.exp(-((down - 0.0700) / 0.0016).square()) * (corner > 0.02) * (away < 1)
    albedo = mixed(albedo, red * 0.25, gap)
    return albedo, height + 1e-4 * wrinkles * inside, gloss + 1.2 * inside


def _brows(albedo, aside, down, away, strands, hair, look, random):
    thick, high = random.uniform(0.0028, 0.0048), random.uniform(-0.0205, -0.017)
    along = (aside - 0.013) / 0.040
    line = high - 0.005 * torch.sin(along.clamp(0, 1) * 2.4) + 0.0015
    width = thick * (1 - 0.65 * along.clamp(0, 1))
    brow = step(1.3, 0.5, (down - line).abs() / width) * step(-0.05, 0.08, along) * step(1.03, 0.85, along)
    return mixed(albedo, hair * 0.55, (brow * (0.5 + 0.6 * strands) * (away < 1)).clamp(max=0.95))


def _hands(albedo, gloss, uv, tone):
    centres = torch.tensor([*NAILS, *((HANDS_MIRROR - u, v) for u, v in NAILS)])
    nails = spots(uv, centres, torch.full((len(centres),), 0.0034))
    return mixed(albedo, tone * 0.8 + colour(0.20, 0.13, 0.13), 0.8 * nails), gloss + 1.5 * nails


def _eyes(albedo, height, gloss, uv, look, seed):
    """White, iris with its fibres, pupil; the eyeballs' backs get the white as well."""
    ball = (uv[:, 0] > 0.757) & (uv[:, 0] < 0.815) & (uv[:, 1] > 0.929)
    white, iris = colour(0.86, 0.83, 0.81), colour(*look.iris)
    albedo = torch.where(ball[:, None], white, albedo)
    for u, v in EYEBALLS:
        offset = (uv - colour(u, v)) / EYEBALL_RADIUS
        radius = offset.norm(dim=1)
        here = (radius < 1.2) & ball
        turn = torch.atan2(offset[:, 1], offset[:, 0])
        fibres = noise(torch.stack([turn * 6, radius * 2], 1), 1.0, seed + 110)
        veined = mixed(white, colour(0.80, 0.52, 0.48), 0.4 * step(0.55, 1.0, radius))
        eye = mixed(veined, iris * (1 + 0.35 * fibres)[:, None], step(0.47, 0.42, radius))
        eye = mixed(eye, iris * 0.3, step(0.05, 0.0, (radius - 0.44).abs()))
        eye = mixed(eye, colour(0.02, 0.02, 0.02), step(0.20, 0.16, radius))
        albedo = torch.where(here[:, None], eye, albedo)
    return albedo, torch.where(ball, 0.0, height), torch.where(ball, 3.5, gloss)
