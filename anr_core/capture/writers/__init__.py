"""Captures in other systems' formats, one file a format. A writer's module has

    write(capture, folder) -> notes     fill an empty folder; what the user should know of it, line by line
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from anr_core.capture.folder import Capture
from anr_core.capture.writing import whole_or_nothing

WRITERS = {"easymocap": "anr_core.capture.writers.easymocap",
           "smplpix": "anr_core.capture.writers.smplpix"}


def convert(capture: Capture, out: Path, format: str) -> list[str]:
    """Write a capture in another format, and return notes; `out` must not be there yet, or be empty.

    Raises ValueError for a format that there is not, and a folder that is not empty.
    """
    if format not in WRITERS:
        raise ValueError(f"Captures aren't written as {format!r}; use {', '.join(WRITERS)}.")
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise ValueError(f"{out} is there already. Name another folder, or remove this one.")
    with whole_or_nothing(out) as folder:
        return import_module(WRITERS[format]).write(capture, folder)
