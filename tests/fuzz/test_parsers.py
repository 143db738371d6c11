"""Every parser, fed with damaged files for a moment; `python -m benchmarks.fuzz` does so for hours."""

import shutil

import pytest

pytest.importorskip("hypothesis")
pytest.importorskip("h5py")
pytest.importorskip("lmdb")

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import claim
from tests.fuzz.claim import broken
from tests.fuzz.damage import damage_folder
from tests.fuzz.parsers import PARSERS

# sources a parser: more where a reading takes milliseconds
FEW = {"prepare": 3, "runs": 5, "captures": 8, "pose2sim": 3, "zju": 5, "people-snapshot": 4, "neuman": 5,
       "archives": 10, "easymocap": 12, "plain": 12}
MANY = 20


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_damaged_is_read_or_refused_in_one_clear_line(name, tmp_path):
    parser = PARSERS[name]
    parser.make(tmp_path / "each")
    sources = sorted((tmp_path / "each").iterdir())
    assert broken(lambda: parser.read(sources[0])) is None
    refused = []

    @settings(max_examples=FEW.get(name, MANY), derandomize=True, database=None, deadline=None,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.data(), st.sampled_from(sources))
    def one(data, source):
        shutil.rmtree(tmp_path / "now", ignore_errors=True)
        folder = shutil.copytree(source, tmp_path / "now" / source.name, symlinks=True)
        damage_folder(data.draw, folder, parser.rarely)
        refused.append(1)
        wrong = broken(lambda: (parser.read(folder), refused.pop()), str(folder) if parser.named else "")
        assert wrong is None, wrong

    one()
    assert refused or name == "pages"  # which leave out what they can't show; else nothing was damaged


@pytest.mark.parametrize("wrong", [
    lambda: [][0], lambda: _raise(ValueError("no")), lambda: "\ud800".encode(), lambda: bytearray(2**40),
    lambda: claim._late(), lambda: _raise(ValueError("a file that is broken\nis broken in two lines")),
])
def test_the_claim_is_broken_by(wrong):
    assert broken(wrong)


def test_the_claim_is_kept_by_one_line():
    assert broken(lambda: _raise(ValueError("a.json is not whole JSON. Copy it again."))) is None
    assert broken(lambda: _raise(FileNotFoundError("a.json is missing."))) is None


def test_what_takes_too_long_is_stopped():
    with pytest.raises(claim.TakesTooLong), claim.bounded(seconds=0.05):
        while True:
            pass


def _raise(error):
    raise error
