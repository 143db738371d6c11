"""What is published for subjects of ZJU-MoCap, to stand beside figures of the same subject.

Source: supplementary_material.md in Neural Body's repository (github.com/zju3dv/neuralbody), which tells
figures subject by subject: Neural Body's own in-mask and on the whole image, others in-mask. The others are
Multi-view Neural Human Rendering (NHR; Wu et al. 2020), Deferred Neural Human Rendering (DNR: Thies et al.
2019 on SMPL's mesh) and Neural Volumes (NV; Lombardi et al. 2019), which draws no new poses.

Published novel views are our split `novel_view`; published novel poses are seen from cameras that were not
trained, so they are our `novel_both`. Of trained cameras in new poses, `novel_pose`, nothing is published.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from anr_core.capture.folder import Capture, Shot

SUBJECTS = ("313", "315", "377", "386", "387", "390", "392", "393", "394")

# Frames of each subject that were trained, through four cameras, and those of unseen poses; of both every
# 30th is judged, through all other cameras.
FRAMES = {"novel_view": (60, 400, 300, 300, 300, 300, 300, 300, 300),
          "novel_both": (1000, 1000, 317, 346, 354, 700, 256, 358, 559)}
CAMERAS, EVERY = 4, 30

# (split, protocol, method): PSNR in dB and SSIM at data range 2 of each subject
FIGURES = {
    ("novel_view", "published", "Neural Body"): (
        (30.56, 27.24, 27.64, 28.60, 25.79, 27.59, 29.44, 27.58, 28.44),
        (0.971, 0.962, 0.951, 0.931, 0.928, 0.926, 0.946, 0.939, 0.940)),
    ("novel_view", "published", "NHR"): (
        (26.68, 19.81, 23.79, 25.02, 22.65, 23.72, 24.73, 23.47, 25.01),
        (0.935, 0.874, 0.918, 0.879, 0.858, 0.873, 0.902, 0.894, 0.906)),
    ("novel_view", "published", "DNR"): (
        (25.78, 19.44, 23.74, 24.93, 22.44, 24.33, 24.96, 23.50, 24.84),
        (0.929, 0.869, 0.917, 0.877, 0.888, 0.881, 0.905, 0.896, 0.903)),
    ("novel_view", "published", "NV"): (
        (20.09, 18.57, 21.15, 23.21, 20.74, 22.49, 22.88, 21.29, 22.08),
        (0.831, 0.824, 0.842, 0.820, 0.838, 0.825, 0.726, 0.842, 0.843)),
    ("novel_view", "published_whole", "Neural Body"): (
        (35.21, 33.07, 33.86, 36.07, 31.39, 34.48, 35.76, 33.24, 34.31),
        (0.985, 0.988, 0.985, 0.984, 0.975, 0.980, 0.984, 0.979, 0.980)),
    ("novel_both", "published", "Neural Body"): (
        (23.95, 19.56, 23.91, 25.68, 21.60, 23.90, 25.76, 23.25, 23.80),
        (0.905, 0.852, 0.909, 0.881, 0.870, 0.870, 0.909, 0.893, 0.878)),
    ("novel_both", "published", "NHR"): (
        (23.05, 18.88, 21.94, 23.70, 20.97, 22.65, 23.66, 22.27, 22.87),
        (0.893, 0.844, 0.885, 0.853, 0.866, 0.858, 0.893, 0.885, 0.874)),
    ("novel_both", "published", "DNR"): (
        (22.56, 18.38, 22.07, 23.70, 20.64, 22.90, 24.08, 22.45, 22.67),
        (0.889, 0.841, 0.886, 0.851, 0.862, 0.864, 0.900, 0.888, 0.871)),
    ("novel_both", "published_whole", "Neural Body"): (
        (29.02, 25.70, 30.60, 33.05, 27.68, 30.25, 31.53, 28.40, 29.61),
        (0.964, 0.957, 0.977, 0.974, 0.961, 0.964, 0.971, 0.960, 0.961)),
}

TITLES = {"novel_view": "novel views of training frames", "novel_both": "novel poses, from new cameras"}

# What makes even the same subject's figures differ, whoever draws; what a run can tell is added to it.
DIFFERENCES = (
    "the published Neural Body took 200 000 steps of 1024 rays, at batch statistics in evaluation too",
    "SSIM is scikit-image's of today, told the data range that 0.14 took; figures agree, not bit by bit",
    "the box is the registered mesh's: the published one where that is SMPL's in the first fit (vertices/)",
    "published novel poses have the last trained frame's latent, our neural-body's the nearest one's",
    "our masks are mask_cihp/ without lens distortion before they are grown, not after",
)


@dataclass(frozen=True)
class Published:
    """Of one subject's split, {(protocol, method): (PSNR, SSIM)}."""

    subject: str
    split: str
    figures: dict[tuple[str, str], tuple[float, float]]

    def beside(self, ours: dict, differences: Iterable[str]) -> str:
        """A table: what is published, and below it ours, {protocol: {method: {figure: number}}}.

        differences  what else makes the two hard to compare
        """
        rows, columns = dict(self.figures), ("in-mask PSNR", "SSIM", "whole PSNR", "SSIM")
        for protocol, methods in ours.items():
            rows |= {(protocol, f"ours: {method}"): (numbers["psnr"], numbers["ssim"])
                     for method, numbers in methods.items()}
        lines = [f"  published for ZJU-MoCap {self.subject}, {TITLES[self.split]}, and ours:",
                 " " * 24 + "".join(f"{column:>14}" for column in columns)]
        for method in dict.fromkeys(method for _, method in rows):
            cells = [_cells(rows.get((protocol, method))) for protocol in ("published", "published_whole")]
            lines.append(f"    {method:<20}" + "".join(f"{cell:>14}" for pair in cells for cell in pair))
        told = "Not quite comparable: " + "; ".join([*differences, *DIFFERENCES]) + "."
        return "\n".join(lines + textwrap.wrap(told, 100, initial_indent="    ", subsequent_indent="    "))


    def differences(self, trained: Iterable[tuple[str, int]], judged: Iterable[Shot],
                    sizes: Iterable[tuple[int, int]], longer: int) -> list[str]:
        """How a run's training and its pictures, sizes (H, W), differ from those published, as far as seen.

        longer  side of the published pictures, pixels
        """
        row, told = SUBJECTS.index(self.subject), []
        cameras, frames = _counts(trained)
        if (cameras, frames) != (CAMERAS, FRAMES["novel_view"][row]):
            told.append(f"ours was trained on {cameras} cameras and {frames} frames, the published on "
                        f"{CAMERAS} and {FRAMES['novel_view'][row]}")
        cameras, frames = _counts((shot.camera, shot.frame) for shot in judged)
        told.append(f"ours is judged on {cameras} cameras and {frames} frames, the published on all but "
                    f"{CAMERAS} and {-(-FRAMES[self.split][row] // EVERY)}")
        if any(max(size) != longer for size in sizes):
            shown = ", ".join(f"{width}x{height}" for height, width in sizes)
            told.append(f"our pictures are {shown} pixels, not {longer}x{longer}")
        return told


def _counts(pictures):
    """How many cameras and frames there are among (camera, frame)."""
    return tuple(len(set(values)) for values in zip(*pictures, strict=True))


def _cells(pair):
    psnr, ssim = pair or (None, None)
    return "n/a" if psnr is None else f"{psnr:.2f}", "n/a" if ssim is None else f"{ssim:.3f}"


def subject_of(capture: Capture) -> str | None:
    """The published subject whose ZJU-MoCap recording a capture is, or None."""
    found = re.search(r"3\d\d", capture.person) if capture.format == "zju" else None
    return found[0] if found and found[0] in SUBJECTS else None


def published_for(capture: Capture, split: str, shots: Iterable[Shot]) -> Published | None:
    """What is published of these shots, or None: of any other person, split, or views than are held out."""
    subject = subject_of(capture)
    if subject is None or split not in TITLES or any(shot.split != split for shot in shots):
        return None
    row = SUBJECTS.index(subject)
    figures = {key[1:]: (psnr[row], ssim[row]) for key, (psnr, ssim) in FIGURES.items() if key[0] == split}
    return Published(subject, split, figures)
