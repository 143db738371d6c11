"""Made-up people who move in a picture."""

from pathlib import Path

import torch

from anr_core.motion.keypoints import FlatMotion
from anr_core.skeleton import BODY25

# of a height of 1, upright, seen from the front: their left is on the picture's right; feet at y = 0
STANDS = {"nose": (0, -0.93), "neck": (0, -0.81), "middle_hip": (0, -0.51),
          "left_shoulder": (0.12, -0.81), "left_elbow": (0.14, -0.63), "left_wrist": (0.15, -0.47),
          "left_hip": (0.07, -0.51), "left_knee": (0.08, -0.27), "left_ankle": (0.08, -0.04),
          "left_eye": (0.02, -0.95), "left_ear": (0.05, -0.94),
          "left_big_toe": (0.09, 0.0), "left_small_toe": (0.11, -0.005), "left_heel": (0.08, -0.02)}


def standing_person() -> torch.Tensor:
    """(25, 2) of a height of 1."""
    places = STANDS | {name.replace("left", "right"): (-x, y) for name, (x, y) in STANDS.items()
                       if name.startswith("left")}
    return torch.tensor([places[name] for name in BODY25.names])


def film(feet, height, x, confidence=0.9, fps=25.0, size=(480, 640)) -> FlatMotion:
    """Somebody who swings the arms and walks: y of the feet, height and x (n,) pixels, frame by frame."""
    feet, height, x = torch.broadcast_tensors(*(torch.as_tensor(each, dtype=torch.float32)
                                                for each in (feet, height, x)))
    count = len(feet)
    shape = standing_person().repeat(count, 1, 1)
    swing = 0.1 * torch.sin(torch.arange(count) * 0.3)
    for side, sign in (("left", 1), ("right", -1)):
        shape[:, BODY25.names.index(f"{side}_wrist")] += torch.stack([sign * swing.abs(), -swing.abs()], -1)
        shape[:, BODY25.names.index(f"{side}_knee"), 0] += sign * 0.02 * swing
    places = shape * height[:, None, None] + torch.stack([x, feet], -1)[:, None]
    points = torch.cat([places, torch.full((count, 25, 1), confidence)], -1)
    return FlatMotion(torch.arange(count), points, BODY25, fps, size, Path("film"))


def joint(motion: FlatMotion, name: str) -> torch.Tensor:
    """(n, 3) of one joint."""
    return motion.points[:, motion.skeleton.names.index(name)]
