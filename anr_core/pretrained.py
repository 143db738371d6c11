"""What others have trained: looked for once, left out where it can't be had, never waited for long."""

from __future__ import annotations

import socket
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache, wraps
from threading import Lock
from typing import Any

import torch


def asked_once(find: Callable) -> Callable:
    """The same function, whose answers are kept; of several threads that ask at once one looks."""
    known, asking = lru_cache(find), Lock()

    @wraps(find)
    def asked(*words):
        with asking:
            return known(*words)

    asked.cache_clear = known.cache_clear
    return asked


def had(name: str, build: Callable[[], Any]) -> Any | None:
    """What `build` makes with torchvision, or None where it can't be had; one printed line says which."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(10)  # seconds; without it a network that swallows packets stops the program
    try:
        _import_torchvision()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lpips asks torchvision for weights in the old way
            found = build()
    except Exception as error:  # no package, no network, a broken file: training goes on without it
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"{name} is left out: {reason}", file=sys.stderr)
        return None
    finally:
        socket.setdefaulttimeout(patience)
    print(f"{name} is used.", file=sys.stderr)
    return found


def _import_torchvision() -> None:
    """Import torchvision, also where its compiled operators don't fit the torch that is installed.

    Beside a CPU torch it fails with "operator torchvision::nms does not exist", because it describes two
    operators that were never loaded. Its networks need neither; declaring both is enough.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        global _declared  # the declaration lives as long as its library object
        _declared = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            _declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401
