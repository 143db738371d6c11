"""Where in the world lifted joints are: on the rays through their keypoints."""

from __future__ import annotations

import torch

from anr_core.camera import Camera
from anr_core.lifting.sight import LEAST

ROUNDS = 6  # of weighing anew
OFF = 0.03  # metres off its ray from which on a joint is believed less


def place(keypoints: torch.Tensor, joints: torch.Tensor, camera: Camera,
          moment: torch.Tensor | None = None) -> torch.Tensor:
    """The translation (M, 3), metres, that puts joints where a camera sees their keypoints.

    keypoints  (B, J, 3)  pixels and confidence
    joints     (B, J, 3)  metres from the root, world axes
    camera     one, or B
    moment     (B,)       0 .. M - 1: pictures of one moment are placed together; each alone if not given

    Least squares of the distances from joints to rays, each over its depth, so that what counts is how far
    off it looks; in closed form, weighed by confidence and, in a few rounds, less where a keypoint is far
    off. What rays can't tell, the depth before a weak camera or of a single keypoint, is as near to the
    world's origin as can be. Zero where nothing is seen.
    """
    count = len(keypoints)
    moment = torch.arange(count, device=joints.device) if moment is None else moment
    moments = int(moment.max()) + 1 if count else 0
    if len(camera) == 1 < count:
        camera = Camera.cat([camera] * count)
    finite = keypoints.isfinite().all(-1)
    keypoints = torch.where(finite[..., None], keypoints, 0).double()
    belief = torch.where(finite & (keypoints[..., 2] >= LEAST), keypoints[..., 2], 0)
    joints = joints.double()
    origins, directions = camera.to(torch.float64).rays(keypoints[..., :2])
    across = torch.eye(3).to(joints) - directions[..., :, None] * directions[..., None, :]  # (B, J, 3, 3)
    weak, weights, found = camera.projection == "weak", belief, None
    for _ in range(ROUNDS):
        squares = _gathered((weights[..., None, None] * across).sum(1), moment, moments)
        off_ray = across @ (origins - joints)[..., None]
        sides = _gathered((weights[..., None] * off_ray[..., 0]).sum(1), moment, moments)
        # a plain solve where rays cross, the shortest answer where they are parallel
        found = (torch.linalg.pinv(squares, rtol=1e-7, hermitian=True) @ sides[..., None])[..., 0]
        away = joints + found[moment][:, None] - origins
        far = (across @ away[..., None])[..., 0].norm(dim=-1)
        depth = (away * directions).sum(-1).clamp(min=0.1)
        weights = belief / (1 + (far / OFF).square()) / (1 if weak else depth.square())
    return found.to(camera.K.dtype)


def in_world(keypoints: torch.Tensor, joints: torch.Tensor, camera: Camera,
             moment: torch.Tensor | None = None) -> torch.Tensor:
    """Joints (M, J, 4) in the world, metres and confidence, of `place`'s arguments.

    Of pictures of one moment the joints are averaged by their keypoints' confidence; one that no picture
    shows is the mean of what is guessed of it, and has confidence 0.
    """
    count = len(keypoints)
    moment = torch.arange(count, device=joints.device) if moment is None else moment
    moments = int(moment.max()) + 1 if count else 0
    seen = keypoints.isfinite().all(-1)
    belief = torch.where(seen & (keypoints[..., 2] >= LEAST), keypoints[..., 2], 0)
    share = belief[..., None] + 1e-4
    mean = _gathered(share * joints, moment, moments) / _gathered(share, moment, moments)
    best = torch.zeros(moments, joints.shape[1]).to(belief)
    best = best.scatter_reduce(0, moment[:, None].expand_as(belief), belief, "amax")
    where = place(keypoints, mean[moment], camera, moment)
    return torch.cat([mean + where[:, None], best[..., None]], -1)


def _gathered(values, moment, moments):
    """Sums over each moment: (M, ...) of (B, ...)."""
    return values.new_zeros(moments, *values.shape[1:]).index_add(0, moment, values)
