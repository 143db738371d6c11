"""A panel for runs on disk."""

from __future__ import annotations

from pathlib import Path

import torch

from anr_core.avatars.linked import local_run
from anr_core.avatars.run import Run, people_of
from anr_core.viewer.panel import Viewer

_OPEN: dict[tuple[Path, ...], Viewer] = {}


def open_viewer(*runs: str | Path, size: int | None = None, stamp: bool = False) -> Viewer:
    """The panel of a run, or of several side by side, whose bodies have to be the same.

    Of a run of several people each is shown. Where the capture of the first run is there, its poses and
    backgrounds are offered. The panel that was opened before for the same runs is closed: a cell that is run
    again leaves nothing behind.

    Raises ValueError for avatars that can't be posed, or not side by side.
    """
    avatars, first, folders = {}, None, [local_run(run) for run in runs]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for folder in folders:
        for person in people_of(folder):
            run = Run.open(folder, person or None)
            first = first or run
            several = len(people_of(folder)) > 1
            name = person if several else run.config.system if len(runs) > 1 else run.path.name
            avatars[name if name not in avatars else str(folder)] = run.avatar().to(device)
    if first is None:
        raise ValueError("No run was given. Name the folder of one.")
    try:
        capture = first.capture()
    except FileNotFoundError:
        capture = None
    if (before := _OPEN.pop(tuple(folders), None)) is not None:
        before.close()
    viewer = Viewer(avatars, capture, up=torch.tensor(first.up), size=size, stamp=stamp, home=folders[0])
    _OPEN[tuple(folders)] = viewer
    return viewer
