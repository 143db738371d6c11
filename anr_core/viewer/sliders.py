"""Sliders that tell who moved them: the hand, or the state that they show.

They stand on whole numbers alone. Of any other number a browser makes one that differs in its last digits,
and sends it back as if the hand had moved, long after the state went on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ipywidgets as widgets


@dataclass(frozen=True)
class Scale:
    """A slider's words and reach in whole units; `unit` is one of them in what the state counts in."""

    label: str
    low: int
    high: int
    step: int = 1
    unit: float = 1.0


class Showing(threading.local):
    """Whether this thread shows a state: what changes in it then was not moved by the hand.

    The hand is heard on another thread than the one that lets sliders follow a motion.
    """

    on = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False


class Sliders:
    """Sliders by name; `moved(name, value)` is called for the hand's moves alone, in the state's units."""

    def __init__(self, scales: dict[str, Scale], moved: Callable[[str, float], None]):
        self._scales, self._moved, self._showing = scales, moved, Showing()
        self.widgets = {}
        for name, scale in scales.items():
            slider = widgets.IntSlider(
                value=min(max(0, scale.low), scale.high), min=scale.low, max=scale.high, step=scale.step,
                description=scale.label, continuous_update=True, style={"description_width": "152px"},
                layout=widgets.Layout(width="362px"))
            slider.observe(lambda change, name=name: self._changed(name, change["new"]), "value")
            self.widgets[name] = slider

    def show(self, values: dict[str, float]) -> None:
        """Put sliders on the steps nearest to values, without calling `moved`."""
        with self._showing():
            for name, value in values.items():
                scale = self._scales[name]
                inside = min(max(value / scale.unit, scale.low), scale.high)
                self.widgets[name].value = scale.low + round((inside - scale.low) / scale.step) * scale.step

    def _changed(self, name, value):
        if not self._showing.on:
            self._moved(name, value * self._scales[name].unit)
