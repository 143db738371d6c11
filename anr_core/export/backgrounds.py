"""What stands behind the person: grey, a colour, a picture, what really was there, or nothing at all.

Where nothing does, pictures have alpha, and their colour is straight: never multiplied by it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps
from scipy.ndimage import distance_transform_edt

from anr_core.avatars import Avatar, Rendering, Scene
from anr_core.capture import Capture
from anr_core.capture.pictures import picture_channels, read_channels, read_image
from anr_core.layers import GREY, picture
from anr_core.layers.behind import own_background

NONE, OWN = "none", "own"  # words for --background

# Of a scene: a picture (1, 3, H, W), a colour (1, 3, 1, 1), a grey, or None for nothing.
Behind = Callable[[Scene], torch.Tensor | float | None]


class Own:
    """Of scenes: what is behind the person before one camera of a capture; see `own_background`."""

    def __init__(self, avatar: Avatar, capture: Capture, camera: str):
        self.avatar, self.capture, self.camera = avatar, capture, camera
        self._window, self._drawn = None, None

    @property
    def known(self) -> bool:
        """Whether the run has learned what is behind the person there, or the capture knows it."""
        return self.avatar.background(self.camera) is not None or self.camera in self.capture.backgrounds

    def check(self) -> None:
        """Raise ValueError where it isn't known."""
        if not self.known:
            raise ValueError(f"Nobody knows what is behind the person before camera {self.camera}: "
                             f"{self.capture.path} has no background of it, and the run has learned none. "
                             "Choose a colour or a picture.")

    def __call__(self, scene: Scene) -> torch.Tensor:
        window = scene.size, scene.camera.K.tolist()
        if window != self._window:  # most videos look through one
            self._drawn = own_background(self.avatar, self.capture, self.camera, scene.camera, scene.size)
            self._window = window
        return self._drawn


def chosen_background(given: str | Path | None, size: int | tuple[int, int], own: Own | None = None
                      ) -> Behind:
    """What --background says.

    given  a picture's file; a colour such as "white" or "#20a040"; "none", transparent; "own"; None for grey
    size   of the drawn pictures, a square's side or (H, W)
    own    what "own" is; None where no known camera looks

    Raises ValueError or FileNotFoundError for what is none of these, and for what nobody knows.
    """
    if given == OWN:
        if own is None:
            raise ValueError("--background own is what a camera saw behind the person, so it needs a --view "
                             "that is a camera of the capture.")
        own.check()
        return own
    shown = None if given == NONE else GREY if given is None else still_background(given, size)
    return lambda scene: shown


def still_background(given: str | Path, size: int | tuple[int, int]) -> torch.Tensor:
    """A picture's file at that size, or a colour by its name: (1, 3, H, W) or (1, 3, 1, 1)."""
    if Path(given).is_file():
        return read_background(Path(given), size)
    try:
        colour = ImageColor.getrgb(str(given))
    except ValueError:
        colour = ()
    if len(colour) == 3:
        return torch.tensor(colour)[None, :, None, None] / 255
    if isinstance(given, Path) or any(sign in given for sign in "./\\"):
        raise FileNotFoundError(f"{given} does not exist. Give a picture to stand before, or leave it out.")
    raise ValueError(f"{given!r} is no background. Use a picture's file, a colour such as white or #20a040, "
                     f"{NONE} for a transparent one, or {OWN} for what a camera saw.")


def read_background(file: Path, size: int | tuple[int, int]) -> torch.Tensor:
    """A picture (1, 3, H, W) that is scaled and cut to fill a square of that size, or (H, W).

    One with alpha lies over grey.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist. Give a picture to stand before, or leave it out.")
    if picture_channels(file) == 4:
        pixels = read_channels(file).astype(np.float32)
        alpha = pixels[..., 3:] / 255
        pixels = np.round(pixels[..., :3] * alpha + 255 * GREY * (1 - alpha)).astype(np.uint8)
    else:
        pixels = read_image(file)
    return filling(pixels, size)


def filling(pixels: np.ndarray, size: int | tuple[int, int]) -> torch.Tensor:
    """A picture (h, w, 3) uint8, scaled and cut to fill a square of that size, or (H, W): (1, 3, H, W)."""
    height, width = (size, size) if isinstance(size, int) else size
    fitted = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1)[None] / 255


def composed(rendering: Rendering, background: torch.Tensor | float | None) -> np.ndarray:
    """(H, W, 3) uint8 the person before a background, or (H, W, 4) before none."""
    if background is None:
        return cut_out(rendering)
    return picture(rendering.over(on_device(background, rendering)))


def cut_out(rendering: Rendering) -> np.ndarray:
    """(H, W, 4) uint8: straight colour, and alpha.

    Where nothing is to be seen the colour is that of the nearest place that is more there than not: whoever
    scales the picture mixes some of it in at the outline.
    """
    colour, alpha = picture(rendering.rgb), picture(rendering.mask)
    hidden, sources = alpha[..., 0] == 0, alpha[..., 0] > 127
    if hidden.any() and sources.any():
        rows, columns = distance_transform_edt(~sources, return_distances=False, return_indices=True)
        colour = np.where(hidden[..., None], colour[rows, columns], colour)
    return np.concatenate([colour, alpha], 2)


def on_device(background: torch.Tensor | float, rendering: Rendering) -> torch.Tensor | float:
    """A background where a rendering is, in its dtype; a grey as it is."""
    return background.to(rendering.rgb) if torch.is_tensor(background) else background
