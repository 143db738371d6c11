"""Small corrections of registered poses and of cameras, found from the outlines of the training pictures.

A registration is some millimetres and degrees off, and an avatar that is trained on it learns to blur. So
each trained frame may move as a whole and turn at its large joints, and each camera may turn about its
centre, before anything else is learned. What they can do is little: it is measured in units of what real fits
err by, held to zero, and smooth in time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import roma
import torch
from scipy import sparse
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from anr_core.avatars.displacement import displaced, displacement
from anr_core.avatars.outlines import Outline
from anr_core.body import Body, Pose, Posed
from anr_core.camera import Camera
from anr_core.capture import Capture
from anr_core.capture.view import View
from anr_core.skeleton import Skeleton
from anr_core.threads import running_on

# What a registration errs by: the unit of its correction.
METRES, RADIANS, JOINT_RADIANS, CAMERA_RADIANS = 0.004, 0.008, 0.02, 0.002

JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "neck", "head", "spine1")

ROUNDS = 2

# Frames that are looked at, and cameras in each, at the most: they bound the time, half a minute on one core.
FRAMES, CAMERAS = 48, 4

# What a correction of one unit costs, and a change by one unit from frame to frame: metres of outline times
# squared metres that it lies off.
HELD, SMOOTH = 7e-6, 2e-5

# How many times as firmly a camera is held in each of its pictures: held like poses, cameras turn towards
# whatever clothes stand off, and a quarter of the gain on views held out is lost.
FIRM = 30

# Units, to either side, over which motion is taken to be linear.
STEP = 0.25


class Refinement(nn.Module):
    """Corrections of the pictures that an avatar is trained on; anything else is left as it is.

    pictures  (camera name, frame) of every training picture
    skeleton  of the body that is posed by joints; None where its meshes only move as a whole
    """

    def __init__(self, pictures: list[tuple[str, int]], skeleton: Skeleton | None):
        super().__init__()
        self.cameras, self.frames = (sorted({picture[part] for picture in pictures}) for part in (0, 1))
        self.joints = [row for row, name in enumerate(skeleton.names[1:] if skeleton else ())
                       if name.removeprefix("left_").removeprefix("right_") in JOINTS]
        # in units of what registrations err by: shift, turn, and turn of each joint
        self.register_buffer("poses", torch.zeros(len(self.frames), 2 + len(self.joints), 3))
        self.register_buffer("turns", torch.zeros(len(self.cameras), 3))

    def forward(self, view: View, body: Body) -> tuple[Posed, Camera]:
        """The corrected meshes and cameras of views; those that were not trained are as registered."""
        poses = found(self.poses, self.frames, view.frame.tolist())
        turns = found(self.turns, self.cameras, view.camera_name)
        return self._posed(body, view.pose, poses), turned(view.camera, CAMERA_RADIANS * turns)

    def _posed(self, body, pose, corrections):
        shift, turn = METRES * corrections[:, 0], RADIANS * corrections[:, 1]
        if self.joints:
            turns = torch.zeros_like(pose.rotations)
            turns[:, self.joints] = JOINT_RADIANS * corrections[:, 2:]
            pose = replace(pose, rotations=roma.rotvec_composition((turns, pose.rotations)))
        posed = body(pose)
        middle = posed.vertices.mean(1, keepdim=True)
        rotation, shift = roma.rotvec_to_rotmat(turn).to(middle), shift[:, None].to(middle)
        return replace(posed, **{name: (points - middle) @ rotation.mT + middle + shift
                                 for name in ("vertices", "joints")
                                 if (points := getattr(posed, name)) is not None})

    @torch.no_grad()
    @running_on(1)
    def fit(self, training: Capture, size: int) -> None:
        """Find what brings the outlines of the meshes, displaced to the clothes', closest to the masks'.

        size  side of the pictures that are looked at, pixels

        Two steps of Gauss and Newton's method over frames and cameras at once. A long capture is looked at in
        some frames, through some of their cameras; the frames between take what lies between.
        """
        def registered(most):
            for view in training.evenly(most).views(crop="body", size=size):
                yield view, training.body(view.pose)

        offsets = displacement(registered, len(training.shots), int(training.body.surface.faces.max()) + 1)
        by_frame = defaultdict(list)
        for shot in training.shots:
            by_frame[shot.frame].append(shot)
        rows = range(0, len(self.frames), -(-len(self.frames) // FRAMES))
        looked_at = []
        for turn, row in enumerate(rows):
            shots = by_frame[self.frames[row]]
            step = -(-len(shots) // CAMERAS)  # other cameras in each frame, so that all have their turn
            looked_at.append(replace(training, shots=shots[turn % step::step]))
        for turn in range(ROUNDS):
            equations = Equations(len(rows), self.poses[0].numel(), len(self.cameras))
            for knot, pictures in enumerate(tqdm(looked_at, f"refining poses, {turn + 1} of {ROUNDS}",
                                                 unit=" frames", leave=False)):
                self._look_at(pictures, knot, self.poses[rows[knot]], offsets, size, equations)
            knots = self.poses[list(rows)].flatten(1)
            poses, turns = equations.solved(knots, self.turns)
            self.poses.copy_(self._between(rows, knots + poses))
            self.turns += turns

    def _between(self, rows, knots):
        """Corrections of all frames, linear in time between those (n, P) of the frames in some rows."""
        times = [self.frames[row] for row in rows]
        columns = [np.interp(self.frames, times, column) for column in knots.T.cpu().numpy()]
        return torch.from_numpy(np.stack(columns, 1)).to(knots).view_as(self.poses)

    def _look_at(self, pictures, knot, corrections, offsets, size, equations):
        """Add what one frame's pictures say of its pose and of their cameras."""
        motion = None
        for view in pictures.views(crop="body", size=size):
            posed, camera = self(view, pictures.body)
            if motion is None:
                motion = self._motion(pictures.body, view.pose, corrections)
            vertices = displaced(posed, offsets).vertices[0]
            crossings = Outline.of(replace(view, camera=camera)).crossed_by(vertices, posed.surface.faces)
            by_pose = torch.einsum("nkpc,nk,nc->np", motion[crossings.corners], crossings.barycentric,
                                   crossings.across)
            # a camera's turn moves what it sees about its centre
            arm = crossings.place - camera.center
            by_camera = CAMERA_RADIANS * torch.linalg.cross(arm, crossings.across)
            equations.add(knot, self.cameras.index(view.camera_name[0]), by_pose, by_camera, crossings.gap,
                          crossings.weight)

    def _motion(self, body: Body, pose: Pose, corrections: torch.Tensor) -> torch.Tensor:
        """How a frame's vertices move with each number of its correction: (V, P, 3) metres a unit."""
        numbers = corrections.numel()
        steps = STEP * torch.eye(numbers)
        tried = corrections.flatten() + torch.cat([steps, -steps])
        poses = replace(pose, **{name: getattr(pose, name).expand(2 * numbers, *getattr(pose, name).shape[1:])
                                 for name in ("rotations", "root_rotation", "root_translation")},
                        frame=None if pose.frame is None else pose.frame.expand(2 * numbers))
        ahead, behind = self._posed(body, poses, tried.unflatten(1, (-1, 3))).vertices.chunk(2)
        return ((ahead - behind) / (2 * STEP)).transpose(0, 1)


class Equations:
    """The normal equations of all corrections: a block a frame, a block a camera, and what ties them."""

    def __init__(self, frames: int, numbers: int, cameras: int):
        self.frames = np.zeros((frames, numbers, numbers))
        self.cameras = np.zeros((cameras, 3, 3))
        self.pictures = np.zeros(cameras)
        self.ties: dict[tuple[int, int], np.ndarray] = defaultdict(lambda: np.zeros((numbers, 3)))
        self.right_frames, self.right_cameras = np.zeros((frames, numbers)), np.zeros((cameras, 3))

    def add(self, frame: int, camera: int, by_pose: torch.Tensor, by_camera: torch.Tensor, gap: torch.Tensor,
            weight: torch.Tensor) -> None:
        """Rows (N, P) and (N, 3) that are to close gaps (N,), under weights (N,)."""
        by_pose, by_camera, gap, weight = (values.double().cpu().numpy()
                                           for values in (by_pose, by_camera, gap, weight))
        self.pictures[camera] += 1
        self.frames[frame] += (by_pose.T * weight) @ by_pose
        self.cameras[camera] += (by_camera.T * weight) @ by_camera
        self.ties[frame, camera] += (by_pose.T * weight) @ by_camera
        self.right_frames[frame] += by_pose.T @ (weight * gap)
        self.right_cameras[camera] += by_camera.T @ (weight * gap)

    def solved(self, poses: torch.Tensor, turns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The change of corrections, (frames, P) and (cameras, 3), that are held to zero and even in time."""
        (frames, numbers), cameras = poses.shape, len(turns)
        ties = [[sparse.csr_matrix(self.ties[frame, camera]) for camera in range(cameras)]
                for frame in range(frames)]
        steps = sparse.diags([-np.ones(frames - 1), np.ones(frames - 1)], [0, 1], (frames - 1, frames))
        even = SMOOTH * sparse.kron(steps.T @ steps, sparse.eye(numbers))
        tied = sparse.bmat(ties)
        measured = sparse.bmat([[sparse.block_diag(list(self.frames)), tied],
                                [tied.T, sparse.block_diag(list(self.cameras))]])
        firm = FIRM * HELD * np.repeat(self.pictures, 3)
        held = sparse.block_diag([HELD * sparse.eye(frames * numbers) + even, sparse.diags(firm)])
        now = torch.cat([poses.flatten(), turns.flatten()]).double().cpu().numpy()
        right = np.concatenate([self.right_frames.ravel(), self.right_cameras.ravel()]) - held @ now
        change = torch.from_numpy(sparse.linalg.splu((measured + held).tocsc()).solve(right)).to(poses)
        return change[:frames * numbers].view_as(poses), change[frames * numbers:].view_as(turns)


def found(table: torch.Tensor, names: list, wanted: list) -> torch.Tensor:
    """The rows of a table that stand for what is wanted; zeros for what has none."""
    rows = {name: row for row, name in enumerate(names)}
    zero = functional.pad(table, (0, 0) * (table.ndim - 1) + (0, 1))
    return zero[[rows.get(name, len(names)) for name in wanted]]


def turned(camera: Camera, turns: torch.Tensor) -> Camera:
    """Cameras, each turned about its centre by an axis-angle (B, 3) in the world."""
    R = camera.R @ roma.rotvec_to_rotmat(turns).to(camera.R)
    return replace(camera, R=R, t=-(R @ camera.center[..., None])[..., 0])
