"""2D poses as pictures: every limb a channel of its own, with how far along and across it a pixel lies.

Sun et al. and most others draw limbs in colours into one picture of three channels; a network then has first
to find out which limb is which. Hands and face, of which a detector tells many small edges or none, have one
channel each.
"""

from __future__ import annotations

import colorsys
import math

import torch
from torch.nn import functional

from anr_core.skeleton import Skeleton

RADIUS = 0.025  # of a picture's longer side: how far from a limb its channel falls to 1 / e
FINE = 0.5      # of that, for fingers and the face's lines
# Maps are nearly empty: what a network's first layer makes of them is of size 1 only if what is there is so
# large. With 1, after 300 steps of a generator's training, parts had a cross-entropy of 0.33, with 10 0.25.
STRENGTH = 10.0
FARTHEST = 1e3  # radii from the picture's corner that a joint is drawn at
LEAST = 0.05    # confidence at and below which nothing is drawn
SURE = 0.3      # from which on it is drawn in full
COARSE = 4      # pixels of the picture, a side, to one of the maps

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_FACE = ("jaw", "chin", "brow", "nose_bridge", "nostril", "nose_base", "lid", "lip", "mouth", "pupil")
GROUPS = ("left hand", "right hand", "face")


def _group(name):
    """Which of GROUPS a joint is of; None for the body's own."""
    side, _, stem = name.partition("_")
    if side in ("left", "right") and any(stem.startswith(finger) and stem[len(finger):].isdigit()
                                         for finger in _FINGERS):
        return f"{side} hand"
    stem = stem if side in ("left", "right") else name
    return "face" if stem.startswith(_FACE) else None


class Limbs:
    """Draws points of a skeleton.

    channels  four of each of the body's edges and joints (three of an edge, one of a joint), three of GROUPS
    """

    def __init__(self, skeleton: Skeleton):
        groups = [_group(name) for name in skeleton.names]
        self.joints = [joint for joint, group in enumerate(groups) if group is None]
        self.edges, self.fine = [], {group: [] for group in GROUPS}
        for a, b in skeleton.edges:
            group = groups[a] or groups[b]
            (self.edges if group is None else self.fine[group]).append((a, b))
        self.channels = 3 * len(self.edges) + len(self.joints) + len(GROUPS)

    def __call__(self, points: torch.Tensor, size: tuple[int, int], whole: float | None = None
                 ) -> torch.Tensor:
        """(B, C, h, w) maps of pictures of size (H, W), a quarter of it and rounded up.

        points  (B, K, 3)  pixels and confidence, which may lie outside of the picture
        whole   the longer side of the picture that these are windows of at its scale, pixels; None for their
                own: limbs are as thick as that says, so that who is seen in part is as thick as as a whole
        """
        with torch.autocast(points.device.type, enabled=False):  # in half precision limbs are pixels off
            return self._maps(points, size, whole or max(size))

    def _maps(self, points, size, whole):
        height, width = (-(-pixels // COARSE) for pixels in size)
        radius = RADIUS * whole
        known = ((points[..., 2] - LEAST) / (SURE - LEAST)).clamp(0, 1)
        # farther away there is nothing to draw, and floats lose their digits
        places = (points[..., :2].nan_to_num() / radius).clamp(-FARTHEST, FARTHEST)
        known = torch.where(points.isfinite().all(-1), known, 0)
        rows, columns = ((COARSE * torch.arange(count, device=points.device) + COARSE / 2) / radius
                         for count in (height, width))
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).flatten(0, 1)  # (N, 2)
        near, along, across = _segments(places, known, self.edges, grid)
        spots = _bell(torch.cdist(places[:, self.joints], grid.expand(len(points), -1, -1),
                                  compute_mode="donot_use_mm_for_euclid_dist").square())
        spots = spots * known[:, self.joints, None]
        groups = [_segments(places, known, edges, grid, FINE)[0].amax(1) if edges
                  else torch.zeros_like(spots[:, 0]) for edges in self.fine.values()]
        maps = torch.cat([near, near * along, near * across, spots, torch.stack(groups, 1)], 1)
        return STRENGTH * maps.unflatten(2, (height, width))

    def picture(self, maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1] of maps of pictures of size (H, W): edges, hands and face in colours on
        black, as most others draw a pose.
        """
        edges = len(self.edges)
        shown = torch.cat([maps[:, :edges], maps[:, -len(GROUPS):]], 1) / STRENGTH
        colours = [colorsys.hsv_to_rgb(row / shown.shape[1], 1, 1) for row in range(shown.shape[1])]
        drawn = torch.einsum("bchw,cr->brhw", shown, shown.new_tensor(colours)).clamp(0, 1)
        drawn = functional.interpolate(drawn, scale_factor=COARSE, mode="bilinear", align_corners=False)
        return drawn[..., :size[0], :size[1]]


def _bell(squared):
    """exp(-x), but 0 from 16 on: what is smaller than floats' least costs a CPU thirty times as much."""
    return ((-squared.clamp(max=16)).exp() - math.exp(-16)).clamp(min=0)


def _segments(places, known, edges, grid, radius=1.0):
    """(B, E, N) each: nearness to a segment, how far along it (0 to 1) and across (radii, right is positive).

    places (B, K, 2) and grid (N, 2) in radii
    """
    start, end = torch.tensor(edges, device=places.device).T
    a, b = places[:, start], places[:, end]
    bone = b - a
    length = bone.norm(dim=-1, keepdim=True)
    # a limb that points at the camera has any direction
    way = torch.where(length > 1e-3, bone / length.clamp(min=1e-3), bone.new_tensor([1.0, 0.0]))
    length = length.clamp(min=1e-3)
    normal = torch.stack([-way[..., 1], way[..., 0]], -1)
    offset = [axis @ grid.T - (axis * a).sum(-1, keepdim=True) for axis in (way, normal)]  # (B, E, N)
    along = offset[0].minimum(length).clamp(min=0)
    distance = (offset[0] - along).square() + offset[1].square()
    near = _bell(distance / radius**2) * (known[:, start] * known[:, end])[..., None]
    return near, along / length, offset[1]
