"""Archives of strangers: a zip's or tar's files, which can't end up anywhere but in their folder.

What they unpack to is bounded by their own size: pictures and videos hardly get smaller in an archive, and
what unpacks to hundreds of times its size was made to fill a disk.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from anr_core.telling import quoted, reason

DRIVE = re.compile("[A-Za-z]:")  # how a part begins that leads elsewhere on Windows; 12:00.jpg is a picture
CHUNK = 2**20  # bytes
SMALL = 2**28  # bytes that any archive may unpack to
USUAL = 100  # times its own size that a larger one may
MOST_FILES = 2_000_000  # the largest data sets of people have hundreds of thousands
LARGEST_DICTIONARY = 2**28  # bytes that xz may take; -9 takes 65 MB
LONGEST_HEADER = 2**20  # bytes of a tar's header, which is read into memory as a whole
ZIP_BEGINS = b"PK\3\4"
ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")

BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError,
          UnicodeError, LookupError, OverflowError, struct.error,  # of what damage leads astray
          RuntimeError, NotImplementedError,  # an encrypted zip, and an unknown compression
          MemoryError)  # what xz asks for is told by the file


class BrokenArchive(ValueError):
    """An archive that can't be unpacked, now or ever: another copy of it may."""


def is_archive(file: Path) -> bool:
    """Whether a file is a zip or a tar, or is named so though it is broken."""
    named = file.name.lower().endswith(ENDINGS)
    return file.is_file() and (named or _is_zip(file) or _is_tar(file))


def _is_zip(file):
    with open(file, "rb") as stream:
        return stream.read(len(ZIP_BEGINS)) == ZIP_BEGINS or zipfile.is_zipfile(file)


def _is_tar(file):
    try:
        with _plain(file) as stream, tarfile.open(fileobj=_Bounded(stream, _most(file), file), mode="r:"):
            return True
    except (BrokenArchive, *BROKEN):
        return False


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a folder that is made; returns it, or the one folder that everything lies in.

    Raises BrokenArchive for an archive that is broken or encrypted, and for one with a path that leads out of
    the folder, a link or a device: what it holds then stays packed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    members = _zip_members if _is_zip(archive) or archive.suffix.lower() == ".zip" else _tar_members
    most, unpacked = _most(archive), 0
    try:
        for count, (name, size, stream) in enumerate(members(archive, most)):
            unpacked += size
            if unpacked > most or count == MOST_FILES:
                raise BrokenArchive(_swollen(archive, unpacked, count))
            make_room(size, fresh, archive)
            target = fresh.joinpath(*_inside(archive, name))
            target.parent.mkdir(parents=True, exist_ok=True)
            with stream, open(target, "xb") as out:
                shutil.copyfileobj(stream, out, CHUNK)
        os.rename(fresh, folder)
    except FileExistsError:
        raise BrokenArchive(f"{archive} holds {quoted(name)} twice. Pack it again.") from None
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            raise  # of this disk, not of the archive
        raise BrokenArchive(f"{archive} can't be unpacked ({reason(error)}). Get it again.") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder


def _most(archive):
    """Bytes that an archive may unpack to."""
    return SMALL + USUAL * archive.stat().st_size


def _swollen(archive, size, count=0):
    what = f"{size / 1e6:,.0f} MB" if count < MOST_FILES else f"more than {MOST_FILES:,} files"
    return (f"{archive} has {archive.stat().st_size / 1e6:,.3f} MB and would unpack to {what}, which no "
            "recording does, and is not unpacked. Get it from somebody you trust, or unpack it by hand.")


def _zip_members(archive, most) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, size and stream of each file."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BrokenArchive(_unwanted(archive, member.filename))
            if not member.is_dir() and not _clutter(member.filename):
                yield member.filename, member.file_size, opened.open(member)


def _tar_members(archive, most) -> Iterator[tuple[str, int, IO[bytes]]]:
    with _plain(archive) as stream, \
            tarfile.open(fileobj=_Bounded(stream, most, archive), mode="r:") as opened:
        for member in opened:
            if member.size < 0:  # which would lead back to where it was read from
                raise tarfile.ReadError("a file of negative size")
            if member.size > most:  # before it is skipped or made room for
                raise BrokenArchive(_swollen(archive, member.size))
            if not member.isfile() and not member.isdir():
                raise BrokenArchive(_unwanted(archive, member.name))
            if member.isfile() and not _clutter(member.name):
                yield member.name, member.size, opened.extractfile(member)
        opened.fileobj.seek(opened.offset)
        if opened.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile itself doesn't mind
            raise tarfile.ReadError("it ends too early")
        while opened.fileobj.read(CHUNK):  # up to the checksum that compressed ones end with
            pass


def _plain(archive):
    """The bytes of a tar, decompressed where they are compressed."""
    with open(archive, "rb") as stream:
        start = stream.read(6)
        if start.startswith(b"\xfd7zXZ"):  # which may ask for 4 GiB to be unpacked in
            lzma.LZMADecompressor(memlimit=LARGEST_DICTIONARY).decompress(start + stream.read(CHUNK), 1)
    for beginning, opened in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open)):
        if start.startswith(beginning):
            return opened(archive, "rb")
    return open(archive, "rb")


class _Bounded:
    """A tar's bytes, of which no more are read than an archive may hold, and no header that fills the memory.

    tarfile reads headers as a whole, however long they say that they are, and files as they are asked for.
    """

    def __init__(self, stream, most: int, archive: Path):
        self._stream, self._left, self._archive = stream, most + CHUNK, archive

    def read(self, size: int = -1) -> bytes:
        if size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        data = self._stream.read(size if size >= 0 else LONGEST_HEADER)
        self._left -= len(data)
        if self._left < 0:
            raise BrokenArchive(_swollen(self._archive, self._stream.tell()))
        return data

    def seek(self, place: int) -> int:
        return self._stream.seek(place)

    def tell(self) -> int:
        return self._stream.tell()


def _unwanted(archive, name):
    return (f"{archive} holds {quoted(name)}, a link or a device, and is not unpacked. Pack plain files and "
            "folders.")


def _clutter(name):
    """What macOS puts into archives beside the files."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name in (".DS_Store", "Thumbs.db")


def _inside(archive, name) -> list[str]:
    """The parts of a member's path, which must stay in the folder."""
    parts = re.split(r"[/\\]", name)
    if parts[0] == "" or ".." in parts or "\0" in name or any(map(DRIVE.match, parts)):
        raise BrokenArchive(f"{archive} holds {quoted(name)}, which leads out of its folder, here or on "
                            "another system, and is not unpacked. Get it from somebody you trust.")
    return [part for part in parts if part not in ("", ".")]


def make_room(size, folder, what):
    """Raise ValueError where a folder's disk has less than size bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ValueError(f"{what} needs {size / 1e9:.1f} GB, but {folder} has {free / 1e9:.1f} GB free. "
                         "Make room, or take another disk.")
