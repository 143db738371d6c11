"""Room for what a stranger's settings ask for: an avatar is made only as large as its checkpoint."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# What may be made on the way, in numbers and in calls of torch, whatever the checkpoint holds: `deferred`,
# which tries widths until one has as many parameters as `anr`, needs 2 500 calls
FREE, FREE_CALLS = 2**26, 20_000
# Of each number of the checkpoint, and of each tensor: of all systems and presets at most 3.4 times as many
# numbers are begun as are kept
TIMES, CALLS = 6, 100


class RoomFor(TorchDispatchMode):
    """Within it no more numbers are begun altogether than a checkpoint accounts for, nor more tensors.

    Raises ValueError; for a tensor whose size is given (zeros, arange, new_zeros) before room is made for it.
    """

    def __init__(self, tensors: dict[str, torch.Tensor]):
        super().__init__()
        self.held = sum(tensor.numel() for tensor in tensors.values())
        self.left = FREE + TIMES * self.held
        self.calls = FREE_CALLS + CALLS * len(tensors)

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        given = _tensors((arguments, options))
        if not given or function._schema.name.startswith("aten::new_"):
            self._take(_size(function, arguments, options), begun=False)
        made = function(*arguments, **options)
        known = {tensor.untyped_storage()._cdata for tensor in given}  # views take no room
        self._take(sum(tensor.numel() for tensor in _tensors(made)
                       if tensor.untyped_storage()._cdata not in known))
        return made

    def _take(self, count, begun=True):
        if count > self.left:
            raise ValueError(f"settings that ask for {count:,} numbers beside what was begun, where the "
                             f"checkpoint holds {self.held:,}")
        if begun:
            self.left -= count
            self.calls -= 1
        if self.calls < 0:
            raise ValueError("settings that ask for more layers than the checkpoint has")


def _tensors(tree):
    """Those that have a storage."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)
            and leaf.layout == torch.strided]


def _size(function, arguments, options):
    """How many numbers a function that is given a size would begin; 0 where nothing tells."""
    if not any(one.name == "device" for one in function._schema.arguments):
        return 0
    told = {name: value for name, value in options.items() if name not in ("generator", "pin_memory")}
    return function(*arguments, **told | {"device": torch.device("meta")}).numel()
