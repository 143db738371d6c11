"""Where in the world lifted joints are: on the rays through their keypoints."""

from __future__ import annotations

import torch

from anr_core.camera import Camera
from anr_core.lifting.sight import LEAST

ROUNDS = 6  # of weighing anew
APART = 1e-4  # least eigenvalue of the largest, from which on cameras stand apart enough to tell a size
GUESSED = 0.03  # what a guess weighs beside a ray: the square of how much nearer a ray passes its joint
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
    rays = _Rays(keypoints, camera)
    moment = torch.arange(len(keypoints), device=joints.device) if moment is None else moment
    moments = int(moment.max()) + 1 if len(keypoints) else 0
    joints = joints.double()
    weak, weights, found = camera.projection == "weak", rays.belief, None
    for _ in range(ROUNDS):
        squares = _gathered((weights[..., None, None] * rays.across).sum(1), moment, moments)
        off_ray = rays.across @ (rays.origins - joints)[..., None]
        sides = _gathered((weights[..., None] * off_ray[..., 0]).sum(1), moment, moments)
        # a plain solve where rays cross, the shortest answer where they are parallel
        found = (torch.linalg.pinv(squares, rtol=1e-7, hermitian=True) @ sides[..., None])[..., 0]
        away = joints + found[moment][:, None] - rays.origins
        far = (rays.across @ away[..., None])[..., 0].norm(dim=-1)
        depth = (away * rays.directions).sum(-1).clamp(min=0.1)
        weights = rays.belief / (1 + (far / OFF).square()) / (1 if weak else depth.square())
    return found.to(camera.K.dtype)


def in_world(keypoints: torch.Tensor, joints: torch.Tensor, camera: Camera,
             moment: torch.Tensor | None = None) -> torch.Tensor:
    """Joints (M, J, 4) in the world, metres and confidence, of `place`'s arguments.

    Of pictures of one moment the joints are averaged by their keypoints' confidence, and then drawn to the
    rays through their keypoints: where these cross they decide, where one camera looks alone they say
    nothing of the depth. A joint that no picture shows is the mean of what is guessed of it, and has
    confidence 0.
    """
    moment = torch.arange(len(keypoints), device=joints.device) if moment is None else moment
    moments = int(moment.max()) + 1 if len(keypoints) else 0
    rays = _Rays(keypoints, camera)
    mean = _mean_pose(joints, rays, moment, moments)
    best = torch.zeros(moments, joints.shape[1]).to(rays.belief)
    best = best.scatter_reduce(0, moment[:, None].expand_as(rays.belief), rays.belief, "amax")
    where = place(keypoints, mean[moment], camera, moment)
    points = _drawn_to_rays(mean + where[:, None], rays, moment)
    return torch.cat([points, best[..., None].to(points)], -1)


def _drawn_to_rays(points, rays, moment):
    """Points (M, J, 3) where the rays of their keypoints and what was guessed of them agree best."""
    guessed, found = points.double(), points.double()
    for _ in range(ROUNDS):
        far = (rays.across @ (found[moment] - rays.origins)[..., None])[..., 0].norm(dim=-1)
        weight = (rays.belief / (1 + (far / OFF).square()))[..., None, None]
        squares = _gathered(weight * rays.across, moment, len(points)) + GUESSED * torch.eye(3).to(guessed)
        sides = _gathered((weight * rays.across @ rays.origins[..., None])[..., 0], moment, len(points))
        found = torch.linalg.solve(squares, sides + GUESSED * guessed)
    return found.to(points)


def size_seen(keypoints: torch.Tensor, joints: torch.Tensor, camera: Camera,
              moment: torch.Tensor) -> torch.Tensor:
    """(M,) how many times as large joints have to be to lie on the rays of all cameras of a moment at once.

    The arguments are those of `in_world`. NaN where less than two cameras look, or all from one place. Least
    squares over size and translation together, weighed by confidence.
    """
    moments = int(moment.max()) + 1
    rays = _Rays(keypoints, camera)
    mean = _mean_pose(joints, rays, moment, moments).double()
    # across (size joint + translation - origin) = 0: unknown are the size and the translation
    columns = torch.cat([rays.across @ mean[moment][..., None], rays.across], -1)  # (B, J, 3, 4)
    squares = torch.einsum("bj,bjik,bjil->bkl", rays.belief, columns, columns)
    off_ray = (rays.across @ rays.origins[..., None])[..., 0]
    sides = torch.einsum("bj,bjik,bji->bk", rays.belief, columns, off_ray)
    squares, sides = _gathered(squares, moment, moments), _gathered(sides, moment, moments)
    weakest = torch.linalg.eigvalsh(squares)
    told = weakest[:, 0] > APART * weakest[:, -1]
    solved = torch.linalg.solve(torch.where(told[:, None, None], squares, torch.eye(4).to(squares)), sides)
    return torch.where(told, solved[:, 0], torch.nan).to(joints)


class _Rays:
    """The rays through keypoints (B, J, 3) of one camera or B, float64, and how much each is believed.

    origins, directions  (B, J, 3)     metres, world
    across               (B, J, 3, 3)  what of a vector is across the ray
    belief               (B, J)        0 where a keypoint is hidden or not finite
    """

    def __init__(self, keypoints: torch.Tensor, camera: Camera):
        if len(camera) == 1 < len(keypoints):
            camera = Camera.cat([camera] * len(keypoints))
        finite = keypoints.isfinite().all(-1)
        points = torch.where(finite[..., None], keypoints, 0).double()
        self.belief = torch.where(points[..., 2] >= LEAST, points[..., 2], 0)
        self.origins, self.directions = camera.to(torch.float64).rays(points[..., :2])
        along = self.directions[..., :, None] * self.directions[..., None, :]
        self.across = torch.eye(3).to(along) - along


def _mean_pose(joints, rays, moment, moments):
    """Joints (M, J, 3) of each moment, averaged over its pictures by how much they are believed."""
    share = rays.belief[..., None].to(joints) + 1e-4
    return _gathered(share * joints, moment, moments) / _gathered(share, moment, moments)


def _gathered(values, moment, moments):
    """Sums over each moment: (M, ...) of (B, ...)."""
    return values.new_zeros(moments, *values.shape[1:]).index_add(0, moment, values)
