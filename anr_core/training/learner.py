"""What learns in a stage: a step takes the gradients of a batch, then moves the weights."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from lightning_fabric import Fabric

from anr_core.avatars import Config, Stage
from anr_core.body import Body
from anr_core.capture import View
from anr_core.launch import Place
from anr_core.processes import average_gradients, make_alike
from anr_core.training.beginning import State
from anr_core.training.divergence import of_divergence, size_of_gradients
from anr_core.training.memory import of_memory, tried
from anr_core.training.objective import Objective
from anr_core.training.plateau import Plateau
from anr_core.training.schedule import make_optimizer, scale_learning_rates, set_learning_rates


class Learner:
    """The avatars' losses in a stage, their optimiser, and an adversary and a plateau where it has them.

    names   of the people, as their views tell whose they are
    stages  each person's; their names and shares are alike
    body    of a person, by row, where the avatars are
    """

    def __init__(self, state: State, config: Config, names: Sequence[str], stages: Sequence[Stage],
                 body: Callable[[int], Body | None], fabric: Fabric, place: Place):
        self.state, self.config, self.names, self.body = state, config, list(names), body
        self.stage, self.fabric, self.place = stages[0], fabric, place
        self.plateau: Plateau | None = self.stage.plateau and Plateau(*self.stage.plateau)
        if state.plateau is not None:
            self.plateau = Plateau(**state.plateau)
        optimizer = make_optimizer(state.avatars, stages)
        if state.optimizer is not None:
            optimizer.load_state_dict(state.optimizer)
        self.adversary = self.stage.adversary and state.avatars[0].adversary(
            self.stage.adversary, self.config.adversary, self.config.seed, fabric, state.adversary)
        self.objective, self.optimizer = fabric.setup(
            Objective(state.avatars, self.stage.name, self.adversary, place), optimizer)
        make_alike(state.avatars, place)  # GPUs add up in another order, each time that a stage begins

    def step(self, batch: View | int) -> dict[str, float]:
        """Learn from a batch, or in a practice from the step's number alone; its losses by name.

        Raises ValueError where they are not finite, before any weight has changed.
        """
        losses = self._gradients(batch)
        self.optimizer.step()
        if self.adversary:
            self.adversary.optimizer.step()
        return losses

    def set_learning_rates(self, place: float, passes: float) -> None:
        """For a place in the stage, from 0 to 1, after so many passes over the pictures: see schedule.py."""
        for learning in (self.optimizer, *([self.adversary.optimizer] if self.adversary else [])):
            if self.plateau:
                scale_learning_rates(learning, place, self.plateau.scale)
            else:
                set_learning_rates(learning, place, passes)

    def too_large(self, batches: Callable[[Config], Iterator[View | int]]) -> ValueError:
        """What to raise where a step of so many pictures did not fit into the GPU's memory.

        batches  those from this step on, by settings
        """
        if self.stage.practice:
            return ValueError(f"The GPU's memory is too small for step {self.state.step + 1}, on made-up "
                              "examples. The last checkpoint is kept. Free it of other programs, or train "
                              "into another folder with a smaller --preset.")
        config, rays = self.config, (self.stage.draws or self.state.avatars[0].draws) == "rays"
        self.optimizer.zero_grad()
        gc.collect()
        torch.cuda.empty_cache()
        # Adam, which begins with the first step, notes two numbers beside each weight
        coming = 0 if self.optimizer.state else 2 * sum(weight.nbytes for weight in self._learned)

        def draw(window):
            one = replace(config, batch=1, window=window, workers=0)
            with self.fabric.autocast():
                losses = self._losses(self.objective.module, next(batches(one)))
            torch.autograd.grad(sum(losses.values()), self._learned, allow_unused=True)

        free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
        # several processes would wait for each other
        trial = tried(draw, config.window, coming) if self.place.count == 1 else None
        what = f"{config.rays} rays" if rays else f"{config.window}x{config.window} pixels"
        return of_memory(self.state.step + 1, free, trial, config.batch, config.window, what)

    def _losses(self, objective: torch.nn.Module, batch: View | int) -> dict[str, torch.Tensor]:
        if not isinstance(batch, View):
            return objective(batch % len(self.names), batch)
        person = self.names.index(batch.person[0])
        # what is drawn already needs no mesh
        body = None if batch.input is not None else self.body(person)
        return objective(person, lambda avatar: avatar.placed(batch, body))

    def _gradients(self, batch: View | int) -> dict[str, float]:
        losses = self._losses(self.objective, batch)
        self.optimizer.zero_grad()
        self.fabric.backward(sum(losses.values()))
        checked = [*losses.values(), size_of_gradients(self._learned)]
        if self.adversary:
            checked += [self.adversary.gradients(), size_of_gradients(self.adversary.network.parameters())]
        # a GPU is waited for once, not once a loss
        values = torch.stack([value.detach().double() for value in checked])
        values = average_gradients(self.objective.parameters(), values, self.place)
        if self.stage.clip is not None:
            torch.nn.utils.clip_grad_value_(self.objective.parameters(), self.stage.clip)
        numbers = dict(zip(losses, values, strict=False))
        if not all(map(math.isfinite, values)):
            raise of_divergence(self.state.step + 1, batch, numbers)
        return numbers

    @property
    def _learned(self) -> list[torch.nn.Parameter]:
        """The weights that a step changes."""
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]
