"""Keypoints beside pictures, one JSON a frame: of OpenPose, tools that write like it, and EasyMocap.

    OpenPose   {"people": [{"pose_keypoints_2d": [x, y, confidence, ...]}]}
    EasyMocap  {"annots": [{"keypoints": [[x, y, confidence], ...]}], "height": ..., "width": ...}

Beside the body both may have hands and a face (DETAILS), or behind it, as models of the whole body have them
(WHOLE): then points are those of "body25_detailed" or its like. Neither says which points these are; their
number does. OpenPose has two models of 25 points. Of its newer
one the second point is an eye; of BODY_25 it is the neck, which lies in the middle of the shoulders.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from anr_core.body.npz import read_npz
from anr_core.capture.keypoints import BODIES, SURE
from anr_core.capture.readers.arrays import LARGEST, frame_numbers, measurable
from anr_core.capture.sources import read_json
from anr_core.telling import brief, listed, reason

# By the number of points: the skeleton, and the places of its points in the file. 18 is OpenPose's COCO, 26
# Halpe's, 133 COCO-WholeBody's, 135 OpenPose's BODY_135, which begins as BODY_25B does.
LAYOUTS = {
    17: ("coco17", list(range(17))),
    18: ("coco17", [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]),
    23: ("coco23", list(range(23))),
    25: ("body25", list(range(25))),
    26: ("coco23", [*range(17), 20, 22, 24, 21, 23, 25]),
    133: ("coco23", list(range(23))),
    135: ("body25b", list(range(25))),
}

# What OpenPose and EasyMocap call the left hand, the right one and the face, how many points each has, and
# which of them "body25_detailed" and its like take: a hand's first is the wrist, which the body has.
DETAILS = ((("hand_left_keypoints_2d", "handl2d"), 21, 1), (("hand_right_keypoints_2d", "handr2d"), 21, 1),
           (("face_keypoints_2d", "face2d"), 70, 0))
# Models of the whole body, by the number of points: where these are among them; -1 is nowhere. COCO-WholeBody
# has 68 points of the face, without pupils, then the left hand and the right one; BODY_135's order is ours.
WHOLE = {133: [*range(92, 112), *range(113, 133), *range(23, 91), -1, -1], 135: list(range(25, 135))}

# Of their height: nearer than this, the surer of two detections is taken, as one is a ghost of the other.
NEAR = 0.05
# A person can't be so many times their own size away in the next frame.
FARTHEST_STEP = 1.0


def read_keypoint_files(files: dict[int, Path], size: tuple[int, int] | None
                        ) -> tuple[dict[int, np.ndarray], str]:
    """Points (K, 3), pixels of pictures of a size (H, W), of one person by frame number; and their skeleton.

    Frames without the person are left out. Who has a number in EasyMocap's files is told by it, the one who
    is most often seen; else the largest and surest is followed from frame to frame. Hands and face are those
    of who is followed; of what a frame lacks the confidence is 0. Without a size none is checked.
    """
    people, named, counts = {}, Counter(), {}
    for frame, file in sorted(files.items()):
        found = _read_people(file, size)
        people[frame] = [(person, np.concatenate([body, details])) for person, body, details in found]
        named.update(person for person, _, _ in found)
        counts.update({len(body): file for _, body, _ in found})
    if len(counts) > 1:
        found = listed(f"{count} in {file.name}" for count, file in sorted(counts.items()))
        raise ValueError(f"{next(iter(files.values())).parent} mixes skeletons: {found} points. Keep the "
                         "files of one model.")
    if not counts:
        return {}, "body25"
    count, file = next(iter(counts.items()))
    if count not in LAYOUTS:
        raise ValueError(f"{file} has {count} points a person, but {', '.join(map(str, LAYOUTS))} are known. "
                         "Detect again with BODY_25.")
    name, places = LAYOUTS[count]
    if None in named:
        followed = follow({frame: [points for _, points in found] for frame, found in people.items()}, count)
    else:
        most = named.most_common(1)[0][0]
        followed = {frame: points for frame, found in people.items()
                    for person, points in found if person == most}
    name = _told_apart(name, list(followed.values()))
    detailed = f"{name}_detailed"
    if detailed in BODIES and any(points[count:, 2].any() for points in followed.values()):
        return {frame: np.concatenate([points[places], points[count:]])
                for frame, points in followed.items()}, detailed
    return {frame: points[places] for frame, points in followed.items()}, name


def alike(found: list[tuple[dict[int, np.ndarray], str | None]]
          ) -> list[tuple[dict[int, np.ndarray], str | None]]:
    """Points by frame and their skeleton of several clips: with hands and face, of confidence 0 in a clip
    that shows none, where any of them shows some.
    """
    shown = {name for _, name in found}
    more = ((0, sum(count - first for _, count, first in DETAILS)), (0, 0))
    return [({frame: np.pad(one, more) for frame, one in points.items()}, f"{name}_detailed")
            if f"{name}_detailed" in shown else (points, name) for points, name in found]


def read_keypoint_table(file: Path) -> tuple[dict[str, dict[int, np.ndarray]], str]:
    """Points (K, 3) by camera and frame, out of a table in .npz, and their skeleton.

    The table holds cameras (c,), frames (n,) and keypoints2d (c, n, K, 3): pixels and confidence, which is 0
    where the person was not found.
    """
    arrays = read_npz(file, only=("cameras", "frames", "keypoints2d"), objects=True)  # names may be such
    try:
        cameras, frames, table = (arrays[name] for name in ("cameras", "frames", "keypoints2d"))
        frames, table = frame_numbers(frames, f"{file}: frames"), table.astype(np.float32)
        cameras = np.atleast_1d(cameras)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is no table of cameras, frames and keypoints2d ({reason(error)}). Copy it "
                         "again.") from None
    if table.ndim != 4 or table.shape[:2] != (len(cameras), len(frames)) or table.shape[3] != 3:
        raise ValueError(f"{file}: keypoints2d is {brief(table.shape)}, expected ({len(cameras)}, "
                         f"{len(frames)}, K, 3).")
    if table.shape[2] not in LAYOUTS:
        raise ValueError(f"{file} has {table.shape[2]} points a person; {', '.join(map(str, LAYOUTS))} are "
                         "known.")
    table = np.where(measurable(table).all(-1, keepdims=True), table, 0)
    name, places = LAYOUTS[table.shape[2]]
    details = _behind(table) if table.shape[2] in WHOLE else table[..., :0, :]
    table = table[..., places, :]
    if details[..., 2].any():
        name, table = f"{name}_detailed", np.concatenate([table, details], 2)
    found = {str(camera): {int(frame): points for frame, points in zip(frames, row, strict=True)
                           if points[:, 2].any()} for camera, row in zip(cameras, table, strict=True)}
    return found, _told_apart(name, [points for row in found.values() for points in row.values()])


def _told_apart(name, people):
    """The skeleton's name, OpenPose's two of 25 points told apart."""
    return "body25b" if name == "body25" and not _is_body25(people) else name


def follow(people: dict[int, list[np.ndarray]], body: int | None = None) -> dict[int, np.ndarray]:
    """One person's points (K, 3) by frame, out of all (K, 3) of each frame: the most prominent one's.

    body  how many of the points tell who is who: the first ones, not hands and face; None for all
    """
    def prominence(points):
        return _prominence(points[:body])

    def distance(points, last):
        return _distance(points[:body], last[:body])

    frames = sorted(frame for frame, seen in people.items() if seen)
    if not frames:
        return {}
    start = max(frames, key=lambda frame: max(map(prominence, people[frame])))
    chosen = {start: max(people[start], key=prominence)}
    place = frames.index(start)
    for direction in (frames[place + 1:], frames[:place][::-1]):
        last, since = chosen[start], start
        for frame in direction:
            nearest = min(people[frame], key=lambda points, last=last:
                          (distance(points, last) + NEAR) / max(prominence(points), 1e-9))
            # after a gap the person may be anywhere
            if distance(nearest, last) <= FARTHEST_STEP * max(1, abs(frame - since) / 10):
                chosen[frame] = last = nearest
                since = frame
    return dict(sorted(chosen.items()))


def _prominence(points):
    """Height in pixels times confidence: who stands in front, wholly seen."""
    sure = points[points[:, 2] > SURE]
    return float(np.ptp(sure[:, 1]) * sure[:, 2].sum()) if len(sure) else 0.0


def _distance(one, other):
    """Mean distance of the points that are sure in both, as a share of the person's height."""
    sure = (one[:, 2] > SURE) & (other[:, 2] > SURE)
    if not sure.any():
        return np.inf
    height = max(np.ptp(other[sure, 1]), np.ptp(other[sure, 0]), 1.0)
    # half of the person's points are a poor witness: as unlikely as a step of their share's inverse
    share = sure.sum() / max((other[:, 2] > SURE).sum(), 1)
    return float(np.linalg.norm(one[sure, :2] - other[sure, :2], axis=1).mean() / height / share)


def _is_body25(people):
    """Whether the points lie as BODY_25 has them, and not as BODY_25B, in all frames together.

    In one the middles of shoulders and hips are points of their own. In the other the upper neck is near the
    middle of the shoulders, and the nose near that of the eyes.
    """
    distance = [sum(np.linalg.norm(points[one, :2] - points[[left, right], :2].mean(0))
                    for points in people for one, left, right in triples
                    if (points[[one, left, right], 2] > SURE).all())
                for triples in (((1, 2, 5), (8, 9, 12)), ((17, 5, 6), (0, 1, 2)))]
    return distance[0] <= distance[1]


def _read_people(file: Path, size) -> list[tuple[int | None, np.ndarray, np.ndarray]]:
    """All people in a file: who, if that is told, the body's points (K, 3), and those of hands and face."""
    content = read_json(file)
    people = _people(content)
    if people is None:
        raise ValueError(f'{file} holds no keypoints: expected OpenPose\'s {{"people": [...]}} or '
                         'EasyMocap\'s {"annots": [...]}.')
    found = []
    for person, body, record in people:
        points = _points(body, file)
        if (points[:, 2] > 0).any():
            found.append((person, points, _details(record, points, file)))
    if isinstance(content, dict) and {"height", "width"} <= content.keys() and size is not None:
        _check_size(file, content, size)
    return found


def _points(values, file: Path) -> np.ndarray:
    """(K, 3) float32 of a list of numbers, or of points."""
    try:
        points = np.array(values, np.float64).reshape(-1, 3)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{file}: keypoints are not x, y and confidence, three numbers a point.") from None
    if not measurable(points).all():
        raise ValueError(f"{file} has points that are NaN, infinite or beyond {LARGEST:g}. Detect again, "
                         "or remove the file.")
    return points.astype(np.float32)


def _details(record: dict, points: np.ndarray, file: Path) -> np.ndarray:
    """(110, 3) points of hands and face, confidence 0 where there are none."""
    if len(points) in WHOLE:
        return _behind(points)
    parts = []
    for keys, count, first in DETAILS:
        key = next((key for key in keys if record.get(key)), None)
        points = np.zeros((count, 3), np.float32) if key is None else _points(record[key], file)
        if len(points) != count:
            raise ValueError(f"{file}: {key} has {len(points)} points, but {count} are known. Detect again "
                             "with OpenPose's own models of hands and face, or remove them.")
        parts.append(points[first:])
    return np.concatenate(parts)


def _behind(points: np.ndarray) -> np.ndarray:
    """(..., 110, 3) the same of a whole body's points (..., K, 3)."""
    nowhere = np.zeros_like(points[..., :1, :])
    return np.concatenate([points, nowhere], -2)[..., WHOLE[points.shape[-2]], :]


def _people(content):
    """Who, the body's numbers, and all else of each in a file; None where it is of neither format."""
    content = {"annots": content} if isinstance(content, list) else content
    if not isinstance(content, dict):
        return None
    openpose = "people" in content
    people = content.get("people" if openpose else "annots")
    key, who = ("pose_keypoints_2d", None) if openpose else ("keypoints", "personID")
    if not isinstance(people, list) or not all(isinstance(one, dict) and key in one for one in people):
        return None
    return [(one.get(who) if isinstance(one.get(who), int) else None, one[key], one) for one in people
            if one[key]]


def _check_size(file, content, size):
    if (content["height"], content["width"]) != size:
        raise ValueError(f"{file} was detected in pictures of "
                         f"{brief(content['width'])}x{brief(content['height'])} pixels, but they are "
                         f"{size[1]}x{size[0]}. Detect again, or put the pictures back.")
