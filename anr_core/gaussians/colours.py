"""Colours that tell the sides of a person apart, for pictures of primitives."""

from __future__ import annotations

import torch

from anr_core.skeleton import Skeleton

LEFT, RIGHT, MIDDLE = (1.0, 0.6, 0.2), (0.25, 0.6, 1.0), (0.85, 0.85, 0.85)


def side_colours(skeleton: Skeleton) -> torch.Tensor:
    """(E, 3) of a skeleton's edges: warm on the person's left, cold on the right, grey between."""
    colours = []
    for edge in skeleton.edges:
        sides = {skeleton.names[joint].split("_")[0] for joint in edge} & {"left", "right"}
        colours.append(MIDDLE if len(sides) != 1 else LEFT if sides == {"left"} else RIGHT)
    return torch.tensor(colours)
