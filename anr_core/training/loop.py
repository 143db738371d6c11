"""The loop: avatars go through their stages, step by step, and what they have learned is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

from anr_core.avatars import Config, Stage
from anr_core.capture import View
from anr_core.launch import Place
from anr_core.processes import told_by_first
from anr_core.training.batches import batches_of, loaded
from anr_core.training.beginning import Person, State
from anr_core.training.bodies import Bodies
from anr_core.training.learner import Learner
from anr_core.training.lock import Lock
from anr_core.training.plateau import steps_between_looks
from anr_core.training.previews import Previews
from anr_core.training.record import Progress, Record
from anr_core.training.schedule import Budget, average
from anr_core.training.signals import ALL, DEATHS, Held
from anr_core.training.validation import validated
from anr_core.training.workers import died, of_death

SAVES = 60  # seconds of training from one checkpoint to the next


class Trainer:
    """Takes a state through its avatars' stages; iterating it trains."""

    def __init__(self, path: Path, people: list[Person], state: State, budget: Budget, fabric: Fabric,
                 lock: Lock | None = None):
        self.path, self.people, self.state, self.budget, self.fabric = path, people, state, budget, fabric
        self.lock = lock
        self.place = Place(fabric.global_rank, fabric.world_size)
        self.config = people[0].run.config
        self.pictures = sum(len(person.training.shots) for person in people)
        # the stages of each person; their names and shares are alike
        self.stages = [avatar.stages(self.config) for avatar in state.avatars]
        self.bodies = Bodies(fabric.device)
        self.learner: Learner | None = None
        self.saved = state.seconds
        self.previews = Previews(path, people, state, self.bodies, [stage.name for stage in self.stages[0]]) \
            if fabric.is_global_zero else None

    @property
    def done(self) -> float:
        """How much of the budget is used up, in [0, 1]."""
        return self.budget.fraction(self.state.step, self.state.seconds)

    def seen(self, stage: Stage) -> int:
        """How many pictures a step shows to all processes together; in a practice none."""
        return 0 if stage.practice else self.config.batch * self.place.count

    def __iter__(self) -> Iterator[Progress]:
        if not self.stages[0]:  # nothing to learn: what was unwrapped is the avatar
            self.save()
            self.state.averaged.to(self.fabric.device).eval()
            return self._leave_page(whole=True)
        self.state.avatars.to(self.fabric.device)
        self.state.averaged.to(self.fabric.device).eval()
        with Record(self.path, self.state.step) if self.fabric.is_global_zero else nullcontext() as record:
            while self.done < 1:
                with closing(self._stage()) as stage:  # so that an error in its last saving is raised
                    for progress in stage:
                        if record:
                            record.write(progress)
                        yield progress
        self._leave_page(whole=True)

    def _stage(self) -> Iterator[Progress]:
        """Train until the stage's share of the budget is used up; the next begins from averaged weights."""
        state, stages = self.state, [stages[self.state.stage] for stages in self.stages]
        stage = stages[0]
        end = sum(stage.share for stage in self.stages[0][:state.stage + 1])
        last = stage is self.stages[0][-1]
        for avatar, mine, person in zip(state.avatars, stages, self.people, strict=True):
            avatar.begin(mine, partial(self.bodies.views, avatar, person.training, self.config))
        if state.optimizer is None:  # what beginning the stage has changed
            state.averaged.load_state_dict(state.avatars.state_dict())
        learner = self.learner = Learner(
            state, self.config, [person.run.person for person in self.people], stages,
            lambda row: self.bodies.of(self.people[row].training), self.fabric, self.place)
        batches, begun, first = self._batches(stage, self.config), time.perf_counter(), state.step
        held, deaths, sound, reading = Held(ALL), Held(DEATHS), True, False
        try:
            while self.done < (1 if last else end):
                held.deliver()
                deaths.deliver()
                if self.lock is not None and not self.lock.mine:
                    raise ValueError(f"{self.path} was taken over by a later training of this process.")
                started = time.perf_counter()
                learner.set_learning_rates((self.done - end + stage.share) / stage.share,
                                           state.pictures / self.pictures / self.config.passes)
                reading = True
                batch = next(batches)
                reading = False
                with held:
                    # nor is a state sound that was left while drawing: that takes random numbers, and some
                    # networks note what they have seen
                    sound = False
                    try:
                        losses = learner.step(batch)
                    except torch.OutOfMemoryError:  # it holds what fills the memory, so it goes first
                        losses = None
                    if losses is None:
                        raise learner.too_large(partial(self._batches, stage))
                    state.step += 1
                    state.pictures += self.seen(stage)
                    average(state.averaged, state.avatars, state.step)
                    if learner.plateau:
                        self._look_at(losses)
                    # the first process's clock, so that all of them stop at the same step
                    state.seconds = told_by_first(state.seconds + time.perf_counter() - started, self.place)
                    sound = True
                with deaths:
                    self._look_after()
                rate = (state.step - first) * self.seen(stage) / (time.perf_counter() - begun)
                yield Progress(state.step, stage.name, self.done, losses, rate,
                               state.seconds * (1 / self.done - 1), self.previews and self.previews.newest,
                               state.seconds, state.averaged)
        except (KeyboardInterrupt, GeneratorExit):
            with deaths:
                if sound:  # else the last checkpoint is the newest that is
                    self.save()
                    self._leave_page()
            raise
        except Exception as error:
            with deaths, suppress(ValueError, OSError):  # what went wrong first is told
                if reading or sound and died(error):
                    self.save()
                self._leave_page()
            if died(error):
                raise of_death(self.path) from None
            raise
        if not last:
            state.stage, state.optimizer, state.adversary, state.plateau = state.stage + 1, None, None, None
            self.learner = None
            state.avatars.load_state_dict(state.averaged.state_dict())
        self.save()
        held.deliver()

    def _batches(self, stage: Stage, config: Config) -> Iterator[View | int]:
        """From the state's step on, without end: views, or in a practice the steps' numbers alone."""
        steps = range(self.state.step, 1 << 31)
        if stage.practice:  # the same in all processes: how many examples a step has is no matter of `batch`
            return iter(steps)
        batches = batches_of(self.state.avatars, [person.training for person in self.people], stage, config,
                             steps, self.place)
        return loaded(batches, config.workers, self.fabric.device)

    def _look_at(self, losses: dict[str, float]) -> None:
        """Let the plateau see a step's losses, and now and then what validation says, or these do."""
        plateau = self.learner.plateau
        plateau.note(sum(losses.values()))
        if plateau.steps == steps_between_looks(self.pictures, self.config.batch * self.place.count):
            loss = validated(self.people, self.state.averaged, self.bodies, self.learner.stage.name)
            plateau.look(told_by_first(plateau.mean if loss is None else loss, self.place))
        self.state.plateau = plateau.state()

    def _look_after(self) -> None:
        """Previews and checkpoints, when their time has come; the first process's."""
        if not self._owns():
            return
        self.previews.look_after(self.done)
        if self.state.seconds - self.saved >= SAVES:
            self.save()

    def save(self) -> None:
        """Write a checkpoint; of several processes the first one does."""
        if self._owns():
            learner = self.learner
            self.state.save(self.path, self.people, learner and learner.optimizer,
                            learner and learner.adversary)
        self.saved = self.state.seconds

    def _owns(self) -> bool:
        """Whether to write: the first process does, unless a later training has taken its folder over."""
        return self.fabric.is_global_zero and (self.lock is None or self.lock.mine)

    def _leave_page(self, whole: bool = False) -> None:
        """The page as it stays, for now; whole: with a row of the last step."""
        if self._owns():
            self.previews.leave(1.0 if whole else self.done, whole)
