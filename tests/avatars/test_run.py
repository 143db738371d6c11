"""Run folders: written as a whole, read with errors that name the file. What trains them is tested there."""

import errno
import json
import os
import resource
import signal

import pytest
import torch

from anr_core.avatars import Config
from anr_core.avatars import run as runs
from anr_core.avatars.run import Run, read_tensors, write_atomically, write_tensors, writing

PICTURES = [("cam01", 0), ("cam02", 4)]


def saved(tmp_path, **changes):
    Run(tmp_path / "run", Config(width=24), PICTURES, ("/far/away", "../capture"), "CC0").save()
    file = tmp_path / "run/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return tmp_path / "run"


def test_a_run_is_read_as_it_was_saved(tmp_path):
    run = Run.open(saved(tmp_path))
    assert run == Run(tmp_path / "run", Config(width=24), PICTURES, ("/far/away", "../capture"), "CC0")


@pytest.mark.parametrize("changes, told", [
    ({"version": 99}, "version 99, and 1 is what is read"),
    ({"config": {"wings": 2}}, "broken.*setting wings is unknown"),
    ({"config": None}, "broken"), ({"trained": [3]}, "broken"), ({"capture": None}, "broken"),
], ids=str)
def test_settings_that_cannot_be_read_are_named_in_one_line(changes, told, tmp_path):
    with pytest.raises(ValueError, match=told) as error:
        Run.open(saved(tmp_path, **changes))
    assert "config.json" in str(error.value) and "\n" not in str(error.value)


def test_a_run_that_was_never_trained_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint.safetensors.*same train command"):
        Run.open(saved(tmp_path)).avatar()


def test_tensors_come_back(tmp_path):
    tensors = {"a": torch.rand(3, 4).T, "b": torch.arange(5)}
    write_tensors(tmp_path / "tensors", tensors)
    found = read_tensors(tmp_path / "tensors")
    assert found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_writing_leaves_the_old_file_or_the_new_one(step, tmp_path, monkeypatch):
    file = tmp_path / "figures.json"
    write_atomically(file, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(runs.os, step, full)
    with pytest.raises(ValueError, match="figures.json could not be written .No space left on device"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old" and list(tmp_path.iterdir()) == [file]


def test_what_a_killed_process_left_is_written_over(tmp_path):
    file = tmp_path / "figures.json"
    (tmp_path / ".figures.json.new").write_bytes(b"hal")
    write_atomically(file, b"whole")
    assert file.read_bytes() == b"whole" and list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere/figures.json could not be written"):
        write_atomically(tmp_path / "nowhere/figures.json", b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_device_that_is_full_leaves_the_old_file(tmp_path):
    """The file that is written first, beside the old one, lies on a device on which nothing fits."""
    file = tmp_path / "figures.json"
    write_atomically(file, b"old")
    (tmp_path / ".figures.json.new").symlink_to("/dev/full")
    with pytest.raises(ValueError, match="No space left.*what was saved is kept. Make room"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old" and os.listdir(tmp_path) == ["figures.json"]


def test_a_limit_on_the_size_of_files_leaves_the_old_file(tmp_path):
    file = tmp_path / "figures.json"
    write_atomically(file, b"old")
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(ValueError, match="could not be written.*kept.*ulimit"):
            write_atomically(file, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert file.read_bytes() == b"old" and os.listdir(tmp_path) == ["figures.json"]


@pytest.mark.parametrize("number, remedy", [
    (errno.EROFS, "Make its folder writable"), (errno.EACCES, "Make its folder writable"),
    (errno.EDQUOT, "Make room"), (errno.ENOENT, "put it back"),
], ids=errno.errorcode.get)
def test_what_forbids_writing_is_told_with_its_remedy(number, remedy, tmp_path):
    with pytest.raises(ValueError, match=f"figures.json could not be.*was saved is kept. .*{remedy}"):
        with writing(tmp_path / "figures.json"):
            raise OSError(number, os.strerror(number))
