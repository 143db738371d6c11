"""How long to train, how fast to learn on the way, and whose average is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from anr_core.avatars import Avatar, Stage

WARM_UP = 0.02   # share of a stage in which the learning rate grows to its start
AVERAGE = 0.998  # share of the averaged weights that a step leaves: they span about 500 steps


@dataclass(frozen=True)
class Budget:
    """How long to train: so many steps, or so many minutes of training time."""

    steps: int | None
    minutes: float | None

    def fraction(self, step: int, seconds: float) -> float:
        """How much is used up after so many steps and seconds, in [0, 1]."""
        done = step / self.steps if self.steps else seconds / (60 * self.minutes)
        return min(done, 1.0)


def make_optimizer(avatars: Sequence[Avatar], stages: Sequence[Stage]) -> torch.optim.Optimizer:
    """Adam over the groups of each avatar's stage; they know their learning rates at the start and the end.

    What several avatars share learns as the first of them says.
    """
    groups, taken = [], set()
    for avatar, stage in zip(avatars, stages, strict=True):
        named = [(name, parameter) for name, parameter in avatar.named_parameters() if parameter not in taken]
        groups += [{"params": [parameter for name, parameter in named if name.startswith(group)],
                    "lr": start, "start": start, "end": end} for group, (start, end) in stage.groups.items()]
        taken.update(avatar.parameters())
    return torch.optim.Adam([group for group in groups if group["params"]], betas=(0.9, 0.99),
                            fused=True)  # a third of the time, on CPUs too


def set_learning_rates(optimizer: torch.optim.Optimizer, place: float, passes: float = 0.0) -> None:
    """Half a cosine from each group's first learning rate to its last after a short warm-up.

    place   in the stage, from 0 to 1; below 0 where a finished run goes on with a larger budget
    passes  how often each picture was seen, in units of what quarters the learning rate: what a network still
            learns of six pictures after a thousand passes, it learns by heart. The square lets the sum of all
            steps converge, so that training longer adds little
    """
    place = min(max(place, 0.0), 1.0)
    down, warm = (1 - math.cos(math.pi * place)) / 2, min(1.0, place / WARM_UP + 0.1)
    for group in optimizer.param_groups:
        group["lr"] = (group["start"] + (group["end"] - group["start"]) * down) * warm / (1 + passes)**2


def scale_learning_rates(optimizer: torch.optim.Optimizer, place: float, scale: float) -> None:
    """Each group's first learning rate times what a plateau has left of it, after the same warm-up."""
    warm = min(1.0, min(max(place, 0.0), 1.0) / WARM_UP + 0.1)
    for group in optimizer.param_groups:
        group["lr"] = group["start"] * warm * scale


@torch.no_grad()
def average(averaged: torch.nn.Module, newest: torch.nn.Module, step: int) -> None:
    """Move the averaged weights, and what batch norm knows, to the newest; early on they span fewer steps."""
    keep = min(AVERAGE, step / (step + 10))
    torch._foreach_lerp_(_moving(averaged), _moving(newest), 1 - keep)


def _moving(module: torch.nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *(buffer for name, buffer in module.named_buffers()
                                    if name.endswith(("running_mean", "running_var")))]
