"""The panel itself: the picture at the left, what moves it at the right, words below."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from pathlib import Path

import ipywidgets as widgets
import torch

from anr_core.avatars import Avatar
from anr_core.avatars.run import check_surface
from anr_core.body import Pose
from anr_core.capture import Capture
from anr_core.export.around import Around, within_limits
from anr_core.viewer.dragging import picture_widget
from anr_core.viewer.drawing import Artist, jpeg, stamp_of, stamped
from anr_core.viewer.latest import Latest
from anr_core.viewer.lending import Lending
from anr_core.viewer.looks import Looks
from anr_core.viewer.playing import Playing
from anr_core.viewer.posing import Posing
from anr_core.viewer.saving import Saving
from anr_core.viewer.state import State
from anr_core.viewer.viewing import Viewing

SHOWN = 512  # pixels that a picture is shown at, whatever it is drawn at
WIDE = 440   # pixels of the sliders' column
LEAST = 96   # pixels, drawn while the hand moves
SIZES = 16, 2048  # pixels: more takes a CPU seconds a picture
PAUSE = 0.3  # seconds without a new pose after which a motion rests


class Viewer:
    """A panel for avatars on one body; `state` may be read and set, and the sliders follow.

    avatars  one, or several by name, which are drawn side by side
    capture  whose poses and backgrounds are offered, and whose `up` counts; None: none are
    up       (3,) the world's unit vector against gravity, where there is no capture
    size     side of the picture, pixels; None for what the avatar was trained for
    stamp    draw a bar code into the picture that tells its state, for tests
    home     folder of the run, in which other people are looked for

    Raises ValueError for avatars without a body, or of different bodies, and for a size out of SIZES.
    """

    def __init__(self, avatars: Avatar | dict[str, Avatar], capture: Capture | None = None, *,
                 up: torch.Tensor | None = None, size: int | None = None, stamp: bool = False,
                 home: Path | None = None):
        avatars = avatars if isinstance(avatars, dict) else {"avatar": avatars}
        first = next(iter(avatars.values()))
        check_bodies(avatars, capture)
        if size is not None and not SIZES[0] <= size <= SIZES[1]:
            raise ValueError(f"The picture can't be {size} pixels wide; give {SIZES[0]} to {SIZES[1]}, or "
                             "none for what the avatar was trained for.")
        body = first.body  # copied where it is not here already: meshes of many frames lie on disk
        if body.surface.faces.device.type != "cpu":
            body = copy.deepcopy(body).cpu()
        up = capture.up if capture is not None else torch.tensor([0.0, 0.0, 1.0]) if up is None else up
        start = body.rest_pose() if capture is None else capture.recording[:1]
        around = Around(body, up, start)
        self.capture, self.body, self.stamp = capture, body, stamp
        self.size = size or first.config.size
        self.home_state = State(around.whole(), start)
        self._state = self.home_state
        self.artist = Artist(avatars, body, around, capture, home)
        self.drawing = threading.Lock()  # a video is drawn while sliders move
        self._moving = threading.RLock()  # who hears the hand, and who lets sliders follow a motion
        self._drawn, self._later, self._spoiled = deque(maxlen=20), None, False
        self._make()
        self.latest = Latest(self._draw, self._frame_failed)
        self._follow()

    # what the parts use

    @property
    def state(self) -> State:
        """What is drawn now; setting it draws another."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        with self._moving:
            self._state = state
            self._hush()
            self._follow()

    def change(self, **changes) -> None:
        """Another state, of which some fields are new; called by whoever was moved."""
        with self._moving:
            self.state = replace(self._state, **changes)

    def take(self, state: State) -> None:
        """A state that somebody wrote; raises, and stays as it was, where that can't be drawn."""
        self.draw(state, LEAST)
        self.state = state

    def play(self, pose: Pose) -> None:
        """Another pose, one of many that follow each other: the sliders follow when they rest."""
        with self._moving:
            self._state = replace(self._state, pose=pose)
            self.latest.ask(self._state)
            if self._later is not None:
                self._later.cancel()
            self._later = threading.Timer(PAUSE, self._follow)
            self._later.daemon = True
            self._later.start()

    def change_view(self, **changes) -> None:
        """Change some of the view's fields, in degrees and metres, and draw that."""
        with self._moving:
            self.change(view=replace(self._state.view, **changes))

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Say whatever goes wrong in the block: of an error in a widget's callback nobody hears."""
        self._hush()
        try:
            yield
        except Exception as error:
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Say under the picture what went wrong; the panel lives on."""
        words = " ".join(str(error).split()) or type(error).__name__
        self.words.value = f'<span style="color:#c0392b">{escape(words)}</span>'

    def say(self, words: str) -> None:
        """Show words under the picture."""
        self.words.value = escape(words)

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until the picture shows the newest state."""
        if not self.latest.settle(seconds):
            raise TimeoutError(f"The picture was not drawn within {seconds:g} seconds.")

    def draw(self, state: State | None = None, size: int | None = None):
        """(H, W, 3) uint8 of a state, by default the one that is shown."""
        with self.drawing:
            return self.artist.picture(state or self._state, size or self.size)

    def cut_out(self, state: State | None = None, size: int | None = None):
        """(H, W, 4) uint8 of a state: the person alone, in straight colour, and alpha."""
        with self.drawing:
            return self.artist.cut_out(state or self._state, size or self.size)

    def close(self) -> None:
        """Take the panel away, and let go of its avatars."""
        self.latest.close()
        if self._later is not None:
            self._later.cancel()
        for widget in within(self.widget):
            widget.close()
        self.parts, self.artist = {}, None

    # the widget

    def _make(self):
        self.picture = picture_widget(self._dragged, self._wheeled)
        share = min(len(self.artist.avatars), 2)
        several = share > 1  # then the picture takes what room the sliders leave, lest it lie under them
        self.picture.layout = widgets.Layout(width="100%" if several else f"{SHOWN}px", height="auto",
                                             object_fit="contain")
        self.status, self.words = widgets.HTML(), widgets.HTML()
        parts = {"View": Viewing, "Pose": Posing, "Motion": Playing, "Looks": Looks, "Source": Lending,
                 "Save": Saving}
        needed = {"View": "view", "Pose": "pose", "Motion": "pose", "Source": "source"}
        able = {control for avatar in self.artist.avatars.values() for control in avatar.controls}
        self.parts = {name: part(self) for name, part in parts.items()
                      if name not in needed or needed[name] in able}
        tabs = widgets.Tab(children=[part.widget for part in self.parts.values()],
                           layout=widgets.Layout(width=f"{WIDE}px", flex="0 0 auto"))
        for index, name in enumerate(self.parts):
            tabs.set_title(index, name)
        left = widgets.VBox([self.picture, self.status, self.words],
                            layout=widgets.Layout(width="auto" if several else f"{SHOWN + 8}px",
                                                  max_width=f"{SHOWN * share + 8}px", min_width="0px",
                                                  flex="1 1 auto" if several else "0 0 auto"))
        self.widget = widgets.HBox([left, tabs], layout=widgets.Layout(align_items="flex-start"))

    def _ipython_display_(self):
        from IPython.display import display

        display(self.widget)

    def _follow(self):
        """Sliders and picture to the state."""
        with self._moving:
            for part in self.parts.values():
                part.show(self._state)
            self.latest.ask(self._state)

    def _hush(self):
        """Take back an error that is over, but for one of a frame, until the next frame is drawn."""
        if not self._spoiled and self.words.value.startswith("<span"):
            self.words.value = ""

    def _frame_failed(self, error):
        self._spoiled = True
        self.failed(error)

    def _draw(self, state, sharp):
        started = time.perf_counter()
        size = self.size if sharp else max(LEAST, self.size // 2)
        image = self.draw(state, size)
        self.picture.value = jpeg(stamped(image, stamp_of(state)) if self.stamp else image)
        self._drawn.append((started, time.perf_counter()))
        seconds = sorted(end - start for start, end in self._drawn)[len(self._drawn) // 2]
        self.status.value = (f'<span style="color:#777">{size}x{size} pixels, {1000 * seconds:.0f} ms, '
                             f"{1 / seconds:.0f} pictures a second</span>")
        if self._spoiled:  # by an earlier frame
            self._spoiled = False
            self._hush()

    def _dragged(self, right: float, down: float):
        """The hand moved so many pictures to the right and down."""
        view = self._state.view
        self.change_view(azimuth=within_limits("azimuth", view.azimuth - 180 * right),
                         elevation=within_limits("elevation", view.elevation + 120 * down))

    def _wheeled(self, notches: float):
        distance = self._state.view.distance * 1.1**notches
        self.change_view(distance=within_limits("distance", distance))


def within(widget):
    """A widget and all that are in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from within(child)


def check_bodies(avatars: dict[str, Avatar], capture: Capture | None) -> None:
    """Raise ValueError for avatars that can't be posed, or not together, or not with this capture."""
    first = next(iter(avatars.values()))
    for name, avatar in avatars.items():
        if avatar.surface is None:
            raise ValueError(f"The avatar {name} was trained on pairs of pictures: there is no body to pose. "
                             "Draw new inputs: python -m anr_core render RUN OUT.mp4 --capture PAIRS")
        if avatar.body is None:
            raise ValueError(f"The avatar {name} has no body to pose: its capture was not found. Set "
                             "avatar.body, or load the run beside its capture.")
        if not torch.equal(avatar.surface.faces.cpu(), first.surface.faces.cpu()):
            raise ValueError(f"The avatar {name} has {len(avatar.surface.faces)} faces, another body than "
                             f"the first's {len(first.surface.faces)}. Open them one by one.")
    if capture is not None:
        check_surface(capture, first.surface)
