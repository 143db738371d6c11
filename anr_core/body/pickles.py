"""Pickles of strangers, as data: arrays and plain containers come out, and no code of the file is run.

    read_pickle    any pickle: Python 2's and 3's, joblib's; dictionaries, lists, numbers, arrays
    unpickle       the same from bytes

A pickle may name any function to be called. Here it gets only what stand_ins.py has for those that arrays are
rebuilt with, no more room than its bytes can fill, also where it makes many arrays of the same bytes, and no
lists that hold each other a billion times.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
from math import prod
from pathlib import Path

import numpy as np

from anr_core.body.stand_ins import (
    FILLED,
    Chumpy,
    JoblibArray,
    checked_key,
    shape_of,
    sound,
    stand_in,
    type_of,
)
from anr_core.telling import brief, reason

MOST_ENTRIES = 10**6  # of lists and arrays, beside ten for each byte of the file
MOST_MADE = 2**26  # bytes of what is made of parts that came before, beside twenty for each byte of the file


def read_pickle(file: Path):
    """What a pickle holds; raises ValueError if it is broken or asks for more than data."""
    with opened(file) as stream:
        return checked(file, lambda: load(stream, file.stat().st_size))


def unpickle(data: bytes, name: str):
    """What pickled bytes hold; `name` says in messages where they come from."""
    return checked(name, lambda: load(io.BytesIO(data), len(data)))


def opened(file: Path):
    """A file to read bytes of; raises FileNotFoundError where it is missing."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. Put it back.")
    return open(file, "rb")


def checked(name: str | Path, read):
    """What `read()` returns; raises ValueError, with the name, whatever it stumbles over."""
    try:
        return read()
    except Exception as error:  # bytes that are no pickle make the reader stumble in every possible way
        raise ValueError(f"{name} can't be read ({reason(error)}). Get it again, from somebody you trust."
                         ) from None


def load(stream, size: int):
    """What a pickle in a stream holds, of a file of so many bytes."""
    unpickler = PlainUnpickler(_Ended(stream, size), encoding="latin1")
    found, entries = _plain(unpickler.load(), {}, unpickler.room)
    if entries > MOST_ENTRIES + 10 * size:
        raise ValueError(f"its lists hold each other, {entries} entries in {size} bytes")
    return found


class _Ended:
    """A stream that is asked for no more than it has: io and pickle make room for what they ask for."""

    def __init__(self, stream, size: int):
        self._stream, self.size = stream, size

    def read(self, count: int = -1) -> bytes:
        return self._stream.read(count if count < self.size else self.size)

    def readline(self) -> bytes:
        return self._stream.readline()

    def readinto(self, buffer) -> int:
        return self._stream.readinto(buffer)


class _Room:
    """How many bytes may still be made, of parts of a file that may be taken again and again."""

    def __init__(self, size: int):
        self.left = MOST_MADE + 20 * size

    def take(self, made):
        """Count what was made; raises UnpicklingError where it is too much."""
        self.left -= getattr(made, "nbytes", 0) or sys.getsizeof(made)
        if self.left < 0:
            raise pickle.UnpicklingError("it makes much of few bytes")


def _plain(value, done, room):
    """The same containers, with arrays for what stands in for them, and how many entries they have in all.

    done  what became of containers by their identity: what is held twice is made once
    room  for what is made anew
    """
    if id(value) in done:
        return done[id(value)][1:]
    entries, new = 1, value
    if isinstance(value, dict):
        parts = {key: _plain(entry, done, room) for key, entry in value.items()}
        new, entries = {key: part for key, (part, _) in parts.items()}, 1 + sum(n for _, n in parts.values())
    elif isinstance(value, list | tuple):
        parts = [_plain(entry, done, room) for entry in value]
        new, entries = type(value)(part for part, _ in parts), 1 + sum(count for _, count in parts)
    elif isinstance(value, np.ndarray):
        entries += sound(value).size
        if value.dtype == object:
            for index, entry in np.ndenumerate(value):
                value[index], count = _plain(entry, done, room)
                entries += count
    elif isinstance(value, Chumpy) and value.holds_array:
        room.take(new := value.array())
    else:
        return value, 1
    done[id(value)] = value, new, entries  # the value too: an identity is free for others once it is gone
    return new, entries


def _counted(load):
    """The same step of an unpickler, and what it has made counts."""
    def counted(self):
        load(self)
        self.room.take(self.stack[-1])
    return counted


class PlainUnpickler(pickle._Unpickler):
    """Finds what holds data and refuses all else; in Python, since joblib's arrays lie between opcodes."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream, **options):
        super().__init__(stream, **options)
        self._source, self.room = stream, _Room(stream.size)

    def find_class(self, module, name):
        """What stands for a name in the file; raises UnpicklingError for all but arrays and containers."""
        return stand_in(module, name)

    def load_build(self):
        """Fill what was just made; refuses to alter anything else, and arrays larger than their bytes."""
        filled, state = self.stack[-2:]
        if not isinstance(filled, FILLED):
            raise pickle.UnpicklingError(f"it wants to alter a {type(filled).__name__}")
        if isinstance(filled, np.ndarray):
            version, shape, dtype, fortran, content = state
            shape, dtype = shape_of(shape), type_of(dtype)
            if prod(shape) * (1 if dtype.hasobject else dtype.itemsize) > len(content):
                raise pickle.UnpicklingError(f"an array of {brief(shape)} has only {len(content)} entries or "
                                             "bytes")
            self.stack[-1] = version, shape, dtype, fortran, content
        super().load_build()
        if isinstance(self.stack[-1], JoblibArray):
            self.stack[-1] = self.stack[-1].read(self._source)

    def load_bytearray8(self):
        """Bytes, no more than the file has, however many it promises."""
        count, = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(min(count, self._source.size + 1))))

    def load_setitem(self):
        """A dictionary's entry, whose key is a number or text, or a tuple of them."""
        checked_key(self.stack[-2])
        super().load_setitem()

    def load_setitems(self):
        """Entries of a dictionary, likewise."""
        for key in self.stack[::2]:  # what follows the mark; the dictionary lies below
            checked_key(key)
        super().load_setitems()

    def load_dict(self):
        """A dictionary with its entries, likewise."""
        for key in self.stack[::2]:
            checked_key(key)
        super().load_dict()

    def load_additems(self):
        """Entries of a set, which are numbers and text likewise."""
        for entry in self.stack:
            checked_key(entry)
        super().load_additems()

    def load_frozenset(self):
        """A set that stays as it is, likewise."""
        for entry in self.stack:
            checked_key(entry)
        super().load_frozenset()

    dispatch |= {opcode[0]: _counted(pickle._Unpickler.dispatch[opcode[0]]) for opcode in (
        pickle.REDUCE, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.INST, pickle.OBJ)}
    dispatch |= {opcode[0]: load for opcode, load in (
        (pickle.BUILD, _counted(load_build)), (pickle.BYTEARRAY8, load_bytearray8),
        (pickle.SETITEM, load_setitem), (pickle.SETITEMS, load_setitems), (pickle.DICT, load_dict),
        (pickle.ADDITEMS, load_additems), (pickle.FROZENSET, load_frozenset))}
