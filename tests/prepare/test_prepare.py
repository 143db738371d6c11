"""Preparing a capture: what is said, what is written, what is refused."""

import hashlib

import pytest

from anr_core.capture.readers import READERS
from anr_core.capture.writers import WRITERS
from anr_core.cli import main
from anr_core.prepare import prepare


def digests(folder):
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_was_found_is_said(small_source, tmp_path, capsys):
    prepare(small_source, tmp_path / "capture")
    said = capsys.readouterr().out
    assert "source: format registered" in said and "licence: not stated" in said
    assert "3 cameras, 15 pictures (9 registered, 6 between), frames 0 to 4 at 15 a second" in said
    assert "cam01: 160x240, masks and meshes overlap by 0.8" in said


def test_preparing_again_gives_the_same_bytes(small_source, small_capture):
    before = digests(small_capture.path)
    prepare(small_source, small_capture.path)
    assert digests(small_capture.path) == before and len(before) > 25


def test_pictures_are_copied_as_they_are(small_source, small_capture):
    for shot in small_capture.shots:
        assert (small_capture.path / shot.image).read_bytes() == (small_source / shot.image).read_bytes()


@pytest.mark.parametrize(("source", "format", "complaint"), [
    ("nowhere", "auto", "nowhere does not exist"),
    ("empty", "auto", "of no known format .*cameras.json beside"),
    ("empty", "betamax", "no format 'betamax'; use auto or registered"),
])
def test_an_unknown_source_is_refused(tmp_path, source, format, complaint):
    (tmp_path / "empty").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=complaint):
        prepare(tmp_path / source, tmp_path / "capture", format)
    assert not (tmp_path / "capture").exists()


def test_a_source_is_not_buried_in_its_capture(small_source):
    for capture in (small_source, small_source.parent):
        with pytest.raises(ValueError, match="where the capture is to be"):
            prepare(small_source, capture)


def test_help_names_every_format(capsys):
    for command, formats in (("prepare", READERS), ("convert", WRITERS)):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        told = capsys.readouterr().out
        assert all(name in told for name in formats)
