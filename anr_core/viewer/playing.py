"""A motion file, played on the person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ipywidgets as widgets

from anr_core.body import Pose
from anr_core.export.staging import placed
from anr_core.motion import read_motion, retarget
from anr_core.viewer.state import State

FPS = 25.0  # of what is played: more than most machines draw


@dataclass(frozen=True)
class Played:
    """Poses one after the other, `fps` of them a second."""

    poses: Pose
    fps: float


class Playing:
    """The tab of motions: a file's, or the film's own."""

    def __init__(self, viewer):
        self.viewer, self.motion = viewer, None
        wide, style = widgets.Layout(width="360px"), {"description_width": "60px"}
        self.file = widgets.Text(placeholder=".bvh, .npz, .json, or a capture",
                                 description="file", layout=wide, style=style)
        self.smooth = widgets.FloatSlider(value=0.0, min=0.0, max=0.5, step=0.05, description="smooth",
                                          layout=wide, style=style)
        self.loop = widgets.Checkbox(description="loop", value=True, indent=False)
        load = widgets.Button(description="load", icon="folder-open", layout=widgets.Layout(width="120px"))
        load.on_click(lambda _: self._load())
        recorded = widgets.Button(description="the film's own", layout=widgets.Layout(width="150px"),
                                  disabled=viewer.capture is None)
        recorded.on_click(lambda _: self._recorded())
        self.play = widgets.Play(min=0, max=0, interval=round(1000 / FPS), disabled=True)
        self.place = widgets.IntSlider(min=0, max=0, layout=widgets.Layout(width="250px"), readout=True,
                                       disabled=True)
        self._repeat = "repeat" if self.play.has_trait("repeat") else "_repeat"  # as ipywidgets 7 calls it
        self.loop.observe(lambda change: setattr(self.play, self._repeat, change["new"]), "value")
        setattr(self.play, self._repeat, self.loop.value)
        self._link = widgets.jslink((self.play, "value"), (self.place, "value"))
        self.place.observe(lambda change: self._stand(change["new"]), "value")
        self.told = widgets.HTML()
        self.widget = widgets.VBox([self.file, self.smooth, self.loop, widgets.HBox([load, recorded]),
                                    widgets.HBox([self.play, self.place]), self.told])

    def show(self, state: State) -> None:
        """Nothing: no state tells which motion it came from."""

    def take(self, poses: Pose, fps: float, name: str) -> None:
        """Poses to play from now on."""
        self.motion = Played(poses, fps)
        for widget in (self.play, self.place):
            widget.max, widget.value, widget.disabled = len(poses) - 1, 0, False
        self.play.interval = round(1000 / fps)
        self.told.value = f"{name}: {len(poses)} poses, {len(poses) / fps:.1f} s"
        self._stand(0)

    def _stand(self, row):
        if self.motion is not None and row < len(self.motion.poses):
            self.viewer.play(self.motion.poses[row:row + 1])

    def _recorded(self):
        capture = self.viewer.capture
        with self.viewer.telling():
            self.take(capture.recording, capture.fps, "the film's own poses")

    def _load(self):
        viewer = self.viewer
        with viewer.telling():
            if not self.file.value.strip():
                raise ValueError("Say which motion: the path of a BVH, npz or json file, or of a capture.")
            file = Path(self.file.value.strip()).expanduser()
            up = viewer.artist.around.up
            poses = retarget(read_motion(file), viewer.body, FPS, self.smooth.value, int(self.loop.value),
                             world_up=up)
            self.take(placed(viewer.body, poses, viewer.home_state.pose, up), FPS, file.name)
