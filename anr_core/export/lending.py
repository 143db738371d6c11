"""Whose looks: an avatar that looks at a picture takes one of a capture, the most frontal, or any other."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from anr_core.avatars import Avatar
from anr_core.avatars.run import check_surface
from anr_core.camera import Camera
from anr_core.capture import Capture, View, load_capture, resample
from anr_core.capture.pictures import read_image
from anr_core.capture.views import as_floats
from anr_core.capture.window import BODY_MARGIN
from anr_core.telling import listed

CANDIDATES = 60  # pictures out of which the one that lends the looks is chosen
LARGEST = 512  # pixels of a picture that lends them


def lent(avatar: Avatar, looks: str, person: Capture | None) -> Avatar:
    """Another avatar in somebody's looks, as `look_like` reads them, with the networks of this one."""
    shared = {id(part): part for part in avatar.children()}  # networks and body stay one
    other = copy.deepcopy(avatar, shared)
    look_like(other, looks, person)
    return other


def look_like(avatar: Avatar, looks: str, person: Capture | None) -> Capture | None:
    """Give an avatar somebody's looks; returns the capture of who is to be posed.

    looks   a capture's folder, CAPTURE:CAMERA:FRAME, or a picture of one person
    person  who is posed where the looks' owner has no body
    """
    if avatar.draws != "view pair":
        raise ValueError(f"A {avatar.config.system} avatar has one person's looks, and doesn't take them "
                         "from pictures. Leave --looks out, or name a run of system gaussian.")
    folder, _, place = looks.partition(":")
    if not (Path(folder) / "capture.json").is_file():
        avatar.lend(whole_picture(Path(looks)))
        return person
    capture = load_capture(folder)
    camera, _, frame = place.partition(":")
    chosen = capture if not place else capture.only(
        lambda shot: shot.camera == camera and (not frame or str(shot.frame) == frame))
    if not chosen.shots:
        raise ValueError(f"{folder} has no picture of camera {camera!r}, frame {frame or 'any'}; its "
                         f"cameras are {listed(capture.cameras)}.")
    if capture.registration is None:
        avatar.lend(_around_mask(chosen))
        return person
    check_surface(capture, avatar.surface)
    chosen = chosen.evenly(CANDIDATES)
    views = chosen.views(crop="body", size=avatar.config.source_size)
    pictures = (views[row] for row in range(len(views)))
    avatar.lend(*avatar.most_frontal((view.to(avatar.device), capture.body(view.pose).on(avatar.surface))
                                     for view in pictures))
    return capture


def whole_picture(file: Path) -> View:
    """A picture of one person, background and all, whom nobody has masked."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist. Name a capture, CAPTURE:CAMERA:FRAME, or a picture "
                                "of a person.")
    image = as_floats(read_image(file))
    everywhere = torch.ones_like(image[:, :1])
    side = float(max(image.shape[2:]))
    size = image.shape[3], image.shape[2]
    K = torch.tensor([[[side, 0, size[0] / 2], [0, side, size[1] / 2], [0, 0, 1]]])
    camera = Camera(K, torch.eye(3)[None], torch.zeros(1, 3), size=size[::-1])
    view = View(image, everywhere, everywhere > 0, camera, None, None, [""], [""], torch.zeros(1, dtype=int),
                torch.zeros(1))
    return _square(view, torch.tensor([size]) / 2, side)


def _around_mask(capture: Capture) -> View:
    """A square around the person in the first picture that has a mask, of a capture without a body."""
    for shot in capture.shots:
        view = capture.views([shot.camera], [shot.frame])[0]
        rows, columns = (view.mask[0, 0] > 0.5).nonzero().unbind(1)
        if len(rows):
            low, high = (torch.stack([columns, rows], 1).float().aminmax(dim=0))
            return _square(view, (low + high)[None] / 2, BODY_MARGIN * float((high - low).max()))
    raise ValueError(f"{capture.path} has no mask, so nobody knows where in its pictures the person is. Make "
                     f"them: python -m anr_core annotate {capture.path}")


def _square(view, center, side):
    return resample(view, center, torch.tensor([side]), torch.zeros(1), round(min(side, LARGEST)))
