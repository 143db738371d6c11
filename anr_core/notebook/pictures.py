"""What the cells of the notebook about pictures call: videos under a cell, a painter's frames, pairs."""

from __future__ import annotations

from pathlib import Path

from anr_core.notebook.cells import shown


def film(file: str | Path) -> None:
    """Show a video file under the cell."""
    from IPython.display import Video, display

    fitting = 'controls loop autoplay muted style="max-width: 100%"'
    display(Video(str(file), embed=True, html_attributes=fitting))


def films(run: str | Path) -> None:
    """Show what an image-to-image run draws, split by split: input, prediction and truth."""
    from anr_core.avatars.run import Run
    from anr_core.export.pairs import write_split_videos

    opened = Run.open(run)
    for file in write_split_videos(opened, opened.capture()):
        print(file.stem)
        film(file)


def played(run: str | Path, motion: str | Path = "", overview: bool = False) -> None:
    """Show a run's avatar, circled by a camera, in a motion file's poses or in those of its film.

    overview  what happens on the way beside it
    """
    from anr_core.avatars.run import Run
    from anr_core.export.video import render

    opened = Run.open(run)
    name = Path(motion).stem if str(motion) else "orbit"
    out = opened.path / f"{name}{'-overview' if overview else ''}.mp4"
    render(opened, opened.capture(), out, motion=motion or None, overview=overview)
    film(out)


def transferred(run: str | Path, motion: str | Path, looks: str | Path = "", align: str | None = None,
                overview: bool | tuple[str, ...] = True) -> None:
    """Show a run's avatar, the first one of several people, as somebody moves in another capture's film.

    motion    the capture; of an avatar that is drawn out of keypoints also a folder of OpenPose's JSON
    looks     whose looks it takes: a capture, CAPTURE:CAMERA:FRAME, or a picture of a person
    align     how keypoints become the person's own; None for as is usual, and for whoever is moved by a body
    overview  show what happens on the way beside it, or these of `layers.STEPS`
    """
    from anr_core.avatars.run import Run, people_of
    from anr_core.export.transfer import transfer
    from anr_core.motion.keypoints import open_source

    person = next(iter(people_of(run)))
    opened, out = Run.open(run, person or None), Path(run) / f"as-{Path(motion).name}.mp4"
    transfer(opened, out, open_source(motion), looks=looks or None, overview=overview, align=align)
    film(out)


def meshed(run: str | Path, frame: int | None = None, voxel: float = 0.005) -> None:
    """Write the surface of a volume as mesh.ply and mesh.glb into its run, and show it from all around.

    frame  of its capture; None for the first that was trained
    voxel  metres between the points where the density is looked at
    """
    from anr_core.avatars.run import Run
    from anr_core.export.geometry import mesh_of, write_mesh
    from anr_core.export.turntable import write_turn

    opened = Run.open(run)
    made, notes = mesh_of(opened, frame=frame, voxel=voxel)
    print(*notes, sep="\n")
    for kind in ("ply", "glb"):
        write_mesh(opened.path / f"mesh.{kind}", made)
    write_turn(opened.path / "mesh.mp4", made, 360)
    film(opened.path / "mesh.mp4")


def numbers_of(text: str) -> list[int]:
    """The frame numbers in a form's line, such as "2, 9, 16"."""
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() for word in words):
        raise ValueError(f"{text!r} are no frames. Write their numbers, such as 2, 9, 16.")
    return [int(word) for word in words]


def painted(capture: str | Path, out: str | Path, frames: list[int]) -> Path:
    """A copy of a capture in which the training pictures of some frames are painted; shows some of them.

    One that is there is taken as it is, so that a painter's own pictures may be put into it.
    """
    from anr_core.capture import load_capture
    from anr_core.capture.sheet import contact_sheet
    from anr_core.prepare.painting import paint

    film, out = load_capture(capture), Path(out)
    if missing := set(frames) - {shot.frame for shot in film.shots if shot.split == "train"}:
        raise ValueError(f"{capture} has no frame {min(missing)} to train on.")

    def chosen(shot):
        return shot.split == "train" and shot.frame in frames

    if not (out / "capture.json").is_file():
        paint(film.only(chosen), out)
    for shot in filter(chosen, film.shots):
        if (out / shot.image).read_bytes() == (film.path / shot.image).read_bytes():
            raise ValueError(f"{out} was painted before, but not its frame {shot.frame}. Paint that too, or "
                             f"remove {out}, and it is made anew.")
    shown(contact_sheet(load_capture(out).only(chosen), cameras=3, moments=3))
    return out


def paired(pairs: str | Path, capture: str | Path) -> Path:
    """The capture of a folder, a zip or a link of pairs; of a film, mesh and person, where none is named."""
    from anr_core.capture import load_capture
    from anr_core.capture.writers import convert
    from anr_core.prepare import prepare_link

    out, source = Path(f"{capture}-pairs"), str(pairs)
    if not source:
        source = f"{capture}-mesh-and-person"
        if not Path(source).is_dir():
            convert(load_capture(capture), Path(source), "smplpix")
    prepare_link(source, out, "smplpix")
    return out
