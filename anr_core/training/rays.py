"""What a step sees that learns from rays: single pixels of training views, or small patches of them.

Half lie on the person, half anywhere in the box around the body, but not in a band around the mask's outline,
where a pixel shows both. Source: Neural Body's section 3.5 and its code.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import maximum_filter, minimum_filter

from anr_core.capture import View
from anr_core.training.windows import Turns
from anr_core.volume import MARGIN, hits_box

BAND = 5  # pixels: the window in which person and background meet


class Rays(Turns):
    """Batches of pixels by step number, out of views as evaluation crops them.

    people  views of each person; a batch is of one person, and they take turns
    config  whose `rays` says how many pixels a picture, and `patch` how large their patches are, if at all
    """

    def drawn(self, person: int, turn: int, random: np.random.Generator) -> View:
        views, config = self.people[person], self.config
        view = views[turn]
        on, around = pools(view, views.body(view.pose).vertices)
        if config.patch:
            return view.at(*patches(on, view.size, config.rays // config.patch**2, config.patch, random))
        places = np.concatenate([random.choice(pool, config.rays // 2) for pool in (on, around)])
        return view.at(*(torch.from_numpy(index)[None] for index in np.unravel_index(places, view.size)))


def pools(view: View, vertices: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of pixels of a view (a batch of one) that are on its person, and in the box of its body.

    vertices (1, V, 3) metres, world. Where one has no pixel, it is the other; where both have none, all.
    """
    mask, certain = view.mask[0, 0].numpy() > 0.5, view.certain[0, 0].numpy()
    band = maximum_filter(mask, BAND) & ~minimum_filter(mask, BAND)
    boxed = hits_box(view.camera, view.size, vertices.amin(1) - MARGIN, vertices.amax(1) + MARGIN)
    on, around = (np.flatnonzero(pixels & certain) for pixels in (mask, boxed[0, 0].numpy() & ~band))
    everything = np.arange(mask.size)
    on = next(pool for pool in (on, around, everything) if len(pool))
    return on, next(pool for pool in (around, on) if len(pool))


def patches(on: np.ndarray, size: tuple[int, int], count: int, side: int,
            random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns (count * side, side) of square patches around pixels `on`, one above the other."""
    centres = np.stack(np.unravel_index(random.choice(on, count), size), 1)
    corners = np.clip(centres - side // 2, 0, np.array(size) - side)
    rows, columns = torch.from_numpy(corners).split(1, 1)
    along = torch.arange(side)
    return tuple((places[:, :, None] + offsets).expand(-1, side, side).reshape(-1, side)
                 for places, offsets in ((rows, along[:, None]), (columns, along)))
