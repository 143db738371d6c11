"""The renderer of Gaussians under sliders: what it makes of one ball, of two that overlap, of people."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape
from math import radians

import ipywidgets as widgets
import numpy as np

from anr_core.export.around import within_limits
from anr_core.export.shapes import SHAPES, SHOWN, picture
from anr_core.viewer.dragging import picture_widget
from anr_core.viewer.drawing import jpeg
from anr_core.viewer.latest import Latest
from anr_core.viewer.panel import within
from anr_core.viewer.sliders import Scale, Showing, Sliders

SIZE = 384  # pixels
NEAREST, FARTHEST = 0.1, 8.0  # metres from the middle: among primitives too, some of which then lie behind

# label, reach and step in whole units, and what one unit is in the record's
SCALES = {"azimuth": Scale("azimuth (°)", -180, 180, 2), "elevation": Scale("elevation (°)", -80, 80, 1),
          "distance": Scale("distance (cm)", round(100 * NEAREST), round(100 * FARTHEST), 5, 0.01),
          "count": Scale("how many", 1, 300),
          "along": Scale("length (%)", 10, 300, 5, 0.01), "across": Scale("thickness (%)", 10, 300, 5, 0.01),
          "nearer": Scale("first one nearer (cm)", -150, 250, 5, 0.01)}
COUNTED = ("many-spheres", "many-ellipsoids")  # scenes that have as many primitives as one likes

_OPEN: list[Shapes] = []


@dataclass(frozen=True)
class Look:
    """What a picture of shapes follows from.

    scene        one of SHAPES
    shown        one of SHOWN
    azimuth, elevation  degrees;  distance  metres
    count        primitives of those scenes that have many
    along, across  how many times as long and as thick they are
    nearer       metres that the first one comes to who looks from the front
    half_line    rays begin at the camera, else they reach behind it too
    """

    scene: str
    shown: str = SHOWN[0]
    azimuth: float = 20.0
    elevation: float = 8.0
    distance: float = 3.0
    count: int = 60
    along: float = 1.0
    across: float = 1.0
    nearer: float = 0.0
    half_line: bool = True

    def picture(self, size: int) -> np.ndarray:
        """(size, size, 3) uint8."""
        shape = _scene(self.scene, self.count if self.scene in COUNTED else 0)
        shape = shape.scaled(self.along, self.across).with_first_nearer(self.nearer)
        return picture(shape, size, radians(self.azimuth), radians(self.elevation), self.distance,
                       self.half_line, self.shown)


@lru_cache(maxsize=16)
def _scene(name, count):
    return SHAPES[name](count)


def open_shapes(scene: str = "two-that-overlap", size: int = SIZE) -> Shapes:
    """A picture of a scene with sliders, in a cell's last line; the scene may be changed in it.

    size  side of the picture, pixels

    The one that was opened before with the same scene is closed. Raises ValueError for an unknown scene.
    """
    for before in [one for one in _OPEN if one.opened_with == scene]:
        before.close()
        _OPEN.remove(before)
    _OPEN.append(Shapes(scene, size))
    return _OPEN[-1]


class Shapes:
    """The widget; `look` may be read and set, and sliders and picture follow."""

    def __init__(self, scene: str, size: int = SIZE):
        if scene not in SHAPES:
            raise ValueError(f"There is no shape {scene!r}; use one of {', '.join(SHAPES)}.")
        if not 16 <= size <= 2048:
            raise ValueError(f"The picture can't be {size} pixels wide; give 16 to 2048.")
        self.opened_with, self.size, self._showing = scene, size, Showing()
        self._look = self._beginning(scene)
        self._make()
        self.latest = Latest(self._draw, self._failed)
        self.look = self._look

    @property
    def look(self) -> Look:
        """What is drawn now; setting it draws another."""
        return self._look

    @look.setter
    def look(self, look: Look) -> None:
        self._look = look
        with self._showing():
            self.scene.value, self.shown.value, self.half_line.value = look.scene, look.shown, look.half_line
        self.sliders.show({name: getattr(look, name) for name in SCALES})
        self.sliders.widgets["count"].disabled = look.scene not in COUNTED
        self.latest.ask(look)

    def change(self, **changes) -> None:
        """Another look, of which some fields are new; of another scene seen from as far as it wants."""
        if "scene" in changes:
            changes = {"distance": _scene(changes["scene"], 1).distance} | changes
        self.look = replace(self._look, **changes)

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until the picture shows the newest look."""
        if not self.latest.settle(seconds):
            raise TimeoutError(f"The picture was not drawn within {seconds:g} seconds.")

    def close(self) -> None:
        """Stop drawing, and take all widgets away."""
        self.latest.close()
        for widget in within(self.widget):
            widget.close()

    def _beginning(self, scene):
        return Look(scene, distance=_scene(scene, 1).distance)

    def _make(self):
        wide, style = widgets.Layout(width="362px"), {"description_width": "152px"}
        self.scene = widgets.Dropdown(options=[(name.replace("-", " "), name) for name in SHAPES],
                                      description="scene", layout=wide, style=style)
        self.shown = widgets.Dropdown(options=SHOWN, description="show", layout=wide, style=style)
        self.half_line = widgets.Checkbox(description="rays begin at the camera", layout=wide, style=style)
        for name in ("scene", "shown", "half_line"):
            getattr(self, name).observe(lambda change, name=name: self._chosen(name, change["new"]), "value")
        self.sliders = Sliders(SCALES, self._slid)
        reset = widgets.Button(description="reset", icon="undo")
        reset.on_click(lambda _: setattr(self, "look", self._beginning(self._look.scene)))
        self.picture = picture_widget(self._dragged, self._wheeled)
        self.picture.layout = widgets.Layout(width=f"{SIZE}px", height=f"{SIZE}px")
        self.status = widgets.HTML()
        self.widget = widgets.HBox([
            widgets.VBox([self.picture, self.status]),
            widgets.VBox([self.scene, self.shown, *self.sliders.widgets.values(), self.half_line, reset])],
            layout=widgets.Layout(align_items="flex-start"))

    def _ipython_display_(self):
        from IPython.display import display

        display(self.widget)

    def _chosen(self, name, value):
        if not self._showing.on:
            self.change(**{name: value})

    def _slid(self, name, value):
        self.change(**{name: round(value) if name == "count" else value})

    def _dragged(self, right: float, down: float):
        self.change(azimuth=within_limits("azimuth", self._look.azimuth - 180 * right),
                    elevation=within_limits("elevation", self._look.elevation + 120 * down))

    def _wheeled(self, notches: float):
        self.change(distance=min(max(self._look.distance * 1.1**notches, NEAREST), FARTHEST))

    def _draw(self, look, sharp):
        started = time.perf_counter()
        size = self.size if sharp else max(16, self.size // 2)
        self.picture.value = jpeg(look.picture(size))
        self.status.value = (f'<span style="color:#777">{size}x{size} pixels, '
                             f"{1000 * (time.perf_counter() - started):.0f} ms</span>")

    def _failed(self, error):
        words = " ".join(str(error).split()) or type(error).__name__
        self.status.value = f'<span style="color:#c0392b">{escape(words)}</span>'
