"""The bodies of captures where the avatars are, and whole views with their meshes."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch

from anr_core.avatars import Avatar, Config
from anr_core.body import Body, Posed, TrackedBody
from anr_core.capture import Capture, View
from anr_core.training.pairs import drawn_whole


class Bodies:
    """Bodies on a device, each brought there once."""

    def __init__(self, device: torch.device):
        self.device = device
        self.brought: dict[int, Body] = {}

    def of(self, capture: Capture) -> Body | None:
        """A capture's body, if it has one; meshes of a film stay where they fit."""
        body = capture.registration
        if body is None or self.device.type == "cpu" or isinstance(body, TrackedBody):
            return body
        if id(body) not in self.brought:  # a copy: what reads pictures asks the capture's own, on the CPU
            self.brought[id(body)] = copy.deepcopy(body).to(self.device)
        return self.brought[id(body)]

    def views(self, avatar: Avatar, capture: Capture, config: Config,
              most: int | None = None) -> Iterator[tuple[View, Posed | None]]:
        """A capture's views, or at the most so many, as evaluation would crop them; their meshes."""
        for view in drawn_whole(capture if most is None else capture.evenly(most), config):
            yield avatar.placed(view.to(self.device), self.of(capture))
