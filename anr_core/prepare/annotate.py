"""A capture's pictures in, the person's keypoints and masks out.

An annotator finds people in each picture; all of them are kept in a folder of the capture, picture by
picture, until one person was followed through every camera's recording. So what is killed goes on where it
stopped.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from tqdm import tqdm

from anr_core.capture import Capture, Shot, load_capture
from anr_core.capture.changing import exchanged, write_annotations
from anr_core.capture.pictures import read_image, read_mask
from anr_core.prepare import REPORT, report
from anr_core.prepare.annotators import Annotator, Person, check_name, ready_annotator
from anr_core.prepare.following import distance, follow, prominence
from anr_core.skeleton import KEYPOINT_SETS, shared_joints
from anr_core.skeleton.named import skeleton_named
from anr_core.telling import brief

UNFINISHED = ".annotations"  # folder of a capture; of each annotator CAMERA/0008.npz: keypoints and masks
MOST_PEOPLE = 8  # of a picture that are kept, the most prominent ones
# Of their size: detections that are nearer to keypoints that were there before are of the same person.
SAME = 0.25
# The share of someone's keypoints in the mask that was there before.
INSIDE = 0.5


def annotate(folder: Path, annotator: str | Annotator = "torchvision", again: bool = False) -> Capture:
    """Find the person's keypoints and mask in every picture that lacks one, and write them into the capture.

    annotator  one of ANNOTATORS by name
    again      make those that are there already anew

    What is there already also tells whom to follow. Raises ValueError where nobody is found in any picture,
    or the annotator answers with something else than people.
    """
    capture = load_capture(folder)
    if isinstance(annotator, str):
        check_name(annotator)
    lacking = [shot for shot in capture.shots if again or not _complete(capture, shot)]
    if not lacking:
        print(f"all {len(capture.shots)} pictures have keypoints and masks; --again makes them anew")
        return capture
    _check_skeleton(capture, again)
    if isinstance(annotator, str):
        annotator = ready_annotator(annotator)
    work = capture.path / UNFINISHED / annotator.name
    _detect(capture, lacking, annotator, work)
    found, notes = {}, []
    for name in capture.cameras:
        chosen = _follow(capture, name, set(lacking), annotator, work, again)
        nobody = [shot.frame for shot in lacking if shot.camera == name and shot not in chosen]
        if nobody:
            notes.append(f"{name}: the person was not found in {len(nobody)} pictures: {ranges(nobody)}")
        found |= chosen
    if not found:
        shutil.rmtree(work.parent)
        raise ValueError(f"{annotator.name} found nobody in {len(lacking)} pictures of {capture.path}. Look "
                         "whether they show a person, upright and large enough, or use another annotator.")
    skeleton = annotator.skeleton if again or capture.skeleton is None else capture.skeleton
    if skeleton != annotator.skeleton:
        notes.append(f"the keypoints that were there are {skeleton}: the new ones are its points that "
                     f"{annotator.skeleton} has too")
    keypoints = {} if again else dict(capture.keypoints)
    for shot, who in found.items():
        if again or (shot.camera, shot.frame) not in keypoints:
            points = _in_set(_stored_keypoints(_file(work, shot))[who], annotator.skeleton, skeleton)
            keypoints[shot.camera, shot.frame] = torch.from_numpy(points)
    masks = ((shot, mask) for shot, who in found.items() if again or shot.mask is None
             if (mask := _stored_mask(_file(work, shot), who)) is not None)
    made = write_annotations(capture, keypoints, skeleton, masks, set(lacking) if again else set())
    shutil.rmtree(work.parent)
    print(f"{annotator.name} looked at {len(lacking)} pictures; see {made.path / REPORT}")
    report(made, notes, made.path, f"{made.path} is annotated, but it won't do")
    return made


def _complete(capture, shot):
    return shot.mask is not None and (shot.camera, shot.frame) in capture.keypoints


def _check_skeleton(capture, again):
    if not again and capture.skeleton is not None and capture.of_body.skeleton not in KEYPOINT_SETS:
        raise ValueError(f"{capture.path} has keypoints of the set {capture.skeleton!r}, which nothing can "
                         f"be added to; known are {', '.join(KEYPOINT_SETS)}. Make all anew with --again.")


# finding people

def _detect(capture: Capture, lacking: list[Shot], annotator: Annotator, work: Path) -> None:
    """Ask for the people in each picture whom nobody found yet, and keep them on disk."""
    count = len(KEYPOINT_SETS[annotator.skeleton])
    left = [shot for shot in lacking if not _is_whole(_file(work, shot), capture.cameras[shot.camera].size)]
    with tqdm(total=len(lacking), initial=len(lacking) - len(left), unit="picture") as bar:
        for name in capture.cameras:
            shots = [shot for shot in left if shot.camera == name]
            bar.set_description(name)
            answers = annotator.find(read_image(capture.path / shot.image) for shot in shots)
            for shot, people in _paired(shots, answers, annotator):
                size = capture.cameras[name].size
                _check(people, count, size, f"{annotator.name}, of {shot.image}")
                _store(people, count, size, _file(work, shot))
                bar.update()


def _paired(shots, answers, annotator) -> Iterator[tuple[Shot, list[Person]]]:
    """Each picture and its people."""
    answers = iter(answers)
    for place, shot in enumerate(shots):
        people = next(answers, None)
        if people is None:
            raise ValueError(f"{annotator.name} said nothing of {shot.image}: it gave {place} answers to "
                             f"{len(shots)} pictures.")
        yield shot, people


def _check(people: list[Person], count: int, size: tuple[int, int], told: str) -> None:
    """Raises ValueError where an annotator's answer is not of the shapes and values that `Person` tells."""
    for person in people:
        points, mask = np.asarray(person.keypoints), person.mask
        if points.shape != (count, 3):
            raise ValueError(f"{told}: keypoints are {brief(points.shape)}, expected ({count}, 3).")
        if not np.isfinite(points).all():
            raise ValueError(f"{told}: keypoints are NaN or infinite.")
        if points[:, 2].min() < 0 or points[:, 2].max() > 1:
            raise ValueError(f"{told}: a confidence is {points[:, 2].max():g}, expected one in [0, 1].")
        if mask is not None and (mask.shape != size or mask.dtype != np.uint8):
            raise ValueError(f"{told}: a mask is {brief(mask.shape)} {mask.dtype}, expected {size} uint8.")


def _store(people, count, size, file):
    """Keep a picture's most prominent people: keypoints (P, K, 3), masks (P, H, W), empty where unknown."""
    people = sorted((person for person in people if person.keypoints[:, 2].any()),
                    key=lambda person: -prominence(person.keypoints, size))[:MOST_PEOPLE]
    points = np.zeros((len(people), count, 3), np.float32)
    masks = np.zeros((len(people), *size), np.uint8)
    for row, person in enumerate(people):
        points[row] = person.keypoints
        if person.mask is not None:
            masks[row] = person.mask
    file.parent.mkdir(parents=True, exist_ok=True)
    with exchanged(file) as fresh:
        np.savez_compressed(fresh, keypoints=points, masks=masks)


def _file(work, shot):
    return work / shot.camera / f"{shot.frame:04d}.npz"


def _is_whole(file, size):
    """Whether a picture's people are kept already; what a crash of the machine broke is not."""
    try:
        with np.load(file) as arrays:
            return arrays["keypoints"].ndim == 3 and arrays["masks"].shape[1:] == size
    except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error, MemoryError):
        return False


def _stored_keypoints(file):
    with np.load(file) as arrays:
        return arrays["keypoints"]


def _stored_mask(file, who):
    """(H, W) uint8, or None where nobody could tell."""
    with np.load(file) as arrays:
        mask = arrays["masks"][who]
    return mask if mask.any() else None


# following one

def _follow(capture: Capture, camera: str, lacking: set[Shot], annotator: Annotator, work: Path,
            again: bool) -> dict[Shot, int]:
    """Who of the people that were found in a camera's pictures is the person; without who is not there."""
    shots = sorted((shot for shot in capture.shots if shot.camera == camera), key=lambda shot: shot.frame)
    size, people, rows, known = capture.cameras[camera].size, [], [], []
    for shot in shots:
        anchor = None if again else capture.keypoints.get((camera, shot.frame))
        if anchor is not None:
            anchor = _in_set(anchor.numpy(), capture.skeleton, annotator.skeleton)
        mask = None if again or shot.mask is None else shot.mask
        known.append(anchor is not None or mask is not None)
        if shot not in lacking:
            people.append(anchor[None])
            rows.append([None])
            continue
        everyone = _stored_keypoints(_file(work, shot))
        rows.append(list(range(len(everyone))))
        if anchor is not None:
            rows[-1] = _best(SAME - distance(anchor, points) for points in everyone)
        elif mask is not None:
            covered = read_mask(capture.path / mask) > 127
            # a small one who stands in front of the person is wholly in it, the person mostly
            rows[-1] = _best((inside(points, covered) > INSIDE) * prominence(points, size)
                             for points in everyone)
        people.append(everyone[rows[-1]])
    chosen = follow(people, [shot.frame for shot in shots], size, known)
    return {shot: kept[who] for shot, kept, who in zip(shots, rows, chosen, strict=True)
            if who is not None and shot in lacking}


def _best(agreements: Iterable[float]) -> list[int]:
    """The place of the largest, if it is above 0."""
    agreements = list(agreements)
    return [int(np.argmax(agreements))] if max(agreements, default=0) > 0 else []


def _in_set(points: np.ndarray, name: str, other: str) -> np.ndarray:
    """Keypoints (K, 3) of one set as another's; those that it lacks have confidence 0."""
    one, two = skeleton_named(name), skeleton_named(other)
    taken, places = shared_joints(one, two)
    moved = np.zeros((len(two), 3), np.float32)
    moved[places] = points[taken]
    return moved


def inside(points: np.ndarray, mask: np.ndarray) -> float:
    """The share of keypoints (K, 3), by their confidence, that a mask (H, W) bool covers."""
    columns, rows = points[:, :2].astype(int).T
    there = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    return float(points[there, 2] @ mask[rows[there], columns[there]] / points[:, 2].sum())


def ranges(frames: Iterable[int], most: int = 6) -> str:
    """Frame numbers, which rise, in words: "3, 5 to 8 and 12 more"."""
    runs = []
    for frame in frames:
        if runs and runs[-1][-1] == frame - 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    told = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:most])
    more = sum(map(len, runs[most:]))
    return told + (f" and {more} more" if more else "")
