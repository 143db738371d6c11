"""Pickles of strangers, as data: arrays and plain containers come out, and no code of the file is run.

    read_pickle    any pickle: Python 2's and 3's, joblib's; dictionaries, lists, numbers, arrays
    read_npy       a .npy, also one that holds a pickled dictionary
    read_npz       the arrays of a .npz by name
    unpickle       the same from bytes

No file makes room for more than it can hold, whatever it says of its arrays' shapes.

A pickle may name any function to be called. Here it gets only those that numpy's, scipy's sparse and torch's
arrays are rebuilt with, or stand-ins for them. chumpy's
arrays, which files of SMPL's first years hold, are read without chumpy.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from math import prod
from pathlib import Path

import numpy as np

LARGEST_SPARSE = 10**8  # entries: a joint regressor of SMPL-X has 6e5
MOST_DEFLATED = 1032  # bytes that a byte of a zip can stand for


def read_pickle(file: Path):
    """What a pickle holds; raises ValueError if it is broken or asks for more than data."""
    with _opened(file) as stream:
        return _checked(file, lambda: _load(stream))


def unpickle(data: bytes, name: str):
    """What pickled bytes hold; `name` says in messages where they come from."""
    return _checked(name, lambda: _load(io.BytesIO(data)))


def read_npy(file: Path):
    """The array of a .npy, or the object that it holds as its only entry."""
    with _opened(file) as stream:
        return _checked(file, lambda: _read_npy(stream, file.stat().st_size))


def read_npz(file: Path, mapped: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of a .npz by name.

    mapped  those that stay on disk until they are looked at, unless they are compressed; changes of them stay
            in memory
    """
    with _opened(file) as stream:
        return _checked(file, lambda: _read_npz(stream, file.stat().st_size, mapped))


def _opened(file):
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. Put it back.")
    return open(file, "rb")


def _checked(name, read):
    try:
        return read()
    except Exception as error:  # bytes that are no pickle make the reader stumble in every possible way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{name} can't be read ({reason}). Get it again, from somebody you trust.") from None


def _load(stream):
    return _plain(PlainUnpickler(stream, encoding="latin1").load())


def _read_npy(stream, size):
    shape, _, dtype = _read_header(stream)
    if dtype.hasobject:
        found = _load(stream)
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


def _read_npz(stream, size, mapped=()):
    found = {}
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if member.file_size > MOST_DEFLATED * min(member.compress_size, size):
                raise ValueError(f"{member.filename} promises {member.file_size} bytes in {size}")
            name = member.filename.removesuffix(".npy")
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


def _plain(value):
    """The same containers, with arrays for what stands in for them."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(entry) for entry in value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        for index, entry in np.ndenumerate(value):
            value[index] = _plain(entry)
    if isinstance(value, Chumpy) and value.holds_array:
        return value.array()
    return value


# stand-ins for the classes that files name

class Chumpy:
    """chumpy's arrays, and its computations, which hold none."""

    def __setstate__(self, state):
        self.state = state

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
        self.state = state

    def toarray(self) -> np.ndarray:
        import scipy.sparse

        if prod(self.state["_shape"]) > LARGEST_SPARSE:
            raise ValueError(f"a sparse matrix of {self.state['_shape']} is larger than any of a body")
        matrix = getattr(scipy.sparse, self.kind).__new__(getattr(scipy.sparse, self.kind))
        matrix.__dict__.update(self.state)
        return matrix.toarray()


class _JoblibArray:
    """What joblib puts in place of an array, whose bytes follow in the file."""

    def __setstate__(self, state):
        self.state = state

    def read(self, stream) -> np.ndarray:
        if self.state.get("numpy_array_alignment_bytes"):  # a byte that says how many of padding follow
            stream.read(stream.read(1)[0])
        shape, dtype = tuple(self.state["shape"]), np.dtype(self.state["dtype"])
        data = stream.read(prod(shape) * dtype.itemsize)
        return np.frombuffer(data, dtype).reshape(shape, order=self.state["order"]).copy()


def _empty_array(_, shape, __):
    """numpy's beginning of every array, which is then filled from the file."""
    if shape != (0,):
        raise pickle.UnpicklingError(f"an array begins with the shape {shape}")
    return np.empty(0, np.int8)


def _from_buffer(data, dtype, shape, order, *_):
    return np.frombuffer(data, dtype).reshape(shape, order=order).copy()


def _dtype(name, *_):
    return np.dtype(name, copy=True)  # a copy: what follows in the file may alter it


def _tensor(storage, offset, size, stride, *_):
    import torch

    numbers = torch.empty(0, dtype=storage.dtype).set_(storage)
    if prod(size) > len(numbers):
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


_NAMED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode(encoding),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor, ("torch.storage", "_load_from_bytes"): _storage,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _JoblibArray,
    **{(module, "_reconstructor"): _rebuilt for module in ("copy_reg", "copyreg")},
    **{(module, kind.__name__): kind for module in ("__builtin__", "builtins")
       for kind in (object, set, frozenset)},
    ("__builtin__", "bytes"): lambda: b"",  # how Python 2's protocols write the empty ones
}
_OF_NUMPY = {"_reconstruct": _empty_array, "_frombuffer": _from_buffer, "dtype": _dtype,
             "ndarray": "ndarray",  # only ever handed on to _empty_array
             "scalar": lambda dtype, data: np.frombuffer(data, dtype)[0]}
_SPARSE = {kind: type(kind, (_Sparse,), {"kind": kind})
           for kind in ("csc_matrix", "csr_matrix", "coo_matrix")}
_FILLED = (Chumpy, _Sparse, _JoblibArray, np.ndarray, np.dtype)


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
        if not isinstance(self.stack[-2], _FILLED):
            raise pickle.UnpicklingError(f"it wants to alter a {type(self.stack[-2]).__name__}")
        if isinstance(self.stack[-2], np.ndarray):
            _, shape, dtype, _, content = self.stack[-1]
            if prod(shape) * (1 if dtype.hasobject else dtype.itemsize) > len(content):
                raise pickle.UnpicklingError(f"an array of {shape} has only {len(content)} entries or bytes")
        super().load_build()
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack[-1] = self.stack[-1].read(self._source)

    dispatch[pickle.BUILD[0]] = load_build
