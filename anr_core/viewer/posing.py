"""Sliders for the joints, poses to start from, and a pose as text."""

from __future__ import annotations

from dataclasses import replace

import ipywidgets as widgets
import numpy as np
import roma

from anr_core.body import Pose, TrackedBody
from anr_core.body.controls import GROUPS, Controls, arms_at, at_rest, shortest_turn
from anr_core.viewer.sliders import Scale, Sliders
from anr_core.viewer.state import State, pose_of_text, pose_text

PRESETS = 24  # poses of the capture that are offered, at the most
ARMS = {"T-pose": 0.0, "A-pose": -45.0}
RECORDED = ("This body knows only the poses that were recorded: choose one above. Sliders for joints need a "
            "body that can be posed, which <code>python -m anr_core fit</code> makes of any capture.")


class Posing:
    """The tab of joints: sliders, poses to choose, a pose as text."""

    def __init__(self, viewer):
        self.viewer, self.controls = viewer, Controls(viewer.body)
        self.presets = self._presets()
        self.choice = widgets.Dropdown(options=["choose a pose ...", *self.presets],
                                       layout=widgets.Layout(width="190px"))
        self.choice.observe(self._chosen, "value")
        reset = widgets.Button(description="reset pose", icon="undo", layout=widgets.Layout(width="120px"))
        reset.on_click(lambda _: viewer.change(pose=viewer.home_state.pose))
        self.mirror = widgets.Checkbox(description="both sides together", indent=False)
        self.sliders = Sliders({name: Scale(name, round(one.low), round(one.high))
                                for name, one in self.controls.all.items()}, self._bent)
        self.text = widgets.Textarea(placeholder="a pose as text: copy it from here, or paste one and apply",
                                     layout=widgets.Layout(width="360px", height="60px"))
        copy, apply = (widgets.Button(description=words, icon=icon, layout=widgets.Layout(width="150px"))
                       for words, icon in (("pose to text", "copy"), ("apply text", "paste")))
        copy.on_click(lambda _: setattr(self.text, "value", pose_text(viewer.state.pose)))
        apply.on_click(self._pasted)
        parts = [widgets.HBox([self.choice, reset])]
        if self.controls.all:
            groups = {group: [self.sliders.widgets[name] for name, one in self.controls.all.items()
                              if one.group == group] for group in GROUPS}
            groups = {group: found for group, found in groups.items() if found}
            # no higher than that picture and sliders are seen together
            low = widgets.Layout(max_height="312px", overflow="hidden auto", display="block")
            folds = widgets.Accordion(children=[widgets.Box(found, layout=low) for found in groups.values()])
            for index, group in enumerate(groups):
                folds.set_title(index, group)
            folds.selected_index = 0
            parts += [self.mirror, folds]
        else:
            parts.append(widgets.HTML(RECORDED))
        self.widget = widgets.VBox([*parts, self.text, widgets.HBox([copy, apply])])

    def show(self, state: State) -> None:
        """Let the widgets say what a state says."""
        if self.controls.all:
            self.sliders.show(self.controls.read(state.pose))
        self.choice.value = self.choice.options[0]  # so that the same one can be chosen again

    def _bent(self, name, degrees):
        bent = {name: degrees}
        if self.mirror.value:
            bent[self.controls.all[name].mirror] = degrees
        self.viewer.change(pose=self.controls.bent(self.viewer.state.pose, bent))

    def _chosen(self, change):
        if change["new"] in self.presets:
            self.viewer.change(pose=self.presets[change["new"]])

    def _pasted(self, _):
        with self.viewer.telling():
            state = self.viewer.state
            self.viewer.take(replace(state, pose=pose_of_text(self.text.value, state.pose)))

    def _presets(self) -> dict[str, Pose]:
        """Poses by what they are called."""
        viewer, found = self.viewer, {}
        if self.controls.all:
            found = {name: self._upright(degrees) for name, degrees in ARMS.items()}
        if viewer.capture is not None:
            recording = viewer.capture.recording
        elif isinstance(viewer.body, TrackedBody):
            recording = Pose.of_frame(viewer.body.frames)
        else:
            return found
        rows = np.unique(np.linspace(0, len(recording) - 1, PRESETS).round().astype(int))
        return found | {f"frame {int(recording.frame[row])}": recording[row:row + 1] for row in rows.tolist()}

    def _upright(self, degrees):
        """Where and as the start pose stands, but straight, its feet as low as they were."""
        body, start = self.viewer.body, self.viewer.home_state.pose
        up = self.viewer.artist.around.up
        root = roma.rotvec_to_rotmat(start.root_rotation[0])
        turn = roma.rotvec_to_rotmat(shortest_turn(root @ at_rest(body).up, up))
        pose = replace(start, rotations=arms_at(body, degrees), frame=None,
                       root_rotation=roma.rotmat_to_rotvec(turn @ root)[None])
        sunk = [(body(one).vertices[0] @ up).min() for one in (start, pose)]
        return replace(pose, root_translation=pose.root_translation + (sunk[0] - sunk[1]) * up)
