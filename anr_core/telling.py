"""What errors tell of what stands in a file: in one line of moderate length, whatever it is.

    brief(value)    a value: text as it is, all else as Python writes it
    quoted(value)   the same with text in quotes
    listed(values)  the first and the last ones, and how many there are between
    reason(error)   the first line of what a library says

A stranger's file may hold names, numbers, lists and shapes without end, libraries quote them, and what they
hold may steer a terminal. What has an end by itself (a number of ours, a length, a path that the user gave)
is told without any of these.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

LONGEST = 60  # characters of a value; more of it tells nobody more
MOST = 6  # values of a list that are all told
FIRST, LAST = 3, 2  # of longer ones
LONGEST_REASON = 300
LONGEST_ERROR = 2000  # whatever it is, as the user is told


def brief(value: object, longest: int = LONGEST) -> str:
    """A value in a line; what is longer keeps its beginning and its end."""
    return _line(value if isinstance(value, str) else _SHORT.repr(value), longest)


def quoted(value: object, longest: int = LONGEST) -> str:
    """A value in a line as Python writes it."""
    return _line(_SHORT.repr(value), longest)


def listed(values: Iterable[object], longest: int = LONGEST) -> str:
    """Values one after the other; "nothing" where there are none."""
    found = list(values)
    if len(found) > MOST:
        found[FIRST:-LAST] = [f"{len(found) - FIRST - LAST} more"]
    return ", ".join(brief(value, longest) for value in found) or "nothing"


def reason(error: BaseException) -> str:
    """Why something can't be read: what an error says first, or what it is where it says nothing."""
    said = next((line for line in str(error).splitlines() if line.strip()), None)
    if said is None and isinstance(error, MemoryError):  # a damaged header may ask for any length
        said = "it asks for more memory than there is"
    return brief(said or type(error).__name__, LONGEST_REASON)


def _line(text, longest):
    """Text in one line, without what would steer a terminal."""
    told = " ".join(_cut(text, longest).split())
    return _cut("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in told), longest)


def _cut(text, longest):
    half = (longest - 5) // 2
    return text if len(text) <= longest else f"{text[:half]} ... {text[-half:]}"


class _Short(reprlib.Repr):
    """As Python writes values, but of few entries, little depth and in short: a file's may be without end."""

    def __init__(self):
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong = 3, LONGEST, LONGEST

    def repr_int(self, x, level):
        """Digits, of which Python itself writes 4300 at most."""
        return super().repr_int(x, level) if x.bit_length() < 10_000 else f"a number of {x.bit_length()} bits"

    def repr_instance(self, x, level):
        """What has no way of its own here, as `str` has it: 3.0, float32, an error's words."""
        if isinstance(x, str | tuple):  # of numpy's and torch's kinds
            return self.repr_str(str(x), level) if isinstance(x, str) else self.repr_tuple(x, level)
        try:
            return str(x)
        except Exception:  # arrays in arrays in arrays, for example
            return f"a {type(x).__name__}"


_SHORT = _Short()
