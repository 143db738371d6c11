"""Figures for one picture against the truth, and the protocols that say over which pixels."""

from anr_core.metrics.figures import (
    PSNR_CAP,
    flicker,
    flip,
    lpips,
    mask_iou,
    psnr,
    psnr_aligned,
    sharpness,
    ssim,
    ssim_in_box,
    warp_error,
)
from anr_core.metrics.joints import mpjpe, n_mpjpe, p_mpjpe
from anr_core.metrics.protocols import (
    CROP,
    FIGURES,
    OF_WHOLE_PICTURES,
    OWN_MASKS,
    PROTOCOLS,
    RANGE_1,
    TERMS,
    WHOLE_PICTURE,
    Comparison,
    Terms,
    Truth,
    inside,
    neuralbody,
    published,
    published_whole,
    whole,
)

__all__ = ["CROP", "FIGURES", "OF_WHOLE_PICTURES", "OWN_MASKS", "PROTOCOLS", "PSNR_CAP", "RANGE_1", "TERMS",
           "WHOLE_PICTURE", "Comparison", "Terms", "Truth", "flicker", "flip", "inside", "lpips", "mask_iou",
           "mpjpe", "n_mpjpe", "neuralbody", "p_mpjpe", "psnr", "psnr_aligned", "published",
           "published_whole", "sharpness", "ssim", "ssim_in_box", "warp_error", "whole"]
