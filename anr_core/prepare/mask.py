"""A still camera's pictures in, masks of the person out: what differs from the scene behind them.

The scene is learned from a few pictures spread over the recording, in two rounds: at first what lies far from
keypoints and body is free of the person, then what the first masks leave. Then each picture is labelled on
its own. Masks are kept in a folder of the capture until all are there, so what is killed goes on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion
from tqdm import tqdm

from anr_core.capture import Capture, Shot, load_capture
from anr_core.capture.outline import drawn_mask
from anr_core.capture.pictures import read_image, read_mask, write_mask
from anr_core.capture.writing import exchanged
from anr_core.prepare.guide import REACH, Guide, guide_of
from anr_core.prepare.labelling import Palette, label
from anr_core.prepare.plate import Plate, alike, colours_of, plate_of, relit, unlike
from anr_core.skeleton import KEYPOINT_SETS

UNFINISHED = ".masks"     # folder of a capture: CAMERA/0008.png and CAMERA/0008_certain.png
LOOKED_AT = 20            # pictures that the scene is learned from
WORKING_HEIGHT = 700      # pixels: of a person who is taller the pictures are shrunk, by a whole number
NEAR = 0.06               # of the height: so far outside of the naked person few clothes reach
AROUND = 0.015            # of the height: so far around the first mask may be the person
PLAIN = 1e-4              # density of the plate's colours below which a pixel is not of the plate
PERSONAL = 3e-6           # density of the person's colours above which a pixel may be the person's
LEAST_OWN = 0.3           # of the pixels along the bones, that are unlike the plate; else all are taken
# Shares of pixels: of the scene that the plate doesn't explain, and of the person that it does.
OTHER_SCENE, SAME_AS_PERSON = 0.25, 0.3


@dataclass(frozen=True)
class Scene:
    """What was learned of one camera: its plate, the person's colours, and how much pictures are shrunk."""

    plate: Plate
    palette: Palette
    shrink: int


class WrongPlate(ValueError):
    """A given plate that is of another scene, or shows the person."""


def mask(folder: Path, plate: str | Path = "auto", cameras: Iterable[str] | None = None,
         again: bool = False) -> Capture:
    """Mask the person in the pictures of still cameras that have no mask, and write that into the capture.

    plate    a picture of the scene without the person; auto takes the capture's own, and what the pictures
             show beside the person
    cameras  these alone
    again    make masks that are there already anew

    Raises ValueError for a camera that moves, and for a plate of another size, of another scene, or that
    shows the person. Then nothing is written.
    """
    capture = load_capture(folder)
    names = _chosen(capture, cameras, plate)
    lacking = [shot for shot in capture.shots if shot.camera in names and (again or shot.mask is None)]
    if not lacking:
        print(f"all {len(capture.shots)} pictures have masks; --again makes them anew")
        return capture
    work = _work_folder(capture, plate)
    made, lost = [], []
    with tqdm(total=len(lacking), unit="picture") as bar:
        for name in names:
            shots = [shot for shot in lacking if shot.camera == name]
            bar.set_description(name)
            left = [shot for shot in shots if not _files(work, shot)[1].is_file()]
            scene = _learned(capture, name, plate) if left else None
            for shot in shots:
                if shot in left and not _mask_one(capture, shot, scene, work):
                    lost.append(shot)
                else:
                    made.append(shot)
                bar.update()
    written = _write(capture, made, work)
    print(f"  {len(made)} pictures have new masks" + _told(lost))
    return written


def _chosen(capture, cameras, plate):
    known = list(capture.cameras)
    names = known if cameras is None else list(dict.fromkeys(cameras))
    if missing := [name for name in names if name not in known]:
        raise ValueError(f"{capture.path} has no camera {missing[0]}; it has {', '.join(known)}.")
    if plate != "auto" and len(names) > 1:
        raise ValueError(f"One plate is of one camera, but there are {len(names)}. Name it: --cameras "
                         f"{names[0]}")
    if capture.skeleton not in KEYPOINT_SETS and capture.registration is None:
        raise ValueError(f"{capture.path} has neither keypoints nor a body to tell where the person is. Lay "
                         "keypoints beside the pictures and prepare it again, or annotate it.")
    return names


def _told(lost):
    if not lost:
        return ""
    named = ", ".join(f"{shot.camera}/{shot.frame:04d}" for shot in lost[:4])
    return f"; {len(lost)} have none, as nobody knows where the person is there: {named}" + \
        (", ..." if len(lost) > 4 else "")


# learning the scene

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


def learn(capture: Capture, camera: str, given: np.ndarray | None = None) -> Scene:
    """What a still camera sees behind the person, and the person's colours, out of a few pictures."""
    shots = [shot for shot in capture.shots if shot.camera == camera]
    shots = [shots[place] for place in
             np.unique(np.linspace(0, len(shots) - 1, LOOKED_AT).round().astype(int))]
    guides = {shot: guide for shot in shots if (guide := guide_for(capture, shot)) is not None}
    if len(guides) < 2:
        raise ValueError(f"{camera}: the person was found in {len(guides)} of {len(shots)} pictures; a plate "
                         "needs 2 or more that show where the person is not.")
    shrink = max(1, round(float(np.median([guide.height for guide in guides.values()])) / WORKING_HEIGHT))
    if shrink > 1:
        guides = {shot: guide_for(capture, shot, shrink) for shot in guides}
    guides = list(guides.items())
    pictures = np.stack([_shrunk(read_image(capture.path / shot.image), shrink) for shot, _ in guides])
    guides = [guide for _, guide in guides]
    size = pictures.shape[1:3]
    given = None if given is None else _shrunk(given, shrink)
    free, near = (np.stack([guide.beyond(distance, size) for guide in guides]) for distance in (REACH, NEAR))
    core = np.stack([_placed(guide.core, guide, size) for guide in guides])
    _take_out(near, pictures, guides, _palette(pictures, core))  # a skirt is near in all pictures, no scene
    plate = _plate(camera, pictures, free, near, given, core)
    palette = _palette(pictures, core, plate)
    for picture, guide, there, person in zip(pictures, guides, free, core, strict=True):
        found = label(colours_of(picture[guide.window]), plate, guide, palette)[0]
        found = _placed(found, guide, size)
        there[:] = ~binary_dilation(found, iterations=max(2, round(AROUND * guide.height)))
        there[guide.window] &= guide.outside > 0
        person |= binary_erosion(found)
    plate = _plate(camera, pictures, free, None, given, core)
    return Scene(plate, _palette(pictures, core), shrink)


def _plate(camera, pictures, free, near, given, core):
    """`plate_of` pictures, which are brought to one light in place; raises ValueError where it won't do."""
    try:
        plate = plate_of(pictures, free, near)
    except ValueError as error:
        raise ValueError(f"{camera}: {error}. Film the scene without the person, and give that picture: "
                         "--plate IMAGE") from None
    for picture, there in zip(pictures, free, strict=True):
        picture[:] = relit(picture, plate.picture, there & plate.seen)
    if (wrong := unlike(pictures, free & plate.seen, plate.picture)) > OTHER_SCENE:
        raise ValueError(f"{camera}: {wrong:.0%} of the scene beside the person changes from picture to "
                         "picture, so the camera moves. A mask needs a camera that stands still; annotate "
                         "finds masks without.")
    if given is not None:
        given = relit(given, plate.picture, plate.seen)
        if (wrong := unlike(plate.picture[None], plate.seen[None], given)) > OTHER_SCENE:
            raise WrongPlate(f"{camera}: {wrong:.0%} of the scene beside the person looks different in the "
                             "plate. Give a picture that this camera took from its place, or none.")
        if (same := alike(pictures, core, given)) > SAME_AS_PERSON:
            raise WrongPlate(f"{camera}: where the person is, {same:.0%} of the pictures look like the "
                             "plate, so it shows the person. Give a picture of the scene alone, or none.")
    return plate_of(pictures, free, near, given, core)


def _palette(pictures, core, plate=None):
    """The person's colours along the bones, but for what may be the scene beside them."""
    palette = Palette()
    for picture, person in zip(pictures, core, strict=True):
        colours = colours_of(picture[person])
        own = np.ones(len(colours), bool) if plate is None else \
            plate.density(colours, np.nonzero(person)) < PLAIN
        palette.add(colours[own] if own.sum() > LEAST_OWN * len(own) else colours)
    return palette


def _take_out(near, pictures, guides, palette):
    """Of pixels near the person those that have the person's colours."""
    for there, picture, guide in zip(near, pictures, guides, strict=True):
        band = (guide.outside > NEAR) & (guide.outside <= REACH)
        there[guide.window][band] = palette.density(colours_of(picture[guide.window][band])) < PERSONAL


def _placed(part, guide, size):
    whole = np.zeros(size, bool)
    whole[guide.window] = part
    return whole


def _shrunk(picture, by):
    return picture if by == 1 else np.asarray(Image.fromarray(picture).reduce(by))


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

def guide_for(capture: Capture, shot: Shot, shrink: int = 1) -> Guide | None:
    """Where the person can be in a shot's picture, shrunk by a whole number."""
    size = tuple(-(-side // shrink) for side in capture.cameras[shot.camera].size)
    points, names, body = capture.keypoints.get((shot.camera, shot.frame)), (), None
    if capture.skeleton not in KEYPOINT_SETS:
        points = None
    if points is not None:
        points = points.numpy() / np.float32([shrink, shrink, 1])
        names = KEYPOINT_SETS[capture.skeleton].names
    if capture.registration is not None:
        posed = capture.body(capture.pose(torch.tensor([shot.frame])))
        body = drawn_mask(posed.vertices, posed.surface.faces, capture.cameras[shot.camera].resize(size)) > 0
    return guide_of(size, points, names, body)


def mask_of(capture: Capture, shot: Shot, scene: Scene) -> tuple[np.ndarray, np.ndarray] | None:
    """The person in a shot's picture, and what is certain of it: (H, W) bool; None where nobody is known."""
    guide = guide_for(capture, shot, scene.shrink)
    if guide is None:
        return None
    picture = _shrunk(read_image(capture.path / shot.image), scene.shrink)
    size = picture.shape[:2]
    picture = relit(picture, scene.plate.picture, guide.beyond(REACH, size) & scene.plate.seen)
    found = label(colours_of(picture[guide.window]), scene.plate, guide, scene.palette)
    person, certain = _placed(found[0], guide, size), np.ones(size, bool)
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
    index = json.loads(file.read_text(encoding="utf-8"))
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
    with exchanged(file) as fresh:
        fresh.write_text(json.dumps(index, indent=1), encoding="utf-8")
    shutil.rmtree(work)
    return load_capture(capture.path)
