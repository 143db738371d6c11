"""Layers of a picture that was drawn at another size: resized one by one, when somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch.nn import functional


class ResizedLayers(Mapping[str, torch.Tensor]):
    """Named pictures (B, C, H, W) at a size (H, W); most frames are drawn for colour and mask alone.

    layers  as they were drawn
    resize  what brings one to the size; numbers of parts are not mixed but taken from the nearest pixel
    """

    def __init__(self, layers: Mapping[str, torch.Tensor], size: tuple[int, int],
                 resize: Callable[[torch.Tensor], torch.Tensor]):
        self._drawn, self._size, self._resize = layers, size, resize
        self._done: dict[str, torch.Tensor] = {}

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._done:
            layer = self._drawn[name]
            self._done[name] = functional.interpolate(layer, size=self._size, mode="nearest-exact") \
                if name == "parts" else self._resize(layer)
        return self._done[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawn)

    def __len__(self) -> int:
        return len(self._drawn)

    def __contains__(self, name: object) -> bool:
        return name in self._drawn  # Mapping's own would resize it

    def __or__(self, others: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**self, **others}
