"""Diffuse Gaussians: oriented soft ellipsoids with features, and the picture that rays through them make.

    solids = solids_of(joints, skeleton)                          one a bone
    picture = draw(solids, appearance, background, camera, size)   (B, A, H, W)
    features = render(rays, means, rotations, squared_scales, appearance, background)

A ray's features are the mean of all primitives', weighed by the integral of each one's density along the ray
times 1 / (1 + z^4), where z is the depth of its peak; the background is one more primitive, BETA times as far
as the farthest peak of the picture. Nothing is sorted: the order of primitives makes no difference.

Source: Rochette, Russell, Bowden, 2021 (see `integral`). Only what can be told from 0 is computed (see
`pruning`): what a ray leaves out weighs together less than one rounding of its background's weight.
"""

from __future__ import annotations

import torch

from anr_core.camera import Camera
from anr_core.gaussians.casting import cast
from anr_core.gaussians.colours import side_colours
from anr_core.gaussians.integral import ALPHA, BETA
from anr_core.gaussians.pruning import BLOCK, GROUP, Blocks
from anr_core.gaussians.solids import Solids, solids_of
from anr_core.gaussians.tiles import placed, tiles

__all__ = ["ALPHA", "BETA", "Solids", "draw", "render", "side_colours", "solids_of"]


def render(rays: torch.Tensor, means: torch.Tensor, rotations: torch.Tensor, squared_scales: torch.Tensor,
           appearance: torch.Tensor, background: torch.Tensor, half_line: bool = True) -> torch.Tensor:
    """Features along rays from the camera, which are taken as those of one picture.

    rays            (P, 3)     unit, in any order
    means           (N, 3)     metres, in camera coordinates, as are rays
    rotations       (N, 3, 3)  whose columns are the axes
    squared_scales  (N, 3)     along the axes, square metres
    appearance      (N, A)
    background      (A,)
    half_line       integrate from the camera on, so that nothing behind it is seen; else leave the error
                    function out, as the released code does: every primitive weighs half of its whole line
    returns         (P, A)     in appearance's dtype

    Differentiable in everything, through the depth of the background too. Raises ValueError for shapes that
    don't fit together, numbers that aren't finite, scales that aren't positive and rays that aren't unit.
    """
    present = torch.ones(1, len(means), dtype=torch.bool, device=means.device)
    solids = Solids(means[None], rotations[None], squared_scales[None], present)
    _check(solids, appearance[None], background[None])
    if rays.ndim != 2 or rays.shape[1] != 3:
        raise ValueError(f"gaussians: rays have shape {tuple(rays.shape)}, expected (P, 3).")
    if not len(rays):
        return appearance.new_zeros(0, appearance.shape[1])
    lengths = rays.detach().norm(dim=1)
    if not bool(((lengths - 1).abs() < 1e-3).all()):
        worst = float(lengths[(lengths - 1).abs().nan_to_num(nan=torch.inf).argmax()])
        raise ValueError(f"gaussians: a ray has length {worst:.4g}, expected unit rays; normalise them.")
    padded, real = _neighbours(rays.detach())
    with torch.no_grad():
        inside = rays.double()[padded]
        middle = (inside - inside.mean(1, keepdim=True)).square().sum(-1).argmin(1)
        centre = inside[torch.arange(len(inside), device=rays.device), middle]
        radius = (inside - centre[:, None]).norm(dim=-1).amax(1)
    blocks = Blocks(centre[None], radius[None], lambda _, place: rays[padded[place]].double())
    _, place, features = cast(blocks, *solids, appearance[None], background[None], half_line)
    real = real[place]
    picture = background.to(appearance).expand(len(rays), -1).clone()
    return picture.index_copy(0, padded[place][real], features[real])


def draw(solids: Solids, appearance: torch.Tensor, background: torch.Tensor, camera: Camera,
         size: tuple[int, int] | None = None, half_line: bool = True) -> torch.Tensor:
    """Whole pictures of primitives in the world, by the rules of `render`.

    solids      B sets of N primitives, or one set that all cameras see; in world coordinates
    appearance  (N, A), or (B, N, A)
    background  (A,), or (B, A)
    camera      B perspective cameras, with lens distortion or without
    size        (H, W) of the pictures, pixels; the camera's own if not given
    returns     (B, A, H, W) in appearance's dtype

    Each picture has its own farthest peak and smallest scale. Differentiable in everything, the camera too.

    Raises ValueError for what `render` refuses, weak cameras, and pictures of no size.
    """
    size = camera.size if size is None else size
    if size is None:
        raise ValueError("gaussians: neither size nor Camera.size says how large the picture is; give one.")
    if camera.projection != "perspective":
        raise ValueError("gaussians: a weak-perspective camera's rays don't start at one point; use a "
                         "perspective one.")
    count = len(camera)
    solids = solids.expanded(count)
    appearance = appearance.expand(count, *appearance.shape[-2:])
    background = background.expand(count, background.shape[-1]).to(appearance)
    _check(solids, appearance, background)
    for name in ("K", "R", "t"):
        if not getattr(camera, name).detach().sum().isfinite():
            raise ValueError(f"gaussians: camera.{name} is not finite; repair the camera.")
    camera = camera.to(torch.float64)
    blocks = tiles(camera, size)
    picture, place, features = cast(blocks, *solids.seen_from(camera), appearance, background, half_line)
    return placed(features, picture, place, background, size)


def _neighbours(rays: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (K, BLOCK) of rays (P, 3) in blocks of neighbours, groups of which are neighbours too.

    The last one is repeated to fill the last group; where one isn't repeated says the second tensor.
    """
    flat = rays[:, (rays.amax(0) - rays.amin(0)).topk(2).indices]
    order = _strips(flat[None], BLOCK * GROUP)[0]
    order = torch.cat([order, order[-1:].expand(-len(order) % (BLOCK * GROUP))]).view(-1, BLOCK * GROUP)
    finer = _strips(flat[order], BLOCK)
    real = (torch.arange(order.numel(), device=rays.device) < len(rays)).view_as(order)
    return order.gather(1, finer).view(-1, BLOCK), real.gather(1, finer).view(-1, BLOCK)


def _strips(points: torch.Tensor, together: int) -> torch.Tensor:
    """An order (G, n) of each set of points (G, n, 2) along strips, to and fro.

    A strip is as high as so many evenly spread points are wide: as many in a row are a square.
    """
    low, extent = points.amin(1, keepdim=True), (points.amax(1, keepdim=True) - points.amin(1, keepdim=True))
    along, across = ((points - low) / extent.clamp(min=1e-12)).unbind(-1)
    ratio = extent[..., 1] / extent[..., 0].clamp(min=1e-12)
    count = (points.shape[1] / together * ratio).sqrt().round().clamp(1, 1024)
    strip = (across * count).floor().minimum(count - 1)
    way = (strip + 0.999 * torch.where(strip % 2 == 0, along, 1 - along)) / count
    which = torch.arange(len(points), device=points.device)[:, None]
    # one row of whole numbers: torch sorts those ten times as fast
    order = ((which << 16) + (way * 65535).long()).flatten().argsort()
    return order.view_as(way) - which * points.shape[1]


def _check(solids: Solids, appearance: torch.Tensor, background: torch.Tensor) -> None:
    count, number = solids.present.shape
    for name, value, shape in (("means", solids.means, (count, number, 3)),
                               ("rotations", solids.rotations, (count, number, 3, 3)),
                               ("squared_scales", solids.squared_scales, (count, number, 3)),
                               ("appearance", appearance, (count, number, appearance.shape[-1])),
                               ("background", background, (count, appearance.shape[-1]))):
        if tuple(value.shape) != shape:
            raise ValueError(f"gaussians: {name} has shape {tuple(value.shape[1:])} for {number} primitives, "
                             f"expected {shape[1:]}.")
        if not value.detach().sum().isfinite():
            bad = (~value.detach().isfinite()).nonzero().tolist()
            where = f"primitive {bad[0][1]}" if bad and name != "background" else "a feature or their sum"
            raise ValueError(f"gaussians: {name} are not finite ({where}); repair the pose, or give a joint "
                             "that isn't known a confidence of 0.")
    if number and not bool((solids.squared_scales > 0).all()):
        raise ValueError(f"gaussians: squared_scales reach {float(solids.squared_scales.min()):.3g}, "
                         "expected positive square metres; give a primitive without extent a small one.")
