"""Preparing and annotating hold a few pictures at a time, however many there are."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from anr_core.prepare import prepare
from anr_core.prepare.annotate import annotate
from anr_core.prepare.annotators import Annotator, Person
from anr_core.skeleton import COCO17
from tests.small_sources import cameras, picture, write_openpose


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """300 pictures of 48 kB each, with masks and keypoints."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "frames").mkdir(), (folder / "masks").mkdir()
    camera = cameras((180, 90))["cam1"]
    for frame in range(300):
        image, mask = picture(camera, frame)
        Image.fromarray(image).save(folder / "frames" / f"{frame:04d}.jpg")
        Image.fromarray(mask).save(folder / "masks" / f"{frame:04d}.png")
    write_openpose(folder / "keypoints", "cam1", range(300))
    return folder


def test_memory_does_not_grow_with_the_number_of_pictures(folder, tmp_path):
    peaks = []
    for end in (0.1, 2, 9.99):  # the first is for what is imported only once
        tracemalloc.start()
        made = prepare(folder / "frames", tmp_path / "capture", end=end)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert len(made.shots) == 300
    assert peaks[2] - peaks[1] < 240 * 48_600 / 4, peaks


def test_memory_does_not_grow_with_the_number_of_annotated_pictures(folder, tmp_path):
    def find(pictures):
        for image in pictures:
            points = np.linspace([10, 10, 0.5], [80, 170, 1], len(COCO17), dtype=np.float32)
            yield [Person(points, np.full(image.shape[:2], 255, np.uint8))] * 2

    peaks = []
    for end in (0.1, 2, 9.99):
        made = prepare(folder / "frames", tmp_path / "capture", end=end)
        tracemalloc.start()
        annotate(made.path, Annotator("recorded", "coco17", find), again=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 240 * 48_600 / 4, peaks
