"""How long work takes, run by run."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn


def clock(work: Callable[[], object], repeats: int, warm_up: int = 5, device: str = "cpu") -> list[float]:
    """Milliseconds of each of many runs, each to its end on the device, after some that don't count."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    milliseconds = []
    for _ in range(warm_up + repeats):
        wait()
        started = time.perf_counter()
        work()
        wait()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return milliseconds[warm_up:]


def clock_inside(work: Callable[[], object], modules: list[nn.Module], repeats: int) -> list[float]:
    """Milliseconds that modules take together in each of many runs of `work`."""
    spent = []

    def begin(*_):
        spent.append(-time.perf_counter())

    def end(*_):
        spent[-1] += time.perf_counter()

    handles = [handle for module in modules for handle in
               (module.register_forward_pre_hook(begin), module.register_forward_hook(end))]
    for _ in range(repeats):
        work()
    for handle in handles:
        handle.remove()
    return (1000 * np.reshape(spent, (repeats, -1)).sum(1)).tolist()
