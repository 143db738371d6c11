"""Format `smplpix`: pairs of pictures, what is given and what is to be drawn, as SMPLpix is trained with.

    train/input/00001.png        a body's or a face's rendering, a sketch, anything; 1, 3 or 4 channels
    train/output/00001.png       the picture to draw; where it is missing nobody knows it
    validation/ test/            likewise; may be missing

Pairs are found by name, whatever the ending. An output's alpha is its mask; without one the picture as a
whole is what is to be drawn. There are no cameras and no body: a focal length is guessed. Source: the README
and the loader of Prokudin et al., SMPLpix, 2021.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anr_core.capture.footage import Footage, Take
from anr_core.capture.pictures import picture_channels, picture_size, read_channels
from anr_core.capture.readers.clips import natural
from anr_core.capture.readers.plain import guessed_camera
from anr_core.capture.readers.timing import EVERYTHING, Span, picture_rate
from anr_core.capture.sources import PICTURE_SUFFIXES, is_number, stated_licence

ABOUT = "train/input and train/output"
SPLITS = ("train", "validation", "test")
CAMERA = "camera"
TRAINS = ("smplpix",)  # the systems that ask for no body


def recognises(source: Path) -> bool:
    """Whether a folder is of this format."""
    return any((source / split / "input").is_dir() for split in SPLITS)


def read(source: Path, span: Span = EVERYTHING) -> Footage:
    """All pairs; pictures are read only while the takes are asked for. fps says how many are a second.

    Raises ValueError where sizes, or the inputs' channels, differ, and names the first odd file.
    """
    found, notes = _without_repeated(_pairs(source))
    if not found:
        raise FileNotFoundError(f"{source} holds no pictures ({', '.join(PICTURE_SUFFIXES)}) in train/input, "
                                "validation/input or test/input.")
    size = _alike({file: "{1}x{0} pixels".format(*picture_size(file)) for pair in found
                   for file in (pair.given, pair.wanted) if file}, picture_size)
    _alike({pair.given: f"of {picture_channels(pair.given)} channels" for pair in found
            if picture_channels(pair.given) != 1}, picture_channels)
    grey = all(picture_channels(pair.given) == 1 for pair in found)
    pairs, counted = _numbered(found)
    notes += [*counted, *_alone(found)]
    rate, assumed = picture_rate(span.fps)
    wanted = span.frames(pairs, rate)
    return Footage(
        format="smplpix", cameras={CAMERA: guessed_camera(size)},
        originals={CAMERA: {"K": None, "distortion": [], "size": list(size)}},
        takes=_takes({frame: pairs[frame] for frame in sorted(wanted)}, grey),
        frames=np.zeros(0, np.int64), vertices=None, surface=None, fps=rate, up=(0.0, -1.0, 0.0),
        person=source.resolve().name, notes=notes + assumed, uncalibrated=frozenset({CAMERA}),
        **stated_licence(source))


@dataclass(frozen=True)
class _Pair:
    """What is given, and what is to be drawn of it, if that is known."""

    split: str
    given: Path
    wanted: Path | None


def _pairs(source: Path) -> list[_Pair]:
    """All pairs in the order of training, validation and test."""
    pairs = []
    for split in SPLITS:
        wanted = _by_stem(source / split / "output")
        pairs += [_Pair(split, file, wanted.get(stem))
                  for stem, file in _by_stem(source / split / "input").items()]
    return pairs


def _by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by name, in the order of the numbers in their names."""
    found = {}
    for file in sorted(folder.glob("*"), key=lambda file: natural(file.stem)):
        if file.suffix.lower() not in PICTURE_SUFFIXES or file.name.startswith("."):
            continue
        if (other := found.setdefault(file.stem, file)) != file:
            raise ValueError(f"{file} and {other.name} have one name, but for the ending. Keep one of them.")
    return found


def _alike(told: dict[Path, str], read_one):
    """What reading one of the files gives, which all have to have alike: it is told of each in words."""
    if not told:
        return None
    common, _ = Counter(told.values()).most_common(1)[0]
    for file, words in told.items():
        if words != common:
            raise ValueError(f"{file} is {words}, but others are {common}. All inputs and outputs need one "
                             "size, and all inputs the same channels: scale or crop it, or remove the pair.")
    return read_one(next(iter(told)))


def _without_repeated(pairs: list[_Pair]) -> tuple[list[_Pair], list[str]]:
    """Pairs, each in the first of the splits that hold its input: what is judged was never seen before."""
    first, kept, repeated = {}, [], Counter()
    for pair in pairs:
        split = first.setdefault(hashlib.sha256(pair.given.read_bytes()).digest(), pair.split)
        if split == pair.split:
            kept.append(pair)
        else:
            repeated[pair.split, split] += 1
    return kept, [f"{count} pictures of {split} are in {other}, too, and count as that."
                  for (split, other), count in repeated.items()]


def _numbered(pairs: list[_Pair]) -> tuple[dict[int, _Pair], list[str]]:
    """Pairs by frame: by the last numbers in their names, or in a row where these don't tell them apart."""
    numbers = [re.findall("[0-9]+", pair.given.stem)[-1:] for pair in pairs]
    named = {int(number[0]): pair for number, pair in zip(numbers, pairs, strict=True)
             if number and is_number(number[0])}
    if len(named) == len(pairs):
        return dict(sorted(named.items())), []
    return dict(enumerate(pairs)), ["the pictures' names don't number them all apart; they are counted in a "
                                    f"row, {', '.join(_counted(pairs))}."]


def _counted(pairs):
    """Which frames a split has, where its pairs are counted in a row."""
    splits = [pair.split for pair in pairs]
    for split in dict.fromkeys(splits):
        begin = splits.index(split)
        yield f"{split} from {begin} to {begin + splits.count(split) - 1}"


def _alone(pairs):
    """What comes of inputs without an output, split by split."""
    for split, count in Counter(pair.split for pair in pairs if pair.wanted is None).items():
        of_all = f"{count} of {sum(pair.split == split for pair in pairs)} inputs of {split}"
        yield f"{of_all} have no picture in output/: " + \
            ("they are not trained on." if split == "train" else "they are drawn, and not judged.")


def _takes(pairs: dict[int, _Pair], grey: bool) -> Iterator[Take]:
    for frame, pair in pairs.items():
        given, mask = pair.given, None
        if not grey and picture_channels(given) == 1:  # among coloured ones
            given = _eight_bits(read_channels(given)).repeat(3, -1)
        if pair.wanted is not None and picture_channels(pair.wanted) == 4:
            alpha = read_channels(pair.wanted)[..., 3]
            mask = None if (alpha == 255).all() else alpha
        yield Take(CAMERA, frame, pair.wanted, mask, registered=False, split=pair.split, input=given)


def _eight_bits(grey):
    return grey if grey.dtype == np.uint8 else np.round(grey / 257).astype(np.uint8)
