"""What is wrong with a capture, said before anyone trains on it: each finding names the file and the remedy.

Errors are mistakes that no training survives; warnings are what it will suffer from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_dilation

from anr_core.capture import Capture, Shot
from anr_core.capture.footage import Footage
from anr_core.capture.keypoints import SURE
from anr_core.capture.outline import drawn_mask
from anr_core.capture.pictures import read_mask
from anr_core.prepare.agreement import (
    facing_shares,
    keypoint_lag,
    mirrored_cameras,
    outside_shares,
    reprojection_errors,
    uprightness,
)
from anr_core.telling import listed

# Metres between the lowest and the highest point of a person, in any pose.
SHORTEST, TALLEST = 0.3, 3.0
# Intersection over union of a mask and its mesh, below which they show different things.
LEAST_OVERLAP = 0.2
# Of a picture's longer side: keypoints scatter by a third of it, a camera that was moved is off by more.
FAR_OFF, HOPELESS = 0.006, 0.1
# More missing frames than this were never there: a cut, not a loss.
LONGEST_GAP = 500
NAMED = 4  # files or frames that a line names one by one


@dataclass(frozen=True)
class Finding:
    """One line of the report: what is wrong with what, and how to mend it; errors stop, warnings go on."""

    where: str
    wrong: str
    remedy: str
    error: bool = False

    def __str__(self) -> str:
        return f"{'ERROR' if self.error else 'warning'}: {self.where}: {self.wrong}. {self.remedy}"


def check_footage(footage: Footage) -> list[Finding]:
    """What can be told of meshes before a picture is written: their size, and which side of them is out."""
    if not footage.registered:
        return []
    findings, up = [], torch.tensor(footage.up)
    for frame in sorted({int(footage.frames[row]) for row in (0, len(footage.frames) // 2, -1)}):
        mesh = footage.mesh(frame)[0]
        height = float((mesh @ up).amax() - (mesh @ up).amin())
        if not SHORTEST < height < TALLEST:
            times = "1000 times too large: it is in millimetres" if 300 < height < 3000 else \
                "100 times too large: it is in centimetres" if 30 < height < 300 else "no person's size"
            findings.append(Finding(f"mesh of frame {frame}", f"it is {height:.3g} m tall, {times}",
                                    "Bring its vertices, and the cameras' T, to metres.", error=True))
            break
    if _volume(mesh, footage.surface.faces) < 0:
        findings.append(Finding("mesh", "its faces look inwards, as those of a mirrored mesh do",
                                "Left and right are swapped: undo the mirroring of its vertices. If it was "
                                "never mirrored, reverse the corners of its faces."))
    return findings


def _volume(vertices, faces):
    """Of a closed mesh, cubic metres; negative where its faces look inwards."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float((torch.linalg.cross(a, b) * c).sum()) / 6


def check(capture: Capture, overlap: dict[Shot, float], place: Path) -> list[Finding]:
    """All findings of a capture, which will be in `place`; `overlap` is what `mask_overlaps` told."""
    capture = capture.of_body
    return [*_missing(capture, place), *_masks_elsewhere(capture, overlap), *_gaps(capture),
            *_keypoints(capture), *_reprojection(capture, place), *_lag(capture)]


# masks

def mask_overlaps(capture: Capture) -> dict[Shot, float]:
    """How well each measured mask agrees with what else is known, from 0 to 1.

    With a body its intersection over union with the projected mesh, in the frames that were registered; else
    the share of sure keypoints that lie in it.
    """
    found, capture = {}, capture.of_body
    for shot in capture.shots:
        if shot.mask is None:
            continue
        if capture.registration is not None:
            if shot.registered:
                found[shot] = _overlap(read_mask(capture.path / shot.mask) > 127, _drawn(capture, shot))
        elif (points := capture.keypoints.get((shot.camera, shot.frame))) is not None:
            share = _share_inside(read_mask(capture.path / shot.mask) > 127, points.numpy())
            if share is not None:
                found[shot] = share
    return found


def _drawn(capture, shot):
    posed = capture.body(capture.pose(torch.tensor([shot.frame])))
    return drawn_mask(posed.vertices, posed.surface.faces, capture.cameras[shot.camera]) > 0


def _overlap(one, other):
    return float((one & other).sum() / max((one | other).sum(), 1))


def _share_inside(mask, points):
    """Of sure points (K, 3), those in a mask; one beside its outline counts."""
    near = binary_dilation(mask, iterations=4)
    places = points[points[:, 2] > SURE, 1::-1]
    rows, columns = places[((places >= 0) & (places < mask.shape)).all(1)].astype(int).T
    return float(near[rows, columns].sum() / len(places)) if len(places) else None


def _missing(capture, place) -> Iterator[Finding]:
    if capture.paired:  # whose pictures are whole, and of nobody
        return
    for what, files, there in (
            ("mask", "masks/", lambda shot: shot.mask is not None),
            ("keypoints", "keypoints/", lambda shot: (shot.camera, shot.frame) in capture.keypoints)):
        without = [shot for shot in capture.shots if not there(shot)]
        remedy = (f"Find them: python -m anr_core annotate {place}, or with another --annotator. Or lay them "
                  f"into {files} of the source, as the README's Captures tell, and prepare it again.")
        if not without or what == "keypoints" and capture.registration is not None:
            continue
        if len(without) == len(capture.shots):
            yield Finding("all pictures", f"none has {'a mask' if what == 'mask' else what}", remedy)
            continue
        named = _named([f"{shot.camera}/{shot.frame:04d}" for shot in without])
        yield Finding(named, f"{len(without)} of {len(capture.shots)} pictures have no {what}", remedy)


def _masks_elsewhere(capture, overlap) -> Iterator[Finding]:
    what = "keypoints" if capture.registration is None else "mesh"
    by_camera = {}
    for shot, value in overlap.items():
        by_camera.setdefault(shot.camera, []).append((shot, value))
    for camera, found in by_camera.items():
        off = [shot for shot, value in found if value < LEAST_OVERLAP]
        if not off:
            continue
        files = _named([shot.mask for shot in off])
        if len(off) <= len(found) / 2:
            yield Finding(files, f"{len(off)} of {len(found)} masks of {camera} don't touch the {what}",
                          "Look at them in report.png; repair them, or remove them to go without.")
        else:
            yield Finding(camera, f"{len(off)} of {len(found)} masks don't touch the "
                                  f"{what}{_turned(capture, off)}",
                          "Camera, masks and body must be of one recording and of one convention.",
                          error=True)


def _turned(capture, off):
    """Words for a mesh that would fit its mask if it were turned by half."""
    if capture.registration is None:
        return ""
    mask, drawn = read_mask(capture.path / off[0].mask) > 127, _drawn(capture, off[0])
    if not drawn.any():
        return ""
    ways = {"": drawn, ", which stands upside down": _flipped(drawn, 0)}
    return max(ways, key=lambda way: _overlap(mask, ways[way]))


def _flipped(mask, axis):
    """A mask mirrored within its own box."""
    rows, columns = (slice(line[0], line[-1] + 1) for line in
                     (np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))))
    turned = np.zeros_like(mask)
    turned[rows, columns] = np.flip(mask[rows, columns], axis)
    return turned


# numbers

def _gaps(capture) -> Iterator[Finding]:
    """Frames that a camera skips, though its numbers mostly rise by one step."""
    for camera, frames in _by_camera(capture.shots).items():
        frames = sorted(frames)
        steps = np.diff(frames)
        if not len(steps):
            continue
        step, count = Counter(steps.tolist()).most_common(1)[0]
        wide = np.flatnonzero((steps > step) & (steps < LONGEST_GAP))
        if count < 0.8 * len(steps) or not len(wide):
            continue
        skipped = [f"{frames[place] + step} to {frames[place + 1] - step}" for place in wide]
        yield Finding(f"frames/{camera}", f"frames are missing: {_named(skipped)}",
                      "Copy the source again, if they were there; what follows them is taken at its own "
                      "number.")


# keypoints

def _keypoints(capture) -> Iterator[Finding]:
    for camera, (share, times) in outside_shares(capture).items():
        if share > 0.2:
            yield Finding(camera, f"{share:.0%} of the keypoints lie outside of its pictures: they were "
                          f"detected in pictures about {times:.1f} times as large",
                          "Give those pictures, or detect again in these.", error=True)
    for camera, (angle, count) in uprightness(capture).items():
        if count and angle > 135:
            yield Finding(camera, f"the person stands upside down in {count} pictures",
                          "Turn its pictures or video by half, and calibrate it like that.", error=True)
        elif count and angle > 60:
            yield Finding(camera, f"the person lies on one side in {count} pictures",
                          "If the video is turned, turn it back, for example with ffmpeg -vf transpose=1.")
    swapped_sides = "left and right of the keypoints are swapped"
    remedy = "The keypoints were mirrored: detect again in the pictures as they are."
    faces = facing_shares(capture)
    if len(faces) >= 3:  # who is known all around, as by projection, has a face from behind too
        count = sum(count for _, count in faces.values())
        share = sum(share * count for share, count in faces.values()) / max(count, 1)
        faces = {"all cameras": (share, count)}
    for camera, (share, count) in faces.items():
        if count >= 3 and share < 0.2 and capture.registration is None:
            yield Finding(camera, f"{swapped_sides}: the left eye is on the left in {1 - share:.0%} of "
                          f"{count} faces seen from the front", remedy, error=True)
    for camera, (swapped, straight) in mirrored_cameras(capture).items():
        yield Finding(camera, f"{swapped_sides}: exchanged, they agree with the other cameras to "
                      f"{swapped:.1f} pixels, as they are to {straight:.1f}", remedy, error=True)


def _reprojection(capture, place) -> Iterator[Finding]:
    errors, culprit, others = reprojection_errors(capture)
    if not errors:
        return
    share = {camera: error / max(capture.cameras[camera].size) for camera, error in errors.items()}
    if max(share.values()) < FAR_OFF:
        return
    told = listed(f"{camera} {error:.1f}" for camera, error in errors.items())
    blame = culprit or "cameras"
    without = f"; without {culprit} the others agree to {others:.1f}" if culprit else ""
    hopeless = max(share.values()) > HOPELESS
    yield Finding(blame, f"keypoints of several cameras meet only to (pixels, median) {told}{without}",
                  "R and t are of another convention, in other units or of another camera: x_camera = R "
                  "x_world + t in metres." if hopeless else
                  f"Refine it: python -m anr_core fit {place} --refine-cameras", error=hopeless)


def _lag(capture) -> Iterator[Finding]:
    for camera, late in keypoint_lag(capture).items():
        yield Finding(camera or "all cameras",
                      f"keypoints come {abs(late)} frames {'late' if late > 0 else 'early'}: they move like "
                      f"the pictures {abs(late)} frames {'before' if late > 0 else 'after'}",
                      f"Move them into place: --keypoints-late {late}" if not camera else
                      f"Take {late} from the numbers of its keypoint files, or cut its video like the "
                      "others.")


def _by_camera(shots) -> dict[str, list[int]]:
    found = {}
    for shot in shots:
        found.setdefault(shot.camera, []).append(shot.frame)
    return found


def _named(values):
    shown = ", ".join(map(str, values[:NAMED]))
    return shown + (f" and {len(values) - NAMED} more" if len(values) > NAMED else "")
