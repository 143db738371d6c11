"""What the cells of the notebook about dynamic textures call: a page, what was learned, who drives."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from anr_core.notebook.cells import filmed, shown
from anr_core.notebook.setting_up import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anr_core.avatars import Avatar, Scene
    from anr_core.avatars.run import Run
    from anr_core.capture import Capture, View

MOMENTS = 3  # rows of a picture that compares
FIGURE = '<figure style="margin:0;width:150px"><img style="width:150px" src="data:image/jpeg;base64,{}">' \
    '<figcaption style="text-align:center">{}</figcaption></figure>'


def paged(run: str | Path) -> None:
    """Show a link to a run's page, and the newest pictures on it."""
    from IPython.display import HTML, display

    from anr_core.training.page import FOLDER, read_rows

    run = Path(run)
    rows = read_rows(run)
    if not rows:
        raise FileNotFoundError(f"{run} has no page. Train it first: run the cells above.")
    file = (run / "index.html").resolve()
    figures = ""
    for caption, name in (one for person in rows[-1].people for one in person):
        picture = base64.b64encode((run / FOLDER / name).read_bytes()).decode()
        figures += FIGURE.format(picture, escape(caption))
    link = escape(os.path.relpath(file, ROOT / "notebooks"), quote=True)  # as a browser beside it sees it
    display(HTML(f'<p>Step {rows[-1].step}. All of the page: <a href="{link}" target="_blank">'
                 f'{escape(str(file))}</a></p>'
                 f'<div style="display:flex;flex-wrap:wrap;gap:8px">{figures}</div>'))


def compared(run: str | Path) -> None:
    """Show some views: as filmed, by a dynamic texture's colours alone, and as it draws them.

    Views are of a trained camera, and of frames that were held out, if there are any.
    """
    from anr_core.layers import picture

    opened, capture, avatar = _opened(run)
    rows = []
    for view, scene in _staged_views(opened, capture, avatar):
        drawn = avatar.draw(scene)
        behind = drawn.layers["behind"]
        rows.append({"as filmed": picture(view.image),
                     "static texture": picture(avatar.draw_static(scene).over(behind)),
                     "dynamic texture": picture(drawn.over(behind))})
    _show_rows(rows)


def uncovered(run: str | Path) -> None:
    """Show the mask and the background that came with a capture, beside what a run has made of them."""
    from anr_core.layers import picture
    from anr_core.layers.behind import in_window

    opened, capture, avatar = _opened(run)
    rows = []
    for view, scene in _staged_views(opened, capture, avatar):
        name, drawn = view.camera_name[0], avatar.draw(scene)
        row = {"as filmed": picture(view.image), "its mask": picture(view.mask.expand(-1, 3, -1, -1)),
               "learned mask": picture(drawn.mask.expand(-1, 3, -1, -1))}
        for words, whole in (("its background", capture.background(name)),
                             ("learned background", avatar.background(name))):
            if whole is not None:
                row[words] = picture(in_window(whole, capture.cameras[name], view.camera, view.size))
        rows.append(row)
    _show_rows(rows)


def mover(source: str | Path, subject: int = 1, **film) -> Path:
    """Who drives: a capture, or a folder of OpenPose's JSON; where there is neither the studio draws one.

    film  further arguments of `studio_capture`
    """
    if Path(source).is_dir() and any(Path(source).iterdir()):
        return Path(source)
    return filmed(source, subject, **film)


def replaced(run: str | Path, source: str | Path, backgrounds: str, align: str | None = None,
             picture: str | Path = "") -> None:
    """Show a run's person, driven by another's keypoints, at one moment before several backgrounds.

    backgrounds  as --background takes them, with commas between
    picture      one more, a file; nothing for the scene of whoever drives, where that is known
    """
    from anr_core.capture import Capture
    from anr_core.export.backgrounds import Own, chosen_background, composed
    from anr_core.export.driving import first_trained, staged_keypoints
    from anr_core.export.video import VIDEO_FPS, drawn
    from anr_core.layers import beside
    from anr_core.motion.alignment import HOW
    from anr_core.motion.keypoints import best_camera, open_source
    from anr_core.viewer.drawing import squares

    opened, capture, avatar = _opened(run)
    moving, size = open_source(source), opened.config.size
    camera = first_trained(opened, capture)
    many, scenes, _ = staged_keypoints(opened, avatar, moving, camera, size, VIDEO_FPS, align or HOW[0])
    (scene, drawing), = drawn(avatar, islice(scenes, many // 2, many // 2 + 1))
    files = {word.strip(): word.strip() for word in backgrounds.split(",") if word.strip()}
    plate = moving.backgrounds.get(best_camera(moving)) if isinstance(moving, Capture) else None
    if str(picture) or plate is not None:
        files["picture"] = str(picture) or str(moving.path / plate)
    if not files:
        raise ValueError("There is nothing to stand before. Name a background, such as white, or a picture.")
    found = {}
    for name, file in files.items():
        behind = chosen_background(file, size, Own(avatar, capture, camera))(scene)
        found[name] = composed(drawing, squares(size) if behind is None else behind)
    shown(beside(found))


def _opened(run: str | Path) -> tuple[Run, Capture, Avatar]:
    """A run, of several people the first, its capture, and its avatar.

    Raises ValueError for one that draws no keypoints.
    """
    from anr_core.avatars.run import Run, people_of

    opened = Run.open(run, next(iter(people_of(run))) or None)
    avatar = opened.avatar()
    if "keypoints" not in avatar.needs:
        raise ValueError(f"{run} is a {opened.config.system} run, and this shows what a dynamic texture "
                         "learns. Name a run of one.")
    return opened, opened.capture(), avatar


def _staged_views(run: Run, capture: Capture, avatar: Avatar) -> Iterator[tuple[View, Scene]]:
    """Some views of the first trained camera, of frames that were not trained on where there are some."""
    from anr_core.export.driving import first_trained
    from anr_core.training import scene_of

    camera = first_trained(run, capture)
    seen = [shot for shot in capture.shots if shot.camera == camera]
    others = [shot for shot in seen if (camera, shot.frame) not in set(run.trained)]
    views = replace(capture, shots=others or seen).evenly(MOMENTS).views(crop="body", size=run.config.size)
    for view in views:
        yield view, scene_of(*avatar.placed(view, capture.body))


def _show_rows(rows):
    """Dictionaries of pictures, one a row, under the names that all of them have."""
    import numpy as np

    from anr_core.layers import beside

    first, *others = rows
    shown(np.concatenate([beside(first), *(np.concatenate(list(row.values()), 1) for row in others)]))
