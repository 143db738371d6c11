"""Learned backgrounds: where they begin, and what windows of them show."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core.avatars.backgrounds import Backgrounds, mended
from anr_core.capture import resample
from anr_core.capture.pictures import write_image, write_mask
from tests.posed_capture import FRAMES, SIZE, make_posed_capture


@pytest.fixture
def capture(tmp_path):
    """Two cameras before a gradient, in which a bright square, the person, walks from place to place."""
    capture = make_posed_capture(tmp_path / "capture", masked=True)
    plate = scene()
    for shot in capture.shots:
        picture, mask = plate.copy(), np.zeros(SIZE, bool)
        left = 20 * FRAMES.index(shot.frame)
        picture[30:60, left:left + 16], mask[30:60, left:left + 16] = 255, True
        write_image(capture.path / shot.image, picture)
        write_mask(capture.path / shot.mask, mask)
    return capture


def scene():
    rows, columns = np.mgrid[:SIZE[0], :SIZE[1]]
    return np.stack([rows, columns, 0 * rows + 60], 2).astype(np.uint8)


def begun(capture, beginning, side=360):
    backgrounds = Backgrounds(["front", "side"], side)
    backgrounds.begin(capture, beginning)
    return backgrounds


def test_a_median_shows_the_scene_without_the_person(capture):
    found = begun(capture, "median").picture("front")
    wanted = torch.from_numpy(scene()).permute(2, 0, 1)[None] / 255
    assert found.shape == (1, 3, *SIZE)
    assert (found - wanted)[..., 2:-2, 2:-2].abs().max() < 0.03


def test_a_frame_shows_the_person_as_well_and_a_plate_is_taken_as_it_is(capture, tmp_path):
    assert begun(capture, "frame").picture("front").max() > 0.9
    write_image(capture.path / "plate.png", np.full((*SIZE, 3), 51, np.uint8))
    known = replace(capture, backgrounds={"front": "plate.png"})
    backgrounds = begun(known, "plate")
    assert torch.allclose(backgrounds.picture("front"), torch.tensor(0.2))
    # without a plate it is the median
    assert (backgrounds.picture("side") - begun(capture, "median").picture("side")).abs().max() < 1e-6


def test_where_the_person_always_is_the_nearest_colour_is_taken(capture):
    for shot in capture.shots:
        write_mask(capture.path / shot.mask, np.pad(np.ones((40, 40), bool), ((28, 28), (70, 70))))
    picture = begun(capture, "median").picture("front")
    assert picture.isfinite().all() and picture[..., 48, 90].max() < 0.9


def test_who_stands_in_a_plate_is_taken_out_of_it(capture):
    plate = torch.from_numpy(scene()).permute(2, 0, 1)[None] / 255
    ghost = plate.clone()
    ghost[..., 30:60, 40:80] = 0.9
    times, spread = torch.full((1, 1, *SIZE), 25), torch.zeros(1, 1, *SIZE)
    times[..., 34:56, 46:74] = 0  # the film's person is always there
    median = torch.where(times > 0, plate, torch.tensor(0.5))
    found = mended(ghost, median, times, spread)
    assert (found - plate).abs().max() < 0.02  # of a gradient even what is hidden is found
    assert torch.equal(mended(plate, median, times, spread), plate)  # a clean one is believed


def test_what_moves_is_not_taken_for_the_scene(capture):
    plate = torch.from_numpy(scene()).permute(2, 0, 1)[None] / 255
    times, spread = torch.full((1, 1, *SIZE), 25), torch.full((1, 1, *SIZE), 0.2)
    assert torch.equal(mended(plate, 0 * plate, times, spread), plate)


@pytest.mark.parametrize("roll", [0.0, 0.3])
def test_a_window_shows_what_the_same_window_of_the_picture_shows(roll, capture):
    backgrounds = begun(capture, "median", side=720)
    whole = capture.views(["front"])[0]
    whole = replace(whole, image=backgrounds.picture("front"))
    window = resample(whole, torch.tensor([[90.0, 50.0]]), torch.tensor([60.0]), torch.tensor([roll]), 64)
    drawn, known = backgrounds(window.camera, ["front"], (64, 64))
    assert known.all()
    assert (drawn - window.image).abs().max() < 0.02


def test_beside_the_picture_and_for_other_cameras_nothing_is_known(capture):
    backgrounds = begun(capture, "median")
    camera = capture.cameras["front"]
    wide = camera.crop(-90.0, 0.0, 180.0, 96.0).resize((48, 90))
    _, known = backgrounds(wide, ["front"], (48, 90))
    assert not known[..., :44].any() and known[..., 46:].all()
    drawn, known = backgrounds(wide, [None], (48, 90))
    assert not known.any() and bool((drawn == 0.5).all())
    assert backgrounds.picture("ceiling") is None


def test_what_is_drawn_before_it_moves_it(capture):
    backgrounds = begun(capture, "median", side=90)
    drawn, _ = backgrounds(capture.cameras["front"], ["front"], SIZE)
    drawn.sum().backward()
    assert backgrounds.pictures[0].grad.abs().min() > 0 and backgrounds.pictures[1].grad is None


