"""What is compared, who draws it, and the figures that come of it: one view after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from anr_core import metrics
from anr_core.avatars.base import Avatar, Rendering, Scene
from anr_core.body import Body, Posed
from anr_core.capture.view import View
from anr_core.rasterizer import gbuffer
from anr_core.volume import hits_box

# Seconds. Two pictures further apart are no neighbours: what changed between them is the pose, not a flicker.
NEIGHBOURS = 0.2

# Metres around the mesh along x, y and z: Neural Body's padding.
BOX_PADDING = (0.05, 0.05, 0.05)


# what is compared


def truth_of(view: View, posed: Posed | None, padding: tuple[float, ...] = BOX_PADDING) -> metrics.Truth:
    """What the protocols need of one view (a batch of one) and its registered mesh; of a pair its input.

    padding  of the box around the mesh along x, y and z, metres
    """
    if posed is None:
        everywhere = np.ones(view.size, bool)
        return metrics.Truth(as_array(view.image), as_plane(view.mask), as_plane(view.certain), everywhere,
                             everywhere, as_array(coloured(view.input)))
    mesh = gbuffer(posed, view.camera, view.size)
    shown = mesh.iuv() / torch.stack([posed.surface.part.max(), *mesh.uv.new_ones(2)])[:, None, None]
    margin = posed.vertices.new_tensor(padding)
    boxed = hits_box(view.camera, view.size, posed.vertices.amin(1) - margin, posed.vertices.amax(1) + margin)
    return metrics.Truth(as_array(view.image), as_plane(view.mask), as_plane(view.certain),
                         as_plane(mesh.coverage() > 0), as_plane(boxed), as_array(shown).clip(0, 1))


def coloured(pictures: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) of an input's C channels: grey thrice, of more than three the first three."""
    return pictures[:, :3].expand(-1, 3, -1, -1)


def as_array(batch: torch.Tensor) -> np.ndarray:
    """The first of (B, C, H, W) as (H, W, C)."""
    return batch[0].permute(1, 2, 0).cpu().numpy()


def as_plane(batch: torch.Tensor) -> np.ndarray:
    """The first of (B, 1, H, W) as (H, W)."""
    return batch[0, 0].cpu().numpy()


# what draws


@dataclass(frozen=True)
class Contestants:
    """Who draws: the system by its name, and the yardsticks that stand beside it, made of the same frames.

    static   the texture unwrapped from the training frames
    mean     (3,) the mean colour of the person in the training frames
    cameras  names of the cameras that were trained; an avatar may know their exposure
    body     of the run's own capture, whose trained frames and cameras the avatar has refined; else None
    """

    name: str
    avatar: Avatar
    static: Avatar
    mean: torch.Tensor
    cameras: frozenset[str]
    body: Body | None = None

    @torch.no_grad()
    def draw(self, view: View, posed: Posed) -> dict[str, Rendering]:
        """A rendering of the view by every method."""
        predicted, unrefined = self.predicted(view, posed), {}
        if self.refined:
            unrefined = {f"{self.name}_unrefined": self._draw(self.avatar, view, posed)}
        texture = self._draw(self.static, view, posed)
        filled = extend(texture.rgb, texture.mask > 0.5)
        flat = self.mean.to(filled)[:, None, None].expand_as(filled)
        return {"static": texture, "static_masked": Rendering(filled, predicted.mask),
                "mean": Rendering(flat, predicted.mask), **unrefined, self.name: predicted}

    @property
    def refined(self) -> bool:
        """Whether views are drawn with the avatar's corrections of their frame and camera."""
        return self.body is not None and self.avatar.refinement is not None

    @torch.no_grad()
    def predicted(self, view: View, posed: Posed) -> Rendering:
        """The avatar's rendering alone."""
        placed = self.avatar.placed(view, self.body) if self.refined else (view, posed)
        return self._draw(self.avatar, *placed)

    def _draw(self, avatar, view, posed):
        return soundly_drawn(avatar, view, posed, self.cameras)


class Draws(Protocol):
    """Who draws a view by every method that is compared."""

    def draw(self, view: View, posed: Posed | None) -> dict[str, Rendering]:
        """A rendering by every method, by its name; of a pair `posed` is None."""


def soundly_drawn(avatar: Avatar, view: View, posed: Posed | None, cameras: Iterable[str]) -> Rendering:
    """What an avatar draws; raises ValueError where it holds a NaN."""
    rendering = avatar.draw(scene_for(avatar, view, posed, cameras))
    if not (rendering.rgb.isfinite().all() and rendering.mask.isfinite().all()):
        raise ValueError(f"The avatar draws NaN in {view.camera_name[0]}, frame {int(view.frame)}: its "
                         "training diverged. Train again with another --seed or lower learning rates.")
    return rendering


def scene_for(avatar: Avatar, view: View, posed: Posed | None, cameras: Iterable[str]) -> Scene:
    """The fields that the avatar needs, from the view's inputs alone: never from its picture or mask."""
    inputs = {"posed": posed, "camera": view.camera, "keypoints": view.keypoints, "frame": view.frame,
              "image": view.input, "source": view.source,
              "camera_name": [name if name in cameras else None for name in view.camera_name]}
    return Scene(size=view.size, **{name: inputs[name] if name in avatar.needs else None for name in inputs})


def extend(rgb: torch.Tensor, covered: torch.Tensor) -> torch.Tensor:
    """Give every pixel of rgb (B, 3, H, W) the colour of the nearest one that is covered (B, 1, H, W)."""
    extended = []
    for picture, there in zip(rgb, covered[:, 0], strict=True):
        _, nearest = distance_transform_edt(~there.cpu().numpy(), return_indices=True)
        rows, columns = torch.from_numpy(nearest).to(rgb.device)
        extended.append(picture[:, rows, columns])
    return torch.stack(extended)


# the figures


def unknown_flow(before: View, now: View) -> None:
    """Where nobody knows how the picture moved."""


def measure(views: Iterable[tuple[View, Posed | None]], contestants: Draws,
            protocols: dict[str, Callable] = metrics.PROTOCOLS, padding: tuple[float, ...] = BOX_PADDING,
            flow: Callable[[View, View], np.ndarray | None] = unknown_flow,
            ) -> Iterator[tuple[metrics.Truth, dict[str, Rendering], dict]]:
    """Draw and compare views, each a batch of one, ordered by camera and time.

    flow  from a view to the one before it, as TrueFlow gives it, where that is known

    Yields for each its truth, the renderings by method, and {protocol: {method: {figure: number or None}}}.
    `mask_iou` compares the masks over all certain pixels, whatever the protocol; `sharpness` leaves out what
    the true mask doesn't cover. `flicker` and `warp` compare a view with the one before it where that is of
    the same camera and at most 0.2 s older.
    """
    before, compared_before = None, {}
    with ThreadPoolExecutor() as pool:  # FLIP takes most of the time, and lets others run meanwhile
        for view, posed in views:
            truth, drawn = truth_of(view, posed, padding), contestants.draw(view, posed)
            neighbours = before is not None and before.camera_name == view.camera_name and \
                0 < float(view.time - before.time) <= NEIGHBOURS
            steps = flow(before, view) if neighbours else None
            figures = {name: {} for name in protocols}
            pictures = {method: (as_array(rendering.rgb), as_plane(rendering.mask))
                        for method, rendering in drawn.items()}
            pairs = [(name, method) for method in pictures for name in protocols]
            compared = {pair: protocols[pair[0]](truth, *pictures[pair[1]]) for pair in pairs}
            computed = pool.map(metrics.Comparison.figures, compared.values())
            for (name, method), numbers in zip(pairs, computed, strict=True):
                now, last = compared[name, method], compared_before.get((name, method))
                overlap = metrics.mask_iou(pictures[method][1], truth.mask, truth.certain)
                sharp = metrics.sharpness(now.prediction, now.truth, now.pixels & (truth.mask > 0.999))
                changed = in_time(last, now, steps) if neighbours else dict.fromkeys(("flicker", "warp"))
                figures[name][method] = numbers | {"mask_iou": overlap, "sharpness": sharp} | changed
            before, compared_before = view, compared
            yield truth, drawn, figures


def in_time(before: metrics.Comparison, now: metrics.Comparison, flow: np.ndarray | None) -> dict:
    """The figures of one frame after another; flow (H, W, 2) leads back, or is None."""
    frames = before, now
    pixels = before.pixels, now.pixels
    warp = None if flow is None else metrics.warp_error(
        tuple(frame.prediction for frame in frames), tuple(frame.truth for frame in frames), pixels, flow)
    return {"flicker": metrics.flicker(tuple(frame.prediction - frame.truth for frame in frames), pixels),
            "warp": warp}


def average(figures: list[dict]) -> dict:
    """Of views' {protocol: {method: {figure: number or None}}}, the means over those that have the figure."""
    def mean(numbers):
        known = [number for number in numbers if number is not None]
        return sum(known) / len(known) if known else None

    return {protocol: {method: {name: mean([view[protocol][method][name] for view in figures])
                                for name in metrics.FIGURES} for method in methods}
            for protocol, methods in figures[0].items()}
