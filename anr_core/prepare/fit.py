"""A capture's keypoints and masks in, its body and poses out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from anr_core.body.smpl import VERTICES
from anr_core.camera import Camera
from anr_core.capture import Capture, Shot, load_capture
from anr_core.capture.changing import write_registration
from anr_core.capture.pictures import read_mask
from anr_core.prepare.check import mask_overlaps
from anr_core.prepare.fitting import fit_person
from anr_core.prepare.fitting.observations import Observations, by_name, outline_of
from anr_core.prepare.fitting.puppet import Puppet
from anr_core.prepare.fitting.smpl_puppet import SmplPuppet
from anr_core.prepare.onto_meshes import fit_to_meshes, registered_meshes, told_of
from anr_core.skeleton import KEYPOINT_SETS
from anr_core.telling import brief, listed


def fit(folder: Path, body: str = "anny", cameras: Iterable[str] | None = None,
        refine_cameras: bool = False, to: str = "auto") -> Capture:
    """Fit a body to the person in a capture, write it into the capture, and say how well it fits.

    body            "anny"; or "smpl", "smplh" or "smplx", from the user's own model file
    cameras         look through these alone; all that know keypoints if not given
    refine_cameras  the cameras' places are doubtful: correct them along
    to              "pictures": keypoints and masks; "meshes": those that somebody registered, of another
                    topology; "auto": the pictures, but the meshes where there are no keypoints, or where
                    nobody knows the meshes' faces, so that they are of no use else

    Focal lengths that are guesses are found along. Raises ValueError where there is nothing to fit to.
    """
    capture = load_capture(folder).of_body
    if body not in ("anny", *VERTICES):
        raise ValueError(f"A fit of the body {body!r} is unknown; use anny, {', '.join(VERTICES)}.")
    if to not in ("auto", "pictures", "meshes"):
        raise ValueError(f"A fit to {to!r} is unknown; use auto, pictures or meshes.")
    asked = cameras is not None or refine_cameras
    if to == "meshes" and asked:
        raise ValueError("A fit to meshes looks through no camera: leave out --cameras and "
                         "--refine-cameras, or use --to pictures.")
    target = None if to == "pictures" or to == "auto" and asked else registered_meshes(capture)
    if to == "meshes" and target is None:
        raise ValueError(f"{capture.path} has no registered meshes. Use --to pictures.")
    drawable = (capture.path / "body.npz").is_file()  # else points, which are of no other use
    if target is None or to == "auto" and drawable and capture.skeleton is not None:
        made, lines = _to_pictures(capture, body, cameras, refine_cameras)
        if target is not None:
            lines.append("these are the pictures; the capture's own meshes are fitted with --to meshes")
    else:
        made, lines = fit_to_meshes(capture, target, _keypoints(capture, target.frames), body)
    for line in lines:
        print(f"  {line}")
    return made


def _to_pictures(capture, body, cameras, refine_cameras):
    """The capture with the body that is fitted to keypoints and masks, and what to say of it."""
    names = _chosen(capture, cameras)
    seen = observed(capture, names)
    guessed = capture.uncalibrated & set(names)
    puppet = Puppet(seen.openpose) if body == "anny" else SmplPuppet(body, seen.openpose)
    found = fit_person(seen, capture.up, bool(guessed), refine_cameras, puppet)
    corrected = {name: found.cameras[row] for row, name in enumerate(names)
                 if refine_cameras or name in guessed}
    fitted = seen.frames[seen.seen_well()].tolist()
    made = write_registration(capture, puppet.person(found.shape), found.pose, corrected, fitted)
    overlap = list(mask_overlaps(made.only(lambda shot: shot.camera in names)).values())
    lines = [f"{len(fitted)} of {len(seen.frames)} frames fitted, through {', '.join(names)}"
             f"{told_of(puppet)}",
             *found.report.lines(names)]
    if overlap:
        lines.append(f"silhouettes: {sum(overlap) / len(overlap):.3f} IoU in the mean, "
                     f"{min(overlap):.3f} at least")
    return made, lines


def _keypoints(capture, frames):
    """The keypoints that calibrated cameras saw in frames that have meshes, or None."""
    if capture.skeleton not in KEYPOINT_SETS:
        return None
    names = sorted({camera for camera, _ in capture.keypoints} - capture.uncalibrated)
    meshed = set(frames.tolist())
    seen = observed(capture.only(lambda shot: shot.frame in meshed), names, masks=False) if names else None
    return seen if seen is not None and bool(seen.seen_well().any()) else None


def observed(capture: Capture, names: list[str], masks: bool = True) -> Observations:
    """What some cameras of a capture saw, at all of its frames; without masks, their keypoints alone."""
    frames = sorted({shot.frame for shot in capture.shots})
    moment = {frame: row for row, frame in enumerate(frames)}
    shots = [shot for shot in capture.shots if shot.camera in names]
    skeleton = KEYPOINT_SETS[capture.skeleton]
    nothing = torch.zeros(len(skeleton), 3)
    points, belief = by_name(torch.stack([capture.keypoints.get((shot.camera, shot.frame), nothing)
                                          for shot in shots]), skeleton.names)
    return Observations(Camera.cat([capture.cameras[name] for name in names]),
                        torch.tensor([names.index(shot.camera) for shot in shots]),
                        torch.tensor([moment[shot.frame] for shot in shots]),
                        torch.tensor(frames), capture.fps, points, belief,
                        [_outline(capture, shot) if masks else None for shot in shots],
                        openpose=capture.skeleton.startswith("body25"))


def _outline(capture: Capture, shot: Shot):
    if shot.mask is None:
        return None
    certain = read_mask(capture.path / shot.certain) > 0 if shot.certain else None
    return outline_of(read_mask(capture.path / shot.mask) > 127, certain)


def _chosen(capture, cameras):
    """Names of the cameras to look through."""
    if capture.skeleton is None:
        raise ValueError(f"{capture.path} has no keypoints, which a fit needs. Find them: python -m anr_core "
                         f"annotate {capture.path}. Or lay OpenPose's JSON into keypoints/ of the source, as "
                         "the README's Captures tell, and prepare it again.")
    if capture.skeleton not in KEYPOINT_SETS:
        raise ValueError(f"{capture.path} has keypoints of the set {capture.skeleton!r}; a fit knows "
                         f"{', '.join(KEYPOINT_SETS)}.")
    known = sorted({camera for camera, _ in capture.keypoints})
    names = known if cameras is None else list(dict.fromkeys(cameras))
    if missing := set(names) - set(known):
        raise ValueError(f"Camera {brief(min(missing))} has no keypoints in {capture.path}; those that have: "
                         f"{listed(known)}.")
    if len(guessed := sorted(capture.uncalibrated & set(names))) and len(names) > 1:
        raise ValueError(f"Camera {guessed[0]} is not calibrated, so it can't be used along with others. Fit "
                         f"through one camera: --cameras {names[0]}")
    return names
