"""What an avatar itself draws of its training views, once, so that a step only cuts windows out of it."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from anr_core.avatars import Avatar, Scene
from anr_core.capture import Capture, body_box
from anr_core.capture.window import BODY_MARGIN, sample, window_camera

# Pixels a side for each of those that evaluation draws: windows show up to so much more.
SHARPER = 1.4

# Samples may lie so many pixels apart in an input, which is drawn smooth; beyond, half its size is sampled.
APART = 1.5

# Bytes that are kept, and a quarter more for halves; of more pictures each is drawn with fewer pixels.
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
            planes, corner = _cut(torch.cat(drawn).cpu())
            halved = functional.avg_pool2d(planes, 2, ceil_mode=True, count_include_pad=False)
            self.kept.append(([_bytes(planes), _bytes(halved)], corner, center.cpu(),
                              (self.size / side).cpu()))

    def window(self, row: int, center: torch.Tensor, side: torch.Tensor, roll: torch.Tensor, size: int,
               random: np.random.Generator) -> torch.Tensor:
        """(1, C, size, size) a window of one of a view's inputs, as `resample` cuts it out of the view."""
        drawn, corner, middle, scale = self.kept[row]
        center, extent = (center - middle) * scale + self.size / 2 - corner, (side * scale)[:, None]
        times = 2 if float(extent) > APART * size else 1
        planes = drawn[times - 1]
        planes = torch.from_numpy(planes[random.integers(len(planes))])[None].float()
        cut = sample(planes, center / times, (extent / times).expand(-1, 2), roll, (size, size), APART)
        coverage = cut[:, -1:] / 255
        straight = cut[:, :-1] / cut[:, -1:].clamp(min=255 * LEAST)
        return torch.cat([straight, coverage], 1) * (coverage >= LEAST)


def _bytes(planes: torch.Tensor) -> np.ndarray:
    return (255 * planes).round().byte().contiguous().numpy()


def _cut(drawn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (K, C, H, W), weighed, without what is empty around, and the corner (1, 2) that is left."""
    there = (drawn[:, -1] > 0).any(0)
    rows, columns = there.any(1).nonzero()[:, 0], there.any(0).nonzero()[:, 0]
    (top, bottom), (left, right) = ((int(found[0]), int(found[-1]) + 1) if len(found) else (0, 1)
                                    for found in (rows, columns))
    part = drawn[:, :, top:bottom, left:right]
    weighed = torch.cat([part[:, :-1] * part[:, -1:], part[:, -1:]], 1)
    return weighed, torch.tensor([[left, top]])
