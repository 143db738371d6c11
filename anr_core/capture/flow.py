"""Optical flow: where what is seen in one picture lies in another, and how far that can be believed.

A flow (B, 2, H, W) leads from each pixel of one picture so many pixels to the right and down, to a place in
the other. Which network or method finds it is said once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import get_worker_info

from anr_core.camera import pixel_centres
from anr_core.capture.pictures import Memory, read_image
from anr_core.pretrained import asked_once, had

if TYPE_CHECKING:
    from anr_core.capture.folder import Capture, Shot

# A step to the other picture and back may miss by less than this, pixels of the flow's own resolution.
# Source: Sun et al. 2021, at 512 pixels a side.
RETURNS = 1.0

# Pixels of the longer side at which flow is computed: larger pictures are shrunk. DIS takes 0.15 s a flow.
LONGEST = 512

# Decoded flows that are kept, bytes: 200 pairs.
MEMORY = 256 * 2**20

LEAST = {"dis": 12, "raft": 128}  # pixels a side, of which one finds anything
Box = tuple[int, int, int, int]  # left, top, right, bottom: whole pixels of a picture


def warped(pictures: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """What pictures (B, C, H, W) show where a flow (B, 2, H, W) leads, bilinear; 0 outside: see `lands`."""
    size = flow.new_tensor(flow.shape[:1:-1])[:, None, None]
    grid = (_centres(flow) + flow) * (2 / size) - 1
    return functional.grid_sample(pictures, grid.permute(0, 2, 3, 1), align_corners=False)


def lands(flow: torch.Tensor) -> torch.Tensor:
    """(B, 1, H, W) bool: where a flow (B, 2, H, W) leads to between pixels of the picture."""
    size = flow.new_tensor(flow.shape[:1:-1])[:, None, None]
    place = _centres(flow) + flow
    return ((place > 0.499) & (place < size - 0.499)).all(1, keepdim=True)  # 0.5 but for rounding


def consistent(flow: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """(B, 1, H, W) bool: where a flow (B, 2, H, W) and another, back, return to where they began.

    They may miss by less than a pixel of their own resolution; what is hidden in the other picture misses by
    more. Where either leads out of the picture, or is NaN, they don't. Source: Sundaram et al. 2010, and Sun
    et al. 2021, whose bound this is.
    """
    missed = (flow + warped(back, flow)).square().sum(1, keepdim=True)
    return lands(flow) & (missed < RETURNS**2)


def _centres(flow):
    """(2, H, W) the pixels' centres."""
    return pixel_centres(flow.shape[2:]).to(flow)[0].T.unflatten(1, flow.shape[2:])


def resized(flow: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A flow (B, 2, h, w) of pictures of size (H, W): vectors grow as the pictures do."""
    times = [whole / part for whole, part in zip(size, flow.shape[2:], strict=True)]
    return _scaled(flow, size) * flow.new_tensor(times[::-1])[:, None, None]


def _scaled(planes, size):
    return functional.interpolate(planes, size=size, mode="bilinear", align_corners=False, antialias=True)


# computing it


def computed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Flow (H, W, 2) float32 of one picture (H, W, 3) uint8 to another, by OpenCV's DIS; no network.

    Pictures have 12 pixels a side at the least. Source: Kroeger et al., Fast optical flow using dense
    inverse search, 2016.
    """
    import cv2  # the one place

    cv2.setNumThreads(1)  # torch has the others
    grey = [cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY) for picture in (one, other)]
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)  # every pixel: four times as long as every second, and half the error on clothes
    return search.calc(*grey, None)


@asked_once
def _raft():
    """RAFT on the GPU, or None where its weights can't be had."""
    def build():
        from torchvision.models.optical_flow import Raft_Large_Weights, raft_large

        return raft_large(weights=Raft_Large_Weights.DEFAULT).eval().requires_grad_(False).cuda()

    return had("Optical flow by RAFT", build)


def _by_raft(one, other):
    """The same as `computed` by a network, for pictures of 128 pixels a side or more. Teed and Deng 2020."""
    height, width = one.shape[:2]
    pictures = torch.from_numpy(np.stack([one, other])).permute(0, 3, 1, 2).float() / 127.5 - 1
    pictures = functional.pad(pictures, (0, -width % 8, 0, -height % 8), mode="replicate")
    network = _raft()
    with torch.no_grad():
        pictures = pictures.to(next(network.parameters()))
        flow = network(pictures[:1], pictures[1:])[-1][0, :, :height, :width]
    return flow.permute(1, 2, 0).float().cpu().numpy()


@asked_once
def _method(worker: int | None) -> str:
    """How flow is computed, here or in a worker process: "raft", or "dis"; one printed line says so.

    A worker process has no GPU, whatever was found where it comes from.
    """
    if worker is None and torch.cuda.is_available() and _raft() is not None:
        return "raft"
    if not worker:
        print("Optical flow by OpenCV's DIS is used.", file=sys.stderr)
    return "dis"


# a capture's


class Flows:
    """Flow between shots of one camera, from the capture's own files where it has any, else computed.

    The truth of studio captures takes no part: it is for judging.
    """

    def __init__(self, capture: Capture):
        self.capture, self.memory = capture, Memory(MEMORY)

    def back(self, earlier: Shot, later: Shot, box: Box) -> torch.Tensor:
        """(1, 3, h, w) flow from the later picture to the earlier one in a box of both, pixels, and trust.

        Trust is 1 where the way there and back ends where it began, in the box, else 0, and the flow is 0
        there. Masks have no say in it.
        """
        left, top, right, bottom = box
        known, size = self._filed(earlier, later), (bottom - top, right - left)
        if known:  # of the picture as a whole
            size, box = self.capture.cameras[later.camera].size, None
        planes = self.memory.get((earlier.image, later.image, box),
                                 lambda: _trusted(*(self._read(later) if known else
                                                    self._computed(earlier, later, box))))
        flow, share = (torch.from_numpy(plane).float() for plane in planes)
        flow, share = resized(flow, size), _scaled(share, size)
        if known:
            flow, share = (plane[..., top:bottom, left:right] for plane in (flow, share))
        trusted = (share > 0.999) & lands(flow)
        return torch.cat([torch.where(trusted, flow, 0), trusted.to(flow)], 1)

    def _filed(self, earlier, later):
        """Whether the source had the flow."""
        # numbers that leave some out were thinned by `prepare`, and flow leads from one picture to the next
        return later.frame - earlier.frame == 1 and self.capture.knows(later, "flow", "flow_inv")

    def _read(self, later):
        """What the source had: from the later picture to the one before it, and back; (1, 2, h, w) both."""
        flows = [self.capture.truth(later, name) for name in ("flow_inv", "flow")]
        if len({flow.shape for flow in flows}) > 1 or flows[0].shape[2:] != (2,):
            raise ValueError(f"{self.capture.path / later.truth} holds no flow of one size, there and back. "
                             "Prepare it again.")
        return [_as_planes(flow) for flow in flows]

    def _computed(self, earlier, later, box):
        """The same of a box, at the resolution at which it is computed."""
        left, top, right, bottom = box
        height, width = bottom - top, right - left
        times = min(1.0, LONGEST / max(height, width))
        size = tuple(max(1, round(side * times)) for side in (height, width))
        pictures = [read_image(self.capture.path / shot.image)[top:bottom, left:right]
                    for shot in (later, earlier)]
        if times < 1:
            pictures = [_shrunk(picture, size) for picture in pictures]
        if min(size) < LEAST["dis"]:  # too few pixels: nothing returns to where it began
            return [torch.full((1, 2, *size), torch.nan)] * 2
        worker = get_worker_info()
        network = _method(worker and worker.id) == "raft" and min(size) >= LEAST["raft"]
        find = _by_raft if network else computed
        return [_as_planes(find(*pair)) for pair in (pictures, pictures[::-1])]


def _as_planes(flow):
    """(H, W, 2) as (1, 2, H, W)."""
    return torch.from_numpy(flow).float().permute(2, 0, 1)[None]


def _trusted(flow, back):
    """A flow (1, 2, H, W) float16, 0 where it doesn't return, and (1, 1, H, W) bool where it does."""
    trusted = consistent(flow, back)
    return torch.where(trusted, flow, 0).half().numpy(), trusted.numpy()


def _shrunk(picture, size):
    """A picture (H, W, 3) uint8 at a smaller size (h, w), anti-aliased."""
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    return _scaled(planes, size)[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
