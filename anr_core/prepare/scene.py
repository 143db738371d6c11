"""What a still camera sees behind a person, and the person's colours, learned from a few of its pictures.

In two rounds: at first what lies far from keypoints and body is free of the person, then what the first
masks leave. Pictures of large people are shrunk; all that is learned is of the shrunk ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from anr_core.capture import Capture, Shot
from anr_core.capture.keypoints import of_body
from anr_core.capture.outline import drawn_mask
from anr_core.capture.pictures import read_image
from anr_core.prepare.guide import REACH, Guide, guide_of
from anr_core.prepare.labelling import Palette, label
from anr_core.prepare.plate import Plate, alike, colours_of, plate_of, relit, unlike
from anr_core.skeleton import KEYPOINT_SETS
from anr_core.telling import reason

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


def learn(capture: Capture, camera: str, given: np.ndarray | None = None) -> Scene:
    """What a still camera sees behind the person, and the person's colours, out of a few pictures."""
    shots = [shot for shot in capture.shots if shot.camera == camera]
    shots = [shots[place] for place in
             np.unique(np.linspace(0, len(shots) - 1, LOOKED_AT).round().astype(int))]
    guides = {shot: guide for shot in shots if (guide := guide_for(capture, shot)) is not None}
    if len(guides) < 2:
        raise ValueError(f"{camera}: the person was found in {len(guides)} of {len(shots)} pictures; "
                         "what is behind needs 2 or more to be told from. annotate finds masks without.")
    shrink = max(1, round(float(np.median([guide.height for guide in guides.values()])) / WORKING_HEIGHT))
    if shrink > 1:
        guides = {shot: guide_for(capture, shot, shrink) for shot in guides}
    guides = list(guides.items())
    pictures = np.stack([shrunk(read_image(capture.path / shot.image), shrink) for shot, _ in guides])
    guides = [guide for _, guide in guides]
    size = pictures.shape[1:3]
    given = None if given is None else shrunk(given, shrink)
    free, near = (np.stack([guide.beyond(distance, size) for guide in guides]) for distance in (REACH, NEAR))
    core = np.stack([placed(guide.core, guide, size) for guide in guides])
    _take_out(near, pictures, guides, _palette(pictures, core))  # a skirt is near in all pictures, no scene
    plate = _plate(camera, pictures, free, near, given, core)
    palette = _palette(pictures, core, plate)
    for picture, guide, there, person in zip(pictures, guides, free, core, strict=True):
        found = label(colours_of(picture[guide.window]), plate, guide, palette)[0]
        found = placed(found, guide, size)
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
        raise ValueError(f"{camera}: {reason(error)}. Film the scene without the person, and give that "
                         "picture: --plate IMAGE") from None
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


def placed(part, guide, size):
    """A part of a picture in a guide's window, as a whole picture (H, W) bool of a size."""
    whole = np.zeros(size, bool)
    whole[guide.window] = part
    return whole


def shrunk(picture, by):
    """A picture so many times smaller, each pixel the mean of those it stands for."""
    return picture if by == 1 else np.asarray(Image.fromarray(picture).reduce(by))


def guide_for(capture: Capture, shot: Shot, shrink: int = 1) -> Guide | None:
    """Where the person can be in a shot's picture, shrunk by a whole number."""
    size = tuple(-(-side // shrink) for side in capture.cameras[shot.camera].size)
    points, names, body = capture.keypoints.get((shot.camera, shot.frame)), (), None
    found, skeleton = of_body({} if points is None else {shot: points}, capture.skeleton)
    points = found.get(shot) if skeleton in KEYPOINT_SETS else None
    if points is not None:
        points = points.numpy() / np.float32([shrink, shrink, 1])
        names = KEYPOINT_SETS[skeleton].names
    if capture.registration is not None:
        posed = capture.body(capture.pose(torch.tensor([shot.frame])))
        body = drawn_mask(posed.vertices, posed.surface.faces, capture.cameras[shot.camera].resize(size)) > 0
    return guide_of(size, points, names, body)
