"""Windows onto a view: square, turned, scaled, anti-aliased, and the camera that belongs to them.

A window is a rectangle in the pixels of the picture: its centre (B, 2), its extent (B, 2), and its roll
(B,), the angle in radians from the picture's x axis to the window's, towards y (clockwise as seen). A
positive roll therefore shows the person turned counterclockwise.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch.nn import functional

from anr_core.camera import Camera
from anr_core.capture.flow import lands
from anr_core.capture.view import View

# Room around the mesh, so that hair and clothes that stick out are in the picture.
BODY_MARGIN = 1.15


def body_box(camera: Camera, vertices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The square around a mesh in the picture: centre (B, 2) and side (B,), pixels.

    vertices (B, V, 3) metres, world; those behind the camera don't count; where all are, the square is NaN.
    """
    pixels, depth = camera.project(vertices)
    behind = (depth <= 0)[..., None]
    low = pixels.masked_fill(behind, math.inf).amin(1)
    high = pixels.masked_fill(behind, -math.inf).amax(1)
    return (low + high) / 2, torch.where(behind.all(1), math.nan, high - low).amax(-1)


def resample(view: View, center: torch.Tensor, side: torch.Tensor, roll: torch.Tensor,
             size: int | tuple[int, int], outside: torch.Tensor | None = None) -> View:
    """Draw a window of each picture at size x size pixels, or at (H, W), the camera and the input likewise.

    center (B, 2) and side (B,) or sides (B, 2) in pixels of the picture, roll (B,) in radians. What lies
    outside of the picture is uncertain and its mask is 0; its colour is black, or `outside` (B, 3 + C), of
    picture and input. Projected points stay exactly on what they were on; `certain` holds only pixels whose
    whole footprint was certain, and flow is trusted likewise, where it leads to what the window shows.
    Labels are those of the nearest pixel: a mean of two parts is a third one.
    """
    size = (size, size) if isinstance(size, int) else size
    extent = side if side.ndim == 2 else side[:, None].expand(-1, 2)
    planes = _planes(view)
    if outside is None:
        drawn = sample(planes, center, extent, roll, size)
    else:
        # neither mask nor certain, and no flow
        outside = functional.pad(outside, (0, planes.shape[1] - outside.shape[1]))[..., None, None]
        drawn = sample(planes - outside, center, extent, roll, size) + outside
    return _drawn(view, drawn, center, extent, roll)


def resize(view: View, size: tuple[int, int]) -> View:
    """The whole picture at another size (H, W), anti-aliased, the camera and the input likewise."""
    extent = view.image.new_tensor(view.size[::-1]).expand(len(view), 2)
    planes, roll, times = _planes(view), extent.new_zeros(len(view)), view.size[0] // size[0]
    if view.size == (times * size[0], times * size[1]):
        drawn = functional.avg_pool2d(planes, times)  # what sampling comes to, in a tenth of the time
    else:
        outside = torch.zeros_like(planes[..., :1, :1])
        if view.input is not None:
            colours = 3 + view.input.shape[1]
            outside[:, :colours] = border_colours(planes[:, :colours])[..., None, None]
        drawn = sample(planes - outside, extent / 2, extent, roll, size) + outside
    return _drawn(view, drawn, extent / 2, extent, roll)


def _planes(view):
    """(B, 5 + C + F, H, W) picture, input, mask, what is certain, and flow, which has F = 3 or 0."""
    given, flow = (view.image[:, :0] if planes is None else planes for planes in (view.input, view.flow))
    return torch.cat([view.image, given, view.mask, view.certain.to(view.image), flow], 1)


def _drawn(view, planes, center, extent, roll):
    """The view of a window whose planes were drawn."""
    channels = [3, 0 if view.input is None else view.input.shape[1], 1, 1, 0 if view.flow is None else 3]
    image, given, mask, certain, flow = planes.split(channels, 1)
    size = tuple(planes.shape[2:])
    return replace(view, image=image, mask=mask, certain=certain > 0.999,
                   input=None if view.input is None else given,
                   camera=window_camera(view.camera, center, extent, roll, size),
                   keypoints=_moved(view.keypoints, center, extent, roll, size),
                   flow=None if view.flow is None else _led(flow, extent, roll, size),
                   labels=None if view.labels is None else
                   sample(view.labels, center, extent, roll, size, math.inf, "nearest"))


def border_colours(pictures: torch.Tensor) -> torch.Tensor:
    """(B, C) the median of the outermost pixels of pictures (B, C, H, W), channel by channel."""
    rows, columns = pictures[..., [0, -1], :], pictures[..., [0, -1]]
    return torch.cat([rows.flatten(2), columns.flatten(2)], 2).median(2).values


def _turn(roll):
    """(B, 2, 2) picture from window: rotation by roll."""
    cos, sin = roll.cos(), roll.sin()
    return torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))


def sample(planes, center, extent, roll, size, apart=1.0, mode="bilinear"):
    """Windows (B, C, H', W') of planes (B, C, H, W), 0 outside of them.

    Each pixel is a mean over a grid of samples, as grid_sample's mode says, at most so many of the planes'
    pixels apart.
    """
    height, width = size
    finer = max(1, math.ceil(float((extent / extent.new_tensor([width, height])).max()) / apart - 1e-4))
    # in grid_sample's units, where a picture's side is 2: so no pass over the whole grid is spent on them
    unit = 2 / extent.new_tensor([planes.shape[3], planes.shape[2]])
    turn = _turn(roll) * extent[:, None] * unit[:, None]  # (B, 2, 2), its columns are the window's edges
    steps = (torch.arange(finer, device=planes.device) + 0.5) / finer
    rows, columns = ((torch.arange(n, device=planes.device) + steps[:, None]) / n - 0.5 for n in size)
    across = (center * unit - 1)[:, None, None] + columns[..., None] * turn[:, None, None, :, 0]
    down = rows[..., None] * turn[:, None, None, :, 1]
    # (B, finer, finer, H', W', 2); samples of a pixel lie in pictures of their own, whose mean is one pass
    grid = across[:, None, :, None] + down[:, :, None, :, None]
    if finer == 1:
        return functional.grid_sample(planes, grid[:, 0, 0], mode, align_corners=False)
    apiece = planes[:, None].expand(-1, finer**2, -1, -1, -1).flatten(0, 1)
    sampled = functional.grid_sample(apiece, grid.flatten(0, 2), mode, align_corners=False)
    return sampled.unflatten(0, (-1, finer**2)).mean(1)


def _window_from_picture(extent, roll, size):
    """(B, 2, 2) the linear part of window pixels from picture pixels."""
    return (extent.new_tensor(size[::-1]) / extent)[..., None] * _turn(-roll)


def _moved(keypoints, center, extent, roll, size):
    if keypoints is None:
        return None
    pixels = (keypoints[..., :2] - center[:, None]) @ _window_from_picture(extent, roll, size).transpose(1, 2)
    return torch.cat([pixels + pixels.new_tensor(size[::-1]) / 2, keypoints[..., 2:]], -1)


def _led(flow, extent, roll, size):
    """The flow of a window: its vectors as the window's are, trusted where their whole footprint was."""
    vectors = torch.einsum("bij,bjhw->bihw", _window_from_picture(extent, roll, size), flow[:, :2])
    trusted = (flow[:, 2:] > 0.999) & lands(vectors)
    return torch.cat([torch.where(trusted, vectors, 0), trusted.to(flow)], 1)


def window_camera(camera, center, extent, roll, size):
    """The camera of a window: shift and scale go into K, the roll into R and t, and K stays upper triangular.

    With M the 2x2 part of K after the window, M = U Q splits into an upper triangle and a rotation about the
    optical axis. Where fx and fy differ, a roll leaves skew in U. Tangential lens distortion would not turn
    with Q.
    """
    if camera.distortion is not None and bool(camera.distortion.any()) and bool(roll.any()):
        raise ValueError("A picture with lens distortion can't be rolled exactly; undistort it first "
                         "(prepare does), or resample it with roll 0.")
    linear = _window_from_picture(extent, roll, size)
    (a, b), (c, d) = (row.unbind(-1) for row in (linear @ camera.K[:, :2, :2]).unbind(-2))
    low = torch.hypot(c, d)
    cos, sin = d / low, c / low
    zero, one = torch.zeros_like(low), torch.ones_like(low)
    offset = (linear @ (camera.K[:, :2, 2] - center)[..., None])[..., 0] + center.new_tensor(size[::-1]) / 2
    K = torch.stack([a * cos - b * sin, a * sin + b * cos, offset[:, 0],
                     zero, low, offset[:, 1],
                     zero, zero, one], -1).unflatten(-1, (3, 3))
    about_axis = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], -1).unflatten(-1, (3, 3))
    return replace(camera, K=K, R=about_axis @ camera.R, t=(about_axis @ camera.t[..., None])[..., 0],
                   size=tuple(size))
