"""Views of split "validation", from which nothing is learned: what they say of a training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from anr_core.avatars import Avatar
from anr_core.capture import Capture
from anr_core.training.beginning import Person
from anr_core.training.bodies import Bodies
from anr_core.training.objective import scene_of

VALIDATED = 16  # views of a person that are looked at, at the most


def validation_of(capture: Capture) -> Capture | None:
    """The capture with the views of split "validation" alone, if there are any."""
    known = capture.only(lambda shot: shot.split == "validation" and shot.known)
    return known if known.shots else None


@torch.no_grad()
def validated(people: Sequence[Person], avatars: Sequence[Avatar], bodies: Bodies, stage: str,
              ) -> float | None:
    """The mean loss of validation views in a stage; None where nobody has any."""
    found = []
    for person, avatar in zip(people, avatars, strict=True):
        for view, posed in () if person.validation is None else \
                bodies.views(avatar, person.validation, person.run.config, VALIDATED):
            scene = scene_of(view, posed)
            found.append(float(sum(avatar.losses(scene, avatar(scene), view, stage).values())))
    return sum(found) / len(found) if found else None
