"""Motions that are rotations of SMPL's joints: AMASS npz, and EasyMocap's json.

No body model is needed: SMPL rests with arms stretched out, so its rotations are those of a generic figure
that rests so. Its size is found from the motion: feet that stand don't slide.

AMASS: poses (T, 72 | 156 | 165) axis-angle, trans (T, 3) metres, mocap_framerate or mocap_frame_rate.
EasyMocap: a json a frame or a list of them, each a person's Rh, Th, poses (`body/conventions.py`).
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import torch

from anr_core.body.npz import read_npz
from anr_core.capture.readers.arrays import numbers
from anr_core.capture.readers.smpl_json import MODELS, read_parameters
from anr_core.capture.sources import is_number, read_json
from anr_core.motion.record import Motion, sized
from anr_core.skeleton import SMPL, SMPLH, SMPLX, T_POSE, Skeleton
from anr_core.telling import brief, listed, reason

SKELETONS = {72: SMPL, 156: SMPLH, 165: SMPLX}
RATES = ("mocap_framerate", "mocap_frame_rate", "fps", "frame_rate")
BODY_VALUES = 66  # of the root and the 21 joints that all of SMPL's family share
EASYMOCAP_FPS = 30.0  # its files don't tell
BETTER = 0.95    # of the sliding: so much less makes a figure of another size more likely
SEARCHED = 3000  # frames, the first ones


def read_amass(file: Path, fps: float | None = None) -> Motion:
    """The motion in an npz of AMASS, or of whatever writes poses and trans alike."""
    try:
        arrays = read_npz(file, objects=True)  # beside what is looked at
        keys = list(arrays)
        rotations = _first(arrays, ("poses", "pose", "fullpose"))
        if rotations is None and "root_orient" in arrays and "pose_body" in arrays:  # AMASS for SMPL-X
            rotations = np.concatenate([arrays["root_orient"], arrays["pose_body"]], 1)
        places = _first(arrays, ("trans", "transl"))
        rate = _first(arrays, RATES)
    except (EOFError, KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} can't be read as npz ({reason(error)}). Copy it again.") from None
    if rotations is None:
        raise ValueError(f"{file} has no poses, so it is no motion of AMASS; it has "
                         f"{listed(keys)}.")
    rotations = numbers(rotations, (None, None), f"{file}: poses")
    places = np.zeros((len(rotations), 3)) if places is None else numbers(places, (None, 3), f"{file}: trans")
    sized(rotations.size * 2, file)
    if len(places) != len(rotations):
        raise ValueError(f"{file} has {len(rotations)} poses, but {len(places)} places. Copy it again.")
    if fps is None:
        fps = 30.0 if rate is None else float(numbers(rate, (1,), f"{file}: its frame rate")[0])
    return smpl_motion(rotations, places, fps, "AMASS", file)


def read_easymocap(source: Path, fps: float | None = None) -> Motion:
    """The motion in EasyMocap's json: a folder of one a frame, or one file with a list of all frames."""
    if source.is_dir():
        files = {number: file for file in sorted(source.glob("*.json"))
                 if (number := _number(file)) is not None}
        if not files:
            raise FileNotFoundError(f"{source} has no json files that are named by their frame, as in "
                                    "000008.json, and no capture.json.")
        found = read_parameters(files)
        frames = found["frames"]
        sized(int(frames[-1] - frames[0] + 1) * found["poses"].shape[1], source)  # what lacks is filled in
    else:
        found, frames = _listed(source)
    poses = found["poses"]
    if poses.shape[1] % 3 or poses.shape[1] in (69, 75, 84, 153, 162):
        poses = np.pad(poses, ((0, 0), (3, 0)))  # the root is left out
    rotations = poses[:, :72] if MODELS[found["poses"].shape[1]] == "smpl" else poses[:, :BODY_VALUES]
    if len(frames) > 1 and (np.diff(frames) != np.diff(frames).min()).any():
        rotations, places, turns = (_filled(values, frames)
                                    for values in (rotations, found["Th"], found["Rh"]))
    else:
        places, turns = found["Th"], found["Rh"]
    import roma  # a second to import

    turns = torch.from_numpy(np.array(turns, np.float64))
    turns = roma.rotvec_composition((turns, torch.from_numpy(np.array(rotations[:, :3], np.float64))))
    rotations = np.concatenate([turns.numpy(), rotations[:, 3:]], 1)
    # about the origin, from which SMPL's pelvis rests about as far below as our figure's chest is above it
    pelvis = roma.rotvec_to_rotmat(turns) @ torch.tensor([0.0, -0.22, 0.03], dtype=torch.float64)
    places = np.asarray(places) + pelvis.numpy()
    return smpl_motion(rotations, places, fps or EASYMOCAP_FPS, "EasyMocap", source)


def smpl_motion(rotations: np.ndarray, places: np.ndarray, fps: float, kind: str, source) -> Motion:
    """The motion of axis-angles (T, n) of SMPL's joints, the root first, and the root's places (T, 3)."""
    width = rotations.shape[1]
    if width < BODY_VALUES or width % 3:
        raise ValueError(f"{source} has poses of {width} values; expected 72, 156 or 165: three for each "
                         "joint of SMPL, SMPL-H or SMPL-X.")
    skeleton = SKELETONS.get(width, SMPL)
    known = width // 3 if width in SKELETONS else BODY_VALUES // 3
    turns = np.zeros((len(rotations), len(skeleton), 3), np.float32)
    turns[:, :known] = rotations[:, :3 * known].reshape(len(rotations), known, 3)
    rest, kept = standing(skeleton)
    turns, parents = torch.from_numpy(turns)[:, kept], [skeleton.parents[joint] for joint in kept]
    parents = tuple(-1 if parent < 0 else kept.index(parent) for parent in parents)
    names = tuple(skeleton.names[joint] for joint in kept)
    steps = rest.expand(len(turns), -1, -1).clone()
    steps[:, 0] = torch.from_numpy(np.asarray(places, np.float32))
    joints = {name.replace("_foot", "_toe"): index for index, name in enumerate(names)}
    motion = Motion(names, parents, rest, turns, steps, fps, kind, joints)
    scale = figure_scale(motion)
    steps = torch.cat([steps[:, :1], scale * steps[:, 1:]], 1)
    return Motion(names, parents, scale * rest, turns, steps, fps, kind, joints)


def standing(skeleton: Skeleton) -> tuple[torch.Tensor, list[int]]:
    """From each joint's parent to it in a T-pose (n, 3), metres, of those joints whose place is known."""
    def place(name):
        x, y, z = T_POSE[name.replace("right", "left")]
        return torch.tensor([-x if name.startswith("right") else x, y, z], dtype=torch.float32)

    kept = [joint for joint, name in enumerate(skeleton.names) if name.replace("right", "left") in T_POSE]
    steps = [place(skeleton.names[joint]) - (place(skeleton.names[skeleton.parents[joint]]) if joint else 0)
             for joint in kept]
    return torch.stack(steps), kept


def figure_scale(motion: Motion) -> float:
    """How large the figure is against ours: so that, as a rule, root and leg together move one foot nowhere.

    1 where that is hardly better, as when nobody moves.
    """
    if len(motion) < 10:
        return 1.0
    _, places = motion[:SEARCHED].placed()
    root = places[:, 0]
    feet = places[:, [motion.joints["left_toe"], motion.joints["right_toe"]]] - root[:, None]
    goes, swings = root.diff(dim=0)[:, None], feet.diff(dim=0)

    def sliding(scale):  # a root: that many frames slide nowhere counts more than how far the others do
        return float((goes + scale * swings).norm(dim=-1).amin(1).sqrt().mean())

    best = min(torch.linspace(0.7, 1.4, 141).tolist(), key=sliding)
    return best if sliding(best) < BETTER * sliding(1.0) else 1.0


def _first(arrays, names):
    return next((arrays[name] for name in names if name in arrays), None)


def _number(file):
    """Of a frame, which is the last one in a file's name; None where it has none."""
    found = re.findall("[0-9]+", file.stem)[-1:]
    if found and not is_number(found[0]):
        raise ValueError(f"{file} is named by {brief(found[0])}, which is no number of a frame. Rename it.")
    return int(found[0]) if found else None


def _listed(file):
    """Parameters as `read_parameters` gives them, of a list with one entry a frame."""
    content = read_json(file)
    rows = content.get("annots", content) if isinstance(content, dict) else content
    rows = [_first_person(row) for row in (rows if isinstance(rows, list) else [rows])]
    found = {name: [] for name in ("Rh", "Th", "poses")}
    for index, row in enumerate(rows):
        for name, values in found.items():
            if not isinstance(row, dict) or name not in row:
                raise ValueError(f"{file}: entry {index} has no {name}, so it is no motion of EasyMocap.")
            values.append(_stacked(row[name], file).reshape(-1))
    if not rows:
        raise ValueError(f"{file} holds no frames. Export it again.")
    arrays = {name: numbers(_stacked(values, file), (None, None), f"{file}: {name}")
              for name, values in found.items()}
    if arrays["poses"].shape[1] not in MODELS:
        raise ValueError(f"{file} has {arrays['poses'].shape[1]} pose values; SMPL has 72, SMPL-H 78 or 156, "
                         "SMPL-X 87 or 165.")
    return arrays, np.arange(len(rows))


def _first_person(row):
    """Of an entry that may be a list of people, or hold one."""
    row = row[0] if isinstance(row, list) and row else row
    people = row.get("annots") if isinstance(row, dict) else None
    return people[0] if isinstance(people, list) and people else row


def _stacked(values, file):
    try:
        return np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{file} has entries of different lengths, or no numbers. Export it "
                         "again.") from None


def _filled(values, frames):
    """Values of every frame from the first to the last, in between on a straight line."""
    every = np.arange(frames[0], frames[-1] + 1)
    return np.stack([np.interp(every, frames, column) for column in np.asarray(values).T], 1)
