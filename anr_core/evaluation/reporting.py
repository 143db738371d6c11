"""How figures are shown: a table in words, and a sheet of pictures."""

from __future__ import annotations

import inspect
import io
import textwrap
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from anr_core import metrics
from anr_core.avatars.base import Rendering
from anr_core.evaluation.judging import as_array, as_plane

DIGITS = {"psnr": 2, "psnr_aligned": 2, "flicker": 4, "warp": 4}
# figures that only some protocols or captures have: no column of n/a in the others
ONLY_SOME = {"ssim_range_1", "warp"}

SHEET_COLUMNS = ("input IUV", "static texture", "prediction", "predicted mask", "truth", "error, twice")
PAIR_COLUMNS = ("input", "prediction", "truth", "error, twice")
SHEET_ROWS = 4
SHEET_TILE = 160  # pixels; four rows come to 200 KB or so


def spread(count: int, most: int) -> list[int]:
    """At most so many of range(count), evenly spread, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


def table(title: str, figures: dict, protocols: dict[str, Callable],
          terms: dict[str, metrics.Terms] = metrics.TERMS) -> str:
    """Figures of one split as text, each protocol under its own words; n/a is what can't be had."""
    lines = ["", title]
    for protocol, methods in figures.items():
        told = [name for name in metrics.FIGURES if name not in ONLY_SOME
                or any(numbers[name] is not None for numbers in methods.values())]
        stated = f"{protocol}: {statement(protocols[protocol])}"
        lines += textwrap.wrap(stated, 100, initial_indent="  ", subsequent_indent="    ")
        lpips = any(numbers["lpips"] is not None for numbers in methods.values())
        lines += textwrap.wrap(terms[protocol].line(lpips), 100, initial_indent="    ",
                               subsequent_indent="    ")
        lines.append(" " * 20 + "".join(f"{name:>14}" for name in told))
        for method, numbers in methods.items():
            shown = ("n/a" if numbers[name] is None else f"{numbers[name]:.{DIGITS.get(name, 3)}f}"
                     for name in told)
            lines.append(f"    {method:<16}" + "".join(f"{number:>14}" for number in shown))
    return "\n".join(lines)


def statement(protocol: Callable) -> str:
    """What a protocol says of itself, in one line."""
    return " ".join(inspect.getdoc(protocol).split())


def protocols_of(results: dict, protocols: dict[str, Callable] | None = None,
                 terms: dict[str, metrics.Terms] = metrics.TERMS) -> dict:
    """{protocol: its version, statement and terms}, of results {split: {protocol: {method: figures}}}."""
    protocols = protocols or metrics.PROTOCOLS | metrics.OF_WHOLE_PICTURES
    lpips = any(numbers["lpips"] is not None for named in results.values() for methods in named.values()
                for numbers in methods.values())
    names = dict.fromkeys(name for named in results.values() for name in named)
    return {name: {"version": terms[name].version, "statement": statement(protocols[name]),
                   **terms[name].words(lpips)} for name in names}


def sheet_row(truth: metrics.Truth, static: Rendering, predicted: Rendering) -> list[np.ndarray]:
    """The tiles (H, W, 3) of one view, as SHEET_COLUMNS names them."""
    mask = as_plane(predicted.mask)[..., None]
    error = np.abs(as_array(predicted.rgb) * mask - truth.image * truth.mask[..., None])
    return [truth.iuv, as_array(static.over(0)), as_array(predicted.over(0)), mask.repeat(3, -1), truth.image,
            (2 * error * truth.certain[..., None]).clip(0, 1)]


def pair_row(truth: metrics.Truth, predicted: Rendering) -> list[np.ndarray]:
    """The tiles (H, W, 3) of one pair, as PAIR_COLUMNS names them."""
    drawn, taken = as_array(predicted.over(0)), truth.image * truth.mask[..., None]
    error = np.abs(drawn - taken)
    return [truth.iuv, drawn, taken, (2 * error * truth.certain[..., None]).clip(0, 1)]


def sheet(rows: list[list[np.ndarray]], columns: tuple[str, ...] = SHEET_COLUMNS) -> bytes:
    """A PNG of rows of tiles, all of one size, under their captions."""
    side, head = SHEET_TILE, 16
    tall = max(1, round(side * rows[0][0].shape[0] / rows[0][0].shape[1]))
    page = Image.new("RGB", (side * len(columns), head + tall * len(rows)), "white")
    draw = ImageDraw.Draw(page)
    for column, caption in enumerate(columns):
        draw.text((column * side + 4, 2), caption, "black")
        for row, tiles in enumerate(rows):
            tile = Image.fromarray((tiles[column] * 255).round().astype(np.uint8))
            page.paste(tile.resize((side, tall), Image.Resampling.BOX), (column * side, head + row * tall))
    encoded = io.BytesIO()
    page.save(encoded, "PNG", optimize=True)
    return encoded.getvalue()
