"""What stands in for the functions and classes that a stranger's pickle names, which get it no code run.

They rebuild arrays: numpy's, scipy's sparse, torch's, joblib's, and chumpy's without chumpy. What these
libraries take on trust is checked before they see it: a type of numbers that says it holds no objects,
indices beyond a matrix, keys so deep that comparing them overflows the stack.
"""

from __future__ import annotations

import io
import pickle
import sys
from math import prod

import numpy as np

from anr_core.telling import brief, listed, quoted, reason

LARGEST_SPARSE = 10**7  # entries: a joint regressor of SMPL-X has 6e5
LONGEST_EMPTY = 10**6  # rows of nothing, which take no room in a file, and time where they are gone through
LONGEST_KEY = 64  # bits of a number: of longer ones any many can be alike to a dictionary
PLAIN_KINDS = "biufcSU"  # of numpy's types: numbers and text, whose memory holds no addresses


def stand_in(module: str, name: str):
    """What stands for a name; raises UnpicklingError for all but arrays and containers."""
    package = module.split(".")[0]
    if package == "chumpy":
        return Chumpy
    if package == "numpy" and name in _OF_NUMPY:
        return _OF_NUMPY[name]
    if module.startswith("scipy.sparse") and name in _SPARSE:
        return _SPARSE[name]
    if (module, name) not in _NAMED:
        raise pickle.UnpicklingError(f"it wants {brief(f'{module}.{name}')}, which is no array")
    return _NAMED[module, name]


def plain_array(value) -> np.ndarray:
    """An array of what may be chumpy's, a sparse matrix, lists of numbers, or one already.

    Raises ValueError for lists that hold text: numpy would make all of it as wide as the longest.
    """
    if isinstance(value, list | tuple) and \
            any(isinstance(one, str | bytes) for one in np.array(value, object).flat):
        raise ValueError("a list holds text, expected numbers")
    if isinstance(value, Chumpy):
        value = value.array()
    return value.toarray() if hasattr(value, "toarray") else np.asarray(value)


def sound(array: np.ndarray) -> np.ndarray:
    """The same array; raises ValueError where its text is none: numpy takes any four bytes for a letter."""
    if array.dtype.kind == "U":
        letters = np.frombuffer(array.tobytes(), np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if letters.max(initial=0) > sys.maxunicode:
            raise ValueError("its text has letters that there are not")
    return array


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
            raise ValueError(f"a chumpy object with {listed(self.state)} holds no array")
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
        """The whole of it; raises ValueError where it is broken."""
        try:
            return self._drawn_out()
        except Exception as error:  # of what a file says scipy takes all on trust
            raise ValueError(f"a sparse matrix is broken ({reason(error)})") from None

    def _drawn_out(self):
        import scipy.sparse

        shape = self.state["_shape"]
        if prod(shape) > LARGEST_SPARSE:
            raise ValueError(f"a sparse matrix of {brief(shape)} is larger than any of a body")
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


class JoblibArray:
    """What joblib puts in place of an array, whose bytes follow in the file."""

    def __setstate__(self, state):
        self.state = _state(state)

    def read(self, stream) -> np.ndarray:
        """The array, from where its bytes begin."""
        if self.state.get("numpy_array_alignment_bytes"):  # a byte that says how many of padding follow
            stream.read(stream.read(1)[0])
        shape, dtype = shape_of(self.state["shape"]), type_of(self.state["dtype"])
        data = stream.read(prod(shape) * dtype.itemsize)
        return _from_buffer(data, self.state["dtype"], shape, self.state["order"])


def _empty_array(_, shape, __):
    """numpy's beginning of every array, which is then filled from the file."""
    if shape != (0,):
        raise pickle.UnpicklingError(f"an array begins with the shape {brief(shape)}")
    return np.empty(0, np.int8)


def _from_buffer(data, dtype, shape, order, *_):
    return sound(np.frombuffer(data, type_of(dtype)).reshape(shape_of(shape), order=order).copy())


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
    raise pickle.UnpicklingError(f"an array is of the type {quoted(what)}")


def type_of(found) -> np.dtype:
    """Of what a file gives for one: only what it made of a name."""
    return found.dtype if isinstance(found, _Dtype) else _refused(found)


def shape_of(found) -> tuple[int, ...]:
    """The shape that a file gives an array."""
    if not (isinstance(found, tuple) and all(type(size) is int and size >= 0 for size in found)) or \
            0 in found and max(found) > LONGEST_EMPTY:
        raise pickle.UnpicklingError(f"an array is of the shape {brief(found)}")
    return found


def _tensor(storage, offset, size, stride, *_):
    import torch

    if not isinstance(storage, torch.Tensor) or prod(shape_of(size)) > len(storage):
        raise pickle.UnpicklingError(f"a tensor of {brief(size)} has fewer numbers")
    return storage.as_strided(size, stride, offset).clone()


def _storage(data):
    import torch

    storage = torch.load(io.BytesIO(data), weights_only=True)
    return torch.empty(0, dtype=storage.dtype).set_(storage)


def _rebuilt(kind, base, state):
    """copyreg's beginning of an object of Python 2."""
    if not (isinstance(kind, type) and issubclass(kind, FILLED) and base is object and state is None):
        raise pickle.UnpicklingError(f"it wants to make a {brief(kind)}")
    return kind.__new__(kind)


def checked_key(key):
    """A key that can be looked up in little depth: hashing a tuple of tuples goes down all of them."""
    flat = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(part, str | bytes | int | float | None) for part in flat):
        raise pickle.UnpicklingError(f"a key is a {type(key).__name__}, and no number or text")
    if any(isinstance(part, int) and part.bit_length() > LONGEST_KEY for part in flat):
        raise pickle.UnpicklingError(f"a key is a number of more than {LONGEST_KEY} bits")
    return key


def _encoded(text, encoding="latin1"):
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":  # others take their time, or make much of little
        raise pickle.UnpicklingError(f"bytes are text in {quoted(encoding)}")
    return text.encode(encoding)


def _set(entries=()):
    return {checked_key(entry) for entry in entries}


def _ordered(pairs=()):
    """Python 2 writes a dictionary that keeps its order as its pairs."""
    return {checked_key(key): value for key, value in pairs}


_NAMED = {
    ("collections", "OrderedDict"): _ordered,
    ("_codecs", "encode"): _encoded,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor, ("torch.storage", "_load_from_bytes"): _storage,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): JoblibArray,
    **{(module, "_reconstructor"): _rebuilt for module in ("copy_reg", "copyreg")},
    **{(module, name): kind for module in ("__builtin__", "builtins")
       for name, kind in (("object", object), ("set", _set), ("frozenset", _set))},
    ("__builtin__", "bytes"): lambda: b"",  # how Python 2's protocols write the empty ones
}
_OF_NUMPY = {"_reconstruct": _empty_array, "_frombuffer": _from_buffer, "dtype": _Dtype,
             "ndarray": "ndarray",  # only ever handed on to _empty_array
             "scalar": lambda dtype, data: sound(np.frombuffer(data, type_of(dtype)))[0]}
_SPARSE = {kind: type(kind, (_Sparse,), {"kind": kind})
           for kind in ("csc_matrix", "csr_matrix", "coo_matrix")}
FILLED = (Chumpy, _Sparse, JoblibArray, _Dtype, np.ndarray)
