"""Where in a picture a person can be, told by keypoints and the body's projection.

Both say how far outside of the naked person a pixel lies, as a part of the person's height, so that one scale
holds for every camera and picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from anr_core.capture.keypoints import SURE

# Of a person's height: farther from the naked person are neither hair nor clothes.
REACH = 0.16
# Half a limb's width at its two ends, as a part of the height.
LIMBS = (("shoulder", "elbow", 0.030, 0.027), ("elbow", "wrist", 0.027, 0.020),
         ("hip", "knee", 0.050, 0.036), ("knee", "ankle", 0.036, 0.024), ("ankle", "heel", 0.022, 0.018),
         ("ankle", "big_toe", 0.024, 0.016), ("heel", "big_toe", 0.020, 0.016),
         ("heel", "small_toe", 0.020, 0.016))
TRUNK, NECK, HEAD, HAND = 0.050, 0.040, 0.055, 0.022
CROWN = 0.035        # from the middle of the face upwards
PALM = 0.4           # of a forearm, that a hand reaches beyond the wrist
BARE_FOOT = 0.045    # around an ankle whose toes nobody saw
# Lengths as parts of the height, by which it is told.
LENGTHS = (("shoulder", "hip", 0.30), ("hip", "knee", 0.24), ("knee", "ankle", 0.24),
           ("shoulder", "elbow", 0.17), ("elbow", "wrist", 0.145))
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
CORE = 0.45          # of a limb's half width: nearer to the bone is certainly the person
DEEP = 0.015         # of the height: so far inside of a projected body is certainly the person
STEP = 4             # pixels between those whose distance from the bones is computed

Capsule = tuple[np.ndarray, np.ndarray, float, float]  # two places and the half width at each, in heights


@dataclass(frozen=True)
class Guide:
    """Where one person can be in one picture.

    box      (left, top, right, bottom), whole pixels; the person is nowhere else
    height   of the person, pixels, as if standing upright
    outside  (h, w) in the box: distance from the naked person as a part of the height, negative inside
    core     (h, w) bool: certainly the person
    """

    box: tuple[int, int, int, int]
    height: float
    outside: np.ndarray
    core: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """The box's rows and columns."""
        left, top, right, bottom = self.box
        return slice(top, bottom), slice(left, right)

    def beyond(self, distance: float, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: the picture's pixels that lie farther outside than a part of the height."""
        far = np.ones(size, bool)
        far[self.window] = self.outside > distance
        return far


def guide_of(size: tuple[int, int], points: np.ndarray | None = None, names: tuple[str, ...] = (),
             body: np.ndarray | None = None) -> Guide | None:
    """What keypoints (K, 3), a body's projection (H, W) bool, or both say of a picture of a size (H, W).

    Where both are known their distances are averaged. None where neither shows a person.
    """
    places = {} if points is None else {name: point[:2].astype(float) for name, point
                                        in zip(names, points, strict=True) if point[2] > SURE}
    limbs, height = capsules(places), standing_height(places)
    seen = body is not None and bool(body.any())
    if not seen and (height is None or not limbs):
        return None
    if seen:
        rows, columns = np.flatnonzero(body.any(1)), np.flatnonzero(body.any(0))
        corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]], float)
        height = height or float(np.ptp(corners, axis=0).max())
    else:
        corners = np.stack([place for limb in limbs for place in limb[:2]])
    box = _box(corners, (REACH + HEAD) * height, size)
    if box is None:
        return None
    left, top, right, bottom = box
    outside, core = [], np.zeros((bottom - top, right - left), bool)
    if limbs:
        distance, relative = _from_capsules(limbs, height, box)
        outside.append(distance)
        core |= relative < CORE
    if seen:
        part = body[top:bottom, left:right]
        distance = (distance_transform_edt(~part) - distance_transform_edt(part)) / height
        outside.append(distance.astype(np.float32))
        core |= distance < -DEEP
    return Guide(box, height, np.mean(outside, 0), core)


def standing_height(places: dict[str, np.ndarray]) -> float | None:
    """How tall a person would be upright, pixels, by the limbs that are least foreshortened."""
    found = sorted(float(np.linalg.norm(places[side + one] - places[side + other])) / part
                   for one, other, part in LENGTHS for side in ("left_", "right_")
                   if side + one in places and side + other in places)
    return found[-2] if len(found) > 1 and found[-2] > 0 else None  # the longest may be a mistaken keypoint


def capsules(places: dict[str, np.ndarray]) -> list[Capsule]:
    """Limbs, trunk and head around the keypoints that were seen, by name; in pixels."""
    found = []
    for side in ("left_", "right_"):
        here = {name.removeprefix(side): place for name, place in places.items() if name.startswith(side)}
        found += [(here[one], here[other], *widths) for one, other, *widths in LIMBS
                  if one in here and other in here]
        if "elbow" in here and "wrist" in here:
            wrist = here["wrist"]
            found.append((wrist, wrist + PALM * (wrist - here["elbow"]), HAND, HAND))
        if "ankle" in here and "big_toe" not in here:
            found.append((here["ankle"], here["ankle"], BARE_FOOT, BARE_FOOT))
    shoulders, hips = ([places[side + name] for side in ("left_", "right_") if side + name in places]
                       for name in ("shoulder", "hip"))
    if shoulders and hips:
        found += [(one, other, TRUNK, TRUNK) for one in (*shoulders, np.mean(shoulders, 0))
                  for other in (*hips, np.mean(hips, 0))]
    face = [places[name] for name in FACE if name in places]
    if face and shoulders:
        neck, middle = np.mean(shoulders, 0), np.mean(face, 0)
        up = (middle - neck) / max(float(np.linalg.norm(middle - neck)), 1e-6)
        crown = middle + CROWN * (standing_height(places) or 0.0) * up
        found += [(neck, middle, NECK, HEAD), (middle, crown, HEAD, HEAD)]
    return found


def _box(corners, margin, size):
    """The whole pixels around corners (N, 2), or None where they lie outside of the picture."""
    left, top = np.floor(corners.min(0) - margin).astype(int).clip(0)
    right, bottom = np.ceil(corners.max(0) + margin).astype(int).clip(None, (size[1], size[0]))
    return (int(left), int(top), int(right), int(bottom)) if left < right and top < bottom else None


def _from_capsules(limbs, height, box):
    """Distances (h, w) from the nearest limb's surface in heights, and from its bone in half widths."""
    left, top, right, bottom = box
    rows, columns = (np.arange(0, length + STEP, STEP, dtype=np.float32)
                     for length in (bottom - top, right - left))
    x, y = np.meshgrid(columns + left + 0.5, rows + top + 0.5)
    outside, relative = (np.full(x.shape, np.inf, np.float32) for _ in range(2))
    for start, end, wide, narrow in limbs:
        along = end - start
        share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(float(along @ along), 1e-6)
        share = share.clip(0, 1)
        distance = np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1]) / height
        width = wide + share * (narrow - wide)
        np.minimum(outside, distance - width, out=outside)
        np.minimum(relative, distance / width, out=relative)
    return (_finer(values, bottom - top, right - left) for values in (outside, relative))


def _finer(values, height, width):
    """Between values that lie STEP pixels apart, linearly."""
    for count in (height, width):
        place = np.arange(count, dtype=np.float32) / STEP
        low = place.astype(int)
        share = (place - low)[:, None]
        values = (values[low] * (1 - share) + values[low + 1] * share).T
    return values
