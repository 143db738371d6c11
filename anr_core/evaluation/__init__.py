"""How well an avatar draws views that it was not trained on, beside what a texture and a flat colour reach.

The protocols, which say what pixels are compared and over what background, stand in `metrics`; `published`,
Neural Body's, draws pictures of its own, in `pictures`, and has others' figures beside it, in `published`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from json import dumps
from pathlib import Path

import torch
from tqdm import tqdm

from anr_core import metrics
from anr_core.avatars.run import Run, check_surface, write_atomically
from anr_core.body import Body, Posed, Surface
from anr_core.capture.folder import Capture, Shot, load_capture
from anr_core.capture.view import View
from anr_core.evaluation import pairs
from anr_core.evaluation.judging import (
    BOX_PADDING,
    Contestants,
    average,
    extend,
    measure,
    scene_for,
)
from anr_core.evaluation.pictures import PUBLISHED_SIZE, Framed, WholePictures
from anr_core.evaluation.poses import evaluate_poses
from anr_core.evaluation.published import published_for
from anr_core.evaluation.reporting import (
    SHEET_COLUMNS,
    SHEET_ROWS,
    SHEET_TILE,
    protocols_of,
    sheet,
    sheet_row,
    spread,
    table,
)
from anr_core.evaluation.true_flow import TrueFlow

__all__ = ["SHEET_COLUMNS", "SHEET_TILE", "Contestants", "average", "contestants_of", "evaluate",
           "evaluate_capture", "evaluate_published", "extend", "measure", "posed_views", "protocols_of",
           "scene_for", "split_of"]


# which views


def split_of(shots: Iterable[Shot], trained: Iterable[tuple[str, int]]) -> dict[str, list[Shot]]:
    """Sort shots by what of them training has seen; trained and interpolated ones are left out.

    novel_view  another camera saw this frame in training, or no two of all pictures share a camera or a
                frame: then it is one pose seen from around, however the person turned
    novel_pose  this camera was trained, in other frames
    novel_both  neither

    returns     {split: shots by camera and frame}, without empty splits
    """
    seen = set(trained)
    new = [shot for shot in shots if shot.registered and (shot.camera, shot.frame) not in seen]
    pictures = seen | {(shot.camera, shot.frame) for shot in new}
    cameras, frames = ({value for value in values} for values in zip(*seen, strict=True))
    around = all(len(set(values)) == len(pictures) for values in zip(*pictures, strict=True))
    splits = {"novel_view": [], "novel_pose": [], "novel_both": []}
    for shot in sorted(new, key=lambda shot: (shot.camera, shot.frame)):
        known = "novel_view" if around or shot.frame in frames else \
            "novel_pose" if shot.camera in cameras else "novel_both"
        splits[known].append(shot)
    return {name: shots for name, shots in splits.items() if shots}


def evaluate_capture(contestants: Contestants, trained: Iterable[tuple[str, int]], capture: Capture,
                     size: int, protocols: dict[str, Callable] = metrics.PROTOCOLS,
                     folder: Path | None = None) -> dict:
    """Judge every registered view of a capture that was not trained, on crops of size x size pixels.

    Prints a table a split and, with a folder, writes a picture a split into it.
    Returns {split: {protocol: {method: {figure: number or None}}}}, without empty splits.
    """
    results = {}
    for split, shots in _splits(contestants, trained, capture).items():
        views = replace(capture, shots=shots).views(crop="body", size=size)
        title = f"{split}: {len(shots)} views at {size}x{size} pixels"
        posed = posed_views(views, capture, contestants.avatar.surface)
        results[split] = _judge(split, title, posed, len(shots), contestants, protocols, TrueFlow(capture),
                                folder)
    return results


def evaluate_published(contestants: Contestants, trained: Iterable[tuple[str, int]], capture: Capture,
                       size: int | None = None, folder: Path | None = None) -> dict:
    """Judge the same views as whole pictures, by the protocol that Neural Body's figures were published with.

    size  the longer side of the pictures, pixels; None for 512, or what a smaller picture has

    Prints and returns the same, of protocols `published` and `published_whole`; where the capture is one of
    ZJU-MoCap's published subjects and a split what is held out there, published figures stand beside.
    """
    trained, results = list(trained), {}
    for split, shots in _splits(contestants, trained, capture).items():
        views = WholePictures(replace(capture, shots=shots), size)
        sizes = ", ".join(f"{width}x{height}" for height, width in views.sizes)
        title = f"{split}: {len(shots)} whole pictures at {sizes} pixels"
        posed = posed_views(views, capture, contestants.avatar.surface)
        results[split] = _judge(split, title, posed, len(shots), contestants, metrics.OF_WHOLE_PICTURES,
                                TrueFlow(capture), folder, views.padding)
        known = published_for(capture, split, shots)
        if known is not None:
            differences = known.differences(trained, shots, views.sizes, PUBLISHED_SIZE)
            print(known.beside(results[split], differences))
    return results


def _splits(contestants, trained, capture):
    """The splits of what is left to judge by, at least one."""
    check_surface(capture, contestants.avatar.surface)
    splits = split_of(capture.shots, trained)
    if not splits:
        raise ValueError(f"The avatar was trained on every registered view of {capture.path}: none is left "
                         "to judge it by. Hold some back with train --frames, or give another --capture.")
    return splits


def _judge(split, title, views, count, contestants, protocols, flow, folder, padding=None):
    """The mean figures of one split, whose table is printed and whose picture is written.

    padding  of the box around the mesh where whole pictures are judged
    """
    draws = contestants if padding is None else Framed(contestants)
    shown, rows, figures = set(spread(count, SHEET_ROWS)), [], []
    judged = measure(views, draws, protocols, padding or BOX_PADDING, flow)
    for index, (truth, drawn, numbers) in enumerate(tqdm(judged, split, count, leave=False)):
        figures.append(numbers)
        if index in shown:
            rows.append(sheet_row(truth, drawn["static"], drawn[contestants.name]))
    means = average(figures)
    print(table(title, means, protocols))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{split}.png", sheet(rows))
    return means


def posed_views(views: Iterable[View], capture: Capture, surface: Surface) -> Iterator[tuple[View, Posed]]:
    """Views with their registered meshes, on the avatar's own surface and device."""
    device = surface.faces.device
    for index in range(len(views)):
        view = views[index]
        mesh = capture.body(view.pose)
        yield view.to(device), Posed(mesh.vertices.to(device), mesh.joints, surface)


def contestants_of(run: Run, body: Body | None = None) -> Contestants:
    """A run's avatar and its yardsticks, where there is a GPU on it.

    body  of the run's own capture; None judges another capture's views, drawn as registered
    """
    (static, mean), cameras = run.static(), frozenset(camera for camera, _ in run.trained)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Contestants(run.config.system, run.avatar().to(device), static.to(device), mean, cameras, body)


def evaluate(run: str | Path, capture: str | Path | None = None, protocol: str | None = None,
             size: int | None = None, json: str | Path | None = None, person: str | None = None) -> dict:
    """Judge a run on views it was not trained on: its own capture's others, or those of another capture.

    protocol  one of metrics.PROTOCOLS, or None for all; or `published`, which draws whole pictures
    size      of the square pictures, of pairs the longer side, pixels; None for the size that was trained; of
              `published` the longer side, None for 512
    json      a file for the figures, or None; beside it, in FILE.protocols.json, stand the protocols'
              versions, statements and terms
    person    who, in a run of several people

    Where poses and cameras were refined, views of the run's own capture are drawn with the corrections of
    their frame and camera as far as these were trained; NAME_unrefined is drawn as registered.

    Pairs of pictures are judged as evaluation/pairs.py tells, and avatars that lift 2D keypoints to joints in
    space also as evaluation/poses.py does, whose figures are in the run's evaluation/poses.json.

    Prints tables, writes a picture a split into the run's folder `evaluation`, and returns
    {split: {protocol: {method: {figure: number or None}}}}.

    Raises ValueError where no view is left to judge by, and for a capture of another body.
    """
    if protocol not in (None, *metrics.PROTOCOLS, "published"):
        raise ValueError(f"protocol {protocol!r} is unknown; use one of {', '.join(metrics.PROTOCOLS)}, "
                         "published.")
    run = Run.open(run, person)
    judged = run.capture() if capture is None else load_capture(capture)
    if run.paired:
        results = pairs.evaluate_pairs(run, judged, protocol, size)
    else:
        contestants = contestants_of(run, judged.body if capture is None else None)
        folder = run.path / "evaluation"
        if protocol == "published":
            results = evaluate_published(contestants, run.trained, judged, size, folder)
        else:
            protocols = metrics.PROTOCOLS if protocol is None else {protocol: metrics.PROTOCOLS[protocol]}
            results = evaluate_capture(contestants, run.trained, judged, size or run.config.size, protocols,
                                       folder)
        poses = evaluate_poses(contestants.avatar.cpu(), judged, split_of(judged.shots, run.trained))
        if poses:
            write_atomically(run.path / "evaluation" / "poses.json", dumps(poses, indent=1).encode())
    if json is not None:
        write_atomically(Path(json), dumps(results, indent=1, allow_nan=False).encode())
        told = protocols_of(results, *((pairs.PROTOCOLS, pairs.TERMS) if run.paired else ()))
        write_atomically(Path(json).with_suffix(".protocols.json"), dumps(told, indent=1).encode())
    return results
