"""What options are written in: lists of frames, files of settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tyro.conf import arg

from anr_core.telling import brief, quoted


def optional(metavar: str):
    """An option that is off unless given: its help needs no default."""
    return arg(metavar=metavar, help_behavior_hint="")


def frame_list(text: str, there: Iterable[int]) -> list[int]:
    """The frames that text such as "0-40,48" names: of a range those that are there, both ends included.

    Raises ValueError for text that is no list, and for numbers that none of them has.
    """
    from anr_core.capture.sources import is_number

    there, named = sorted(there), set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (is_number(first) and is_number(last)):
            raise ValueError(f"{quoted(text)} is no list of frames: {quoted(part)} is neither a number nor a "
                             "range. Write for example 0-40,48.")
        frames = {frame for frame in there if int(first) <= frame <= int(last)}
        if not frames:
            known = f"{len(there)} frames from {there[0]} to {there[-1]}" if there else "none that all have"
            raise ValueError(f"There is no frame {brief(part.strip())}; the capture has {known}.")
        named |= frames
    return sorted(named)


def read_settings(file: Path, system: str = "anr") -> dict:
    """The settings in a JSON file, each of the type that it has among the system's.

    Raises FileNotFoundError without a file, ValueError for what is no JSON, no setting's type, or `system`
    and `preset`.
    """
    from anr_core.avatars import configure
    from anr_core.capture.sources import read_json

    known = configure(system=system)
    example = 'Write an object of settings, such as {"width": 24}.'
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist. {example}")
    settings = read_json(file, f"{file} is no valid JSON ({{}}). {example}")
    if not isinstance(settings, dict):
        raise ValueError(f"{file} holds a {type(settings).__name__}. {example}")
    for name, value in settings.items():
        if name in ("system", "preset"):
            raise ValueError(f"{file} sets {name}; choose it with --{name}.")
        wanted = type(getattr(known, name, value))
        if type(value) is not wanted and (type(value), wanted) != (int, float):
            raise ValueError(f"{file} sets {brief(name)} to {quoted(value)}, but it has to be of type "
                             f"{wanted.__name__}.")
    return settings
