"""Commands that make captures, and find out what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anr_core.cli.options import optional


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
