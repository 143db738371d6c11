"""How unlikely a motion and its cameras are, given what was seen: the sum that a fit makes small.

Every part is the negative logarithm of a likelihood, so its weights are standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import roma
import torch

from anr_core.camera import Camera
from anr_core.prepare.fitting.observations import Observations
from anr_core.prepare.fitting.puppet import Motion, Puppet

# What detectors err by, as a part of the person's extent in the picture; outliers count little from there on.
KEYPOINT_ERROR = 0.0043
# How much speeds change in a second: of joints, in what they stray by, of the body's turn, radians a second,
# and of its place, metres a second. In a fourth of a second it is half of that, as of speeds that are pushed
# at random. What hardly strays hardly hurries: with one push in radians for all joints, collars and spines
# followed every error of a keypoint, and keypoints that were left out lay up to 7 % further off.
PUSH = {"controls": 3.0, "turn": 2.8, "place": 1.3}
# how many frames' worth of knowing those of the controls is
PUSHES = 20.0
# radians that a joint moves by although it is kept still, and how many frames' worth of knowing that is
HABIT, HABIT_FRAMES = 0.05, 20.0
# Of a camera: radians that it may be turned by, metres it may be moved by, and the focal length's logarithm.
CAMERA_TURN, CAMERA_SHIFT, FOCAL_SPREAD = 0.02, 0.05, 0.25


@dataclass(frozen=True)
class Rig:
    """Corrections of C cameras.

    turns, shifts  (C, 3)      axis-angle, and metres, in camera coordinates
    focal          (C,)        logarithm of a factor
    kept           (6 C, 6 C)  what of a camera's turn and shift, one after the other, is applied: constant
    """

    turns: torch.Tensor
    shifts: torch.Tensor
    focal: torch.Tensor
    kept: torch.Tensor

    @staticmethod
    def of(cameras: Camera, person: torch.Tensor | None = None) -> Rig:
        """No correction of cameras, to begin with; later ones leave a person at points (P, 3) in place."""
        count = len(cameras)
        kept = torch.eye(6 * count) if person is None else staying(cameras, person)
        return Rig(torch.zeros(count, 3), torch.zeros(count, 3), torch.zeros(count), kept)

    def cameras(self, given: Camera) -> Camera:
        """The corrected cameras."""
        moves = torch.cat([self.turns, self.shifts], 1)
        turns, shifts = (self.kept @ moves.flatten()).view_as(moves).split(3, 1)
        turn = roma.rotvec_to_rotmat(turns)
        stretch = self.focal.exp()[:, None].repeat(1, 2)
        K = given.K @ torch.diag_embed(torch.cat([stretch, torch.ones_like(stretch[:, :1])], 1))
        return replace(given, K=K, R=turn @ given.R, t=(turn @ given.t[..., None])[..., 0] + shifts)

    def cost(self) -> torch.Tensor:
        """What corrections cost: half their squares in units of what calibrations err by, one scalar."""
        return 0.5 * ((self.turns / CAMERA_TURN).square().sum() + (self.shifts / CAMERA_SHIFT).square().sum()
                      + (self.focal / FOCAL_SPREAD).square().sum())


def staying(cameras: Camera, points: torch.Tensor) -> torch.Tensor:
    """(6 C, 6 C) what takes out of turns and shifts of cameras that which moves, turns or scales the points.

    Pictures tell how cameras stand to each other, but hardly where all of them are together: left to itself a
    fit makes room for people as they mostly are, and the person comes to stand elsewhere, for cameras that
    are not corrected and for the floor (34 mm on beam-walker). So the points (P, 3), where the corrected
    cameras see them in the same pixels, keep place, direction and size as a whole. Of a single camera nothing
    is left.
    """
    if len(cameras) < 2:
        return torch.zeros(6, 6)
    points, R, t = points.double(), cameras.R.double(), cameras.t.double()
    local, focal = points @ R.mT + t[:, None], cameras.K.double().diagonal(dim1=1, dim2=2)[:, None, :2]
    over = 1 / local[..., 2:].clamp(min=0.1)
    to_pixels = focal[..., None] * over[..., None] * torch.cat(
        [torch.eye(2).expand(*local.shape[:2], 2, 2), -(local[..., :2] * over)[..., None]], -1)
    steps = torch.eye(3, dtype=torch.float64)
    by_point = to_pixels @ R[:, None]  # (C, P, 2, 3)
    by_camera = to_pixels @ torch.cat([_turned(local), steps.expand(*local.shape, 3)], -1)
    pull = (by_point.mT @ by_camera).permute(1, 2, 0, 3).flatten(2)  # (P, 3, 6 C)
    normal = (by_point.mT @ by_point).sum(0)  # singular where all cameras are in one place
    normal = normal + 1e-6 * normal.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] * steps
    follow = -torch.linalg.solve(normal, pull)  # where points come to be seen
    whole = torch.cat([_turned(points), steps.expand(*points.shape, 3), points[..., None]], -1)
    shifts = torch.cat([_turned(t) @ R, -R, t[..., None]], 2)
    turns = torch.cat([-R, torch.zeros_like(R), torch.zeros_like(t[..., None])], 2)
    of_cameras = torch.cat([turns, shifts], 1)
    together = torch.linalg.lstsq(whole.flatten(0, 1), follow.flatten(0, 1)).solution  # (7, 6 C)
    return (torch.eye(6 * len(cameras)) - of_cameras.flatten(0, 1) @ together).float()


def _turned(points):
    """(..., 3, 3) of points (..., 3): where each goes by a turn about each axis, a column an axis."""
    points = points[..., None, :].expand(*points.shape, 3)
    return torch.linalg.cross(torch.eye(3).to(points).expand_as(points), points, dim=-1).mT


def robust(squared: torch.Tensor, outlier: float = 5.0) -> torch.Tensor:
    """Cauchy's cost of squared errors in standard deviations: beyond `outlier` of them it hardly grows."""
    return 0.5 * outlier**2 * (squared / outlier**2).log1p()


def keypoint_cost(seen: Observations, keypoints: torch.Tensor, cameras: Camera, sharp: float = 1.0
                  ) -> torch.Tensor:
    """(V,) of keypoints (F, K, 3); `sharp` divides the error that is expected."""
    projected, depth = cameras[seen.camera].project(keypoints[seen.moment])
    spread = (KEYPOINT_ERROR / sharp * seen.extent)[seen.camera][:, None]
    squared = (projected - seen.points).square().sum(-1) / spread.square()
    return (seen.belief * robust(squared)).sum(1)


def smoothness_cost(motion: Motion, spread: torch.Tensor, seconds: torch.Tensor, linked: torch.Tensor,
                    alone: bool) -> torch.Tensor:
    """Of how speeds change, those of controls by their spread (C, 3); seconds (F - 1,) between neighbours,
    linked (F - 1,) how much those tell.

    Between frames that are far apart in time anything can happen, and the cost fades. Speeds of controls
    change each for itself, `alone`, or as they are wont to change together: so the rest of a body tells where
    a point moves that nobody sees. From afar that has many minima, in which a few frames jump.
    """
    if len(motion) < 3:
        return motion.build.new_zeros(())
    controls = (motion.controls / (PUSH["controls"] * spread)).flatten(1)
    # matrices differ by 2^0.5 times the small angle between them
    values = torch.cat([controls, motion.root.flatten(1) / (2**0.5 * PUSH["turn"]),
                        motion.place / PUSH["place"]], 1)
    change = (values.diff(dim=0) / seconds[:, None]).diff(dim=0)
    pushes = smoothness_weight(seconds, linked, 1.0).sqrt()[:, None] * change
    if alone:
        return 0.5 * pushes.square().sum()
    joints, body = pushes.tensor_split([controls.shape[1]], 1)
    return matrix_t_cost(joints, PUSHES) + 0.5 * body.square().sum()


def smoothness_weight(seconds: torch.Tensor, linked: torch.Tensor, push: float) -> torch.Tensor:
    """(F - 2,) of squared changes of a speed."""
    return linked[:-1] * linked[1:] / (push**2 * (seconds[:-1] + seconds[1:]) / 2)


def habit_cost(controls: torch.Tensor) -> torch.Tensor:
    """Of how controls (F, C, 3) vary: who hardly moves a joint is likely not to move it at all, and joints
    that move together, as a walker's do, are likely to go on like that.

    With a variance for each control alone, keypoints that were left out of three captures lay up to 9 %
    further off; but two drawn people, whose limbs move each for itself, were found 0.4 and 3.6 mm better in
    two views.
    """
    return matrix_t_cost((controls - controls.mean(0)).flatten(1) / HABIT, HABIT_FRAMES)


def matrix_t_cost(rows: torch.Tensor, known: float) -> torch.Tensor:
    """Of rows (F, N) that are normally distributed with an unknown covariance, about which as much is known
    as `known` rows of variance 1 would tell: the matrix t-distribution."""
    rows = rows / known**0.5
    inner = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows  # of equal determinants
    return 0.5 * (known + len(rows)) * torch.linalg.slogdet(torch.eye(len(inner)) + inner)[1]


def build_cost(puppet: Puppet, build: torch.Tensor) -> torch.Tensor:
    """What an unusual build costs: half its squared deviation, one scalar."""
    return 0.5 * ((build - puppet.build_mean) / puppet.build_spread).square().sum()
