"""What a training step sees: windows onto the training views, which follow from the seed and its number.

A body is looked at as evaluation does, in squares around it. Pairs of pictures are looked at as a whole, or
in cut-outs where they are larger than a window; now and then scaled, turned and shifted, picture and input
alike, as few pictures need it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from anr_core.avatars import Config
from anr_core.capture import Capture, View, Views, body_box, resample
from anr_core.capture.window import BODY_MARGIN

SCALES = 1.4     # windows are drawn up to so many times larger or smaller than evaluation draws
ROLL = 0.25      # radians that a window is turned at the most


def drawn_whole(capture: Capture, config: Config) -> Views:
    """The views of a capture as evaluation and previews draw them: around the body, or pairs as a whole."""
    if not capture.paired:
        return capture.views(crop="body", size=config.size)
    height, width = next(iter(capture.cameras.values())).size
    return capture.views(size=(shrunk(height, config), shrunk(width, config)))


def shrunk(pixels: int, config: Config) -> int:
    """How many pixels are drawn of so many of a pair's picture."""
    return max(1, round(pixels / config.downsample))


class Windows(Dataset):
    """Batches of training windows by step number: square, scaled, shifted, turned parts of the loose crops.

    people  views of each person, loose crops or pairs; a batch is of one person, and they take turns

    Every view of a person comes once before any comes again.
    """

    def __init__(self, people: Sequence[Views], config: Config, steps: range):
        self.people, self.config, self.steps = people, config, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> View:
        batch, person = divmod(self.steps[index], len(self.people))
        views, config = self.people[person], self.config
        random = np.random.default_rng((config.seed, batch))
        window = paired_window if views.capture.paired else window_around
        return View.cat([window(views, self._turn(len(views), batch * config.batch + item), config, random)
                         for item in range(config.batch)])

    def _turn(self, count: int, place: int) -> int:
        lap, place = divmod(place, count)
        return int(np.random.default_rng((self.config.seed, lap, count)).permutation(count)[place])


def window_around(views: Views, turn: int, config: Config, random: np.random.Generator) -> View:
    """A square, scaled, shifted, turned part of what is around a body."""
    view = views[turn]
    center, side = body_box(view.camera, views.capture.body(view.pose).vertices)
    scale, roll, *shift = torch.from_numpy(random.uniform(-1, 1, 4)).float().unbind()
    window = side * BODY_MARGIN * config.window / (config.size * SCALES**scale)
    room = (side * BODY_MARGIN - window).clamp(min=0) / 2
    center = center + room * torch.stack(shift)
    return resample(view, center, window, ROLL * roll[None], config.window)


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
