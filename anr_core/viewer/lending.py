"""Which picture lends its looks, to avatars that look at one."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as widgets

from anr_core.viewer.sliders import Showing
from anr_core.viewer.state import State
from anr_core.viewer.uploading import upload_button

OWN, ELSEWHERE = "the own one", "another's, below"
WORDS = ('<div style="line-height:1.3">The picture that says how the person looks. <i>source</i>, under '
         "<i>show</i> in the tab Looks, is what the avatar sees of it.</div>")


class Lending:
    """The tab of whose looks are drawn: the person's own, another picture's, another's."""

    def __init__(self, viewer):
        self.viewer, self._showing = viewer, Showing()
        wide = widgets.Layout(width="360px")
        style = {"description_width": "90px"}
        self.frames: dict[str, list[int]] = {}  # by camera
        for shot in () if viewer.capture is None else viewer.capture.shots:
            if shot.registered and shot.known:
                self.frames.setdefault(shot.camera, []).append(shot.frame)
        self.frames = {camera: sorted(frames) for camera, frames in sorted(self.frames.items())}
        self.camera = widgets.Dropdown(options=[OWN, *self.frames, ELSEWHERE], description="picture",
                                       layout=wide, style=style)
        self.camera.observe(self._chosen, "value")
        self.frame = widgets.SelectionSlider(options=[0], description="frame", disabled=True, layout=wide,
                                             style=style)
        self.frame.observe(self._moved, "value")
        self.file = widgets.Text(placeholder="path of a picture or a capture",
                                 description="another's", layout=wide, style=style, continuous_update=False)
        self.file.observe(self._filed, "value")
        self.widget = widgets.VBox([widgets.HTML(WORDS, layout=wide), self.camera, self.frame, self.file,
                                    upload_button("upload a picture", self._try)])

    def show(self, state: State) -> None:
        """Let the widgets say what a state says."""
        camera, _, frame = state.source.partition(":")
        with self._showing():
            if camera in self.frames:
                self.camera.value = camera
                frames = self.frames[camera]
                if self.frame.options != tuple(frames):
                    self.frame.options = frames
                if frame.isdecimal() and int(frame) in frames:
                    self.frame.value = int(frame)
            else:
                self.camera.value = ELSEWHERE if state.source else OWN
            self.frame.disabled = camera not in self.frames

    def _chosen(self, change):
        if self._showing.on:
            return
        name = change["new"]
        if name == ELSEWHERE and not self.file.value.strip():
            self.viewer.say("Name a picture or a capture below, or upload a picture.")
        elif name == ELSEWHERE:
            self._filed({"new": self.file.value})
        elif name == OWN:
            self.viewer.change(source="")
        else:
            frames = self.frames[name]
            kept = self.frame.value if self.frame.value in frames else frames[0]
            self.viewer.change(source=f"{name}:{kept}")

    def _moved(self, change):
        if not self._showing.on:
            self.viewer.change(source=f"{self.camera.value}:{change['new']}")

    def _filed(self, change):
        if text := change["new"].strip():
            self._try(str(Path(text).expanduser()))

    def _try(self, source):
        """Another's looks, if there is such a picture."""
        viewer = self.viewer
        with viewer.telling():
            with viewer.drawing:
                for name in viewer.artist.avatars:
                    viewer.artist.look_like(name, source)
            viewer.change(source=source)
