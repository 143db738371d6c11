"""How pairs of pictures are trained and drawn: as a whole, or in windows where they are larger than one.

Now and then a pair is scaled, turned and shifted, input and picture alike: few pairs need it.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from anr_core.avatars import Config, avatar_class
from anr_core.capture import Capture, View, Views, resample


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
    return replace(config, size=longest, input_channels=channels.pop(), masked=masked)


def paired_window(views: Views, turn: int, config: Config, random: np.random.Generator) -> View:
    """A pair, or a window's size of it, as it is or scaled, turned and shifted.

    What comes in from outside has the colour of the picture's border, the input's likewise, and is uncertain.
    """
    view = views[turn]
    whole = torch.tensor(view.size[::-1])
    size = tuple(min(config.window, shrunk(pixels, config)) for pixels in view.size)
    window = torch.tensor([pixels if drawn == shrunk(pixels, config) else drawn * config.downsample
                           for drawn, pixels in zip(size, view.size, strict=True)]).flip(0)
    place, shift = torch.from_numpy(random.uniform(0, 1, 2)), torch.from_numpy(random.uniform(-1, 1, 2))
    often, scale, roll = random.uniform(0, 1), *random.uniform(-1, 1, 2)
    # in whole pixels: what is not turned is not to be blurred either
    center = (place * (whole - window + 1)).floor().clamp(min=0) + window / 2
    if often >= config.augment:
        scale = roll = 0.0
        shift = 0 * shift
    center = center + shift * config.augment_shift * whole
    extent = window / config.augment_scale**scale
    turned = torch.tensor([math.radians(config.augment_turn) * roll])
    return resample(view, center[None].float(), extent[None].float(), turned.float(), size, filled=True)
