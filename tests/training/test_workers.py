"""Processes that read pictures beside a training, killed for real, or handed something they can't read."""

import multiprocessing
import os
import signal

import pytest
import torch

from anr_core.capture import load_capture
from anr_core.training import train

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
STEPS = 30


def training(capture, run, workers):
    return train(capture, run, "deferred", steps=STEPS, config=TINY | {"workers": workers})


def test_one_that_is_killed_is_told_and_the_run_goes_on_to_the_same_bytes(small_capture, tmp_path):
    run, seen = tmp_path / "run", []
    with pytest.raises(ValueError, match="process that reads pictures ended.*same command.*workers") as told:
        for progress in training(small_capture, run, 1):
            seen.append(progress.step)
            if progress.step == 3:
                worker, = multiprocessing.active_children()
                os.kill(worker.pid, signal.SIGKILL)
    assert "\n" not in str(told.value)
    assert torch.load(run / "training.pt")["step"] == seen[-1] < STEPS
    # with as many workers as one likes: they change nothing
    assert next(rest := training(small_capture, run, 0)).step == seen[-1] + 1
    list(rest)
    list(training(small_capture, tmp_path / "whole", 0))
    assert (run / "checkpoint.safetensors").read_bytes() == \
        (tmp_path / "whole/checkpoint.safetensors").read_bytes()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_vanishes_is_named_in_one_line_and_the_steps_are_saved(workers, copied, tmp_path):
    capture = load_capture(copied)
    capture.memory.limit = 0  # it is read each time
    steps = training(capture, tmp_path / "run", workers)
    next(steps)
    (copied / "frames/cam01").rename(copied / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"cam01/\d+.jpg is missing. Put it back") as told:
        last = 1
        for progress in steps:
            last = progress.step
    assert "\n" not in str(told.value)
    assert torch.load(tmp_path / "run/training.pt")["step"] == last


@pytest.fixture
def source(small_capture):
    return small_capture.path
