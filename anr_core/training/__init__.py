"""One training loop for every system: capture in, run folder out; a generator, so that a notebook can watch.

    for progress in train("captures/demo", "runs/demo", minutes=3):
        print(progress)

Which views a step sees, and through which windows, follows from the seed and the step's number alone. So a
run that was killed goes on from its last checkpoint as if nothing had been, to the same bytes (CPU, float32,
--steps).

Several people can be trained together, taking turns, step by step: each has an avatar of their own, but for
what they share (`Avatar.shared`, such as R1 and R2).
"""

from __future__ import annotations

import copy
import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader

from anr_core.avatars import Avatar, Config, Rendering, Scene, Stage, avatar_class, configure
from anr_core.avatars.adversary import Adversary
from anr_core.avatars.run import write_atomically, writing
from anr_core.body import Body, Posed, TrackedBody
from anr_core.capture import Capture, View, load_capture
from anr_core.capture.pictures import encoded
from anr_core.launch import ALONE, Place
from anr_core.processes import average_gradients, make_alike, together, told_by_first
from anr_core.training.beginning import (
    Person,
    State,
    chosen,
    difference_of_projections,
    renderers_of,
    shared_levels,
    told_apart,
    validation_of,
)
from anr_core.training.consecutive import Consecutive
from anr_core.training.divergence import of_divergence, size_of_gradients
from anr_core.training.inputs import DrawnInputs
from anr_core.training.joining import begin, launched_fabric
from anr_core.training.lock import Lock
from anr_core.training.memory import of_memory, tried
from anr_core.training.page import Drawn, Page
from anr_core.training.pairs import as_pairs_are, drawn_whole
from anr_core.training.plateau import Plateau, steps_between_looks
from anr_core.training.rays import Rays
from anr_core.training.record import Progress, Record
from anr_core.training.schedule import (
    Budget,
    average,
    make_optimizer,
    scale_learning_rates,
    set_learning_rates,
)
from anr_core.training.signals import ALL, DEATHS, Held
from anr_core.training.sources import Sources
from anr_core.training.windows import Windows
from anr_core.training.workers import died, of_death, plainly

FIRST_PREVIEW, PREVIEWS, SAVES = 4, 30, 60  # seconds of training
PREVIEW_ROWS = 3
VALIDATED = 16  # views that a plateau looks at, at the most


def train(capture: str | Path | Capture | Sequence[str | Path | Capture], run: str | Path,
          system: str = "anr", preset: str = "quick", *,
          steps: int | None = None, minutes: float | None = None, seed: int | None = None,
          projection: str | None = None, frames: Iterable[int] | None = None,
          cameras: Iterable[str] | None = None, init: str | Path | None = None,
          freeze_renderers: bool = False, freeze_texture: bool = False, refine: bool | None = None,
          config: dict | None = None) -> Iterator[Progress]:
    """Train an avatar of a capture into a run folder, going on where that folder stopped.

    capture           one, or several of other people, whose avatars are to share their renderers
    steps, minutes    how long; minutes count training alone, not previews and saving
    frames, cameras   train on these only, so that the others can judge
    init              a run whose renderers to start from; it may be of another person and body
    freeze_renderers  leave them as they are, and train the texture alone
    freeze_texture    leave the person as that run knows them, and train the renderers alone: another style
    refine            first correct poses and cameras a little, by the masks' outlines; None: from thirty
                      pictures on
    config            further settings of Config by name

    Interrupting it, or closing the generator, leaves a valid run. Raises ValueError for a run of other
    settings and for training that diverges.
    """
    if steps is not None and minutes is not None:
        raise ValueError("steps and minutes were both given; how long to train is one of them.")
    for name, length in (("steps", steps), ("minutes", minutes)):
        if length is not None and length <= 0:
            raise ValueError(f"{name} is {length}; give a number above 0.")
    captures = [capture] if isinstance(capture, str | Path | Capture) else capture
    captures = [one if isinstance(one, Capture) else load_capture(one) for one in captures]
    settings = {"seed": seed, "projection": projection, "freeze_renderers": freeze_renderers or None,
                "freeze_texture": freeze_texture or None,
                "refine_from": None if refine is None else int(refine)}
    configured = configure(preset, system=system, **settings | (config or {}))
    trainings = told_apart([chosen(one, cameras, frames) for one in captures])
    configured = as_pairs_are(configured, trainings, init and renderers_of(init).config)
    configured = avatar_class(configured.system).decided(configured, trainings)
    configured = shared_levels(configured, sum(len(training.shots) for training in trainings),
                                len(trainings), init)
    path = Path(run).resolve()
    budget = Budget(None if minutes else steps or configured.steps, minutes)
    fabric = launched_fabric(configured)
    place = Place(fabric.global_rank, fabric.world_size)
    torch.manual_seed(configured.seed)
    if configured.projection == "weak" and fabric.is_global_zero:
        for training in trainings:
            print(difference_of_projections(training, configured.size))
    with ExitStack() as stack:
        lock = Lock(path)
        people, state = begin(path, configured, trainings, init, place, lambda: stack.enter_context(lock))
        people = [replace(person, validation=validation_of(one))
                  for person, one in zip(people, captures, strict=True)]
        yield from Trainer(path, people, state, budget, fabric, lock if fabric.is_global_zero else None)
    if place.count > 1:  # its threads, left to Python's end, have killed a process that was done
        told_by_first(None, place)
        torch.distributed.destroy_process_group()


# the loop


class Trainer:
    """Takes a state through its avatars' stages; iterating it trains."""

    def __init__(self, path: Path, people: list[Person], state: State, budget: Budget, fabric: Fabric,
                 lock: Lock | None = None):
        self.path, self.people, self.state, self.budget, self.fabric = path, people, state, budget, fabric
        self.lock = lock
        self.place = Place(fabric.global_rank, fabric.world_size)
        self.config, self.names = people[0].run.config, [person.run.person for person in people]
        self.pictures = sum(len(person.training.shots) for person in people)
        # the stages of each person; their names and shares are alike
        self.stages = [avatar.stages(self.config) for avatar in state.avatars]
        self.bodies: dict[int, Body] = {}
        self.optimizer: torch.optim.Optimizer | None = None
        self.adversary: Adversary | None = None
        self.plateau: Plateau | None = None
        self.clip: float | None = None
        self.saved, self.previewed = state.seconds, state.seconds + FIRST_PREVIEW - PREVIEWS
        self.preview: Path | None = None
        self.page = Page(path, people, state.step) if fabric.is_global_zero else None

    @property
    def done(self) -> float:
        """How much of the budget is used up, in [0, 1]."""
        return self.budget.fraction(self.state.step, self.state.seconds)

    def seen(self, stage: Stage) -> int:
        """How many pictures a step shows to all processes together; in a practice none."""
        return 0 if stage.practice else self.config.batch * self.place.count

    def __iter__(self) -> Iterator[Progress]:
        if not self.stages[0]:  # nothing to learn: what was unwrapped is the avatar
            self.save()
            self.state.averaged.to(self.fabric.device).eval()
            return self._write_page(whole=True)
        self.state.avatars.to(self.fabric.device)
        self.state.averaged.to(self.fabric.device).eval()
        with Record(self.path, self.state.step) if self.fabric.is_global_zero else nullcontext() as record:
            while self.done < 1:
                with closing(self._stage()) as stage:  # so that an error in its last saving is raised
                    for progress in stage:
                        if record:
                            record.write(progress)
                        yield progress
        self._write_page(whole=True)

    def _stage(self) -> Iterator[Progress]:
        """Train until the stage's share of the budget is used up; the next begins from averaged weights."""
        state, stages = self.state, [stages[self.state.stage] for stages in self.stages]
        stage, config = stages[0], self.config
        end = sum(stage.share for stage in self.stages[0][:state.stage + 1])
        last = stage is self.stages[0][-1]
        self.clip = stage.clip
        self.plateau = stage.plateau and Plateau(*stage.plateau) if state.plateau is None \
            else Plateau(**state.plateau)
        for avatar, mine, person in zip(state.avatars, stages, self.people, strict=True):
            avatar.begin(mine, partial(self._views, avatar, person.training))
        optimizer = make_optimizer(state.avatars, stages)
        if state.optimizer is not None:
            optimizer.load_state_dict(state.optimizer)
        else:  # what beginning the stage has changed
            state.averaged.load_state_dict(state.avatars.state_dict())
        self.adversary = stage.adversary and state.avatars[0].adversary(
            stage.adversary, config.adversary, config.seed, self.fabric, state.adversary)
        objective, self.optimizer = self.fabric.setup(
            Objective(state.avatars, stage.name, self.adversary, self.place), optimizer)
        make_alike(state.avatars, self.place)  # GPUs add up in another order, each time that a stage begins
        batches, begun, first = self._batches(stage, config), time.perf_counter(), state.step
        held, deaths, sound, reading = Held(ALL), Held(DEATHS), True, False
        try:
            while self.done < (1 if last else end):
                held.deliver()
                deaths.deliver()
                if self.lock is not None and not self.lock.mine:
                    raise ValueError(f"{self.path} was taken over by a later training of this process.")
                started = time.perf_counter()
                self._set_learning_rates((self.done - end + stage.share) / stage.share)
                reading = True
                batch = next(batches)
                reading = False
                with held:
                    # nor is a state sound that was left while drawing: that takes random numbers, and some
                    # networks note what they have seen
                    sound = False
                    try:
                        losses = self._gradients(objective, batch)
                        self.optimizer.step()
                        if self.adversary:
                            self.adversary.step()
                    except torch.OutOfMemoryError:  # it holds what fills the memory, so it goes first
                        losses = None
                    if losses is None:
                        raise self._too_large(objective, stage)
                    state.step += 1
                    state.practised += stage.practice
                    state.pictures += self.seen(stage)
                    average(state.averaged, state.avatars, state.step)
                    if self.plateau:
                        self._look_at(losses, stage.name)
                    # the first process's clock, so that all of them stop at the same step
                    state.seconds = told_by_first(state.seconds + time.perf_counter() - started, self.place)
                    sound = True
                with deaths:
                    self._look_after()
                rate = (state.step - first) * self.seen(stage) / (time.perf_counter() - begun)
                yield Progress(state.step, stage.name, self.done, losses, rate,
                               state.seconds * (1 / self.done - 1), self.preview,
                               state.seconds, state.averaged)
        except (KeyboardInterrupt, GeneratorExit):
            with deaths:
                if sound:  # else the last checkpoint is the newest that is
                    self.save()
                    self._write_page()
            raise
        except Exception as error:
            with deaths:
                if reading or sound and died(error):
                    self.save()
                self._write_page()
            if died(error):
                raise of_death(self.path) from None
            raise
        if not last:
            state.stage, state.optimizer, self.optimizer = state.stage + 1, None, None
            state.adversary, self.adversary, state.plateau, self.plateau = None, None, None, None
            state.avatars.load_state_dict(state.averaged.state_dict())
        self.save()
        held.deliver()

    def _inputs(self) -> list[DrawnInputs] | None:
        """What avatars that are shown pictures of their meshes draw of the training views."""
        if self.state.avatars[0].draws != "image pair" or self.state.avatars[0].surface is None:
            return None
        return [DrawnInputs(avatar, person.training)
                for avatar, person in zip(self.state.avatars, self.people, strict=True)]

    def _sources(self) -> list[Sources] | None:
        """The pictures that lend their looks, for avatars that draw pairs of views."""
        if self.state.avatars[0].draws != "view pair":
            return None
        return [Sources(person.training, self.config) for person in self.people]

    def _batches(self, stage: Stage, config: Config) -> Iterator[View | int]:
        """From the state's step on, without end: views, or in a practice the steps' numbers alone."""
        steps = range(self.state.step, 1 << 31)
        if stage.practice:  # the same in all processes: how many examples a step has is no matter of `batch`
            return iter(steps)
        draws = stage.draws or self.state.avatars[0].draws
        if draws == "rays":
            windows = Rays([drawn_whole(person.training, config) for person in self.people], config, steps,
                           self.place)
        else:
            labelled = self.state.avatars[0].wants_labels
            views = [person.training.views(crop=None if person.training.paired else "loose",
                                           labelled=labelled) for person in self.people]
            windows = Consecutive(views, config, steps, self.place) if draws == "consecutive" else \
                Windows(views, config, steps, self._inputs(), self._sources(), self.place)
        # its own generator: else starting the loader draws from the run's, and going on draws once too often
        loader = DataLoader(windows, batch_size=None, num_workers=config.workers, generator=torch.Generator())
        return (batch.to(self.fabric.device) for batch in plainly(loader))

    def _losses(self, objective: torch.nn.Module, batch: View | int) -> dict[str, torch.Tensor]:
        if not isinstance(batch, View):
            return objective(batch % len(self.people), batch)
        person = self.names.index(batch.person[0])
        # what is drawn already needs no mesh
        body = None if batch.input is not None else self._body(self.people[person].training)
        return objective(person, lambda avatar: avatar.placed(batch, body))

    def _gradients(self, objective: torch.nn.Module, batch: View | int) -> dict[str, float]:
        losses = self._losses(objective, batch)
        self.optimizer.zero_grad()
        self.fabric.backward(sum(losses.values()))
        size = size_of_gradients(self._learned)
        # a GPU is waited for once, not once a loss
        values = torch.stack([value.detach().double() for value in (*losses.values(), size)])
        values = average_gradients(objective.parameters(), values, self.place)
        if self.clip is not None:
            torch.nn.utils.clip_grad_value_(objective.parameters(), self.clip)
        numbers = dict(zip(losses, values, strict=False))
        if not all(map(math.isfinite, values)):
            raise of_divergence(self.state.step + 1, batch, numbers)
        return numbers

    @property
    def _learned(self) -> list[torch.nn.Parameter]:
        """The weights that a step changes."""
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def _too_large(self, objective: torch.nn.Module, stage: Stage) -> ValueError:
        """What to raise where a step of so many pictures did not fit into the GPU's memory."""
        config, rays = self.config, (stage.draws or self.state.avatars[0].draws) == "rays"
        self.optimizer.zero_grad()
        gc.collect()
        torch.cuda.empty_cache()
        # Adam, which begins with the first step, notes two numbers beside each weight
        coming = 0 if self.optimizer.state else 2 * sum(weight.nbytes for weight in self._learned)

        def draw(window):
            one = replace(config, batch=1, window=window, workers=0)
            with self.fabric.autocast():
                losses = self._losses(objective.module, next(self._batches(stage, one)))
            torch.autograd.grad(sum(losses.values()), self._learned, allow_unused=True)

        free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
        # several processes would wait for each other
        trial = tried(draw, config.window, coming) if self.fabric.world_size == 1 else None
        what = f"{config.rays} rays" if rays else f"{config.window}x{config.window} pixels"
        return of_memory(self.state.step + 1, free, trial, config.batch, config.window, what)

    def _set_learning_rates(self, place: float) -> None:
        """For a place in the stage, from 0 to 1."""
        passes = self.state.pictures / self.pictures / self.config.passes
        for learning in (self.optimizer, *([self.adversary.optimizer] if self.adversary else [])):
            if self.plateau:
                scale_learning_rates(learning, place, self.plateau.scale)
            else:
                set_learning_rates(learning, place, passes)

    def _look_at(self, losses: dict[str, float], stage: str) -> None:
        """Let the plateau see a step's losses, and now and then what validation says."""
        self.plateau.note(sum(losses.values()))
        if self.plateau.steps == steps_between_looks(self.pictures, self.config.batch * self.place.count):
            self.plateau.look(told_by_first(self._validate(stage), self.place))
        self.state.plateau = self.plateau.state()

    @torch.no_grad()
    def _validate(self, stage: str) -> float:
        """The mean loss of validation views, as the averaged weights draw them; else of the steps."""
        found = []
        for person, avatar in zip(self.people, self.state.averaged, strict=True):
            for view, posed in () if person.validation is None else \
                    self._views(avatar, person.validation, VALIDATED):
                scene = scene_of(view, posed)
                found.append(float(sum(avatar.losses(scene, avatar(scene), view, stage).values())))
        return sum(found) / len(found) if found else self.plateau.mean

    def _views(self, avatar: Avatar, training: Capture,
               most: int | None = None) -> Iterator[tuple[View, Posed | None]]:
        """A person's training views, or at the most so many, as evaluation would crop them; their meshes."""
        for view in drawn_whole(training if most is None else training.evenly(most), self.config):
            yield avatar.placed(view.to(self.fabric.device), self._body(training))

    def _body(self, training: Capture) -> Body | None:
        """The body of a capture where the avatars are; meshes of a film stay where they fit."""
        body = training.registration
        if body is None or self.fabric.device.type == "cpu" or isinstance(body, TrackedBody):
            return body
        if id(body) not in self.bodies:  # a copy: what reads pictures asks the capture's own, on the CPU
            self.bodies[id(body)] = copy.deepcopy(body).to(self.fabric.device)
        return self.bodies[id(body)]

    def _look_after(self) -> None:
        """Previews and checkpoints, when their time has come; the first process's."""
        if not self.fabric.is_global_zero:
            return
        seconds = self.state.seconds
        if seconds - self.previewed >= PREVIEWS or self.done == 1:
            self.preview, self.previewed = self._draw_preview(), seconds
            self.page.write(self.done)
        if seconds - self.saved >= SAVES:
            self.save()

    def save(self) -> None:
        """Write a checkpoint; of several processes the first one does."""
        if self._owns():
            self.state.save(self.path, self.people, self.optimizer, self.adversary)
        self.saved = self.state.seconds

    def _owns(self) -> bool:
        """Whether to write: the first process does, unless a later training has taken its folder over."""
        return self.fabric.is_global_zero and (self.lock is None or self.lock.mine)

    def _write_page(self, whole: bool = False) -> None:
        """The page as it stays, for now; whole: with a row of the last step."""
        if self.page is None or not self._owns():
            return
        if whole and self.state.step not in (row.step for row in self.page.rows):
            self._draw()
        self.page.write(1.0 if whole else self.done, going=False)

    @torch.no_grad()
    def _draw(self) -> list[Drawn]:
        """A few training views as the averaged weights draw them; each person's first goes to the page."""
        views, firsts = [], []
        for person, avatar in zip(self.people, self.state.averaged, strict=True):
            firsts.append(len(views))
            for view, posed in self._views(avatar, person.training,
                                           math.ceil(PREVIEW_ROWS / len(self.people))):
                scene = scene_of(view, posed)
                views.append(Drawn(avatar, person.training, view, scene, avatar(scene)))
        stage = self.stages[0][self.state.stage].name if self.stages[0] else ""
        self.page.add(self.state.step, stage, self.state.seconds, [views[first] for first in firsts])
        return views

    def _draw_preview(self) -> Path:
        """A picture of a few training views: see `preview_row`."""
        rows = [preview_row(one.view, one.rendering) for one in self._draw()]
        picture = torch.cat(rows, 1).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
        path = self.path / "previews" / f"{self.state.step:07d}.jpg"
        with writing(path):
            path.parent.mkdir(exist_ok=True)
        write_atomically(path, encoded(picture, path.suffix))
        return path


def preview_row(view: View, drawn: Rendering) -> torch.Tensor:
    """(3, H, n W) truth, prediction and mask; or input, prediction and truth where there is an input."""
    given = drawn.layers.get("input")
    shown = [view.image, drawn.over(0.5), drawn.mask] if given is None else \
        [given[:, :3], drawn.over(0.5), view.image]
    return torch.cat([picture.expand(-1, 3, -1, -1) for picture in shown], 3)[0]


class Objective(torch.nn.Module):
    """The losses of avatars as one module, so that Fabric has one to set up.

    The batch comes as a function of the avatar that returns it: Fabric would take the records in it apart. In
    a practice it is the step's number.
    """

    def __init__(self, avatars: torch.nn.ModuleList, stage: str, adversary: Adversary | None = None,
                 place: Place = ALONE):
        super().__init__()
        self.avatars, self.stage, self.adversary, self.place = avatars, stage, adversary, place

    def forward(self, person: int, batch: Callable[[Avatar], tuple[View, Posed | None]] | int,
                ) -> dict[str, torch.Tensor]:
        """Named losses of one person's batch, or of a step of practice."""
        with together(self.place):
            return self._losses(person, batch)

    def _losses(self, person, batch):
        avatar = self.avatars[person]
        if isinstance(batch, int):
            return avatar.practise(batch, self.stage)
        with torch.autocast(avatar.device.type, enabled=False):  # in half precision a mesh is 9 mm off
            view, posed = batch(avatar)
        scene = scene_of(view, posed)
        rendering = avatar(scene)
        losses = avatar.losses(scene, rendering, view, self.stage)
        if self.adversary:
            losses |= self.adversary.losses(rendering, view)
        return losses


def scene_of(view: View, posed: Posed | None) -> Scene:
    """The scene of training views; never their pictures."""
    return Scene(posed, view.camera, view.size, view.keypoints, view.frame, view.camera_name,
                 image=view.input, source=view.source, pixels=view.pixels)
