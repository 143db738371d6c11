"""What a panel draws: one or several avatars, side by side, in a state."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor, ImageDraw

from anr_core.avatars import Avatar, Scene
from anr_core.avatars.wearing import wearing
from anr_core.body import Body
from anr_core.capture import Capture
from anr_core.export.around import Around
from anr_core.export.backgrounds import NONE, cut_out, filling, on_device, read_background
from anr_core.export.lending import lent
from anr_core.layers import GREY, STEPS, Layers, beside, picture
from anr_core.layers.given import GIVEN, pictures_of
from anr_core.viewer.state import State

QUALITY = 85  # of a JPEG: at 512 pixels 12 to 16 kB
CELLS = 12    # of the stamp: white, ten bits from the lowest, black
SQUARES = 32  # a side, where nothing is behind the person
GLANCE = 64   # pixels of a picture that is looked at for what it has
PLATE = "camera "  # begins the names of the capture's own backgrounds
LEARNED = "learned, camera "  # and of those that an avatar has learned


class Artist:
    """Draws states, and remembers what several pictures share.

    avatars  by their names, all on one body
    home     folder of the run in which people that are worn are looked for
    """

    def __init__(self, avatars: dict[str, Avatar], body: Body, around: Around, capture: Capture | None,
                 home: Path | None):
        self.avatars, self.body, self.around, self.capture, self.home = avatars, body, around, capture, home
        self._layers = {name: Layers() for name in avatars}
        self._backgrounds, self._worn, self._lent = {}, {}, {}

    def picture(self, state: State, size: int) -> np.ndarray:
        """(size, n * size, 3) uint8; under a caption where there are several avatars."""
        drawn = {name: self._drawn(name, state, size) for name in self.avatars}
        return beside(drawn) if len(drawn) > 1 else next(iter(drawn.values()))

    def cut_out(self, state: State, size: int) -> np.ndarray:
        """(size, n * size, 4) uint8: the persons alone, in straight colour, and alpha."""
        drawn = []
        for name in self.avatars:
            avatar, scene = self._staged(name, state, size)
            drawn.append(cut_out(avatar.draw(scene)))
        return np.concatenate(drawn, 1)

    def steps(self, state: State) -> list[str]:
        """What can be shown of the way to a picture, of any of the avatars, in its order."""
        found = set()
        for name in self.avatars:
            avatar, scene = self._staged(name, state, GLANCE)
            rendering = avatar.draw(scene)
            found |= {*Layers.steps(rendering), *pictures_of(avatar, scene)}
        return [step for step in STEPS if step in found]

    def _drawn(self, name, state, size):
        avatar, scene = self._staged(name, state, size)
        if state.layer in GIVEN:
            given = pictures_of(avatar, scene).get(state.layer)
            return _nothing(state.layer, size) if given is None else picture(given)
        rendering = avatar.draw(scene)
        background = on_device(self.background(state.background, size, name), rendering)
        panel = self._layers[name].panel(state.layer, rendering, self.avatars[name].surface, background)
        return _nothing(state.layer, size) if panel is None else picture(panel)

    def _staged(self, name: str, state: State, size: int) -> tuple[Avatar, Scene]:
        """Who is drawn, and how they stand before the camera."""
        avatar = self.avatars[name]
        if state.worn:
            avatar = self.wear(name, state.worn)
        if state.source:
            avatar = self.look_like(name, state.source)
        posed = self.body(state.pose)
        camera = self.around.camera(state.view, posed, size).to(avatar.device)
        return avatar, Scene(posed.on(avatar.surface), camera, (size, size), frame=state.pose.frame)

    def look_like(self, name: str, source: str) -> Avatar:
        """An avatar in the looks of a picture, one that has only its own as it is.

        source  CAMERA:FRAME of the panel's capture, or what `export.lending` reads

        Raises ValueError or FileNotFoundError where there is no such picture.
        """
        avatar = self.avatars[name]
        if "source" not in avatar.controls:
            return avatar
        if (name, source) not in self._lent:
            looks, capture = source, self.capture
            if capture is not None and source.partition(":")[0] in capture.cameras:
                looks = f"{capture.path}:{source}"
            self._lent = {key: other for key, other in self._lent.items() if key[1] == source}
            self._lent[name, source] = lent(avatar, looks, capture)
        return self._lent[name, source]

    def wear(self, name: str, worn: str) -> Avatar:
        """An avatar in parts of another's texture; raises ValueError where they share too little."""
        if (name, worn) not in self._worn:
            self._worn = {key: avatar for key, avatar in self._worn.items() if key[1] == worn}
            self._worn[name, worn] = wearing(self.avatars[name], self.home, worn)
        return self._worn[name, worn]

    def learned(self) -> list[str]:
        """The cameras of the capture of which an avatar has learned what is behind the person."""
        return [] if self.capture is None else [
            camera for camera in self.capture.cameras
            if any(avatar.background(camera) is not None for avatar in self.avatars.values())]

    def background(self, name: str, size: int, whose: str | None = None) -> torch.Tensor:
        """A colour (1, 3, 1, 1) or a picture (1, 3, size, size); of nothing, the usual squares.

        whose  of which avatar, where it is one that was learned; None for the first
        """
        if name == NONE:
            return squares(size)
        if name.startswith("#"):
            return torch.tensor(ImageColor.getrgb(name)[:3])[None, :, None, None] / 255
        if name.startswith(LEARNED):
            return self._learned(name.removeprefix(LEARNED), size, whose or next(iter(self.avatars)))
        if (name, size) not in self._backgrounds:
            plates = {} if self.capture is None else self.capture.backgrounds
            file = self.capture.path / plates[camera] if (camera := name.removeprefix(PLATE)) in plates \
                else Path(name)
            self._backgrounds[name, size] = read_background(file, size)
        return self._backgrounds[name, size]

    def _learned(self, camera, size, whose):
        """Grey, of an avatar that hasn't learned it where another one has."""
        if (whose, camera, size) not in self._backgrounds:
            if camera not in self.learned():
                raise ValueError(f"Nobody here has learned what is behind the person before camera {camera}.")
            whole = self.avatars[whose].background(camera)
            self._backgrounds[whose, camera, size] = torch.full((1, 3, 1, 1), GREY) if whole is None \
                else filling(picture(whole), size)
        return self._backgrounds[whose, camera, size]


def squares(size: int) -> torch.Tensor:
    """(1, 3, size, size) light and dark grey in turns, which stand for nothing behind."""
    place = torch.arange(size) * SQUARES // size % 2
    return (0.8 - 0.2 * (place[:, None] ^ place)).expand(1, 3, -1, -1)


def _nothing(layer, size):
    """A black picture that says what this system has not."""
    image = Image.new("RGB", (size, size))
    ImageDraw.Draw(image).text((8, 8), f"this system has no {layer}", "white")
    return np.asarray(image)


def jpeg(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as a JPEG file."""
    return _encoded(image, "JPEG", quality=QUALITY)


def png(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as a PNG file."""
    return _encoded(image, "PNG")


def _encoded(image, kind, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def stamp_of(state: State) -> int:
    """Ten bits that tell states apart."""
    return zlib.crc32(state.text().encode()) % 1024


def stamped(image: np.ndarray, number: int) -> np.ndarray:
    """The picture with a number as a bar code along its upper edge, for a test to read in a browser."""
    height, width = max(4, image.shape[0] // 30), image.shape[1]
    bits = [1, *((number >> place) & 1 for place in range(CELLS - 2)), 0]
    image = image.copy()
    image[:height] = (255 * np.array(bits, np.uint8))[np.arange(width) * CELLS // width, None]
    return image
