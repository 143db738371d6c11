"""Damaged datasets: whichever byte it is, the reader goes on or says in one line which file is broken."""

import random
import shutil

import pytest

from anr_core.capture.readers import find_reader
from tests.capture.readers import small_datasets

pytest.importorskip("h5py")
pytest.importorskip("lmdb")

MAKERS = {"zju": (small_datasets.make_zju, {"frames": 1, "count": 1}),
          "people-snapshot": (small_datasets.make_people_snapshot, {"frames": 2}),
          "neuman": (small_datasets.make_neuman, {"frames": 2}),
          "human-view-synthesis": (small_datasets.make_human_view, {"frames": 2, "count": 1})}


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with one byte changed, eight of zero, four more, or cut; mostly near its start."""
    found = bytearray(content)
    place = chance.randrange(min(len(found), chance.choice([40, 400, 10**9])))
    kind = chance.choice(["change", "change", "cut", "zero", "insert"])
    if kind == "change":
        found[place] = chance.randrange(256)
    elif kind == "cut":
        del found[place:]
    elif kind == "zero":
        found[place:place + 8] = bytes(len(found[place:place + 8]))
    else:
        found[place:place] = b"\xff" * 4
    return bytes(found)


@pytest.mark.parametrize("format", MAKERS)
def test_damage_is_told_in_one_line(format, tmp_path):
    make, options = MAKERS[format]
    make(tmp_path / "female-1-whole", **options)
    chance, refused = random.Random(0), 0
    files = sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*")
                   if file.is_file() and file.suffix not in (".mp4", ".jpg", ".png"))  # each tested elsewhere
    for round in range(12):
        folder = shutil.copytree(tmp_path / "female-1-whole", tmp_path / f"female-2-{round}")
        file = folder / chance.choice(files).relative_to("female-1-whole")
        file.write_bytes(damaged(file.read_bytes(), chance))
        try:
            list(find_reader(folder, format)[1].read(folder).takes)
        except (ValueError, FileNotFoundError) as error:
            refused += 1
            assert "\n" not in str(error) and str(folder) in str(error)
        shutil.rmtree(folder)
    assert refused > 3  # else nothing was damaged
