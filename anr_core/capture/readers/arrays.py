"""What strangers' records hold, checked: numbers of the expected shape, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anr_core.body.stand_ins import plain_array
from anr_core.capture.sources import LONGEST_NUMBER
from anr_core.telling import brief, listed

LEAST_FOCAL = 0.01  # pixels: less is zero in single precision, or next to it
LARGEST = 1e15  # of whatever unit; squares of it are still numbers in single precision


def entry(record, key: str, file: Path):
    """One entry of a dictionary that a file holds."""
    if not isinstance(record, dict):
        raise ValueError(f"{file} holds a {type(record).__name__}, expected a dictionary with {brief(key)}. "
                         "Copy it again.")
    if key not in record:
        raise ValueError(f"{file} has no {brief(key)}; it has {listed(record)}. Copy it again.")
    return record[key]


def numbers(values, shape: tuple[int | None, ...], what: str) -> np.ndarray:
    """Finite numbers of a shape, whose None stand for any size; `what` names them in the error.

    Axes of size one may be missing or too many: datasets write (3,), (1, 3) and (3, 1) for the same thing.
    """
    found = real(values, what)
    fitted = _fitted(found, shape)
    if fitted is None:
        expected = ", ".join("n" if size is None else str(size) for size in shape)
        raise ValueError(f"{what} has the shape {brief(found.shape)}, expected ({expected}). Copy it again.")
    if broken := int((~measurable(fitted)).sum()):
        raise ValueError(f"{what} has {broken} values that are NaN, infinite or beyond {LARGEST:g}. Copy it "
                         "again, or leave it out.")
    return fitted


def frame_numbers(values, what: str) -> np.ndarray:
    """Numbers of frames (n,) int64, which must be whole, not negative and not beyond any film."""
    found = numbers(values, (None,), what)
    if ((found % 1 != 0) | (found < 0) | (found >= 10.0**LONGEST_NUMBER)).any():
        raise ValueError(f"{what} hold {found.min():g} to {found.max():g}, which are no numbers of frames. "
                         "Copy it again.")
    return found.astype(np.int64)


def measurable(values: np.ndarray) -> np.ndarray:
    """Which numbers may be a measure of anything: neither NaN, nor infinite, nor too large."""
    return np.abs(values) < LARGEST


def focuses(K: np.ndarray) -> bool:
    """Whether K (3, 3) has focal lengths, and less skew than would lay one axis on the other."""
    return bool(min(K[0, 0], K[1, 1]) > LEAST_FOCAL and K[0, 0] * K[1, 1] > 2 * abs(K[0, 1] * K[1, 0]))


def is_rotation(matrix: np.ndarray) -> bool:
    """Whether a matrix (3, 3) turns, and neither mirrors nor stretches."""
    return bool(np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) and np.linalg.det(matrix) > 0)


def real(values, what: str) -> np.ndarray:
    """Real numbers of whatever shape, float64."""
    try:
        found = plain_array(values)
        if found.dtype.kind in "biufO":
            return found.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        pass
    raise ValueError(f"{what} is no array of numbers. Copy it again.")


def _fitted(found, shape):
    """The same numbers in that shape, or None where they don't belong into it."""
    if not _matches(found.shape, shape):
        squeezed = [size for size in found.shape if size != 1]
        kept = [size for size in shape if size != 1]
        if not _matches(squeezed, kept):
            return None
        sizes = iter(squeezed)
        found = found.reshape([1 if size == 1 else next(sizes) for size in shape])
    return found


def _matches(sizes, shape):
    return len(sizes) == len(shape) and all(wanted in (None, size)
                                            for size, wanted in zip(sizes, shape, strict=True))
