"""LMDB's files read by their pages, beside what LMDB's own library makes of them."""

import random

import pytest

from anr_core.capture.readers.lmdb import open_entries

lmdb = pytest.importorskip("lmdb")


def write(path, changes, folder=True):
    """One transaction: what to put, and what to delete where the value is None."""
    with lmdb.open(str(path), map_size=2**26, sync=False, subdir=folder) as opened, \
            opened.begin(write=True) as begun:
        for key, value in changes.items():
            begun.delete(key) if value is None else begun.put(key, value)


@pytest.mark.parametrize("count", [0, 1, 40, 3000])
def test_every_value_is_the_librarys(count, tmp_path):
    chance = random.Random(count)
    content = {chance.randbytes(chance.randrange(1, 200)): chance.randbytes(int(10 ** chance.uniform(0, 4.3)))
               for _ in range(count)}
    write(tmp_path / "x.lmdb", content)
    with open_entries(tmp_path / "x.lmdb") as entries:
        assert {key: entries.get(key) for key in content} == content
        assert entries.get(b"nothing") is None


def test_the_latest_transaction_counts(tmp_path):
    for round in range(5):
        changes = {b"key": bytes([round]) * 9000, bytes([round]): b"", bytes([max(round - 2, 0)]): None}
        write(tmp_path / "x.lmdb", changes, folder=False)
        with open_entries(tmp_path / "x.lmdb") as entries:
            assert entries.get(b"key") == bytes([round]) * 9000
            assert round < 2 or entries.get(bytes([round - 2])) is None


def test_whatever_byte_is_damaged_nothing_but_a_value_changes_or_it_is_refused(tmp_path):
    write(tmp_path / "x.lmdb", {bytes([number]): bytes(number * 30) for number in range(200)}, folder=False)
    whole, chance, refused = (tmp_path / "x.lmdb").read_bytes(), random.Random(0), 0
    for _ in range(300):
        damaged = bytearray(whole)
        # pages, places and nodes stand in the first half kilobyte of each page
        place = chance.randrange(len(whole) // 4096) * 4096 + chance.randrange(512)
        damaged[place:place + 4] = chance.randbytes(4)
        (tmp_path / "y.lmdb").write_bytes(damaged[:chance.choice([len(whole), chance.randrange(len(whole))])])
        try:
            with open_entries(tmp_path / "y.lmdb") as entries:
                for number in range(200):
                    assert len(entries.get(bytes([number])) or b"") <= len(whole)
        except ValueError as error:
            refused += 1
            assert "y.lmdb is no whole LMDB database" in str(error)
    assert refused > 100
