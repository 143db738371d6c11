"""A picture, a video, or the exact state as text."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets

from anr_core.capture.pictures import write_image
from anr_core.export.around import within_limits
from anr_core.export.backgrounds import NONE
from anr_core.export.video import VIDEO_FPS
from anr_core.export.writing import CODECS, check_name, write_video
from anr_core.viewer.state import State

PLAYED = ".mp4", ".webm"  # what browsers play
TURN = 4.0  # seconds in which the camera goes round once


class Saving:
    """The tab of what is kept: a picture, a video, the state as text."""

    def __init__(self, viewer):
        self.viewer, self._thread = viewer, None
        wide = widgets.Layout(width="360px")
        self.picture = widgets.Text(value="picture.png", description="picture", layout=wide)
        self.video = widgets.Text(value="video.mp4", description="video", layout=wide)
        self.what = widgets.Dropdown(options=["the camera goes round once", "the motion that is loaded"],
                                     description="of", layout=wide)
        self.bar = widgets.FloatProgress(min=0.0, max=1.0, layout=wide)
        self.player = widgets.Video(format="mp4", autoplay=True, loop=True,
                                    layout=widgets.Layout(width="200px", display="none"))
        self.text = widgets.Textarea(placeholder="the exact state as text: copy it, or paste one and apply",
                                     layout=widgets.Layout(width="360px", height="80px"))
        buttons = {}
        for name, (words, icon, work) in {
                "picture": ("save picture", "image", self._save_picture),
                "video": ("save video", "film", self._save_video),
                "copy": ("state to text", "copy", lambda: setattr(self.text, "value", viewer.state.text())),
                "apply": ("apply text", "paste", self._apply)}.items():
            buttons[name] = widgets.Button(description=words, icon=icon, layout=widgets.Layout(width="150px"))
            buttons[name].on_click(lambda _, work=work: self._safely(work))
        self.buttons = buttons
        self.widget = widgets.VBox([self.picture, buttons["picture"], self.video, self.what, buttons["video"],
                                    self.bar, self.player, self.text,
                                    widgets.HBox([buttons["copy"], buttons["apply"]])])

    def show(self, state: State) -> None:
        """Nothing: what is saved is the state itself."""

    def wait(self, seconds: float = 600.0) -> None:
        """Until a video that is being saved is there."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _safely(self, work):
        with self.viewer.telling():
            work()

    def _save_picture(self):
        file = _named(self.picture.value, (".png", ".jpg", ".jpeg"), "picture")
        clear = self._clear() and file.suffix.lower() == ".png"
        write_image(file, self.viewer.cut_out() if clear else self.viewer.draw())
        self.viewer.say(f"written to {file}")

    def _clear(self) -> bool:
        """Whether the person stands before nothing."""
        state = self.viewer.state
        return state.background == NONE and state.layer == "result"

    def _save_video(self):
        if self._thread is not None and self._thread.is_alive():
            raise ValueError("A video is being saved already; wait for it.")
        file = _named(self.video.value, tuple(CODECS), "video")
        check_name(file, transparent=self._clear())
        states, fps = self._states()
        self._thread = threading.Thread(target=self._film, args=(file, states, fps), daemon=True)
        self._thread.start()

    def _states(self) -> tuple[list[State], float]:
        """What the video shows, picture by picture, and its pictures a second."""
        now = self.viewer.state
        if self.what.value == self.what.options[0]:
            count = round(TURN * VIDEO_FPS)
            turns = (within_limits("azimuth", now.view.azimuth + 360 * m / count) for m in range(count))
            return [replace(now, view=replace(now.view, azimuth=turn)) for turn in turns], VIDEO_FPS
        motion = self.viewer.parts["Motion"].motion if "Motion" in self.viewer.parts else None
        if motion is None:
            raise ValueError("No motion is loaded yet: load one in the tab Motion, or film a round.")
        return [replace(now, pose=motion.poses[m:m + 1]) for m in range(len(motion.poses))], motion.fps

    def _film(self, file, states, fps):
        size = self.viewer.size  # which may be changed on the way
        draw = self.viewer.cut_out if self._clear() else self.viewer.draw

        def drawn():
            for index, state in enumerate(states):
                yield draw(state, size)
                self.bar.value = (index + 1) / len(states)

        try:
            write_video(file, drawn(), fps)
            if file.suffix.lower() in PLAYED:
                self.player.format = file.suffix.lower()[1:]
                self.player.value, self.player.layout.display = file.read_bytes(), ""
            self.viewer.say(f"written to {file}: {len(states)} pictures, {len(states) / fps:.1f} s")
        except Exception as error:  # in a thread: else nobody hears of it
            self.viewer.failed(error)
        finally:
            self.bar.value = 0.0

    def _apply(self):
        self.viewer.take(State.of_text(self.text.value, self.viewer.state))


def _named(text: str, endings: tuple[str, ...], what: str) -> Path:
    file = Path(text.strip()).expanduser().resolve()
    if file.suffix.lower() not in endings:
        raise ValueError(f"{text!r} is no name of a {what}; write one that ends in {' or '.join(endings)}.")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


