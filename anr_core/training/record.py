"""What a training says of itself: step by step to who iterates it, in metrics.jsonl, and to TensorBoard."""

from __future__ import annotations

import json
import math
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


class Record:
    """metrics.jsonl and TensorBoard's events, rid of what comes after the step that a run goes on from."""

    def __init__(self, path: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter  # half a second

        file = path / "metrics.jsonl"
        kept = [line for line in file.read_text("utf-8", "replace").splitlines(True)
                if _step_of(line) <= step] if file.is_file() else []
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


def _step_of(line):
    """The step of a line of metrics.jsonl; infinity for one that is torn or garbled, and tells nothing."""
    try:
        return json.loads(line)["step"] if line.endswith("\n") else math.inf
    except (ValueError, TypeError, KeyError):
        return math.inf
