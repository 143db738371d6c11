"""Signals that ask a training to stop wait until its step is whole, so that what is saved is sound."""

from __future__ import annotations

import signal
import threading

# torch raises an error from this one, wherever the program is, when a process that reads pictures has died
DEATHS = [getattr(signal, name) for name in ("SIGCHLD",) if hasattr(signal, name)]
# deaths last: whoever stops a group of processes stops those too
ALL = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)] + DEATHS


class Held:
    """While it is entered, some signals wait, if they have a handler of Python; `deliver` hands them on.

    A signal that asks twice in one step is handed on at once: the step may be one that never ends. Where
    Python can set no handlers, outside the main thread, nothing waits.
    """

    def __init__(self, signals: list[int]):
        self.signals = signals
        self.arrived: list[int] = []
        self.handlers = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in self.signals}
            self.handlers = {number: handler for number, handler in found.items() if callable(handler)}
            for number in self.handlers:
                signal.signal(number, self._note)

    def __exit__(self, *error) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def deliver(self) -> None:
        """Call the handlers of what has arrived; what they raise is raised here."""
        arrived, self.arrived = self.arrived, []
        for number in sorted(arrived, key=self.signals.index):
            self.handlers[number](number, None)

    def _note(self, number, frame):
        if number not in self.arrived:
            self.arrived.append(number)
        elif number not in DEATHS:
            self.handlers[number](number, frame)
