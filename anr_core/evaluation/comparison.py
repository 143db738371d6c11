"""What a comparison of systems has found (`python -m benchmarks.compare`), as a table in words.

compare.json holds

    command, date, machine, versions       how it was made, the last time; "commands" are all that made it
    capture, budget, preset, size, seeds   of what
    protocols                              {protocol: version, statement and terms}
    entries   {system: {seed: {"train", "evaluate", "draw", "curve": what each found, "failed": {work: why}}}}
              each of the first three with its own date, machine and versions under "made"
    table     {split: {protocol: {system: {figure: {"mean", "spread", "seeds"} or None}}}}
    costs     {system: {cost: the same}}

A spread is the standard deviation over seeds, None of a single one. What couldn't be had is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from anr_core.capture.sources import read_json
from anr_core.telling import quoted

VERSION = 1  # of what compare.json holds

# columns: figure, head, digits, and whether more is better
COLUMNS = (("psnr", "PSNR (dB)", 2, True), ("ssim", "SSIM", 3, True),
           ("ssim_range_1", "SSIM, range 1", 3, True), ("lpips", "LPIPS", 3, False),
           ("flip", "FLIP", 3, False), ("flicker", "flicker", 4, False), ("mask_iou", "mask IoU", 3, True))
PROTOCOL_ORDER = ("neuralbody", "inside", "whole")
# cost, head, digits, and what of an entry it is, in the column's unit
COSTS = (("minutes", "training (min)", 2, lambda entry: entry["train"]["seconds"] / 60),
         ("wall_minutes", "with preparing, previews, saving (min)", 2,
          lambda entry: entry["train"]["wall_seconds"] / 60),
         ("steps", "steps", 0, lambda entry: entry["train"]["steps"]),
         ("frames_a_second", "frames a second", 1, lambda entry: entry["draw"]["frames_a_second"]),
         ("megabytes", "avatar (MB)", 1, lambda entry: entry["train"]["megabytes"]),
         ("parameters", "parameters (million)", 2, lambda entry: entry["train"]["parameters"] / 1e6),
         ("peak_mib", "peak memory of training (MiB)", 0, lambda entry: entry["train"]["peak_mib"]),
         ("gpu_peak_mib", "of the GPU (MiB)", 0, lambda entry: entry["train"]["gpu_peak_mib"]))


def read_comparison(folder: str | Path) -> dict:
    """What compare.json in a folder holds."""
    file = Path(folder) / "compare.json"
    if not file.is_file():
        raise FileNotFoundError(f"{folder} has no compare.json, so it is not a comparison. Make one with: "
                                f"python -m benchmarks.compare CAPTURE {folder} --minutes 5")
    found = read_json(file)
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        raise ValueError(f"{file} is of version {quoted(version)}, and {VERSION} is what is read. "
                         "Compare again.")
    return found


# means over seeds


def table_of(entries: dict) -> dict:
    """{split: {protocol: {system: {figure: summary}}}} of what entries have found."""
    figures = {system: [entry["evaluate"]["figures"] for entry in seeds.values() if "evaluate" in entry]
               for system, seeds in entries.items()}
    places = dict.fromkeys((split, protocol) for found in figures.values() for one in found
                           for split, protocols in one.items() for protocol in protocols)
    table = {}
    for split, protocol in places:
        rows = {system: [one[split][protocol][system] for one in found] for system, found in figures.items()
                if found}
        table.setdefault(split, {})[protocol] = {
            system: {name: summary(numbers[name] for numbers in row) for name in row[0]}
            for system, row in rows.items()}
    return table


def costs_of(entries: dict) -> dict:
    """{system: {cost: summary}}; of works that are not done a cost is None."""
    costs = {}
    for system, seeds in entries.items():
        costs[system] = {}
        for name, _, _, cost in COSTS:
            numbers = []
            for entry in seeds.values():
                try:
                    numbers.append(cost(entry))
                except KeyError:  # not done, or failed
                    numbers.append(None)
            costs[system][name] = summary(numbers)
    return costs


def summary(numbers: Iterable[float | None]) -> dict | None:
    """Mean and standard deviation (of a sample) of those that are known."""
    known = [number for number in numbers if number is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    squares = sum((number - mean)**2 for number in known)
    spread = math.sqrt(squares / (len(known) - 1)) if len(known) > 1 else None
    return {"mean": mean, "spread": spread, "seeds": len(known)}


# in words


def markdown(found: dict) -> str:
    """The whole comparison as a page; the best mean of each column is bold."""
    lines = ["# Systems compared", "", *_told(found), "", "## What it costs", "",
             *grid(*costs_table(found["costs"])), ""]
    for protocol, terms in sorted(found["protocols"].items(), key=lambda item: _place(item[0])):
        lines += [f"## `{protocol}`, version {terms['version']}", "", terms["statement"], "",
                  terms_of(terms), ""]
        for split, protocols in found["table"].items():
            if protocol in protocols:
                count = found["capture"]["judged"][split]
                lines += [f"### {split}, {count} pictures", "", *grid(*figures_of(protocols[protocol])), ""]
    lines += _failures(found)
    return "\n".join(lines).rstrip() + "\n"


def costs_table(costs: dict) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of what systems cost; a column that none has is left out."""
    told = [(name, head, digits) for name, head, digits, _ in COSTS if _any(costs, name)]
    cells = [[system, *(shown(row[name], digits) for name, _, digits in told)]
             for system, row in costs.items()]
    return ["system", *(head for _, head, _ in told)], cells


def figures_of(rows: dict) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of a table of {system: {figure: summary}}; a column that no system has is left out."""
    told = [column for column in COLUMNS if _any(rows, column[0]) or column[0] == "lpips"]
    best = {}
    for name, _, digits, more in told:
        means = [round(row[name]["mean"], digits) for row in rows.values() if row[name]]
        best[name] = (max if more else min)(means, default=None)
    cells = []
    for system, row in rows.items():
        cells.append([system])
        for name, _, digits, _ in told:
            text = shown(row[name], digits)
            bold = row[name] is not None and round(row[name]["mean"], digits) == best[name] and len(rows) > 1
            cells[-1].append(f"**{text}**" if bold else text)
    return ["system", *(head for _, head, *_ in told)], cells


def shown(number: dict | None, digits: int) -> str:
    """A mean with its spread where there is one; n/a is what can't be had."""
    if number is None:
        return "n/a"
    spread = "" if number["spread"] is None else f" ± {number['spread']:.{digits}f}"
    return f"{number['mean']:.{digits}f}{spread}"


def grid(heads: list[str], cells: list[list[str]]) -> list[str]:
    """The lines of a Markdown table."""
    rows = [heads, ["---", *("---:" for _ in heads[1:])], *cells]
    return [f"| {' | '.join(row)} |" for row in rows]


def terms_of(terms: dict) -> str:
    """A protocol's terms in one line."""
    return "; ".join(f"{name}: {words}" for name, words in terms.items()
                     if name not in ("version", "statement")) + "."


def _place(protocol):
    """Where in the page: what is mostly looked at comes first."""
    return PROTOCOL_ORDER.index(protocol) if protocol in PROTOCOL_ORDER else len(PROTOCOL_ORDER)


def _told(found):
    capture, budget, machine = found["capture"], found["budget"], found["machine"]
    stated = f"{budget['steps']} steps" if budget["steps"] else f"{budget['minutes']:g} minutes of training"
    trained, judged = capture.get("trained"), capture.get("judged", {})
    views = "" if trained is None else (f" Trained on the same {trained['pictures']} pictures of "
                                        f"{trained['cameras']} cameras and {trained['frames']} frames")
    if judged:
        views += "; judged on " + ", ".join(f"{count} of {split}" for split, count in judged.items())
    seeds = found["seeds"]
    gpu = f"; {machine['gpu']}" if machine["gpu"] else ", no GPU"
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    memory = "" if machine["memory_gib"] is None else f", {machine['memory_gib']:.0f} GiB"
    commands = found.get("commands") or [found["command"]]
    days = sorted({made["date"] for _, made in _made(found)}) or [found["date"]]
    return [*(f"    {command}" for command in commands), "",
            f"{capture['person']}, every system with {stated}, preset `{found['preset']}`, "
            f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}, pictures of "
            f"{found['size']}x{found['size']} pixels.{views}{'.' if views else ''}", "",
            f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, on {machine['cpu']}, "
            f"{machine['cores']} cores{memory}{gpu}; {versions}.", "",
            *(line for told in elsewhere(found) for line in (told, "")),
            *([f"Licence of the capture: {capture['licence']}"] if capture.get("licence") else [])]


def elsewhere(found: dict) -> list[str]:
    """In a line each: the works whose machine or versions are not those that the page begins with."""
    told: dict[str, list[str]] = {}
    for what, made in _made(found):
        others = [f"{name} {made[kind].get(name)}" for kind in ("machine", "versions")
                  for name in {**found[kind], **made[kind]} if made[kind].get(name) != found[kind].get(name)]
        if others:
            told.setdefault(f"{made['date']}, with {', '.join(others)}", []).append(what)
    return [f"Made on {how}: {', '.join(works)}." for how, works in told.items()]


def _made(found):
    """Which work, and on what it was made; older comparisons don't know."""
    for system, seeds in found["entries"].items():
        for seed, entry in seeds.items():
            for work in ("train", "evaluate", "draw"):
                if "made" in entry.get(work, {}):
                    yield f"{work} of `{system}`, seed {seed}", entry[work]["made"]


def _failures(found):
    told = [f"- `{system}`, seed {seed}, {work}: {why}" for system, seeds in found["entries"].items()
            for seed, entry in seeds.items() for work, why in entry.get("failed", {}).items()]
    missing = [f"- `{system}`, seed {seed}: not yet" for system, seeds in found["entries"].items()
               for seed, entry in seeds.items() if not entry]
    return ["## What failed, or is not there yet", "", *told, *missing] if told or missing else []


def _any(rows, name):
    return any(row.get(name) is not None for row in rows.values())
