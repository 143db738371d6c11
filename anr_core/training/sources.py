"""The pictures that lend their looks to what is drawn from elsewhere: some training views, kept small."""

from __future__ import annotations

import numpy as np

from anr_core.avatars import Config
from anr_core.capture import Capture, View


class Sources:
    """Training views around the person, spread evenly over all; each is read once, when its turn comes.

    config  whose `sources` says how many, and `source_size` how large
    """

    def __init__(self, training: Capture, config: Config):
        self.views = training.evenly(config.sources).views(crop="body", size=config.source_size)
        self.read: dict[int, View] = {}

    def any_of(self, random: np.random.Generator) -> View:
        """One of them, a batch of one."""
        row = int(random.integers(len(self.views)))
        if row not in self.read:
            self.read[row] = self.views[row]
        return self.read[row]
