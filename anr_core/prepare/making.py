"""From whatever somebody has to a capture that trains, in one call: what a notebook's form asks for."""

from __future__ import annotations

import json
from pathlib import Path

from anr_core.capture import Capture, load_capture
from anr_core.prepare import prepare, report
from anr_core.prepare.studio import studio_capture

STUDIO = "studio"
ASKED = "asked.json"  # in the capture: what it was made of


def make_capture(source: str, folder: str | Path, *, format: str = "auto", fps: float | None = None,
                 start: float | None = None, end: float | None = None, annotator: str | None = None,
                 fit: bool = True, studio: dict | None = None) -> Capture:
    """Make a capture of a source, with keypoints, masks and a body as far as that goes.

    source     "studio" for a person nobody filmed, or what `prepare` takes: a path or a link
    annotator  finds keypoints and masks where they are missing; None: nobody does
    fit        fit a body where there is none yet
    studio     further arguments of `studio_capture`

    Asked again for the same, it goes on with what is there. Raises ValueError for a source that says nothing,
    and for one that is a capture already.
    """
    folder = Path(folder)
    if not source.strip():
        raise ValueError(f"The source is empty: give a path, a link, or {STUDIO!r}, whom nobody filmed.")
    if (Path(source.strip()) / "capture.json").is_file():  # whose pictures alone would be taken
        raise ValueError(f"{source.strip()} is a capture already: train on it as it is.")
    if source.strip() == STUDIO:
        made = studio_capture(folder, **({"fps": fps} if fps else {}) | (studio or {}))
        report(made, ["drawn by the studio, which nobody had to be filmed for"], made.path,
               f"{made.path} won't do")
        return made
    asked = json.dumps([source.strip(), format, fps, start, end])
    if _was_asked(folder, asked):
        print(f"{folder} is there already; remove it to prepare it anew")
        made = load_capture(folder)
    else:
        made = prepare(source.strip(), folder, format, fps, start, end)
        (folder / ASKED).write_text(asked, encoding="utf-8")
    if annotator and any(shot.mask is None or (shot.camera, shot.frame) not in made.keypoints
                         for shot in made.shots):
        from anr_core.prepare.annotate import annotate

        made = annotate(folder, annotator)
    if fit and made.registration is None and made.skeleton is not None:
        from anr_core.prepare.fit import fit as fit_body

        made = fit_body(folder)
    return load_capture(folder)


def _was_asked(folder, asked):
    """Whether a folder holds the capture that the very same call has made."""
    file = folder / ASKED
    return (folder / "capture.json").is_file() and file.is_file() and \
        file.read_text(encoding="utf-8") == asked
