"""What a step sees that is to be steady in time: frames of one camera, one after the other, and their flow.

A batch of n pairs holds 2n views: rows 0 to n-1 are the frames before, rows n to 2n-1 those after, of the
same cameras, each pair through one window. `flow` leads from the rows after to those before; theirs is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from anr_core.avatars import Config
from anr_core.capture import View, Views, resample
from anr_core.capture.flow import Flows
from anr_core.capture.folder import Shot
from anr_core.launch import ALONE, Place
from anr_core.training.windows import Turns, some_window

# Seconds. Frames further apart are no neighbours, unless their camera takes none in between.
GAP = 0.2


class Consecutive(Turns):
    """Batches of pairs by step number.

    people  loose crops
    config  whose `batch` counts pictures: half as many pairs, at least one

    It is the later frame's turn; the first of its camera comes with the one after it, and one that has no
    neighbour with itself, where no flow is trusted.
    """

    def __init__(self, people: Sequence[Views], config: Config, steps: range, place: Place = ALONE):
        super().__init__(people, config, steps, place)
        self.pairs = [neighbours(views.shots, views.capture.fps) for views in people]
        self.flows = [Flows(views.capture) for views in people]

    @property
    def turns(self) -> int:
        return max(1, self.config.batch // 2)

    def drawn(self, person: int, turn: int, random: np.random.Generator) -> tuple[View, View]:
        """Two frames through one window, which holds both bodies as `some_window` holds one."""
        views, (before, after) = self.people[person], self.pairs[person][turn]
        place = some_window(*_around_both(views.square(before), views.square(after)), self.config, random)
        earlier = _through(place, views[before], views.box(before))
        later = _through(place, replace(views[after], flow=self._flow(person, before, after)),
                         views.box(after))
        return replace(earlier, flow=torch.zeros_like(later.flow)), later

    def joined(self, drawn: list[tuple[View, View]]) -> View:
        return View.cat([view for frames in zip(*drawn, strict=True) for view in frames])

    def _flow(self, person, before, after):
        """(1, 3, h, w) flow in the later frame's loose crop; trusted where the earlier one's holds it too."""
        views = self.people[person]
        boxes = [views.box(row) for row in (before, after)]
        left, top, right, bottom = (pick(sides) for pick, sides in
                                    zip((max, max, min, min), zip(*boxes, strict=True), strict=True))
        here = boxes[1]
        if before == after or left >= right or top >= bottom:
            return torch.zeros(1, 3, here[3] - here[1], here[2] - here[0])
        flow = self.flows[person].back(views.shots[before], views.shots[after], (left, top, right, bottom))
        return functional.pad(flow, (left - here[0], here[2] - right, top - here[1], here[3] - bottom))


def _through(place, view, box):
    """A loose crop, of a box of the whole picture, through a window of that."""
    center, *rest = place
    return resample(view, center - center.new_tensor(box[:2]), *rest)


def _around_both(*squares):
    """The square around two: centre (1, 2) and side (1,)."""
    low = torch.stack([center - side[:, None] / 2 for center, side in squares]).amin(0)
    high = torch.stack([center + side[:, None] / 2 for center, side in squares]).amax(0)
    return (low + high) / 2, (high - low).amax(-1)


def neighbours(shots: Sequence[Shot], fps: float) -> list[tuple[int, int]]:
    """For each shot the rows (before, after) of a pair of one camera: itself and the one before it.

    The first of a camera is paired with the one after it, and a shot without neighbours with itself.
    """
    pairs = [(row, row) for row in range(len(shots))]
    for camera in {shot.camera for shot in shots}:
        rows = sorted((row for row, shot in enumerate(shots) if shot.camera == camera),
                      key=lambda row: shots[row].frame)
        frames = np.array([shots[row].frame for row in rows])
        gaps = np.diff(frames)
        near = gaps <= max(GAP * fps + 1e-6, min(gaps, default=0))
        for place, row in enumerate(rows):
            if place and near[place - 1]:
                pairs[row] = rows[place - 1], row
            elif place + 1 < len(rows) and near[place]:
                pairs[row] = row, rows[place + 1]
    return pairs
