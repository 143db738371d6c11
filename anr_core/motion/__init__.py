"""Driving motions: a motion file in, poses of the body at hand out.

    poses = load_motion("walk.bvh", avatar.body, fps=25)     Pose of as many frames as that takes
    posed = avatar.body(poses[0:1])                          the first of them

    motion = read_motion("walk.bvh")                         what the file holds; print(motion) says it
    poses = retarget(motion, body, fps=25, smooth=0.05, loop=3, start=1, end=4)

BVH with any skeleton, AMASS npz, EasyMocap and DeepMimic json, or the folder of another capture. Retargeting
is explained in retargeting.py, feet in feet.py.
"""

from __future__ import annotations

from pathlib import Path

from anr_core.body import Body, Pose
from anr_core.motion.posing import retarget
from anr_core.motion.record import Motion, checked

__all__ = ["Motion", "load_motion", "read_motion", "retarget"]

KNOWN = ("BVH, AMASS npz (poses, trans), EasyMocap json (a folder of one a frame, or one list), DeepMimic "
         "json, or the folder of a capture")


def read_motion(source: str | Path, fps: float | None = None) -> Motion:
    """The motion in a file or folder, whatever its format is; `print` it to see what was found.

    fps  frames a second of the source, where its format doesn't tell (EasyMocap: 30 otherwise)

    Raises FileNotFoundError where there is nothing, ValueError where it is no motion or a damaged one.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist. Give a motion: {KNOWN}.")
    return checked(_reader(source)(source, fps), source)


def load_motion(source: str | Path, body: Body, fps: float | None = None, smooth: float = 0.0, loop: int = 0,
                start: float | None = None, end: float | None = None, up: str | None = None) -> Pose:
    """The poses of a motion file on a body; options are `retarget`'s."""
    return retarget(read_motion(source), body, fps, smooth, loop, start, end, up)


def _reader(source):
    """What reads it: a function of the source and its rate."""
    if source.is_dir():
        if (source / "capture.json").is_file():
            return _recording
        return _easymocap
    with open(source, "rb") as file:
        head = file.read(4096)
    if not head.strip():
        raise ValueError(f"{source} is empty. Copy it again.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].upper() == b"HIERARCHY":
        return _bvh
    if head[:2] == b"PK" or source.suffix.lower() == ".npz":
        return _amass
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _deepmimic if b'"Frames"' in head or _has_frames(source) else _easymocap
    raise ValueError(f"{source} is no motion that is known: {KNOWN}.")


def _has_frames(source):
    from anr_core.capture.sources import read_json

    content = read_json(source)
    return isinstance(content, dict) and "Frames" in content


def _bvh(source, fps):
    from anr_core.motion.bvh import read_bvh

    return read_bvh(source)


def _amass(source, fps):
    from anr_core.motion.smpl import read_amass

    return read_amass(source, fps)


def _easymocap(source, fps):
    from anr_core.motion.smpl import read_easymocap

    return read_easymocap(source, fps)


def _deepmimic(source, fps):
    from anr_core.motion.deepmimic import read_deepmimic

    return read_deepmimic(source)


def _recording(source, fps):
    from anr_core.motion.recording import read_recording

    return read_recording(source)


