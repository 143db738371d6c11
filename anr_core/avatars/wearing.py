"""Textures of two people mixed by body part: who wears what, in words."""

from __future__ import annotations

from pathlib import Path

from anr_core.avatars.base import Avatar
from anr_core.avatars.run import load_avatar
from anr_core.telling import quoted


def wearing(mine: Avatar, folder: Path | None, text: str) -> Avatar:
    """An avatar in parts of another's texture, as text such as "subject 1:torso,thigh" says.

    folder  the run of several people in which the other one is looked for by name; the name of a run's
            folder does as well

    Raises ValueError for other text, and for people who don't share their renderers.
    """
    name, _, parts = text.rpartition(":")
    if not (name and parts):
        raise ValueError(f"{quoted(text)} doesn't say what is worn: write PERSON:PART,PART, for example "
                         "'subject 1:torso,thigh'.")
    if (Path(name) / "config.json").is_file():
        theirs = load_avatar(name)
    elif folder is not None:
        theirs = load_avatar(folder, name)
    else:
        raise FileNotFoundError(f"{name} is no run. Give the folder of one that shares its renderers.")
    if not hasattr(mine, "wearing") or type(mine) is not type(theirs):
        raise ValueError(f"A {mine.config.system} avatar can't wear parts of a {theirs.config.system} one; "
                         "two of system anr can.")
    return mine.wearing(theirs.to(mine.device), parts.split(","))
