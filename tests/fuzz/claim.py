"""What is claimed of every parser: whatever it is given, it reads it or says in one clear line why not.

    broken(read, named)  what is wrong with how something was read, or None: another exception than
                         ValueError, OSError and ImportError, a message that is empty, long, of several lines
                         or doesn't name what is damaged, too much memory, too much time
"""

from __future__ import annotations

import contextlib
import resource
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from json import JSONDecodeError

ROOM = 2 * 2**30  # bytes of addresses beside those that are taken: sources of kilobytes need no more
SECONDS = 20.0  # on a busy core; the small sources take a tenth of a second
ALLOWED = (ValueError, OSError, ImportError)
RAW = (UnicodeError, JSONDecodeError)  # are ValueErrors, and name no file
LONGEST = 1000  # characters of a message, of which two paths may take the half


class TakesTooLong(BaseException):
    """Not an Exception: nobody on the way may take it for damage of a file."""


def broken(read: Callable[[], object], named: str = "") -> str | None:
    """What is wrong with how `read` ends, with where it happened; None if it keeps the claim.

    named  has to stand in a message
    """
    try:
        with bounded(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read()
    except ALLOWED as error:
        told = str(error)
        if isinstance(error, RAW) or not isinstance(error, OSError) and len(told) < 20:
            return f"a bare {type(error).__name__}: {told!r}\n{_where(error)}"
        if "\n" in told or len(told) > LONGEST:
            return f"no line, but {len(told)} characters: {told[:200]!r}\n{_where(error)}"
        if named not in told and not told.startswith("Camera "):  # which is named as well
            return f"nothing is named: {told[:300]!r}\n{_where(error)}"
        return None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the finding
        return f"{type(error).__name__}: {str(error)[:300]}\n{_where(error)}"
    return None


def _where(error):
    """The last places in the package, one a line."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "anr_core" in frame.filename]
    return "\n".join(f"  {frame.filename.rpartition('anr_core/')[2]}:{frame.lineno} {frame.line}"
                     for frame in frames[-4:])


@contextlib.contextmanager
def bounded(seconds: float = SECONDS, room: int = ROOM) -> Iterator[None]:
    """Raise MemoryError, or TakesTooLong, where a block takes more."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as stated:
        taken = int(stated.read().split()[0]) * resource.getpagesize()
    before = signal.signal(signal.SIGALRM, _late)
    resource.setrlimit(resource.RLIMIT_AS, (taken + room, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _late(*_):
    raise TakesTooLong("it takes too long")
