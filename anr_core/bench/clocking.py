"""How long work takes, run by run, and how much memory that took."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # of Linux


def clock(work: Callable[[], object], repeats: int, warm_up: int = 5, device: str = "cpu") -> list[float]:
    """Milliseconds of each of many runs, each to its end on the device, after some that don't count."""
    wait = waiting(device)
    milliseconds = []
    for _ in range(warm_up + repeats):
        wait()
        started = time.perf_counter()
        work()
        wait()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return milliseconds[warm_up:]


def clock_inside(work: Callable[[], object], modules: Iterable[nn.Module], repeats: int,
                 device: str = "cpu") -> list[float]:
    """Milliseconds that modules take together in each of many runs of `work`."""
    wait, spent = waiting(device), []

    def begin(*_):
        wait()
        spent.append(-time.perf_counter())

    def end(*_):
        wait()
        spent[-1] += time.perf_counter()

    handles = [handle for module in dict.fromkeys(modules) for handle in
               (module.register_forward_pre_hook(begin), module.register_forward_hook(end))]
    for _ in range(repeats):
        work()
    for handle in handles:
        handle.remove()
    return (1000 * np.reshape(spent, (repeats, -1)).sum(1)).tolist()


def waiting(device: str) -> Callable[[], None]:
    """What waits until a device has done all that it was given."""
    return torch.cuda.synchronize if device == "cuda" else lambda: None


# memory


def forget_peak(device: str = "cpu") -> None:
    """Let `peak` count from now on; on systems without /proc what is resident counts from the start."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        CLEAR.write_text("5")
    except OSError:
        pass


def peak(device: str = "cpu") -> float | None:
    """MiB: the most that this process had resident, or of a GPU allocated, at once; None where untold."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if STATUS.is_file():
        lines = STATUS.read_text().splitlines()
        found = next((line for line in lines if line.startswith("VmHWM")), None)
        if found is not None:
            return int(found.split()[1]) / 2**10
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)
