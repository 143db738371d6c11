"""Learning rates that fall where a loss no longer does."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

# A loss is lower where it is so by this share of it.
LOWER = 1e-3

# Passes over the training pictures from one look at the loss to the next, and steps at the least.
PASSES, STEPS = 10, 50


@dataclass
class Plateau:
    """How far a learning rate has fallen, and why.

    factor, patience  after more than so many looks in a row that find the loss no lower, the rate is
                      multiplied by the factor
    scale             what the rate is multiplied by by now
    best, waited      the lowest loss that a look has found, and how many looks ago
    total, steps      the training losses since the last look, summed, and how many

    A look is given the mean loss of these steps, or that of views which nothing is learned from.
    """

    factor: float
    patience: int
    scale: float = 1.0
    best: float = math.inf
    waited: int = 0
    total: float = 0.0
    steps: int = 0

    def note(self, loss: float) -> None:
        """Take in the loss of a step."""
        self.total, self.steps = self.total + loss, self.steps + 1

    @property
    def mean(self) -> float:
        """The mean loss since the last look."""
        return self.total / max(self.steps, 1)

    def look(self, loss: float) -> None:
        """See whether the loss has fallen; counting steps begins anew."""
        self.total, self.steps = 0.0, 0
        if loss < self.best * (1 - LOWER):
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.scale, self.waited = self.scale * self.factor, 0

    def state(self) -> dict:
        """What going on needs."""
        return asdict(self)


def steps_between_looks(pictures: int, batch: int) -> int:
    """After how many steps the loss is looked at."""
    return max(STEPS, math.ceil(PASSES * pictures / batch))
