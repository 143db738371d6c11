"""Trainings that are killed again and again, at random, and go on: what is lost, and what they come to.

Each is a process of its own, which gets SIGKILL: some after a step that is drawn by lot and a moment more,
wherever they are by then; others in the midst of writing a file, of which a part has arrived.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from anr_core.training import loop, train

# one process imports what takes seconds, and those that train are forked off it
PROCESSES = multiprocessing.get_context("forkserver")
IMPORTED = ["benchmarks.killing", "torch.utils.tensorboard", "anr_core.avatars.deferred",
            "anr_core.rasterizer.warp", "scipy.spatial"]
MOMENT = 0.1  # seconds: some steps with their saving
FILES = 12    # of a few steps
SETTINGS = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}


@dataclass(frozen=True)
class Plan:
    """When a training is killed: so many steps after it begins and a moment later, or within a file.

    file   which of the files that it writes, from 1; None for a kill at any time
    share  of the file that has arrived
    place  "fsync" or "replace": before which of the two it is killed
    """

    steps: int
    moment: float
    file: int | None
    share: float
    place: str

    @staticmethod
    def drawn(lots: random.Random, most: int) -> Plan:
        return Plan(lots.randrange(most), lots.uniform(0, MOMENT),
                    lots.randint(1, FILES) if lots.random() < 0.5 else None, lots.random(),
                    lots.choice(["fsync", "replace"]))


@dataclass(frozen=True)
class Kill:
    """What a kill left.

    told   the last step that the training told of, each of which was saved before
    saved  the step that it would go on from, 0 for the beginning
    """

    plan: Plan
    told: int
    saved: int


def killed(capture: Path, run: Path, steps: int, lots: random.Random, system: str = "anr") -> Kill | None:
    """Go on with a training until it is killed; None where it came to its end before.

    Raises RuntimeError with what it said where it ends otherwise.
    """
    before = saved_step(run)
    plan = Plan.drawn(lots, max(1, (steps - before) // 2))
    process, told = _started(capture, run, steps, system, plan)
    step = before
    try:
        while (news := told.recv()) != "done":
            step = news
            if plan.file is None and step - before > plan.steps:
                time.sleep(plan.moment)
                process.kill()
    except EOFError:  # it is dead
        pass
    process.join()
    if process.exitcode == 0:
        return None
    if process.exitcode != -signal.SIGKILL:
        raise RuntimeError(f"The training in {run} ended by itself with exit code {process.exitcode}.")
    return Kill(plan, step, saved_step(run))


def trained(capture: Path, run: Path, steps: int, system: str = "anr") -> bytes:
    """The checkpoint's bytes of a training that goes on undisturbed to its end."""
    process, told = _started(capture, run, steps, system, None)
    try:
        while told.recv() != "done":
            pass
    except EOFError:
        process.join()
        raise RuntimeError(f"The training in {run} ended with exit code {process.exitcode}.") from None
    process.join()
    return (run / "checkpoint.safetensors").read_bytes()


def saved_step(run: Path) -> int:
    """The step that a run goes on from."""
    file = run / "training.pt"
    return torch.load(file, weights_only=True)["step"] if file.is_file() else 0


def endure(capture: Path, folder: Path, kills: int, steps: int, seed: int, system: str = "anr"
           ) -> Iterator[Kill]:
    """Kill trainings so many times in all; each that comes to its end must be as one that nobody disturbed.

    Raises RuntimeError where its bytes are others, or where a step was lost that had been saved.
    """
    whole = trained(capture, folder / "whole", steps, system)
    lots, count, runs = random.Random(seed), 0, 0
    while count < kills:
        run, runs = folder / f"run{runs}", runs + 1
        while (kill := killed(capture, run, steps, lots, system)) is not None:
            if kill.saved < kill.told:
                raise RuntimeError(f"{run} was saved at step {kill.told} and is back at {kill.saved}: {kill}")
            count += 1
            yield kill
            if count == kills:
                break
        if trained(capture, run, steps, system) != whole:
            raise RuntimeError(f"{run} was killed, went on, and came to other bytes than {folder / 'whole'}.")


def _started(capture, run, steps, system, plan):
    """A training in a process of its own, and the pipe that it tells its steps through."""
    PROCESSES.set_forkserver_preload(IMPORTED)
    told, telling = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_train, args=(capture, run, steps, system, plan, telling))
    process.start()
    telling.close()
    return process, told


def _train(capture, run, steps, system, plan, telling):
    torch.set_num_threads(1)  # the same sums on any machine
    loop.SAVES = 0  # after each step
    if plan is not None and plan.file is not None:
        _die_writing(plan)
    for progress in train(capture, run, system, steps=steps, config=SETTINGS):
        telling.send(progress.step)
    telling.send("done")


def _die_writing(plan):
    written, sync, replace = [], os.fsync, os.replace

    def killing(file):
        written.append(file)
        if len(written) == plan.file and plan.place == "fsync":
            os.ftruncate(file, int(plan.share * os.fstat(file).st_size))
            os.kill(os.getpid(), signal.SIGKILL)
        sync(file)

    def replacing(*names):
        if len(written) == plan.file:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*names)

    os.fsync, os.replace = killing, replacing
