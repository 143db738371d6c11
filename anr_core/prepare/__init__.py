"""From what somebody has to a capture: any known format in, our own folder out."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import torch

from anr_core.capture import Capture, load_capture
from anr_core.capture.readers import find_reader
from anr_core.capture.writing import whole_or_nothing, write_capture
from anr_core.rasterizer import rasterize


def prepare(source: Path, capture: Path, format: str = "auto", fps: float | None = None,
            start: float | None = None, end: float | None = None) -> Capture:
    """Make a capture of a source in a known format, and say what was found.

    format      the source's format; auto looks what it is
    fps         take this many frames a second, from videos too; None takes the pictures that are there
    start, end  seconds of the source to take

    A capture that is already there is replaced, once the new one is whole; anything else is left alone.
    """
    source, capture = Path(source), Path(capture)
    name, reader = find_reader(source, format)
    if source.resolve().is_relative_to(capture.resolve()):  # it would be lost when the capture is replaced
        raise ValueError(f"{source} lies in {capture}, where the capture is to be. Name another folder.")
    print(f"{source}: format {name}")
    footage = reader.read(source, fps, start, end)
    with whole_or_nothing(capture) as folder:
        notes = footage.notes + write_capture(footage, folder)
        made = load_capture(folder)
        summary = [*_described(made), *notes]
    for line in summary:
        print(f"  {line}")
    print(f"  written to {capture}")
    return load_capture(capture)


def _described(capture: Capture) -> list[str]:
    """Lines for the user: what a capture holds, and how well masks and meshes agree."""
    fitted = [shot for shot in capture.shots if shot.registered]
    frames = sorted({shot.frame for shot in capture.shots})
    lines = [f"{len(capture.cameras)} cameras, {len(capture.shots)} pictures ({len(fitted)} registered, "
             f"{len(capture.shots) - len(fitted)} between), frames {frames[0]} to {frames[-1]} "
             f"at {capture.fps:g} a second",
             f"licence: {capture.licence}"]
    for name, overlap in overlaps(capture).items():
        height, width = capture.cameras[name].size
        lines.append(f"{name}: {width}x{height}, masks and meshes overlap by {overlap:.3f} (IoU)")
    return lines


def overlaps(capture: Capture) -> dict[str, float]:
    """By camera, the mean intersection over union of masks and projected meshes in the registered frames."""
    found = defaultdict(list)
    for view in capture.only(lambda shot: shot.registered and shot.mask is not None).views():
        vertices, faces = capture.body(view.pose).vertices, capture.body.surface.faces
        covered = rasterize(vertices, faces, view.camera, view.size).face_id >= 0
        mask = view.mask[:, 0] > 0.5
        found[view.camera_name[0]].append(float((covered & mask).sum() / (covered | mask).sum()))
    return {name: float(torch.tensor(values).mean()) for name, values in found.items()}
