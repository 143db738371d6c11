"""Losses over the steps of a training as a drawing (SVG) that stands in a page, without scripts."""

from __future__ import annotations

import math
from html import escape
from itertools import groupby

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99")
TOTAL = "all together"
WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 960, 300, 56, 26, 18  # pixels
POINTS = 240  # of a line: more than that can't be told apart
DECADES = 5   # shown at the most: smaller terms lie on the lower edge
NO_LOSS = "step", "stage", "images_per_second"


def chart(lines: list[dict]) -> str:
    """HTML of a chart with its legend; nothing where no line holds a loss.

    lines  of metrics.jsonl: step, stage and losses, which are drawn on a logarithmic scale
    """
    series = _series(lines)
    values = [value for points in series.values() for _, value in points]
    if not values:
        return ""
    high = math.ceil(math.log10(max(values)) - 1e-9)
    low = max(min(math.floor(math.log10(min(values))), high - 1), high - DECADES)
    beginnings = _beginnings(lines)
    first, last = lines[0]["step"], max(lines[-1]["step"], lines[0]["step"] + 1)

    def place(step, value):
        x = LEFT + (step - first) / (last - first) * (WIDTH - LEFT - 8)
        up = (max(math.log10(value), low) - low) / (high - low)
        return x, ABOVE + (1 - up) * (HEIGHT - ABOVE - BELOW)

    drawn = []
    for decade in range(low, high + 1):
        y = place(first, 10.0**decade)[1]
        drawn.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g}</text>')
    for step in _ticks(first, last):
        x = place(step, 10.0**low)[0]
        drawn.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{step}</text>')
    for step, stage in beginnings:
        x = place(step, 10.0**low)[0]
        drawn.append(f'<line class="stage" x1="{x:.1f}" x2="{x:.1f}" y1="{ABOVE}" y2="{HEIGHT - BELOW}"/>'
                     f'<text x="{x + 4:.1f}" y="{ABOVE - 5}">{escape(stage)}</text>')
    legend = []
    for index, (name, points) in enumerate(series.items()):
        colour = "currentColor" if name == TOTAL else COLOURS[(index - 1) % len(COLOURS)]
        for stretch in _by_stage(points, beginnings):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in _fewer(stretch)))
            drawn.append(f'<polyline points="{path}" stroke="{colour}"><title>{escape(name)}</title>'
                         "</polyline>")
        legend.append(f'<li><i style="background:{colour}"></i>{escape(name)} {points[-1][1]:.3g}</li>')
    return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="losses over steps">'
            f'{"".join(drawn)}</svg><ul class="legend">{"".join(legend)}</ul>')


def _series(lines):
    """{name: [(step, value), ...]} of what is above 0: the sum of all losses, then each."""
    series = {TOTAL: []}
    for line in lines:
        losses = {name: value for name, value in line.items() if name not in NO_LOSS}
        for name, value in ({TOTAL: sum(losses.values())} | losses).items():
            if value > 0:
                series.setdefault(name, []).append((line["step"], value))
    return {name: points for name, points in series.items() if points}


def _fewer(points):
    """At most POINTS of them: each the middle of as many, so that noise doesn't fill the chart."""
    length = math.ceil(len(points) / POINTS)
    groups = (points[start:start + length] for start in range(0, len(points), length))
    return [(sum(step for step, _ in group) / len(group),
             math.exp(sum(math.log(value) for _, value in group) / len(group))) for group in groups]


def _by_stage(points, beginnings):
    """The points in lists of one stage each: what one sums up another doesn't."""
    starts = [step for step, _ in beginnings]
    grouped = groupby(points, key=lambda point: sum(start <= point[0] for start in starts))
    return [list(group) for _, group in grouped]


def _beginnings(lines):
    """(step, stage) where each stage begins."""
    return [(line["step"], line["stage"]) for before, line in zip([None, *lines], lines, strict=False)
            if before is None or before["stage"] != line["stage"]]


def _ticks(first, last):
    """Some round steps in between."""
    apart = 10 ** math.floor(math.log10(max(last - first, 1)))
    apart = next(max(1, round(apart * share)) for share in (0.1, 0.2, 0.5, 1, 2) if
                 (last - first) / max(1, apart * share) <= 8)
    return range(math.ceil(first / apart) * apart, last + 1, apart)
