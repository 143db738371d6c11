"""What is handed over as the registration: the naked body as it was, or as wrong as a real fit is.

A fit errs smoothly in time: it starts from the frame before. So each number's error is a sum of slow waves.
"""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import roma
import torch

from anr_core.body import Pose
from anr_core.body.anny import Shape
from anr_core.skeleton import ANNY

# Standard deviations of the errors.
ROOT_METRES, ROOT_RADIANS = 0.003, 0.006
LIMB_RADIANS, OTHER_RADIANS = 0.013, 0.004  # 0.75 and 0.2 degrees about each axis; they add up along a limb
SHAPE_STEPS = 0.02  # of phenotypes, which go from 0 to 1
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "neck", "head")

WAVES, SLOWEST, FASTEST = 4, 0.12, 0.9  # Hz


class Jitter:
    """One person's registration error; the same seed errs the same way."""

    def __init__(self, seed: int):
        random = np.random.default_rng([seed, 20])
        limb = [name.removeprefix("left_").removeprefix("right_") in LIMBS for name in ANNY.names[1:]]
        joints = torch.where(torch.tensor(limb), LIMB_RADIANS, OTHER_RADIANS)[:, None].expand(-1, 3)
        self.sizes = torch.cat([joints, torch.tensor([[ROOT_RADIANS] * 3, [ROOT_METRES] * 3])])
        shape = (WAVES, *self.sizes.shape)
        self.rates, self.phases = (torch.from_numpy(random.uniform(low, high, shape)).float()
                                   for low, high in ((SLOWEST, FASTEST), (0, 1)))
        self.shape_error = random.normal(0, SHAPE_STEPS, len(astuple(Shape())))

    def shape(self, shape: Shape) -> Shape:
        """The shape that was fitted; looks of continents stay."""
        names = ("gender", "muscle", "weight", "height", "proportions")
        return replace(shape, **{name: float(np.clip(getattr(shape, name) + error, 0, 1))
                                 for name, error in zip(names, self.shape_error, strict=False)})

    def pose(self, pose: Pose, seconds: float) -> Pose:
        """The pose that was fitted at a time."""
        waves = torch.sin(2 * torch.pi * (self.rates * seconds + self.phases)).sum(0) * (2 / WAVES) ** 0.5
        error = waves * self.sizes
        rotations = roma.rotvec_composition((error[:-2].expand_as(pose.rotations), pose.rotations))
        root = roma.rotvec_composition((error[-2:-1], pose.root_rotation))
        return replace(pose, rotations=rotations, root_rotation=root,
                       root_translation=pose.root_translation + error[-1])
