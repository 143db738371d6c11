"""The command line: every command's help, its errors in one line, and the way through."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from anr_core import cli, metrics, training
from anr_core.avatars import PRESETS, SYSTEMS
from anr_core.cli import main
from anr_core.cli.options import frame_list, read_settings
from anr_core.cli.progress import show_progress
from anr_core.training.record import Progress
from tests.motion.made_up import bvh_text, walk

CHECKOUT = Path(cli.__file__).parents[2]
TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}


@pytest.fixture(scope="module")
def tiny_run(small_capture, tmp_path_factory):
    """A run of two steps on frames 0 to 3, trained through the command line."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    arguments = ["--steps", "2", "--frames", "0-1,2,3", "--config", str(folder / "tiny.json")]
    assert main(["train", str(small_capture.path), str(folder / "run"), *arguments]) == 0
    return folder / "run"


def fails_in_one_line(capsys, *arguments):
    """The line, of a command that has to fail."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.endswith("\n"), told
    return told


# help


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself_and_each_of_its_options(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    told = capsys.readouterr().out
    assert left.value.code == 0
    assert cli.COMMANDS[command].__doc__.split()[0] in told
    for name, field in cli.COMMANDS[command].__dataclass_fields__.items():
        assert f"--{name.strip('_').replace('_', '-')}" in told or "Positional" in field.type


def test_help_names_every_system_preset_and_protocol(capsys):
    told = {}
    for command in ("train", "evaluate"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        told[command] = capsys.readouterr().out
    for name in (*SYSTEMS, *PRESETS):
        assert name in told["train"]
    for name in (*metrics.PROTOCOLS, "published"):
        assert name in told["evaluate"]


def test_an_unknown_option_ends_with_exit_code_2(capsys):
    with pytest.raises(SystemExit) as left:
        main(["bench", "--quickly"])
    assert left.value.code == 2
    assert "--quickly" in capsys.readouterr().err


# errors


def test_a_missing_source_is_one_line(capsys, tmp_path):
    told = fails_in_one_line(capsys, "prepare", tmp_path / "nowhere", tmp_path / "capture")
    assert "nowhere does not exist" in told


def test_a_missing_capture_is_one_line_that_names_prepare(capsys, tmp_path):
    told = fails_in_one_line(capsys, "train", tmp_path / "nowhere", tmp_path / "run")
    assert "capture.json" in told and "python -m anr_core prepare" in told


@pytest.mark.parametrize("command", [["evaluate"], ["render", "x.mp4"]])
def test_a_folder_that_is_no_run_is_one_line_that_names_train(command, capsys, tmp_path):
    told = fails_in_one_line(capsys, command[0], tmp_path, *command[1:])
    assert "not a run" in told and "python -m anr_core train" in told


def test_steps_and_minutes_together_are_refused(capsys, small_capture, tmp_path):
    both = "--steps", 3, "--minutes", 1
    told = fails_in_one_line(capsys, "train", small_capture.path, tmp_path / "run", *both)
    assert "steps and minutes" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("text", "reason"), [
    ("{", "no valid JSON"), ("[1]", "holds a list"), ('{"width": "wide"}', "width to 'wide'"),
    ('{"widht": 8}', "widht"), ('{"system": "anr"}', "--system")])
def test_a_broken_config_file_is_refused(text, reason, capsys, small_capture, tmp_path):
    (tmp_path / "config.json").write_text(text)
    told = fails_in_one_line(capsys, "train", small_capture.path, tmp_path / "run", "--config",
                             tmp_path / "config.json")
    assert reason in told
    assert not (tmp_path / "run").exists()


def test_a_whole_number_does_where_any_number_is_asked_for(tmp_path):
    (tmp_path / "config.json").write_text('{"perceptual": 0}')
    assert read_settings(tmp_path / "config.json") == {"perceptual": 0}


def test_a_missing_config_file_is_refused(capsys, small_capture, tmp_path):
    missing = "--config", tmp_path / "missing.json"
    told = fails_in_one_line(capsys, "train", small_capture.path, tmp_path / "run", *missing)
    assert "does not exist" in told


def test_an_unknown_system_is_told_after_no_progress_bar(capsys, small_capture, tmp_path):
    told = fails_in_one_line(capsys, "train", small_capture.path, tmp_path / "run", "--system", "nerf")
    assert "nerf" in told and "anr" in told


def test_an_unknown_projection_is_told_with_those_there_are(capsys, small_capture, tmp_path):
    told = fails_in_one_line(capsys, "train", small_capture.path, tmp_path / "run", "--projection", "fisheye")
    assert "'fisheye' is unknown; use perspective or weak" in told and not (tmp_path / "run").exists()


def test_an_unknown_view_names_the_cameras(capsys, tiny_run, tmp_path):
    told = fails_in_one_line(capsys, "render", tiny_run, tmp_path / "out.mp4", "--view", "cam99")
    assert "cam99" in told and "orbit" in told and "cam01" in told


def test_a_video_needs_the_name_of_one(capsys, tiny_run, tmp_path):
    assert ".mp4" in fails_in_one_line(capsys, "render", tiny_run, tmp_path / "out.gif")


def test_a_motion_that_is_not_there_damaged_or_for_meshes_is_one_line(capsys, tiny_run, tmp_path):
    (tmp_path / "cut.bvh").write_text("HIERARCHY\nROOT Hips\n{\n")
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(0.2)))
    for name, told in (("nowhere.bvh", "does not exist. Give a motion"), ("cut.bvh", "no MOTION part"),
                       ("walk.bvh", "can't be posed anew")):
        arguments = ("render", tiny_run, tmp_path / "out.mp4", "--motion", tmp_path / name)
        assert told in fails_in_one_line(capsys, *arguments)


def test_a_traceback_comes_when_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("ANR_CORE_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        main(["evaluate", str(tmp_path)])


# lists of frames


def test_a_range_of_frames_holds_both_ends_and_only_what_is_there():
    assert frame_list("0-8, 11", [0, 4, 8, 11, 12]) == [0, 4, 8, 11]


@pytest.mark.parametrize("text", ["", "a", "3-", "-3", "1,,2", "5-7", "9"])
def test_frames_that_are_not_there_or_no_numbers_are_refused(text):
    with pytest.raises(ValueError, match="frame"):
        frame_list(text, [0, 1, 2, 3, 4])


# the way through


def test_a_run_trains_on_the_frames_it_is_told_to(tiny_run):
    saved = json.loads((tiny_run / "config.json").read_text())
    assert {frame for _, frame in saved["trained"]} == {0, 1, 2, 3}
    assert {name: saved["config"][name] for name in TINY} == TINY


def test_evaluate_writes_the_figures_that_it_prints(tiny_run, tmp_path, capsys):
    assert main(["evaluate", str(tiny_run), "--protocol", "inside", "--json", str(tmp_path / "f.json")]) == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    psnr = figures["novel_pose"]["inside"]["anr"]["psnr"]
    assert f"{psnr:.2f}" in capsys.readouterr().out


def test_an_interrupt_closes_the_training_and_says_how_to_go_on(monkeypatch, capsys, small_capture, tmp_path):
    closed = []

    def trains_for_ever(*_, **__):
        try:
            while True:
                yield Progress(1, "texture", 0.1, {"loss": 1.0}, 1.0, 1.0, None)
        finally:
            closed.append(True)

    def interrupt(*_):
        raise KeyboardInterrupt

    training_held = trains_for_ever()  # held here, so that it isn't closed because nobody needs it any more
    monkeypatch.setattr(training, "train", lambda *_, **__: training_held)
    monkeypatch.setattr("tqdm.tqdm.update", interrupt)
    assert main(["train", str(small_capture.path), str(tmp_path / "run")]) == 130
    assert closed
    assert "The same command goes on" in capsys.readouterr().err.splitlines()[-1]


def test_progress_shows_loss_speed_time_left_and_where_previews_are(capsys):
    show_progress(step for step in [
        Progress(1, "texture", 0.5, {"a": 0.25, "b": 0.5}, 12.34, 65, Path("runs/x/previews/1.jpg")),
        Progress(2, "renderers", 1.0, {"a": 0.125}, 12.34, 0, Path("runs/x/previews/2.jpg"))])
    told = capsys.readouterr()
    assert told.out.splitlines() == ["texture: losses a, b", "previews: runs/x/previews",
                                     "page: runs/x/index.html",
                                     "renderers: losses a"]
    assert "loss 0.1250, 12.3 images/s, 00:00 left" in told.err and "100%" in told.err


def test_from_a_checkout_it_survives_a_reader_that_has_seen_enough(small_source, tmp_path):
    command = [sys.executable, "-m", "anr_core", "prepare", small_source, tmp_path / "capture"]
    started = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    started.stdout.close()
    assert started.stderr.read() == b""
    assert started.wait() == 0


def test_importing_the_package_does_not_import_torch():
    code = "import anr_core, sys; assert 'torch' not in sys.modules; from anr_core import Camera"
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT).returncode == 0


@pytest.mark.parametrize("error, told", [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has ..."),
     "Error: The GPU's memory is too small: choose a smaller --size.*CUDA out of memory"),
    (MemoryError(), "Error: There is not enough memory"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"),
     "Error: There is not enough memory.*can't allocate"),
], ids=["of a GPU", "of numpy", "of torch"])
def test_a_lack_of_memory_is_told_in_one_line(error, told, monkeypatch, capsys):
    def fails(*_):
        raise error

    monkeypatch.setattr("anr_core.avatars.run.Run.open", fails)
    assert main(["render", "run", "out.mp4"]) == 2
    said = capsys.readouterr().err
    assert re.search(told, said) and said.count("\n") == 1
