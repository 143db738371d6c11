"""The true flow from a picture that is judged to the one before it, where a capture knows it.

The studio's do.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from anr_core.camera import Camera, pixel_centres
from anr_core.capture.flow import consistent, lands, warped
from anr_core.capture.folder import Capture, Shot
from anr_core.capture.view import View

TOWARDS, BACK = "flow_forward", "flow_backward"  # names in the truth


class TrueFlow:
    """Of a capture's pictures, in whatever windows they are judged."""

    def __init__(self, capture: Capture):
        self.capture = capture
        self.shots = {(shot.camera, shot.frame): shot for shot in capture.shots}

    def __call__(self, before: View, now: View) -> np.ndarray | None:
        """(H, W, 2) pixels of one view that lead to where the view before it shows the same, right and down.

        NaN where there or here the true mask doesn't cover the pixel as a whole, and where the way there and
        back doesn't end within a pixel of the picture as it was taken. None where the truth knows no flow, or
        leads to another frame.
        """
        shots = [self.shots.get((view.camera_name[0], int(view.frame))) for view in (before, now)]
        if None in shots or shots[1].frame - shots[0].frame != 1 or before.size != now.size or \
                not (self.capture.knows(shots[0], TOWARDS) and self.capture.knows(shots[1], BACK)):
            return None
        taken = self.capture.cameras[now.camera_name[0]]
        windows = [_window_from_picture(view.camera, taken) for view in (before, now)]
        centres = pixel_centres(now.size).double()
        places = _at(torch.linalg.inv(windows[1]), centres)
        found = self._sampled(*shots, places.view(1, *now.size, 2))
        steps = _at(windows[0], places + found[0, :2].permute(1, 2, 0).reshape(1, -1, 2)) - centres
        flow = steps.view(1, *now.size, 2).permute(0, 3, 1, 2).float()
        masks = [view.mask.cpu() for view in (before, now)]
        seen = (found[:, 2:] > 0.999) & lands(flow) & (masks[1] > 0.999) & (warped(masks[0], flow) > 0.999)
        return torch.where(seen, flow, torch.nan)[0].permute(1, 2, 0).numpy()

    def _sampled(self, before: Shot, now: Shot, places: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W) flow at places (1, H, W, 2) of the picture as it was taken, and how much returns."""
        back, forth = (torch.from_numpy(self.capture.truth(shot, name)).double().permute(2, 0, 1)[None]
                       for shot, name in ((now, BACK), (before, TOWARDS)))
        known = consistent(back, forth)
        planes = torch.cat([torch.where(known, back, 0), known.double()], 1)
        grid = places * 2 / places.new_tensor(back.shape[:1:-1]) - 1
        return functional.grid_sample(planes, grid, align_corners=False)


def _window_from_picture(window: Camera, taken: Camera) -> torch.Tensor:
    """(1, 3, 3) for homogeneous pixels: two cameras that stand in one place."""
    K, R, taken_K, taken_R = (matrix.cpu().double() for matrix in (window.K, window.R, taken.K, taken.R))
    return K @ R @ taken_R.transpose(1, 2) @ torch.linalg.inv(taken_K)


def _at(matrix, pixels):
    """Pixels (1, N, 2) under a matrix (1, 3, 3) for homogeneous ones."""
    there = functional.pad(pixels, (0, 1), value=1.0) @ matrix.transpose(1, 2)
    return there[..., :2] / there[..., 2:]
