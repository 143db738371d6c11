"""How well a fit agrees with what was seen, and where it does worst.

Keypoints that are left out lie further off mostly because the ends of limbs are fitted to a pixel or two
(treadmill-walker's left wrist 1.5 px of 720, 5 when left out), and only time and habit tell where they are
without their own point: at 12 pictures a second a point's own track foretells it to 3 to 6 px. Besides,
detectors see a point elsewhere from another side: triangulated from two cameras of beam-walker, keypoints are
13, 15 and 17 px off in the third in the median, its left knee 28 px in cam03, and no pose explains that.

Which fifth is left out matters where frames are few. Of all fifths in turn, points left out lay 5.03 px off
and the others 4.01 on treadmill-walker, a ratio of 1.25; but on the six frames of turning-person 4.02 and
2.63, 1.53, and from 1.2 to 2.0 by fifth, where the one that is told has 1.27 to 1.32 as starts differ by a
thousandth of a pixel. Errors of keypoints that are a quarter or two thirds larger make it 1.40 and 1.35, but
left-out points then lie 4.2 and 4.5 px off; habits half or twice as strong, known from three times as many
frames or a third of them, 4.0 to 4.2. So the figures stay as they are.

What did not help. Offsets of 15 mm, the same in all frames, between the body's keypoints and the detector's:
the body's own keypoints then lay 34 mm off beam-walker's instead of 20, and left-out ones of all three
captures further off. An error estimated for each keypoint and camera: 25 mm. A larger error for all: the
ratio falls, but only because those that are fitted get worse faster than those left out of treadmill-walker
do. Newton-like steps (L-BFGS): they end in worse minima than Adam's. Moving the shape only every second or
third step: turning-person is found in three quarters of the time, but one start in six ended in another
minimum, left-out points 3.8 px off instead of 3.4. Believing keypoints by the second to fourth power of their
confidence: a little worse in every camera of beam-walker. Offsets in the pictures, one for each keypoint and
camera, of half a hundredth of the person's extent: 28 mm, and fitted with two cameras of beam-walker, the
third's points lay 14.3, 12.7 and 17.0 px off instead of 14.0, 11.8 and 16.3.

Nor did it help to mirror limbs in depth, each in each frame, where keypoints and prior like that better: in
one view of beam-walker a forearm came right, in turning-person one went wrong, since only the outlines, which
such a search doesn't see, tell there; of drawn people limbs that point the other way became a fifth fewer of
two in a hundred. A prior against leaning brought drawn people 3 mm of 40 nearer in one view, but beam-walker,
who leans by 22 degrees himself, from 3 mm further off to 5 mm nearer, of 66 to 119.

What did. That speeds of joints change together as they are wont to: treadmill-walker's left-out points come
from 5.00 and 5.25 px to 4.9, and those fitted stay at 3.6; but only from near by, where a motion has its
form: from afar beam-walker's keypoints jumped by 45 mm from frame to frame instead of 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from anr_core.camera import Camera
from anr_core.prepare.fitting.observations import Observations
from anr_core.prepare.fitting.puppet import KEYPOINT_NAMES, Motion, Puppet, keypoints_of
from anr_core.telling import listed

WORST = 5  # frames that are named
ASTRAY = 0.1  # of the person's extent in a picture: so far off is no pose, but a detector


@dataclass(frozen=True)
class Report:
    """The figures of a fit, and of the fit before it that had not seen every fifth keypoint.

    pixels    mean distance of the keypoints by camera, in the order of the cameras
    mean      of all of them
    left_out  of those that were left out, in the fit without them
    used      of the others, in the same
    jitter    metres, mean second difference of keypoints over frames that follow each other; None without
    worst     (frame number, mean distance in pixels), the worst first
    swapped   (limb, frame number) where left and right were exchanged before
    twice     frame numbers where a limb was found twice, and the less sure one not believed
    astray    (keypoint, row of the camera, frame number) where a detector most likely saw something else
    """

    pixels: list[float]
    mean: float
    left_out: float
    used: float
    jitter: float | None
    worst: list[tuple[int, float]]
    swapped: list[tuple[str, int]]
    twice: list[int]
    astray: list[tuple[str, int, int]]

    def lines(self, names: list[str]) -> list[str]:
        """For the user; names of the cameras."""
        by_camera = ", ".join(f"{name} {value:.1f}" for name, value in zip(names, self.pixels, strict=True))
        lines = [f"keypoints: {self.mean:.2f} px off in the mean ({by_camera})",
                 f"every fifth left out: {self.left_out:.2f} px, where the others are {self.used:.2f} px off"]
        if self.jitter is not None:
            lines.append(f"jitter: {1000 * self.jitter:.1f} mm from frame to frame")
        if self.swapped:
            lines.append("left and right were mistaken for each other, and exchanged: "
                         + ", ".join(f"{limb} in frame {frame}" for limb, frame in self.swapped))
        if self.twice:
            lines.append(f"a limb was found twice, and the surer one believed, in frames "
                         f"{', '.join(map(str, self.twice))}")
        if self.astray:
            places = {}
            for keypoint, row, frame in self.astray:
                places.setdefault(f"{keypoint} in {names[row]}", []).append(frame)
            told = listed(f"{place} (frames {listed(frames)})" for place, frames in places.items())
            lines.append(f"far from the person, so hardly believed: {told}")
        worst = ", ".join(f"{frame} ({value:.1f} px)" for frame, value in self.worst)
        return [*lines, f"worst frames: {worst}"]


def keypoint_distances(puppet: Puppet, seen: Observations, motion: Motion, cameras: Camera) -> torch.Tensor:
    """(V, K) pixels from each keypoint to where the fit has it."""
    keypoints = keypoints_of(puppet, motion)
    return (cameras[seen.camera].project(keypoints[seen.moment])[0] - seen.points).norm(dim=-1)


def report_of(puppet: Puppet, seen: Observations, motion: Motion, cameras: Camera,
              before: torch.Tensor, swapped: list[tuple[str, int]], twice: torch.Tensor) -> Report:
    """The report of a fit; before (V, K) are the distances in the fit that had not seen every fifth.

    twice  (V, K) bool, what was found twice: neither fitted nor left out to measure by, but off all the same
    """
    distances, known = keypoint_distances(puppet, seen, motion, cameras), seen.belief > 0
    out = seen.left_out()
    far = known & ~twice & (distances > ASTRAY * seen.extent[seen.camera][:, None])
    moments = seen.seen_well().nonzero()[:, 0].tolist()
    worst = [(int(seen.frames[row]), _mean(distances, known & (seen.moment == row)[:, None]))
             for row in moments]
    keypoints = keypoints_of(puppet, motion)
    return Report(
        pixels=[_mean(distances, known & (seen.camera == row)[:, None]) for row in range(len(cameras))],
        mean=_mean(distances, known),
        left_out=_mean(before, known & out & ~twice),
        used=_mean(before, known & ~out & ~twice),
        jitter=_jitter(keypoints, seen.frames),
        worst=sorted(worst, key=lambda one: -one[1])[:WORST],
        swapped=swapped,
        twice=seen.frames[seen.moment[(twice & known).any(1)]].unique().tolist(),
        astray=[(KEYPOINT_NAMES[column], int(seen.camera[view]), int(seen.frames[seen.moment[view]]))
                for column, view in far.T.nonzero().tolist()])


def _jitter(keypoints, frames):
    gaps = frames.diff()
    even = (gaps[:-1] == gaps[1:]) & (gaps[1:] == gaps.min()) if len(frames) > 2 else gaps[:0] > 0
    if not bool(even.any()):
        return None
    return float(keypoints.diff(n=2, dim=0)[even].norm(dim=-1).mean())


def _mean(values, chosen):
    return float(values[chosen].mean())
