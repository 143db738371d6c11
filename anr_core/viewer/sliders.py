"""Sliders that tell who moved them: the hand, or the state that they show."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets


class Sliders:
    """Sliders by name; `moved(name, value)` is called for the hand's moves alone.

    table  {name: (label, least, most, step)}
    """

    def __init__(self, table: dict[str, tuple[str, float, float, float]], moved: Callable[[str, float], None],
                 digits: int | None = None):
        self._moved, self._showing = moved, False
        self.widgets = {}
        for name, (label, low, high, step) in table.items():
            places = (0 if step >= 1 else 2) if digits is None else digits
            slider = widgets.FloatSlider(
                value=min(max(0.0, low), high), min=low, max=high, step=step, description=label,
                readout_format=f".{places}f", continuous_update=True, style={"description_width": "152px"},
                layout=widgets.Layout(width="362px"))
            slider.observe(lambda change, name=name: self._changed(name, change["new"]), "value")
            self.widgets[name] = slider

    def show(self, values: dict[str, float]) -> None:
        """Put sliders where values are, as far as they reach, without calling `moved`."""
        self._showing = True
        try:
            for name, value in values.items():
                slider = self.widgets[name]
                value = min(max(value, slider.min), slider.max)
                if abs(slider.value - value) > slider.step / 2:  # the hand's own slider is left alone
                    slider.value = value
        finally:
            self._showing = False

    def _changed(self, name, value):
        if not self._showing:
            self._moved(name, value)
