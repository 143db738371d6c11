"""Signals that ask a training to stop: real ones, in the midst of a step."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch

from anr_core.avatars.run import load_avatar
from anr_core.cli import main
from anr_core.training import loop, train
from anr_core.training.signals import ALL, Held

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
STEPS = 8


@pytest.fixture(scope="module")
def undisturbed(small_capture, tmp_path_factory):
    """The bytes of a run that nothing disturbed; ANR draws random numbers while it draws."""
    run = tmp_path_factory.mktemp("whole") / "run"
    list(train(small_capture, run, steps=STEPS, config=TINY))
    return (run / "checkpoint.safetensors").read_bytes()


def signalled(monkeypatch, name, number):
    """Let this process get a signal, the fifth time that a function of the training room was called."""
    function, calls = resolve_name(f"anr_core.training.{name}"), []

    def signals(*arguments):
        done = function(*arguments)
        calls.append(arguments)
        if len(calls) == 5:
            os.kill(os.getpid(), number)
        return done

    monkeypatch.setattr(f"anr_core.training.{name}", signals)


@pytest.mark.parametrize("name", ["objective.scene_of", "loop.average"],
                         ids=["while drawing", "while the weights change"])
def test_a_signal_in_a_step_waits_until_it_is_whole_and_the_run_goes_on_to_the_same_bytes(
        name, small_capture, undisturbed, tmp_path, monkeypatch):
    run, seen = tmp_path / "run", []
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        signalled(patch, name, signal.SIGINT)
        for progress in train(small_capture, run, steps=STEPS, config=TINY):
            seen.append(progress.step)
    assert torch.load(run / "training.pt")["step"] == seen[-1]
    rest = list(train(small_capture, run, steps=STEPS, config=TINY))
    assert rest[0].step == seen[-1] + 1
    assert (run / "checkpoint.safetensors").read_bytes() == undisturbed


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_command_line_saves_says_what_to_do_and_ends_with_the_signals_code(number, code, small_capture,
                                                                               tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:  # by nohup, which training respects
        before = signal.SIG_DFL
        signal.signal(number, before)
    with monkeypatch.context() as patch:
        signalled(patch, "loop.average", number)
        assert main(["train", str(small_capture.path), str(run), "--system", "deferred", "--steps", "9",
                     "--config", settings(tmp_path)]) == code
    assert "The same command goes on" in capsys.readouterr().err
    assert torch.load(run / "training.pt")["step"] == 5
    assert signal.getsignal(number) is before


def settings(folder):
    file = folder / "settings.json"
    file.write_text(json.dumps(TINY))
    return str(file)


def test_what_is_ignored_stays_ignored(small_capture, tmp_path, monkeypatch):
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signalled(monkeypatch, "loop.average", signal.SIGHUP)
        assert main(["train", str(small_capture.path), str(tmp_path / "run"), "--system", "deferred",
                     "--steps", "6", "--config", settings(tmp_path)]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_who_asks_twice_in_one_step_is_heard_at_once():
    held = Held(ALL)
    with pytest.raises(KeyboardInterrupt), held:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        pytest.fail("nobody heard")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_a_process_that_is_terminated_leaves_a_whole_run(small_capture, tmp_path):
    command = [sys.executable, "-m", "anr_core", "train", str(small_capture.path), str(tmp_path / "run"),
               "--system", "deferred", "--minutes", "9", "--config", settings(tmp_path)]
    process = subprocess.Popen(command, cwd=Path(loop.__file__).parents[2], stderr=subprocess.PIPE,
                               text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while not list(tmp_path.glob("run/events*")):
        time.sleep(0.05)
    time.sleep(0.5)
    process.terminate()
    assert "The same command goes on" in process.communicate()[1]
    assert process.returncode == 143
    assert load_avatar(tmp_path / "run").config.system == "deferred"
