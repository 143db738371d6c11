"""Commands that train avatars, judge them and draw them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anr_core.cli.options import frame_list, optional, read_settings
from anr_core.cli.progress import show_progress, speaks, write_videos
from anr_core.launch import started


@dataclass(frozen=True)
class Train:
    """Train an avatar of a capture; the same command goes on where it was interrupted."""

    # folder that `prepare` made
    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    # folder to fill
    run: Annotated[Positional[Path], arg(metavar="RUN")]
    # what draws: anr, smplpix, gaussian, neural-body, dynamic-texture, deferred or static
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
    # take poses and cameras as they are; else, from thirty pictures on, they are first corrected a little (of
    # the systems whose settings say so in refine_from)
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
        from anr_core.training.workers import died, of_death

        if self.data_url is not None:
            from anr_core.prepare import prepare_link

            if started().count > 1 and not (self.capture / "capture.json").is_file():
                raise ValueError(f"Several processes can't make {self.capture} at once. Make it first: "
                                 f"python -m anr_core prepare {self.data_url} {self.capture}")
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
        except KeyboardInterrupt as interrupt:
            interrupt.args = (f"The same command goes on with {self.run} where it was saved.",)
            raise
        except RuntimeError as error:
            if died(error):  # which Python may have been told between two steps
                raise of_death(self.run) from None
            raise
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
    # which pixels count: whole, neuralbody or inside; all three if not given. Or published: whole pictures by
    # Neural Body's published protocol, for one of ZJU-MoCap's subjects beside the published figures
    protocol: Annotated[str | None, optional("NAME")] = None
    # side of the pictures, pixels; the run's own if not given, of published the longer side, 512
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
    # video to write, .mp4, .webm or .mov; .jpg or .png becomes a strip of six pictures out of it, OUT/ a
    # folder of all of them. All but .mp4 and .jpg can be transparent
    out: Annotated[Positional[str], arg(metavar="OUT.mp4")]
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
    # what to stand before: a picture, a colour (white, #20a040), none (transparent, with straight alpha) or
    # own (what the camera of --view saw behind the person); grey if not given
    background: Annotated[str | None, optional("WHAT")] = None
    # show the steps on the way side by side
    overview: bool = False
    # another capture of the same body, whose poses are drawn
    capture: Annotated[Path | None, optional("CAPTURE")] = None
    # side of the picture, pixels; the run's own if not given
    size: Annotated[int | None, optional("S")] = None
    # play these frames alone, such as 0-40,48
    frames: Annotated[str | None, optional("LIST")] = None
    # of a neural-body run: nothing is where a training camera sees background in the frame that is played
    hull: bool = False
    # of a neural-body run: GiB that drawing may take; the run's own setting if not given
    memory: Annotated[float | None, optional("GB")] = None

    # of a neural-body run: the trained frame whose light and folds all are drawn with; of a capture's frames
    # the nearest if not given, of a motion the last
    latent: Annotated[int | None, optional("FRAME")] = None

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
               self.motion, self.up, self.hull, self.memory, self.latent)
        print(f"written to {self.out}")


    def _draw_pairs(self, run) -> None:
        """Of pairs of pictures: there is nobody to pose or to walk around."""
        from anr_core.capture import load_capture
        from anr_core.export.pairs import render_pairs

        for name, given in (("motion", self.motion), ("wear", self.wear), ("up", self.up),
                            ("hull", self.hull or None), ("memory", self.memory), ("latent", self.latent),
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
    # video to write, .mp4, .webm or .mov; .jpg or .png becomes a strip of six pictures out of it, OUT/ a
    # folder of all of them. All but .mp4 and .jpg can be transparent
    out: Annotated[Positional[str], arg(metavar="OUT.mp4")]
    # capture of who moves: a body's poses, or joints, as `lift` finds them; for a dynamic-texture run also a
    # film's keypoints: a capture, or a folder of OpenPose's JSON
    from_: Annotated[Path, arg(name="from", metavar="CAPTURE")]
    # whose looks, of a gaussian run: CAPTURE, CAPTURE:CAMERA:FRAME or a picture of a person
    looks: Annotated[str | None, optional("WHOSE")] = None
    # who moves, in a run of several people
    person: Annotated[str | None, optional("NAME")] = None
    # orbit (the camera circles), turn (the person turns) or a camera; the first camera if not given
    view: Annotated[str | None, optional("NAME")] = None
    # how keypoints become the person's: limbs (as tall, standing where they stand, with limbs as long), scale
    # (without the limbs) or none; limbs if not given
    align: Annotated[str | None, optional("HOW")] = None
    # sigma over which keypoints are smoothed in time, frames; 2 if not given
    smooth: Annotated[float | None, optional("SIGMA")] = None
    # draw keypoints as they are, and not the person's body, fitted to them: 0.3 s less a picture, but
    # less sharp by far
    keypoints_alone: bool = False
    # frames a second of a folder of JSON, which doesn't tell it; 30 if not given
    fps: Annotated[float | None, optional("F")] = None
    # what to stand before: a picture, a colour (white, #20a040), none (transparent, with straight alpha) or
    # own (what the camera of --view saw behind the person); if not given grey, or own where keypoints drive
    background: Annotated[str | None, optional("WHAT")] = None
    # show the motion's film and the steps on the way side by side
    overview: bool = False
    # side of the picture, pixels; the run's own if not given
    size: Annotated[int | None, optional("S")] = None

    def __call__(self) -> None:
        from anr_core.avatars.run import Run
        from anr_core.export.transfer import transfer
        from anr_core.motion.keypoints import open_source

        run, source = Run.open(self.run, self.person), open_source(self.from_, self.fps)
        for note in getattr(source, "notes", ()):
            print(f"  {note}")
        transfer(run, self.out, source, self.looks, self.view, self.background, self.overview, self.size,
                 self.align, self.smooth, not self.keypoints_alone)
        print(f"written to {self.out}")


@dataclass(frozen=True)
class Export:
    """Write a run's avatar as one file that others open without this package."""

    # folder that `train` filled
    run: Annotated[Positional[Path], arg(metavar="RUN")]
    # .html, a page that draws the avatar under sliders without a network; .glb, the skinned mesh with its
    # unwrapped texture; .onnx, the networks
    out: Annotated[Positional[Path], arg(metavar="OUT.html")]
    # motion that a page plays or a mesh carries: BVH and others, as `render` takes them, or a capture
    motion: Annotated[str | None, optional("FILE")] = None
    # axis that points up in the motion's file: x, y or z; found in the file if not given
    up: Annotated[str | None, optional("AXIS")] = None
    # of a .glb: the body's shape basis as morph targets
    shapes: bool = False
    # of an .onnx: with the sampling of the texture
    sampled: bool = False
    # side of the pictures that a page draws, pixels; the run's own if not given
    size: Annotated[int | None, optional("S")] = None
    # who, in a run of several people
    person: Annotated[str | None, optional("NAME")] = None

    def __call__(self) -> None:
        from anr_core.avatars.run import Run
        from anr_core.export.handing import Wishes, hand_on

        wishes = Wishes(self.motion, self.up, self.shapes, self.size, self.sampled)
        for note in hand_on(Run.open(self.run, self.person), self.out, wishes):
            print(f"  {note}")
        print(f"written to {self.out}")


@dataclass(frozen=True)
class Mesh:
    """Write the surface of a neural-body run's volume, with its colours; tell how near it is to the truth."""

    # folder that `train` filled
    run: Annotated[Positional[Path], arg(metavar="RUN")]
    # mesh to write, in .ply or .glb; in .mp4, .jpg or .png it is shown from all around
    out: Annotated[Positional[Path], arg(metavar="OUT.ply")]
    # which frame of the capture; the first that was trained if not given
    frame: Annotated[int | None, optional("N")] = None
    # metres between the points where the density is looked at
    voxel: Annotated[float, arg(metavar="METRES")] = 0.005
    # density at the surface, a metre; if not given that at which a ray that grazes a limb half a voxel of the
    # run deep loses half of its light
    threshold: Annotated[float | None, optional("DENSITY")] = None
    # nothing is where a training camera sees background in this frame
    hull: bool = False
    # who, in a run of several people
    person: Annotated[str | None, optional("NAME")] = None
    # another capture of the same body, whose frame is taken
    capture: Annotated[Path | None, optional("CAPTURE")] = None
    # GiB that it may take; the run's own setting if not given
    memory: Annotated[float | None, optional("GB")] = None
    # side of the pictures of an .mp4, .jpg or .png, pixels
    size: Annotated[int, arg(metavar="S")] = 512

    def __call__(self) -> None:
        from anr_core.avatars.run import Run
        from anr_core.capture import load_capture
        from anr_core.export.geometry import KINDS, check_mesh_name, mesh_of, write_mesh
        from anr_core.export.turntable import write_turn

        check_mesh_name(self.out)
        run = Run.open(self.run, self.person)
        capture = None if self.capture is None else load_capture(self.capture)
        made, notes = mesh_of(run, capture, self.frame, self.voxel, self.threshold, self.hull, self.memory)
        for note in notes:
            print(f"  {note}")
        if self.out.suffix.lower() in KINDS:
            write_mesh(self.out, made)
        else:
            write_turn(self.out, made, self.size)
        print(f"written to {self.out}")
