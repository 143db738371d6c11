"""Figures for one picture against the truth.

Pictures are (H, W, 3) numpy arrays of sRGB in [0, 1]; `pixels` is a boolean (H, W). A figure that its pixels
can't give is None.
"""

from __future__ import annotations

import numpy as np
import torch
from flip_evaluator import evaluate as evaluate_flip
from scipy.ndimage import binary_erosion, laplace, minimum_filter
from skimage.metrics import structural_similarity
from torch.nn import functional

from anr_core import losses

# dB. Equal pictures' PSNR is infinite, which neither averages nor is JSON; rounding to 8 bits alone is 59.
PSNR_CAP = 100.0

# Pixels. LDR-FLIP's filters reach 10 at 67 pixels a degree; at twice that from where two pictures differ, its
# error is zero and no edge is felt.
FLIP_REACH = 20


def psnr(prediction: np.ndarray, target: np.ndarray, pixels: np.ndarray) -> float | None:
    """Peak signal-to-noise ratio in dB, at most PSNR_CAP: peak 1, squared error over pixels and channels."""
    if not pixels.any():
        return None
    error = np.square(prediction[pixels].astype(np.float64) - target[pixels]).mean()
    return float(min(PSNR_CAP, -10 * np.log10(max(error, 1e-12))))


def psnr_aligned(prediction: np.ndarray, target: np.ndarray, pixels: np.ndarray) -> float | None:
    """PSNR after the gain and the offset a channel that bring these pixels closest to the truth.

    Takes away what exposure and white balance explain; never below `psnr`.
    """
    x, y = prediction[pixels].astype(np.float64), target[pixels].astype(np.float64)
    if not len(x):
        return None
    x_mean, y_mean = x.mean(0), y.mean(0)
    variance = np.square(x - x_mean).mean(0)
    gain = ((x - x_mean) * (y - y_mean)).mean(0) / np.where(variance > 1e-12, variance, np.inf)
    aligned = prediction.astype(np.float64)
    aligned[pixels] = np.clip((x - x_mean) * gain + y_mean, 0, 1)
    return psnr(aligned, target, pixels)


def ssim(prediction: np.ndarray, target: np.ndarray, pixels: np.ndarray) -> float | None:
    """Structural similarity, the mean over the windows that lie in `pixels` as a whole.

    Gaussian windows of 11x11 with sigma 1.5, data range 1. A window half of zeros that both pictures share
    would flatter; such windows are left out, not filled.
    Source: Wang et al. 2004.
    """
    return _mean_ssim(prediction, target, _erode(pixels, 11), gaussian_weights=True, sigma=1.5,
                      use_sample_covariance=False, data_range=1.0)


def ssim_in_box(prediction: np.ndarray, target: np.ndarray, pixels: np.ndarray, certain: np.ndarray,
                data_range: float = 2.0) -> float | None:
    """SSIM of Neural Body's protocol: both black outside of `pixels`, cropped to their bounding rectangle.

    Uniform windows of 7x7, those that lie in the rectangle and, ours alone, hold no uncertain pixel. The
    published figures were made with scikit-image 0.14, which took the data range of floats to be 2 (-1 to 1);
    2 is kept so that figures can be compared, and flatters beside the proper 1.
    """
    if not pixels.any():
        return None
    box = _around(pixels, 0)
    # Uncertain pixels aren't in `pixels`, so they are black in both as well; what decides is the window.
    return _mean_ssim(*(blacken(picture, pixels)[box] for picture in (prediction, target)),
                      _erode(certain[box], 7), win_size=7, data_range=data_range)


def _mean_ssim(prediction, target, centres, **options) -> float | None:
    if not centres.any():
        return None
    part = _around(centres, 5)  # no window reaches further
    _, similarity = structural_similarity(prediction[part], target[part], channel_axis=2, full=True,
                                          **options)
    return float(similarity[centres[part]].mean())


def _erode(pixels: np.ndarray, window: int) -> np.ndarray:
    """Pixels whose square window lies in `pixels` and in the picture."""
    return minimum_filter(pixels, window, mode="constant", cval=False)


def _around(pixels: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The bounding rectangle of some pixels and a margin around it, cut at the picture's edge."""
    places = (np.flatnonzero(pixels.any(axis)) for axis in (1, 0))
    return tuple(slice(max(place[0] - margin, 0), place[-1] + margin + 1) for place in places)


def blacken(picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) in float32, black outside of pixels (H, W)."""
    return np.where(pixels[..., None], picture, 0).astype(np.float32)


def flip(prediction: np.ndarray, target: np.ndarray, pixels: np.ndarray) -> float | None:
    """Mean over `pixels` of the LDR-FLIP error in [0, 1], both pictures black elsewhere; lower is better.

    Seen at 67 pixels a degree: a monitor 0.7 m wide with 3840 pixels, from 0.7 m.
    Source: Andersson et al. 2020, in its authors' implementation.
    """
    if not pixels.any():
        return None
    prediction, target = blacken(prediction, pixels), blacken(target, pixels)
    differ = (prediction != target).any(-1)
    if not differ.any():
        return 0.0
    part = _around(differ, FLIP_REACH)  # twice as fast as the whole picture, and the same
    error, _, _ = evaluate_flip(target[part], prediction[part], "LDR", applyMagma=False,
                                computeMeanError=False)
    return float(error[..., 0][pixels[part]].sum() / pixels.sum())


def lpips(prediction: np.ndarray, target: np.ndarray, pixels: np.ndarray) -> float | None:
    """Mean over `pixels` of LPIPS on AlexNet, both pictures black elsewhere; None too without its weights."""
    if not pixels.any() or min(pixels.shape) < 32:  # smaller than what AlexNet's strides leave anything of
        return None
    pictures = (torch.from_numpy(blacken(picture, pixels)).permute(2, 0, 1)[None]
                for picture in (prediction, target))
    with torch.no_grad():
        distance = losses.perceptual(*pictures, torch.from_numpy(pixels)[None, None].float(), "alex")
    return None if distance is None else float(distance)


def mask_iou(prediction: np.ndarray, target: np.ndarray, pixels: np.ndarray) -> float | None:
    """Intersection over union of two masks (H, W), each taken to be where it exceeds 0.5."""
    prediction, target = (prediction > 0.5) & pixels, (target > 0.5) & pixels
    union = (prediction | target).sum()
    return float((prediction & target).sum() / union) if union else None


def flicker(errors: tuple[np.ndarray, np.ndarray], pixels: tuple[np.ndarray, np.ndarray]) -> float | None:
    """Mean absolute change of the error (prediction - truth) from one frame to the next, over pixels of both.

    The same as the difference between the change predicted and the change that took place, so a person who
    moves costs nothing and a texture that swims does.
    """
    both = pixels[0] & pixels[1]
    return float(np.abs(errors[1] - errors[0])[both].mean()) if both.any() else None


def warp_error(drawn: tuple[np.ndarray, np.ndarray], taken: tuple[np.ndarray, np.ndarray],
               pixels: tuple[np.ndarray, np.ndarray], flow: np.ndarray) -> float | None:
    """How much more a picture differs from the one before, moved along the true flow, than it truly does.

    drawn, taken  two pictures each, of one frame and the next
    pixels        of both, that are compared
    flow          (H, W, 2) from the second frame's pixels to the first, right and down; NaN where it isn't
                  known, or leads to what is hidden there

    The mean absolute difference of what was drawn, less that of what was taken: shading that moves over the
    person is in both. A texture that stays on the body costs nothing, whatever it shows, and one that swims
    does; blur makes it negative, so look at `sharpness` too.
    Source: Lai et al., Learning blind video temporal consistency, 2018, with true flow and less the truth's.
    """
    now = np.isfinite(flow[..., 0]) & pixels[1]
    rows, columns = np.nonzero(now)
    places = np.stack([columns + 0.5, rows + 0.5], 1) + flow[now]
    was = _seen_at(np.concatenate([drawn[0], taken[0], pixels[0][..., None]], 2), places)
    both = was[:, 6] > 0.999
    if not both.any():
        return None
    found, true = (np.abs(picture[now] - before)[both].mean(dtype=np.float64) for picture, before in
                   ((drawn[1], was[:, :3]), (taken[1], was[:, 3:6])))
    return float(found - true)


def _seen_at(picture, places):
    """(N, C) what a picture (H, W, C) shows at places (N, 2), pixels; bilinear, 0 outside."""
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    grid = torch.from_numpy(places).float() * 2 / planes.new_tensor(picture.shape[1::-1]) - 1
    return functional.grid_sample(planes, grid[None, None], align_corners=False)[0, :, 0].T.numpy()


def sharpness(prediction: np.ndarray, target: np.ndarray, pixels: np.ndarray) -> float | None:
    """The variance of the Laplacian of the grey picture, as a share of the truth's: below 1 is blurred.

    Over pixels whose four neighbours are in `pixels` too, so that no outline counts. None where the truth is
    flat. Source: Pech-Pacheco et al. 2000.
    """
    if not pixels.any():
        return None
    box = _around(pixels, 1)  # no neighbour is further
    inner = binary_erosion(pixels[box])
    if not inner.any():
        return None
    found, true = (laplace(picture[box].mean(-1, dtype=np.float64))[inner].var()
                   for picture in (prediction, target))
    return float(found / true) if true > 1e-12 else None
