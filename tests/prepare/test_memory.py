"""Preparing, annotating and training hold a few pictures and meshes at a time, however many there are."""

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.body import Pose
from anr_core.capture import load_capture
from anr_core.capture.pictures import Memory
from anr_core.capture.posing import read_posing
from anr_core.prepare import agreement, prepare
from anr_core.prepare.annotate import annotate
from anr_core.prepare.annotators import Annotator, Person
from anr_core.skeleton import COCO17
from tests.small_sources import cameras, picture, write_openpose

pytestmark = pytest.mark.slow

SIZE = (360, 270)
# Bytes: half of what 240 pictures take. Far more than what Python itself may need all of a sudden: after a
# thousand other tests its table of interned strings grows by 8 MB at once.
GROWTH = 240 * 360 * 270 * 3 / 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """300 pictures with masks and keypoints."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "frames").mkdir(), (folder / "masks").mkdir()
    camera = cameras(SIZE)["cam1"]
    for frame in range(300):
        image, mask = picture(camera, frame)
        Image.fromarray(image).save(folder / "frames" / f"{frame:04d}.jpg")
        Image.fromarray(mask).save(folder / "masks" / f"{frame:04d}.png")
    write_openpose(folder / "keypoints", "cam1", range(300), scale=3)
    return folder


@pytest.fixture(autouse=True)
def few_are_looked_at(monkeypatch):
    """A check for keypoints that come late holds sixty small pictures: a list of all could hide behind."""
    monkeypatch.setattr(agreement, "MOST_FRAMES", 12)


def peak(work: Callable[[], object]) -> int:
    """Bytes that work takes at the most.

    What other tests left is hidden from the collector: it looks at old garbage the more seldom the more
    there is.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # counts what is left: nothing
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.unfreeze()


def test_memory_does_not_grow_with_the_number_of_pictures(folder, tmp_path):
    peaks = []
    for end in (0.1, 2, 9.99):  # the first is for what is imported only once
        peaks.append(peak(lambda end=end: prepare(folder / "frames", tmp_path / "capture", end=end)))
    assert len(load_capture(tmp_path / "capture").shots) == 300
    assert peaks[2] - peaks[1] < GROWTH, peaks


def test_memory_does_not_grow_with_the_number_of_annotated_pictures(folder, tmp_path):
    def find(pictures):
        for image in pictures:
            points = np.linspace([10, 10, 0.5], [260, 340, 1], len(COCO17), dtype=np.float32)
            yield [Person(points, np.full(image.shape[:2], 255, np.uint8))] * 2

    peaks, recorded = [], Annotator("recorded", "coco17", find)
    for end in (0.1, 2, 9.99):
        made = prepare(folder / "frames", tmp_path / "capture", end=end)
        peaks.append(peak(lambda path=made.path: annotate(path, recorded, again=True)))
    assert peaks[2] - peaks[1] < GROWTH, peaks


def test_memory_does_not_grow_with_the_number_of_pictures_that_are_trained_on(folder, tmp_path):
    made = prepare(folder / "frames", tmp_path / "capture")
    made = replace(made, memory=Memory(4 * 2**20))  # of decoded pictures that are kept
    peaks = []
    for count in (5, 60, 300):
        sizes = set()
        peaks.append(peak(lambda count=count, sizes=sizes: sizes.update(
            view.image.shape[-2:] for view in made.evenly(count).views())))
        assert sizes == {SIZE}
    assert peaks[2] - peaks[1] < GROWTH, peaks


def test_meshes_of_many_frames_stay_on_disk_until_they_are_asked_for(tmp_path):
    vertices = np.random.default_rng(0).normal(size=(300, 2000, 3)).astype(np.float32)
    faces = np.array([[0, 1, 2], [2, 1, 3]])
    np.savez(tmp_path / "body.npz", frames=np.arange(300), vertices=vertices, faces=faces,
             uv=np.zeros((3, 2), np.float32), uv_faces=np.zeros((2, 3), np.int64), part=np.ones(2, np.int64))
    tracemalloc.start()
    body, _ = read_posing(tmp_path, None)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < vertices.nbytes / 4
    assert (body(Pose.of_frame(torch.tensor([217]))).vertices[0].numpy() == vertices[217]).all()


def test_pictures_that_are_kept_are_those_that_were_read():
    random = np.random.default_rng(0)
    read = random.integers(0, 256, (80, 90, 3)).astype(np.uint8), random.random((80, 90)) > 0.5
    memory = Memory(2**20)
    for _ in range(2):
        kept = memory.get("key", lambda: read)
        assert all((one == other).all() and one.dtype == other.dtype
                   for one, other in zip(kept, read, strict=True))
        assert torch.from_numpy(kept[0]).shape == (80, 90, 3)
