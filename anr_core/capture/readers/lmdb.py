"""LMDB's files, read without its library, which trusts them: a damaged one would end the process.

A file is pages of one size. The first two hold a magic number, the root of a tree of pages, and the number of
the transaction that wrote it; the later one counts. Pages in the tree begin with their kind and the places of
their nodes. A branch's node leads to a page; a leaf's has a key and its value, or the page that a long value
begins on. Source: LMDB 0.9's mdb.c, whose files have not changed since 2011.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anr_core.telling import reason

MAGIC, VERSION = 0xBEEFC0DE, 1
HEADER = 16  # bytes that a page begins with
BRANCH, LEAF, ELSEWHERE = 1, 2, 1  # kinds of pages; the mark of a node whose value lies on pages of its own
EMPTY = 2**64 - 1  # a root that leads nowhere


@contextmanager
def open_entries(path: Path) -> Iterator[Entries]:
    """The entries of a database, a file or the folder around one, while it is open."""
    file = path / "data.mdb" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. Put it back.")
    with open(file, "rb") as stream:
        try:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            places = _places(data)
        except (struct.error, ValueError) as error:
            raise ValueError(f"{file} is no whole LMDB database ({reason(error)}). Copy it again.") from None
        with data:
            yield Entries(data, places)


class Entries:
    """Values by key, each read when it is asked for."""

    def __init__(self, data, places: dict[bytes, slice]):
        self._data, self._places = data, places

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return self._data[self._places[key]] if key in self._places else None


def _places(data) -> dict[bytes, slice]:
    """Where each value lies; raises ValueError or struct.error where a page leads out of the file."""
    size, = struct.unpack_from("<I", data, HEADER + 24)
    root = max(_meta(data, start) for start in (0, size))[1]
    found, pending, seen, held = {}, [root] if root != EMPTY else [], set(), 0
    while pending:
        page = pending.pop()
        if page in seen or (page + 1) * size > len(data):
            raise ValueError(f"page {page} is there twice, or not at all")
        seen.add(page)
        kind, end = struct.unpack_from("<HH", data, page * size + 10)
        if kind not in (BRANCH, LEAF) or not HEADER <= end <= size:
            raise ValueError(f"page {page} is of an unknown kind")
        for place in struct.unpack_from(f"<{(end - HEADER) // 2}H", data, page * size + HEADER):
            low, high, mark, length = struct.unpack_from("<4H", data, page * size + place)
            if kind == BRANCH:
                pending.append(low | high << 16 | mark << 32)
                continue
            held += 8 + length
            if held > len(data):
                raise ValueError("its keys lie in one another")
            key, begin = page * size + place + 8, page * size + place + 8 + length
            if mark == ELSEWHERE:
                begin = struct.unpack_from("<Q", data, begin)[0] * size + HEADER
            elif mark:
                raise ValueError("it holds databases in its database")
            end_of_value = begin + (low | high << 16)
            if end_of_value > len(data):
                raise ValueError(f"a value of page {page} ends behind the file")
            found[data[key:key + length]] = slice(begin, end_of_value)
    return found


def _meta(data, start) -> tuple[int, int]:
    """The transaction that wrote a first page, and the root of the tree as it then was."""
    magic, version = struct.unpack_from("<II", data, start + HEADER)
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError("it begins otherwise")
    root, _, transaction = struct.unpack_from("<QQQ", data, start + HEADER + 112)
    return transaction, root
