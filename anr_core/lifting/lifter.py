"""A regressor at work, and the mean pose, which it has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anr_core.lifting.examples import Examples
from anr_core.lifting.regressor import PoseRegressor
from anr_core.skeleton import Skeleton

SAMPLE = 4000  # examples that the mean pose is taken of


@dataclass(frozen=True)
class Lifter:
    """A regressor and what it has to beat: the mean (J, 3) of its examples' poses, in the sight's axes."""

    regressor: PoseRegressor
    mean: torch.Tensor

    def __call__(self, seen: torch.Tensor, skeleton: Skeleton) -> torch.Tensor:
        """Joints (B, J, 3) of keypoints (B, J, 3): the mean of the answers to them and to their mirror image.
        """
        mirror, across = list(skeleton.mirror), seen.new_tensor([-1.0, 1.0, 1.0])
        self.regressor.eval()
        with torch.no_grad():
            straight = self.regressor(seen)
            return (straight + self.regressor(seen[:, mirror] * across)[:, mirror] * across) / 2


def mean_pose(examples: Examples) -> torch.Tensor:
    """(J, 3) the mean of what examples hold, which turns about all azimuths."""
    batch = examples(0, SAMPLE)
    known = batch.known[..., None]
    return (known * batch.joints).sum(0) / known.sum(0).clamp(min=1e-6)
