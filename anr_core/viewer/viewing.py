"""Sliders for where the camera stands."""

from __future__ import annotations

import ipywidgets as widgets

from anr_core.export.around import LIMITS
from anr_core.viewer.sliders import Scale, Sliders
from anr_core.viewer.state import State

# label, step, and what one unit of the slider is in the state's degrees and metres
SCALES = {"azimuth": ("azimuth (°)", 2, 1.0), "elevation": ("elevation (°)", 1, 1.0),
          "distance": ("distance (cm)", 5, 0.01), "field_of_view": ("field of view (°)", 1, 1.0)}
SIDES = {"front": 0.0, "left": 90.0, "back": 180.0, "right": -90.0}


class Viewing:
    """The tab of the camera: where it stands and how far, and sides to jump to."""

    def __init__(self, viewer):
        self.viewer = viewer
        self.sliders = Sliders({name: Scale(label, *(round(end / unit) for end in LIMITS[name]), step, unit)
                                for name, (label, step, unit) in SCALES.items()},
                               lambda name, value: viewer.change_view(**{name: value}))
        buttons = [widgets.Button(description=name, layout=widgets.Layout(width="74px")) for name in SIDES]
        for button in buttons:
            button.on_click(lambda button: viewer.change_view(azimuth=SIDES[button.description]))
        reset = widgets.Button(description="reset view", icon="undo")
        reset.on_click(lambda _: viewer.change(view=viewer.home_state.view))
        self.widget = widgets.VBox([*self.sliders.widgets.values(), widgets.HBox(buttons), reset])

    def show(self, state: State) -> None:
        """Let the sliders say what a state says."""
        self.sliders.show({name: getattr(state.view, name) for name in SCALES})
