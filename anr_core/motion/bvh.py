"""BVH, Biovision's hierarchy: a tree of named joints with offsets, then a line of channels a frame.

Angles are degrees, in the order in which a joint's channels stand. Position channels of the root are its
place; those of another joint replace its offset, or add to it where they stay near zero: exporters differ.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from anr_core.motion.record import Motion, rate, sized
from anr_core.telling import brief, listed, quoted, reason

CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")
LARGEST_FILE = 2**30  # bytes
MOST_STILL = 100  # joints without a channel, beside one for each channel
MOST_JOINTS = 2000  # of a person with fingers and a face there are hundreds


def read_bvh(file: Path) -> Motion:
    """The motion in a BVH file.

    Raises ValueError, which names the line or frame, for a file that is no BVH, or cut off.
    """
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{file} is larger than 1 GiB. Cut it into parts.")
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    head, found, tail = text.partition("MOTION")
    if not head.lstrip().startswith("HIERARCHY"):
        raise ValueError(f"{file} is no BVH file: it does not begin with HIERARCHY.")
    if not found:
        raise ValueError(f"{file} has no MOTION part: it was cut off. Copy it again.")
    names, parents, offsets, channels = _hierarchy(head, file)
    values, seconds = _frames(tail, sum(map(len, channels)), len(names), file)
    rotations, steps = _posed(values, np.array(offsets), channels)
    return Motion(tuple(names), tuple(parents), torch.tensor(offsets, dtype=torch.float32), rotations, steps,
                  rate(seconds), "BVH")


def _hierarchy(text, file):
    """Names, parents, offsets and channels of all joints."""
    names, parents, offsets, channels, above = [], [], [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        kind = words[0].upper() if words else ""
        try:
            if kind in ("ROOT", "JOINT", "END"):
                name = " ".join(words[1:]) or f"joint {len(names)}"
                names.append(f"{names[above[-1]].removesuffix(' end')} end" if kind == "END" else name)
                parents.append(above[-1] if above else -1)
                offsets.append([0.0, 0.0, 0.0])
                channels.append([])
            elif kind == "{":
                above.append(len(names) - 1)
            elif kind == "}":
                above.pop()
            elif kind == "OFFSET":
                offsets[above[-1]] = [float(word) for word in words[1:4]]
                if len(words) < 4:
                    raise ValueError("an offset of fewer than three numbers")
            elif kind == "CHANNELS":
                channels[above[-1]] = [_channel(word) for word in words[2:2 + int(words[1])]]
            elif kind not in ("", "HIERARCHY"):
                raise ValueError(f"the unknown word {quoted(words[0])}")
        except (ValueError, IndexError) as error:
            raise ValueError(f"{file} has {reason(error)} in line {number}, {quoted(line.strip())}. Export "
                             "it again.") from None
    if len(names) > MOST_JOINTS:
        raise ValueError(f"{file} has {len(names)} joints; up to {MOST_JOINTS} are read.")
    if above or not names:
        raise ValueError(f"{file}: its hierarchy is not closed, or empty. Copy it again.")
    if parents.count(-1) > 1:
        roots = [name for name, parent in zip(names, parents, strict=True) if parent < 0]
        raise ValueError(f"{file} holds several figures: {listed(roots)}. Keep one.")
    return names, parents, offsets, channels


def _channel(word):
    """Index into CHANNELS."""
    wanted = word.lower()
    for index, name in enumerate(CHANNELS):
        if wanted == name.lower():
            return index
    raise ValueError(f"the unknown channel {quoted(word)}")


def _frames(text, width, joints, file):
    """The channels (T, width) and the seconds of a frame."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        count = int(lines[0].split(":")[1])
        seconds = float(lines[1].split(":")[1])
    except (IndexError, ValueError):
        raise ValueError(f"{file}: after MOTION come 'Frames: N' and 'Frame Time: S', which are missing or "
                         "no numbers. Export it again.") from None
    if count <= 0:
        raise ValueError(f"{file} says that it has {brief(count)} frames. Export it again.")
    if not 1e-5 < seconds < 1e5:
        raise ValueError(f"{file} has a frame time of {seconds:g} s, which plays nothing. Write the seconds "
                         "between two frames there, such as 0.0333333.")
    if joints > MOST_STILL + width:  # else few bytes a frame would make room for many joints
        raise ValueError(f"{file} has {joints} joints, and {width} channels in all. Export it again.")
    sized(count * max(width, 6 * joints), file)
    try:
        rows = [np.array(line.split(), np.float64) for line in lines[2:]]
    except ValueError as error:
        raise ValueError(f"{file} has no numbers among its frames ({reason(error)}). Export it again."
                         ) from None
    if any(len(row) != width for row in rows):
        values = np.concatenate(rows)  # some wrap a frame over several lines
        if len(values) % width:
            wrong = next(index for index, row in enumerate(rows) if len(row) != width)
            raise ValueError(f"{file}: frame {wrong} has {len(rows[wrong])} numbers, but its joints have "
                             f"{width} channels: it was cut off there, or is damaged. Copy it again.")
        rows = values.reshape(-1, width)
    if len(rows) < count:
        raise ValueError(f"{file} says that it has {brief(count)} frames, but holds {len(rows)}: it was cut "
                         "off. Copy it again.")
    values = np.array(rows[:count], np.float64)
    if not np.isfinite(values).all():
        wrong = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise ValueError(f"{file} has NaN or infinite numbers, first in frame {wrong}. Export it again.")
    return values, seconds


def _posed(values, offsets, channels):
    """Rotations and steps (T, J, 3) of channels (T, n)."""
    import roma  # a second to import

    values = torch.from_numpy(values)
    rotations = torch.zeros(len(values), len(channels), 3)
    steps = torch.from_numpy(offsets).float().expand(len(values), -1, -1).clone()
    start = 0
    for joint, own in enumerate(channels):
        part = values[:, start:start + len(own)]
        start += len(own)
        moved = [(c, part[:, i]) for i, c in enumerate(own) if c < 3]
        if moved:
            place = torch.zeros(len(values), 3)
            for axis, column in moved:
                place[:, axis] = column.float()
            size = np.linalg.norm(offsets[joint])
            added = joint > 0 and float(place.mean(0).norm()) < 0.5 * size
            steps[:, joint] = place + (steps[:, joint] if added else 0)
        turned = [(c - 3, part[:, i]) for i, c in enumerate(own) if c >= 3]
        if turned:
            turn = torch.eye(3, dtype=torch.float64).expand(len(values), 3, 3)
            for axis, column in turned:
                about = torch.zeros(len(values), 3, dtype=torch.float64)
                about[:, axis] = torch.deg2rad(column)
                turn = turn @ roma.rotvec_to_rotmat(about)
            rotations[:, joint] = roma.rotmat_to_rotvec(turn).float()
    return rotations, steps
