"""Where a density reaches a threshold, as triangles: marching cubes on a lattice."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

POINT_BYTES = 8  # of a lattice point: its density, and what marching cubes keep beside it
CHUNK = 2**18  # points whose density is asked for at a time, at least a layer of the lattice


def isosurface(density: Callable[[torch.Tensor], torch.Tensor], low: torch.Tensor, high: torch.Tensor,
               side: float, threshold: float, memory: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3), metres, and faces (F, 3), counterclockwise from where it is less dense.

    density    gives (P,) at least 0 a metre of points (P, 3)
    low, high  (3,) metres: the box that is looked at; beside it there is nothing, so the surface is closed
    side       of a cell, metres
    memory     GiB that the lattice may take

    Raises ValueError for a lattice that takes more, and where the density never reaches the threshold.
    Source: Lorensen and Cline 1987, in the topologically sound form of Lewiner et al. 2003.
    """
    from skimage.measure import marching_cubes  # a second to import

    if not (side > 0 and threshold > 0):
        raise ValueError(f"A lattice of {side:g} m and a threshold of {threshold:g} a metre give no surface; "
                         "both have to be above 0.")
    shape = lattice(low, high, side, memory)
    field = np.zeros([count + 2 for count in shape], np.float32)  # what is beside the box
    y, z = (low[axis] + side * torch.arange(shape[axis], device=low.device) for axis in (1, 2))
    layers = max(1, CHUNK // (shape[1] * shape[2]))
    for begin in range(0, shape[0], layers):
        x = low[0] + side * torch.arange(begin, min(begin + layers, shape[0]), device=low.device)
        points = torch.stack(torch.meshgrid(x, y, z, indexing="ij"), -1)
        values = density(points.flatten(0, 2)).view(points.shape[:3])
        field[1 + begin:1 + begin + len(x), 1:-1, 1:-1] = values.cpu().numpy()
    most = float(field.max())
    if most <= threshold:
        raise ValueError(f"Nothing is denser than {threshold:g} a metre; the densest point has "
                         f"{most:.3g}. "
                         "Give a lower threshold, or train for longer.")
    # "ascent" is what comes out counterclockwise from where there is less, whatever its documentation says
    vertices, faces, _, _ = marching_cubes(field, threshold, gradient_direction="ascent")
    return vertices * side + (low.cpu().numpy() - side), faces.astype(np.int64)


def lattice(low: torch.Tensor, high: torch.Tensor, side: float, memory: float) -> tuple[int, int, int]:
    """Points along each axis of a lattice over a box; raises ValueError where it takes more than memory."""
    extent = (high - low).double().tolist()
    shape = tuple(math.ceil(length / side) + 1 for length in extent)
    taken = POINT_BYTES * math.prod(shape)
    if taken > memory * 2**30:
        fits = side * (taken / (memory * 2**30)) ** (1 / 3) * 1.02  # ends of the axes take a little more
        unit = 10.0 ** (math.floor(math.log10(fits)) - 1)
        raise ValueError(f"A lattice of {1000 * side:g} mm over {' x '.join(f'{n:.2f}' for n in extent)} m "
                         f"would take {taken / 2**30:.1f} GiB, and {memory:g} may be used. "
                         f"{1000 * math.ceil(fits / unit) * unit:g} mm would fit.")
    return shape
