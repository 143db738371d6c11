"""Whether keypoints agree with cameras, pictures and each other: what a mistaken convention can't hide."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from anr_core.camera import Camera
from anr_core.capture import Capture
from anr_core.capture.keypoints import SURE
from anr_core.capture.pictures import read_image
from anr_core.skeleton import KEYPOINT_SETS, mirrored

MOST_FRAMES = 60  # of a capture, that are asked
LONGEST_LAG = 12  # steps between pictures
FEWEST_MOVES = 12  # pictures in a row that a lag can be told from


def points_of(capture: Capture) -> dict[str, dict[int, np.ndarray]]:
    """The keypoints (K, 3) of each camera by frame, in their order."""
    found = {name: {} for name in capture.cameras}
    for name, frame in sorted(capture.keypoints):
        found[name][frame] = capture.keypoints[name, frame].numpy()
    return found


# several cameras

def reprojection_errors(capture: Capture) -> tuple[dict[str, float], str | None, float]:
    """How far keypoints land from where the cameras' common 3D point is seen, pixels (median) by camera.

    Also the camera without which the others agree, if that can be told, and how well they then do. Empty
    where fewer than two calibrated cameras have keypoints of the same frames.
    """
    cameras, pixels, sure = _common(capture)
    if len(cameras) < 2:
        return {}, None, 0.0
    errors = _disagreement(cameras, pixels, sure)
    found = dict(zip(cameras, errors, strict=True))
    if len(cameras) < 3:
        return found, None, 0.0
    rest = {}
    for index, name in enumerate(cameras):
        kept = [row for row in range(len(cameras)) if row != index]
        others = {one: camera for one, camera in cameras.items() if one != name}
        rest[name] = max(_disagreement(others, pixels[kept], sure[kept]))
    culprit = min(rest, key=rest.get)
    return found, culprit if rest[culprit] < 0.5 * max(errors) else None, rest[culprit]


def mirrored_cameras(capture: Capture) -> dict[str, tuple[float, float]]:
    """Cameras whose keypoints fit the others with left and right exchanged: both errors, pixels.

    Three or more cameras are needed, so that two others tell where a point is.
    """
    cameras, pixels, sure = _common(capture)
    if len(cameras) < 3:
        return {}
    exchange, found = list(mirrored(KEYPOINT_SETS[capture.skeleton].names)), {}
    for index, name in enumerate(cameras):
        kept = [row for row in range(len(cameras)) if row != index]
        points, known = triangulate([cameras[list(cameras)[row]] for row in kept], pixels[kept], sure[kept])
        seen = _project(cameras[name], points)
        straight, swapped = (_median(np.linalg.norm(seen - pixels[index][..., order, :], axis=-1),
                                     known & sure[index][..., order]) for order in (slice(None), exchange))
        if swapped < 0.3 * straight and straight > 0.01 * max(capture.cameras[name].size):
            found[name] = swapped, straight
    return found


def _common(capture):
    """Calibrated cameras; of frames that two or more saw pixels (C, n, K, 2) and which are sure (C, n, K)."""
    cameras = {name: camera for name, camera in capture.cameras.items() if name not in capture.uncalibrated}
    tables = {name: found for name, found in points_of(capture).items() if found and name in cameras}
    counts = Counter(frame for found in tables.values() for frame in found)
    shared = sorted(frame for frame, count in counts.items() if count > 1)
    tables = {name: found for name, found in tables.items() if any(frame in found for frame in shared)}
    if len(tables) < 2 or not shared:
        return {}, None, None
    shared = [shared[place] for place in
              np.unique(np.linspace(0, len(shared) - 1, MOST_FRAMES).round().astype(int))]
    empty = np.zeros_like(next(iter(next(iter(tables.values())).values())))
    stacked = np.stack([[found.get(frame, empty) for frame in shared] for found in tables.values()])
    return {name: cameras[name] for name in tables}, stacked[..., :2], stacked[..., 2] > SURE


def _disagreement(cameras: dict[str, Camera], pixels, sure):
    points, known = triangulate(list(cameras.values()), pixels, sure)
    return [_median(np.linalg.norm(_project(camera, points) - pixels[row], axis=-1), known & sure[row])
            for row, camera in enumerate(cameras.values())]


def _median(errors, valid):
    return float(np.median(errors[valid])) if valid.any() else 0.0


def _project(camera, points):
    flat = torch.from_numpy(points).float().reshape(1, -1, 3)
    return camera.project(flat)[0][0].numpy().reshape(*points.shape[:-1], 2)


def triangulate(cameras: list[Camera], pixels: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World points (..., 3) nearest to the rays through pixels (C, ..., 2), and whether two or more see them.

    Least squares of the distances to the rays; `sure` (C, ...) tells which pixels count.
    """
    normal, right = np.zeros((*pixels.shape[1:-1], 3, 3)), np.zeros((*pixels.shape[1:-1], 3))
    for camera, places, valid in zip(cameras, pixels, sure, strict=True):
        origins, directions = camera.rays(torch.from_numpy(places).float().reshape(1, -1, 2))
        origins, directions = (value[0].double().numpy().reshape(*places.shape[:-1], 3)
                               for value in (origins, directions))
        across = (np.eye(3) - directions[..., :, None] * directions[..., None, :]) * valid[..., None, None]
        normal += across
        right += (across @ origins[..., None])[..., 0]
    known = sure.sum(0) >= 2
    normal[~known] = np.eye(3)
    normal += 1e-9 * np.eye(3)  # rays that are one, of a camera that is there twice, meet everywhere
    return np.linalg.solve(normal, right[..., None])[..., 0], known


# one camera

def uprightness(capture: Capture) -> dict[str, tuple[float, int]]:
    """By camera, degrees (median) between the person's way up and the world's, and in how many pictures."""
    if capture.skeleton not in KEYPOINT_SETS:
        return {}
    names = KEYPOINT_SETS[capture.skeleton].names
    top, bottom = ([names.index(f"{side}_{joint}") for side in ("left", "right")]
                   for joint in ("shoulder", "ankle"))
    found, known = {}, points_of(capture)
    for name, camera in capture.cameras.items():
        up = (camera.R[0] @ capture.up)[:2].numpy()
        angles = []
        for points in known[name].values():
            if (points[top + bottom, 2] > SURE).all() and np.linalg.norm(up) > 0.3:  # not from straight above
                spine = (points[top] - points[bottom]).mean(0)[:2]
                cosine = spine @ up / max(np.linalg.norm(spine) * np.linalg.norm(up), 1e-9)
                angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        found[name] = (float(np.median(angles)) if angles else 0.0, len(angles))
    return found


def outside_shares(capture: Capture) -> dict[str, tuple[float, float]]:
    """By camera, the share of sure keypoints outside of its pictures, and how much larger these had to be."""
    found, known = {}, points_of(capture)
    for name, camera in capture.cameras.items():
        points = [points[points[:, 2] > SURE, 1::-1] for points in known[name].values()]
        relative = np.concatenate([*points, np.zeros((1, 2))]) / camera.size
        outside = ((relative < -0.05) | (relative > 1.05)).any(1)
        found[name] = float(outside.sum() / max(len(relative) - 1, 1)), float(relative.max())
    return found


def facing_shares(capture: Capture) -> dict[str, tuple[float, int]]:
    """By camera, of the faces seen from the front the share whose left eye is on the picture's right.

    A person who faces the camera has their left on its right. A detector that is shown a mirrored picture
    says so of the mirrored person too; then the eyes are right and nothing is found, as nothing is wrong.
    """
    if capture.skeleton not in KEYPOINT_SETS:
        return {}
    names = KEYPOINT_SETS[capture.skeleton].names
    face = [names.index(name) for name in ("nose", "left_eye", "right_eye")]
    found, known = {}, points_of(capture)
    for name, camera in capture.cameras.items():
        up = (camera.R[0] @ capture.up).numpy()
        right = np.array([-up[1], up[0]])
        sides = [(points[face[1], :2] - points[face[2], :2]) @ right > 0
                 for points in known[name].values()
                 if (points[face, 2] > 0.5).all() and _from_the_front(points[face, :2])]
        found[name] = (float(np.mean(sides)) if sides else 1.0, len(sides))
    return found


def _from_the_front(face):
    """Whether the nose lies between the eyes, along the line through them."""
    across = face[1] - face[2]
    return 0.2 < (face[0] - face[2]) @ across / max(across @ across, 1e-9) < 0.8


# time

def keypoint_lag(capture: Capture) -> dict[str, int]:
    """By camera, how many frames keypoints come late; only where they do, and "" for all cameras alike.

    Where a limb moves the picture changes: over pictures in a row, the speed of keypoints is correlated with
    the change of the picture at their place, for every shift in time.
    """
    scores = {}
    for name in capture.cameras:
        frames, files = _row(capture, name)
        if len(frames) >= FEWEST_MOVES:
            points = np.stack([capture.keypoints[name, frame].numpy() for frame in frames])
            found = _lag_scores(points, [capture.path / file for file in files])
            scores[name] = {lag * (frames[1] - frames[0]): score for lag, score in found.items()}
    shared = set.intersection(*map(set, scores.values())) if scores else set()
    together = {lag: float(np.mean([found[lag] for found in scores.values()])) for lag in shared}
    if late := _clear_lag(together, 0.05):
        return {"": late}
    # one camera alone moves in too few ways to be sure of a small gain
    return {name: late for name, found in scores.items() if (late := _clear_lag(found, 0.2))}


def _clear_lag(scores, gain):
    best = max(scores, key=scores.get, default=0)
    return best if best and scores[best] > max(0.2, scores.get(0, 0.0) + gain) else 0


def _row(capture, name):
    """The longest row of evenly numbered pictures that have keypoints, up to a limit."""
    shots = [shot for shot in capture.shots
             if shot.camera == name and (name, shot.frame) in capture.keypoints]
    best, start = (0, 0), 0
    frames = [shot.frame for shot in shots]
    steps = np.diff(frames)
    for end in range(1, len(frames) + 1):
        if end == len(frames) or end - start > 1 and steps[end - 1] != steps[start]:
            best, start = max(best, (end - start, -start)), end - 1
    length, start = min(best[0], MOST_FRAMES), -best[1]
    return frames[start:start + length], [shot.image for shot in shots[start:start + length]]


def _lag_scores(points: np.ndarray, files) -> dict[int, float]:
    """Correlation by lag, in pictures, of keypoints' speed and the change of the pictures where they are."""
    pictures = []
    for file in files:
        image = Image.fromarray(read_image(file)).convert("L")
        shrink = max(1, max(image.size) // 240)
        pictures.append(gaussian_filter(np.asarray(image.reduce(shrink), np.float32), 1))
    steps = np.abs(np.diff(np.stack(pictures), axis=0))
    # what moves through a pixel just now differs there from the pictures before and after: (n - 2, h, w)
    changes = gaussian_filter(np.minimum(steps[1:], steps[:-1]), (0, 2, 2))
    speed = np.linalg.norm(points[2:, :, :2] - points[:-2, :, :2], axis=-1)
    sure = (np.minimum(points[2:, :, 2], points[:-2, :, 2]) > SURE) & (points[1:-1, :, 2] > SURE)
    places = (points[1:-1, :, 1::-1] / shrink).astype(int).clip(0, np.array(changes.shape[1:]) - 1)
    most = min(LONGEST_LAG, len(changes) - FEWEST_MOVES // 2)
    scores = {}
    for lag in range(-most, most + 1):
        # keypoints of picture t + lag against the change around picture t
        picture = np.arange(max(0, -lag), len(changes) - max(0, lag))
        rows, columns = places[picture + lag, :, 0], places[picture + lag, :, 1]
        change = changes[picture[:, None], rows, columns]
        moved, valid = speed[picture + lag], sure[picture + lag]
        if valid.sum() > 20 and moved[valid].std() > 0 and change[valid].std() > 0:
            scores[lag] = float(np.corrcoef(np.sqrt(moved[valid]), np.sqrt(change[valid]))[0, 1])
    return scores
