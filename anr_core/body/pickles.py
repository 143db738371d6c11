"""Pickles of strangers, as data: arrays and plain containers come out, and no code of the file is run.

    read_pickle    any pickle: Python 2's and 3's, joblib's; dictionaries, lists, numbers, arrays
    read_npy       a .npy, also one that holds a pickled dictionary
    read_npz       the arrays of a .npz by name
    names_in_npz   their names alone
    unpickle       the same from bytes

No file makes room for more than it can hold, whatever it says of its arrays' shapes.

A pickle may name any function to be called. Here it gets only those that numpy's, scipy's sparse and torch's
arrays are rebuilt with, or stand-ins for them. chumpy's
arrays, which files of SMPL's first years hold, are read without chumpy. What numpy, scipy and torch take on
trust is checked before they see it: a type of numbers that says it holds no objects, indices beyond a matrix,
keys so deep that comparing them overflows the stack, lists that hold each other a billion times.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path

import numpy as np

LARGEST_SPARSE = 10**8  # entries: a joint regressor of SMPL-X has 6e5
MOST_DEFLATED = 1032  # bytes that a byte of a zip can stand for
SMALL = 2**28  # bytes that any .npz may unpack to
USUAL = 100  # times its own size that a larger one may: what is known of pictures deflates to a tenth
MOST_ENTRIES = 10**6  # of lists and arrays, beside ten for each byte of the file
PLAIN_KINDS = "biufcSU"  # of numpy's types: numbers and text, whose memory holds no addresses


def read_pickle(file: Path):
    """What a pickle holds; raises ValueError if it is broken or asks for more than data."""
    with _opened(file) as stream:
        return _checked(file, lambda: _load(stream, file.stat().st_size))


def unpickle(data: bytes, name: str):
    """What pickled bytes hold; `name` says in messages where they come from."""
    return _checked(name, lambda: _load(io.BytesIO(data), len(data)))


def read_npy(file: Path):
    """The array of a .npy, or the object that it holds as its only entry."""
    with _opened(file) as stream:
        return _checked(file, lambda: _read_npy(stream, file.stat().st_size))


def read_npz(file: Path, mapped: tuple[str, ...] = (), only: Collection[str] | None = None
             ) -> dict[str, np.ndarray]:
    """The arrays of a .npz by name.

    mapped  those that stay on disk until they are looked at, unless they are compressed; changes of them stay
            in memory
    only    these alone, if they are there; None reads all
    """
    with _opened(file) as stream:
        return _checked(file, lambda: _read_npz(stream, file.stat().st_size, mapped, only))


def names_in_npz(file: Path) -> list[str]:
    """The names of a .npz's arrays, none of which is read."""
    with _opened(file) as stream:
        return _checked(file, lambda: [name.removesuffix(".npy")
                                       for name in zipfile.ZipFile(stream).namelist()])


def _opened(file):
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. Put it back.")
    return open(file, "rb")


def _checked(name, read):
    try:
        return read()
    except Exception as error:  # bytes that are no pickle make the reader stumble in every possible way
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise ValueError(f"{name} can't be read ({reason}). Get it again, from somebody you trust.") from None


def _load(stream, size):
    found, entries = _plain(PlainUnpickler(_Ended(stream, size), encoding="latin1").load(), {})
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


def _read_npy(stream, size):
    shape, _, dtype = _read_header(stream)
    if dtype.hasobject:
        found = _load(stream, size)
        return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
    promised, there = prod(shape) * dtype.itemsize, size - stream.tell()
    if promised > there:  # before numpy makes room for it
        raise ValueError(f"it promises {promised} bytes and holds {there}")
    stream.seek(0)
    return np.lib.format.read_array(stream)


def _read_header(stream):
    """Shape, whether it lies in Fortran's order, and dtype."""
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read_header:
        raise ValueError(f"version {version} of the format is not known")
    return read_header[version](stream)


def _read_npz(stream, size, mapped=(), only=None):
    found = {}
    with zipfile.ZipFile(stream) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > SMALL + USUAL * size:
            raise ValueError(f"it promises {unpacked} bytes in {size}")
        for member in archive.infolist():
            if member.file_size > MOST_DEFLATED * min(member.compress_size, size):
                raise ValueError(f"{member.filename} promises {member.file_size} bytes in {size}")
            name = member.filename.removesuffix(".npy")
            if only is not None and name not in only:
                continue
            if name in mapped and member.compress_type == zipfile.ZIP_STORED:
                found[name] = _map(stream, member)
                continue
            with archive.open(member) as array:
                found[name] = _read_npy(array, member.file_size)
    return found


def _map(stream, member):
    """An array that an archive holds as it is, in the file itself."""
    stream.seek(member.header_offset + 26)  # where the lengths of the name and of what follows it stand
    start = member.header_offset + 30 + sum(struct.unpack("<HH", stream.read(4)))
    stream.seek(start)
    shape, fortran, dtype = _read_header(stream)
    if dtype.hasobject or stream.tell() - start + prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename} is not whole")
    return np.memmap(stream, dtype, "c", stream.tell(), shape, "F" if fortran else "C")


def plain_array(value) -> np.ndarray:
    """An array of what may be chumpy's, a sparse matrix, or one already."""
    if isinstance(value, Chumpy):
        value = value.array()
    return value.toarray() if hasattr(value, "toarray") else np.asarray(value)


def _plain(value, done):
    """The same containers, with arrays for what stands in for them, and how many entries they have in all.

    done  what became of containers by their identity: what is held twice is made once
    """
    if id(value) in done:
        return done[id(value)][1:]
    entries, new = 1, value
    if isinstance(value, dict):
        parts = {key: _plain(entry, done) for key, entry in value.items()}
        new, entries = {key: part for key, (part, _) in parts.items()}, 1 + sum(n for _, n in parts.values())
    elif isinstance(value, list | tuple):
        parts = [_plain(entry, done) for entry in value]
        new, entries = type(value)(part for part, _ in parts), 1 + sum(count for _, count in parts)
    elif isinstance(value, np.ndarray):
        entries += value.size
        if value.dtype == object:
            for index, entry in np.ndenumerate(value):
                value[index], count = _plain(entry, done)
                entries += count
    elif isinstance(value, Chumpy) and value.holds_array:
        new = value.array()
    else:
        return value, 1
    done[id(value)] = value, new, entries  # the value too: an identity is free for others once it is gone
    return new, entries


# stand-ins for the classes that files name


def _state(found) -> dict:
    if not isinstance(found, dict):
        raise pickle.UnpicklingError(f"an object is filled with a {type(found).__name__}")
    return found


class Chumpy:
    """chumpy's arrays, and its computations, which hold none."""

    def __setstate__(self, state):
        self.state = _state(state)

    @property
    def holds_array(self) -> bool:
        """Whether it is an array, or a choice of one's entries; other expressions hold none."""
        return "x" in self.state or "idxs" in self.state

    def array(self) -> np.ndarray:
        """The array; raises ValueError where there is only a computation."""
        if not self.holds_array:
            raise ValueError(f"a chumpy object with {', '.join(self.state)} holds no array")
        if "x" in self.state:  # chumpy.ch.Ch, an array
            return self.state["x"]
        chosen = np.ravel(plain_array(self.state["a"]))[self.state["idxs"]]  # chumpy.reordering.Select
        return chosen.reshape(self.state["preferred_shape"])


class _Sparse:
    """scipy's sparse matrices, whose inner modules have moved since such files were written."""

    kind: str

    def __setstate__(self, state):
        self.state = _state(state)

    def toarray(self) -> np.ndarray:
        import scipy.sparse

        shape = self.state["_shape"]
        if prod(shape) > LARGEST_SPARSE:
            raise ValueError(f"a sparse matrix of {shape} is larger than any of a body")
        names = ("row", "col") if self.kind == "coo_matrix" else ("indices", "indptr")
        if "coords" in self.state:  # newer coo matrices
            places = self.state["coords"]
        else:
            places = tuple(self.state[name] for name in names)
        values = self.state["data"]
        given = (values, tuple(places)) if self.kind == "coo_matrix" else (values, *places)
        matrix = getattr(scipy.sparse, self.kind)(given, shape=tuple(shape))
        if self.kind != "coo_matrix":  # whose constructor looks at all indices
            matrix.check_format(full_check=True)  # what draws it out writes wherever an index says
        return matrix.toarray()


class _JoblibArray:
    """What joblib puts in place of an array, whose bytes follow in the file."""

    def __setstate__(self, state):
        self.state = _state(state)

    def read(self, stream) -> np.ndarray:
        if self.state.get("numpy_array_alignment_bytes"):  # a byte that says how many of padding follow
            stream.read(stream.read(1)[0])
        shape, dtype = _shape_of(self.state["shape"]), _type_of(self.state["dtype"])
        data = stream.read(prod(shape) * dtype.itemsize)
        return _from_buffer(data, self.state["dtype"], shape, self.state["order"])


def _empty_array(_, shape, __):
    """numpy's beginning of every array, which is then filled from the file."""
    if shape != (0,):
        raise pickle.UnpicklingError(f"an array begins with the shape {shape}")
    return np.empty(0, np.int8)


def _from_buffer(data, dtype, shape, order, *_):
    return np.frombuffer(data, _type_of(dtype)).reshape(_shape_of(shape), order=order).copy()


class _Dtype:
    """A type of numbers or text; what follows in the file may only say in which order its bytes are.

    numpy's own would take its word for whether it holds objects, and read addresses out of the file.
    """

    def __init__(self, name, *_):
        self.dtype = np.dtype(name if isinstance(name, str) else _refused(name))
        if self.dtype.kind not in PLAIN_KINDS + "O":
            _refused(name)

    def __setstate__(self, state):
        _, order, within, names, members, size, *_ = state
        if (within, names, members) != (None, None, None) or order not in ("<", ">", "=", "|"):
            _refused(state[:5])
        if self.dtype.kind in "SU" and size != self.dtype.itemsize:  # Python 2 tells the length here
            if not 0 <= size < 2**31:
                _refused(size)
            self.dtype = np.dtype((self.dtype.type, size // (4 if self.dtype.kind == "U" else 1)))
        if order in "<>":
            self.dtype = self.dtype.newbyteorder(order)


def _refused(what):
    raise pickle.UnpicklingError(f"an array is of the type {what!r}")


def _type_of(found) -> np.dtype:
    """Of what a file gives for one: only what it made of a name."""
    return found.dtype if isinstance(found, _Dtype) else _refused(found)


def _shape_of(found) -> tuple[int, ...]:
    if not (isinstance(found, tuple) and all(type(size) is int and size >= 0 for size in found)):
        raise pickle.UnpicklingError(f"an array is of the shape {found!r}")
    return found


def _tensor(storage, offset, size, stride, *_):
    import torch

    numbers = torch.empty(0, dtype=storage.dtype).set_(storage)
    if prod(_shape_of(size)) > len(numbers):
        raise pickle.UnpicklingError(f"a tensor of {tuple(size)} has only {len(numbers)} numbers")
    return numbers.as_strided(size, stride, offset).clone()


def _storage(data):
    import torch

    return torch.load(io.BytesIO(data), weights_only=True)


def _rebuilt(kind, base, state):
    """copyreg's beginning of an object of Python 2."""
    if not (isinstance(kind, type) and issubclass(kind, _FILLED) and base is object and state is None):
        raise pickle.UnpicklingError(f"it wants to make a {kind}")
    return kind.__new__(kind)


def _checked_key(key):
    """A key that can be looked up in little depth: hashing a tuple of tuples goes down all of them."""
    flat = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(part, str | bytes | int | float | None) for part in flat):
        raise pickle.UnpicklingError(f"a key is a {type(key).__name__}, and no number or text")
    return key


def _set(entries=()):
    return {_checked_key(entry) for entry in entries}


def _ordered(pairs=()):
    """Python 2 writes a dictionary that keeps its order as its pairs."""
    return {_checked_key(key): value for key, value in pairs}


_NAMED = {
    ("collections", "OrderedDict"): _ordered,
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode(encoding),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor, ("torch.storage", "_load_from_bytes"): _storage,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _JoblibArray,
    **{(module, "_reconstructor"): _rebuilt for module in ("copy_reg", "copyreg")},
    **{(module, name): kind for module in ("__builtin__", "builtins")
       for name, kind in (("object", object), ("set", _set), ("frozenset", _set))},
    ("__builtin__", "bytes"): lambda: b"",  # how Python 2's protocols write the empty ones
}
_OF_NUMPY = {"_reconstruct": _empty_array, "_frombuffer": _from_buffer, "dtype": _Dtype,
             "ndarray": "ndarray",  # only ever handed on to _empty_array
             "scalar": lambda dtype, data: np.frombuffer(data, _type_of(dtype))[0]}
_SPARSE = {kind: type(kind, (_Sparse,), {"kind": kind})
           for kind in ("csc_matrix", "csr_matrix", "coo_matrix")}
_FILLED = (Chumpy, _Sparse, _JoblibArray, _Dtype, np.ndarray)


class PlainUnpickler(pickle._Unpickler):
    """Finds what holds data and refuses all else; in Python, since joblib's arrays lie between opcodes."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream, **options):
        super().__init__(stream, **options)
        self._source = stream

    def find_class(self, module, name):
        """What stands for a name in the file; raises UnpicklingError for all but arrays and containers."""
        package = module.split(".")[0]
        if package == "chumpy":
            return Chumpy
        if package == "numpy" and name in _OF_NUMPY:
            return _OF_NUMPY[name]
        if module.startswith("scipy.sparse") and name in _SPARSE:
            return _SPARSE[name]
        if (module, name) not in _NAMED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which is no array")
        return _NAMED[module, name]

    def load_build(self):
        """Fill what was just made; refuses to alter anything else, and arrays larger than their bytes."""
        filled, state = self.stack[-2:]
        if not isinstance(filled, _FILLED):
            raise pickle.UnpicklingError(f"it wants to alter a {type(filled).__name__}")
        if isinstance(filled, np.ndarray):
            version, shape, dtype, fortran, content = state
            shape, dtype = _shape_of(shape), _type_of(dtype)
            if prod(shape) * (1 if dtype.hasobject else dtype.itemsize) > len(content):
                raise pickle.UnpicklingError(f"an array of {shape} has only {len(content)} entries or bytes")
            self.stack[-1] = version, shape, dtype, fortran, content
        super().load_build()
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack[-1] = self.stack[-1].read(self._source)

    def load_bytearray8(self):
        count, = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(min(count, self._source.size + 1))))

    def load_setitem(self):
        _checked_key(self.stack[-2])
        super().load_setitem()

    def load_setitems(self):
        for key in self.stack[::2]:  # what follows the mark; the dictionary lies below
            _checked_key(key)
        super().load_setitems()

    def load_dict(self):
        for key in self.stack[::2]:
            _checked_key(key)
        super().load_dict()

    def load_additems(self):
        _set(self.stack)
        super().load_additems()

    def load_frozenset(self):
        _set(self.stack)
        super().load_frozenset()

    dispatch |= {opcode[0]: load for opcode, load in (
        (pickle.BUILD, load_build), (pickle.BYTEARRAY8, load_bytearray8), (pickle.SETITEM, load_setitem),
        (pickle.SETITEMS, load_setitems), (pickle.DICT, load_dict), (pickle.ADDITEMS, load_additems),
        (pickle.FROZENSET, load_frozenset))}
