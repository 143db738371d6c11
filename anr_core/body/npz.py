"""numpy's files of strangers: .npy and .npz.

    read_npy       a .npy, also one that holds a pickled dictionary
    read_npz       the arrays of a .npz by name
    names_in_npz   their names alone

No file makes room for more than it can hold, whatever it says of its arrays' shapes; objects in one are read
as pickles.py tells.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path

import numpy as np

from anr_core.body.pickles import checked, load, opened
from anr_core.body.stand_ins import shape_of, sound
from anr_core.telling import brief

MOST_DEFLATED = 1032  # bytes that a byte of a zip can stand for
SMALL = 2**28  # bytes that any .npz may unpack to
USUAL = 100  # times its own size that a larger one may: what is known of pictures deflates to a tenth


def read_npy(file: Path):
    """The array of a .npy, or the object that it holds as its only entry."""
    with opened(file) as stream:
        return checked(file, lambda: _read_npy(stream, file.stat().st_size))


def read_npz(file: Path, mapped: tuple[str, ...] = (), only: Collection[str] | None = None,
             objects: bool = False) -> dict[str, np.ndarray]:
    """The arrays of a .npz by name.

    mapped   those that stay on disk until they are looked at, unless they are compressed; changes of them
             stay in memory
    only     these alone, if they are there; None reads all
    objects  what is pickled is read too, as whatever it is; else it is refused
    """
    with opened(file) as stream:
        return checked(file, lambda: _read_npz(stream, file.stat().st_size, mapped, only, objects))


def names_in_npz(file: Path) -> list[str]:
    """The names of a .npz's arrays, none of which is read."""
    with opened(file) as stream:
        return checked(file, lambda: [name.removesuffix(".npy")
                                       for name in zipfile.ZipFile(stream).namelist()])


def _read_npy(stream, size, objects=True):
    shape, _, dtype = _read_header(stream)
    if dtype.hasobject and not objects:
        raise ValueError("it holds objects, expected numbers and text")
    if dtype.hasobject:
        found = load(stream, size)
        return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
    promised, there = prod(shape) * dtype.itemsize, size - stream.tell()
    if promised > there:  # before numpy makes room for it
        raise ValueError(f"it promises {promised} bytes and holds {there}")
    stream.seek(0)
    return sound(np.lib.format.read_array(stream))


def _read_header(stream):
    """Shape, whether it lies in Fortran's order, and dtype."""
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read_header:
        raise ValueError(f"version {version} of the format is not known")
    shape, fortran, dtype = read_header[version](stream)
    return shape_of(shape), fortran, dtype


def _read_npz(stream, size, mapped, only, objects):
    found = {}
    with zipfile.ZipFile(stream) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > SMALL + USUAL * size:
            raise ValueError(f"it promises {unpacked} bytes in {size}")
        for member in archive.infolist():
            if member.file_size > MOST_DEFLATED * min(member.compress_size, size):
                raise ValueError(f"{brief(member.filename)} promises {member.file_size} bytes in {size}")
            name = member.filename.removesuffix(".npy")
            if only is not None and name not in only:
                continue
            if name in mapped and member.compress_type == zipfile.ZIP_STORED:
                found[name] = _map(stream, member)
                continue
            with archive.open(member) as array:
                found[name] = _read_npy(array, member.file_size, objects)
    return found


def _map(stream, member):
    """An array that an archive holds as it is, in the file itself."""
    stream.seek(member.header_offset + 26)  # where the lengths of the name and of what follows it stand
    start = member.header_offset + 30 + sum(struct.unpack("<HH", stream.read(4)))
    stream.seek(start)
    shape, fortran, dtype = _read_header(stream)
    if dtype.hasobject or stream.tell() - start + prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{brief(member.filename)} is not whole")
    return np.memmap(stream, dtype, "c", stream.tell(), shape, "F" if fortran else "C")
