"""Drawing that follows the hand: of what was asked for while a picture was drawn only the newest is drawn.

A thread of its own draws, so that messages of sliders never wait for a picture, whether a notebook's kernel
hears them on its main thread (Colab) or on another (JupyterLab).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# Seconds after the last request before a picture that was drawn small is drawn sharp.
REST = 0.15
# Seconds without a request after which the thread ends; the next request starts another.
IDLE = 30.0
# Seconds that a sharp picture may take before it is drawn small while requests keep coming.
SLOW = 0.08


class Latest:
    """Calls `draw(request, sharp)` for the newest request; `failed(error)` where it raises."""

    def __init__(self, draw: Callable[[object, bool], None], failed: Callable[[Exception], None]):
        self._draw, self._failed = draw, failed
        self._changed = threading.Condition()
        self._waiting, self._busy, self._closed = None, False, False
        self._sharp_seconds = 0.0
        self._thread = None

    def ask(self, request: object) -> None:
        """Draw this, in place of whatever still waits; returns at once."""
        with self._changed:
            self._waiting = (request,)
            if self._thread is None:
                self._closed = False
                self._thread = threading.Thread(target=self._run, daemon=True, name="viewer")
                self._thread.start()
            self._changed.notify_all()

    def settle(self, seconds: float = 60.0) -> bool:
        """Wait until the newest request was drawn sharp; False where that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is None and not self._busy, seconds)

    def close(self) -> None:
        """Draw nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self):
        while (request := self._next()) is not None:
            sharp = self._sharp_seconds < SLOW
            started = time.perf_counter()
            self._safely(request[0], sharp)
            if sharp:
                self._sharp_seconds = time.perf_counter() - started
            elif self._rested():
                started = time.perf_counter()
                self._safely(request[0], True)
                self._sharp_seconds = time.perf_counter() - started
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self):
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._closed, IDLE)
            if self._waiting is None or self._closed:
                self._thread = self._waiting = None
                return None
            request, self._waiting, self._busy = self._waiting, None, True
            return request

    def _rested(self):
        """Whether nothing new is asked for within REST."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._waiting is not None or self._closed, REST)

    def _safely(self, request, sharp):
        try:
            self._draw(request, sharp)
        except Exception as error:  # whatever a frame meets, the panel lives on and says so
            self._failed(error)
