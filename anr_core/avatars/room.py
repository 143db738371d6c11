"""Room for what a stranger's settings ask for: an avatar is made only as large as its checkpoint."""

from __future__ import annotations

from math import prod

import torch
from torch.utils._python_dispatch import TorchDispatchMode

FREE = 2**26  # numbers that any tensor may have on the way, 256 MB: tables that are made and not kept


class RoomFor(TorchDispatchMode):
    """Within it no tensor is begun that has more numbers than those of a checkpoint, beside what is free.

    Raises ValueError before room is made.
    """

    def __init__(self, tensors: dict[str, torch.Tensor]):
        super().__init__()
        self.most = FREE + sum(tensor.numel() for tensor in tensors.values())

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        size = arguments[0] if arguments else None
        if isinstance(size, list | tuple) and all(isinstance(side, int) for side in size) and \
                prod(size) > self.most:
            raise ValueError(f"settings that ask for {prod(size):,} numbers at once, where the checkpoint "
                             f"holds {self.most - FREE:,}")
        return function(*arguments, **(options or {}))
