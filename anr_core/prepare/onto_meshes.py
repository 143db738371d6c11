"""A capture's registered meshes in, a body's shape and poses out: a body that can be posed anew.

The meshes are those of body.npz, or points without faces that foreign.npz keeps, as of ZJU-MoCap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from anr_core.body import Body, Pose
from anr_core.body.npz import read_npz
from anr_core.capture import Capture
from anr_core.capture.changing import write_registration
from anr_core.capture.posing import read_posing
from anr_core.capture.readers.arrays import entry, frame_numbers, numbers
from anr_core.prepare.check import mask_overlaps
from anr_core.prepare.fitting.figures import AnnyFigure
from anr_core.prepare.fitting.initialisation import facings, first_motion
from anr_core.prepare.fitting.meshes import COMPARED, Target, fit_meshes, measured
from anr_core.prepare.fitting.observations import Observations
from anr_core.prepare.fitting.smpl_figure import SmplFigure
from anr_core.prepare.fitting.smpl_puppet import SmplPuppet
from anr_core.prepare.fitting.surfaces import fans
from anr_core.skeleton import BODY25, COCO23, shared_joints

FACINGS = 8  # ways that a person may face, where no keypoints tell
WORST = 5  # frames that are named


def registered_meshes(capture: Capture) -> Target | None:
    """The meshes that somebody registered to a capture's frames, whatever was fitted since; None without."""
    if (capture.path / "body.npz").is_file():
        body, _ = read_posing(capture.path, None)
        there = {shot.frame for shot in capture.shots if shot.registered}  # others' meshes are in between
        rows = [row for row, frame in enumerate(body.frames.tolist()) if frame in there]
        return Target(body.frames[rows], body.vertices[rows], body.surface.faces)
    if not (file := capture.path / "foreign.npz").is_file() or "vertices" not in (arrays := read_npz(file)):
        return None
    frames = frame_numbers(entry(arrays, "mesh_frames", file), f"{file}: mesh_frames")
    points = numbers(arrays["vertices"], (len(frames), None, 3), f"{file}: vertices")
    rows = np.flatnonzero(np.isin(frames, [shot.frame for shot in capture.shots]))
    rows = rows[np.argsort(frames[rows])]
    points = torch.from_numpy(np.float32(points[rows]))
    some = torch.linspace(0, len(points) - 1, min(len(points), COMPARED)).round().long()
    return Target(torch.from_numpy(frames[rows]), points, fans(points[some]))


def fit_to_meshes(capture: Capture, target: Target, seen: Observations | None, body: str = "anny"
                  ) -> tuple[Capture, list[str]]:
    """The capture with a body fitted to meshes, and what to say of it.

    body  "anny", or "smpl", "smplh" or "smplx", from the user's own model file
    seen  keypoints, which tell where to start; without them all ways to face are tried
    """
    openpose = seen is None or seen.openpose
    figure = AnnyFigure(openpose) if body == "anny" else SmplFigure(body, openpose)
    shape, pose = fit_meshes(figure, target, _starts(figure, capture.up, seen))
    body, frames = figure.body(shape), torch.tensor(sorted({shot.frame for shot in capture.shots}))
    every = replace(pose.at(frames.clamp(pose.frame[0], pose.frame[-1])), frame=frames)
    made = write_registration(capture, body, every, fitted=target.frames.tolist())
    rows, apart = measured(body, pose, target)
    apart = 1000 * apart
    worst = sorted(zip(apart.mean(1).tolist(), rows.tolist(), strict=True), reverse=True)[:WORST]
    lines = [f"{len(target.frames)} of {len(frames)} frames fitted, to meshes of {apart.shape[1]} vertices"
             f"{told_of(figure.puppet)}",
             f"meshes: {float(apart.mean()):.1f} mm off in the mean, "
             f"{float(np.quantile(apart.numpy(), 0.95)):.1f} mm at most in 95 of 100 vertices"]
    if seen is not None:
        lines.append(f"keypoints: {_keypoints_off(body, pose, seen):.2f} px off in the mean")
    if overlap := list(mask_overlaps(made).values()):
        lines.append(f"silhouettes: {sum(overlap) / len(overlap):.3f} IoU in the mean, "
                     f"{min(overlap):.3f} at least")
    named = ", ".join(f"{frame} ({value:.1f} mm)" for value, frame in worst)
    return made, [*lines, f"worst frames: {named}"]


def _starts(figure, up, seen) -> Callable[[torch.Tensor], Pose]:
    """What gives the poses that the fits of frames (n,) start from."""
    def from_keypoints(frames):
        rows = torch.searchsorted(seen.frames, frames)
        motion, _ = first_motion(seen.at(rows), figure.puppet, up)
        return figure.puppet.pose(motion)

    def all_around(frames):
        facing = facings(up, FACINGS).repeat(len(frames), 1, 1)
        return figure.puppet.pose(figure.puppet.typical(facing, torch.zeros(len(facing), 3)))

    return all_around if seen is None else from_keypoints


def told_of(puppet) -> str:
    """Which of the user's models a fit took, if it took one."""
    return f", by your {puppet.variant} {puppet.model_type} model" if isinstance(puppet, SmplPuppet) else ""


@torch.no_grad()
def _keypoints_off(body: Body, pose: Pose, seen: Observations) -> float:
    """Pixels from the keypoints that were seen, in frames that have poses, in the mean."""
    off = []
    for row, frame in enumerate(pose.frame.tolist()):
        posed = body(pose[row:row + 1])
        points = body.keypoints(posed, "body25")
        if not seen.openpose:
            mine, coco = shared_joints(BODY25, COCO23)
            points[:, mine] = body.keypoints(posed, "coco23")[:, coco]
        views = seen.frames[seen.moment] == frame
        pixels, _ = seen.cameras[seen.camera[views]].project(points.expand(int(views.sum()), -1, -1))
        off.append((pixels - seen.points[views]).norm(dim=-1)[seen.belief[views] > 0])
    return float(torch.cat(off).mean())
