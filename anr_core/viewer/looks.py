"""What stands behind the person, which step is shown, how large it is drawn, and what the person wears."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as widgets

from anr_core.avatars.run import people_of
from anr_core.export.backgrounds import NONE
from anr_core.viewer.drawing import LEARNED, PLATE
from anr_core.viewer.sliders import Showing
from anr_core.viewer.state import State
from anr_core.viewer.uploading import upload_button

COLOURS = {"grey": "#808080", "white": "#ffffff", "black": "#000000", "green": "#00b140",
           "transparent": NONE}
NAMES = {"latent": "latent image", "features": "sampled features"}
LARGEST = 1024
SHARED = "Wear parts of another person's texture, who was trained with the same renderers:"
ALONE = ("Only people who share their renderers can wear each other's texture: train with "
         "<code>--with</code>, or with <code>--init RUN --freeze-renderers</code>.")
SMALL = '<div style="line-height:1.3">{}</div>'


class Looks:
    """The tab of what is behind the person, which step of the way is shown, and how large."""

    def __init__(self, viewer):
        self.viewer = viewer
        wide = widgets.Layout(width="360px")
        style = {"description_width": "90px"}
        plates = [] if viewer.capture is None else list(viewer.capture.backgrounds)
        scenes = [*(PLATE + name for name in plates), *(LEARNED + name for name in viewer.artist.learned())]
        self.background = widgets.Dropdown(
            options=[*COLOURS.items(), *((name, name) for name in scenes)],
            description="background", layout=wide, style=style)
        self.background.observe(lambda change: self._moved(background=change["new"]), "value")
        self.file = widgets.Text(placeholder="or a picture's path", description="picture", layout=wide,
                                 style=style, continuous_update=False)
        self.file.observe(self._filed, "value")
        self.upload = upload_button("upload a picture", self._try)
        self.steps = viewer.artist.steps(viewer.home_state)
        self.layer = widgets.Dropdown(
            options=[(NAMES.get(step, step), step) for step in reversed(self.steps)], value="result",
            description="show", layout=wide, style=style)
        self.layer.observe(lambda change: self._moved(layer=change["new"]), "value")
        trained = next(iter(viewer.artist.avatars.values())).config.size
        sizes = sorted({viewer.size, *(side for side in (trained // 2, trained, trained * 3 // 2, 2 * trained)
                                       if side <= LARGEST)})
        self.size = widgets.Dropdown(options=[(f"{side}x{side}", side) for side in sizes], value=viewer.size,
                                     description="size", layout=wide, style=style)
        self.size.observe(self._resized, "value")
        self._showing = Showing()
        textured = any("texture" in avatar.controls for avatar in viewer.artist.avatars.values())
        self.widget = widgets.VBox([self.background, self.file, self.upload, self.layer, self.size,
                                    *(self._mixing(wide, style) if textured else ())])

    def show(self, state: State) -> None:
        """Let the widgets say what a state says."""
        with self._showing():
            values = [value for _, value in self.background.options]
            if state.background not in values:
                shown = Path(state.background).name
                self.background.options = [*self.background.options, (shown, state.background)]
            self.background.value = state.background
            if state.layer in self.steps:
                self.layer.value = state.layer

    def _mixing(self, wide, style):
        """Widgets to wear parts of another's texture; greyed out where nobody is known to share renderers."""
        avatars = self.viewer.artist.avatars
        able = all(hasattr(avatar, "wearing") for avatar in avatars.values()) \
            and bool(self.viewer.body.part_names)
        home = self.viewer.artist.home
        known = [] if home is None else [name for name in people_of(home) if name]
        self.other = widgets.Combobox(placeholder="their run, or their name in this one", options=known,
                                      ensure_option=False, description="wear of", layout=wide, style=style,
                                      disabled=not able)
        self.worn = widgets.SelectMultiple(options=self.viewer.body.part_names, description="parts", rows=5,
                                           layout=wide, style=style, disabled=not able)
        half = widgets.Layout(width="150px")
        wear, own = (widgets.Button(description=words, disabled=not able, layout=half)
                     for words in ("wear", "wear own"))
        wear.on_click(self._wear)
        own.on_click(lambda _: self.viewer.change(worn=""))
        words = widgets.HTML(SMALL.format(SHARED if able else ALONE), layout=wide)
        return [words, self.other, self.worn, widgets.HBox([wear, own])]

    def _wear(self, _):
        if not (self.other.value.strip() and self.worn.value):
            self.viewer.failed(ValueError("Say whose texture, and choose parts: hold Ctrl for several."))
            return
        worn = f"{self.other.value.strip()}:{','.join(self.worn.value)}"
        with self.viewer.telling():
            with self.viewer.drawing:
                for name in self.viewer.artist.avatars:
                    self.viewer.artist.wear(name, worn)
            self.viewer.change(worn=worn)

    def _moved(self, **changes):
        if not self._showing.on:
            self.viewer.change(**changes)

    def _resized(self, change):
        self.viewer.size = change["new"]
        self.viewer.change()

    def _filed(self, change):
        if change["new"].strip():
            self._try(str(Path(change["new"].strip()).expanduser()))

    def _try(self, file):
        """Another background, if it is a picture."""
        with self.viewer.telling():
            self.viewer.artist.background(file, self.viewer.size)
            self.viewer.change(background=file)
