"""Skeletons drawn into pictures: bones of the person's left side in yellow, of the right in red."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from anr_core.capture.keypoints import SURE
from anr_core.skeleton import Skeleton

SIDES = {"left": "yellow", "right": "red"}


def draw_bones(picture: Image.Image, points: np.ndarray, skeleton: Skeleton, width: int = 1) -> None:
    """Join the sure ones of points (J, 3), pixels and confidence.

    width  of the lines, pixels
    """
    draw = ImageDraw.Draw(picture)
    for edge in skeleton.edges:
        if (points[list(edge), 2] > SURE).all():
            sides = {word for joint in edge for word in skeleton.names[joint].split("_")} & SIDES.keys()
            draw.line([tuple(points[joint, :2]) for joint in edge],
                      SIDES[sides.pop()] if len(sides) == 1 else "white", width)
