"""One file a format. A reader's module has

    ABOUT                   what makes a folder one of this format, for messages
    recognises(source)      whether a folder, or a file, is
    read(source, span) -> Footage
    TRAINS                  the only systems that its captures can train, where no body can ever be fitted

span (timing.py) says how many frames a second are asked for, also from videos, and which seconds.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from anr_core.telling import quoted

# In the order in which a source is looked at: what a format alone has comes before what many have.
READERS = {
    "registered": "anr_core.capture.readers.registered",
    "zju": "anr_core.capture.readers.zju",
    "people-snapshot": "anr_core.capture.readers.people_snapshot",
    "neuman": "anr_core.capture.readers.neuman",
    "panoptic": "anr_core.capture.readers.panoptic",
    "human-view-synthesis": "anr_core.capture.readers.human_view",
    "dynamic-texture": "anr_core.capture.readers.dynamic_texture",
    "smplpix": "anr_core.capture.readers.smplpix",
    "easymocap": "anr_core.capture.readers.easymocap",
    "pose2sim": "anr_core.capture.readers.pose2sim",
    "plain": "anr_core.capture.readers.plain",
}


def find_reader(source: Path, name: str = "auto"):
    """The module that reads a source, by the format's name or by looking, and the format's name.

    Raises ValueError where no format fits, or there is none of that name, FileNotFoundError without a
    source.
    """
    if name != "auto" and name not in READERS:
        raise ValueError(f"There is no format {quoted(name)}; use auto or {', '.join(READERS)}.")
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist. Give the folder that holds the source.")
    readers = {key: import_module(READERS[key]) for key in (READERS if name == "auto" else [name])}
    for key, reader in readers.items():
        if name != "auto" or reader.recognises(source):
            return key, reader
    known = "; ".join(f"{key}: {reader.ABOUT}" for key, reader in readers.items())
    raise ValueError(f"{source} is of no known format ({known}). Name one to learn what is missing.")
