"""What rests while a motion is refined: the person in no pose, and the vertices that lie on outlines.

To compute it takes a third of a step, and what it is hardly changes from step to step. So in short strides it
is taken to be linear in the build, exactly so at a build that is never far.
"""

from __future__ import annotations

import torch

from anr_core.prepare.fitting.puppet import Puppet, Rested
from anr_core.prepare.fitting.silhouette import Pairs

SHORT = 0.25  # of a reach: longer strides leave it too soon for slopes to pay, which cost as much as 4 steps


class Resting:
    """Tells it for one build after the other, differentiable in each."""

    def __init__(self, puppet: Puppet):
        self.puppet = puppet
        self.pairs = self.last = self.about = None

    def at(self, build: torch.Tensor, pairs: Pairs | None, reach: float
           ) -> tuple[Rested, torch.Tensor | None]:
        """What rests of a build (P,), and where the vertices of pairs do (V, N, 3), if there are any.

        reach  how far from a build slopes are believed
        """
        others, self.pairs = pairs is not self.pairs, pairs
        place = build.detach()
        stride = torch.inf if self.last is None else float((place - self.last).abs().max())
        self.last = place
        if not build.requires_grad:
            if others or stride:
                self.exact = self._exact(build)
            return self.exact
        if stride > SHORT * reach:
            self.about = None
            return self._exact(build)
        if self.about is None or others or float((place - self.about).abs().max()) > reach:
            self._stay(place)
        return self._near(build)

    def _exact(self, build):
        rested = self.puppet.rested(build)
        return rested, None if self.pairs is None else self.pairs.rest(rested.coefficients)

    def _stay(self, build):
        """Find values and slopes at a build."""
        self.about, (self.rested, self.lines) = build, self._exact(build)
        self.slopes = self.puppet.slopes(build)
        if self.pairs is not None:
            self.line_slope = self.pairs.shift(self.slopes.coefficients)

    def _near(self, build):
        gone = build - self.about
        values = (value + torch.tensordot(gone, getattr(self.slopes, name), 1)
                  for name, value in vars(self.rested).items())
        lines = None if self.pairs is None else self.lines + torch.tensordot(gone, self.line_slope, 1)
        return type(self.rested)(*values), lines
