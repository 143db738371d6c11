"""Arrays in strangers' HDF5 files: numbers only, out of the file itself, with errors that name it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np

from anr_core.capture.readers.arrays import numbers
from anr_core.telling import brief, listed, reason

MOST_NUMBERS = 10**7  # an hour of poses; a chunked array may claim any size without holding it
LARGEST_CHUNK = 2**28  # bytes that are unpacked at once
# what h5py raises for a damaged file, which depends on the place of the damage
DAMAGED = (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, MemoryError)


@contextmanager
def open_arrays(file: Path) -> Iterator[Arrays]:
    """The arrays of a file, while it is open."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("Files in HDF5, such as People-Snapshot's, need h5py: pip install h5py") from error
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. Put it back.")
    try:
        stored = h5py.File(file, "r")
    except DAMAGED as error:
        raise ValueError(f"{file} can't be read as HDF5 ({reason(error)}). Copy it again.") from None
    try:
        yield Arrays(file, stored)
    finally:
        stored.close()


class Arrays:
    """The arrays of an open file, by name."""

    def __init__(self, file: Path, stored):
        self.file, self._stored = file, stored

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without reading it."""
        return self._read(name, lambda found: tuple(found.shape))

    def row(self, name: str, index: int) -> np.ndarray:
        """One row of an array; the others are not read."""
        return self._read(name, lambda found: found[index])

    def whole(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """A small array, checked; None in the shape stands for any size."""
        if np.prod(self.shape(name), dtype=float) > MOST_NUMBERS:
            raise ValueError(f"{self.file}: {name} has the shape {brief(self.shape(name))}, more than any "
                             "video. Copy it again.")
        return numbers(self._read(name, lambda found: found[()]), shape, f"{self.file}: {name}")

    def _read(self, name: str, read: Callable):
        try:
            found = self._dataset(name)
            if found is not None:
                return read(found)
            there = listed(self._stored)
        except DAMAGED as error:
            raise ValueError(f"{self.file}: {name} can't be read ({reason(error)}). Copy it again.") from None
        raise ValueError(f"{self.file} has no array {name}; it has {there}. Copy it again.")

    def _dataset(self, name):
        """The array of numbers of that name; None where there is none, or it lies in another file."""
        import h5py

        if not isinstance(self._stored.get(name, getlink=True), h5py.HardLink):
            return None
        found = self._stored[name]
        own = isinstance(found, h5py.Dataset) and found.dtype.kind in "biuf"
        if own and found.chunks and prod(found.chunks) * found.dtype.itemsize > LARGEST_CHUNK:
            raise ValueError(f"it is packed in pieces of {brief(found.chunks)}")
        return found if own and not found.external and not found.is_virtual else None
