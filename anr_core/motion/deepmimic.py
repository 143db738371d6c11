"""DeepMimic's motions (Peng et al. 2018): json with a list of frames of 44 numbers.

A frame: seconds, the root's place, then quaternions (w, x, y, z) of the root and of each joint; knees and
elbows are one angle about Z. Metres; Y is up, the figure looks along X, its right hand is at +Z, and its arms
hang down at rest. The figure's lengths are those of DeepMimic's humanoid3d (MIT).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from anr_core.capture.sources import read_json
from anr_core.motion.record import Motion, rate, sized

# name, parent, numbers in a frame, from the parent to it
JOINTS = (("root", -1, 4, (0.0, 0.0, 0.0)), ("chest", 0, 4, (0.0, 0.236151, 0.0)),
          ("neck", 1, 4, (0.0, 0.223894, 0.0)),
          ("right_hip", 0, 4, (0.0, 0.0, 0.084887)), ("right_knee", 3, 1, (0.0, -0.421546, 0.0)),
          ("right_ankle", 4, 4, (0.0, -0.409870, 0.0)),
          ("right_shoulder", 1, 4, (-0.02405, 0.2435, 0.18311)), ("right_elbow", 6, 1, (0.0, -0.274788, 0.0)),
          ("left_hip", 0, 4, (0.0, 0.0, -0.084887)), ("left_knee", 8, 1, (0.0, -0.421546, 0.0)),
          ("left_ankle", 9, 4, (0.0, -0.409870, 0.0)),
          ("left_shoulder", 1, 4, (-0.02405, 0.2435, -0.18311)), ("left_elbow", 11, 1, (0.0, -0.274788, 0.0)))
ENDS = (("right_wrist", 7, (0.0, -0.258947, 0.0)), ("left_wrist", 12, (0.0, -0.258947, 0.0)),
        ("right_toe", 5, (0.13, -0.045, 0.0)), ("left_toe", 10, (0.13, -0.045, 0.0)),
        ("head", 2, (0.0, 0.175, 0.0)))
WIDTH = 1 + 3 + sum(count for _, _, count, _ in JOINTS)


def read_deepmimic(file: Path) -> Motion:
    """The motion in a file of DeepMimic."""
    content = read_json(file)
    frames = content.get("Frames") if isinstance(content, dict) else None
    if not isinstance(frames, list):
        raise ValueError(f'{file} has no "Frames", so it is no motion of DeepMimic.')
    if not frames:
        raise ValueError(f"{file} holds no frames. Export it again.")
    for index, frame in enumerate(frames):
        if not isinstance(frame, list) or len(frame) != WIDTH:
            count = len(frame) if isinstance(frame, list) else "no"
            raise ValueError(f"{file}: frame {index} has {count} numbers, expected {WIDTH}. Copy it again.")
    sized(len(frames) * WIDTH, file)
    try:
        values = torch.from_numpy(np.array(frames, np.float64))
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{file} has frames that are no numbers. Copy it again.") from None
    seconds = float(values[:-1, 0].mean()) if len(values) > 1 else 1 / 30
    if not seconds > 0:
        raise ValueError(f"{file} has frames of {seconds:g} s, which plays nothing. Write seconds first in "
                         "each.")
    return _motion(values, rate(seconds))


def _motion(values, fps):
    import roma  # a second to import

    rotations, start = [], 4
    for _, _, count, _ in JOINTS:
        part = values[:, start:start + count]
        start += count
        if count == 1:
            rotations.append(torch.nn.functional.pad(part, (2, 0)))
        else:
            quaternion = part[:, [1, 2, 3, 0]]
            rotations.append(roma.unitquat_to_rotvec(quaternion / quaternion.norm(dim=1, keepdim=True)))
    rotations += [torch.zeros(len(values), 3)] * len(ENDS)
    names = tuple(entry[0] for entry in (*JOINTS, *ENDS))
    rest = torch.tensor([entry[-1] for entry in (*JOINTS, *ENDS)])
    steps = rest.expand(len(values), -1, -1).clone()
    steps[:, 0] = values[:, 1:4].float()
    return Motion(names, tuple(entry[1] for entry in (*JOINTS, *ENDS)), rest,
                  torch.stack(rotations, 1).float(), steps, fps, "DeepMimic",
                  {name: index for index, name in enumerate(names)})
