"""Runs that somebody handed on: a link's archive, or one on this disk, unpacked once and kept."""

from __future__ import annotations

from pathlib import Path

from anr_core.capture.archives import is_archive, unpack
from anr_core.capture.fetching import fetch, link_of, store


def local_run(run: str | Path) -> Path:
    """The folder of a run that is a folder, an archive, or a link to one; the latter may end in #sha256=...

    Archives are unpacked beside what was downloaded, or beside themselves under their name, and stay there.
    Raises ValueError for an archive that holds no run.
    """
    link, path = link_of(run), Path(run)
    if link:
        print(f"{link}: downloading into {store()}")
        path = fetch(link, store())
    if not is_archive(path):
        if link:
            raise ValueError(f"{link} leads to {path.name}, which is no archive of a run. Pack the run's "
                             "folder as a zip and link that.")
        return path
    folder = path.with_name(f".{path.name}.unpacked")
    if not folder.is_dir():
        unpack(path, folder)
    configs = sorted(folder.rglob("config.json"), key=lambda file: len(file.parts))
    if not configs:
        raise ValueError(f"{run} holds no run: there is no config.json in it. Pack the run's folder.")
    return configs[0].parent
