"""How well pairs of pictures are drawn that were not trained on, beside their inputs and a flat colour.

Splits are as the capture marks them, validation and test; pairs of train are judged where --frames left them
out. There is no mesh, so protocol `whole` alone can be had; without masks it compares the pictures as they
are, and no mask_iou can be had.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from anr_core import metrics
from anr_core.avatars.base import Avatar, Rendering
from anr_core.avatars.run import Run, check_surface, write_atomically
from anr_core.capture import Capture, Shot, View
from anr_core.evaluation.judging import average, coloured, measure, soundly_drawn
from anr_core.evaluation.reporting import PAIR_COLUMNS, SHEET_ROWS, pair_row, sheet, spread, table
from anr_core.training.pairs import drawn_whole


def whole(truth: metrics.Truth, rgb: np.ndarray, mask: np.ndarray) -> metrics.Comparison:
    """The whole picture, but for uncertain pixels: prediction and truth, each over black by its own mask
    where there are masks."""
    return metrics.whole(truth, rgb, mask)


PROTOCOLS = {"whole": whole}

TERMS = {"whole": metrics.Terms(1, metrics.WHOLE_PICTURE, metrics.OWN_MASKS, "black", metrics.RANGE_1)}


@dataclass(frozen=True)
class PairContestants:
    """Who draws a pair: the system by its name; under its mask the input itself, and the mean colour (3,)."""

    name: str
    avatar: Avatar
    mean: torch.Tensor

    @torch.no_grad()
    def draw(self, view: View, posed: None = None) -> dict[str, Rendering]:
        """A rendering of the view by every method."""
        predicted = soundly_drawn(self.avatar, view, None, ())
        flat = self.mean.to(predicted.rgb)[:, None, None].expand_as(predicted.rgb)
        return {"input": Rendering(coloured(view.input), predicted.mask),
                "mean": Rendering(flat, predicted.mask), self.name: predicted}


def pair_splits(capture: Capture, run: Run) -> dict[str, list[Shot]]:
    """The pairs of a capture, split by split, that are known and that the run was not trained on."""
    own = capture.path in (Path(run.source[0]), (run.path / run.source[1]).resolve())
    trained = set(run.trained) if own else set()  # another's numbers count other pictures
    splits = {}
    for shot in sorted(capture.shots, key=lambda shot: shot.frame):
        if shot.known and (shot.camera, shot.frame) not in trained:
            splits.setdefault(shot.split, []).append(shot)
    return splits


def evaluate_pairs(run: Run, capture: Capture, protocol: str | None = None, size: int | None = None) -> dict:
    """Judge every pair of a capture that was not trained on.

    size  the longer side of the pictures, pixels; None for what was trained

    Prints a table a split and writes a picture a split into the run's folder `evaluation`. Returns
    {split: {"whole": {method: {figure: number or None}}}}. Raises ValueError for a protocol that needs a
    mesh, and where no pair is left.
    """
    if protocol not in (None, *PROTOCOLS):
        raise ValueError(f"Protocol {protocol} needs a registered mesh, and pairs of pictures have none; use "
                         f"{', '.join(PROTOCOLS)}.")
    avatar = run.avatar().to("cuda" if torch.cuda.is_available() else "cpu")
    check_surface(capture, avatar.surface)
    splits = pair_splits(capture, run)
    if not splits:
        raise ValueError(f"No pair of {capture.path} is left to judge by: all that have an output were "
                         "trained on. Prepare some as validation/ or test/, hold some back with train "
                         "--frames, or give another --capture.")
    contestants, results = PairContestants(run.config.system, avatar, run.static()[1]), {}
    for split, shots in splits.items():
        views = drawn_whole(replace(capture, shots=shots), run.config, size)
        shown, rows, figures = set(spread(len(shots), SHEET_ROWS)), [], []
        judged = measure(((view.to(avatar.device), None) for view in views), contestants, PROTOCOLS)
        for index, (truth, drawn, numbers) in enumerate(tqdm(judged, split, len(shots), leave=False)):
            figures.append(numbers if shots[index].mask else _without_mask(numbers))
            if index in shown:
                rows.append(pair_row(truth, drawn[contestants.name]))
        results[split] = average(figures)
        height, width = views.size
        print(table(f"{split}: {len(shots)} pairs at {width}x{height} pixels", results[split], PROTOCOLS,
                    TERMS))
        folder = run.path / "evaluation"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{split}.png", sheet(rows, PAIR_COLUMNS))
    return results


def _without_mask(figures):
    """The same figures without what nobody can know of a picture that has no mask."""
    return {protocol: {method: numbers | {"mask_iou": None} for method, numbers in methods.items()}
            for protocol, methods in figures.items()}
