"""One entry of a comparison (`benchmarks.compare`): a system that is trained, judged and timed.

    python -m benchmarks.entry WORK FOLDER

Each work is a process of its own, so that its memory is its own, and leaves FOLDER/WORK.json when it is done.
FOLDER/entry.json says what to train.

    train     FOLDER/run; at some shares of the budget the avatar as it draws then is kept in FOLDER/kept. The
              budget's clock rests meanwhile, as it does for previews and saving
    evaluate  every protocol's figures on all views that are held out
    draw      frames a second, and pictures of some of those views in FOLDER/pictures
    curve     figures of some of those views by each of the avatars that were kept
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from anr_core import metrics
from anr_core.avatars.base import Avatar, Rendering
from anr_core.avatars.run import Run, read_tensors, write_atomically, write_tensors
from anr_core.body import Pose
from anr_core.camera import Camera
from anr_core.capture.pictures import write_image
from anr_core.evaluation import (
    Contestants,
    average,
    contestants_of,
    evaluate,
    measure,
    posed_views,
    protocols_of,
)
from anr_core.evaluation.side_by_side import TRUTH, drawn_views, held_out, name_of, over_black
from anr_core.training import train
from benchmarks.machine import made_here

# Of the budget: early ones tell how fast a system is past the static texture.
KEPT = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)
CURVE_VIEWS = 4  # a split: FLIP takes most of the time
CURVE_PROTOCOLS = {name: metrics.PROTOCOLS[name] for name in ("neuralbody", "inside")}
PICTURES = 2  # a split
WARM_UP, DRAWN, SECONDS = 2, 50, 20.0  # pictures that are timed, or those that fit into so many seconds
LEAST = 3


@dataclass(frozen=True)
class Entry:
    """What is trained, how long, and the side of the pictures that it is judged by, pixels."""

    capture: str
    system: str
    preset: str
    seed: int
    steps: int | None
    minutes: float | None
    size: int
    settings: dict

    @staticmethod
    def read(folder: Path) -> Entry:
        return Entry(**json.loads((folder / "entry.json").read_text(encoding="utf-8")))

    def write(self, folder: Path) -> None:
        """Say in a folder what it is for; raises ValueError for one that is for something else."""
        file = folder / "entry.json"
        if file.is_file():
            begun = Entry.read(folder)
            # a capture may have moved: whether its views are the same is seen from what was trained
            self.check(begun, folder, [field.name for field in fields(Entry) if field.name != "capture"])
            if begun.capture != self.capture and (folder / "run" / "config.json").is_file():
                run = Run.open(folder / "run")
                replace(run, source=(self.capture, os.path.relpath(self.capture, run.path))).save()
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, asdict(self))

    def check(self, other: Entry, folder: Path, names: Iterable[str]) -> None:
        """Raise ValueError where the entry in a folder says something else under one of these names."""
        mine, there = asdict(self), asdict(other)
        wrong = [f"{name} {there[name]!r} there, {mine[name]!r} now" for name in names
                 if there[name] != mine[name]]
        if wrong:
            raise ValueError(f"{folder} was begun with something else ({'; '.join(wrong)}). Compare into "
                             "another folder, or remove that one.")


def write_json(file: Path, content: dict | list) -> None:
    write_atomically(file, json.dumps(content, indent=1, allow_nan=False).encode())


def read_json(file: Path, otherwise: dict | list | None = None) -> dict | list | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else otherwise


# memory


def peak() -> dict[str, float | None]:
    """The most memory that this process has held so far, MiB; of a GPU None where there is none.

    Processes that read pictures for it (`workers`) are not counted.
    """
    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {"peak_mib": round(resident(), 1), "gpu_peak_mib": None if gpu is None else round(gpu, 1)}


def resident() -> float:
    """Peak of resident memory, MiB."""
    told = Path("/proc/self/status")
    if told.is_file():  # of this program alone; getrusage may tell what its parent held
        line = next(line for line in told.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


# works


def train_entry(entry: Entry, folder: Path) -> dict:
    """Train to the end of the budget, going on where it was stopped."""
    notes = read_json(folder / "notes.json", {"kept": [], "wall_seconds": 0.0})
    started, before, resting = time.perf_counter(), notes["wall_seconds"], 0.0
    training = train(entry.capture, folder / "run", entry.system, entry.preset, steps=entry.steps,
                     minutes=entry.minutes, seed=entry.seed, config=entry.settings)

    def note():
        most = {name: max(value, notes.get(name) or 0) for name, value in peak().items() if value is not None}
        notes.update(most, wall_seconds=before + time.perf_counter() - started - resting)
        write_json(folder / "notes.json", notes)

    last = None
    with closing(training):
        for progress in training:
            if last is None:  # what comes after a stop that forgot some steps is kept anew
                notes["kept"] = [kept for kept in notes["kept"] if kept["step"] < progress.step]
                if progress.step == 1:
                    notes["preparing_seconds"] = time.perf_counter() - started - progress.seconds
            last, done = progress, max((kept["share"] for kept in notes["kept"]), default=0)
            if any(done < share <= progress.fraction for share in KEPT):
                paused = time.perf_counter()
                keep(folder, progress.step, progress.avatars[0])
                notes["kept"].append({"step": progress.step, "seconds": progress.seconds,
                                      "share": progress.fraction})
                note()
                resting += time.perf_counter() - paused
                print(f"step {progress.step}: {100 * progress.fraction:.0f} % of the budget", flush=True)
    note()
    run = Run.open(folder / "run")
    end = notes["kept"][-1] if notes["kept"] else {"step": 0, "seconds": 0.0}
    checkpoint = run.path / "checkpoint.safetensors"
    cameras, frames = (len({view[place] for view in run.trained}) for place in (0, 1))
    return {"steps": end["step"], "seconds": end["seconds"],
            "preparing_seconds": notes.get("preparing_seconds", notes["wall_seconds"]),
            **{name: notes.get(name) for name in ("wall_seconds", "peak_mib", "gpu_peak_mib")},
            "megabytes": checkpoint.stat().st_size / 1e6,
            "parameters": sum(values.numel() for values in run.avatar().parameters()),
            "threads": torch.get_num_threads(), "licence": run.licence, "person": run.person,
            "trained": {"pictures": len(run.trained), "cameras": cameras, "frames": frames},
            "views": sorted(map(list, run.trained)), "made": made_here()}


def keep(folder: Path, step: int, avatar: torch.nn.Module) -> None:
    (folder / "kept").mkdir(exist_ok=True)
    write_tensors(kept_file(folder, step), avatar.state_dict())


def kept_file(folder: Path, step: int) -> Path:
    return folder / "kept" / f"{step:07d}.safetensors"


def evaluate_entry(entry: Entry, folder: Path) -> dict:
    """Judge by every protocol; figures as `evaluate --json` writes them are in figures.json too."""
    started = time.perf_counter()
    results = evaluate(folder / "run", size=entry.size, json=folder / "figures.json")
    seconds, most, run = time.perf_counter() - started, peak(), Run.open(folder / "run")
    judged = {split: len(shots) for split, shots in held_out(run, run.capture()).items()}
    return {"figures": results, "protocols": protocols_of(results), "seconds": seconds, "views": judged,
            "made": made_here(), **most}


def draw_entry(entry: Entry, folder: Path) -> dict:
    """Draw some views as pictures beside the truth, then the same poses and cameras against the clock."""
    run, pictures = Run.open(folder / "run"), folder / "pictures"
    capture = run.capture()
    contestants = contestants_of(run, capture.body)
    pictures.mkdir(exist_ok=True)
    seen = []
    for split, shots in held_out(run, capture, PICTURES).items():
        drawn = drawn_views(contestants, capture, shots, entry.size)
        for shot, (view, _, rendering) in zip(shots, drawn, strict=True):
            for who, made in ((TRUTH, Rendering(view.image, view.mask)), (entry.system, rendering)):
                file = pictures / f"{name_of(split, shot).replace(' ', '-')}-{who}.png"
                write_image(file, over_black(made.rgb, made.mask))
            seen.append((view.pose, view.camera))
    milliseconds = clocked(contestants.avatar, seen, entry.size)
    median, p95 = np.percentile(milliseconds, [50, 95])
    return {"frames_a_second": 1000 / median, "median_ms": median, "p95_ms": p95,
            "pictures": len(milliseconds), "size": entry.size, "threads": torch.get_num_threads(),
            "made": made_here(), **peak()}


@torch.no_grad()
def clocked(avatar: Avatar, seen: list[tuple[Pose, Camera]], size: int) -> list[float]:
    """Milliseconds from pose and camera to picture, picture by picture."""
    found, begun = [], time.perf_counter()
    wait = torch.cuda.synchronize if avatar.device.type == "cuda" else lambda: None
    while len(found) < WARM_UP + LEAST or \
            len(found) < WARM_UP + DRAWN and time.perf_counter() - begun < SECONDS:
        pose, camera = seen[len(found) % len(seen)]
        wait()
        started = time.perf_counter()
        avatar.render(pose, camera, (size, size))
        wait()
        found.append(1000 * (time.perf_counter() - started))
    return found[WARM_UP:]


@dataclass(frozen=True)
class Alone:
    """Draws by the avatar alone, without its yardsticks."""

    contestants: Contestants

    def draw(self, view, posed) -> dict[str, Rendering]:
        return {self.contestants.name: self.contestants.predicted(view, posed)}


def curve_entry(entry: Entry, folder: Path) -> list[dict]:
    """Figures at each time of the training, on a few views that are held out."""
    run = Run.open(folder / "run")
    capture, kept = run.capture(), read_json(folder / "notes.json")["kept"]
    contestants = contestants_of(run, capture.body)
    splits = held_out(run, capture, CURVE_VIEWS)
    found = []
    for one in kept or [{"step": 0, "seconds": 0.0, "share": 1.0}]:
        if kept:
            contestants.avatar.load_state_dict(read_tensors(kept_file(folder, one["step"])))
        found.append(one | {"figures": {split: figures_of(contestants, capture, shots, entry.size)
                                        for split, shots in splits.items()}})
        print(f"step {one['step']}: judged", flush=True)
    return found


def figures_of(contestants, capture, shots, size):
    """{protocol: {figure: mean}} of an avatar on some views."""
    views = replace(capture, shots=shots).views(crop="body", size=size)
    posed = posed_views(views, capture, contestants.avatar.surface)
    judged = measure(posed, Alone(contestants), CURVE_PROTOCOLS)
    means = average([numbers for *_, numbers in judged])
    return {protocol: methods[contestants.name] for protocol, methods in means.items()}


WORKS: dict[str, Callable[[Entry, Path], dict | list]] = {
    "train": train_entry, "evaluate": evaluate_entry, "draw": draw_entry, "curve": curve_entry}


def works(curves: bool) -> Iterator[str]:
    """What is done with an entry, in order."""
    return (work for work in WORKS if curves or work != "curve")


def main(work: str, folder: str) -> None:
    if sys.platform == "linux":  # a comparison that is killed takes along what it has begun
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    folder = Path(folder)
    write_json(folder / f"{work}.json", WORKS[work](Entry.read(folder), folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
