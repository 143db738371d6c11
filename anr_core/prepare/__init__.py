"""From what somebody has to a capture: any known format in, our own folder out."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from anr_core.capture import Capture, Shot, load_capture
from anr_core.capture.fetching import link_of, local_source
from anr_core.capture.readers import find_reader
from anr_core.capture.readers.timing import EVERYTHING, Span
from anr_core.capture.sample import SAMPLE_TRIAL, is_sample, sample_licence
from anr_core.capture.sheet import write_sheet
from anr_core.capture.writing import check_replaceable, whole_or_nothing, write_capture
from anr_core.prepare.check import check, check_footage, mask_overlaps
from anr_core.prepare.gbuffer import write_gbuffer
from anr_core.telling import LONGEST_ERROR, brief, listed

REPORT = "report.png"


def prepare(source: Path | str, capture: Path, format: str = "auto", fps: float | None = None,
            start: float | None = None, end: float | None = None, keypoints_late: int = 0,
            gbuffer: bool = False, trial: str | None = None) -> Capture:
    """Make a capture of a source in a known format, and say what was found and what is wrong with it.

    source          a folder, a video, an archive of one, or a link to one of these; or "sample", a recording
                    that is published for everybody, unless a file or folder here is called that
    format          the source's format; auto looks what it is
    fps             take this many frames a second, from videos too; None takes the pictures that are there
    start, end      seconds of the source to take
    keypoints_late  keypoints of frame n belong to frame n - keypoints_late
    gbuffer         draw IUV and normals too; of a capture that is there already where it is the source
    trial           name of the folder in the source that is meant

    A capture that is already there is replaced, once the new one is whole; anything else is left alone.
    Errors in the report raise ValueError, and nothing is written.
    """
    span = Span(fps, start, end)
    stated, published = {"link": link_of(source)}, is_sample(source)
    if stated["link"] or published:
        check_replaceable(Path(capture))  # before anything is downloaded
    with local_source(source, Path(capture)) as found:
        if published:
            stated |= sample_licence(found)
            trial = trial or SAMPLE_TRIAL
        part = found if trial is None else _part(found, trial)
        named = "/".join([str(source).rstrip("/"), *part.relative_to(found).parts])
        return _prepare(part, named, Path(capture), format, span, keypoints_late, gbuffer, stated=stated)


def prepare_link(link: str, capture: Path, system: str) -> Capture:
    """The capture of a link's file, made unless it is there already, to train a system with.

    link  an address, or what is on this disk: an archive, a video or a folder

    Raises ValueError where the folder holds a capture of something else, and for a source that can't train
    the system: this is known when it was downloaded, which has not to be done again.
    """
    address, source = link_of(link), link
    if address is None:
        if not Path(link).exists():
            raise ValueError(f"--data_url {link} is no link, and no file or folder here. Give an address "
                             "that begins with https://, or the path of an archive.")
        source, address = Path(link), Path(link).resolve().as_uri()
    if (capture / "capture.json").is_file():
        made = load_capture(capture)
        if made.link != address:
            raise ValueError(f"{capture} is a capture of "
                             f"{brief(made.link or 'something on this disk', 200)}, not of {address}. Name "
                             "another folder, or leave --data_url away.")
        return made
    check_replaceable(capture)
    with local_source(source if isinstance(source, Path) else address, capture) as found:
        return _prepare(found, str(link), capture, system=system, stated={"link": address})


def _part(source: Path, name: str) -> Path:
    """The one folder of that name in a source; its name may begin with those of the folders above it."""
    pattern = Path(*(glob.escape(part) for part in Path(name).parts if part not in ("/", "..")))
    found = [folder for folder in sorted(source.rglob(str(pattern))) if folder.is_dir()] \
        if source.is_dir() and pattern.parts else []
    if len(found) != 1:
        what = "no folder" if not found else "several folders"
        which = f": {listed(folder.relative_to(source) for folder in found)}" if found else ""
        raise ValueError(f"{source} holds {what} {name}{which}. Name one in it with --trial.")
    return found[0]


def _prepare(source, named, capture, format="auto", span=EVERYTHING, keypoints_late=0, gbuffer=False,
             system=None, stated=None) -> Capture:
    """`source` is on this disk; the user is told what they named. `stated` replaces what is read."""
    if gbuffer and source.resolve() == capture.resolve():
        return _with_gbuffer(load_capture(capture))
    name, reader = find_reader(source, format)
    if system not in (None, *getattr(reader, "TRAINS", [system])):
        raise ValueError(f"{named} is of format {name}: pictures without cameras and a body, which system "
                         f"{system} needs. Train it with a capture of another format.")
    if source.resolve().is_relative_to(capture.resolve()):  # it would be lost when the capture is replaced
        raise ValueError(f"{named} lies in {capture}, where the capture is to be. Name another folder.")
    print(f"{named}: format {name}")
    footage = replace(reader.read(source, span), **(stated or {"link": link_of(named)}))
    _stop_at_errors(check_footage(footage), f"{named} is not prepared")
    with whole_or_nothing(capture) as folder:
        notes = [note.replace(str(source), named) for note in footage.notes]
        notes += write_capture(footage, folder, keypoints_late)
        made = load_capture(folder)
        report(made, notes, capture, f"{named} is not prepared")
        if gbuffer:
            write_gbuffer(made, folder)
    _say([f"see {capture / REPORT}", f"written to {capture}"])
    return load_capture(capture)


def _with_gbuffer(capture: Capture) -> Capture:
    """The same capture, with IUV and normals of its body as it is now."""
    with tempfile.TemporaryDirectory(dir=capture.path) as folder:
        write_gbuffer(capture, Path(folder))
        shutil.rmtree(capture.path / "gbuffer", ignore_errors=True)
        (Path(folder) / "gbuffer").rename(capture.path / "gbuffer")
    print(f"written to {capture.path / 'gbuffer'}")
    return capture


def report(made: Capture, notes: list[str], place: Path, failed: str) -> None:
    """Say what a capture holds and what is wrong with it, and write its sheet; it is or will be in `place`.

    Raises ValueError, which begins with `failed`, where there are errors.
    """
    overlap = mask_overlaps(made)
    _say([*_described(made, overlap), *notes])
    write_sheet(made, made.path / REPORT)
    _stop_at_errors(check(made, overlap, place), failed)


def _say(lines) -> None:
    for line in lines:
        print(f"  {brief(line, LONGEST_ERROR)}")  # names out of files stand in it


def _stop_at_errors(findings, failed) -> None:
    """Say all findings; raises ValueError, which begins with `failed`, where there are errors among them."""
    _say(findings)
    if wrong := [finding for finding in findings if finding.error]:
        more = f" And {len(wrong) - 1} more, above." if len(wrong) > 1 else ""
        raise ValueError(f"{failed}: {wrong[0].where}: {wrong[0].wrong}. "
                         f"{wrong[0].remedy}{more}")


def _split_sizes(capture):
    counts = Counter(shot.split for shot in capture.shots)
    return ", ".join(f"{split} {count}" for split, count in counts.items())


def _described(capture: Capture, overlap: dict[Shot, float]) -> list[str]:
    """Lines for the user: what a capture holds, and how well masks agree with the rest."""
    fitted = sum(shot.registered for shot in capture.shots)
    frames = sorted({shot.frame for shot in capture.shots})
    known = f"{fitted} registered, {len(capture.shots) - fitted} between"
    if capture.registration is None:
        known = f"pairs: {_split_sizes(capture)}" if capture.paired else "no body yet"
    lines = [f"{len(capture.cameras)} cameras, {len(capture.shots)} pictures ({known}), frames {frames[0]} "
             f"to {frames[-1]} at {capture.fps:g} a second",
             f"licence: {capture.licence}"]
    for name, camera in capture.cameras.items():
        height, width = camera.size
        line = f"{name}: {width}x{height}"
        values = [value for shot, value in overlap.items() if shot.camera == name]
        if values and capture.registration is not None:
            line += f", masks and meshes overlap by {np.mean(values):.3f} (IoU)"
        elif values:
            line += f", masks hold {np.mean(values):.0%} of the keypoints"
        if capture.keypoints:
            line += f", keypoints in {sum(camera == name for camera, _ in capture.keypoints)} pictures"
        lines.append(line)
    return lines
