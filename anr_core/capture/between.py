"""Meshes of frames that lie between registered ones."""

from __future__ import annotations

import numpy as np


def meshes_between(frames: np.ndarray, vertices: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Vertices (m, V, 3) of wanted frames (m,), each moving along a cubic through its registered places.

    frames    (n,)       registered frame numbers, rising
    vertices  (n, V, 3)  metres
    wanted    (m,)       frame numbers within the registered range

    At a registered frame the vertex has exactly its registered place, and there its velocity is that of the
    parabola through the frame and its two neighbours: a swing is followed, where straight lines would cut it
    short. Source: Catmull and Rom, "A class of local interpolating splines", 1974, for unequal spacing.
    """
    if np.isin(wanted, frames).all():
        return vertices[np.searchsorted(frames, wanted)]
    frames = frames.astype(np.float64)
    velocity = np.gradient(vertices.astype(np.float64), frames, axis=0, edge_order=min(2, len(frames) - 1))
    before = np.clip(np.searchsorted(frames, wanted, side="right") - 1, 0, len(frames) - 2)
    span = (frames[before + 1] - frames[before])[:, None, None]
    s = (wanted - frames[before])[:, None, None] / span
    places = ((1 + 2 * s) * (1 - s) ** 2 * vertices[before] + s**2 * (3 - 2 * s) * vertices[before + 1]
              + span * s * (1 - s) * ((1 - s) * velocity[before] - s * velocity[before + 1]))
    return places.astype(np.float32)
