"""What a training step sees: windows onto the training views, which follow from the seed and its number.

A body is looked at as evaluation does, in squares around it; pairs of pictures as pairs.py tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch.utils.data import Dataset

from anr_core.avatars import Config
from anr_core.capture import View, Views, resample
from anr_core.capture.window import BODY_MARGIN
from anr_core.training.inputs import DrawnInputs
from anr_core.training.pairs import paired_window
from anr_core.training.sources import Sources

SCALES = 1.4     # windows are drawn up to so many times larger or smaller than evaluation draws
ROLL = 0.25      # radians that a window is turned at the most


class Windows(Dataset):
    """Batches of training windows by step number: square, scaled, shifted, turned parts of the loose crops.

    people   views of each person, loose crops or pairs; a batch is of one person, and they take turns
    inputs   what each person's avatar has drawn of them, or None where it draws as it learns
    sources  who lends each person's looks, one picture a batch; or None where nobody does

    Every view of a person comes once before any comes again.
    """

    def __init__(self, people: Sequence[Views], config: Config, steps: range,
                 inputs: Sequence[DrawnInputs] | None = None, sources: Sequence[Sources] | None = None):
        self.people, self.config, self.steps, self.sources = people, config, steps, sources
        self.inputs = inputs or [None] * len(people)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> View:
        batch, person = divmod(self.steps[index], len(self.people))
        views, config, drawn = self.people[person], self.config, self.inputs[person]
        random = np.random.default_rng((config.seed, batch))
        window = paired_window if views.capture.paired else partial(window_around, drawn=drawn)
        view = View.cat([window(views, self._turn(len(views), batch * config.batch + item), config, random)
                         for item in range(config.batch)])
        return view if self.sources is None else replace(view, source=self.sources[person].any_of(random))

    def _turn(self, count: int, place: int) -> int:
        lap, place = divmod(place, count)
        return int(np.random.default_rng((self.config.seed, lap, count)).permutation(count)[place])


def window_around(views: Views, turn: int, config: Config, random: np.random.Generator,
                  drawn: DrawnInputs | None) -> View:
    """A square, scaled, shifted, turned part of what is around a body."""
    view = views[turn]
    center, side = views.body_square(turn)
    scale, roll, *shift = torch.from_numpy(random.uniform(-1, 1, 4)).float().unbind()
    window = side * BODY_MARGIN * config.window / (config.size * SCALES**scale)
    room = (side * BODY_MARGIN - window).clamp(min=0) / 2
    center = center + room * torch.stack(shift)
    place = center, window, ROLL * roll[None], config.window
    view = resample(view, *place)
    return view if drawn is None else replace(view, input=drawn.window(turn, *place, random))
