"""Whose parts and charts a dynamic texture has: our own, or DensePose's where a capture has its pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from anr_core.body.npz import read_npz
from anr_core.capture import Capture
from anr_core.parts import densepose
from anr_core.telling import brief, quoted

KINDS = SURFACE, DENSEPOSE = "surface", "densepose"
LAID_OUT = 60  # pictures, at the most, that a texture begins with


def kind_of_labels(wanted: str, captures: Sequence[Capture]) -> str:
    """Which of KINDS a generator learns of captures; "" takes DensePose's where every picture has them.

    Raises ValueError where it would have to learn both, or what there is not.
    """
    if wanted not in ("", *KINDS):
        raise ValueError(f"labels {quoted(wanted)} are unknown; use one of {', '.join(KINDS)}.")
    if wanted == SURFACE:
        return SURFACE
    without = [capture for capture in captures
               if not all(capture.knows(shot, "iuv") for shot in capture.shots)]
    if wanted == DENSEPOSE and without:
        raise ValueError(f"{without[0].path} has pictures without DensePose's labels, which \"labels\" asks "
                         f"for. Leave them out by --frames, or set \"labels\" to \"{SURFACE}\".")
    if without and len(without) < len(captures):
        raise ValueError(f"Of these captures some have DensePose's labels and others, such as "
                         f"{without[0].path}, don't; a generator learns one kind. Train them apart, or set "
                         f"\"labels\" to \"{SURFACE}\" in --config.")
    return SURFACE if without else DENSEPOSE


def densepose_texture(capture: Capture, size: int) -> torch.Tensor:
    """(24, 3, size, size) what came along, and where that has nothing what the pictures show."""
    views = capture.evenly(LAID_OUT).views(crop="loose", labelled=True)
    colours, count = densepose.laid_out(((view.image, view.labels, view.trusted()) for view in views), size)
    if (texture := texture_beside(capture)) is not None:
        given, known = densepose.published(texture, size)
        colours, count = torch.where(known > 0, given, colours), count + known
    return densepose.filled(colours, count)


def texture_beside(capture: Capture) -> np.ndarray | None:
    """(24, side, side, 3) uint8 that came along with a capture, row 0 being v = 0; None where none did."""
    file = capture.path / "foreign.npz"
    if not file.is_file() or "texture" not in (arrays := read_npz(file)):
        return None
    texture = arrays["texture"]
    if texture.dtype != np.uint8 or texture.ndim != 4 or texture.shape[::3] != (densepose.PARTS, 3) or \
            not texture.size:
        raise ValueError(f"{file}: texture is {brief(texture.dtype)} of shape {brief(texture.shape)}, "
                         f"expected uint8 ({densepose.PARTS}, side, side, 3). Prepare the capture again.")
    return texture
