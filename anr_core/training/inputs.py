"""What an avatar itself draws of its training views, once, so that a step only cuts windows out of it."""

from __future__ import annotations

import numpy as np
import torch

from anr_core.avatars import Avatar, Scene
from anr_core.capture import Capture, body_box
from anr_core.capture.window import BODY_MARGIN, sample, window_camera

# Pixels a side for each of those that evaluation draws: windows show up to so much more.
SHARPER = 1.4

# Of an input that is drawn smooth, samples may lie farther apart than a picture's: half the time.
APART = 1.5

# Bytes that are kept; of more pictures each is drawn with fewer pixels.
MEMORY = 2 * 2**30

# Less coverage than this is none: in a byte there is no colour left.
LEAST = 0.02


class DrawnInputs:
    """The inputs of training views, cut to the mesh, in bytes.

    Colours are kept times their coverage, the last channel, so that what lies beside the mesh takes no part
    in a mean; a window has them straight again.
    """

    @torch.no_grad()
    def __init__(self, avatar: Avatar, training: Capture):
        views, self.kept = training.views(crop="loose"), []
        # a mesh fills a quarter of its square, and there may be two inputs of five channels
        fits = (MEMORY / (len(views) * 2 * 5 / 4)) ** 0.5
        self.size = int(min(SHARPER * avatar.config.size, fits))
        for row in range(len(views)):
            view, posed = avatar.placed(views[row].to(avatar.device), training.body)
            center, side = body_box(view.camera, posed.vertices)
            side, size = BODY_MARGIN * side, (self.size, self.size)
            camera = window_camera(view.camera, center, side[:, None].expand(-1, 2), 0 * side, size)
            drawn = avatar.inputs(Scene(posed, camera, size, None, view.frame, view.camera_name))
            self.kept.append((*_cut(torch.cat(drawn).cpu()), center.cpu(), (self.size / side).cpu()))

    def window(self, row: int, center: torch.Tensor, side: torch.Tensor, roll: torch.Tensor, size: int,
               random: np.random.Generator) -> torch.Tensor:
        """(1, C, size, size) a window of one of a view's inputs, as `resample` cuts it out of the view."""
        drawn, corner, middle, scale = self.kept[row]
        planes = torch.from_numpy(drawn[random.integers(len(drawn))])[None].float() / 255
        center = (center - middle) * scale + self.size / 2 - corner
        cut = sample(planes, center, (side * scale)[:, None].expand(-1, 2), roll, (size, size), APART)
        coverage = cut[:, -1:]
        return torch.cat([cut[:, :-1] / coverage.clamp(min=LEAST), coverage], 1) * (coverage >= LEAST)


def _cut(drawn: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
    """Inputs (K, C, H, W) in bytes, without what is empty around, and the corner (1, 2) that is left."""
    there = (drawn[:, -1] > 0).any(0)
    rows, columns = there.any(1).nonzero()[:, 0], there.any(0).nonzero()[:, 0]
    (top, bottom), (left, right) = ((int(found[0]), int(found[-1]) + 1) if len(found) else (0, 1)
                                    for found in (rows, columns))
    part = drawn[:, :, top:bottom, left:right]
    weighed = torch.cat([part[:, :-1] * part[:, -1:], part[:, -1:]], 1)
    return (255 * weighed).round().byte().contiguous().numpy(), torch.tensor([[left, top]])
