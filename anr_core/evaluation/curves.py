"""Figures against training time, out of what a comparison has found, as a chart."""

from __future__ import annotations

import io

from anr_core.training.chart import COLOURS

# panels, from left to right: protocol, figure and what stands at the axis
PANELS = (("neuralbody", "psnr", "PSNR (dB)"), ("neuralbody", "flip", "FLIP (less is better)"),
          ("inside", "psnr", "PSNR (dB)"))


def points_of(entry: dict, split: str, protocol: str, figure: str) -> list[tuple[float, float]]:
    """(minutes of training, figure) of an entry's curve."""
    found = ((one["seconds"] / 60, one["figures"].get(split, {}).get(protocol, {}).get(figure))
             for one in entry.get("curve", ()))
    return [(minutes, value) for minutes, value in found if value is not None]


def draw_curves(found: dict) -> bytes | None:
    """A PNG of a row a split, a column a panel, a line a seed; None where nothing was looked at on the way.

    What learns nothing, the static texture, is a broken line from one end to the other.
    """
    entries = [(system, entry) for system, seeds in found["entries"].items() for entry in seeds.values()
               if entry.get("curve")]
    splits = list(dict.fromkeys(split for _, entry in entries for one in entry["curve"]
                                for split in one["figures"]))
    if not splits:
        return None
    from matplotlib.figure import Figure  # a second, and few need it

    names = list(found["entries"])
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
    figure = Figure(figsize=(4.4 * len(PANELS), 3.2 * len(splits) + 0.5), layout="constrained")
    axes = figure.subplots(len(splits), len(PANELS), squeeze=False)
    drawn = {}
    for row, split in zip(axes, splits, strict=True):
        for axis, (protocol, name, told) in zip(row, PANELS, strict=True):
            for system, entry in entries:
                points = points_of(entry, split, protocol, name)
                if not points:
                    continue
                if points[-1][0] == 0:
                    line = axis.axhline(points[-1][1], color=colours[system], linestyle="--")
                else:
                    line, = axis.plot(*zip(*points, strict=True), color=colours[system], marker="o",
                                      markersize=3)
                drawn.setdefault(system, line)
            axis.set(title=f"{split}, {protocol}", xlabel="minutes of training", ylabel=told, xscale="log")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.grid(alpha=0.3)
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=len(drawn))
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", dpi=90)
    return encoded.getvalue()
