"""A capture that has changed since a run was begun is refused; nothing else is."""

import json

import numpy as np
import pytest

from anr_core.capture import load_capture
from anr_core.training import train

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}


@pytest.fixture
def source(small_capture):
    return small_capture.path


def training(capture, run, steps):
    return list(train(capture, run, "deferred", steps=steps, config=TINY))


def move_mesh(capture):
    with np.load(capture / "body.npz") as arrays:
        np.savez(capture / "body.npz", **dict(arrays) | {"vertices": arrays["vertices"] + 0.01})


def rename_mask(capture):
    file = capture / "capture.json"
    index = json.loads(file.read_text())
    shot = next(shot for shot in index["shots"] if shot["mask"])
    other = shot["mask"].replace(".png", "-new.png")
    (capture / shot["mask"]).rename(capture / other)
    shot["mask"] = other
    file.write_text(json.dumps(index))


def move_camera(capture):
    file = capture / "capture.json"
    index = json.loads(file.read_text())
    index["cameras"]["cam01"]["t"][0] += 0.1
    file.write_text(json.dumps(index))


@pytest.mark.parametrize("change, told", [(move_mesh, "poses"), (rename_mask, "masks"),
                                          (move_camera, "cameras")])
def test_what_has_changed_is_named_and_the_run_stays(change, told, copied, tmp_path):
    run = tmp_path / "run"
    training(copied, run, 2)
    before = (run / "training.pt").read_bytes()
    change(copied)
    with pytest.raises(ValueError, match=rf"has changed since .*run was begun \(its {told}\). Put back"):
        training(copied, run, 4)
    assert (run / "training.pt").read_bytes() == before


def test_a_picture_that_is_gone_is_named(copied, tmp_path):
    training(copied, tmp_path / "run", 2)
    (copied / load_capture(copied).shots[0].image).unlink()
    with pytest.raises(FileNotFoundError, match="is missing. Put it back"):
        training(copied, tmp_path / "run", 4)


def test_a_capture_that_has_moved_is_the_same(copied, tmp_path):
    training(copied, tmp_path / "run", 2)
    assert len(training(copied.rename(tmp_path / "elsewhere"), tmp_path / "run", 4)) == 2


def test_a_run_from_before_fingerprints_goes_on(copied, tmp_path):
    file = tmp_path / "run/config.json"
    training(copied, tmp_path / "run", 2)
    file.write_text(file.read_text().replace('"seen"', '"unknown"'))
    move_mesh(copied)
    assert len(training(copied, tmp_path / "run", 4)) == 2


def test_the_last_bits_of_meshes_and_cameras_count_for_nothing(copied, tmp_path):
    training(copied, tmp_path / "run", 2)
    with np.load(copied / "body.npz") as arrays:
        vertices = np.nextafter(arrays["vertices"], np.float32(9))
        np.savez(copied / "body.npz", **dict(arrays) | {"vertices": vertices})
    assert len(training(copied, tmp_path / "run", 4)) == 2
