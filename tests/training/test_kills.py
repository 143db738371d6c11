"""Real processes, really killed, at any time and in the midst of writing: see benchmarks/killing.py."""

import random

import pytest

from benchmarks.killing import killed, saved_step, trained

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

STEPS = 6


@pytest.fixture(scope="module")
def undisturbed(small_capture, tmp_path_factory):
    """The bytes of a run that nothing disturbed."""
    return trained(small_capture.path, tmp_path_factory.mktemp("whole") / "run", STEPS, "deferred")


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_process_goes_on_from_its_last_checkpoint_to_the_same_bytes(seed, small_capture, undisturbed,
                                                                             tmp_path):
    run, lots = tmp_path / "run", random.Random(seed)
    kill = killed(small_capture.path, run, STEPS, lots, "deferred")
    if kill is not None:  # else it was done before its lot came
        assert kill.told <= kill.saved <= kill.told + 1 and saved_step(run) == kill.saved
    assert trained(small_capture.path, run, STEPS, "deferred") == undisturbed
