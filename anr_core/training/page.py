"""index.html of a run: what one fixed training view looks like on the way, the losses, the settings.

    index.html     opens from disk; no script, no network
    page/          its pictures, and rows.json, which says when they were drawn

Of the times at which previews are drawn some are kept, evenly over the whole training; the files of others
go.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path

import torch
from PIL import Image

from anr_core.avatars import Avatar, Rendering, Scene
from anr_core.avatars.run import write_atomically, writing
from anr_core.capture import Capture, View
from anr_core.capture.sources import read_json
from anr_core.layers import ALWAYS, GREY, STEPS, Layers, picture, taken_apart
from anr_core.layers.behind import own_background
from anr_core.layers.given import pictures_of
from anr_core.training.beginning import Person
from anr_core.training.chart import chart
from anr_core.training.record import is_count, is_measure, read_lines

FOLDER = "page"
PICTURE = re.compile(r"[a-z0-9-]+\.jpg")  # a name in it
MOST = 12      # rows
LARGEST = 512  # pixels of a picture's longer side
QUALITY = 85   # of a JPEG
AGAIN = 20     # seconds after which a browser looks for news while the training goes on
# What a reader compares stands side by side; then what it is made of.
ORDER = ("truth", "result", "foreground", "background", "mask", "input",
         *(step for step in STEPS if step not in ("truth", "result", "foreground", "background", "mask")))


@dataclass(frozen=True)
class Drawn:
    """A training view as an avatar draws it, and the capture that it is of."""

    avatar: Avatar
    capture: Capture
    view: View
    scene: Scene
    rendering: Rendering


@dataclass(frozen=True)
class Row:
    """One time of the training: `people` holds for each person [caption, file] of the pictures."""

    step: int
    stage: str
    seconds: float
    people: list[list[list[str]]]


class Page:
    """Writes a run's page; what comes after the step that the run goes on from is forgotten.

    path    the run's folder
    people  who are trained
    """

    def __init__(self, path: Path, people: list[Person], step: int):
        self.path, self.people = path, people
        self.rows = [row for row in read_rows(path) if row.step <= step and len(row.people) == len(people)]

    @torch.no_grad()
    def add(self, step: int, stage: str, seconds: float, drawn: list[Drawn]) -> None:
        """Draw another row, one view a person, and let go of one where there are too many."""
        shown = []
        with writing(self.path / FOLDER):
            (self.path / FOLDER).mkdir(exist_ok=True)
            for index, one in enumerate(drawn):
                names = []
                for caption, image in pictures_shown(one):
                    name = f"{step:07d}-{index}-{re.sub(r'[^a-z0-9]+', '-', caption.lower())}.jpg"
                    (self.path / FOLDER / name).write_bytes(_jpeg(image))
                    names.append([caption, name])
                shown.append(names)
        rows = [*(row for row in self.rows if row.step != step), Row(step, stage, seconds, shown)]
        self.rows = thinned(sorted(rows, key=lambda row: row.step), MOST)

    def write(self, fraction: float, going: bool = True) -> None:
        """Write the page as the run is now, so much of it done (0 to 1), and remove what it doesn't show.

        going  a training goes on, so that a browser should look again
        """
        if not self.rows:
            return
        rows = json.dumps([asdict(row) for row in self.rows], indent=1)
        write_atomically(self.path / FOLDER / "rows.json", rows.encode())
        lines = read_lines(self.path / "metrics.jsonl")
        text = page(self.path.name, self.people, self.rows, lines, fraction, going and fraction < 1)
        write_atomically(self.path / "index.html", text.encode(errors="replace"))
        shown = {name for row in self.rows for pictures in row.people for _, name in pictures}
        for file in (self.path / FOLDER).glob("*.jpg"):
            if file.name not in shown:
                file.unlink(missing_ok=True)


def read_rows(path: Path) -> list[Row]:
    """The rows of a run's page; none where it has none, or where nobody can read them."""
    try:
        rows = [_checked(Row(**row)) for row in read_json(path / FOLDER / "rows.json")]
    except (OSError, ValueError, TypeError):  # it is drawn anew
        return []
    return rows if len({len(row.people) for row in rows}) < 2 else []


def _checked(row: Row) -> Row:
    """The same row; raises ValueError where the page, which a browser trusts, would show something else."""
    lists = isinstance(row.people, list) and all(isinstance(pictures, list) for pictures in row.people)
    files = [file for pictures in row.people for caption, file in pictures if isinstance(caption, str)]
    if not (is_count(row.step) and isinstance(row.stage, str) and is_measure(row.seconds)) or \
            not (lists and row.people) or \
            len(files) < sum(map(len, row.people)) or not all(PICTURE.fullmatch(file) for file in files):
        raise ValueError("it is no row of a page")
    return row


def thinned(rows: list[Row], most: int) -> list[Row]:
    """At the most so many rows, the first and the last among them: those go that others stand nearest to."""
    rows = list(rows)
    while len(rows) > most:
        del rows[min(range(1, len(rows) - 1), key=lambda at: (rows[at + 1].step - rows[at - 1].step, at))]
    return rows


def pictures_shown(one: Drawn) -> Iterator[tuple[str, torch.Tensor]]:
    """Captions and pictures (1, 3, H, W) of all that an avatar has to show of a view, in order."""
    avatar, view = one.avatar, one.view
    rendering = taken_apart(one.rendering)
    added = pictures_of(avatar, one.scene) | {"truth": view.image}
    behind = own_background(avatar, one.capture, view.camera_name[0], view.camera, view.size)
    if behind is not None:
        added["background"] = behind.to(rendering.rgb)
    if avatar.surface is None and "input" in rendering.layers:
        added["input"] = rendering.layers["input"].expand(-1, 3, -1, -1)
    if rendering.depth is not None:
        added["depth"] = rendering.depth
    rendering = replace(rendering, layers=rendering.layers | added)
    layers, found = Layers(), {}
    for step in ORDER:
        if step == "input":
            found[step] = added.get(step)
        elif step in ALWAYS or step in Layers.steps(rendering):
            found[step] = layers.panel(step, rendering, avatar.surface, added.get("background", GREY))
    found |= {name: image[None] for name, image in avatar.pictures().items()}
    yield from ((name, image) for name, image in found.items() if image is not None)


def _jpeg(image):
    file, shown = io.BytesIO(), Image.fromarray(picture(image.float()))
    shown.thumbnail((LARGEST, LARGEST))
    shown.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


# the text


STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --dim: #667085; --line: #dfe3ea; --page: #f6f7f9;
  --card: #fff; --accent: #2f6fde }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #98a2b3; --line: #2c3440;
  --page: #12161c; --card: #1a2028; --accent: #6ea0ff } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 28px 32px 48px; max-width: 1480px; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif }
h1 { margin: 0; font-size: 26px } h1 small { color: var(--dim); font-weight: 400 }
h2 { margin: 34px 0 10px; font-size: 18px } h3 { margin: 18px 0 6px; font-size: 15px }
p { margin: 4px 0; color: var(--dim) }
.bar { height: 6px; margin: 12px 0; border-radius: 3px; background: var(--line); overflow: hidden }
.bar div { height: 100%; background: var(--accent) }
.now { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 14px }
figure { margin: 0; padding: 8px; border: 1px solid var(--line); border-radius: 8px; background: var(--card) }
figure img { display: block; width: 100%; border-radius: 4px }
figcaption { padding-top: 6px; text-align: center; font-size: 13px }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--card) }
.scroll table { width: 100%; border-collapse: collapse; table-layout: fixed }
.scroll th, .scroll td { padding: 3px; font-size: 12px; font-weight: 400; text-align: center;
  color: var(--dim) }
.scroll thead th { padding: 6px 3px; color: var(--ink) }
.scroll tbody th { width: 84px; text-align: right; padding-right: 8px }
.scroll b { display: block; color: var(--ink); font-size: 13px }
.scroll col.when { width: 88px }
.scroll img { display: block; width: 100%; border-radius: 3px }
svg { display: block; width: 100%; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px }
svg text { font-size: 11px; fill: var(--dim) } svg polyline { fill: none; stroke-width: 1.4 }
svg .grid { stroke: var(--line) } svg .stage { stroke: var(--dim); stroke-dasharray: 3 4 }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 10px 0 0; padding: 0; list-style: none;
  font-size: 13px }
.legend i { display: inline-block; width: 14px; height: 4px; margin-right: 6px; vertical-align: middle }
.settings { columns: 4 220px; column-gap: 32px; font-size: 13px }
.settings div { display: flex; justify-content: space-between; gap: 8px; border-bottom: 1px solid var(--line);
  break-inside: avoid }
.settings span { color: var(--dim) }
"""


def page(name: str, people: list[Person], rows: list[Row], lines: list[dict], fraction: float,
         again: bool) -> str:
    """The HTML: newest pictures large, then all rows, losses and settings.

    lines  of metrics.jsonl
    again  let a browser look again after a while
    """
    run, newest = people[0].run, rows[-1]
    step = max(newest.step, lines[-1]["step"] if lines else 0)
    far = f"Step {step}, {100 * fraction:.0f} %, stage {escape(newest.stage)}, {newest.seconds / 60:.1f} " \
        "minutes of training." if newest.stage else "Unwrapped: there is nothing to learn."
    state = "trained" if fraction >= 1 else "is being trained" if again else "stopped, and can go on"
    refresh = f'<meta http-equiv="refresh" content="{AGAIN}">\n' if again else ""
    licences = dict.fromkeys(person.run.licence for person in people)
    sections = []
    for index, person in enumerate(people):
        heading = f"<h3>{escape(person.run.person)}</h3>" if len(people) > 1 else ""
        sections.append(f"{heading}{_newest(newest.people[index])}{_table(rows, index)}")
    losses = chart(lines)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh}<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(name)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(name)} <small>{escape(run.config.system)}, {state}</small></h1>
<div class="bar"><div style="width:{100 * fraction:.1f}%"></div></div>
<p>{far} {_views(people)}</p>
<p>Licence of the capture: {escape("; ".join(licences)) or "not stated"}</p>
<h2>One view that it was trained on{f', at step {newest.step}' if newest.stage else ''}</h2>
{"".join(sections)}
{f"<h2>Losses</h2>{losses}" if losses else ""}
<h2>Settings</h2>
<div class="settings">{_settings(run.config)}</div>
</body>
</html>
"""


def _views(people):
    said = []
    for person in people:
        cameras, frames = ({view[place] for view in person.run.trained} for place in (0, 1))
        said.append(f"{escape(person.run.person) or 'One person'}: {len(person.run.trained)} pictures of "
                    f"{len(cameras)} cameras and {len(frames)} frames")
    return "; ".join(said) + "."


def _newest(pictures):
    return '<div class="now">' + "".join(
        f'<figure><a href="{FOLDER}/{file}"><img src="{FOLDER}/{file}" alt="{escape(caption)}"></a>'
        f"<figcaption>{escape(caption)}</figcaption></figure>" for caption, file in pictures) + "</div>"


def _table(rows, index):
    """All rows of a person, the newest first; a column for each caption that any of them has."""
    if len(rows) == 1:  # which is shown already
        return ""
    captions = list(dict.fromkeys(caption for row in reversed(rows) for caption, _ in row.people[index]))
    head = "".join(f"<th>{escape(caption)}</th>" for caption in captions)
    body = []
    for row in reversed(rows):
        files = dict(row.people[index])
        cells = "".join(f'<td><a href="{FOLDER}/{files[name]}"><img src="{FOLDER}/{files[name]}" '
                        f'alt="{escape(name)}" loading="lazy"></a></td>' if name in files else "<td></td>"
                        for name in captions)
        body.append(f"<tr><th><b>step {row.step}</b>{escape(row.stage)}<br>{row.seconds / 60:.1f} min</th>"
                    f"{cells}</tr>")
    least = 88 + 64 * len(captions)  # pixels: smaller ones show nothing, and the table is scrolled
    return ('<h3>Over the training</h3><div class="scroll">'
            f'<table style="min-width:{least}px"><colgroup><col class="when"></colgroup>'
            f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>")


def _settings(config):
    return "".join(f"<div><span>{escape(name)}</span>{escape(str(value))}</div>"
                   for name, value in asdict(config).items() if name != "steps")  # others may have been given
