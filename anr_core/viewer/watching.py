"""A training that is watched: progress, losses and the newest preview in one widget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from math import log
from pathlib import Path

import ipywidgets as widgets

from anr_core.training.record import Progress

EVERY = 0.5  # seconds between two looks; more often nobody sees more
POINTS = 300  # of the curve, at the most
WIDTH, HEIGHT = 300, 90  # of the curve, pixels


def watch(training: Iterator[Progress], saved: Callable[[], None] | None = None, every: float = 60.0
          ) -> Progress | None:
    """Run a training to its end under a widget, and return where it stands.

    saved  called every so many seconds and at the end, such as to copy the run to where it is kept

    Interrupting the cell ends the training, which then can be gone on with by running the cell again.
    """
    from IPython.display import display

    panel = Watching()
    display(panel.widget)
    progress, looked, kept = None, 0.0, time.monotonic()
    try:
        with closing(training):
            for progress in training:
                now = time.monotonic()
                if now - looked > EVERY:
                    looked = now
                    panel.show(progress)
                if saved is not None and now - kept > every:
                    kept = now
                    saved()
    except KeyboardInterrupt:
        panel.say("stopped; run this cell again to go on")
    if progress is not None:
        panel.show(progress)
    elif not panel.words.value:  # a run that is done, or a system that learns nothing
        panel.bar.value = 1.0
        panel.say("nothing is left to learn; the run is there")
    if saved is not None:
        saved()
    return progress


class Watching:
    """A training before one's eyes: preview, progress, loss."""

    def __init__(self):
        self.bar = widgets.FloatProgress(min=0.0, max=1.0, layout=widgets.Layout(width=f"{WIDTH}px"))
        self.numbers, self.curve, self.words = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.preview = widgets.Image(format="png", layout=widgets.Layout(max_width="640px"))
        self.preview.layout.display = "none"
        told = widgets.VBox([self.bar, self.numbers, self.curve, self.words])
        self.widget = widgets.HBox([self.preview, told], layout=widgets.Layout(align_items="flex-start"))
        self._losses, self._stage, self._shown = [], None, None

    def show(self, progress: Progress) -> None:
        """Show how far it is."""
        loss = sum(progress.losses.values())
        if progress.stage != self._stage:  # which has other losses, and begins another curve
            self._losses, self._stage = [], progress.stage
        self._losses.append(loss)
        self.bar.value = progress.fraction
        rate = progress.images_per_second
        self.numbers.value = (f"{progress.stage}, step {progress.step}<br>loss {loss:.4f}<br>"
                              + (f"{rate:.1f} images a second<br>" if rate else "")
                              + f"{progress.seconds_left:.0f} s left")
        self.curve.value = curve(self._losses)
        if progress.preview is not None and progress.preview != self._shown:
            self._shown = progress.preview
            self.preview.value = Path(progress.preview).read_bytes()
            self.preview.layout.display = ""

    def say(self, words: str) -> None:
        """Show words under it."""
        self.words.value = words


def curve(losses: list[float]) -> str:
    """An SVG of losses over time, logarithmic and smoothed over a tenth of what is shown."""
    step = max(1, len(losses) // POINTS)
    logs = [log(max(loss, 1e-9)) for loss in losses[::step]]
    reach = max(1, len(logs) // 20)
    smooth = [sum(part) / len(part) for place in range(len(logs))
              if (part := logs[max(0, place - reach):place + reach + 1])]
    low, high = min(smooth), max(smooth)
    span = max(high - low, 1e-6)
    points = " ".join(f"{WIDTH * place / max(len(smooth) - 1, 1):.1f},{HEIGHT * (high - value) / span:.1f}"
                      for place, value in enumerate(smooth))
    return (f'<svg width="{WIDTH}" height="{HEIGHT + 4}" viewBox="0 -2 {WIDTH} {HEIGHT + 4}">'
            f'<polyline points="{points}" fill="none" stroke="#2a7fba" stroke-width="1.5"/></svg>')
