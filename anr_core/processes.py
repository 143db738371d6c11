"""The processes that train one avatar together, as torchrun or SLURM's srun starts them.

Each has as many rows of a batch: of W processes with n rows each, process r has rows r n to (r + 1) n - 1,
and a step of theirs is the step that one process with W n rows would take. For that

- random numbers are drawn for all rows in every process, so that their random states stay the same, and each
  process takes its own (`own`);
- what is divided by a number that only all rows tell, as a mean under a weight is, is divided by the mean
  that this number has over the processes (`mean_of_all`). The mean of their losses is then the loss of all
  rows, and so are the gradients, averaged (`average_gradients`).

Only what runs inside of `together` asks the others; elsewhere a process is alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import distributed

from anr_core.launch import ALONE, Place

_place: ContextVar[Place] = ContextVar("place", default=ALONE)


@contextmanager
def together(place: Place) -> Iterator[None]:
    """Inside, a batch's rows are those of one of several processes."""
    before = _place.set(place)
    try:
        yield
    finally:
        _place.reset(before)


def writes() -> bool:
    """Whether this process writes files: of several that have joined to train, the first one alone."""
    joined = distributed.is_available() and distributed.is_initialized()
    return not joined or distributed.get_rank() == 0


def own(draw: Callable[[int], torch.Tensor], rows: int) -> torch.Tensor:
    """This process's rows of what is drawn for those of all processes together."""
    place = _place.get()
    return draw(rows * place.count)[rows * place.rank:rows * (place.rank + 1)]


def sharers() -> int:
    """How many processes share a batch here."""
    return _place.get().count


def mean_of_all(numbers: torch.Tensor) -> torch.Tensor:
    """The mean over all processes of what each has; gradients flow to all of them."""
    count = _place.get().count
    return numbers if count == 1 else _Mean.apply(numbers, count)


class _Mean(torch.autograd.Function):
    """Its derivative is itself: every process's loss depends on each one's numbers; losses are averaged."""

    @staticmethod
    def forward(context, numbers, count):
        context.count = count
        return _summed(numbers.clone()) / count

    @staticmethod
    def backward(context, gradient):
        return _summed(gradient.clone()) / context.count, None


def average_gradients(parameters: Iterable[torch.nn.Parameter], numbers: torch.Tensor,
                      place: Place) -> list[float]:
    """Replace gradients by their mean over the processes; returns that of numbers (n,) as well.

    A parameter that has no gradient in some process counts as 0 there; one that has none anywhere keeps none.
    """
    if place.count == 1:
        return numbers.tolist()
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    there = torch.tensor([parameter.grad is not None for parameter in parameters]).to(numbers)
    told = (_summed(torch.cat([numbers, there])) / place.count).tolist()  # a GPU is waited for once
    learning = [parameter for parameter, share in zip(parameters, told[len(numbers):], strict=True) if share]
    for parameter in learning:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    if learning:
        flat = _summed(torch.cat([parameter.grad.flatten() for parameter in learning])) / place.count
        parts = flat.split([parameter.numel() for parameter in learning])
        torch._foreach_copy_([parameter.grad for parameter in learning],
                             [part.view_as(parameter) for part, parameter in
                              zip(parts, learning, strict=True)])
    return told[:len(numbers)]


@torch.no_grad()
def make_alike(module: torch.nn.Module, place: Place) -> None:
    """Give all processes the parameters and buffers that the first one has."""
    if place.count > 1:
        for tensor in (*module.parameters(), *module.buffers()):
            shared = tensor.detach().contiguous()
            _asking(distributed.broadcast, shared, 0)
            tensor.copy_(shared)


def told_by_first(said, place: Place):
    """What the first process says, in all of them; what the others say is not heard."""
    if place.count == 1:
        return said
    heard = [said]
    _asking(distributed.broadcast_object_list, heard, 0)
    return heard[0]


def _summed(numbers: torch.Tensor) -> torch.Tensor:
    _asking(distributed.all_reduce, numbers)
    return numbers


def _asking(ask, *words):
    """Ask the others; raises ValueError where one of them has gone."""
    try:
        ask(*words)
    except RuntimeError as error:
        reason = re.sub(r"^\[[^]]*\] ", "", str(error).splitlines()[0]).split(". ")[0]  # not gloo's advice
        raise ValueError(f"Another process of this training has ended or can't be reached ({reason}), so "
                         "this one ends too; what was saved is kept. See what that one said, then go on with "
                         "the same command.") from error
