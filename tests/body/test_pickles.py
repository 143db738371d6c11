"""Strangers' pickles: what holds data is read, whoever wrote it; everything else is refused and never run."""

import base64
import collections
import io
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest
import scipy.sparse
import torch

from anr_core.body.npz import names_in_npz, read_npy, read_npz
from anr_core.body.pickles import read_pickle, unpickle
from anr_core.body.stand_ins import plain_array

# joblib 1.6's dump of the dictionary in the test below
JOBLIB = """eNplUMtKw0AUbZIG45NWQRR/oG66cuFCaERwYSCgG1cSJs3oRPMYMomSRSFuaoTZebP31/wD/6DeZCwqHua+Zu7hnjtVv/no
KczA0WYwkn2eCgpy5z71o9AfJ0XMS4+H04cIb4duW55mGSmvM8I5zeANDp+hJVqi8KcREQKk2bFAriQBaXuxSZqCEU7B0R1jjlWaBUiW2hnmQV7iC1tdZt
it3x7Ba/0CVzByDKmdgOu6FwtE55xeDr5cI1GUPnlxTDjU8kAp7eZ5JArvkpgmueeXORXgDArfQKJatZqgs/GgVWjvdnP5/QvSfKRZLoCZaitmsXW2gaL1
ObAtqZ0DG7BtlHf8I4/t/hfH9mq2307dXPxG7y9sFT4nKlp2M1zq0BK4UbsToIUYfwGKjpyB"""


def python_2_array(values):
    """The opcodes that Python 2 pickles a 1-D array of doubles with, protocol 2."""
    data = np.array(values, "<f8").tobytes()
    return (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K"
            + bytes([len(values)]) + b"\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNN"
            b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U" + bytes([len(data)]) + data + b"tb")


def test_a_pickle_of_python_2_is_read():
    found = unpickle(b"\x80\x02}U\x08camera_f" + python_2_array([900.5, 901]) + b"s.", "camera.pkl")
    np.testing.assert_array_equal(found["camera_f"], [900.5, 901])


def test_an_ordered_dictionary_of_python_2_is_read():
    data = b"ccollections\nOrderedDict\n((lp0\n(lp1\nS'b'\naI2\naa(lp2\nS'a'\naI1\naatR."
    assert list(unpickle(data, "file").items()) == [("b", 2), ("a", 1)]


def test_a_text_pickle_of_python_2_is_read():
    found = unpickle(b"(dp0\nS'width'\np1\nI1080\nsS'f'\np2\nF900.5\ns.", "camera.pkl")
    assert found == {"width": 1080, "f": 900.5}


@pytest.mark.parametrize("protocol", range(6))
def test_todays_arrays_and_containers_are_read(protocol):
    stored = {"a": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.eye(3)[:2]), "b": [1, (2.5, None)],
              "s": {1, 2}, "n": np.float32(3.5), "empty": np.zeros((0, 3)), "text": np.array(["x", "yz"]),
              "o": np.array([{"k": np.ones(2)}, None], object), "d": collections.OrderedDict(x=b"\xff")}
    found = unpickle(pickle.dumps(stored, protocol), "file")
    np.testing.assert_array_equal(found["a"], stored["a"])
    np.testing.assert_array_equal(found["f"], stored["f"])
    np.testing.assert_array_equal(found["text"], stored["text"])
    np.testing.assert_array_equal(found["o"][0]["k"], [1, 1])
    assert found["b"] == [1, (2.5, None)] and found["s"] == {1, 2} and found["d"] == {"x": b"\xff"}
    assert found["n"] == 3.5 and found["n"].dtype == np.float32 and found["empty"].shape == (0, 3)
    found["a"] += 1  # may be written to


@pytest.mark.parametrize("protocol", [2, 4])
def test_tensors_are_read(protocol):
    whole = torch.arange(12.0).reshape(3, 4)
    for tensor in (whole, whole[1:, ::2], torch.tensor([True, False]), torch.tensor(7)):
        assert torch.equal(unpickle(pickle.dumps(tensor, protocol), "file"), tensor)


def test_joblibs_arrays_are_read_from_between_its_opcodes():
    found = unpickle(zlib.decompress(base64.b64decode(JOBLIB)), "smpl_output.pkl")[1]
    np.testing.assert_array_equal(found["pose"], np.float32([[0, 1, 2], [3, 4, 5]]))
    np.testing.assert_array_equal(found["verts"], [[0, 1], [2, 3]])
    assert found["n"] == [3, "a"]


def test_an_object_in_a_npy_is_read(tmp_path):
    stored = {"cams": {"K": [np.eye(3)]}, "ims": np.array([{"ims": ["a.jpg"]}, {"ims": ["b.jpg"]}])}
    np.save(tmp_path / "annots.npy", stored, allow_pickle=True)
    found = read_npy(tmp_path / "annots.npy")
    np.testing.assert_array_equal(found["cams"]["K"][0], np.eye(3))
    assert found["ims"][1]["ims"] == ["b.jpg"]
    np.save(tmp_path / "vertices.npy", np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    np.testing.assert_array_equal(read_npy(tmp_path / "vertices.npy"), [[0, 1, 2], [3, 4, 5]])


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


MARK = "/tmp/never-made-by-a-pickle"


@pytest.mark.parametrize("evil", [
    Call(os.system, f"touch {MARK}"), Call(eval, f"open({MARK!r}, 'w')"), Call(getattr, "x", "split"),
    Call(np.load, "x.npy"), Call(np.fromfile, "/etc/hostname"), Call(bytearray, 2**40), Call(np.zeros, 2**40),
    Call(torch.load, "x.pt"), Call(__import__, "os"), collections.defaultdict(list), pickle.PickleBuffer,
])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_whatever_is_no_data_is_refused_in_one_line(evil, protocol):
    with pytest.raises(ValueError, match=r"\Afile can't be read \(it wants .*no array\)\. Get it[^\n]*\Z"):
        unpickle(pickle.dumps({"poses": [evil]}, protocol), "file")
    assert not os.path.exists(MARK)


def test_stand_ins_make_no_room_for_more_than_the_file_holds():
    big = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1099511627776\ntS'b'\ntR."
    tensor = torch.zeros(1).expand(2**40)
    for data in (big, pickle.dumps(tensor)):
        with pytest.raises(ValueError, match="file can't be read"):
            unpickle(data, "file")


def test_classes_of_the_program_are_not_altered():
    """BUILD on a class, not on an instance, would set its attributes for everybody."""
    with pytest.raises(ValueError, match="wants to alter a type"):
        unpickle(b"cchumpy.ch\nCh\n(N(dS'array'\nI1\nstb.", "file")


def test_every_truncation_is_one_clear_error(tmp_path):
    whole = pickle.dumps({"poses": np.arange(30.0), "names": ["a", "b"]}, 2)
    for length in range(len(whole)):
        with pytest.raises(ValueError, match="can't be read"):
            unpickle(whole[:length], "file")
    buffer = io.BytesIO()
    np.save(buffer, np.arange(30.0))
    for length in range(0, len(buffer.getvalue()), 7):
        (tmp_path / "short.npy").write_bytes(buffer.getvalue()[:length])
        with pytest.raises(ValueError, match="short.npy can't be read"):
            read_npy(tmp_path / "short.npy")


def test_flipped_bytes_never_end_in_a_traceback():
    whole, random = pickle.dumps({"poses": np.arange(30.0), "names": ["a", "b"]}, 2), np.random.default_rng(0)
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] = random.integers(256)
        try:
            unpickle(bytes(broken), "file")
        except ValueError as error:
            assert str(error).startswith("file can't be read") and "\n" not in str(error)


def test_a_npy_that_promises_more_than_it_holds_is_refused_before_room_is_made(tmp_path):
    header = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": (2**40, 3)}
    np.lib.format.write_array_header_1_0(header, described)
    (tmp_path / "huge.npy").write_bytes(header.getvalue() + bytes(64))
    with pytest.raises(ValueError, match="promises 26388279066624 bytes and holds 64"):
        read_npy(tmp_path / "huge.npy")


def archive_of(file, header, size=None, held=64):
    """A .npz of one array, whose header and whose length in the list of members may lie."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": header})
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("a.npy", stream.getvalue() + bytes(held))
    if size is not None:  # the length unpacked, in the list at the end
        data = bytearray(file.read_bytes())
        struct.pack_into("<I", data, data.rindex(b"PK\1\2") + 24, size)
        file.write_bytes(data)


def test_an_archive_that_promises_more_than_it_holds_is_refused_before_room_is_made(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(10**6), b=np.arange(3))
    whole = read_npz(tmp_path / "a.npz")
    assert whole["a"].shape == (10**6,) and whole["b"].tolist() == [0, 1, 2]
    archive_of(tmp_path / "a.npz", (2**40, 3))
    with pytest.raises(ValueError, match="promises 26388279066624 bytes and holds 64"):
        read_npz(tmp_path / "a.npz")
    archive_of(tmp_path / "a.npz", (2**28,), 2**31)
    with pytest.raises(ValueError, match="promises 2147483648 bytes in"):
        read_npz(tmp_path / "a.npz")


def test_an_array_of_objects_has_no_more_entries_than_the_file(tmp_path):
    whole = pickle.dumps(np.array([None, "a"], object), 2)
    assert unpickle(whole, "file").tolist() == [None, "a"]
    assert whole.count(b"K\x02\x85") == 1  # its shape, (2,)
    with pytest.raises(ValueError, match=r"an array of \(1099511627776,\) has only 2 entries"):
        unpickle(whole.replace(b"K\x02\x85", b"\x8a\x06\0\0\0\0\0\x01\x85"), "file")


def test_a_type_that_denies_its_objects_reads_no_addresses_out_of_the_file():
    """numpy's own type takes its flags from the state: of objects without flags, bytes would be pointers."""
    whole = pickle.dumps(np.array([None], object), 2)
    assert whole.count(b"K?t") == 1  # the flags of objects, 63
    state = b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff" \
        b"J\xff\xff\xff\xffK\x00tb\x89U\x08AAAAAAAAtb."
    start = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    with pytest.raises(ValueError, match="file can't be read"):
        unpickle(start + state, "file")
    fields = pickle.dumps(np.zeros(2, [("a", "f8"), ("b", "O")]), 2)
    with pytest.raises(ValueError, match="file can't be read .an array is of the type"):
        unpickle(fields, "file")


@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "coo_matrix"])
def test_a_sparse_matrix_writes_nothing_beside_itself(kind):
    matrix = getattr(scipy.sparse, kind)(np.diag([1.0, 2, 3]))
    assert np.array_equal(plain_array(unpickle(pickle.dumps(matrix), "file")), np.diag([1, 2, 3]))
    for place in (10**6, -10**6):
        broken = matrix.copy()
        if kind == "coo_matrix":
            broken.coords = (np.array([0, 1, place], np.int32), broken.coords[1])
        else:
            broken.indices[2] = place
        with pytest.raises(ValueError):
            plain_array(unpickle(pickle.dumps(broken), "file"))


@pytest.mark.parametrize("data", [
    b"}" + b"N" + b"\x85" * 40_000 + b"Ns.",  # a dictionary's key: a tuple in a tuple in a tuple ...
    b"(N" + b"\x85" * 40_000 + b"Nd.", b"}(N" + b"\x85" * 10**6 + b"Nu.",
    b"\x8f(N" + b"\x85" * 40_000 + b"\x90.", b"(N" + b"\x85" * 10**6 + b"\x91.",
    b"cbuiltins\nset\n](N" + b"\x85" * 40_000 + b"e\x85R.",
    b"cbuiltins\nfrozenset\n](N" + b"\x85" * 40_000 + b"e\x85\x81."], ids=range(7))
def test_deep_keys_do_not_overflow_the_stack(data):
    with pytest.raises(ValueError, match=r"\Afile can't be read"):
        unpickle(b"\x80\x04" + data, "file")


def test_lists_that_hold_each_other_a_billion_times_are_refused():
    nested = [0]
    for _ in range(40):
        nested = [nested, nested]
    with pytest.raises(ValueError, match="its lists hold each other, [0-9]+ entries in [0-9]+ bytes"):
        unpickle(pickle.dumps(nested), "file")
    shared = [1, 2]
    assert unpickle(pickle.dumps([shared] * 3), "file") == [[1, 2]] * 3
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="file can't be read"):
        unpickle(pickle.dumps(endless), "file")


@pytest.mark.parametrize("opcode", [b"\x8e", b"\x96", b"\x8d", b"\x95"])  # bytes, bytearray, text, a frame
def test_lengths_make_no_room_beyond_the_file(opcode, tmp_path):
    (tmp_path / "long.pkl").write_bytes(b"\x80\x05" + opcode + struct.pack("<Q", 2**40) + b"abc.")
    with pytest.raises(ValueError, match="long.pkl can't be read"):
        read_pickle(tmp_path / "long.pkl")


def test_an_archive_of_arrays_unpacks_to_no_multiple_of_itself(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "zeros.npz", a=np.zeros(10**6), b=np.zeros(10**6))
    assert names_in_npz(tmp_path / "zeros.npz") == ["a", "b"]
    monkeypatch.setattr("anr_core.body.npz.SMALL", 10**6)
    with pytest.raises(ValueError, match="it promises 16000256 bytes in"):
        read_npz(tmp_path / "zeros.npz")


def test_a_missing_file_is_named(tmp_path):
    for read in (read_npy, read_npz, read_pickle):
        with pytest.raises(FileNotFoundError, match="none.npy is missing. Put it back"):
            read(tmp_path / "none.npy")
