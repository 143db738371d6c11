"""What can be wrong with a file, as Hypothesis's strategies: bytes, and what they mean.

    damaged(content, name)       the content of a file, damaged: as bytes, or where its name tells what it is
                                 (JSON, npy, npz, HDF5, pickle, safetensors, PNG, text) as what it holds
    damage_folder(draw, folder)  damages some files of a folder in place, or removes them

Half of the damage is of the meaning: a reader's second line of checks is never reached through random bytes.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import re
import shutil
import struct
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

DEEP = "deep"
NUMBERS = [0, 1, -1, 2, 3, 0.5, -0.0, float("nan"), float("inf"), float("-inf"), 1e308, 1e39, -1e15, 1e-300,
           2**31, 2**32 - 1, 2**63, -2**63, 2**64, 10**40, 10**400, True]
WORDS = ["", "../../outside", "/etc/hostname", "../" * 2000, "x/" * 2000, "..", "<script>alert(1)</script>",
         "a\nb", "a\0b", "\x1b[31m", "\ud800", "cam01", "x" * 300, "C:\\x", "NaN", "²", "nul", "anny", "smpl",
         "perspective"]
VALUES = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(WORDS),
                   st.sampled_from([None, [], {}, [[]], [None], {"": None}, [1, 2], [[1, 2], [3]],
                                    [0] * 1000, DEEP])).map(copy.deepcopy)  # each its own
TOKENS = ["NaN", "nan", "inf", "-inf", "9e999", "1e39", "-1", "0", "0.0", "1", "", "null", "99999999999",
          "4294967296", "-9223372036854775809", "1" * 400, "1" * 5000, "{", "}", "[", "]", "\"", "x", "/..",
          "\n", ":", ",", "true", "#", "\xff", "\ud800"]
SHAPES = [(), (0,), (1,), (0, 3), (3,), (2, 3), (1, 1, 1), (3, 0), (2, 2, 2, 2), (7,), (1,) * 32,
          (10**12, 0), (0, 10**12)]
DTYPES = ["f2", "f4", "f8", "i1", "u1", "i4", "i8", "u8", "?", "c8", "U3", "S4", "M8[s]", ">f4", "V3",
          "f2,i4", "O"]
HUGE = [(10**10,), (2**31, 2**31), (2**62, 4), (10**5, 10**5, 3), (-1,), (-5, -7), (2**63 - 1,)]


# bytes


@st.composite
def _bytes(draw, content: bytes) -> bytes:
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        reach = draw(st.sampled_from([24, 200, 4000, 2**40]))
        place = draw(st.integers(0, max(0, min(len(found), reach) - 1)))
        length = draw(st.sampled_from([1, 2, 4, 8, 40]))
        kind = draw(st.sampled_from(["change", "change", "flip", "cut", "remove", "insert", "repeat",
                                     "number", "empty", "tail"]))
        if kind == "change":
            found[place:place + length] = draw(st.binary(min_size=length, max_size=length))
        elif kind == "flip" and found:
            found[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del found[place:]
        elif kind == "remove":
            del found[place:place + length]
        elif kind == "insert":
            found[place:place] = draw(st.binary(min_size=1, max_size=64))
        elif kind == "repeat":
            found[place:place] = found[place:place + length] * draw(st.sampled_from([1, 50, 5000]))
        elif kind == "number":
            found[place:place + 4] = struct.pack(draw(st.sampled_from(["<I", ">I"])), draw(
                st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FFFFFF, 65536])))
        elif kind == "tail":
            del found[len(found) - min(len(found), length):]
        else:
            found.clear()
    return bytes(found)


@st.composite
def _text(draw, content: bytes) -> bytes:
    """Words and numbers exchanged, lines lost, doubled and moved."""
    text = content.decode("utf-8", "surrogateescape")
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["number", "number", "word", "line", "double", "swap", "token"]))
        lines = text.splitlines(True) or [""]
        if kind in ("number", "word"):
            found = list(re.finditer(r"-?\d[\d.e+-]*" if kind == "number" else r"[A-Za-z_]\w*", text))
            if found:
                one = found[draw(st.integers(0, len(found) - 1))]
                text = text[:one.start()] + draw(st.sampled_from(TOKENS)) + text[one.end():]
            continue
        place, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        if kind == "line":
            del lines[place]
        elif kind == "double":
            times = draw(st.sampled_from([1, 3, 300]))
            lines[place:place] = [lines[place]] * (times if len(text) < 10**5 else 1)
        elif kind == "swap":
            lines[place], lines[other] = lines[other], lines[place]
        else:
            at = draw(st.integers(0, len(lines[place])))
            lines[place] = lines[place][:at] + draw(st.sampled_from(TOKENS)) + lines[place][at:]
        text = "".join(lines)
    return text.encode("utf-8", "surrogatepass" if "\ud800" in text else "surrogateescape")


# what they mean


@st.composite
def changed(draw, record, array=lambda draw, value: value):
    """A record of dictionaries, lists and values with some of them exchanged, removed, added or doubled.

    array  what becomes of an array in it
    """
    record = copy.deepcopy(record)
    for _ in range(draw(st.integers(1, 2))):
        holder, key = None, None
        for depth in range(8):
            value = record if holder is None else holder[key]
            if not isinstance(value, dict | list) or not value or (
                    depth > 0 and draw(st.integers(0, 3)) == 0):
                break
            keys = list(value) if isinstance(value, dict) else list(range(len(value)))
            holder, key = value, keys[draw(st.integers(0, len(keys) - 1))]
        if holder is None:
            return draw(VALUES)
        kind = draw(st.sampled_from(["value", "value", "value", "remove", "double", "wrap", "rename"]))
        if kind == "value":
            old = holder[key]
            holder[key] = array(draw, old) if isinstance(old, np.ndarray) else draw(VALUES)
        elif kind == "remove":
            del holder[key]
        elif kind == "wrap":
            holder[key] = [holder[key]]
        elif isinstance(holder, list):
            holder[key:key] = [holder[key]] * draw(st.sampled_from([1, 2, 40]))
        else:
            holder[draw(st.sampled_from(WORDS))] = holder[key] if kind == "double" else holder.pop(key)
    return record


@st.composite
def _json(draw, content: bytes) -> bytes:
    text = json.dumps(draw(changed(json.loads(content))))
    return text.replace(f'"{DEEP}"', "[" * 20_000 + "]" * 20_000).encode("utf-8")


@st.composite
def _lines(draw, content: bytes) -> bytes:
    """JSON, one value a line."""
    lines = content.splitlines()
    place = draw(st.integers(0, len(lines) - 1))
    lines[place] = draw(_json(lines[place]))
    return b"\n".join(lines) + b"\n"


def _array(draw, old):
    """An array of another shape or type, or with numbers that no measure has."""
    new = np.array(old)
    kind = draw(st.sampled_from(["numbers", "numbers", "shape", "dtype", "cut", "axis", "fill", "sign"]))
    with np.errstate(all="ignore"):
        if kind == "shape":
            new = np.zeros(draw(st.sampled_from(SHAPES)), new.dtype)
        elif kind == "dtype":
            try:
                new = new.astype(draw(st.sampled_from(DTYPES)))
            except (ValueError, TypeError):
                new = np.zeros(new.shape, "S4")
        elif kind == "cut":
            new = new[:draw(st.integers(0, 2))] if new.ndim else new
        elif kind == "axis":
            new = draw(st.sampled_from([new[None], new.T, new.ravel(), new[..., None]]))
        elif kind == "sign":
            new = -new if new.dtype.kind in "fi" else new
        elif new.dtype.kind in "fiu" and new.size:
            value = draw(st.sampled_from([float(number) for number in NUMBERS if number != 10**400]))
            if new.dtype.kind != "f":
                value = draw(st.sampled_from([0, 1, 2**31 - 1, 10**6, 255, 7]))
                value = min(value, int(np.iinfo(new.dtype).max))
            if kind == "fill":
                new[...] = value
            else:
                new.reshape(-1)[draw(st.integers(0, new.size - 1))] = value
    return new


@st.composite
def _npy(draw, content: bytes) -> bytes:
    stream = io.BytesIO(content)
    try:
        old = np.load(stream, allow_pickle=False)
    except ValueError:  # a pickled object, of our own making
        stream = io.BytesIO()
        held = changed(np.load(io.BytesIO(content), allow_pickle=True).item(), _array)
        np.save(stream, np.array(draw(held), object), allow_pickle=True)
        return stream.getvalue()
    return draw(_npy_of(old))


@st.composite
def _npy_of(draw, old) -> bytes:
    stream = io.BytesIO()
    if draw(st.integers(0, 5)) == 0:  # promises more than it holds
        shape = draw(st.sampled_from(HUGE))
        np.lib.format.write_array_header_1_0(stream, {
            "descr": np.lib.format.dtype_to_descr(old.dtype), "fortran_order": False, "shape": shape})
        return stream.getvalue() + old.tobytes()[:256]
    np.lib.format.write_array(stream, np.asanyarray(_array(draw, old)), allow_pickle=True)
    return stream.getvalue()


@st.composite
def _npz(draw, content: bytes) -> bytes:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(members)))
    kind = draw(st.sampled_from(["array", "array", "array", "bytes", "remove", "rename", "double"]))
    if kind == "array":
        members[name] = draw(_npy(members[name]))
    elif kind == "bytes":
        members[name] = draw(_bytes(members[name]))
    else:
        member = members[name] if kind == "double" else members.pop(name)
        if kind != "remove":
            members[draw(st.sampled_from(["x.npy", "../x.npy", "x", "a/b.npy"]))] = member
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", draw(st.sampled_from([0, 8]))) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return stream.getvalue()


@st.composite
def _pickle(draw, content: bytes) -> bytes:
    record = draw(changed(pickle.loads(content), _array))  # of the tests' own making
    if draw(st.integers(0, 9)) == 0:
        record = draw(st.sampled_from([OrderedDict(a=record), (record,), {1: record, 2: record}]))
    return pickle.dumps(record, draw(st.sampled_from([0, 2, 4])))


@st.composite
def _safetensors(draw, content: bytes) -> bytes:
    from safetensors.numpy import load, save

    if draw(st.integers(0, 2)) == 0:  # its header is JSON
        length, = struct.unpack("<Q", content[:8])
        header = draw(_json(content[8:8 + length]))
        return struct.pack("<Q", len(header)) + header + content[8 + length:]
    tensors = load(content)
    name = draw(st.sampled_from(sorted(tensors)))
    kind = draw(st.sampled_from(["array", "array", "array", "remove", "rename"]))
    if kind == "array":
        tensors[name] = np.ascontiguousarray(_array(draw, tensors[name]))
        if tensors[name].dtype.str[1:] not in ("f2", "f4", "f8", "i1", "u1", "i4", "i8", "u8", "b1"):
            tensors[name] = np.zeros(tensors[name].shape, np.float32)
        tensors[name] = tensors[name].astype(tensors[name].dtype.newbyteorder("="))
    else:
        tensor = tensors.pop(name)
        if kind == "rename":
            tensors["x"] = tensor
    return save(tensors)


@st.composite
def _png(draw, content: bytes) -> bytes:
    """Another size in the header, whose checksum is right, or chunks of bytes."""
    width, height = (draw(st.sampled_from([0, 1, 7, 65_536, 2**31 - 1])) for _ in range(2))
    depth, colour = draw(st.sampled_from([1, 8, 16])), draw(st.sampled_from([0, 2, 3, 4, 6]))
    header = struct.pack(">4sIIBBBBB", b"IHDR", width, height, depth, colour, 0, 0, 0)
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


@st.composite
def _hdf5(draw, content: bytes) -> bytes:
    import h5py

    with h5py.File(io.BytesIO(content)) as stored:
        arrays = {name: stored[name][()] for name in stored}
    name = draw(st.sampled_from(sorted(arrays)))
    kind = draw(st.sampled_from(["array", "array", "array", "remove", "group", "huge"]))
    array = arrays.pop(name)
    stream = io.BytesIO()
    with h5py.File(stream, "w") as out:
        for other, values in arrays.items():
            out[other] = values
        if kind == "group":
            out.create_group(name)
        elif kind == "huge":  # without holding any of it
            out.create_dataset(name, (10**6,) * max(1, array.ndim), array.dtype, chunks=True)
        elif kind == "array":
            changed_to = _array(draw, array)
            out[name] = changed_to if changed_to.dtype.kind in "biuf" else "words"
    return stream.getvalue()


MEANING = {".hdf5": _hdf5, ".json": _json, ".jsonl": _lines, ".npy": _npy, ".npz": _npz, ".pkl": _pickle,
           ".png": _png, ".safetensors": _safetensors, ".yml": _text, ".toml": _text, ".txt": _text,
           ".bvh": _text, ".obj": _text}


@st.composite
def damaged(draw, content: bytes, name: str) -> bytes:
    """The content of a file of that name, damaged."""
    meaning = MEANING.get(Path(name).suffix.lower())
    kind = draw(st.sampled_from(["bytes", "meaning", "meaning", "meaning", "text"]))
    if kind == "meaning" and meaning is not None:
        return draw(meaning(content))
    if kind == "text" and meaning in (_json, _lines):
        return draw(_text(content))
    return draw(_bytes(content))


def damage_folder(draw, folder: Path, rarely: tuple[str, ...] = ()) -> None:
    """Damage one to three files of a folder, in place.

    rarely  endings of files that are seldom chosen, since their readers are others' libraries
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    often = [file for file in files if not file.name.endswith(rarely)] if rarely else files
    touched = set()
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        among = often if often and draw(st.integers(0, 9)) else files
        file = among[draw(st.integers(0, len(among) - 1))]
        if not file.is_file() or file in touched:  # damage has to begin with what is whole
            continue
        touched.add(file)
        kind = draw(st.sampled_from(["content"] * 12 + ["remove", "folder", "rename", "loop", "folders",
                                                        "other"]))
        if kind == "content":
            file.write_bytes(draw(damaged(file.read_bytes(), file.name)))
        elif kind == "other":  # of the same kind, from elsewhere in the folder
            others = [one for one in files if one.suffix == file.suffix and one.is_file()]
            file.write_bytes(draw(st.sampled_from(others)).read_bytes())
        elif kind == "remove":
            file.unlink()
        elif kind == "folder":
            file.unlink()
            file.mkdir()
        elif kind == "loop":
            file.unlink()
            file.symlink_to(file.name)
        elif kind == "folders" and file.parent != folder:
            shutil.rmtree(file.parent)
        else:
            name = draw(st.sampled_from(["99999999999999999999", "999999999999", "-1", "<b>", "²_1", "0001",
                                         "concat:x", "a" * 200, "\x1b[31m", "cam01"]))
            ending = draw(st.sampled_from([file.suffix, ".png", ".json", ".mp4", ""]))
            file.rename(file.with_name(name + ending))
