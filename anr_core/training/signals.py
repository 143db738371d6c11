"""Signals that ask a training to stop wait until its step is whole, so that what is saved is sound."""

from __future__ import annotations

import signal
import threading

# SIGCHLD: torch raises an error from it wherever the program is, when a process that reads pictures has died.
# It comes last: whoever stops a group of processes stops those too.
WAITING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGCHLD")
           if hasattr(signal, name)]


class Held:
    """While it is entered, signals that have a handler of Python wait; `deliver` hands them on.

    A signal that comes twice in one step is handed on at once: the step may be one that never ends. Where
    Python can set no handlers, outside the main thread, nothing waits.
    """

    def __init__(self):
        self.arrived: list[int] = []
        self.handlers = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in WAITING}
            self.handlers = {number: handler for number, handler in found.items() if callable(handler)}
            for number in self.handlers:
                signal.signal(number, self._note)

    def __exit__(self, *error) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def deliver(self) -> None:
        """Call the handlers of what has arrived; what they raise is raised here."""
        arrived, self.arrived = self.arrived, []
        for number in sorted(arrived, key=WAITING.index):
            self.handlers[number](number, None)

    def _note(self, number, frame):
        if number not in self.arrived:
            self.arrived.append(number)
        elif number != getattr(signal, "SIGCHLD", None):
            self.handlers[number](number, frame)
