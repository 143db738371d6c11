"""One picture of a person and all that is known of it, batched."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from anr_core.body import Pose
from anr_core.camera import Camera


@dataclass(frozen=True)
class View:
    """B pictures of one size.

    image        (B, 3, H, W)  in [0, 1], sRGB-encoded
    mask         (B, 1, H, W)  how much of each pixel the person covers, in [0, 1]
    certain      (B, 1, H, W)  bool: the pixels whose mask can be believed; others enter no loss and no metric
    camera       B cameras of pictures of this size
    pose         B poses, or None where no body was fitted yet
    keypoints    (B, K, 3)     pixels and confidence, or None
    person       B names
    camera_name  B names
    frame        (B,)          int64
    time         (B,)          seconds since frame 0
    input        (B, C, H, W)  in [0, 1], what an image-to-image system is given: a drawn mesh, for example;
                               None where there is nothing of the kind
    source       1 or B pictures of the same people that lend their looks, or None
    pixels       (B, N, 2)     the camera's pixels that the N = H W of a picture are, row by row; None for
                               all of its own
    flow         (B, 3, H, W)  pixels right and down from what is seen to where the frame before shows it, in
                               the same window, and 1 where that can be trusted, else 0; or None
    labels       (B, 3, H, W)  part as DensePose numbers them, 0 where none was found, and u and v on its
                               chart, in [0, 1]; or None
    """

    image: torch.Tensor
    mask: torch.Tensor
    certain: torch.Tensor
    camera: Camera
    pose: Pose | None
    keypoints: torch.Tensor | None
    person: list[str]
    camera_name: list[str]
    frame: torch.Tensor
    time: torch.Tensor
    input: torch.Tensor | None = None
    source: View | None = None
    pixels: torch.Tensor | None = None
    flow: torch.Tensor | None = None
    labels: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.image)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the pictures, pixels."""
        return tuple(self.image.shape[-2:])

    def trusted(self) -> torch.Tensor:
        """(B, 1, H, W) bool: the pixels that certainly show nothing but the person."""
        return self.certain & (self.mask > 0.999)  # not the rim, where the background shines through

    def at(self, rows: torch.Tensor, columns: torch.Tensor) -> View:
        """Some pixels (h, w) alone of a batch of one, as pictures of that size; the camera sees the whole."""
        pixels = torch.stack([columns, rows], -1).flatten(0, 1) + 0.5
        names = ("image", "mask", "certain", "input", "flow", "labels")
        planes = {name: plane[..., rows, columns] for name in names
                  if (plane := getattr(self, name)) is not None}
        return replace(self, **planes, pixels=pixels[None].to(self.image))

    def to(self, device) -> View:
        """The same views on another device."""
        return replace(self, **{field.name: value.to(device) for field in fields(self)
                                if hasattr(value := getattr(self, field.name), "to")})

    @staticmethod
    def cat(views: list[View]) -> View:
        """One batch of many; keypoints stay where all have them. The pictures must have one size.

        Raises ValueError for several sizes.
        """
        if len(sizes := {view.size for view in views}) > 1:
            raise ValueError(f"Views of {len(sizes)} sizes can't share a batch: {sorted(sizes)} (H, W). "
                             "Read them with one size, or resample them first.")
        first = views[0]
        joined = {field.name: _join([getattr(view, field.name) for view in views]) for field in fields(first)}
        return View(**joined)


def _join(values):
    """Concatenate tensors, cameras, poses or lists; None where one is missing."""
    if any(value is None for value in values):
        return None
    if isinstance(values[0], Camera | View):
        return type(values[0]).cat(values)
    if isinstance(values[0], Pose):
        return Pose(*(_join([getattr(value, field.name) for value in values]) for field in fields(Pose)))
    if isinstance(values[0], list):
        return sum(values, [])
    return torch.cat(values)
