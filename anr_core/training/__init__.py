"""One training loop for every system: capture in, run folder out; a generator, so that a notebook can watch.

    for progress in train("captures/demo", "runs/demo", minutes=3):
        print(progress)

Which views a step sees, and through which windows, follows from the seed and the step's number alone. So a
run that was killed goes on from its last checkpoint as if nothing had been, to the same bytes (CPU, float32,
--steps).

Several people can be trained together, taking turns, step by step: each has an avatar of their own, but for
what they share (`Avatar.shared`, such as R1 and R2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from anr_core.avatars import avatar_class, configure
from anr_core.capture import Capture, load_capture
from anr_core.launch import Place
from anr_core.processes import told_by_first
from anr_core.training.beginning import (
    chosen,
    difference_of_projections,
    renderers_of,
    shared_levels,
    told_apart,
)
from anr_core.training.joining import begin, launched_fabric
from anr_core.training.lock import Lock
from anr_core.training.loop import Trainer
from anr_core.training.objective import scene_of
from anr_core.training.pairs import as_pairs_are
from anr_core.training.record import Progress
from anr_core.training.schedule import Budget
from anr_core.training.validation import validation_of

__all__ = ["Progress", "scene_of", "train"]


def train(capture: str | Path | Capture | Sequence[str | Path | Capture], run: str | Path,
          system: str = "anr", preset: str = "quick", *,
          steps: int | None = None, minutes: float | None = None, seed: int | None = None,
          projection: str | None = None, frames: Iterable[int] | None = None,
          cameras: Iterable[str] | None = None, init: str | Path | None = None,
          freeze_renderers: bool = False, freeze_texture: bool = False, refine: bool | None = None,
          config: dict | None = None) -> Iterator[Progress]:
    """Train an avatar of a capture into a run folder, going on where that folder stopped.

    capture           one, or several of other people, whose avatars are to share their renderers
    steps, minutes    how long; minutes count training alone, not previews and saving
    frames, cameras   train on these only, so that the others can judge
    init              a run whose renderers to start from; it may be of another person and body
    freeze_renderers  leave them as they are, and train the texture alone
    freeze_texture    leave the person as that run knows them, and train the renderers alone: another style
    refine            first correct poses and cameras a little, by the masks' outlines; None: from thirty
                      pictures on
    config            further settings of Config by name

    Interrupting it, or closing the generator, leaves a valid run. Raises ValueError for a run of other
    settings and for training that diverges.
    """
    if steps is not None and minutes is not None:
        raise ValueError("steps and minutes were both given; how long to train is one of them.")
    for name, length in (("steps", steps), ("minutes", minutes)):
        if length is not None and length <= 0:
            raise ValueError(f"{name} is {length}; give a number above 0.")
    captures = [capture] if isinstance(capture, str | Path | Capture) else capture
    captures = [one if isinstance(one, Capture) else load_capture(one) for one in captures]
    settings = {"seed": seed, "projection": projection, "freeze_renderers": freeze_renderers or None,
                "freeze_texture": freeze_texture or None,
                "refine_from": None if refine is None else int(refine)}
    configured = configure(preset, system=system, **settings | (config or {}))
    trainings = told_apart([chosen(one, cameras, frames) for one in captures])
    configured = as_pairs_are(configured, trainings, init and renderers_of(init).config)
    configured = avatar_class(configured.system).decided(configured, trainings)
    configured = shared_levels(configured, sum(len(training.shots) for training in trainings),
                                len(trainings), init)
    path = Path(run).resolve()
    budget = Budget(None if minutes else steps or configured.steps, minutes)
    fabric = launched_fabric(configured)
    place = Place(fabric.global_rank, fabric.world_size)
    torch.manual_seed(configured.seed)
    if configured.projection == "weak" and fabric.is_global_zero:
        for training in trainings:
            print(difference_of_projections(training, configured.size))
    with ExitStack() as stack:
        lock = Lock(path)
        people, state = begin(path, configured, trainings, init, place, lambda: stack.enter_context(lock))
        people = [replace(person, validation=validation_of(one))
                  for person, one in zip(people, captures, strict=True)]
        yield from Trainer(path, people, state, budget, fabric, lock if fabric.is_global_zero else None)
    if place.count > 1:  # its threads, left to Python's end, have killed a process that was done
        told_by_first(None, place)
        torch.distributed.destroy_process_group()
