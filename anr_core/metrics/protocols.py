"""The protocols: which pixels of two pictures are compared, over what, and what else decides a figure.

A protocol has a name, a statement (its function's docstring), terms and a version, which stand beside every
figure and in every file of figures. The version rises by one whenever the same pictures would get other
figures: with other pixels, crops, compositing, or another formula or constant of a figure
(tests/test_protocols.py holds figures to compare with). Figures of two versions don't belong into one table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from anr_core.metrics.figures import blacken, flip, lpips, psnr, psnr_aligned, ssim, ssim_in_box

# `ssim_range_1` is SSIM at data range 1 where a protocol's own takes the range to be 2, else None.
FIGURES = ("psnr", "psnr_aligned", "ssim", "ssim_range_1", "lpips", "flip", "mask_iou", "sharpness",
           "flicker", "warp")


@dataclass(frozen=True)
class Truth:
    """One view as the protocols see it.

    image    (H, W, 3)  sRGB in [0, 1]
    mask     (H, W)     the person's share of a pixel
    certain  (H, W)     bool: the mask can be believed
    covered  (H, W)     bool: the registered mesh covers the pixel's centre
    boxed    (H, W)     bool: the pixel's ray hits the padded box around the registered mesh
    iuv      (H, W, 3)  the mesh's part and texture coordinates as a colour, for the eye alone
    """

    image: np.ndarray
    mask: np.ndarray
    certain: np.ndarray
    covered: np.ndarray
    boxed: np.ndarray
    iuv: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Two pictures (H, W, 3), the pixels (H, W) over which they are compared, and the SSIM that fits.

    ssim_range_1  the same SSIM at data range 1 where `ssim` takes another
    """

    prediction: np.ndarray
    truth: np.ndarray
    pixels: np.ndarray
    ssim: Callable = ssim
    ssim_range_1: Callable | None = None

    def figures(self) -> dict[str, float | None]:
        """Each figure of two single pictures by name; those in time need two of these."""
        pictures = self.prediction, self.truth, self.pixels
        return {"psnr": psnr(*pictures), "psnr_aligned": psnr_aligned(*pictures),
                "ssim": self.ssim(*pictures),
                "ssim_range_1": None if self.ssim_range_1 is None else self.ssim_range_1(*pictures),
                "lpips": lpips(*pictures), "flip": flip(*pictures)}


def whole(truth: Truth, rgb: np.ndarray, mask: np.ndarray) -> Comparison:
    """The whole crop, but for uncertain pixels: prediction and truth, each over black by its own mask.

    Mostly measures the outline and the empty background."""
    return Comparison(rgb * mask[..., None], truth.image * truth.mask[..., None], truth.certain)


def neuralbody(truth: Truth, rgb: np.ndarray, mask: np.ndarray) -> Comparison:
    """Pixels whose rays hit the box around the registered mesh, padded by 5 cm, but for uncertain ones:
    prediction and truth, each over black by its own mask. SSIM on the pixels' bounding rectangle, uniform
    windows of 7x7, data range 2, as published for Neural Body; beside it the proper data range, 1."""
    return replace(whole(truth, rgb, mask), pixels=truth.boxed & truth.certain, **_in_box(truth.certain))


def _in_box(certain):
    return {"ssim": partial(ssim_in_box, certain=certain),
            "ssim_range_1": partial(ssim_in_box, certain=certain, data_range=1.0)}


def inside(truth: Truth, rgb: np.ndarray, mask: np.ndarray) -> Comparison:
    """Certain pixels that the true mask covers wholly and the registered mesh too: colour alone, without
    compositing, so that the outline decides nothing."""
    return Comparison(rgb, truth.image, truth.certain & truth.covered & (truth.mask > 0.999))


def published(truth: Truth, rgb: np.ndarray, mask: np.ndarray) -> Comparison:
    """In-mask: all pixels of the whole picture whose rays hit the box around the registered mesh, padded by
    5 cm along the upright axis alone, uncertain ones too. The prediction stands over black; the truth is
    black outside of its mask, grown by 2 pixels where 1024 were taken. SSIM on the pixels' bounding
    rectangle, uniform windows of 7x7, data range 2; beside it the proper data range, 1."""
    everywhere = np.ones_like(truth.boxed)
    return Comparison(rgb * mask[..., None], truth.image, truth.boxed, **_in_box(everywhere))


def published_whole(truth: Truth, rgb: np.ndarray, mask: np.ndarray) -> Comparison:
    """Whole image: the same two pictures over all pixels, both black outside of the box, so that the empty
    background counts as drawn well. SSIM on the whole picture."""
    boxed = published(truth, rgb, mask)
    return replace(boxed, prediction=blacken(boxed.prediction, truth.boxed),
                   truth=blacken(boxed.truth, truth.boxed), pixels=np.ones_like(truth.boxed))


PROTOCOLS = {protocol.__name__: protocol for protocol in (whole, neuralbody, inside)}

# What `published` is judged by: whole pictures, whose truth evaluation/pictures.py makes.
OF_WHOLE_PICTURES = {protocol.__name__: protocol for protocol in (published, published_whole)}


# what else decides the figures


@dataclass(frozen=True)
class Terms:
    """What decides a protocol's figures beside the pixels, in words; each has made figures disagree.

    version     of the protocol
    crop        what part of the picture was drawn
    masks       by which the two pictures are composited
    background  what they are composited over
    data_range  of PSNR and SSIM, and SSIM's windows
    """

    version: int
    crop: str
    masks: str
    background: str
    data_range: str

    def words(self, lpips: bool) -> dict[str, str]:
        """The terms by name; lpips: whether its network was there."""
        network = "AlexNet, weights 0.1, both pictures black outside of the pixels" if lpips else \
            "none, AlexNet's weights are not here"
        return {"crop": self.crop, "masks": self.masks, "background": self.background,
                "data range": self.data_range, "LPIPS": network, "test poses": POSES, "means": MEANS}

    def line(self, lpips: bool) -> str:
        """Version and terms in one line."""
        words = self.words(lpips).items()
        return f"Version {self.version}; {'; '.join(f'{name}: {told}' for name, told in words)}."


POSES = "not optimised on the pictures that are judged"
MEANS = "over pictures, of each one's figure, what is drawn not rounded to 8 bits"

CROP, WHOLE_PICTURE = "a square around the registered mesh", "the whole picture"
OWN_MASKS = "each picture's own"
RANGE_1 = "1; SSIM in Gaussian windows of 11x11 that lie in the pixels"
RANGE_2 = "1, of SSIM 2 (ssim_range_1: 1), in uniform windows of 7x7 on the bounding rectangle"

TERMS = {
    "whole": Terms(1, CROP, OWN_MASKS, "black", RANGE_1),
    "neuralbody": Terms(1, CROP, OWN_MASKS, "black", RANGE_2),
    "inside": Terms(1, CROP, "no compositing", "none", RANGE_1),
    "published": Terms(1, WHOLE_PICTURE, "the prediction's own; the truth's grown", "black", RANGE_2),
    "published_whole": Terms(1, WHOLE_PICTURE, "the prediction's own; the truth's grown", "black", RANGE_2),
}
