"""A capture's 2D keypoints in, the person's joints in space out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from anr_core import metrics
from anr_core.body.anny import KEYPOINTS, AnnyBody
from anr_core.camera import Camera
from anr_core.capture import Capture, Shot, load_capture
from anr_core.capture.changing import write_joints
from anr_core.capture.joints import Joints
from anr_core.lifting import Examples, Lifter, in_world, look, mean_pose, root, size, size_seen
from anr_core.lifting.examples import upright_axes
from anr_core.prepare.annotate import ranges
from anr_core.prepare.lifter import FILE, kept_lifter, save_lifter, train_lifter
from anr_core.prepare.studio.people import warming_up
from anr_core.skeleton import COCO17, COCO23, Skeleton
from anr_core.skeleton.bones import bone_lengths
from anr_core.skeleton.named import skeleton_named
from anr_core.telling import brief, listed

EXERCISES = 16  # of the studio's people
SHARE = 0.5  # of the examples that are given poses, theirs and the capture's own
LEAST_KEYPOINTS = 6  # of a picture, to tell a pose by
LEAST_CONFIDENCE = 0.1
TALL = 1.70  # metres, a person of size 1
SHORTEST, TALLEST = 0.4, 2.6  # metres
HELD_OUT = ("novel_pose", "novel_both")


def lift(folder: Path, run: Path | None = None, cameras: Iterable[str] | None = None, minutes: float = 4.0,
         again: bool = False, height: float | None = None) -> Capture:
    """Find the joints in space of every frame whose keypoints tell enough, and write them into the capture.

    run      whose avatar's own lifter to use; else one that learns on made-up people for so many minutes, and
             on the capture's own training poses where its body is known, and is kept in the capture
    cameras  look through these alone; through all that know keypoints if not given
    again    learn anew, and replace joints that the capture's source knew
    height   of the person, metres; else that of the body, what several cameras tell, or a grown-up's

    Where the body is known, says how far off each picture's joints are, beside the mean pose. Raises
    ValueError where nothing can be lifted.
    """
    capture = load_capture(folder).of_body
    skeleton, names = _checked(capture, cameras, minutes, height)
    if capture.joints is not None and not capture.joints.lifted and not again:
        raise ValueError(f"{capture.path} has joints that its source knew. Lifted ones are worse; --again "
                         "replaces them.")
    shots, without = _told_enough(capture, names)
    for name, frames in without.items():
        print(f"  {name}: too few keypoints in {len(frames)} pictures, which are left out: {ranges(frames)}")
    if not shots:
        raise ValueError(f"No picture of {capture.path} has {LEAST_KEYPOINTS} keypoints. Look at the source, "
                         f"or annotate it again: python -m anr_core annotate {capture.path} --again")
    lifter = _lifter(capture, skeleton, run, minutes, again)
    keypoints = torch.stack([capture.keypoints[shot.camera, shot.frame] for shot in shots]).float()
    cameras = Camera.cat([capture.cameras[shot.camera] for shot in shots])
    sight = look(keypoints, cameras, None if capture.uncalibrated & set(names) else capture.up)
    found = lifter(sight.seen, skeleton)
    found = found - root(found, skeleton)
    frames = sorted({shot.frame for shot in shots})
    moment = torch.tensor([frames.index(shot.frame) for shot in shots])
    person, how = _person(capture, skeleton, keypoints, sight.to_world(found), cameras, moment, height)
    found, mean = person * found, person * lifter.mean
    points = in_world(keypoints, sight.to_world(found), cameras, moment)
    made = write_joints(capture, Joints.of(capture.skeleton, np.array(frames), points.numpy(), lifted=True))
    print(f"{len(frames)} frames lifted, through {', '.join(names)}")
    print(f"  the person is about {TALL * person:.2f} m tall, {how}")
    for line in _figures(capture, skeleton, shots, sight, found, mean):
        print(f"  {line}")
    if len(shots) > len(frames):
        for line in _together(capture, skeleton, frames, points):
            print(f"  {line}")
    return made


def _checked(capture: Capture, cameras: Iterable[str] | None, minutes: float,
             height: float | None) -> tuple[Skeleton, list[str]]:
    """The keypoints' skeleton, and the names of the cameras to look through."""
    if not minutes > 0:
        raise ValueError(f"--minutes is {minutes:g}; give more than 0.")
    if height is not None and not SHORTEST < height < TALLEST:
        raise ValueError(f"--height is {height:g}; give a person's in metres, such as 1.75.")
    if capture.skeleton is None:
        raise ValueError(f"{capture.path} has no keypoints, which lifting needs. Find them: python -m "
                         f"anr_core annotate {capture.path}")
    known = sorted({camera for camera, _ in capture.keypoints})
    names = known if cameras is None else list(dict.fromkeys(cameras))
    if missing := set(names) - set(known):
        raise ValueError(f"Camera {brief(min(missing))} has no keypoints in {capture.path}; those that have: "
                         f"{listed(known)}.")
    if len(names) > 1 and (guessed := sorted(capture.uncalibrated & set(names))):
        raise ValueError(f"Camera {guessed[0]} is not calibrated, so it can't be used along with others. "
                         f"Lift through one camera: --cameras {names[0]}")
    return skeleton_named(capture.skeleton), names


def _told_enough(capture: Capture, names: list[str]) -> tuple[list[Shot], dict[str, list[int]]]:
    """The pictures whose keypoints tell a pose, and the frames of the others by camera."""
    shots, without = [], {}
    for shot in sorted(capture.shots, key=lambda shot: (shot.camera, shot.frame)):
        if shot.camera in names:
            points = capture.keypoints.get((shot.camera, shot.frame))
            told = points is not None and points.isfinite().all(-1) & (points[:, 2] >= LEAST_CONFIDENCE)
            if points is not None and int(told.sum()) >= LEAST_KEYPOINTS:
                shots.append(shot)
            else:
                without.setdefault(shot.camera, []).append(shot.frame)
    return shots, without


def _person(capture, skeleton, keypoints, joints, cameras, moment,
            height: float | None) -> tuple[float, str]:
    """How large the person is, and how that is known."""
    if height is not None:
        return height / TALL, "as you say"
    known = _training_poses(capture)
    if known is not None:
        return float(size(known, skeleton).median()), "as the body is"
    sizes = size_seen(keypoints, joints, cameras, moment)
    if bool(sizes.isfinite().any()):
        found = float(sizes.nanmedian())
        if SHORTEST / TALL < found < TALLEST / TALL:
            return found, "as the cameras tell together"
    return 1.0, "as many are, since one camera doesn't tell: --height METRES says it"


def _lifter(capture: Capture, skeleton: Skeleton, run: Path | None, minutes: float, again: bool) -> Lifter:
    """That of a run, the one that is kept in the capture, or one that learns now."""
    given = _training_poses(capture)
    bones = None if given is None else bone_lengths(functional.pad(given, (0, 1), value=1.0), skeleton)
    examples = Examples(skeleton, given=_with_exercises(given, capture), up=capture.up, share=SHARE,
                        bones=bones)
    if run is not None:
        return Lifter(lifter_of(run, skeleton), mean_pose(examples))
    # a fit that changes the body, or other keypoints, ask for another lifter
    told = {"skeleton": capture.skeleton, "given": None if given is None else len(given),
            "size": None if given is None else round(float(given[..., :3].std()), 3)}
    file = capture.path / FILE
    lifter = None if again else kept_lifter(file, told, skeleton)
    if lifter is None:
        lifter = train_lifter(examples, minutes)
        save_lifter(lifter, told, file)
    return lifter


def _with_exercises(given: torch.Tensor | None, capture: Capture) -> torch.Tensor | None:
    """Given poses, and natural ones, of the studio's people who warm up: made-up ones are wilder."""
    if capture.skeleton not in KEYPOINTS:
        return given
    exercises = warming_up(capture.skeleton, EXERCISES) @ upright_axes(torch.as_tensor(capture.up))
    return exercises if given is None else torch.cat([exercises, given])


def lifter_of(run: Path, skeleton: Skeleton):
    """The regressor that a run's avatar has learned; raises ValueError where it has none."""
    from anr_core.avatars.run import load_avatar

    regressor = getattr(load_avatar(run), "lifter", None)
    if regressor is None:
        raise ValueError(f"{run} has no lifter of its own. Leave out --run: one is learned in minutes.")
    if regressor.joints != len(skeleton):
        raise ValueError(f"The lifter of {run} wants {regressor.joints} keypoints, the capture has "
                         f"{len(skeleton)}. Leave out --run: one is learned in minutes.")
    return regressor


def _training_poses(capture: Capture) -> torch.Tensor | None:
    """Joints (n, J, 3) of the frames that nothing is held out of, where the body is known."""
    held_out = {shot.frame for shot in capture.shots if shot.split in HELD_OUT}
    frames = sorted({shot.frame for shot in capture.shots if shot.registered} - held_out)
    return _true_joints(capture, frames)


def _true_joints(capture: Capture, frames: list[int]) -> torch.Tensor | None:
    """Joints (n, J, 3) in the world of the registered body; None where it hasn't those of the keypoints."""
    body, name = capture.registration, capture.skeleton
    if not isinstance(body, AnnyBody) or name not in (*KEYPOINTS, "coco17") or not frames:
        return None
    with torch.no_grad():
        posed = body(capture.pose(torch.tensor(frames)))
        joints = body.keypoints(posed, name if name in KEYPOINTS else "coco23")
    return joints if name in KEYPOINTS else joints[:, [COCO23.names.index(each) for each in COCO17.names]]


def _figures(capture, skeleton, shots, sight, found, mean) -> list[str]:
    """How far off each split's pictures are, camera by camera and counted from the root."""
    rows = [row for row, shot in enumerate(shots) if shot.registered]
    truth = _true_joints(capture, [shots[row].frame for row in rows])
    if truth is None:
        return []
    truth = sight.from_world(truth - root(truth, skeleton), rows)
    lines = []
    for split in dict.fromkeys(shots[row].split for row in rows):
        chosen = [place for place, row in enumerate(rows) if shots[row].split == split]
        ours, true = found[rows][chosen].numpy(), truth[chosen].numpy()
        told = [_numbers(joints, true) for joints in (ours, np.broadcast_to(mean.numpy(), ours.shape))]
        lines.append(f"{split}: MPJPE / N-MPJPE / P-MPJPE {told[0]} mm; the mean pose {told[1]} mm")
    return lines


def _together(capture, skeleton, frames, points) -> list[str]:
    """How far off the joints are that all cameras tell together, counted from the root."""
    registered = {shot.frame for shot in capture.shots if shot.registered}
    rows = [row for row, frame in enumerate(frames) if frame in registered]
    truth = _true_joints(capture, [frames[row] for row in rows])
    if truth is None:
        return []
    found = points[rows, :, :3]
    found, truth = ((joints - root(joints, skeleton)).numpy() for joints in (found, truth))
    return [f"all cameras together: MPJPE / N-MPJPE / P-MPJPE {_numbers(found, truth)} mm"]


def _numbers(found, truth) -> str:
    return " / ".join(f"{1e3 * figure(found, truth).mean():.0f}"
                      for figure in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe))
