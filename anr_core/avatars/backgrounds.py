"""The scene behind a person, as each camera that rests sees it: one picture a camera, which is learned.

It begins with the plate that the capture has, with what the pictures show where the person is not, or with
any picture at all; training mends it wherever the person is seen not to be.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy import sparse
from scipy.ndimage import binary_dilation, distance_transform_edt, label, maximum_filter
from torch import nn
from torch.nn import functional

from anr_core.camera import Camera, pixel_centres
from anr_core.capture import Capture
from anr_core.telling import quoted

BEGINNINGS = ("plate", "median", "frame")
MEDIAN_OF = 25  # pictures, at the most, of a camera
# A plate is not believed where so many pictures show another colour by so much, which rests: half of them are
# as near to it as that. A hand that moves, and that a mask has missed, does not rest.
OFTEN, DOUBTFUL, STEADY = 6, 0.06, 0.03
# Of what is always hidden: how far around it pixels tell whether the plate is right there, how many hidden
# ones are worth asking, and the share of those around, wrong ones, from which on the plate is doubted.
EDGE, LEAST, WRONG = 4, 30, 0.15
APART = 9       # pixels, an odd number: the person is taken out of a median with so wide a margin


def mended(plate: torch.Tensor, median: torch.Tensor, times: torch.Tensor, spread: torch.Tensor
           ) -> torch.Tensor:
    """A plate (1, 3, h, w) rid of somebody who stands in it and is not there in the film.

    median, times, spread  as `Backgrounds` finds them

    Where pictures often show another colour, which rests, that is taken. Where the film's person always is,
    nobody knows; if at its edge much of the plate was wrong, what is inside is not believed either, and goes
    on as smoothly as it can from there.
    """
    seen = times >= OFTEN
    wrong = ((median - plate).abs().amax(1, keepdim=True) > DOUBTFUL) & (spread < STEADY) & seen
    plate = torch.where(wrong, median, plate)
    wrong, seen = wrong[0, 0].numpy(), seen[0, 0].numpy()
    hidden, count = label(~seen)
    doubted = np.zeros_like(seen)
    for region in range(1, count + 1):
        inside = hidden == region
        edge = binary_dilation(inside, iterations=EDGE) & seen
        if inside.sum() >= LEAST and wrong[edge].sum() > WRONG * edge.sum():
            # what was mended beside it may still hold something of who stands there
            doubted |= binary_dilation(inside, iterations=1)
    return smoothly_filled(plate[0], doubted)[None]


def smoothly_filled(picture: torch.Tensor, hole: np.ndarray) -> torch.Tensor:
    """A picture (C, h, w) whose pixels in a hole (h, w) are the mean of their four neighbours."""
    if not hole.any() or hole.all():
        return picture
    height, width = hole.shape
    rows, columns = np.nonzero(hole)
    number = np.full(hole.shape, -1)
    number[rows, columns] = np.arange(len(rows))
    values = picture.numpy()
    diagonal, right = np.zeros(len(rows)), np.zeros((len(rows), len(values)))
    ones, others = [], []
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y, x = rows + down, columns + across
        there = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        diagonal += there
        y, x, own = y[there], x[there], np.flatnonzero(there)
        neighbour = number[y, x]
        known = neighbour < 0
        np.add.at(right, own[known], values[:, y[known], x[known]].T)
        ones.append(own[~known])
        others.append(neighbour[~known])
    pairs = np.concatenate(ones), np.concatenate(others)
    between = sparse.coo_matrix((np.ones(len(pairs[0])), pairs), (len(rows),) * 2)
    solved = sparse.linalg.splu((sparse.diags(diagonal) - between).tocsc()).solve(right)
    filled = picture.clone()
    filled[:, torch.from_numpy(hole)] = torch.from_numpy(solved.T).to(filled)
    return filled


class Backgrounds(nn.Module):
    """Pictures of side x side pixels of what cameras see, whatever the shape of theirs.

    names  of the cameras
    K, R   (C, 3, 3), and `sizes` (C, 2), width and height: of the pictures as a whole
    """

    def __init__(self, names: Iterable[str], side: int):
        super().__init__()
        self.names, self.side = list(names), side
        count = len(self.names)
        self.pictures = nn.ParameterList(nn.Parameter(torch.full((3, side, side), 0.5)) for _ in self.names)
        for name, shape in (("K", (count, 3, 3)), ("R", (count, 3, 3)), ("sizes", (count, 2))):
            self.register_buffer(name, torch.zeros(shape))

    @torch.no_grad()
    def begin(self, capture: Capture, beginning: str) -> None:
        """Take cameras and first pictures from a capture, as one of BEGINNINGS says, or "frame N".

        A camera without a plate begins with the median; so does every one whose plate is not wanted. A plate
        that shows somebody whom most pictures don't is mended by the median there.
        """
        beginning, _, frame = beginning.partition(" ")
        if beginning not in BEGINNINGS or frame and not (beginning == "frame" and frame.isdecimal()):
            raise ValueError(f"background {quoted(f'{beginning} {frame}'.strip())} is unknown; use one of "
                             f"{', '.join(BEGINNINGS)}, or \"frame N\" with a frame's number.")
        for row, name in enumerate(self.names):
            camera = capture.cameras[name]
            self.K[row], self.R[row] = camera.K[0], camera.R[0]
            self.sizes[row] = torch.tensor(camera.size[::-1], dtype=torch.float32)
            views = capture.views([name])
            if beginning == "frame":
                first = capture.views([name], [int(frame)])[0] if frame else views[0]
                self.pictures[row].copy_(self._fitted(first.image)[0])
                continue
            median, times, spread = self._median(views)
            plate = capture.background(name) if beginning == "plate" else None
            if plate is not None:
                median = mended(self._fitted(plate), median, times, spread)
            self.pictures[row].copy_(median[0])

    def _fitted(self, pictures):
        return functional.interpolate(pictures, size=(self.side, self.side), mode="bilinear",
                                      align_corners=False, antialias=True)

    def _median(self, views):
        """(1, 3, side, side) the median of what is seen of each pixel while the person is elsewhere, and
        (1, 1, side, side) each: of how many pictures that is, and how far half of them differ from it at the
        most. Where the person always is, it is the nearest colour."""
        rows = np.unique(np.linspace(0, len(views) - 1, MEDIAN_OF).round().astype(int))
        seen = []
        for row in rows:
            view = views[int(row)]
            person = maximum_filter(((view.mask > 0.01) | ~view.certain)[0, 0].numpy(), APART)
            picture = self._fitted(view.image)[0].numpy()
            away = self._fitted(torch.from_numpy(person).float()[None, None])[0, 0].numpy() == 0
            seen.append(np.where(away, picture, np.nan).astype(np.float32))
        stacked = np.stack(seen)
        times = np.isfinite(stacked[:, 0]).sum(0)
        median, known = np.full(stacked.shape[1:], 0.5, np.float32), times > 0
        spread = np.ones(times.shape, np.float32)
        if known.any():
            seen = stacked[:, :, known]
            median[:, known] = np.nanmedian(seen, 0)
            spread[known] = np.nanmedian(np.abs(seen - median[:, known]).max(1), 0)
            nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
            median = median[(slice(None), *nearest)]
        return torch.from_numpy(median)[None], *(torch.from_numpy(plane)[None, None]
                                                 for plane in (times, spread))

    def picture(self, name: str) -> torch.Tensor | None:
        """(1, 3, H, W) the whole picture of a camera without the person, or None for one that is unknown."""
        if name not in self.names or not bool(self.sizes[self.names.index(name)].all()):
            return None
        row = self.names.index(name)
        width, height = self.sizes[row].int().tolist()
        return functional.interpolate(self.pictures[row].clamp(0, 1)[None], size=(height, width),
                                      mode="bilinear", align_corners=False, antialias=True)

    def forward(self, camera: Camera, names: list[str | None] | None,
                size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """What lies behind in windows of the cameras' pictures of size (H, W), and where that is known.

        camera   B cameras, of windows: shifted, scaled or turned, but standing where the named ones do
        returns  (B, 3, H, W), grey where nothing is known; (B, 1, H, W) 1 or 0
        """
        with torch.autocast(camera.K.device.type, enabled=False):  # places keep their digits
            return self._seen(camera, names, size)

    def _seen(self, camera, names, size):
        drawn = camera.K.new_full((len(camera), 3, *size), 0.5)
        known = torch.zeros_like(drawn[:, :1])
        pixels = functional.pad(pixel_centres(size)[0].to(drawn), (0, 1), value=1.0)
        found = []
        for index, name in enumerate(names or [None] * len(camera)):
            if name not in self.names:
                found.append((drawn[index], known[index]))
                continue
            row = self.names.index(name)
            whole_from_window = self.K[row] @ self.R[row] @ camera.R[index].mT @ camera.K[index].inverse()
            there = pixels @ whole_from_window.T
            places = 2 * there[:, :2] / there[:, 2:] / self.sizes[row] - 1
            # of NaN, as a camera that was never begun has it, a gradient on a CPU ends the program
            near = places.nan_to_num().clamp(-2, 2).view(1, *size, 2)
            sampled = functional.grid_sample(self.pictures[row][None], near,
                                             padding_mode="border", align_corners=False)[0]
            inside = (places.abs() < 1).all(-1).view(1, *size).to(drawn)
            found.append((sampled, inside))
        drawn, known = (torch.stack(planes) for planes in zip(*found, strict=True))
        return drawn.clamp(0, 1) if not torch.is_grad_enabled() else drawn, known


