"""All systems on one capture, the same frames and a stated budget, in one table.

    python -m benchmarks.compare CAPTURE OUT (--steps N | --minutes M) [--systems A,B] [--seed N] [--seeds K]
                                 [--preset quick] [--size S] [--curves] [--config FILE]

Writes OUT/compare.md and OUT/compare.json (see anr_core/evaluation/comparison.py): figures of every protocol,
what training and drawing take, machine, versions and commands; OUT/pictures.jpg, the same views by every
system; with --curves OUT/curves.png, figures against training time. Training, judging and timing are a
process each (benchmarks/entry.py), one after another. What is done in OUT already is used: the same command
goes on where it was killed, and one with other systems or seeds adds them; what another machine or other
versions have made is told as such. A system that fails is named in the table, and tried again by the same
command.

minutes are of training alone, the same for each system; steps of different systems are different work.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from anr_core.avatars.config import SYSTEMS, configure
from anr_core.avatars.run import write_atomically
from anr_core.capture.sources import read_json as read_checked
from anr_core.evaluation.comparison import VERSION, costs_of, markdown, table_of
from anr_core.evaluation.curves import draw_curves
from anr_core.evaluation.side_by_side import rows_of_files, sheet_of
from benchmarks.entry import Entry, read_json, works, write_json
from benchmarks.machine import made_here

ORDER = ("static", "deferred", "anr", "smplpix", "gaussian", "neural-body", "dynamic-texture")
ROOT = Path(__file__).resolve().parents[1]
BAD_INPUT = 2  # exit code


def compare(capture: str | Path, out: str | Path, systems: Sequence[str] = ORDER, *, steps: int | None = None,
            minutes: float | None = None, seed: int = 0, seeds: int = 1, preset: str = "quick",
            size: int | None = None, curves: bool = False, settings: dict | None = None,
            command: str = "") -> dict:
    """Train and judge systems into a folder, and return what compare.json holds.

    seeds     how many, from `seed` on; the table then tells means and standard deviations
    size      side of the pictures that are judged, pixels; None for what the preset has
    settings  {system: further settings of Config}
    command   that stands in the table
    """
    if unknown := [name for name in systems if name not in SYSTEMS]:
        raise ValueError(f"system {unknown[0]!r} is unknown; use some of {', '.join(ORDER)}.")
    if (steps is None) == (minutes is None):
        raise ValueError("Give steps or minutes, one of both: how long each system is trained.")
    if not systems or seeds < 1:
        raise ValueError("Give at least one system and one seed.")
    if not (Path(capture) / "capture.json").is_file():
        raise FileNotFoundError(f"{capture} has no capture.json. Make one with: "
                                f"python -m anr_core studio {capture}")
    size = size or configure(preset).size
    out, chosen = Path(out), range(seed, seed + seeds)
    entries = {(system, number): Entry(str(Path(capture).resolve()), system, preset, number, steps, minutes,
                                       size, (settings or {}).get(system, {}))
               for system in systems for number in chosen}
    others = earlier(out, next(iter(entries.values())))
    for (system, number), entry in entries.items():
        entry.write(out / f"{system}-{number}")
    asked = {place: out / f"{place[0]}-{place[1]}" for place in entries}
    folders = dict(sorted((others | asked).items(), key=lambda item: (ORDER.index(item[0][0]), item[0][1])))
    before = read_json(out / "compare.json", {"entries": {}})
    commands = before.get("commands", [before["command"]] if "command" in before else [])
    found = {"version": VERSION, "command": command, "commands": [*dict.fromkeys([*commands, command])],
             **made_here(), "capture": {"person": "", "path": str(capture)},
             "budget": {"steps": steps, "minutes": minutes}, "preset": preset, "size": size,
             "seeds": sorted({number for _, number in folders}), "protocols": {}, "entries": {}}
    failed = {(system, number): {} if (system, number) in asked else
              before["entries"].get(system, {}).get(str(number), {}).get("failed", {})
              for system, number in folders}
    for (system, number), folder in asked.items():
        for work in works(curves):
            if (folder / f"{work}.json").is_file():
                continue
            print(f"{system}, seed {number}: {work}", flush=True)
            why = done_apart(work, folder)
            if why is not None:
                failed[system, number][work] = why
                print(f"{system}, seed {number}: {work} failed: {why}", file=sys.stderr, flush=True)
            write(out, found, folders, failed)
            if why is not None and work == "train":
                break
    return write(out, found, folders, failed)


def earlier(out: Path, like: Entry) -> dict[tuple[str, int], Path]:
    """The entries in a folder, by system and seed; raises ValueError where they can't stand beside others."""
    found = {}
    for file in sorted(out.glob("*/entry.json")):
        there = Entry.read(file.parent)
        if file.parent.name == f"{there.system}-{there.seed}":
            like.check(there, file.parent, ("preset", "steps", "minutes", "size"))
            found[there.system, there.seed] = file.parent
    return found


def done_apart(work: str, folder: Path) -> str | None:
    """Do one work of an entry in a process of its own, which talks to WORK.log: why it failed, or None."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(
        [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    with open(folder / f"{work}.log", "ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.entry", work, str(folder)], stdout=log,
                                   stderr=subprocess.STDOUT, env=environment)
        try:
            status = process.wait()
        except KeyboardInterrupt:  # which reaches it as well, and it saves
            process.wait()
            raise
    if status == 0:
        return None
    lines = (folder / f"{work}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return f"killed by signal {-status}" if status < 0 else said


# what came of it


def write(out: Path, found: dict, folders: dict[tuple[str, int], Path], failed: dict) -> dict:
    """Write what there is so far: compare.json, compare.md and the pictures."""
    entries, capture = {}, found["capture"]
    for (system, number), folder in folders.items():
        entry = {work: read_json(folder / f"{work}.json") for work in works(True)
                 if (folder / f"{work}.json").is_file()}
        if failed[system, number]:
            entry["failed"] = failed[system, number]
        entries.setdefault(system, {})[str(number)] = entry
        train, judged = entry.get("train"), entry.get("evaluate")
        if train is not None:
            views = train.pop("views")
            if capture.setdefault("views", views) != views:
                raise ValueError(f"{folder} was trained on other pictures than the entries before it. "
                                 "Remove it.")
            capture.update({name: train[name] for name in ("person", "licence", "trained")})
        if judged is not None:
            capture["judged"] = judged["views"]
            found["protocols"] |= judged["protocols"]
    whole = found | {"capture": {name: told for name, told in capture.items() if name != "views"},
                     "entries": entries, "table": table_of(entries), "costs": costs_of(entries)}
    write_json(out / "compare.json", whole)
    write_atomically(out / "compare.md", markdown(whole).encode())
    first = {system: out / f"{system}-{next(iter(seeds))}" / "pictures" for system, seeds in entries.items()}
    for name, drawn in (("pictures.jpg", sheet_of(rows_of_files(first))), ("curves.png", draw_curves(whole))):
        if drawn is not None:
            write_atomically(out / name, drawn)
    return whole


def settings_in(file: Path) -> dict[str, dict]:
    """{system: settings} out of a JSON file; raises FileNotFoundError or ValueError for what holds none."""
    example = 'Write an object of settings for each system, such as {"anr": {"width": 24}}.'
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist. {example}")
    settings = read_checked(file, f"{file} is no valid JSON ({{}}). {example}")
    if not isinstance(settings, dict):
        raise ValueError(f"{file} holds a {type(settings).__name__}. {example}")
    for system, changes in settings.items():
        if system not in SYSTEMS or not isinstance(changes, dict):
            raise ValueError(f"{file} has {system[:60]!r}: {str(changes)[:60]}, but wants a system, one of "
                             f"{', '.join(ORDER)}, and its settings. {example}")
        if fixed := {"system", "preset", "seed"} & set(changes):
            raise ValueError(f"{file} sets {min(fixed)} of {system}, which the command says. {example}")
        configure(system=system, **changes)
    return settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("capture", metavar="CAPTURE", type=Path, help="folder that `prepare` made")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to fill")
    parser.add_argument("--systems", default=",".join(ORDER), help="comma-separated")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--steps", type=int, help="of training, each system")
    budget.add_argument("--minutes", type=float, help="of training alone, each system")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--size", type=int, help="side of the pictures that are judged, pixels")
    parser.add_argument("--curves", action="store_true", help="figures against training time")
    parser.add_argument("--config", type=Path, help='JSON of settings, such as {"anr": {"width": 24}}')
    given = parser.parse_args()
    try:
        settings = None if given.config is None else settings_in(given.config)
        found = compare(given.capture, given.out, given.systems.split(","), steps=given.steps,
                        minutes=given.minutes, seed=given.seed, seeds=given.seeds, preset=given.preset,
                        size=given.size, curves=given.curves, settings=settings,
                        command=f"python -m benchmarks.compare {shlex.join(sys.argv[1:])}")
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit("The same command goes on where it was stopped.")
    print((given.out / "compare.md").read_text(encoding="utf-8"))
    if any(entry.get("failed") for seeds in found["entries"].values() for entry in seeds.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
