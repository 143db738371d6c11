"""A still camera's pictures in, masks of the person out: what differs from the scene behind them.

The scene is learned from a few pictures spread over the recording (scene.py), then each picture is labelled
on its own. Masks are kept in a folder of the capture until all are there, so what is killed goes on.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from anr_core.capture import Capture, Shot, load_capture
from anr_core.capture.changing import exchanged, write_index
from anr_core.capture.index import read_index
from anr_core.capture.pictures import read_image, read_mask, write_mask
from anr_core.prepare.guide import REACH
from anr_core.prepare.labelling import label
from anr_core.prepare.plate import colours_of, relit
from anr_core.prepare.scene import Scene, WrongPlate, guide_for, learn, placed, shrunk
from anr_core.skeleton import KEYPOINT_SETS
from anr_core.telling import brief, listed

UNFINISHED = ".masks"     # folder of a capture: CAMERA/0008.png and CAMERA/0008_certain.png


def mask(folder: Path, plate: str | Path = "auto", cameras: Iterable[str] | None = None,
         again: bool = False) -> Capture:
    """Mask the person in the pictures of still cameras that have no mask, and write that into the capture.

    plate    a picture of the scene without the person; auto takes the capture's own, and what the pictures
             show beside the person
    cameras  these alone
    again    make masks that are there already anew

    Raises ValueError for a camera that moves, and for a plate of another size, of another scene, or that
    shows the person. The capture is then as it was.
    """
    capture = load_capture(folder)
    names = _chosen(capture, cameras, plate)
    lacking = [shot for shot in capture.shots if shot.camera in names and (again or shot.mask is None)]
    if not lacking:
        print(f"all {len(capture.shots)} pictures have masks; --again makes them anew")
        return capture
    work = _work_folder(capture, plate)
    try:
        lost = _mask_all(capture, names, lacking, plate, work)
        written = _write(capture, [shot for shot in lacking if shot not in lost], work)
    finally:
        if not any(work.rglob("*.png")):  # nothing to go on from
            shutil.rmtree(work, ignore_errors=True)
    print(f"  {len(lacking) - len(lost)} pictures have new masks{_told(lost)}")
    print(f"  look at them: python -m anr_core sheet {capture.path} sheet.jpg")
    return written


def _mask_all(capture, names, lacking, plate, work) -> dict[Shot, None]:
    """Keep a mask of every picture in the working folder; returns, in order, those that have none."""
    lost = {}
    with tqdm(total=len(lacking), unit="picture") as bar:
        for name in names:
            shots = [shot for shot in lacking if shot.camera == name]
            bar.set_description(name)
            left = [shot for shot in shots if not _files(work, shot)[1].is_file()]
            bar.update(len(shots) - len(left))
            scene = _learned(capture, name, plate) if left else None
            for shot in left:
                if not _mask_one(capture, shot, scene, work):
                    lost[shot] = None
                bar.update()
    return lost


def _chosen(capture, cameras, plate):
    known = list(capture.cameras)
    names = known if cameras is None else list(dict.fromkeys(cameras))
    if missing := [name for name in names if name not in known]:
        raise ValueError(f"{capture.path} has no camera {brief(missing[0])}; it has {listed(known)}.")
    if plate != "auto" and len(names) > 1:
        raise ValueError(f"One plate is of one camera, but there are {len(names)}. Name it: --cameras "
                         f"{names[0]}")
    if capture.of_body.skeleton not in KEYPOINT_SETS and capture.registration is None:
        raise ValueError(f"{capture.path} has neither keypoints nor a body to tell where the person is. Lay "
                         "keypoints beside the pictures and prepare it again, or annotate it.")
    return names


def _told(lost):
    if not lost:
        return ""
    named = ", ".join(f"{shot.camera}/{shot.frame:04d}" for shot in list(lost)[:4])
    return f"; {len(lost)} have none, as nobody knows where the person is there: {named}" + \
        (", ..." if len(lost) > 4 else "")


def _learned(capture, camera, plate):
    """The scene, without the capture's own plate where that is wrong; what the user gave has to be right."""
    given = _given(capture, camera, plate)
    try:
        return learn(capture, camera, given)
    except WrongPlate as error:
        if plate != "auto":
            raise
        tqdm.write(f"  {error} The capture's own is not used.")
        return learn(capture, camera)


def _given(capture, camera, plate):
    """The plate that the user or the capture has for a camera, or None."""
    if plate == "auto":
        if camera not in capture.backgrounds:
            return None
        plate = capture.path / capture.backgrounds[camera]
    picture = read_image(Path(plate))
    if picture.shape[:2] != capture.cameras[camera].size:
        height, width = capture.cameras[camera].size
        raise ValueError(f"{plate} is {picture.shape[1]}x{picture.shape[0]} pixels, but {camera}'s pictures "
                         f"are {width}x{height}. Give a plate that this camera took.")
    return picture


# one picture

def mask_of(capture: Capture, shot: Shot, scene: Scene) -> tuple[np.ndarray, np.ndarray] | None:
    """The person in a shot's picture, and what is certain of it: (H, W) bool; None where nobody is known."""
    guide = guide_for(capture, shot, scene.shrink)
    if guide is None:
        return None
    picture = shrunk(read_image(capture.path / shot.image), scene.shrink)
    size = picture.shape[:2]
    picture = relit(picture, scene.plate.picture, guide.beyond(REACH, size) & scene.plate.seen)
    found = label(colours_of(picture[guide.window]), scene.plate, guide, scene.palette)
    person, certain = placed(found[0], guide, size), np.ones(size, bool)
    certain[guide.window] = found[1]
    if scene.shrink == 1:
        return person, certain
    height, width = capture.cameras[shot.camera].size
    larger = (height, width)[::-1]
    return tuple(np.asarray(Image.fromarray(np.uint8(255 * plane)).resize(
        larger, Image.Resampling.BILINEAR)) > level for plane, level in ((person, 127), (certain, 254)))


def _mask_one(capture, shot, scene, work):
    """Keep a picture's mask in the working folder; False where there is none."""
    found = mask_of(capture, shot, scene)
    if found is None or not found[0].any():
        return False
    person, certain = found
    if shot.mask is None and shot.certain is not None:  # what a lens does not show
        certain = certain & (read_mask(capture.path / shot.certain) > 127)
    for file, plane in zip(_files(work, shot), (person, certain), strict=True):
        with exchanged(file) as fresh:
            write_mask(fresh, plane)
    return True


# on disk

def _files(work, shot):
    """The mask, and after it what is certain of it."""
    return tuple(work / shot.camera / f"{shot.frame:04d}{name}.png" for name in ("", "_certain"))


def _work_folder(capture, plate):
    """The folder of an interrupted run that was asked the same, or a new one."""
    asked = hashlib.sha256()
    files = [capture.path / name for name in ("capture.json", "keypoints.npz", "poses.npz")]
    for file in [*files, *([] if plate == "auto" else [Path(plate)])]:
        asked.update(file.read_bytes() if file.is_file() else b"-")
    work, stamp = capture.path / UNFINISHED, capture.path / UNFINISHED / "asked"
    if not stamp.is_file() or stamp.read_text() != asked.hexdigest():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        stamp.write_text(asked.hexdigest())
    return work


def _write(capture: Capture, made: list[Shot], work: Path) -> Capture:
    """Move masks from the working folder to where they belong; capture.json is exchanged last."""
    file = capture.path / "capture.json"
    index = read_index(capture.path)
    made = {(shot.camera, shot.frame): shot for shot in made}
    for entry in index["shots"]:
        shot = made.get((entry["camera"], entry["frame"]))
        if shot is None:
            continue
        for kind, source in zip(("mask", "certain"), _files(work, shot), strict=True):
            entry[kind] = f"{'masks' if kind == 'mask' else kind}/{shot.camera}/{shot.frame:04d}.png"
            target = capture.path / entry[kind]
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    write_index(index, file)
    shutil.rmtree(work)
    return load_capture(capture.path)
