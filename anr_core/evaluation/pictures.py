"""Whole pictures, as Neural Body's published protocol judges them: at half of 1024 pixels, not crops.

Who draws sees what it was trained to see, the crop around the mesh, and that is laid onto black, on the same
pixels. It is the whole picture wherever nothing is drawn outside of the crop: a texture lies on the mesh,
networks learned in such crops that the background is empty, and Neural Body's codes reach less far from the
vertices than the crop does, which leaves 7.5 % of the person's larger extent around them (13 cm of someone
who stands). Drawn at once it would differ by what a network makes of more empty background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import maximum_filter

from anr_core.avatars.base import Rendering
from anr_core.body import Posed
from anr_core.capture.folder import Capture
from anr_core.capture.view import View
from anr_core.capture.window import BODY_MARGIN, body_box, resample, resize
from anr_core.evaluation.judging import BOX_PADDING, Draws

# The published pictures' longer side, pixels: 1024 at ratio 0.5.
PUBLISHED_SIZE = 512

# Pixels of a picture of 1024. The published code marks a band of five around the mask's outline and blackens
# only what is 0 then; so the truth keeps the background within two pixels of the person.
GROWN, GROWN_AT = 2, 1024


class WholePictures:
    """The views of a capture as whole pictures, the longer side at `size` pixels, each a batch of one.

    Where nobody says a size it is 512, or a smaller picture's own. The image is black outside of the mask,
    grown by two pixels where the picture was taken at 1024; the mask itself is as it is elsewhere.
    """

    def __init__(self, capture: Capture, size: int | None):
        self.capture, self.size = capture, size
        self.views = capture.views()

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> View:
        taken = self.views[index]
        view = resize(taken, self._size(taken.size))
        kept = torch.from_numpy(silhouette(taken.mask[0, 0].numpy(), view.size))
        return replace(view, image=view.image * kept)

    @property
    def padding(self) -> tuple[float, ...]:
        """Of the box around the mesh along x, y and z, metres: along the most upright axis alone."""
        upright = int(self.capture.up.abs().argmax())
        return tuple(metres if axis == upright else 0.0 for axis, metres in enumerate(BOX_PADDING))

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(H, W) of the pictures, each size once."""
        cameras = {shot.camera for shot in self.views.shots}
        return sorted({self._size(self.capture.cameras[name].size) for name in cameras})

    def _size(self, taken):
        longer = self.size or min(PUBLISHED_SIZE, max(taken))
        return tuple(max(1, round(side * longer / max(taken))) for side in taken)


def silhouette(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where the published truth shows the picture: size (h, w) bool of a mask (H, W), shares of a pixel.

    Grown in the picture as it was taken; then the nearest pixel to the top left is taken, as published.
    """
    grown = maximum_filter(mask > 0.5, 1 + 2 * round(GROWN * max(mask.shape) / GROWN_AT))
    rows, columns = (np.arange(n) * taken // n for n, taken in zip(size, mask.shape, strict=True))
    return grown[rows[:, None], columns]


@dataclass(frozen=True)
class Framed:
    """Lets others draw the crop around the mesh, and lays it onto a black picture of the view's size."""

    contestants: Draws

    def draw(self, view: View, posed: Posed) -> dict[str, Rendering]:
        """A rendering of the view by every method."""
        left, top, side = crop_around(view, posed)
        corner = view.image.new_tensor([[left, top]])
        extent = view.image.new_full((1,), side)
        crop = resample(view, corner + side / 2, extent, extent * 0, side)

        def laid(drawn):
            return (_laid(picture, left, top, view.size) for picture in (drawn.rgb, drawn.mask))

        return {method: Rendering(*laid(drawn))
                for method, drawn in self.contestants.draw(crop, posed).items()}


def crop_around(view: View, posed: Posed) -> tuple[int, int, int]:
    """(left, top, side) of the square that training crops, out to whole pixels; it may leave the picture."""
    center, side = body_box(view.camera, posed.vertices)
    half = BODY_MARGIN * float(side) / 2
    left, top = (math.floor(float(middle) - half) for middle in center[0])
    return left, top, math.ceil(2 * half) + 1


def _laid(picture, left, top, size):
    """A square (1, C, s, s) on a black picture of size (H, W); what leaves it is lost."""
    side, laid = picture.shape[-1], picture.new_zeros(1, picture.shape[1], *size)
    rows, columns = (slice(min(max(low, 0), most), min(max(low + side, 0), most))
                     for low, most in ((top, size[0]), (left, size[1])))
    laid[..., rows, columns] = picture[..., rows.start - top:rows.stop - top,
                                       columns.start - left:columns.stop - left]
    return laid
