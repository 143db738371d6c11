"""The same views by several systems beside the truth, as one picture."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from anr_core.avatars.base import Rendering
from anr_core.avatars.run import Run
from anr_core.body import Posed
from anr_core.capture import Capture, Shot, View
from anr_core.capture.pictures import read_image
from anr_core.evaluation import contestants_of, posed_views, split_of
from anr_core.evaluation.judging import Contestants
from anr_core.evaluation.reporting import spread

TRUTH = "truth"
SPLITS = ("novel_view", "novel_pose", "novel_both")  # in the order of a sheet
HEAD, BESIDE = 16, 84  # pixels: captions above, and at the left what view it is
LARGEST = 256  # side of a tile, pixels


def held_out(run: Run, capture: Capture, most: int | None = None,
             beside: Collection[tuple[str, int]] = ()) -> dict[str, list[Shot]]:
    """The views that a run is judged by, split by split; of each at most so many, evenly spread.

    beside  further views that are left out, (camera name, frame)
    """
    splits = {split: [shot for shot in shots if (shot.camera, shot.frame) not in beside]
              for split, shots in split_of(capture.shots, run.trained).items()}
    return {split: [shots[place] for place in spread(len(shots), most or len(shots))]
            for split, shots in splits.items() if shots}


def drawn_views(contestants: Contestants, capture: Capture, shots: list[Shot],
                size: int) -> Iterator[tuple[View, Posed, Rendering]]:
    """Each view, its mesh, and the avatar's rendering of it."""
    views = replace(capture, shots=shots).views(crop="body", size=size)
    for view, posed in posed_views(views, capture, contestants.avatar.surface):
        yield view, posed, contestants.predicted(view, posed)


def name_of(split: str, shot: Shot) -> str:
    """What a view that was held out is called beside its pictures."""
    return f"{split} {shot.camera} {shot.frame}"


def rows_of_runs(runs: dict[str, Run], most: int, size: int) -> dict[str, dict[str, np.ndarray]]:
    """{view: {who drew it: picture (H, W, 3) uint8 over black}} of views that no run was trained on.

    Which split a view is of is the first run's word.
    """
    rows: dict[str, dict[str, np.ndarray]] = {}
    first = next(iter(runs.values()))
    trained = {view for run in runs.values() for view in run.trained}
    splits = held_out(first, first.capture(), most, beside=trained)
    for system, run in runs.items():
        capture = run.capture()
        contestants = contestants_of(run, capture.body)
        for split, shots in splits.items():
            drawn = drawn_views(contestants, capture, shots, size)
            for shot, (view, _, rendering) in zip(shots, drawn, strict=True):
                row = rows.setdefault(name_of(split, shot), {})
                row.setdefault(TRUTH, over_black(view.image, view.mask))
                row[system] = over_black(rendering.rgb, rendering.mask)
    return rows


def over_black(rgb: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] under a mask (1, 1, H, W) as (H, W, 3) uint8."""
    return (rgb * mask)[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()


def rows_of_files(folders: dict[str, Path]) -> dict[str, dict[str, np.ndarray]]:
    """The same of folders that hold VIEW-truth.png and VIEW-SYSTEM.png each, VIEW with - for its spaces."""
    rows = {}
    for system, folder in folders.items():
        files = sorted(folder.glob(f"*-{TRUTH}.png"))
        for truth in sorted(files, key=lambda file: SPLITS.index(file.name.split("-")[0])):
            drawn = truth.with_name(truth.name.removesuffix(f"{TRUTH}.png") + f"{system}.png")
            if drawn.is_file():
                row = rows.setdefault(truth.stem.removesuffix(f"-{TRUTH}").replace("-", " "), {})
                row.setdefault(TRUTH, read_image(truth))
                row[system] = read_image(drawn)
    return rows


def sheet_of(rows: dict[str, dict[str, np.ndarray]]) -> bytes | None:
    """A JPEG of rows of pictures under their captions, the truth at the left; None of nothing."""
    if not rows:
        return None
    captions = list(dict.fromkeys(caption for row in rows.values() for caption in row))
    side = min(LARGEST, max(picture.shape[0] for row in rows.values() for picture in row.values()))
    page = Image.new("RGB", (BESIDE + side * len(captions), HEAD + side * len(rows)), "white")
    draw = ImageDraw.Draw(page)
    for column, caption in enumerate(captions):
        draw.text((BESIDE + column * side + 4, 2), caption, "black")
    for line, (name, row) in enumerate(rows.items()):
        draw.multiline_text((4, HEAD + line * side + 4), name.replace(" ", "\n"), "black")
        for caption, picture in row.items():
            tile = Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)
            page.paste(tile, (BESIDE + captions.index(caption) * side, HEAD + line * side))
    encoded = io.BytesIO()
    page.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()
