"""Captures in other systems' formats, one file a format. A writer's module has

    write(capture, folder)      fill an empty folder
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from anr_core.capture.folder import Capture
from anr_core.capture.writing import whole_or_nothing

WRITERS = {"easymocap": "anr_core.capture.writers.easymocap"}


def convert(capture: Capture, out: Path, format: str) -> None:
    """Write a capture in another format; `out` must not be there yet, or be empty."""
    if format not in WRITERS:
        raise ValueError(f"Captures aren't written as {format!r}; use {', '.join(WRITERS)}.")
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise ValueError(f"{out} is there already. Name another folder, or remove this one.")
    with whole_or_nothing(out) as folder:
        import_module(WRITERS[format]).write(capture, folder)
