"""One file an annotator: what finds people in pictures, their keypoints and their masks.

A module has `annotator()`, which gets the networks ready and returns an `Annotator`; it raises ImportError or
ValueError, through `unavailable`, where they can't be had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module

import numpy as np

ANNOTATORS = {
    "torchvision": "anr_core.prepare.annotators.torchvision",
    "mediapipe": "anr_core.prepare.annotators.mediapipe",
}


@dataclass(frozen=True)
class Person:
    """One of the people in a picture.

    keypoints  (K, 3)  pixels, and confidence in [0, 1]; 0 for what was not looked for or not found
    mask       (H, W)  uint8, 255 where the person is; None where nobody can tell
    """

    keypoints: np.ndarray
    mask: np.ndarray | None


@dataclass(frozen=True)
class Annotator:
    """What finds people.

    name      under which its unfinished work is kept
    skeleton  the set of KEYPOINT_SETS that its keypoints are of
    find      pictures (H, W, 3) uint8, which are made while they are asked for -> everyone in each, in order
    """

    name: str
    skeleton: str
    find: Callable[[Iterable[np.ndarray]], Iterator[list[Person]]]


def check_name(name: str) -> None:
    """Raises ValueError where there is no annotator of that name."""
    if name not in ANNOTATORS:
        raise ValueError(f"There is no annotator {name!r}; use {' or '.join(ANNOTATORS)}.")


def ready_annotator(name: str) -> Annotator:
    """The annotator of a name that there is."""
    return import_module(ANNOTATORS[name]).annotator()


def unavailable(name: str, reason: object, remedy: str) -> str:
    """The message that names every way on where an annotator's library or weights can't be had."""
    told = " ".join(str(reason).split()) or type(reason).__name__
    other = {"torchvision": "MediaPipe (python -m pip install mediapipe, then annotate with --annotator "
                            "mediapipe)",
             "mediapipe": "torchvision's networks (annotate without --annotator)"}
    return (f"{name} can't be used here ({told}). {remedy} Other ways on: {other[name]}; or keypoints that "
            "OpenPose or another detector wrote as JSON elsewhere, and masks, both laid beside the pictures "
            "as the README's Captures tell, and prepare again. Masks alone, where the camera stands still: "
            "python -m anr_core mask CAPTURE.")
