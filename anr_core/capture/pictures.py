"""Pictures on disk: reading and writing them with errors that name the file, and a bounded memory of them."""

from __future__ import annotations

import io
import mmap
import struct
import warnings
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from anr_core.telling import reason

# What Pillow makes of what is no picture, is damaged, wherever that is, or would fill the memory.
BROKEN = (OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
          AssertionError, RuntimeError, MemoryError, struct.error, Image.DecompressionBombError)
FORMATS = ("PNG", "JPEG", "WEBP")  # others of Pillow's formats start programs, or are no pictures of a camera
LARGEST_PICTURE = 2 * Image.MAX_IMAGE_PIXELS  # pixels from which on Pillow refuses to decode
TURNED = range(5, 9)  # values of EXIF's orientation for pictures that lie on their side

# Pillow warns of half of what it refuses; two lines of a warning tell nobody what to do.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def read_image(path: Path) -> np.ndarray:
    """A picture (H, W, 3) uint8."""
    return _read(path, "RGB")


def read_mask(path: Path) -> np.ndarray:
    """A mask (H, W) uint8, 255 where the person is."""
    return _read(path, "L")


def read_channels(path: Path) -> np.ndarray:
    """A picture (H, W, C) with the channels that it has: grey, RGB, or RGB and a fourth; uint8, or uint16."""
    return _read(path, None)


def _read(path, mode):
    try:
        return decoded(path, mode)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing. Put it back, or prepare the capture again.") from None
    except BROKEN as error:
        raise ValueError(f"{path} can't be read as a picture ({reason(error)}). Copy it again.") from None


def decoded(file: Path | IO[bytes], mode: str | None) -> np.ndarray:
    """A picture as it is to be seen: phones save it as the sensor lies, and say how it is to be turned.

    mode  Pillow's, uint8; None for the channels that there are, (H, W, C), uint16 where they have 16 bits
    """
    with Image.open(file, formats=FORMATS) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip at 255
            grey = np.array(upright).astype(np.uint16)
            if mode is None:
                return grey[..., None]
            upright = Image.fromarray(np.round(grey / 257).astype(np.uint8))
        pixels = np.array(upright.convert(mode or CHANNELS[channel_count(upright)]))
        return np.atleast_3d(pixels) if mode is None else pixels


CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's modes


def channel_count(image: Image.Image) -> int:
    """How many channels the picture in a file has to be read with: 1, 3 or 4."""
    if image.has_transparency_data:
        return 4
    return 1 if image.mode in ("1", "L") or image.mode.startswith("I") else 3


def picture_channels(path: Path) -> int:
    """1, 3 or 4: how many channels a picture has, from its header alone."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return channel_count(image)
    except BROKEN as error:
        raise ValueError(f"{path} can't be read as a picture ({reason(error)}). Copy it again.") from None


def picture_size(path: Path) -> tuple[int, int]:
    """(H, W) of a picture, from its header alone."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            upright = image.getexif().get(ExifTags.Base.Orientation) not in TURNED
            return (image.height, image.width) if upright else (image.width, image.height)
    except BROKEN as error:
        raise ValueError(f"{path} can't be read as a picture ({reason(error)}). Copy it again.") from None


def write_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8, or of other channels that the format has, as JPEG or PNG, by the name."""
    Image.fromarray(image).save(path, **_options(path.suffix))


def encoded(image: np.ndarray, suffix: str) -> bytes:
    """What `write_image` writes to a file whose name ends so, for who writes it as a whole."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, Image.registered_extensions()[suffix], **_options(suffix))
    return file.getvalue()


def _options(suffix):
    # 95 and full colour resolution: what a video lost already is not to be lost twice
    return {"quality": 95, "subsampling": 0} if suffix.lower() in (".jpg", ".jpeg") else {}


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write (H, W), uint8 or bool, as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path, optimize=True)


# Bytes of an entry from which it gets pages of its own: a process may have some ten thousand such.
LEAST_APART = 2**14


class Memory:
    """What was read last, by key, up to a number of bytes: training comes back to the same views.

    Entries are tuples of arrays of bytes. Several threads may ask at once.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._held = 0
        self._entries = OrderedDict()
        self._lock = Lock()

    def get(self, key, read):
        """The entry of that key; `read()` makes it where it is not remembered."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        entry = _apart(read()) if self.limit else read()
        with self._lock:
            if key not in self._entries:
                self._entries[key] = entry
                self._held += _bytes(entry)
            while self._held > self.limit and self._entries:
                self._held -= _bytes(self._entries.popitem(last=False)[1])
        return entry

    def __getstate__(self):
        return self.limit  # a worker process starts with an empty memory of its own

    def __setstate__(self, limit):
        self.__init__(limit)


def _apart(entry):
    """The same arrays in pages of their own.

    On the heap, small ones that stay would lie between large ones that go, and pin several times their size.
    """
    if _bytes(entry) < LEAST_APART:
        return entry
    pages, start, moved = mmap.mmap(-1, _bytes(entry), access=mmap.ACCESS_COPY), 0, []
    for array in entry:
        copy = np.frombuffer(pages, array.dtype, array.size, start).reshape(array.shape)
        copy[...] = array
        start += array.nbytes
        moved.append(copy)
    return tuple(moved)


def _bytes(entry):
    return sum(array.nbytes for array in entry)
