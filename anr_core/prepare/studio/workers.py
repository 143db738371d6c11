"""Two things at a time: drawing spends its time in torch and Warp, which leave Python's lock alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

WORKERS = 2


def side_by_side(jobs: Iterable[tuple], work: Callable) -> Iterator:
    """work(*job) of every job, in order; at most a few jobs are taken in advance."""
    with ThreadPoolExecutor(WORKERS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        running = deque()
        for job in jobs:
            running.append(pool.submit(work, *job))
            if len(running) > WORKERS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
