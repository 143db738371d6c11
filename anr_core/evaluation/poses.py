"""How well an avatar lifts 2D keypoints to joints in space, beside the mean pose."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from anr_core import metrics
from anr_core.avatars import Avatar
from anr_core.avatars.base import Scene
from anr_core.body import Posed
from anr_core.capture import Capture
from anr_core.capture.folder import Shot
from anr_core.lifting import Examples, Lifter, look, mean_pose, root, size

FIGURES = {"mpjpe": metrics.mpjpe, "n_mpjpe": metrics.n_mpjpe, "p_mpjpe": metrics.p_mpjpe}


def evaluate_poses(avatar: Avatar, capture: Capture, splits: dict[str, list[Shot]]) -> dict:
    """{split: {"lifter" and "mean": {figure: metres}}} of views whose keypoints are the avatar's.

    The truth is where the joints are in the registered mesh, counted from the root; the person's size is
    known, as it is of whoever an avatar was trained on. Empty where the avatar lifts nothing, or the capture
    has other keypoints. Prints a line a split.
    """
    if getattr(avatar, "lifter", None) is None:
        return {}
    wanted = avatar.config.skeleton
    capture = capture if capture.skeleton == wanted else capture.of_body
    if capture.skeleton != wanted:
        return {}
    lifter = Lifter(avatar.lifter, mean_pose(Examples(avatar.skeleton, avatar.config.seed)))
    results = {}
    for split, shots in splits.items():
        judged = list(_judged(avatar, capture, shots))
        if not judged:
            continue
        seen, truth, person = (torch.cat(values) for values in zip(*judged, strict=True))
        found = lifter(seen, avatar.skeleton)
        answers = {"lifter": found - root(found, avatar.skeleton), "mean": lifter.mean.expand_as(truth)}
        results[split] = {name: {figure: float(compare((person * joints).numpy(), truth.numpy()).mean())
                                 for figure, compare in FIGURES.items()} for name, joints in answers.items()}
        told = ("{mpjpe:.0f} / {n_mpjpe:.0f} / {p_mpjpe:.0f}".format(
            **{figure: 1e3 * value for figure, value in results[split][name].items()}) for name in answers)
        print("{}: {} poses lifted from 2D, MPJPE / N-MPJPE / P-MPJPE {} mm; the mean pose {} mm".format(
            split, len(seen), *told))
    return results


@torch.no_grad()
def _judged(avatar: Avatar, capture: Capture, shots: Iterable[Shot]):
    """What the lifter is shown of each picture, the truth in the sight's axes, and the person's size."""
    for shot in shots:
        keypoints = capture.keypoints.get((shot.camera, shot.frame))
        if keypoints is None or not shot.registered:
            continue
        camera = capture.cameras[shot.camera]
        mesh = capture.body(capture.pose(torch.tensor([shot.frame])))
        posed = Posed(mesh.vertices, mesh.joints, avatar.surface)
        joints = avatar.joints(Scene(posed, camera, camera.size))
        if not bool((joints[..., 3] > 0).all()):
            continue
        up = None if shot.camera in capture.uncalibrated else capture.up
        sight = look(keypoints[None].float(), camera, up)
        points = joints[..., :3]
        yield (sight.seen, sight.from_world(points - root(points, avatar.skeleton)),
               size(points, avatar.skeleton)[:, None, None])
