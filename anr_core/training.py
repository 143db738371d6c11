"""One training loop for every system: capture in, run folder out; a generator, so that a notebook can watch.

    for progress in train("captures/demo", "runs/demo", minutes=3):
        print(progress)

Which views a step sees, and through which windows, follows from the seed and the step's number alone. So a
run that was killed goes on from its last checkpoint as if nothing had been, to the same bytes (CPU, float32,
--steps).
"""

from __future__ import annotations

import copy
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader, Dataset

from anr_core.avatars import Avatar, Config, Scene, Stage, configure, make_avatar
from anr_core.avatars.run import (
    Run,
    check_surface,
    is_leftover,
    load_avatar,
    write_atomically,
    write_tensors,
    writing,
)
from anr_core.body import Posed
from anr_core.capture import Capture, View, Views, body_box, load_capture, resample
from anr_core.capture.pictures import write_image
from anr_core.capture.posing import describe_body
from anr_core.capture.window import BODY_MARGIN
from anr_core.texture import Unwrapping

SCALES = 1.4     # windows are drawn up to so many times larger or smaller than evaluation draws
ROLL = 0.25      # radians that a window is turned at the most
FIRST_PREVIEW, PREVIEWS, SAVES = 4, 30, 60  # seconds of training
LOG_STEPS = 20  # steps between two lines of metrics.jsonl
WARM_UP = 0.02   # share of a stage in which the learning rate grows to its start
AVERAGE = 0.998  # share of the averaged weights that a step leaves: they span about 500 steps


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step."""

    step: int
    stage: str
    # done of the whole, 0 to 1
    fraction: float
    losses: dict[str, float]
    images_per_second: float
    seconds_left: float
    # the newest preview picture, or None
    preview: Path | None


@dataclass(frozen=True)
class Budget:
    """How long to train: so many steps, or so many minutes of training time."""

    steps: int | None
    minutes: float | None

    def fraction(self, step: int, seconds: float) -> float:
        done = step / self.steps if self.steps else seconds / (60 * self.minutes)
        return min(done, 1.0)


class Windows(Dataset):
    """Batches of training windows by step number: square, scaled, shifted, turned parts of the loose crops.

    Every view comes once before any comes again.
    """

    def __init__(self, views: Views, config: Config, steps: range):
        self.views, self.config, self.steps = views, config, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> View:
        step, config = self.steps[index], self.config
        random = np.random.default_rng((config.seed, step))
        return View.cat([self._window(self.views[self._turn(step * config.batch + item)], random)
                         for item in range(config.batch)])

    def _turn(self, place: int) -> int:
        lap, place = divmod(place, len(self.views))
        random = np.random.default_rng((self.config.seed, lap, len(self.views)))
        return int(random.permutation(len(self.views))[place])

    def _window(self, view: View, random: np.random.Generator) -> View:
        center, side = body_box(view.camera, self.views.capture.body(view.pose).vertices)
        scale, roll, *shift = torch.from_numpy(random.uniform(-1, 1, 4)).float().unbind()
        window = side * BODY_MARGIN * self.config.window / (self.config.size * SCALES**scale)
        room = (side * BODY_MARGIN - window).clamp(min=0) / 2
        center = center + room * torch.stack(shift)
        return resample(view, center, window, ROLL * roll[None], self.config.window)


def train(capture: str | Path | Capture, run: str | Path, system: str = "anr", preset: str = "quick", *,
          steps: int | None = None, minutes: float | None = None, seed: int | None = None,
          projection: str | None = None, frames: Iterable[int] | None = None,
          cameras: Iterable[str] | None = None, init: str | Path | None = None,
          config: dict | None = None) -> Iterator[Progress]:
    """Train an avatar of a capture into a run folder, going on where that folder stopped.

    steps, minutes   how long; minutes count training alone, not previews and saving
    frames, cameras  train on these only, so that the others can judge
    init             a run to start from: weights that fit are taken over
    config           further settings of Config by name

    Interrupting it, or closing the generator, leaves a valid run. Raises ValueError for a run of other
    settings and for training that diverges.
    """
    if steps is not None and minutes is not None:
        raise ValueError("steps and minutes were both given; how long to train is one of them.")
    for name, length in (("steps", steps), ("minutes", minutes)):
        if length is not None and length <= 0:
            raise ValueError(f"{name} is {length}; give a number above 0.")
    capture = capture if isinstance(capture, Capture) else load_capture(capture)
    settings = {"seed": seed, "projection": projection} | (config or {})
    configured = configure(preset, system=system, **settings)
    training = _chosen(capture, cameras, frames)
    run = _open(Path(run).resolve(), configured, capture, training)
    budget = Budget(None if minutes else steps or configured.steps, minutes)
    fabric = _fabric(configured)
    torch.manual_seed(configured.seed)
    if configured.projection == "weak":
        print(_difference_of_projections(training, configured.size))
    state = _start(run, training, init)
    yield from Trainer(run, training, state, budget, fabric)


def _chosen(capture, cameras, frames):
    views = capture.split("train").views(cameras, frames)
    if not len(views):
        raise ValueError(f"No view of {capture.path} is both of these cameras and of these frames.")
    return replace(capture, shots=views.shots)


def _difference_of_projections(training, size) -> str:
    """How far weak perspective moves the meshes in the pictures that evaluation draws."""
    moved = torch.cat([_moved(view.camera, training.body(view.pose).vertices)
                       for view in training.views(crop="body", size=size)])
    return (f"Weak perspective moves the body's vertices by {float(moved.mean()):.1f} pixels on average and "
            f"{float(moved.max()):.1f} at the most, in pictures of {size}x{size}.")


def _moved(camera, vertices):
    exact, weak = (used.project(vertices)[0] for used in (camera, camera.as_weak(vertices.mean(1))))
    return (exact - weak).norm(dim=-1).flatten()


def _fabric(config):
    devices = int(os.environ.get("WORLD_SIZE", 1))  # torchrun's
    fabric = Fabric(accelerator="auto", devices=devices if torch.cuda.is_available() else 1,
                    precision=config.precision)
    fabric.launch()
    return fabric


def _open(path, config, capture, training) -> Run:
    """The run in a folder, or a new one; refuses one that was begun with something else."""
    pictures = [(shot.camera, shot.frame) for shot in training.shots]
    source = str(capture.path), os.path.relpath(capture.path, path)
    run = Run(path, config, pictures, source, capture.licence, describe_body(capture.body))
    if (path / "config.json").is_file():
        begun = Run.open(path)
        for name, mine, theirs in (("system", config.system, begun.config.system),
                                   ("settings", config, begun.config),
                                   ("training views", pictures, begun.trained)):
            if mine != theirs:
                found = f"{theirs} there, {mine} now" if name == "system" else "see its config.json"
                raise ValueError(f"{path} holds a run of another choice of {name} ({found}). "
                                 "Train into another folder, or remove this one.")
    elif path.exists() and not (path.is_dir() and all(is_leftover(file) for file in path.iterdir())):
        raise ValueError(f"{path} holds something that is not a run. Train into another folder.")
    return run


# where a run stands


@dataclass
class State:
    """All that changes while training, and is saved for going on."""

    avatar: Avatar
    averaged: Avatar
    step: int = 0
    stage: int = 0
    seconds: float = 0.0
    optimizer: dict | None = None

    def save(self, path: Path, optimizer: torch.optim.Optimizer | None = None) -> None:
        saved = {"avatar": self.avatar.state_dict(), "averaged": self.averaged.state_dict(),
                 "step": self.step, "stage": self.stage, "seconds": self.seconds,
                 "random": torch.get_rng_state(), "optimizer": optimizer.state_dict() if optimizer else None}
        # training.pt last: killed in between, the run goes on from before and writes both again
        write_tensors(path / "checkpoint.safetensors", self.averaged.state_dict())
        write_atomically(path / "training.pt", _bytes(saved))

    def load(self, file: Path) -> None:
        try:
            saved = torch.load(file, weights_only=True, map_location="cpu")
            self.avatar.load_state_dict(saved["avatar"])
            self.averaged.load_state_dict(saved["averaged"])
            self.step, self.stage, self.seconds = saved["step"], saved["stage"], saved["seconds"]
            self.optimizer = saved["optimizer"]
            torch.set_rng_state(saved["random"])
        except Exception as error:  # a truncated pickle raises almost anything
            reason = str(error).splitlines()[0]
            raise ValueError(f"{file} is broken or belongs to another run ({reason}). "
                             f"Remove {file.parent}, or train into another folder.") from None


def _bytes(saved) -> bytes:
    stream = io.BytesIO()
    torch.save(saved, stream)
    return stream.getvalue()


def _start(run: Run, training: Capture, init: str | Path | None) -> State:
    """The state that the folder was left in, or a fresh one over the unwrapped texture."""
    avatar = make_avatar(run.config, training.body.surface, run.trained)
    state = State(avatar, copy.deepcopy(avatar))
    if (run.path / "training.pt").is_file():
        state.load(run.path / "training.pt")
        check_surface(training, state.avatar.surface)
        return state
    taken = {} if init is None else _weights(load_avatar(init), avatar, init)
    run.save()
    static = make_avatar(replace(run.config, system="static"), training.body.surface, [])
    rgb, mean = _unwrap(run.config, static, training)
    static.initialize(rgb)
    write_tensors(run.path / "static.safetensors", static.state_dict() | {"mean": mean})
    avatar.initialize(rgb)
    avatar.load_state_dict(taken, strict=False)
    state.averaged.load_state_dict(avatar.state_dict())
    return state


def _unwrap(config, static, training):
    """The static texture (P, 3, h, w) and the mean colour (3,) of the training views."""
    total = torch.zeros(4)
    unwrapping = Unwrapping(static.surface, config.texture_size, static.size[0])
    for view in training.views(crop="body", size=config.size):
        trusted = view.trusted()
        total += torch.cat([(view.image * trusted).sum((0, 2, 3)), trusted.sum()[None]])
        posed = training.body(view.pose)
        unwrapping.add(view.image, trusted, posed, static.projected(view.camera, posed))
    rgb, _ = unwrapping.texture()
    return rgb, total[:3] / total[3].clamp(min=1)


def _weights(other, avatar, init):
    """What of another run's avatar fits into this one."""
    if type(other) is not type(avatar) or not torch.equal(other.surface.faces, avatar.surface.faces):
        raise ValueError(f"{init} holds a {other.config.system} avatar of {len(other.surface.faces)} faces; "
                         f"--init needs a {avatar.config.system} avatar of this capture's "
                         f"{len(avatar.surface.faces)}.")
    mine = avatar.state_dict()
    return {name: tensor for name, tensor in other.state_dict().items()
            if name in mine and tensor.shape == mine[name].shape}


# the loop


class Trainer:
    """Takes a state through the avatar's stages; iterating it trains."""

    def __init__(self, run: Run, training: Capture, state: State, budget: Budget, fabric: Fabric):
        self.run, self.training, self.state, self.budget, self.fabric = run, training, state, budget, fabric
        self.stages = state.avatar.stages(run.config)
        self.optimizer: torch.optim.Optimizer | None = None
        self.saved, self.previewed = state.seconds, state.seconds + FIRST_PREVIEW - PREVIEWS
        self.preview: Path | None = None

    @property
    def done(self) -> float:
        return self.budget.fraction(self.state.step, self.state.seconds)

    def __iter__(self) -> Iterator[Progress]:
        if not self.stages:  # nothing to learn: what was unwrapped is the avatar
            return self.save()
        self.state.avatar.to(self.fabric.device)
        self.state.averaged.to(self.fabric.device).eval()
        with Record(self.run.path, self.state.step) as record:
            while self.done < 1:
                with closing(self._stage()) as stage:  # so that an error in its last saving is raised
                    for progress in stage:
                        record.write(progress)
                        yield progress

    def _stage(self) -> Iterator[Progress]:
        """Train until the stage's share of the budget is used up; the next begins from averaged weights."""
        state, stage = self.state, self.stages[self.state.stage]
        end = sum(stage.share for stage in self.stages[:state.stage + 1])
        last = stage is self.stages[-1]
        state.avatar.begin(stage, self._views)
        optimizer = make_optimizer(state.avatar, stage)
        if state.optimizer is not None:
            optimizer.load_state_dict(state.optimizer)
        else:  # what beginning the stage has changed
            state.averaged.load_state_dict(state.avatar.state_dict())
        objective, self.optimizer = self.fabric.setup(Objective(state.avatar, stage.name), optimizer)
        batches, begun, first = self._batches(), time.perf_counter(), state.step
        between_steps = True
        try:
            while self.done < (1 if last else end):
                started = time.perf_counter()
                passes = state.step * self.run.config.batch / len(self.training.shots)
                set_learning_rates(self.optimizer, (self.done - end + stage.share) / stage.share,
                                   passes / self.run.config.passes)
                losses = self._gradients(objective, next(batches))
                between_steps = False
                self.optimizer.step()
                state.step += 1
                average(state.averaged, state.avatar, state.step)
                between_steps = True
                state.seconds += time.perf_counter() - started
                self._look_after()
                rate = (state.step - first) * self.run.config.batch / (time.perf_counter() - begun)
                yield Progress(state.step, stage.name, self.done, losses, rate,
                               state.seconds * (1 / self.done - 1), self.preview)
        except (KeyboardInterrupt, GeneratorExit):
            if between_steps:  # else the last checkpoint is the newest that is sound
                self.save()
            raise
        if not last:
            state.stage, state.optimizer, self.optimizer = state.stage + 1, None, None
            state.avatar.load_state_dict(state.averaged.state_dict())
        self.save()

    def _batches(self) -> Iterator[View]:
        """From the state's step on, without end."""
        config, world = self.run.config, self.fabric
        steps = range(self.state.step * world.world_size + world.global_rank, 1 << 31, world.world_size)
        windows = Windows(self.training.views(crop="loose"), config, steps)
        # its own generator: else starting the loader draws from the run's, and going on draws once too often
        loader = DataLoader(windows, batch_size=None, num_workers=config.workers, generator=torch.Generator())
        return (batch.to(self.fabric.device) for batch in loader)

    def _gradients(self, objective: torch.nn.Module, view: View) -> dict[str, float]:
        losses = objective(lambda: (scene_of(view, self._posed(view)), view))
        self.optimizer.zero_grad()
        self.fabric.backward(sum(losses.values()))
        numbers = {name: float(loss.detach()) for name, loss in losses.items()}
        if not all(math.isfinite(number) for number in numbers.values()):
            raise ValueError(f"The training diverged at step {self.state.step + 1} ({numbers}). Its last "
                             "checkpoint is kept. Look at the capture's masks and meshes, or train with "
                             "another --seed.")
        return numbers

    def _posed(self, view: View) -> Posed:
        vertices = self.training.body(view.pose).vertices.to(self.fabric.device)
        return Posed(vertices, None, self.state.avatar.surface)

    def _views(self) -> Iterator[tuple[View, Posed]]:
        """Every training view as evaluation would crop it, with its mesh."""
        for view in self.training.views(crop="body", size=self.run.config.size):
            view = view.to(self.fabric.device)
            yield view, self._posed(view)

    def _look_after(self) -> None:
        """Previews and checkpoints, when their time has come."""
        seconds = self.state.seconds
        if seconds - self.previewed >= PREVIEWS or self.done == 1:
            self.preview, self.previewed = self._draw_preview(), seconds
        if seconds - self.saved >= SAVES:
            self.save()

    def save(self) -> None:
        if self.fabric.is_global_zero:
            self.state.save(self.run.path, self.optimizer)
        self.saved = self.state.seconds

    @torch.no_grad()
    def _draw_preview(self) -> Path:
        """Truth, prediction and mask of up to three training views, as the averaged weights draw them."""
        shots = self.training.shots[::max(1, len(self.training.shots) // 3)][:3]
        rows = []
        for view in replace(self.training, shots=shots).views(crop="body", size=self.run.config.size):
            view = view.to(self.fabric.device)
            drawn = self.state.averaged(scene_of(view, self._posed(view)))
            rows.append(torch.cat([view.image, drawn.over(0.5), drawn.mask.expand(-1, 3, -1, -1)], 3)[0])
        picture = torch.cat(rows, 1).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
        path = self.run.path / "previews" / f"{self.state.step:07d}.jpg"
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            write_image(path, picture)
        return path


class Objective(torch.nn.Module):
    """An avatar's losses as one module, so that a strategy for several GPUs has one to wrap.

    The batch comes as a function that returns it: Fabric would take the records in it apart.
    """

    def __init__(self, avatar: Avatar, stage: str):
        super().__init__()
        self.avatar, self.stage = avatar, stage

    def forward(self, batch: Callable[[], tuple[Scene, View]]) -> dict[str, torch.Tensor]:
        scene, view = batch()
        return self.avatar.losses(scene, self.avatar(scene), view, self.stage)


def scene_of(view: View, posed: Posed) -> Scene:
    """The scene of training views; never their pictures."""
    return Scene(posed, view.camera, view.size, view.keypoints, view.frame, view.camera_name)


def make_optimizer(avatar: Avatar, stage: Stage) -> torch.optim.Optimizer:
    """Adam over the stage's groups; each group knows its learning rates at the start and the end."""
    named = list(avatar.named_parameters())
    groups = [{"params": [parameter for name, parameter in named if name.startswith(group)],
               "lr": start, "start": start, "end": end} for group, (start, end) in stage.groups.items()]
    return torch.optim.Adam(groups, betas=(0.9, 0.99))


def set_learning_rates(optimizer: torch.optim.Optimizer, place: float, passes: float = 0.0) -> None:
    """Half a cosine from each group's first learning rate to its last after a short warm-up.

    place   in the stage, from 0 to 1; below 0 where a finished run goes on with a larger budget
    passes  how often each picture was seen, in units of what halves the learning rate: what a network still
            learns of six pictures after a thousand passes, it learns by heart
    """
    place = min(max(place, 0.0), 1.0)
    down, warm = (1 - math.cos(math.pi * place)) / 2, min(1.0, place / WARM_UP + 0.1)
    for group in optimizer.param_groups:
        group["lr"] = (group["start"] + (group["end"] - group["start"]) * down) * warm / (1 + passes)


@torch.no_grad()
def average(averaged: Avatar, avatar: Avatar, step: int) -> None:
    """Move the averaged weights towards the newest; early on they span fewer steps."""
    keep = min(AVERAGE, step / (step + 10))
    torch._foreach_lerp_(list(averaged.parameters()), list(avatar.parameters()), 1 - keep)


class Record:
    """metrics.jsonl and TensorBoard's events, rid of what comes after the step that a run goes on from."""

    def __init__(self, path: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter  # half a second

        file = path / "metrics.jsonl"
        kept = [line for line in file.read_text().splitlines(True) if line.endswith("\n")
                and json.loads(line)["step"] <= step] if file.is_file() else []
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
        if progress.step % LOG_STEPS and progress.fraction < 1:
            return
        line = {"step": progress.step, "stage": progress.stage, **progress.losses,
                "images_per_second": round(progress.images_per_second, 2)}
        with writing(self.file.name):
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
            for name, value in progress.losses.items():
                self.events.add_scalar(f"{progress.stage}/{name}", value, progress.step)
