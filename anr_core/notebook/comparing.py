"""What the cells of the notebook that compares systems call: runs, tables, pictures and curves of them."""

from __future__ import annotations

from html import escape
from pathlib import Path

from anr_core.notebook.cells import figures, opened, runs_of, shown
from anr_core.telling import listed

PICTURES = 1  # a split
HOW = "python -m benchmarks.compare {} comparison --minutes {:g} --curves"


def runs_to_compare(capture: str | Path, systems: str, folder: str | Path = "runs", minutes: float = 1.0,
                    comparison: str | Path = "", config: dict | None = None) -> dict[str, Path]:
    """{system: run}: of a comparison, else the newest of a folder of runs, each trained where there is none.

    systems     their names with commas between; of a comparison those that it has
    comparison  the folder that `python -m benchmarks.compare` filled; nothing for runs
    """
    wanted = [name.strip() for name in systems.split(",") if name.strip()]
    if not str(comparison):
        there, person = runs_of(capture, folder), Path(capture).name
        return {name: there.get(name) or opened(f"{folder}/{person}-{name}", capture, minutes=minutes,
                                                system=name, config=config) for name in wanted}
    from anr_core.evaluation.comparison import read_comparison

    found = read_comparison(comparison)
    runs = {system: Path(comparison) / f"{system}-{next(iter(seeds), found['seeds'][0])}" / "run"
            for system, seeds in found["entries"].items()}
    runs = {system: run for system, run in runs.items() if (run / "checkpoint.safetensors").is_file()
            and (system in wanted or not wanted)}
    if not runs:
        raise ValueError(f"{comparison} has no run of {', '.join(wanted) or 'any'} yet. It has entries "
                         f"of {listed(found['entries'])}; the command that began it goes on.")
    machine = found["machine"]
    print(f"{found['command']}\n{found['date']}, {machine['cpu']}, {machine['cores']} cores, "
          f"{machine['gpu'] or 'no GPU'}")
    return runs


def comparison_figures(runs: dict[str, Path], protocol: str, comparison: str | Path = "") -> None:
    """Show the tables of a comparison, by one protocol; without one judge the runs now."""
    if not str(comparison):
        figures(runs, protocol)
        return
    from IPython.display import HTML, display

    from anr_core.evaluation.comparison import costs_table, figures_of, read_comparison, terms_of

    found = read_comparison(comparison)
    if protocol not in found["protocols"]:
        raise ValueError(f"{comparison} has no figures of {protocol}; it has "
                         f"{listed(found['protocols'])}.")
    terms = found["protocols"][protocol]
    parts = [f"<p><b>{escape(protocol)}</b>, version {terms['version']}. {escape(terms['statement'])}<br>"
             f"{escape(terms_of(terms))}</p>"]
    for split, protocols in found["table"].items():
        parts.append(f"<h4>{escape(split)}, {found['capture']['judged'][split]} pictures</h4>"
                     + as_html(*figures_of(protocols[protocol])))
    parts.append("<h4>what it costs</h4>" + as_html(*costs_table(found["costs"])))
    display(HTML("".join(parts)))


def as_html(heads: list[str], cells: list[list[str]]) -> str:
    """A table; what Markdown would show bold is bold."""
    def cell(text):
        bare = text.removeprefix("**").removesuffix("**")
        return f"<td>{f'<b>{escape(bare)}</b>' if bare != text else escape(bare)}</td>"

    body = "".join(f"<tr><td><b>{escape(row[0])}</b></td>{''.join(map(cell, row[1:]))}</tr>" for row in cells)
    return f"<table><tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>{body}</table>"


def side_by_side(runs: dict[str, Path], comparison: str | Path = "") -> None:
    """Show views that none was trained on: the truth, and what each run draws."""
    if str(comparison):
        shown(_made(comparison, "pictures.jpg"))
        return
    from IPython.display import Image, display

    from anr_core.avatars.run import Run
    from anr_core.evaluation.side_by_side import rows_of_runs, sheet_of

    open_runs = {name: Run.open(run) for name, run in runs.items()}
    if any(run.paired for run in open_runs.values()):
        raise ValueError("Runs of pairs of pictures have no views to draw side by side; look at each in "
                         "05_pictures.")
    sheet = sheet_of(rows_of_runs(open_runs, PICTURES, next(iter(open_runs.values())).config.size))
    if sheet is None:
        print("Each registered view was trained on by one of the runs: none is left to look at.")
        return
    display(Image(data=sheet, format="jpeg"))


def curves(capture: str | Path, comparison: str | Path = "", minutes: float = 5.0) -> None:
    """Show how figures rise over the training, which a comparison with --curves has looked at."""
    if not str(comparison):
        print("Runs don't say how good they were on the way. A comparison does:\n  "
              + HOW.format(capture, minutes))
        return
    shown(_made(comparison, "curves.png"))


def _made(comparison, name):
    file = Path(comparison) / name
    if not file.is_file():
        raise FileNotFoundError(f"{comparison} has no {name} yet. Go on with the command that began it"
                                f"{', and --curves' if name.startswith('curves') else ''}.")
    return file
