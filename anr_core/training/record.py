"""What a training says of itself: step by step to who iterates it, in metrics.jsonl, and to TensorBoard."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from anr_core.avatars.run import write_atomically, writing

LOG_STEPS = 20  # steps between two lines of metrics.jsonl


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step."""

    step: int
    stage: str
    # done of the whole, 0 to 1
    fraction: float
    losses: dict[str, float]
    # 0 while it practises without images
    images_per_second: float
    seconds_left: float
    # the newest preview picture, or None
    preview: Path | None
    # of training so far, without previews and saving
    seconds: float = 0.0
    # each person's, as they draw by now: averaged weights, which go on changing
    avatars: nn.ModuleList | None = field(default=None, repr=False, compare=False)


def read_lines(file: Path) -> list[dict]:
    """The lines of a metrics.jsonl: step, stage and finite numbers; what is none of these is left out.

    A killed process may leave half a line, and a run may have been handed on.
    """
    if not file.is_file():
        return []
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines(True):
        try:
            record = json.loads(line) if line.endswith("\n") else None
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and isinstance(record.get("stage"), str) and is_count(record.get("step")):
            found.append({name: value for name, value in record.items()
                          if name in ("step", "stage") or is_measure(value)})
    return found


def is_count(value) -> bool:
    """Whether it may be the number of a step."""
    return type(value) is int and 0 <= value < 10**12


def is_measure(value) -> bool:
    """Whether it may be a loss, or seconds."""
    return type(value) in (int, float) and abs(value) < 1e30


class Record:
    """metrics.jsonl and TensorBoard's events, rid of what comes after the step that a run goes on from."""

    def __init__(self, path: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter  # half a second

        file = path / "metrics.jsonl"
        kept = [json.dumps(line) + "\n" for line in read_lines(file) if line["step"] <= step]
        write_atomically(file, "".join(kept).encode())
        with writing(file):
            self.file, self.events = open(file, "a", encoding="utf-8"), SummaryWriter(path, purge_step=step)

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *error) -> None:
        with writing(self.file.name):
            try:
                self.file.close()
            finally:
                self.events.close()

    def write(self, progress: Progress) -> None:
        """Add a line to metrics.jsonl and to TensorBoard, every LOG_STEPS steps and at the end."""
        if progress.step % LOG_STEPS and progress.fraction < 1:
            return
        line = {"step": progress.step, "stage": progress.stage, **progress.losses,
                "images_per_second": round(progress.images_per_second, 2)}
        with writing(self.file.name):
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
            for name, value in progress.losses.items():
                self.events.add_scalar(f"{progress.stage}/{name}", value, progress.step)
