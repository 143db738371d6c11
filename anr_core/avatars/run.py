"""A run on disk: the folder that training fills, and out of which an avatar comes back.

    config.json               settings, training views, where the capture is, how the body is made
    checkpoint.safetensors    the avatar: averaged weights and its surface; nothing else is needed to draw
    static.safetensors        the unwrapped texture and the mean colour of the training views; of pairs of
                              pictures, which have no body, the mean colour alone
    training.pt               what going on needs: raw weights, optimiser, random state, place in the schedule
    metrics.jsonl             one line every few steps        previews/    pictures on the way
    index.html                all of that to look at, with the pictures in page/

A run of several people, who share what draws them, is a folder of such runs, people/NAME, whose config.json
says who they are; training.pt, metrics.jsonl, previews/ and index.html are of all of them.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from anr_core.avatars import make_avatar
from anr_core.avatars.base import Avatar
from anr_core.avatars.config import Config, configure
from anr_core.avatars.linked import local_run
from anr_core.avatars.room import RoomFor
from anr_core.avatars.static import StaticTexture
from anr_core.body import Surface, make_surface
from anr_core.capture import Capture, load_capture
from anr_core.capture.posing import make_body
from anr_core.capture.readers.arrays import numbers
from anr_core.capture.sources import read_json
from anr_core.processes import writes
from anr_core.telling import LONGEST_REASON, brief, listed, quoted, reason

VERSION = 1
PEOPLE = "people"  # the folder of a run's people, where there are several
LEFTOVER = ".new"  # ends the name of a file that is not yet whole
LOCK = ".lock"  # is there while a process trains in the folder
REMEDIES = {errno.EROFS: "Make its folder writable, or name another one.",
            errno.EACCES: "Make its folder writable, or name another one.",
            errno.EPERM: "Make its folder writable, or name another one.",
            errno.ENOENT: "Its folder is gone: put it back, then go on with the same command.",
            errno.EFBIG: "Files may not grow so large here (ulimit -f); raise that, then go on with the same "
                         "command."}


@dataclass(frozen=True)
class Run:
    """What config.json says.

    trained  (camera name, frame) of the training views
    source   the capture's absolute path, and its path relative to the run
    body     what `make_body` makes the body from; None for meshes, which only the capture holds
    person   the person's name
    up       the world's unit vector against gravity
    paired   pairs of pictures taught it: there is no body
    seen     digests of what the capture held when the run was begun, by name; None where nobody noted them
    """

    path: Path
    config: Config
    trained: list[tuple[str, int]]
    source: tuple[str, str]
    licence: str
    body: dict | None = None
    person: str = ""
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    paired: bool = False
    seen: dict[str, str] | None = None

    @staticmethod
    def open(path: str | Path, person: str | None = None) -> Run:
        """The run in a folder; where several people are in it, one of them by name.

        Raises FileNotFoundError for a folder that is no run, ValueError for a broken one, and where nobody
        says which of several people is meant.
        """
        people = people_of(path)
        if person is None and len(people) > 1:
            raise ValueError(f"{path} is of several people: {listed(people)}. Choose one with --person.")
        if person is not None and person not in people:
            raise ValueError(f"{path} is of {'one person' if '' in people else listed(people)}, not of "
                             f"{quoted(person)}.")
        folder = next(iter(people.values())) if person is None else people[person]
        saved = _saved(folder)
        with _whole(folder):
            _check(saved)
            config, trained = configure(**saved["config"]), map(tuple, saved["trained"])
            return Run(folder, config, list(trained), tuple(saved["capture"]), saved["licence"],
                       saved.get("body"), saved.get("person", ""), tuple(saved.get("up", Run.up)),
                       saved.get("paired", False), saved.get("seen"))

    def save(self) -> None:
        """Write config.json, as a whole."""
        _save(self.path, {"config": asdict(self.config), "trained": self.trained, "capture": self.source,
                          "licence": self.licence, "body": self.body, "person": self.person, "up": self.up,
                          "paired": self.paired, "seen": self.seen})

    def capture(self) -> Capture:
        """The capture that it was trained on, at its place or moved along with the run.

        Raises FileNotFoundError where it is at neither place.
        """
        for place in (Path(self.source[0]), self.path / self.source[1]):
            if (place / "capture.json").is_file():
                return load_capture(place)
        raise FileNotFoundError(f"The capture of {self.path} is not at {brief(self.source[0], 200)} any "
                                "more. Put it back, or name one with --capture.")

    def static(self) -> tuple[StaticTexture | None, torch.Tensor]:
        """The static texture of the training views, if there is a body, and the mean colour (3,) in them."""
        file = self.path / "static.safetensors"
        tensors = read_tensors(file)
        mean = tensors.pop("mean", None)
        if mean is None or mean.shape != (3,) or not mean.is_floating_point():
            raise ValueError(f"{file} holds no mean colour. Put the run's own file back, or train again.")
        if self.paired:
            return None, mean
        return _filled(replace(self.config, system="static"), tensors, [], file), mean

    def avatar(self) -> Avatar:
        """The trained avatar, with its body; registered meshes need the capture that holds them."""
        file = self.path / "checkpoint.safetensors"
        body = self._made_body()
        avatar = _filled(self.config, read_tensors(file), self.trained, file, body and body.skeleton,
                         self.paired)
        avatar.up = torch.tensor(self.up)
        if self.paired:
            return avatar
        if body is not None:
            if not torch.equal(body.surface.faces, avatar.surface.faces):
                raise ValueError(f"{file} holds other triangles than the body in {self.path / 'config.json'}."
                                 " It belongs to another run: put the right file back, or train again.")
            avatar.body = body
            return avatar
        try:
            capture = self.capture()
        except FileNotFoundError:
            return avatar  # it draws posed meshes all the same; `render` says what it lacks
        check_surface(capture, avatar.surface)
        avatar.body = capture.body
        return avatar

    def _made_body(self):
        try:
            return None if self.body is None else make_body(self.body)
        except ValueError as error:
            raise ValueError(f"{self.path / 'config.json'}: {reason(error)}") from None


def load_avatar(run: str | Path, person: str | None = None) -> Avatar:
    """The avatar of a run, ready to draw; where several people are in it, one of them by name.

    run  its folder, its archive, or a link to that (HTTP, Dropbox, Google Drive), which may end in
         #sha256=... to be checked by
    """
    return Run.open(local_run(run), person).avatar()


def people_of(path: str | Path) -> dict[str, Path]:
    """The folder of each person's run, by name; for a run of one person the folder itself."""
    path = Path(path).resolve()
    saved = _saved(path)
    with _whole(path):
        if "people" not in saved:
            return {str(saved.get("person", "")): path}
        for folder in saved["people"].values():
            if not re.fullmatch(r"[\w-]+", folder):
                raise ValueError(f"a person's run is in {quoted(folder)}, which is no name of a folder")
        if not saved["people"]:
            raise ValueError("it is of no people")
        return {name: path / PEOPLE / folder for name, folder in saved["people"].items()}


def folders_of(path: Path, names: list[str]) -> list[Path]:
    """Where the runs of people are to be: of one in `path` itself, of several in a folder named like each."""
    if len(names) == 1:
        return [path]
    return [path / PEOPLE / (re.sub(r"[^\w-]+", "-", name)[:100] or "person") for name in names]


def save_people(path: Path, runs: list[Run]) -> None:
    """Write whose runs a folder holds."""
    _save(path, {"people": {run.person: run.path.name for run in runs}})


def _save(path, saved):
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    write_atomically(path / "config.json", json.dumps({"version": VERSION} | saved, indent=1).encode())


def _saved(path):
    """What a run folder's config.json holds."""
    file = path / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{path} has no config.json, so it is not a run. "
                                f"Make one with: python -m anr_core train CAPTURE {path.name}")
    saved = read_json(file, f"{file} is broken ({{}}). Train the run again.")
    with _whole(path):
        version = saved["version"]
    if version != VERSION:
        raise ValueError(f"{file} is of version {quoted(version)}, and {VERSION} is what is read. Train it "
                         "again.")
    return saved


def _check(saved):
    """Raise ValueError or TypeError where an entry is of another type than a run has saved."""
    for name, kinds in (("licence", str), ("person", str), ("paired", bool), ("body", dict | None)):
        if name in saved and not isinstance(saved[name], kinds):
            raise TypeError(f"{name} is {quoted(saved[name])}")
    for one in saved["trained"]:
        if [type(part) for part in one] != [str, int]:
            raise TypeError(f"a training view is {quoted(one)}, expected a camera and a frame")
    if [type(place) for place in saved["capture"]] != [str, str] or "\0" in "".join(saved["capture"]):
        raise TypeError("capture is no pair of paths")
    numbers(saved.get("up", Run.up), (3,), "up")


@contextmanager
def _whole(path):
    """Name the config.json whose content can't be what a run has saved."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path / 'config.json'} is broken ({reason(error)}). Train the run again."
                         ) from None


def check_surface(capture: Capture, surface: Surface | None) -> None:
    """Refuse a capture whose triangles are not the avatar's; for an avatar of pairs one that holds none."""
    if surface is None:
        if not capture.paired:
            raise ValueError(f"{capture.path} holds no pairs of pictures, on which the avatar was trained. "
                             "Give pairs: train/input, test/input and so on, prepared.")
        return
    given = capture.body.surface.faces
    if not torch.equal(given.to(surface.faces.device), surface.faces):
        raise ValueError(f"{capture.path} has a body of {len(given)} faces, which are not the "
                         f"{len(surface.faces)} that the avatar was trained on. "
                         "Give a capture of the same body.")


def _filled(config, tensors, pictures, file, skeleton=None, paired=False):
    try:
        parts = () if paired else ("faces", "uv", "uv_faces", "part")
        given = [tensors[f"surface_{name}"] for name in parts]
        surface = _surface(*given, skeleton) if parts else None
        with RoomFor(tensors):
            avatar = make_avatar(config, surface, pictures)
        known = [name for name, tensor in avatar.state_dict().items() if bool(tensor.isfinite().all())]
        avatar.load_state_dict(tensors)
        for name in known:  # of the others nobody knows anything before training
            if not bool(tensors[name].isfinite().all()):
                raise ValueError(f"{name} is not finite")
    except (LookupError, RuntimeError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        last = (str(error).splitlines() or [type(error).__name__])[-1]  # torch names what doesn't fit there
        raise ValueError(f"{file} doesn't hold a {config.system} avatar of these settings "
                         f"({brief(last, LONGEST_REASON)}). It belongs to another run or to an earlier "
                         "version: put the right file back, or train again.") from None
    return avatar.eval()


def _surface(faces, uv, uv_faces, part, skeleton) -> Surface:
    """A checkpoint's, whose indices are checked: the rasterizer looks up whatever they say."""
    for name, tensor in (("faces", faces), ("uv_faces", uv_faces), ("part", part)):
        if tensor.dtype != torch.int64:
            raise ValueError(f"{name} of {tensor.dtype}")
    if not faces.numel():
        raise ValueError("no faces")
    return make_surface(range(int(faces.max()) + 1), faces, uv, uv_faces, part, skeleton)


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors file by name, on the CPU.

    Raises FileNotFoundError where training has not come so far, ValueError where the file is broken.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file.parent} has no {file.name}: its training has not come that far. "
                                "Go on with the same train command.")
    try:
        return safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, TypeError, ValueError, RuntimeError) as error:  # of torch's, too
        raise ValueError(f"{file} is broken ({reason(error)}). Put a whole copy back, or train again."
                         ) from None


def write_tensors(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors by name into a .safetensors file, as a whole."""
    write_atomically(file, safetensors.torch.save({name: tensor.detach().cpu().contiguous()
                                                   for name, tensor in tensors.items()}))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file as a whole: whoever reads it finds the old one or the new one."""
    if not writes():
        return
    fresh = path.with_name(f".{path.name}{LEFTOVER}")
    with writing(path):
        try:
            with open(fresh, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Name the file that a full disk, or another failure of writing, has met."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno, "Make room, then go on with the same command.")
        raise ValueError(f"{path} could not be written ({error.strerror}); what was saved is kept. {remedy}"
                         ) from None


def is_leftover(path: Path) -> bool:
    """Whether a file is what a killed process left: of one that it was writing, or its lock."""
    return path.name == LOCK or path.name.startswith(".") and path.name.endswith(LEFTOVER)
