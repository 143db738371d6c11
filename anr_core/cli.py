"""The command line: one record a command, whose fields are its options and whose comments are its help.

What a command raises on purpose (bad input, a full disk, something that isn't installed) becomes one line on
stderr and exit code 2.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg

# Commands import what they need when they run: --help must not wait for torch.

BAD_INPUT, INTERRUPTED = 2, 130


def optional(metavar: str):
    """An option that is off unless given: its help needs no default."""
    return arg(metavar=metavar, help_behavior_hint="")


@dataclass(frozen=True)
class Prepare:
    """Make a capture, the folder that everything else reads, of a source in a known format."""

    # what there is: a folder, a video, a zip or tar of one, or a link to it (HTTP, Dropbox, Google Drive,
    # YouTube with yt-dlp); or sample: a man who walks on a beam, four cameras, openly licensed, which pip
    # downloads (unless a file or folder here is called that)
    source: Annotated[Positional[str], arg(metavar="SOURCE")]
    # folder to make
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # the source's format: plain (videos or pictures that nobody calibrated), easymocap, pose2sim, registered,
    # zju, people-snapshot, neuman, panoptic, human-view-synthesis, smplpix or dynamic-texture; auto looks
    # what it is
    format: Annotated[str, arg(metavar="NAME")] = "auto"
    # take about this many frames a second: every second one, every third ..., from a video beside pictures
    # too; of pictures alone, whose rate nothing tells, this is their rate
    fps: Annotated[float | None, optional("F")] = None
    # leave out what lies before this second of the source
    start: Annotated[float | None, optional("S")] = None
    # leave out what lies after this second of the source
    end: Annotated[float | None, optional("S")] = None
    # keypoints come so many frames late: move them back
    keypoints_late: Annotated[int, arg(metavar="N")] = 0
    # write IUV and normals of the body as pictures too; with SOURCE the CAPTURE itself, add them to it
    gbuffer: bool = False
    # the folder in SOURCE that is meant, where it holds several, as a session of pose2sim does
    trial: Annotated[str | None, optional("NAME")] = None

    def __call__(self) -> None:
        from anr_core.prepare import prepare

        prepare(self.source, self.capture, self.format, self.fps, self.start, self.end, self.keypoints_late,
                self.gbuffer, self.trial)


@dataclass(frozen=True)
class Convert:
    """Write a capture in another system's format."""

    # folder that `prepare` or `studio` made
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # folder to make
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    # easymocap (pictures, masks, cameras, keypoints, body; `prepare` reads the same capture back) or smplpix
    # (pairs of the mesh in colour and the person, over white)
    format: Annotated[str, arg(metavar="NAME")] = "easymocap"

    def __call__(self) -> None:
        from anr_core.capture import load_capture
        from anr_core.capture.writers import convert

        for note in convert(load_capture(self.capture), self.out, self.format):
            print(f"  {note}")
        print(f"written to {self.out}")


@dataclass(frozen=True)
class Studio:
    """Draw a capture of a person whom nobody filmed; the same command finds it again."""

    # folder to make
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # who: every number from 0 on is another person
    subject: Annotated[int, arg(metavar="N")] = 0
    # how many cameras; two of four or more are held out
    cameras: Annotated[int, arg(metavar="N")] = 6
    # how many frames; the last third shows another motion and is held out
    frames: Annotated[int, arg(metavar="N")] = 40
    # side of the pictures, pixels
    size: Annotated[int, arg(metavar="S")] = 256
    # frames a second
    fps: Annotated[float, arg(metavar="F")] = 6
    # the body that is handed over: jittered, as wrong as a real fit, or exact
    registration: Annotated[str, arg(metavar="NAME")] = "jittered"

    def __call__(self) -> None:
        from anr_core.prepare.studio import studio_capture

        made = studio_capture(self.capture, self.subject, cameras=self.cameras, frames=self.frames,
                              size=self.size, fps=self.fps, registration=self.registration)
        print(f"{self.capture}: subject {self.subject}, cameras {len(made.cameras)}, "
              f"pictures {len(made.shots)}")


@dataclass(frozen=True)
class Paint:
    """Copy a capture with its pictures painted, to train a run of photographs on in this style."""

    # folder that `prepare` or `studio` made
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # folder to make
    out: Annotated[Positional[Path], arg(metavar="OUT")]

    def __call__(self) -> None:
        from anr_core.capture import load_capture
        from anr_core.prepare.painting import paint

        painted = paint(load_capture(self.capture), self.out)
        print(f"written to {self.out}: pictures {len(painted.shots)}")


@dataclass(frozen=True)
class Sheet:
    """Show a capture at a glance: its cameras and moments side by side, with the body's outline."""

    # folder that `prepare` or `studio` made
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # picture to write, in .jpg or .png
    out: Annotated[Positional[Path], arg(metavar="OUT.jpg")]
    # how many cameras at the most
    cameras: Annotated[int, arg(metavar="N")] = 6
    # how many frames of each at the most
    moments: Annotated[int, arg(metavar="N")] = 6

    def __call__(self) -> None:
        from anr_core.capture import load_capture
        from anr_core.capture.sheet import write_sheet

        write_sheet(load_capture(self.capture), self.out, self.cameras, self.moments)
        print(f"written to {self.out}")


@dataclass(frozen=True)
class Annotate:
    """Find the person's keypoints and masks in the pictures of a capture; goes on where it was killed."""

    # folder that `prepare` made
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # what finds people: torchvision or mediapipe, whichever is installed
    annotator: Annotated[str, arg(metavar="NAME")] = "torchvision"
    # make those anew that are there already
    again: bool = False

    def __call__(self) -> None:
        from anr_core.prepare.annotate import annotate

        try:
            annotate(self.capture, self.annotator, self.again)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"The same command goes on with {self.capture}.") from None


@dataclass(frozen=True)
class Mask:
    """Mask the person in the pictures of cameras that stand still, by what differs from the scene behind."""

    # folder that `prepare` made
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # picture of the scene without the person; auto takes the capture's own, and what the pictures show
    plate: Annotated[str, arg(metavar="IMAGE")] = "auto"
    # mask these cameras' pictures alone, such as cam01,cam02
    cameras: Annotated[str | None, optional("LIST")] = None
    # make masks that are there already anew
    again: bool = False

    def __call__(self) -> None:
        from anr_core.prepare.mask import mask

        try:
            mask(self.capture, self.plate, self.cameras and self.cameras.split(","), self.again)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"The same command goes on with {self.capture}.") from None


@dataclass(frozen=True)
class Fit:
    """Fit a body to the person in a capture, to pictures or to registered meshes, and write it into it."""

    # folder that `prepare` made
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # which body: anny; or smpl, smplh or smplx, from your own model file, in the folder that ANR_CORE_SMPL
    # names
    body: Annotated[str, arg(metavar="NAME")] = "anny"
    # look through these cameras alone, such as cam01,cam02
    cameras: Annotated[str | None, optional("LIST")] = None
    # the calibration is doubtful: correct the cameras' places along
    refine_cameras: bool = False
    # pictures (their keypoints and masks), meshes (registered ones of any topology); auto: meshes where there
    # are no keypoints, or where their faces are unknown
    to: Annotated[str, arg(metavar="NAME")] = "auto"

    def __call__(self) -> None:
        from anr_core.prepare.fit import fit

        fit(self.capture, self.body, self.cameras and self.cameras.split(","), self.refine_cameras,
            self.to)


@dataclass(frozen=True)
class Lift:
    """Lift the 2D keypoints of a capture to joints in space, and write them into it."""

    # folder that `prepare` made, with keypoints
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # take the lifter of this run, which `train` filled; else one learns on made-up people, and is kept
    run: Annotated[Path | None, optional("RUN")] = None
    # look through these cameras alone, such as cam01,cam02
    cameras: Annotated[str | None, optional("LIST")] = None
    # how long it learns, minutes
    minutes: Annotated[float, arg(metavar="M")] = 4
    # learn anew, and replace joints that the capture's source knew
    again: bool = False
    # how tall the person is, metres, which one camera doesn't tell
    height: Annotated[float | None, optional("M")] = None

    def __call__(self) -> None:
        from anr_core.prepare.lift import lift

        lift(self.capture, self.run, self.cameras and self.cameras.split(","), self.minutes, self.again,
             self.height)


@dataclass(frozen=True)
class Train:
    """Train an avatar of a capture; the same command goes on where it was interrupted."""

    # folder that `prepare` made
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # folder to fill
    run: Annotated[Positional[Path], arg(metavar="RUN")]
    # what draws: anr, smplpix, gaussian, deferred or static
    system: Annotated[str, arg(metavar="NAME")] = "anr"
    # quick (two CPU cores), base (a small GPU) or large
    preset: Annotated[str, arg(metavar="NAME")] = "quick"
    # how many steps
    steps: Annotated[int | None, optional("N")] = None
    # instead of --steps: how many minutes, of training alone
    minutes: Annotated[float | None, optional("M")] = None
    # the same seed and steps give the same avatar
    seed: Annotated[int | None, optional("N")] = None
    # captures of other people, comma-separated, who are trained along and share what draws them
    with_: Annotated[str | None, arg(name="with", metavar="CAPTURE", help_behavior_hint="")] = None
    # run, of anyone, whose renderers to start from
    init: Annotated[Path | None, optional("RUN")] = None
    # leave these renderers as they are, and train the texture alone
    freeze_renderers: bool = False
    # leave the person as --init's run of them knows them, and train the renderers alone, for another style
    freeze_texture: bool = False
    # take poses and cameras as they are; else, from thirty pictures on, they are first corrected a little
    no_refine: bool = False
    # weak: see through weak-perspective cameras; or perspective
    projection: Annotated[str | None, optional("NAME")] = None
    # JSON of further settings, such as {"width": 24}
    config: Annotated[Path | None, optional("FILE")] = None
    # train on these frames alone, such as 0-40,48
    frames: Annotated[str | None, optional("LIST")] = None
    # train on these cameras alone, such as cam01,cam02
    cameras: Annotated[str | None, optional("LIST")] = None
    # make CAPTURE first, unless it is there already, of the archive or video behind this link or path
    data_url: Annotated[str | None, optional("URL")] = None

    def __call__(self) -> None:
        from anr_core.avatars.run import people_of
        from anr_core.capture import load_capture
        from anr_core.training import train

        if self.data_url is not None:
            from anr_core.prepare import prepare_link

            prepare_link(self.data_url, self.capture, self.system)
        folders = [self.capture, *([] if self.with_ is None else self.with_.split(","))]
        captures = [load_capture(folder) for folder in folders]
        there = set.intersection(*({shot.frame for shot in capture.shots} for capture in captures))
        frames = None if self.frames is None else frame_list(self.frames, there)
        cameras = None if self.cameras is None else self.cameras.split(",")
        settings = None if self.config is None else read_settings(self.config, self.system)
        training = train(captures, self.run, self.system, self.preset, steps=self.steps,
                         minutes=self.minutes, seed=self.seed, projection=self.projection, frames=frames,
                         cameras=cameras, init=self.init, freeze_renderers=self.freeze_renderers,
                         freeze_texture=self.freeze_texture,
                         refine=False if self.no_refine else None, config=settings)
        try:
            show_progress(training)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"The same command goes on with {self.run} where it was saved.") from None
        if not speaks():
            return
        if write_videos(self.run):
            return
        whom = f" --person '{next(iter(people_of(self.run)))}'" if len(captures) > 1 else ""
        print(f"{self.run} is trained. See it: python -m anr_core render {self.run} {self.run / 'orbit.mp4'}"
              + whom)


@dataclass(frozen=True)
class Evaluate:
    """Measure a run on views that it was not trained on."""

    # folder that `train` filled
    run: Annotated[Positional[Path], arg(metavar="RUN")]
    # another capture of the same body
    capture: Annotated[Path | None, optional("CAPTURE")] = None
    # who, in a run of several people
    person: Annotated[str | None, optional("NAME")] = None
    # which pixels count: whole, neuralbody or inside; all three if not given
    protocol: Annotated[str | None, optional("NAME")] = None
    # side of the pictures, pixels; the run's own if not given
    size: Annotated[int | None, optional("S")] = None
    # file for the figures
    json: Annotated[Path | None, optional("FILE")] = None

    def __call__(self) -> None:
        from anr_core.evaluation import evaluate

        evaluate(self.run, self.capture, self.protocol, self.size, self.json, self.person)


@dataclass(frozen=True)
class Render:
    """Draw a run's avatar as a video, or as a strip of pictures."""

    # folder that `train` filled
    run: Annotated[Positional[Path], arg(metavar="RUN")]
    # video to write; a name in .jpg or .png becomes a strip of six pictures out of it
    out: Annotated[Positional[Path], arg(metavar="OUT.mp4")]
    # who, in a run of several people
    person: Annotated[str | None, optional("NAME")] = None
    # PERSON:PART,PART: in parts of another one's texture, such as "subject 1:torso,thigh"; PERSON may also be
    # another run that has the same renderers
    wear: Annotated[str | None, optional("WHAT")] = None
    # play this motion instead of the capture's poses: BVH, AMASS npz, EasyMocap or DeepMimic json, or the
    # folder of another capture
    motion: Annotated[Path | None, optional("FILE")] = None
    # the axis of the motion's file that points upwards, such as y or -z; it looks by itself if not given
    up: Annotated[str | None, optional("AXIS")] = None
    # orbit (the camera circles), turn (the person turns) or a camera of the capture
    view: Annotated[str, arg(metavar="NAME")] = "orbit"
    # picture to stand before; grey if not given
    background: Annotated[Path | None, optional("IMAGE")] = None
    # show the steps on the way side by side
    overview: bool = False
    # another capture of the same body, whose poses are drawn
    capture: Annotated[Path | None, optional("CAPTURE")] = None
    # side of the picture, pixels; the run's own if not given
    size: Annotated[int | None, optional("S")] = None
    # play these frames alone, such as 0-40,48
    frames: Annotated[str | None, optional("LIST")] = None

    def __call__(self) -> None:
        from anr_core.avatars.run import Run
        from anr_core.avatars.wearing import wearing
        from anr_core.capture import load_capture
        from anr_core.export.video import render

        run = Run.open(self.run, self.person)
        if run.paired:
            self._draw_pairs(run)
            return
        avatar = None if self.wear is None else wearing(run.avatar(), self.run, self.wear)
        capture = run.capture() if self.capture is None else load_capture(self.capture)
        frames = None if self.frames is None else frame_list(self.frames, capture.recording.frame.tolist())
        render(run, capture, self.out, self.view, self.background, self.overview, self.size, frames, avatar,
               self.motion, self.up)
        print(f"written to {self.out}")


    def _draw_pairs(self, run) -> None:
        """Of pairs of pictures: there is nobody to pose or to walk around."""
        from anr_core.capture import load_capture
        from anr_core.export.pairs import render_pairs

        for name, given in (("motion", self.motion), ("wear", self.wear), ("up", self.up),
                            ("view", self.view if self.view != "orbit" else None)):
            if given is not None:
                raise ValueError(f"{self.run} was trained on pairs of pictures and has no body to pose, so "
                                 f"--{name} says nothing. Prepare new inputs, and name them with --capture.")
        capture = run.capture() if self.capture is None else load_capture(self.capture)
        frames = None if self.frames is None else frame_list(self.frames,
                                                             {shot.frame for shot in capture.shots})
        render_pairs(run, capture, self.out, frames, self.size, self.background, self.overview)
        print(f"written to {self.out}")


@dataclass(frozen=True)
class Transfer:
    """Draw a run's avatar as somebody moves in another capture, in the looks of its person or another one."""

    # folder that `train` filled
    run: Annotated[Positional[Path], arg(metavar="RUN")]
    # video to write; a name in .jpg or .png becomes a strip of six pictures out of it
    out: Annotated[Positional[Path], arg(metavar="OUT.mp4")]
    # capture of who moves: a body's poses, or joints, as `lift` finds them
    from_: Annotated[Path, arg(name="from", metavar="CAPTURE")]
    # whose looks, of a gaussian run: CAPTURE, CAPTURE:CAMERA:FRAME or a picture of a person
    looks: Annotated[str | None, optional("WHOSE")] = None
    # who moves, in a run of several people
    person: Annotated[str | None, optional("NAME")] = None
    # orbit (the camera circles), turn (the person turns) or a camera; the first camera if not given
    view: Annotated[str | None, optional("NAME")] = None
    # picture to stand before; grey if not given
    background: Annotated[Path | None, optional("IMAGE")] = None
    # show the motion's film and the steps on the way side by side
    overview: bool = False
    # side of the picture, pixels; the run's own if not given
    size: Annotated[int | None, optional("S")] = None

    def __call__(self) -> None:
        from anr_core.avatars.run import Run
        from anr_core.capture import load_capture
        from anr_core.export.transfer import transfer

        transfer(Run.open(self.run, self.person), self.out, load_capture(self.from_), self.looks, self.view,
                 self.background, self.overview, self.size)
        print(f"written to {self.out}")


@dataclass(frozen=True)
class Shapes:
    """Look at the Gaussian renderer: spheres, ellipsoids and people, side by side."""

    # picture to write, in .png or .jpg; in .mp4 it becomes a turn around them
    out: Annotated[Positional[Path], arg(metavar="OUT.png")]
    # all, or one of: one-sphere, one-ellipsoid, two-that-overlap, many-spheres, many-ellipsoids, people
    which: Annotated[str, arg(metavar="NAME")] = "all"
    # side of each picture, pixels
    size: Annotated[int, arg(metavar="S")] = 384
    # how many are many
    count: Annotated[int, arg(metavar="N")] = 100

    def __call__(self) -> None:
        from anr_core.export.shapes import write_shapes

        write_shapes(self.out, self.which, self.size, self.count)
        print(f"written to {self.out}")


@dataclass(frozen=True)
class Bench:
    """Time the parts and the whole, on this machine's CPU."""

    # file for the figures
    json: Annotated[Path | None, optional("FILE")] = None
    # time slow peers too
    all: bool = False

    def __call__(self) -> None:
        from anr_core.bench import bench

        bench(self.json, self.all)


COMMANDS = {"prepare": Prepare, "convert": Convert, "studio": Studio, "paint": Paint, "sheet": Sheet,
            "annotate": Annotate, "mask": Mask, "fit": Fit, "lift": Lift, "train": Train,
            "evaluate": Evaluate, "render": Render, "transfer": Transfer, "shapes": Shapes, "bench": Bench}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; `arguments` are sys.argv's where none are given."""
    command = tyro.extras.subcommand_cli_from_dict(
        COMMANDS, prog="python -m anr_core", args=arguments, config=(tyro.conf.FlagCreatePairsOff,),
        description="Avatars of people from captures. Each command explains itself: COMMAND --help. "
                    "ANR_CORE_TRACEBACK=1 shows where an error comes from.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files need not be text
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
    except KeyboardInterrupt as interrupt:
        print("Interrupted.", interrupt, file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("ANR_CORE_TRACEBACK"):
            raise
        print("Error:", " ".join(str(error).split()), file=sys.stderr)
        return BAD_INPUT
    return 0


def frame_list(text: str, there: Iterable[int]) -> list[int]:
    """The frames that text such as "0-40,48" names: of a range those that are there, both ends included."""
    there, named = sorted(there), set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()):
            raise ValueError(f"{text!r} is no list of frames: {part!r} is neither a number nor a range. "
                             "Write for example 0-40,48.")
        frames = {frame for frame in there if int(first) <= frame <= int(last)}
        if not frames:
            known = f"{len(there)} frames from {there[0]} to {there[-1]}" if there else "none that all have"
            raise ValueError(f"There is no frame {part.strip()}; the capture has {known}.")
        named |= frames
    return sorted(named)


def read_settings(file: Path, system: str = "anr") -> dict:
    """The settings in a JSON file, each of the type that it has among the system's."""
    from anr_core.avatars import configure

    known = configure(system=system)
    example = 'Write an object of settings, such as {"width": 24}.'
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist. {example}")
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no valid JSON ({error}). {example}") from None
    if not isinstance(settings, dict):
        raise ValueError(f"{file} holds a {type(settings).__name__}. {example}")
    for name, value in settings.items():
        if name in ("system", "preset"):
            raise ValueError(f"{file} sets {name}; choose it with --{name}.")
        wanted = type(getattr(known, name, value))
        if type(value) is not wanted:
            raise ValueError(f"{file} sets {name} to {value!r}, but it has to be of type {wanted.__name__}.")
    return settings


def write_videos(path: Path) -> bool:
    """Draw the videos of a run whose system goes from image to image, and say where they are.

    Returns whether it is of pairs of pictures, which these videos show all of.
    """
    from anr_core.avatars import avatar_class
    from anr_core.avatars.run import Run, people_of

    runs = [Run.open(folder) for folder in people_of(path).values()]
    if avatar_class(runs[0].config.system).draws != "image pair":
        return False
    from anr_core.export.pairs import write_split_videos

    for run in runs:
        for file in write_split_videos(run, run.capture()):
            print(f"written to {file}")
    return runs[0].paired


def speaks() -> bool:
    """Whether this is the one, of several processes that torchrun may have started, that tells the user."""
    return os.environ.get("RANK", "0") == "0"


def show_progress(training) -> None:
    """Train to the end under a progress bar; an interrupt closes the training, which saves."""
    from tqdm import tqdm

    bar, previews, stage = None, None, None
    try:
        with closing(training):
            for progress in training:
                if bar is None:  # not before the first step: an error before it stands alone
                    bar = tqdm(total=1, bar_format="{percentage:3.0f}% |{bar:20}| {desc}",
                               disable=not speaks())
                if progress.stage != stage:
                    stage = progress.stage
                    bar.write(f"{stage}: losses {', '.join(progress.losses)}")
                if progress.preview and not previews:
                    previews = progress.preview.parent
                    bar.write(f"previews: {previews}")
                loss, left = sum(progress.losses.values()), tqdm.format_interval(progress.seconds_left)
                rate = f"{progress.images_per_second:.1f} images/s, " if progress.images_per_second else ""
                told = f"{progress.stage}, step {progress.step}, loss {loss:.4f}, {rate}{left} left"
                bar.set_description_str(told, refresh=False)
                bar.update(progress.fraction - bar.n)
    finally:
        if bar is not None:
            bar.close()
