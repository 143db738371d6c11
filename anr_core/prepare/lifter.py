"""A regressor that lifts one set of keypoints: learned in minutes, and kept beside the capture."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from anr_core.avatars.room import RoomFor
from anr_core.capture.changing import exchanged
from anr_core.lifting import Batch, Examples, Lifter, PoseRegressor, mean_pose, pose_distance
from anr_core.skeleton import Skeleton
from anr_core.telling import brief, reason

FILE = "lifter.safetensors"  # in a capture
WIDTH = 512  # 1.1 million weights: 2000 steps a minute on two cores
BATCH = 256
RATE = 6e-3


def train_lifter(examples: Examples, minutes: float, width: int = WIDTH, steps: int | None = None) -> Lifter:
    """A regressor that has learned for so long, or so many steps; says in one line how far it is."""
    skeleton = examples.skeleton
    state = torch.random.get_rng_state()
    torch.manual_seed(examples.seed)
    regressor = PoseRegressor(len(skeleton), width, dropout=0.0)  # examples never repeat: nothing to overfit
    torch.random.set_rng_state(state)
    optimizer = torch.optim.AdamW(regressor.parameters(), RATE, betas=(0.9, 0.99), weight_decay=0.01)
    step, started = 0, time.monotonic()
    with tqdm(total=1.0, bar_format="{percentage:3.0f}% |{bar:20}| {desc}") as bar:
        while True:
            done = step / steps if steps else (time.monotonic() - started) / 60 / minutes
            if done >= 1:
                break
            warm = min(1.0, (step + 1) / 50)
            for group in optimizer.param_groups:
                group["lr"] = RATE * warm * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))
            loss = _step(regressor, optimizer, examples(step, BATCH), skeleton)
            step += 1
            if step % 20 == 0:
                bar.set_description_str(f"lifter, step {step}, off by {1e3 * loss:.0f} mm", refresh=False)
                bar.update(done - bar.n)
    return Lifter(regressor.eval(), mean_pose(examples))


def _step(regressor, optimizer, batch: Batch, skeleton) -> float:
    loss = pose_distance(regressor(batch.seen), batch.joints, batch.known, skeleton)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(regressor.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def save_lifter(lifter: Lifter, told: dict, file: Path) -> None:
    """Keep a lifter; told says what it was learned for."""
    tensors = {f"regressor.{name}": value.contiguous() for name, value in
               lifter.regressor.state_dict().items()} | {"mean": lifter.mean.contiguous()}
    with exchanged(file) as fresh:
        save_file(tensors, fresh, {"about": json.dumps(told, sort_keys=True)})


def kept_lifter(file: Path, told: dict, skeleton: Skeleton) -> Lifter | None:
    """A lifter that was learned for the same; None where there is none, or only one for something else.

    Raises ValueError for a file that can't be read.
    """
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as opened:
            if (opened.metadata() or {}).get("about") != json.dumps(told, sort_keys=True):
                return None
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}
        weights = {name.removeprefix("regressor."): value for name, value in tensors.items()
                   if name != "mean"}
        with RoomFor(tensors):
            regressor = PoseRegressor(len(skeleton), len(weights["begin.0.weight"]))
        regressor.load_state_dict(weights)
        if tensors["mean"].shape != (len(skeleton), 3):
            raise ValueError(f"its mean pose is {brief(tensors['mean'].shape)}")
    except (SafetensorError, OSError, LookupError, RuntimeError, ValueError, TypeError) as error:
        raise ValueError(f"{file} can't be read ({reason(error)}). Make it anew with --again.") from None
    return Lifter(regressor.eval(), tensors["mean"])
