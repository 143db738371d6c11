"""Hair: locks that grow out of the scalp, follow a style and hang from the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Hair:
    name: str
    places: np.ndarray


def grow_hair(style, figure, rng):
    return None
