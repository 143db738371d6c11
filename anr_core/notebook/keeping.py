"""Folders that outlive a Colab session: copied to Google Drive where that is ticked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from anr_core.notebook.setting_up import on_colab


def keeping(folder: str | Path, drive: bool) -> Path:
    """Where a folder is kept: on Google Drive where that is ticked, which asks for permission, else here.

    Raises ValueError where Drive is ticked outside of Colab.
    """
    if not drive:
        return Path(folder)
    if not on_colab():
        raise ValueError("Google Drive can be mounted on Colab alone. Untick it: here folders stay.")
    from google.colab import drive as mounting

    mounting.mount("/content/drive")
    # an absolute path would take the place of all before it, and nothing would be kept
    return Path("/content/drive/MyDrive/anr_core") / Path(folder).relative_to(Path(folder).anchor)


def keep(source: str | Path, target: str | Path) -> Path:
    """Copy a folder to where it is kept, file by file, each under another name until it is whole.

    Files that are there already, as long and as old, are not copied again; nothing is removed.
    """
    source, target = Path(source), Path(target)
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is not there to be kept. Run the cells above first.")
    if source.resolve() == target.resolve():
        return target
    for file in sorted(source.rglob("*")):
        if not file.is_file() or file.name.startswith("."):
            continue
        place = target / file.relative_to(source)
        if place.is_file() and _alike(place, file):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.name}.new")
        shutil.copy2(file, fresh)
        os.replace(fresh, place)
    return target


def _alike(one, other):
    one, other = one.stat(), other.stat()
    return one.st_size == other.st_size and one.st_mtime >= other.st_mtime - 2  # Drive rounds times


def fetch_back(target: str | Path, source: str | Path) -> Path:
    """What was kept earlier, here again, unless something is here already."""
    target, source = Path(target), Path(source)
    if target.is_dir() and not source.is_dir() and target.resolve() != source.resolve():
        fresh = source.with_name(f".{source.name}.new")  # what is interrupted goes on there
        os.replace(keep(target, fresh), source)
    return source
