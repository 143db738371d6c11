"""The poses of another capture as a motion."""

from __future__ import annotations

from pathlib import Path

import torch

from anr_core.body import Body, Pose, TrackedBody
from anr_core.capture import load_capture
from anr_core.motion.puppet import at_rest
from anr_core.motion.record import Motion, sized


def read_recording(folder: Path) -> Motion:
    """The motion of the person in a capture, whose frames may have gaps."""
    capture = load_capture(folder)
    body = capture.body
    if isinstance(body, TrackedBody):
        raise ValueError(f"{folder} holds a registered mesh a frame, whose joints nobody knows. Fit a body "
                         f"to them: python -m anr_core fit {folder} --to meshes")
    poses = capture.recording
    first, last = int(poses.frame[0]), int(poses.frame[-1])
    sized((last - first + 1) * poses.rotations.shape[1] * 6, folder)  # gaps are filled
    every = torch.arange(first, last + 1)
    return posed_motion(body, poses.at(every), capture.fps, f"capture {folder.name}")


def posed_motion(body: Body, poses: Pose, fps: float, kind: str = "poses") -> Motion:
    """The motion of a body's own poses."""
    names, parents = body.skeleton.names, body.skeleton.parents
    rest = at_rest(body).joints[0].cpu()
    offsets = torch.stack([rest[index] - (rest[parent] if parent >= 0 else 0)
                           for index, parent in enumerate(parents)])
    rotations = torch.cat([poses.root_rotation[:, None], poses.rotations], 1)
    steps = offsets.expand(len(poses), -1, -1).clone()
    steps[:, 0] = rest[0] + poses.root_translation
    joints = {name: index for index, name in enumerate(names)}
    for side in ("left", "right"):
        toe = next((f"{side}_{name}" for name in ("foot", "second_toe1") if f"{side}_{name}" in joints), None)
        if toe:
            joints[f"{side}_toe"] = joints[toe]
    return Motion(names, parents, offsets, rotations, steps, fps, kind, joints, body)
