"""Processes that read pictures beside a training, and what is told when one of them ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import DataLoader


def plainly(loader: DataLoader) -> Iterator:
    """The loader's batches; an error of a worker is raised as its own words alone say it.

    torch puts the worker's traceback into the message.
    """
    try:
        yield from loader
    except (ValueError, OSError) as error:
        told = str(error)
        if "in DataLoader worker process" not in told:
            raise
        raise type(error)(told.strip().splitlines()[-1].partition(": ")[2]) from None


def died(error: Exception) -> bool:
    """Whether an error says that a worker has ended without being asked to."""
    # who waits for a worker's answer when it is killed finds the connection closed, or is told by torch
    return isinstance(error, ConnectionError | EOFError) or "DataLoader worker (pid" in str(error)


def of_death(where: str | Path) -> ValueError:
    """What to raise where a worker has died; the run there was saved."""
    return ValueError("A process that reads pictures ended: it was killed, or there was too little memory. "
                      f"The training was saved; the same command goes on with {where}. If it happens again, "
                      'let the training read by itself: {"workers": 0} in a file for --config.')
