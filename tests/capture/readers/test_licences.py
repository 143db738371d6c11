"""Whose a source is and what may be done with it comes along, of every format that states it."""

import numpy as np
import pytest
from PIL import Image

from anr_core.capture.readers import find_reader
from anr_core.prepare import prepare
from tests.capture.readers.small_datasets import MAKERS
from tests.small_sources import write_easymocap


@pytest.mark.parametrize("format", MAKERS)
def test_a_dataset_has_its_line_and_its_file(format, tmp_path):
    make, options = MAKERS[format]
    make(tmp_path / "source", **options)
    stated = find_reader(tmp_path / "source", format)[1].read(tmp_path / "source")
    assert "cite" in stated.licence and stated.licence_file is None
    (tmp_path / "source" / "LICENCE.md").write_text("ask us")
    footage = find_reader(tmp_path / "source", format)[1].read(tmp_path / "source")
    assert footage.licence == f"{stated.licence}; stated in LICENCE.md"
    assert footage.licence_file == tmp_path / "source" / "LICENCE.md"


def test_the_file_lies_in_the_capture_however_it_is_spelled(tmp_path):
    source = write_easymocap(tmp_path / "source", range(1))
    (source / "license.txt").write_text("free")
    made = prepare(source, tmp_path / "capture")
    assert made.licence == "stated in license.txt" and (made.path / "license.txt").read_text() == "free"


def test_nothing_stated_is_said(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "1.png")
    assert prepare(tmp_path, tmp_path.with_name("unstated")).licence == "not stated"
