"""What the steps of a stage see: batches of the captures' views, in the shape that its avatars learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import DataLoader

from anr_core.avatars import Avatar, Config, Stage
from anr_core.capture import Capture, View
from anr_core.launch import ALONE, Place
from anr_core.training.consecutive import Consecutive
from anr_core.training.inputs import DrawnInputs
from anr_core.training.pairs import drawn_whole
from anr_core.training.rays import Rays
from anr_core.training.sources import Sources
from anr_core.training.windows import Turns, Windows
from anr_core.training.workers import plainly


def batches_of(avatars: Sequence[Avatar], trainings: Sequence[Capture], stage: Stage, config: Config,
               steps: range, place: Place = ALONE) -> Turns:
    """The batches of a stage's steps; each is of one person, of whom there is an avatar and a capture."""
    first, draws = avatars[0], stage.draws or avatars[0].draws
    if draws == "rays":
        return Rays([drawn_whole(training, config) for training in trainings], config, steps, place)
    views = [training.views(crop=None if training.paired else "loose", labelled=first.wants_labels)
             for training in trainings]
    if draws == "consecutive":
        return Consecutive(views, config, steps, place)
    inputs = sources = None
    if first.draws == "image pair" and first.surface is not None:  # they are shown pictures of their meshes
        inputs = [DrawnInputs(avatar, training)
                  for avatar, training in zip(avatars, trainings, strict=True)]
    if first.draws == "view pair":
        sources = [Sources(training, config) for training in trainings]
    return Windows(views, config, steps, inputs, sources, place)


def loaded(batches: Turns, workers: int, device: torch.device) -> Iterator[View]:
    """The same where the avatars are, read ahead by so many processes."""
    # its own generator: else starting the loader draws from the run's, and going on draws once too often
    loader = DataLoader(batches, batch_size=None, num_workers=workers, generator=torch.Generator())
    return (batch.to(device) for batch in plainly(loader))
