"""How many threads torch works in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def running_on(threads: int) -> Iterator[int]:
    """Let torch use so many threads; one is best for many small steps."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)
