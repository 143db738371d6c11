"""What a step is to make small: the losses of avatars, as they draw what training views show."""

from __future__ import annotations

from collections.abc import Callable

import torch

from anr_core.avatars import Avatar, Scene
from anr_core.avatars.adversary import Adversary
from anr_core.body import Posed
from anr_core.capture import View
from anr_core.launch import ALONE, Place
from anr_core.processes import together


class Objective(torch.nn.Module):
    """The losses of avatars as one module, so that Fabric has one to set up.

    The batch comes as a function of the avatar that returns it: Fabric would take the records in it apart. In
    a practice it is the step's number.
    """

    def __init__(self, avatars: torch.nn.ModuleList, stage: str, adversary: Adversary | None = None,
                 place: Place = ALONE):
        super().__init__()
        self.avatars, self.stage, self.adversary, self.place = avatars, stage, adversary, place

    def forward(self, person: int, batch: Callable[[Avatar], tuple[View, Posed | None]] | int,
                ) -> dict[str, torch.Tensor]:
        """Named losses of one person's batch, or of a step of practice."""
        with together(self.place):
            return self._losses(person, batch)

    def _losses(self, person, batch):
        avatar = self.avatars[person]
        if isinstance(batch, int):
            return avatar.practise(batch, self.stage)
        with torch.autocast(avatar.device.type, enabled=False):  # in half precision a mesh is 9 mm off
            view, posed = batch(avatar)
        scene = scene_of(view, posed)
        rendering = avatar(scene)
        losses = avatar.losses(scene, rendering, view, self.stage)
        if self.adversary:
            losses |= self.adversary.losses(rendering, view)
        return losses


def scene_of(view: View, posed: Posed | None) -> Scene:
    """The scene of training views; never their pictures."""
    return Scene(posed, view.camera, view.size, view.keypoints, view.frame, view.camera_name,
                 image=view.input, source=view.source, pixels=view.pixels)
