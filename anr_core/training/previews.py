"""Pictures of a few training views on the way: in previews/, and one row of the run's page each time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from anr_core.avatars import Rendering
from anr_core.avatars.run import write_atomically, writing
from anr_core.capture import View
from anr_core.capture.pictures import encoded
from anr_core.training.beginning import Person, State
from anr_core.training.bodies import Bodies
from anr_core.training.objective import scene_of
from anr_core.training.page import Drawn, Page

FIRST_PREVIEW, PREVIEWS = 4, 30  # seconds of training
PREVIEW_ROWS = 3


class Previews:
    """Draws as the averaged weights do, when the time has come.

    stages  their names, in order
    """

    def __init__(self, path: Path, people: list[Person], state: State, bodies: Bodies, stages: Sequence[str]):
        self.path, self.people, self.state, self.bodies, self.stages = path, people, state, bodies, stages
        self.page = Page(path, people, state.step)
        self.drawn = state.seconds + FIRST_PREVIEW - PREVIEWS
        self.newest: Path | None = None

    def look_after(self, done: float) -> None:
        """Draw a preview if it is time, after so much of the whole, in [0, 1]."""
        if self.state.seconds - self.drawn >= PREVIEWS or done == 1:
            self.newest, self.drawn = self._draw_preview(), self.state.seconds
            self.page.write(done)

    def leave(self, done: float, whole: bool = False) -> None:
        """Write the page as it stays for now; whole: with a row of the last step."""
        if whole and self.state.step not in (row.step for row in self.page.rows):
            self._draw()
        self.page.write(done, going=False)

    @torch.no_grad()
    def _draw(self) -> list[Drawn]:
        """A few training views; each person's first goes to the page."""
        views, firsts = [], []
        for person, avatar in zip(self.people, self.state.averaged, strict=True):
            firsts.append(len(views))
            for view, posed in self.bodies.views(avatar, person.training, person.run.config,
                                                 math.ceil(PREVIEW_ROWS / len(self.people))):
                scene = scene_of(view, posed)
                views.append(Drawn(avatar, person.training, view, scene, avatar(scene)))
        stage = self.stages[self.state.stage] if self.stages else ""
        self.page.add(self.state.step, stage, self.state.seconds, [views[first] for first in firsts])
        return views

    def _draw_preview(self) -> Path:
        """A picture of a few training views: see `preview_row`."""
        rows = [preview_row(one.view, one.rendering) for one in self._draw()]
        picture = torch.cat(rows, 1).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
        path = self.path / "previews" / f"{self.state.step:07d}.jpg"
        with writing(path):
            path.parent.mkdir(exist_ok=True)
        write_atomically(path, encoded(picture, path.suffix))
        return path


def preview_row(view: View, drawn: Rendering) -> torch.Tensor:
    """(3, H, n W) truth, prediction and mask; or input, prediction and truth where there is an input."""
    given = drawn.layers.get("input")
    shown = [view.image, drawn.over(0.5), drawn.mask] if given is None else \
        [given[:, :3], drawn.over(0.5), view.image]
    return torch.cat([picture.expand(-1, 3, -1, -1) for picture in shown], 3)[0]
