"""How pairs of pictures are trained and drawn: as a whole, or in windows where they are larger than one.

Now and then a pair is scaled, turned and shifted, input and picture alike: few pairs need it.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from anr_core.avatars import Config, avatar_class
from anr_core.capture import Capture, View, Views, resample, resize

# Resolutions of a pairs' network that is told none: nothing of the form is drawn already, as it is of a mesh
# in the person's own colours. Of 30 pairs of faces 2 reach 23.0 dB on others, 3 26.8, 4 27.6.
LEVELS = 4


def drawn_whole(capture: Capture, config: Config, size: int | None = None) -> Views:
    """The views of a capture as evaluation and previews draw them: around the body, or pairs as a whole.

    size  side of the pictures, of pairs the longer one, pixels; None for what is trained
    """
    if not capture.paired:
        return capture.views(crop="body", size=size or config.size)
    whole = next(iter(capture.cameras.values())).size
    return capture.views(size=tuple(max(1, round(pixels * size / max(whole))) if size else
                                    shrunk(pixels, config) for pixels in whole))


def shrunk(pixels: int, config: Config) -> int:
    """How many pixels are drawn of so many of a pair's picture."""
    return max(1, round(pixels / config.downsample))


def as_pairs_are(config: Config, trainings: list[Capture], theirs: Config | None) -> Config:
    """The settings with those decided that pairs decide: size, channels, whether there are masks to learn.

    theirs  settings of the run whose network is the start, which either draws a mask or doesn't

    Raises ValueError for a system that needs a body, for pairs beside a film of one, and for pairs that
    differ in size or channels.
    """
    if not any(training.paired for training in trainings):
        return config
    if avatar_class(config.system).draws != "image pair":
        _ = next(training for training in trainings if training.paired).body  # which says that there is none
    if not all(training.paired for training in trainings):
        raise ValueError("Pairs of pictures and films of a body can't be trained together; train each alone.")
    firsts = [training.views()[0] for training in trainings]
    channels, sizes = {view.input.shape[1] for view in firsts}, {view.size for view in firsts}
    if len(channels) > 1 or len(sizes) > 1:
        raise ValueError(f"Pairs of {len(sizes)} sizes, with inputs of {sorted(channels)} channels, can't be "
                         "trained together. Scale them to one size, and give them the same channels.")
    masked = any(shot.mask for training in trainings for shot in training.shots)
    if theirs is not None:
        masked = getattr(theirs, "masked", masked)
    longest = max(shrunk(pixels, config) for pixels in sizes.pop())
    return replace(config, size=longest, input_channels=channels.pop(), masked=masked,
                   levels=config.levels or (LEVELS if theirs is None else 0))


def paired_window(views: Views, turn: int, config: Config, random: np.random.Generator) -> View:
    """A pair, or a window's size of it, as it is or scaled, turned and shifted.

    What comes in from outside has the colour of the picture's border, the input's likewise, and is uncertain.
    """
    whole = views.capture.cameras[views.shots[turn].camera].size
    size = tuple(min(config.window, shrunk(pixels, config)) for pixels in whole)
    window = torch.tensor([pixels if drawn == shrunk(pixels, config) else drawn * config.downsample
                           for drawn, pixels in zip(size, whole, strict=True)], dtype=torch.float64).flip(0)
    whole = torch.tensor(whole).flip(0)
    place, shift = torch.from_numpy(random.uniform(0, 1, 2)), torch.from_numpy(random.uniform(-1, 1, 2))
    often, scale, roll = random.uniform(0, 1), *random.uniform(-1, 1, 2)
    # in whole pixels: what is not turned is not to be blurred either
    corner = (place * (whole - window + 1)).floor().clamp(min=0)
    if often >= config.augment and bool((window == window.floor()).all()):
        part = views.part(turn, (*corner.int().tolist(), *(corner + window).int().tolist()))
        return part if part.size == size else resize(part, size)
    if often >= config.augment:
        scale, roll, shift = 0.0, 0.0, 0 * shift
    center = corner + window / 2 + shift * config.augment_shift * whole
    extent, roll = window / config.augment_scale**scale, math.radians(config.augment_turn) * roll
    # of a large picture only what the turned window holds
    reach = float(extent.norm()) / 2 + 2
    low = (center - reach).int().clamp(min=0).minimum(whole - 1)
    high = (center + reach).int().minimum(whole).maximum(low + 1)
    part = views.part(turn, (*low.tolist(), *high.tolist()))
    return resample(part, (center - low)[None].float(), extent[None].float(), torch.tensor([roll]).float(),
                    size, views.border(turn))
