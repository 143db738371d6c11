"""The views of a capture: pictures read when they are asked for, cropped around the body, masks drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset

from anr_core.capture.outline import drawn_mask, near_outline
from anr_core.capture.pictures import read_channels, read_image, read_mask
from anr_core.capture.view import View
from anr_core.capture.window import BODY_MARGIN, body_box, resample, resize
from anr_core.parts.densepose import PARTS

if TYPE_CHECKING:
    from anr_core.capture.folder import Capture, Shot

# How far around the body `crop="loose"` reaches, as a multiple of its box: enough for a crop that is 1.2
# times as large and turned by 20 degrees.
LOOSE_MARGIN = 1.8

# Of the picture's longer side: what reaches farther is no person, nor part of one.
LARGEST_BODY = 50

# A body's projection misses clothes by up to this part of the picture's longer side: 8 of 960 pixels.
DOUBT = 8 / 960


class Views(Dataset):
    """A lazy sequence of views, each a batch of one; `shots` tells in the same order what they are.

    labelled  views carry the labels that the truth keeps
    """

    def __init__(self, capture: Capture, shots: list[Shot], crop: str | None,
                 size: int | tuple[int, int] | None, labelled: bool = False):
        wants_size = {None: (tuple, type(None)), "body": (int,), "loose": (type(None),)}
        if crop not in wants_size:
            raise ValueError(f"crop is {crop!r}; use None, 'body' or 'loose'.")
        if not isinstance(size, wants_size[crop]):
            raise ValueError(f"crop {crop!r} doesn't go with size {size!r}: None takes (H, W) or None, "
                             "'body' takes one number of pixels, 'loose' takes None.")
        self.capture, self.shots, self.crop, self.size = capture, shots, crop, size
        self.labelled = labelled
        self._squares: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # so that a body is posed once
        # there is no crop around a person whom nobody found: capture.body says so
        self.body = capture.registration if crop is None else capture.body

    def __len__(self) -> int:
        return len(self.shots)

    def __getitem__(self, index: int) -> View:
        shot = self.shots[index]
        camera = self.capture.cameras[shot.camera]
        if self.crop is None:
            view = self._view(shot, camera, self._whole(shot))
            return view if self.size is None else resize(view, self.size)
        center, side = self.square(index)
        box = self.box(index)
        planes = self.capture.memory.get((shot.image, box), lambda: self._read(shot, box))
        left, top, right, bottom = box
        view = self._view(shot, camera.crop(left, top, right - left, bottom - top), planes, (left, top))
        if self.crop == "loose":
            return view
        corner = center.new_tensor([left, top])
        return resample(view, center - corner, BODY_MARGIN * side, side.new_zeros(1), self.size)

    def part(self, index: int, box: tuple[int, int, int, int]) -> View:
        """A box (left, top, right, bottom) of a picture, in whole pixels that lie in it, as it is."""
        shot = self.shots[index]
        left, top, right, bottom = box
        planes = [plane[top:bottom, left:right] for plane in self._whole(shot)]
        camera = self.capture.cameras[shot.camera].crop(left, top, right - left, bottom - top)
        return self._view(shot, camera, planes, (left, top))

    def border(self, index: int) -> torch.Tensor:
        """(1, 3 + C) the median colour of a picture's outermost pixels, and that of its input's."""
        image, _, _, *given = self._whole(self.shots[index])
        lines = [[plane[rows, columns] for rows, columns in
                  ((0, slice(None)), (-1, slice(None)), (slice(None), 0), (slice(None), -1))]
                 for plane in (image, *given)]
        colours = [torch.from_numpy(np.median(np.concatenate(line), 0)) / np.iinfo(line[0].dtype).max
                   for line in lines]
        return torch.cat(colours)[None].float()

    def _whole(self, shot):
        """What `_read` reads of a picture as a whole; pairs are kept, as training comes back to them."""
        box = 0, 0, *reversed(self.capture.cameras[shot.camera].size)
        if shot.input is None:
            return self._read(shot, box)
        return self.capture.memory.get((shot.image, box), lambda: self._read(shot, box))

    def body_square(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Around the body in a loose crop: centre (1, 2) and side (1,), pixels."""
        center, side = self.square(index)
        return center - center.new_tensor(self.box(index)[:2]), side

    def square(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same in the whole picture."""
        if index not in self._squares:
            shot = self.shots[index]
            camera = self.capture.cameras[shot.camera]
            center, side = body_box(camera, self.body(self._pose(shot)).vertices)
            if not float(side) < LARGEST_BODY * max(camera.size):
                raise ValueError(f"{self.capture.path / shot.image}: the body of frame {shot.frame} lies "
                                 "behind the camera, or reaches far beyond the picture. Fit it again, or "
                                 "leave the picture out.")
            self._squares[index] = center, side
        return self._squares[index]

    def box(self, index: int) -> tuple[int, int, int, int]:
        """The loose crop (left, top, right, bottom) in the whole picture, pixels."""
        center, side = self.square(index)
        return _inside(center[0], LOOSE_MARGIN * side[0], self.capture.cameras[self.shots[index].camera].size)

    def _pose(self, shot):
        """Of a shot, or None where there is no registration."""
        return None if self.body is None else self.capture.pose(torch.tensor([shot.frame]))

    def _view(self, shot, camera, planes, corner=(0, 0)):
        image, mask, certain, *given = planes
        frame, keypoints = torch.tensor([shot.frame]), self.capture.keypoints.get((shot.camera, shot.frame))
        if keypoints is not None:
            keypoints = keypoints[None] - torch.tensor([*corner, 0])
        return View(as_floats(image), as_floats(mask[..., None]), torch.from_numpy(certain)[None, None],
                    camera, self._pose(shot), keypoints, [self.capture.person], [shot.camera], frame,
                    frame / self.capture.fps, as_floats(given[0]) if given else None,
                    labels=self._labels(shot, corner, image.shape[:2]) if self.labelled else None)

    def _labels(self, shot, corner, size):
        """(1, 3, h, w) of a box of a picture."""
        left, top = corner

        def read():
            whole = self.capture.truth(shot, "iuv")
            if whole.ndim != 3 or whole.shape[2] != 3 or whole.dtype != np.uint8 or \
                    whole[..., 0].max(initial=0) > PARTS:
                raise ValueError(f"{self.capture.path / shot.truth} holds labels that are none of "
                                 "DensePose's. Prepare it again.")
            return whole[top:top + size[0], left:left + size[1]].copy(),

        kept, = self.capture.memory.get((shot.truth, corner, size), read)
        if kept.shape[:2] != size:
            raise ValueError(f"{self.capture.path / shot.truth} holds labels of another size than "
                             f"{shot.image}. Prepare it again.")
        return torch.from_numpy(kept).permute(2, 0, 1)[None] / torch.tensor([1.0, 255, 255])[:, None, None]

    def _read(self, shot, box):
        """Image, mask, certain and what input there is of a box (left, top, right, bottom) of a picture."""
        size = self.capture.cameras[shot.camera].size
        planes = [self._sized(read_image, shot.image, shot)]  # before room is made for a mask of its size
        planes += self._mask(shot, size)
        planes += [] if shot.input is None else [self._sized(read_channels, shot.input, shot)]
        left, top, right, bottom = box
        return tuple(plane[top:bottom, left:right].copy() for plane in planes)

    def _sized(self, read, name, shot):
        """A picture of a shot, which has to be of its camera's size."""
        file, size = self.capture.path / name, self.capture.cameras[shot.camera].size
        plane = read(file)
        if plane.shape[:2] != size:
            raise ValueError(f"{file} is {plane.shape[1]}x{plane.shape[0]} pixels, but in capture.json "
                             f"{shot.camera} is {size[1]}x{size[0]}. Prepare it again.")
        return plane

    def _mask(self, shot, size):
        """A shot's mask, drawn where nobody measured it, and what is certain: without a body nothing."""
        certain = self._sized(read_mask, shot.certain, shot) > 0 if shot.certain else np.ones(size, bool)
        if shot.mask is not None:
            return self._sized(read_mask, shot.mask, shot), certain
        if shot.input is not None and shot.known:
            return np.full(size, 255, np.uint8), certain  # the picture as a whole is what is to be drawn
        if self.body is None:
            return np.zeros(size, np.uint8), np.zeros(size, bool)
        posed = self.body(self._pose(shot))
        mask = drawn_mask(posed.vertices, posed.surface.faces, self.capture.cameras[shot.camera])
        return mask, certain & ~near_outline(mask > 0, DOUBT * max(size))


def _inside(center, side, size):
    """The whole pixels (left, top, right, bottom) of a square that lie in the picture, at least one."""
    low, high = (center - side / 2).floor().long(), (center + side / 2).ceil().long()
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    left, top = min(max(left, 0), size[1] - 1), min(max(top, 0), size[0] - 1)
    return left, top, max(min(right, size[1]), left + 1), max(min(bottom, size[0]), top + 1)


def as_floats(image: np.ndarray) -> torch.Tensor:
    """(H, W, C) uint8 or uint16 as (1, C, H, W) in [0, 1]."""
    whole = torch.from_numpy(image if image.dtype == np.uint8 else image.astype(np.int32))
    return whole.permute(2, 0, 1)[None].float() / np.iinfo(image.dtype).max
