"""Run folders: written as a whole, read with errors that name the file. What trains them is tested there."""

import errno
import json
import os
import resource
import shutil
import signal

import pytest
import torch

from anr_core.avatars import Config, configure
from anr_core.avatars import run as runs
from anr_core.avatars.room import RoomFor
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
# runs of strangers


@pytest.mark.parametrize("folder", ["../../elsewhere", "/etc", "a/b", "..", "a\\b", ""])
def test_people_lie_in_their_run(folder, tmp_path):
    people = {"anna": folder, "ben": "ben"}
    (tmp_path / "config.json").write_text(json.dumps({"version": 1, "people": people}))
    with pytest.raises(ValueError, match="config.json is broken .a person's run is in .*no name of a folder"):
        Run.open(tmp_path, "anna")


@pytest.mark.parametrize("changes", [
    {"config": {"size": 10**12}}, {"config": {"size": 0}}, {"config": {"width": 2.5}},
    {"config": {"width": True}}, {"config": {"structure": float("nan")}}, {"config": {"system": "os"}},
    {"config": {"projection": "../x"}}, {"trained": [["a", "b"]]}, {"trained": 7}, {"capture": ["a"]},
    {"capture": ["a", "b\0"]}, {"up": [1]}, {"up": "xyz"}, {"body": 3}, {"paired": 1}, {"person": ["x"]},
    {"licence": None}, {"version": [1] * 10_000}], ids=str)
def test_entries_of_other_types_and_sizes_are_refused_in_one_line(changes, tmp_path):
    with pytest.raises(ValueError, match=r"\A[^\n]{1,500}\Z") as error:
        Run.open(saved(tmp_path, **changes))
    assert "config.json" in str(error.value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Read only: the run folder of a static texture of a body, after nothing was learned."""
    from anr_core.training import train
    from tests.posed_capture import make_posed_capture

    folder = tmp_path_factory.mktemp("trained")
    capture = make_posed_capture(folder / "capture", masked=True)
    for _ in train(capture, folder / "run", "static", steps=1, config={"texture_size": 16, "size": 32}):
        pass
    return folder / "run"


def copied_with(trained, tmp_path, config=None, **tensors):
    folder = shutil.copytree(trained, tmp_path / "run")
    settings = json.loads((folder / "config.json").read_text())
    settings["config"] |= config or {}
    (folder / "config.json").write_text(json.dumps(settings))
    held = {name: tensors.get(name, tensor) for name, tensor in read_tensors(
        folder / "checkpoint.safetensors").items()}
    write_tensors(folder / "checkpoint.safetensors", held)
    return Run.open(folder)


def test_settings_make_no_room_for_more_than_the_checkpoint_holds(trained, tmp_path):
    run = copied_with(trained, tmp_path, {"texture_size": 200_000})
    with pytest.raises(ValueError, match="doesn't hold a static avatar .*numbers beside .*, where"):
        run.avatar()


@pytest.mark.parametrize("make, told", [
    (lambda: torch.zeros(2**28), "numbers"), (lambda: torch.arange(2**28), "numbers"),
    (lambda: torch.zeros(1).new_zeros(2**27), "numbers"), (lambda: torch.eye(2**14), "numbers"),
    (lambda: [torch.ones(2**22) for _ in range(20)], "numbers"),
    (lambda: [torch.nn.Linear(1, 1) for _ in range(10_000)], "layers")],
    ids=["a tensor", "a range", "like another", "a table", "many", "layers"])
def test_what_is_begun_is_counted_altogether(make, told):
    """Against 2^26 numbers that are free, and a checkpoint of one tensor of a hundred."""
    with pytest.raises(ValueError, match=f"settings that ask for .*{told}"), \
            RoomFor({"weight": torch.zeros(100)}):
        make()


@pytest.mark.parametrize("changes", [{"levels": 10**8}, {"texture_levels": 31}])
def test_a_picture_has_not_so_many_resolutions(changes):
    with pytest.raises(ValueError, match="levels is .*less than 31"):
        configure(**changes)


def test_layers_that_no_checkpoint_holds_are_not_built():
    from anr_core.parts.generator import Generator

    held = Generator(20, 24, 16).state_dict()
    with pytest.raises(ValueError, match="settings that ask for"), RoomFor(held):
        Generator(20, 24, 16, 10**8)


@pytest.mark.parametrize("wrong", [
    lambda faces: faces + 10**6, lambda faces: faces - 5, lambda faces: faces[:0], lambda faces: faces[:7],
    lambda faces: faces.float(), lambda faces: faces[:, :2].contiguous(),
    lambda faces: faces.flip(0).contiguous()])
def test_triangles_that_are_not_the_bodys_never_reach_the_rasterizer(wrong, trained, tmp_path):
    faces = read_tensors(trained / "checkpoint.safetensors")["surface_faces"]
    run = copied_with(trained, tmp_path, surface_faces=wrong(faces))
    with pytest.raises(ValueError, match=r"checkpoint.safetensors (doesn't hold|holds other triangles)"):
        run.avatar()


@pytest.mark.parametrize("mean", [torch.zeros(4), torch.zeros(3, dtype=torch.int64), torch.zeros(())])
def test_a_mean_colour_is_three_numbers(mean, trained, tmp_path):
    run = copied_with(trained, tmp_path)
    write_tensors(run.path / "static.safetensors", {
        **read_tensors(run.path / "static.safetensors"), "mean": mean})
    with pytest.raises(ValueError, match="static.safetensors holds no mean colour"):
        run.static()
