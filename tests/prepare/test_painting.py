"""Captures painted by our own brushes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core.capture import load_capture
from anr_core.capture.pictures import read_image
from anr_core.cli import main
from anr_core.prepare import prepare
from anr_core.prepare.brushes import PERSON, Forms, Strokes, palette_of, set_strokes
from anr_core.prepare.painting import Places, paint
from tests.small_pairs import write_pairs


def painted_once(capture, out):
    """Two pictures of it, painted."""
    return paint(capture.only(lambda shot: shot.frame in (0, 2) and shot.camera == "cam01"), out)


@pytest.fixture(scope="module")
def painted(small_capture, tmp_path_factory):
    """Read only."""
    return painted_once(small_capture, tmp_path_factory.mktemp("painted") / "capture")


def test_all_but_the_pictures_stays_and_these_are_painted(painted, small_capture):
    assert painted.shots == small_capture.shots and painted.format == small_capture.format
    found = (capture.views(["cam01"], [0, 2]) for capture in (painted, small_capture))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one.mask, other.mask) and torch.equal(one.camera.K, other.camera.K)
        assert torch.equal(painted.body(one.pose).vertices, small_capture.body(other.pose).vertices)
        difference = (one.image - other.image).abs()[:, :, one.mask[0, 0] > 0.5]
        assert 0.02 < difference.mean() < 0.2, "it is the same person in other strokes"
    before, after = (read_image(capture.path / capture.backgrounds["cam01"]).astype(int)
                     for capture in (small_capture, painted))
    assert 2 < np.abs(before - after).mean() < 60


def test_it_is_painted_the_same_again(painted, small_capture, tmp_path):
    again = painted_once(small_capture, tmp_path / "again")
    for shot in again.shots:
        assert (again.path / shot.image).read_bytes() == (painted.path / shot.image).read_bytes()


def test_strokes_go_along_with_the_body(small_capture):
    places, camera = Places.of(small_capture), small_capture.cameras["cam01"]
    posed = small_capture.body(small_capture.pose(torch.tensor([0])))
    moved = replace(posed, vertices=posed.vertices + torch.tensor([0.0, 0.0, 0.05]))
    before, after = (places.seen(mesh, camera, camera.size)[PERSON[0]] for mesh in (posed, moved))
    both, here, there = np.intersect1d(before.numbers, after.numbers, return_indices=True)
    assert len(both) > 0.9 * len(before.numbers) > 100
    shift = after.places[there] - before.places[here]
    assert (shift[:, 1] < -2).all() and np.abs(shift[:, 0]).max() < 1


def test_the_far_side_of_a_body_is_not_painted(small_capture):
    places = Places.of(small_capture)
    posed = small_capture.body(small_capture.pose(torch.tensor([0])))
    seen = [set(places.seen(posed, camera, camera.size)[PERSON[2]].numbers)
            for camera in small_capture.cameras.values()]
    total = places.count[PERSON[2]]
    assert all(0.25 * total < len(numbers) < 0.65 * total for numbers in seen)


def test_a_stroke_lies_along_the_form():
    stripes = np.repeat(np.float32(np.sin(np.arange(60) / 3) > 0)[:, None], 60, 1)
    for turned, angle in ((stripes, 0.0), (stripes.T, np.pi / 2)):
        direction = Forms.of(np.repeat(turned[..., None], 3, -1), 1.0).direction[20:40, 20:40]
        assert np.abs(np.sin(direction - angle)).max() < 0.1


def test_strokes_have_colours_of_the_palette_and_stay_within():
    picture = np.full((60, 60, 3), 0.4, np.float32)
    within = np.zeros((60, 60), np.float32)
    within[:, :30] = 1
    canvas = np.ones_like(picture)
    set_strokes(canvas, Strokes.over((60, 60), 3, 0), PERSON[0], picture, Forms.of(picture, 1.0),
                np.float32([[0.4, 0.4, 0.4]]), 1.0, within)
    assert (canvas[:, 30:] == 1).all()
    assert abs(canvas[5:-5, 5:25].mean() - 0.4) < 0.04 and canvas[5:-5, 5:25].std() > 0.005


def test_a_palette_holds_the_colours_that_there_are():
    colours = np.float32([[0.1, 0.1, 0.1], [0.9, 0.1, 0.1], [0.2, 0.8, 0.9]])
    found = palette_of(colours.repeat([500, 5, 60], 0), 3)
    assert np.allclose(found, colours, atol=1e-3)


def test_pairs_are_painted_but_for_their_inputs(tmp_path):
    pairs = prepare(write_pairs(tmp_path / "source", 1, 0, 1, unknown=1), tmp_path / "pairs")
    assert main(["paint", str(pairs.path), str(tmp_path / "painted")]) == 0
    before, after = pairs.views(), load_capture(tmp_path / "painted").views()
    assert not torch.equal(before[0].image, after[0].image) and torch.equal(before[0].input, after[0].input)
    assert torch.equal(before[1].image, after[1].image), "what nobody knows is not painted"


def test_the_capture_itself_and_what_is_none_are_not_painted_over(small_capture, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    for place, complaint in ((small_capture.path, "is the capture that is to be painted"),
                             (tmp_path, "something else than a capture")):
        assert main(["paint", str(small_capture.path), str(place)]) == 2
        assert complaint in capsys.readouterr().err
