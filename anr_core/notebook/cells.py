"""What the notebooks' cells call: each shows something under the cell, and says in one line what it lacks."""

from __future__ import annotations

from contextlib import redirect_stdout
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from anr_core.notebook.keeping import fetch_back, keep

if TYPE_CHECKING:
    from anr_core.capture import Capture

# What can be kept to judge an avatar by, beside what its capture holds out.
HOLD_OUT = ("nothing more", "the last fifth of the frames", "one camera")


def shown(image) -> None:
    """Show a picture (H, W, 3) uint8, or a file of one, under the cell."""
    from IPython.display import Image as Shown
    from IPython.display import display

    if isinstance(image, str | Path):
        if not Path(image).is_file():
            raise FileNotFoundError(f"{image} is not there. Run the cells above first.")
        display(Shown(filename=str(image)))
        return
    from anr_core.viewer.drawing import png

    display(Shown(data=png(image)))


def filmed(capture: str | Path, subject: int = 0, **film) -> Path:
    """The folder of a capture; where there is none the studio draws one of its people.

    film  further arguments of `studio_capture`
    """
    from anr_core.prepare.studio import studio_capture

    if not (Path(capture) / "capture.json").is_file():
        print(f"{capture} is not there: the studio draws subject {subject} into it")
        studio_capture(capture, subject, **film)
    return Path(capture)


def trained(run: str | Path, capture: str | Path | list[str | Path], *, system: str = "anr",
            minutes: float = 1.0, kept: str | Path | None = None, hold_out: str = HOLD_OUT[0],
            **settings) -> Path:
    """The folder of a run, trained before one's eyes unless it is there and done.

    capture   what to train on; a studio capture is drawn where there is none; of several people a list
    kept      where the run is kept on the way, such as on Drive; a run there is gone on with
    hold_out  what to judge by, beside what the capture itself holds out: one of HOLD_OUT
    settings  further arguments of `train`
    """
    from anr_core.capture import load_capture
    from anr_core.training import train
    from anr_core.viewer.watching import watch

    run = Path(run)
    if kept is not None:
        fetch_back(kept, run)
    people = [load_capture(filmed(one)) for one in (capture if isinstance(capture, list) else [capture])]
    if len(people) > 1 and hold_out != HOLD_OUT[0]:
        raise ValueError(f"Of several people {hold_out} can't be held out; choose {HOLD_OUT[0]!r}.")
    watch(train(people if len(people) > 1 else people[0], run, system, minutes=minutes,
                **held_back(people[0], hold_out), **settings),
          saved=None if kept is None else lambda: keep(run, kept))
    return run


def held_back(capture: Capture, hold_out: str) -> dict:
    """What of a capture is trained on, as arguments of `train`, where some of it is kept to judge by.

    Raises ValueError for a capture that has not enough.
    """
    if hold_out not in HOLD_OUT:
        raise ValueError(f"{hold_out!r} can't be held out; choose one of: {', '.join(HOLD_OUT)}.")
    if hold_out == HOLD_OUT[0]:
        return {}
    shots = [shot for shot in capture.shots if shot.split == "train"]
    what = "camera" if hold_out == HOLD_OUT[2] else "frame"
    there = sorted({getattr(shot, what) for shot in shots})
    trained = there[:max(1, len(there) * 4 // 5)] if what == "frame" else there[:-1]
    if not 0 < len(trained) < len(there):
        raise ValueError(f"{capture.path} has {len(there)} {what} to train on: none can be held out.")
    return {f"{what}s": trained}


def opened(run: str | Path, capture: str | Path, minutes: float = 1.0, **settings) -> Path:
    """The folder of a run, an archive or a link; where there is none one is trained for a minute."""
    from anr_core.avatars.linked import local_run
    from anr_core.avatars.run import people_of
    from anr_core.capture.archives import ENDINGS

    found = local_run(run)
    if (found / "config.json").is_file():
        if all((folder / "checkpoint.safetensors").is_file() for folder in people_of(found).values()):
            return found
        print(f"{run} was stopped before it had learned anything: it goes on")
        return trained(found, capture, minutes=minutes, **settings)
    if found.name.lower().endswith(ENDINGS):
        raise FileNotFoundError(f"{run} does not exist. Give a run: its archive, a link, or a folder.")
    print(f"{run} is not there: an avatar is trained for {60 * minutes:.0f} s")
    return trained(run, capture, minutes=minutes, **settings)


def runs_of(capture: str | Path, folder: str | Path = "runs") -> dict[str, Path]:
    """The newest run of every system that was trained on a capture, in a folder of runs."""
    from anr_core.avatars.run import Run, people_of

    found = {}
    configs = sorted(Path(folder).glob("*/config.json"), key=lambda file: file.stat().st_mtime)
    for path in (file.parent for file in configs):
        if len(people_of(path)) > 1 or not (path / "checkpoint.safetensors").is_file():
            continue
        run = Run.open(path)
        if Path(capture).resolve() in (Path(run.source[0]), (run.path / run.source[1]).resolve()):
            found[run.config.system] = path
    return found


def figures(runs: dict[str, Path], protocol: str = "neuralbody") -> None:
    """Judge runs on the views that they were not trained on, and show one table."""
    from IPython.display import HTML, display

    from anr_core.avatars.run import Run
    from anr_core.evaluation import evaluate, pairs, protocols_of, split_of
    from anr_core.evaluation.comparison import terms_of
    from anr_core.evaluation.pairs import pair_splits

    rows, splits, used = {}, {}, {}
    for name, run in runs.items():
        opened_run = Run.open(run)
        film = opened_run.capture()
        if not (pair_splits(film, opened_run) if opened_run.paired else
                split_of(film.shots, opened_run.trained)):
            print(f"{run} was trained on every registered view of its film: none is left to judge it by. To "
                  "have figures, hold some back and train another run.")
            continue
        by = "whole" if opened_run.paired else protocol  # of pairs no other can be had
        with redirect_stdout(StringIO()):
            results = evaluate(run, protocol=by)
        splits |= results
        used |= protocols_of(results, *((pairs.PROTOCOLS, pairs.TERMS) if opened_run.paired else ()))
        for split, protocols in results.items():
            for method, numbers in protocols[by].items():
                if method in (name, "static", "input", "mean"):
                    rows[split, method] = numbers

    if not rows:
        return

    def place(row):
        """As the splits come, the mean colour first, then as the runs were given."""
        (split, method), _ = row
        methods = dict.fromkeys(("mean", "input", "static", *runs))
        return list(splits).index(split), list(methods).index(method)

    columns = {"psnr": "PSNR (dB)", "ssim": "SSIM", "lpips": "LPIPS", "flip": "FLIP", "mask_iou": "mask IoU"}
    table = "".join(
        f"<tr><td>{escape(split)}</td><td><b>{escape(method)}</b></td>" + "".join(
            f"<td>{'n/a' if numbers[column] is None else format(numbers[column], '.3f')}</td>"
            for column in columns) + "</tr>" for (split, method), numbers in sorted(rows.items(), key=place))
    told = " ".join(f"Protocol <b>{escape(name)}</b>, version {terms['version']}: "
                    f"{escape(terms['statement'])} {escape(terms_of(terms))}" for name, terms in used.items())
    heads = "".join(f"<th>{column}</th>" for column in ("held out", "method", *columns.values()))
    display(HTML(f"<table><tr>{heads}</tr>{table}</table><p>{told} Of PSNR, SSIM and "
                 "mask IoU more is better, of LPIPS and FLIP less.</p>"))


def pictures_of(run: str | Path) -> None:
    """Show what judging a run has drawn, or its newest preview where nothing was judged."""
    run = Path(run)
    judged = sorted((run / "evaluation").glob("*.png"))
    previews = sorted((run / "previews").glob("*.jpg"), key=lambda file: file.stat().st_mtime)
    for file in judged or previews[-1:]:
        print(file.stem)
        shown(file)
