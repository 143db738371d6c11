"""How well an avatar draws views that it was not trained on, beside what a texture and a flat colour reach.

The protocols, which say what pixels are compared and over what background, stand in `metrics`.
"""

from __future__ import annotations

import inspect
import io
import textwrap
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from json import dumps
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt
from tqdm import tqdm

from anr_core import metrics
from anr_core.avatars.base import Avatar, Rendering, Scene
from anr_core.avatars.run import Run, check_surface, write_atomically
from anr_core.body import Body, Posed, Surface
from anr_core.camera import Camera, pixel_centres
from anr_core.capture.folder import Capture, Shot, load_capture
from anr_core.capture.view import View
from anr_core.rasterizer import gbuffer

# Seconds. Two pictures further apart are no neighbours: what changed between them is the pose, not a flicker.
NEIGHBOURS = 0.2

# Metres around the mesh: Neural Body's padding.
BOX_PADDING = 0.05

DIGITS = {"psnr": 2, "psnr_aligned": 2}

SHEET_COLUMNS = ("input IUV", "static texture", "prediction", "predicted mask", "truth", "error, twice")
SHEET_ROWS = 4
SHEET_TILE = 160  # pixels; four rows come to 200 KB or so


# what is compared


def truth_of(view: View, posed: Posed) -> metrics.Truth:
    """What the protocols need of one view (a batch of one) and its registered mesh."""
    mesh = gbuffer(posed, view.camera, view.size)
    shown = mesh.iuv() / torch.stack([posed.surface.part.max(), *mesh.uv.new_ones(2)])[:, None, None]
    boxed = hits_box(view.camera, view.size, posed.vertices.amin(1) - BOX_PADDING,
                     posed.vertices.amax(1) + BOX_PADDING)
    return metrics.Truth(_array(view.image), _plane(view.mask), _plane(view.certain),
                         _plane(mesh.coverage() > 0), _plane(boxed), _array(shown).clip(0, 1))


def hits_box(camera: Camera, size: tuple[int, int], low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Pixels (B, 1, H, W) whose rays meet the axis-aligned box from low to high, both (B, 3), metres."""
    origins, directions = camera.rays(pixel_centres(size).to(low).expand(len(low), -1, -1))
    directions = torch.where(directions.abs() < 1e-9, 1e-9, directions)
    entries, exits = (low[:, None] - origins) / directions, (high[:, None] - origins) / directions
    near, far = torch.minimum(entries, exits).amax(-1), torch.maximum(entries, exits).amin(-1)
    return (far >= near.clamp(min=0)).view(len(low), 1, *size)


def _array(batch: torch.Tensor) -> np.ndarray:
    return batch[0].permute(1, 2, 0).cpu().numpy()


def _plane(batch: torch.Tensor) -> np.ndarray:
    return batch[0, 0].cpu().numpy()


# what draws


@dataclass(frozen=True)
class Contestants:
    """Who draws: the system by its name, and the yardsticks that stand beside it, made of the same frames.

    static   the texture unwrapped from the training frames
    mean     (3,) the mean colour of the person in the training frames
    cameras  names of the cameras that were trained; an avatar may know their exposure
    body     of the run's own capture, whose trained frames and cameras the avatar has refined; else None
    """

    name: str
    avatar: Avatar
    static: Avatar
    mean: torch.Tensor
    cameras: frozenset[str]
    body: Body | None = None

    @torch.no_grad()
    def draw(self, view: View, posed: Posed) -> dict[str, Rendering]:
        """A rendering of the view by every method."""
        predicted, unrefined = self._draw(self.avatar, view, posed), {}
        if self.body is not None and self.avatar.refinement is not None:
            unrefined = {f"{self.name}_unrefined": predicted}
            predicted = self._draw(self.avatar, *self.avatar.placed(view, self.body))
        texture = self._draw(self.static, view, posed)
        filled = extend(texture.rgb, texture.mask > 0.5)
        flat = self.mean.to(filled)[:, None, None].expand_as(filled)
        return {"static": texture, "static_masked": Rendering(filled, predicted.mask),
                "mean": Rendering(flat, predicted.mask), **unrefined, self.name: predicted}

    def _draw(self, avatar, view, posed):
        rendering = avatar.draw(scene_for(avatar, view, posed, self.cameras))
        if not (rendering.rgb.isfinite().all() and rendering.mask.isfinite().all()):
            raise ValueError(f"The avatar draws NaN in {view.camera_name[0]}, frame {int(view.frame)}: its "
                             "training diverged. Train again with another --seed or lower learning rates.")
        return rendering


def scene_for(avatar: Avatar, view: View, posed: Posed, cameras: Iterable[str]) -> Scene:
    """The fields that the avatar needs, from the view's inputs alone: never from its picture or mask."""
    inputs = {"posed": posed, "camera": view.camera, "keypoints": view.keypoints, "frame": view.frame,
              "image": view.input, "camera_name": [name if name in cameras else None for name in view.camera_name]}
    return Scene(size=view.size, **{name: inputs[name] if name in avatar.needs else None for name in inputs})


def extend(rgb: torch.Tensor, covered: torch.Tensor) -> torch.Tensor:
    """Give every pixel of rgb (B, 3, H, W) the colour of the nearest one that is covered (B, 1, H, W)."""
    extended = []
    for picture, there in zip(rgb, covered[:, 0], strict=True):
        _, nearest = distance_transform_edt(~there.cpu().numpy(), return_indices=True)
        rows, columns = torch.from_numpy(nearest).to(rgb.device)
        extended.append(picture[:, rows, columns])
    return torch.stack(extended)


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


# the figures


def measure(views: Iterable[tuple[View, Posed]], contestants: Contestants,
            protocols: dict[str, Callable] = metrics.PROTOCOLS,
            ) -> Iterator[tuple[metrics.Truth, dict[str, Rendering], dict]]:
    """Draw and compare views, each a batch of one, ordered by camera and time.

    Yields for each its truth, the renderings by method, and {protocol: {method: {figure: number or None}}}.
    `mask_iou` compares the masks over all certain pixels, whatever the protocol. `flicker` compares a view
    with the one before it where that is of the same camera and at most 0.2 s older.
    """
    before, errors_before = None, {}
    with ThreadPoolExecutor() as pool:  # FLIP takes most of the time, and lets others run meanwhile
        for view, posed in views:
            truth, drawn, errors = truth_of(view, posed), contestants.draw(view, posed), {}
            neighbours = before is not None and before.camera_name == view.camera_name and \
                0 < float(view.time - before.time) <= NEIGHBOURS
            figures = {name: {} for name in protocols}
            pictures = {method: (_array(rendering.rgb), _plane(rendering.mask))
                        for method, rendering in drawn.items()}
            pairs = [(name, method) for method in pictures for name in protocols]
            compared = [protocols[name](truth, *pictures[method]) for name, method in pairs]
            computed = pool.map(metrics.Comparison.figures, compared)
            for (name, method), comparison, numbers in zip(pairs, compared, computed, strict=True):
                error = comparison.prediction - comparison.truth, comparison.pixels
                errors[name, method] = error
                flicker = metrics.flicker(*zip(errors_before[name, method], error, strict=True)) \
                    if neighbours else None
                overlap = metrics.mask_iou(pictures[method][1], truth.mask, truth.certain)
                figures[name][method] = numbers | {"mask_iou": overlap, "flicker": flicker}
            before, errors_before = view, errors
            yield truth, drawn, figures


def average(figures: list[dict]) -> dict:
    """Of views' {protocol: {method: {figure: number or None}}}, the means over those that have the figure."""
    def mean(numbers):
        known = [number for number in numbers if number is not None]
        return sum(known) / len(known) if known else None

    return {protocol: {method: {name: mean([view[protocol][method][name] for view in figures])
                                for name in metrics.FIGURES} for method in methods}
            for protocol, methods in figures[0].items()}


def evaluate_capture(contestants: Contestants, trained: Iterable[tuple[str, int]], capture: Capture,
                     size: int, protocols: dict[str, Callable] = metrics.PROTOCOLS,
                     folder: Path | None = None) -> dict:
    """Judge every registered view of a capture that was not trained, on crops of size x size pixels.

    Prints a table a split and, with a folder, writes a picture a split into it.
    Returns {split: {protocol: {method: {figure: number or None}}}}, without empty splits.
    """
    surface = contestants.avatar.surface
    check_surface(capture, surface)
    splits = split_of(capture.shots, trained)
    if not splits:
        raise ValueError(f"The avatar was trained on every registered view of {capture.path}: none is left "
                         "to judge it by. Hold some back with train --frames, or give another --capture.")
    results = {}
    for split, shots in splits.items():
        views = replace(capture, shots=shots).views(crop="body", size=size)
        shown, rows, figures = set(_spread(len(shots), SHEET_ROWS)), [], []
        judged = measure(_posed(views, capture, surface), contestants, protocols)
        for index, (truth, drawn, numbers) in enumerate(tqdm(judged, split, len(shots), leave=False)):
            figures.append(numbers)
            if index in shown:
                rows.append(sheet_row(truth, drawn["static"], drawn[contestants.name]))
        results[split] = average(figures)
        print(table(f"{split}: {len(shots)} views at {size}x{size} pixels", results[split], protocols))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / f"{split}.png", sheet(rows))
    return results


def _posed(views: Iterable[View], capture: Capture, surface: Surface) -> Iterator[tuple[View, Posed]]:
    """Views with their registered meshes, on the avatar's own surface and device."""
    device = surface.faces.device
    for index in range(len(views)):
        view = views[index]
        mesh = capture.body(view.pose)
        yield view.to(device), Posed(mesh.vertices.to(device), mesh.joints, surface)


def _spread(count: int, most: int) -> list[int]:
    """At most so many of range(count), evenly spread, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


# what is shown


def table(title: str, figures: dict, protocols: dict[str, Callable]) -> str:
    """Figures of one split as text, each protocol under its own words; n/a is what can't be had."""
    lines = ["", title]
    for protocol, methods in figures.items():
        stated = f"{protocol}: " + " ".join(inspect.getdoc(protocols[protocol]).split())
        lines += textwrap.wrap(stated, 100, initial_indent="  ", subsequent_indent="    ")
        lines.append(" " * 20 + "".join(f"{name:>14}" for name in metrics.FIGURES))
        for method, numbers in methods.items():
            shown = ("n/a" if numbers[name] is None else f"{numbers[name]:.{DIGITS.get(name, 3)}f}"
                     for name in metrics.FIGURES)
            lines.append(f"    {method:<16}" + "".join(f"{number:>14}" for number in shown))
    return "\n".join(lines)


def sheet_row(truth: metrics.Truth, static: Rendering, predicted: Rendering) -> list[np.ndarray]:
    """The tiles (H, W, 3) of one view, as SHEET_COLUMNS names them."""
    mask = _plane(predicted.mask)[..., None]
    error = np.abs(_array(predicted.rgb) * mask - truth.image * truth.mask[..., None])
    return [truth.iuv, _array(static.over(0)), _array(predicted.over(0)), mask.repeat(3, -1), truth.image,
            (2 * error * truth.certain[..., None]).clip(0, 1)]


def sheet(rows: list[list[np.ndarray]]) -> bytes:
    """A PNG of rows of tiles under their captions."""
    side, head = SHEET_TILE, 16
    page = Image.new("RGB", (side * len(SHEET_COLUMNS), head + side * len(rows)), "white")
    draw = ImageDraw.Draw(page)
    for column, caption in enumerate(SHEET_COLUMNS):
        draw.text((column * side + 4, 2), caption, "black")
        for row, tiles in enumerate(rows):
            tile = Image.fromarray((tiles[column] * 255).round().astype(np.uint8))
            page.paste(tile.resize((side, side), Image.Resampling.BOX), (column * side, head + row * side))
    encoded = io.BytesIO()
    page.save(encoded, "PNG", optimize=True)
    return encoded.getvalue()


def evaluate(run: str | Path, capture: str | Path | None = None, protocol: str | None = None,
             size: int | None = None, json: str | Path | None = None, person: str | None = None) -> dict:
    """Judge a run on views it was not trained on: its own capture's others, or those of another capture.

    protocol  one of metrics.PROTOCOLS, or None for all
    size      of the square pictures, pixels; None for the size that was trained
    json      a file for the figures, or None
    person    who, in a run of several people

    Where poses and cameras were refined, views of the run's own capture are drawn with the corrections of
    their frame and camera as far as these were trained; NAME_unrefined is drawn as registered.

    Prints tables, writes a picture a split into the run's folder `evaluation`, and returns
    {split: {protocol: {method: {figure: number or None}}}}.
    """
    if protocol is not None and protocol not in metrics.PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} is unknown; use one of {', '.join(metrics.PROTOCOLS)}.")
    run = Run.open(run, person)
    judged = run.capture() if capture is None else load_capture(capture)
    static, mean = run.static()
    cameras = {camera for camera, _ in run.trained}
    contestants = Contestants(run.config.system, run.avatar(), static, mean, frozenset(cameras),
                              judged.body if capture is None else None)
    protocols = metrics.PROTOCOLS if protocol is None else {protocol: metrics.PROTOCOLS[protocol]}
    results = evaluate_capture(contestants, run.trained, judged, size or run.config.size, protocols,
                               run.path / "evaluation")
    if json is not None:
        write_atomically(Path(json), dumps(results, indent=1, allow_nan=False).encode())
    return results
