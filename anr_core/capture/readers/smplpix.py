"""Format `smplpix`: pairs of pictures, a rendered mesh and what the camera saw, as SMPLpix is trained with.

    train/input/00001.png        a body's rendering
    train/output/00001.png       the picture to draw; where it is missing there is the rendering alone
    validation/ test/            likewise; may be missing

There are no cameras and no body: a focal length is guessed, and the rendering of each picture is kept as
the array "input" of its truth. Source: the README and the loader of Prokudin et al., SMPLpix, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anr_core.capture.footage import Footage, Take
from anr_core.capture.pictures import read_image
from anr_core.capture.readers.clips import numbered
from anr_core.capture.readers.plain import guessed_camera
from anr_core.capture.readers.timing import EVERYTHING, Span, picture_rate
from anr_core.capture.sources import PICTURE_SUFFIXES, common_size, stated_licence

ABOUT = "train/input and train/output"
SPLITS = ("train", "validation", "test")
CAMERA = "camera"
TRAINS = ("smplpix",)  # the systems that ask for no body


def recognises(source: Path) -> bool:
    return (source / "train" / "input").is_dir()


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """All pairs; pictures are read only while the takes are asked for. fps says how many are a second."""
    pairs, notes = _numbered(_pairs(source))
    if not pairs:
        raise FileNotFoundError(f"{source / 'train' / 'input'} holds no pictures "
                                f"({', '.join(PICTURE_SUFFIXES)}).")
    size = common_size([file for pair in pairs.values() for file in {pair.rendering, pair.target}])
    alone = sum(pair.target == pair.rendering for pair in pairs.values())
    notes += [f"{alone} of {len(pairs)} renderings have no picture in output/ and stand for it themselves."] \
        if alone else []
    rate, assumed = picture_rate(span.fps)
    wanted = span.frames(pairs, rate)
    return Footage(
        format="smplpix", cameras={CAMERA: guessed_camera(size)},
        originals={CAMERA: {"K": None, "distortion": [], "size": list(size)}},
        takes=(Take(CAMERA, frame, pairs[frame].target, None, registered=False, split=pairs[frame].split,
                    truth={"input": read_image(pairs[frame].rendering)}) for frame in sorted(wanted)),
        frames=np.zeros(0, np.int64), vertices=None, surface=None, fps=rate, up=(0.0, -1.0, 0.0),
        person=source.resolve().name, notes=notes + assumed, uncalibrated=frozenset({CAMERA}),
        **stated_licence(source))


@dataclass(frozen=True)
class _Pair:
    split: str
    number: int
    rendering: Path
    target: Path


def _pairs(source: Path) -> list[_Pair]:
    """All pairs in the order of training, validation and test."""
    pairs = []
    for split in SPLITS:
        for number, rendering in numbered(source / split / "input", PICTURE_SUFFIXES).items():
            targets = source / split / "output"
            target = next((file for suffix in (rendering.suffix, *PICTURE_SUFFIXES)
                           if (file := targets / f"{rendering.stem}{suffix}").is_file()), rendering)
            pairs.append(_Pair(split, number, rendering, target))
    return pairs


def _numbered(pairs: list[_Pair]) -> tuple[dict[int, _Pair], list[str]]:
    """Pairs by frame: by the numbers in their names, or in a row where two different ones share a number."""
    kept, repeated = {}, 0
    for pair in pairs:
        other = kept.setdefault(pair.number, pair)
        if other != pair:
            if other.rendering.read_bytes() != pair.rendering.read_bytes():
                note = "splits number their pictures alike; they are counted in a row."
                return dict(enumerate(pairs)), [note]
            repeated += 1
    notes = [f"{repeated} pictures of test are in validation, too, and count as that."] if repeated else []
    return kept, notes
