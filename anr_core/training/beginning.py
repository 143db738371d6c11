"""Where a training begins or goes on: whose runs a folder holds, and the state that it was left in."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from anr_core.avatars import Avatar, Config, avatar_class, make_avatar
from anr_core.avatars.adversary import Adversary
from anr_core.avatars.run import (
    Run,
    check_surface,
    folders_of,
    is_leftover,
    people_of,
    save_people,
    write_atomically,
    write_tensors,
)
from anr_core.body import Surface
from anr_core.capture import Capture, View
from anr_core.capture.posing import describe_body
from anr_core.telling import brief, listed, reason
from anr_core.texture import Unwrapping
from anr_core.training.fingerprint import changed, fingerprint
from anr_core.training.pairs import drawn_whole


def chosen(capture: Capture, cameras: Iterable[str] | None, frames: Iterable[int] | None) -> Capture:
    """The capture with the views to train on alone; an input whose picture nobody knows teaches nothing."""
    training = capture.split("train").only(lambda shot: shot.known)
    if not training.shots:
        raise ValueError(f"{capture.path} has no picture to train on: its inputs of train have none in "
                         "output/. Prepare pairs with both.")
    views = training.views(cameras, frames)
    if not len(views):
        raise ValueError(f"No view of {capture.path} is both of these cameras and of these frames.")
    return replace(capture, shots=views.shots)


def difference_of_projections(training: Capture, size: int) -> str:
    """How far weak perspective moves the meshes in the pictures that evaluation draws."""
    moved = torch.cat([_moved(view.camera, training.body(view.pose).vertices)
                       for view in training.views(crop="body", size=size)])
    return (f"Weak perspective moves the body's vertices by {float(moved.mean()):.1f} pixels on average and "
            f"{float(moved.max()):.1f} at the most, in pictures of {size}x{size}.")


def _moved(camera, vertices):
    exact, weak = (used.project(vertices)[0] for used in (camera, camera.as_weak(vertices.mean(1))))
    return (exact - weak).norm(dim=-1).flatten()


def told_apart(trainings: list[Capture]) -> list[Capture]:
    """The same captures, whose people have different names: of their folders, where their own are alike."""
    for names in ([one.person for one in trainings], [one.path.name for one in trainings]):
        if len(set(folders_of(Path(), names))) == len(names):
            return [replace(one, person=name) for one, name in zip(trainings, names, strict=True)]
    raise ValueError(f"The captures {listed(one.path for one in trainings)} can't be told apart: "
                     "people and folders are called alike. Give each person once, in a folder of their own.")


def shared_levels(config: Config, pictures: int, people: int, init: str | Path | None) -> Config:
    """The settings with the renderers' levels decided, where not one person's pictures alone decide them."""
    if init is None:
        for name in ("freeze_renderers", "freeze_texture"):
            if getattr(config, name):
                raise ValueError(f"{name} needs what another run has learned; name it with --init.")
        return config if people == 1 else replace(config, levels=config.levels_for(pictures))
    if config.freeze_texture and people > 1:
        raise ValueError("freeze_texture leaves one person as they look, but there are several. Train each "
                         "alone.")
    other = renderers_of(init)
    theirs = replace(other.config, levels=other.config.levels_for(len(other.trained)))
    config = avatar_class(config.system).started(replace(config, levels=config.levels or theirs.levels))
    wrong = [name for name in ("system", *config.network_settings)
             if getattr(config, name) != getattr(theirs, name, None)]
    if wrong:
        there, here = (listed(f"{name} {getattr(settings, name, None)}" for name in wrong)
                       for settings in (theirs, config))
        raise ValueError(f"The renderers of {init} don't fit: {there} there, {here} here. Choose the same "
                         "settings, or another run for --init.")
    return config


def renderers_of(init: str | Path) -> Run:
    """The run of whoever is first in a folder: all that are in it have the same renderers."""
    return Run.open(init, next(iter(people_of(init))))


@dataclass(frozen=True)
class Person:
    """One of those that are trained: their run, the views to train on, and those of split "validation"."""

    run: Run
    training: Capture
    validation: Capture | None = None


def open_runs(path: Path, config: Config, trainings: list[Capture]) -> list[Person]:
    """The run of each person in a folder, or a new one; refuses what was begun with something else."""
    people, names = [], [training.person for training in trainings]
    for training, folder in zip(trainings, folders_of(path, names), strict=True):
        pictures = [(shot.camera, shot.frame) for shot in training.shots]
        source = str(training.path), os.path.relpath(training.path, folder)
        body = None if training.paired else training.body
        run = Run(folder, config, pictures, source, training.licence, describe_body(body), training.person,
                  tuple(training.up.tolist()), training.paired, fingerprint(training))
        people.append(Person(run, training))
    if (path / "config.json").is_file():
        begun = people_of(path)
        if len(begun) != len(names) or len(names) > 1 and list(begun) != names:
            raise _of_another("people", path, f"{listed(begun)} there, {listed(names)} now")
        for person in people:
            if (person.run.path / "config.json").is_file():
                _check_begun(person.run)
    elif path.exists() and not (path.is_dir() and all(is_leftover(file) for file in path.iterdir())):
        raise ValueError(f"{path} holds something that is not a run. Train into another folder.")
    return people


def _check_begun(run: Run) -> None:
    begun = Run.open(run.path)
    # who reads the pictures changes nothing of what is learned
    settings = replace(begun.config, workers=run.config.workers)
    for name, mine, theirs in (("system", run.config.system, begun.config.system),
                               ("settings", run.config, settings),
                               ("training views", run.trained, begun.trained)):
        if mine != theirs:
            found = f"{theirs} there, {mine} now" if name == "system" else "see its config.json"
            raise _of_another(name, run.path, found)
    if others := changed(begun.seen, run.seen):
        raise ValueError(f"{brief(run.source[0], 200)} has changed since {run.path} was begun (its "
                         f"{listed(others)}). Put back what it held, or train into another folder.")


def _of_another(choice: str, path: Path, found: str) -> ValueError:
    return ValueError(f"{path} holds a run of another choice of {choice} ({found}). "
                      "Train into another folder, or remove this one.")


@dataclass
class State:
    """All that changes while training, and is saved for going on; one avatar a person."""

    avatars: torch.nn.ModuleList
    averaged: torch.nn.ModuleList
    step: int = 0
    # pictures that were seen, each as often as it was: none in steps of made-up examples
    pictures: int = 0
    stage: int = 0
    seconds: float = 0.0
    optimizer: dict | None = None
    # its network's weights, and what its optimiser knows
    adversary: dict | None = None
    # the fields of a Plateau
    plateau: dict | None = None

    def save(self, path: Path, people: list[Person], optimizer: torch.optim.Optimizer | None = None,
             adversary: Adversary | None = None) -> None:
        """Write everybody's avatar, and what going on needs, each file as a whole."""
        saved = self.saved() | {"optimizer": optimizer and optimizer.state_dict(),
                                "adversary": adversary and adversary.state()}
        # training.pt last: killed in between, the run goes on from before and writes all again
        for person, avatar in zip(people, self.averaged, strict=True):
            write_tensors(person.run.path / "checkpoint.safetensors", avatar.state_dict())
        write_atomically(path / "training.pt", _bytes(saved))

    def saved(self) -> dict:
        """All of it, and the random state, as `take` takes it."""
        return {"avatars": self.avatars.state_dict(), "averaged": self.averaged.state_dict(),
                "adversary": self.adversary, "step": self.step,
                "pictures": self.pictures, "stage": self.stage, "seconds": self.seconds,
                "random": torch.get_rng_state(), "plateau": self.plateau, "optimizer": self.optimizer}

    def take(self, saved: dict) -> None:
        """Be as a state was of which `saved` told, the random state too."""
        self.avatars.load_state_dict(saved["avatars"])
        self.averaged.load_state_dict(saved["averaged"])
        self.step, self.stage, self.seconds = saved["step"], saved["stage"], saved["seconds"]
        self.optimizer, self.adversary = saved["optimizer"], saved["adversary"]
        self.plateau = saved.get("plateau")
        batch = self.avatars[0].config.batch  # older runs, of one process, don't tell
        self.pictures = saved.get("pictures", batch * (self.step - saved.get("practised", 0)))
        torch.set_rng_state(saved["random"])

    def load(self, file: Path) -> None:
        """Go on from what `save` has written; raises ValueError where it is broken or of another run."""
        try:
            self.take(torch.load(file, weights_only=True, map_location="cpu"))
        except Exception as error:  # a truncated pickle raises almost anything
            raise ValueError(f"{file} is broken or belongs to another run ({reason(error)}). The avatar that "
                             "was saved last is there all the same, in checkpoint.safetensors. Train into "
                             f"another folder: with --init {file.parent} from what it has learned.") from None


def _bytes(saved) -> bytes:
    stream = io.BytesIO()
    torch.save(saved, stream)
    return stream.getvalue()


def start(path: Path, people: list[Person], init: str | Path | None) -> State:
    """The state that the folder was left in, or a fresh one over the unwrapped textures."""
    state = fresh(people)
    avatars = state.avatars
    if (path / "training.pt").is_file():
        state.load(path / "training.pt")
        for person, avatar in zip(people, avatars, strict=True):
            check_surface(person.training, avatar.surface)
        return state
    taken = None if init is None else renderers_of(init).avatar()
    if taken is not None:
        avatars[0].take_over(taken)
    if len(people) > 1:
        save_people(path, [person.run for person in people])
    for person, avatar in zip(people, avatars, strict=True):
        _initialize(avatar, person)
    state.averaged.load_state_dict(avatars.state_dict())
    return state


def fresh(people: list[Person]) -> State:
    """A state that knows nothing of what is trained on."""
    avatars = sharing([make_avatar(person.run.config, _surface(person.training), person.run.trained)
                       for person in people])
    for person, avatar in zip(people, avatars, strict=True):
        avatar.up = person.training.up
    return State(avatars, copy.deepcopy(avatars))


def sharing(avatars: list[Avatar]) -> torch.nn.ModuleList:
    """Avatars of several people; what they share is that of the first."""
    first, *others = avatars
    if others and not first.shared:
        raise ValueError(f"{first.config.system} has nothing that several people could share; "
                         "train each alone.")
    for other in others:
        for name in first.shared:
            setattr(other, name, getattr(first, name))
    return torch.nn.ModuleList(avatars)


def _surface(training: Capture) -> Surface | None:
    return None if training.paired else training.body.surface


def _initialize(avatar: Avatar, person: Person) -> None:
    """Begin a person's run with the unwrapped texture; of pairs with the mean colour alone."""
    person.run.save()
    if avatar.surface is None:
        mean = _mean(drawn_whole(person.training, person.run.config))
        write_tensors(person.run.path / "static.safetensors", {"mean": mean})
        return
    avatar.look_at(person.training)
    if avatar.refinement is not None:
        avatar.refinement.fit(person.training, person.run.config.size)
    static = make_avatar(replace(person.run.config, system="static"), person.training.body.surface, [])
    rgb, mean = _unwrap(person.run.config, static, person.training)
    static.initialize(rgb)
    write_tensors(person.run.path / "static.safetensors", static.state_dict() | {"mean": mean})
    avatar.initialize(rgb)


def _unwrap(config, static, training):
    """The static texture (P, 3, h, w) and the mean colour (3,) of the training views."""
    unwrapping = Unwrapping(static.surface, config.texture_size, static.size[0])

    def unwrapped():
        for view in drawn_whole(training, config):
            posed = training.body(view.pose)
            unwrapping.add(view.image, view.trusted(), posed, static.projected(view.camera, posed))
            yield view

    mean = _mean(unwrapped())
    return unwrapping.texture()[0], mean


def _mean(views: Iterable[View]) -> torch.Tensor:
    """The mean colour (3,) of all that views are trusted in."""
    total = torch.zeros(4)
    for view in views:
        trusted = view.trusted()
        total += torch.cat([(view.image * trusted).sum((0, 2, 3)), trusted.sum()[None]])
    return total[:3] / total[3].clamp(min=1)
