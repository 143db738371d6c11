"""What stands in a file is told in a line of moderate length, whatever it is."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from anr_core.telling import LONGEST, LONGEST_REASON, brief, listed, quoted, reason

PACKAGE = Path(__file__).resolve().parents[1] / "anr_core"
DEEP = []
for _ in range(50_000):
    DEEP = [DEEP]
OBJECTS = np.empty(1, object)
OBJECTS[0] = OBJECTS

VALUES = ["", "cam01", "a\nb", "x" * 10**6, "\x1b[2J\x07\u202e\ud800" * 99, 3, -(10**400), 10**9000, True,
          None, 2.5, float("nan"), b"\0" * 10**5, [0] * 10**6, ["x" * 999] * 99, {"a": {"b": "x" * 999}},
          {1, "a"}, (1,) * 64, np.zeros((1,) * 30).shape, torch.zeros(2, 3).shape, np.zeros((30, 30)),
          np.dtype([("x" * 999, "f4")]), OBJECTS, DEEP, np.str_("cam01"), Path("/x" * 999),
          ValueError("a\nb" * 999)]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_any_value_is_a_printable_line_of_bounded_length(value):
    for told, longest in ((brief(value), LONGEST), (quoted(value), LONGEST), (brief(value, 200), 200),
                          (listed([value] * 99), 6 * (LONGEST + 2))):
        assert told.isprintable() and len(told) <= longest


def test_what_is_short_stands_as_it_is():
    assert brief("cam01") == brief(np.str_("cam01")) == "cam01" and quoted("cam01") == "'cam01'"
    assert brief((2, 3)) == brief(torch.zeros(2, 3).shape) == "(2, 3)"
    assert brief(np.dtype("f4")) == "float32" and brief(7) == quoted(7) == "7" and quoted("") == "''"


def test_of_many_the_first_and_the_last_are_told_and_how_many_are_between():
    assert listed([]) == "nothing"
    assert listed(f"cam{index}" for index in range(6)) == "cam0, cam1, cam2, cam3, cam4, cam5"
    assert listed(range(100)) == "0, 1, 2, 95 more, 98, 99"


def test_a_reason_is_the_first_line_that_says_something():
    assert reason(ValueError("\nit is cut off\nat line 3")) == "it is cut off"
    assert reason(OSError()) == "OSError" and reason(MemoryError()) == "it asks for more memory than there is"
    assert len(reason(KeyError("x" * 9999))) <= LONGEST_REASON


@pytest.mark.parametrize("room", ["body", "capture", "motion", "avatars"])
def test_readers_quote_through_it(room):
    """No error of theirs has a value in quotes, or another error's words, as long as these may be."""
    known = {"body/smpl.py model_type", "body/anny.py names", "capture/views.py crop",
             "capture/views.py size", "capture/writers/__init__.py format",  # what a caller gives
             "capture/posing.py error"}  # our own, of a body that isn't there
    found = set()
    for file in (PACKAGE / room).rglob("*.py"):
        raised = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                  if isinstance(node, ast.Raise)]
        parts = [part for node in raised for part in ast.walk(node) if isinstance(part, ast.FormattedValue)]
        found |= {f"{file.relative_to(PACKAGE).as_posix()} {ast.unparse(part.value)}" for part in parts
                  if part.conversion == ord("r") or ast.unparse(part.value) in ("error", "str(error)")}
    assert found <= known
