"""A run folder is trained by one process at a time."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from anr_core.avatars.run import LOCK
from anr_core.training import train
from anr_core.training.lock import Lock

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
HOLDING = """
import fcntl, sys, time
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
file.write("process 7 on a machine")
file.flush()
print("held", flush=True)
time.sleep(60)
"""


def training(capture, run, steps=3):
    return train(capture, run, "deferred", steps=steps, config=TINY)


def is_free(path):
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_folder_that_another_process_trains_is_refused_until_that_is_killed(small_capture, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    other = subprocess.Popen([sys.executable, "-c", HOLDING, str(run / LOCK)], stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(ValueError, match="is being trained by process 7 on a machine. Wait"):
        next(training(small_capture, run))
    assert [file.name for file in run.iterdir()] == [LOCK]
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert [progress.step for progress in training(small_capture, run)] == [1, 2, 3]
    assert not (run / LOCK).exists()


def test_a_folder_is_locked_while_it_is_trained_and_free_when_that_is_closed(small_capture, tmp_path):
    steps = training(small_capture, tmp_path / "run")
    next(steps)
    assert not is_free(tmp_path / "run" / LOCK)
    assert f"process {os.getpid()} " in (tmp_path / "run" / LOCK).read_text()
    steps.close()
    assert not (tmp_path / "run" / LOCK).exists()


def test_what_was_refused_leaves_no_folder(small_capture, tmp_path, monkeypatch):
    def refuse(*_):
        raise ValueError("no")

    monkeypatch.setattr("anr_core.training.joining.start", refuse)
    with pytest.raises(ValueError, match="no"):
        next(training(small_capture, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_process_that_was_forked_off_does_not_keep_the_lock(tmp_path):
    """Else those that read pictures would, for some seconds after their training was killed."""
    with Lock(tmp_path) as lock:
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
        time.sleep(0.2)
        lock.file.close()
        assert is_free(tmp_path / LOCK)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_later_training_of_one_process_takes_over_and_the_earlier_writes_no_more(small_capture, tmp_path):
    run = tmp_path / "run"
    earlier = training(small_capture, run)
    next(earlier)
    assert len(list(training(small_capture, run))) == 3
    done = (run / "training.pt").read_bytes()
    earlier.close()
    assert (run / "training.pt").read_bytes() == done
    with pytest.raises(ValueError, match="taken over by a later"):
        later = training(small_capture, tmp_path / "two")
        next(later)
        next(training(small_capture, tmp_path / "two"))
        next(later)


def test_where_the_file_system_has_no_locks_one_trains_all_the_same(small_capture, tmp_path, monkeypatch):
    def missing(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", missing)
    assert len(list(training(small_capture, tmp_path / "run"))) == 3
