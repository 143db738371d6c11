"""What a training step sees: windows onto the training views, which follow from the seed and its number.

A body is looked at as evaluation does, in squares around it; pairs of pictures as pairs.py tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from anr_core.avatars import Config
from anr_core.capture import View, Views, resample
from anr_core.capture.window import BODY_MARGIN
from anr_core.launch import ALONE, Place
from anr_core.training.inputs import DrawnInputs
from anr_core.training.pairs import paired_window
from anr_core.training.sources import Sources

SCALES = 1.4     # windows are drawn up to so many times larger or smaller than evaluation draws
ROLL = 0.25      # radians that a window is turned at the most


class Turns(Dataset):
    """Batches by step number, which follow from the seed and that number alone.

    people  views of each person; a batch is of one person, and they take turns
    place   of several processes, whose rows of the batch these are: it is as many times as large

    Every view of a person comes once before any comes again. Each row has random numbers of its own, so that
    it is the same in whichever process it is drawn.
    """

    def __init__(self, people: Sequence[Views], config: Config, steps: range, place: Place = ALONE):
        self.people, self.config, self.steps, self.place = people, config, steps, place

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> View:
        batch, person = divmod(self.steps[index], len(self.people))
        seed, count, turns = self.config.seed, len(self.people[person]), self.turns
        rows = range(turns * self.place.rank, turns * (self.place.rank + 1))
        view = self.joined([self.drawn(person, self._turn(count, batch * turns * self.place.count + row),
                                       np.random.default_rng((seed, batch, row, 1))) for row in rows])
        return self.completed(view, person, np.random.default_rng((seed, batch)))

    @property
    def turns(self) -> int:
        """How many views' turn it is in a step, in each process."""
        return self.config.batch

    def drawn(self, person: int, turn: int, random: np.random.Generator) -> View:
        """What a step sees of one view."""
        raise NotImplementedError

    def joined(self, drawn: list[View]) -> View:
        """A batch of what a step sees."""
        return View.cat(drawn)

    def completed(self, view: View, person: int, random: np.random.Generator) -> View:
        """A batch, with what all of it has in common."""
        return view

    def _turn(self, count: int, place: int) -> int:
        lap, place = divmod(place, count)
        return int(np.random.default_rng((self.config.seed, lap, count)).permutation(count)[place])


class Windows(Turns):
    """Batches of training windows: square, scaled, shifted, turned parts of the loose crops.

    people   loose crops, or pairs
    inputs   what each person's avatar has drawn of them, or None where it draws as it learns
    sources  who lends each person's looks, one picture a batch; or None where nobody does
    """

    def __init__(self, people: Sequence[Views], config: Config, steps: range,
                 inputs: Sequence[DrawnInputs] | None = None, sources: Sequence[Sources] | None = None,
                 place: Place = ALONE):
        super().__init__(people, config, steps, place)
        self.inputs, self.sources = inputs or [None] * len(people), sources

    def drawn(self, person: int, turn: int, random: np.random.Generator) -> View:
        views = self.people[person]
        if views.capture.paired:
            return paired_window(views, turn, self.config, random)
        return window_around(views, turn, self.config, random, self.inputs[person])

    def completed(self, view: View, person: int, random: np.random.Generator) -> View:
        return view if self.sources is None else replace(view, source=self.sources[person].any_of(random))


def window_around(views: Views, turn: int, config: Config, random: np.random.Generator,
                  drawn: DrawnInputs | None) -> View:
    """A square, scaled, shifted, turned part of what is around a body."""
    view = views[turn]
    place = some_window(*views.body_square(turn), config, random)
    view = resample(view, *place)
    return view if drawn is None else replace(view, input=drawn.window(turn, *place, random))


def some_window(center: torch.Tensor, side: torch.Tensor, config: Config, random: np.random.Generator,
                ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """Where `resample` looks: a square, scaled, shifted, turned in the one around a body, (1, 2) and (1,)."""
    scale, roll, *shift = torch.from_numpy(random.uniform(-1, 1, 4)).float().unbind()
    window = side * BODY_MARGIN * config.window / (config.size * SCALES**scale)
    room = (side * BODY_MARGIN - window).clamp(min=0) / 2
    return center + room * torch.stack(shift), window, ROLL * roll[None], config.window
