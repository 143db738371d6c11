"""An avatar that leaves the house: one file that others open without this package.

    hand_on(run, "me.html")     a page that draws the avatar under sliders, opened from disk
    hand_on(run, "me.glb")      the skinned mesh with its unwrapped texture, for Blender, engines, three.js
    hand_on(run, "me.onnx")     the networks, for ONNX Runtime

Each kind of file is a module of its own with two functions: `check` says in one line what can't be exported,
before any work is done; `write` does it. Every file carries the licence of its capture and `CONSENT`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from anr_core.avatars.run import Run, writing

KINDS = {".html": "anr_core.export.html", ".glb": "anr_core.export.gltf", ".onnx": "anr_core.export.onnx"}

CONSENT = ("This is the likeness of a person. Show it, move it and pass it on only as far as that person "
           "has agreed to.")


@dataclass(frozen=True)
class Wishes:
    """What of an avatar is to be in the file.

    motion  a file of a motion, or a capture's folder, that it comes with; None for the run's own capture's
            in a page, and for none in a mesh
    up      `read_motion`'s axis of a motion whose files differ in that
    shapes  a mesh has the body's shape basis as morph targets
    size    side of the pictures that it draws, pixels; None for the run's own
    sampled networks come with the sampling of the texture
    """

    motion: str | Path | None = None
    up: str | None = None
    shapes: bool = False
    size: int | None = None
    sampled: bool = False


def hand_on(run: Run, out: str | Path, wishes: Wishes = Wishes()) -> list[str]:
    """Write a run's avatar as a file of the kind that its name ends with; returns notes for the user.

    Raises ValueError for another kind of name, and for a system that can't be exported to it.
    """
    out = Path(out)
    if out.suffix.lower() not in KINDS:
        raise ValueError(f"{out} is no kind of file that an avatar is exported to; name one of "
                         f"{', '.join(KINDS)}.")
    kind = import_module(KINDS[out.suffix.lower()])
    kind.check(run, wishes)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    return kind.write(run, out, wishes)


def notice(run: Run) -> str:
    """What every exported file says of its origin: the capture's licence line, and of consent."""
    return f"Licence of the capture: {run.licence or 'not stated'}. {CONSENT}"
