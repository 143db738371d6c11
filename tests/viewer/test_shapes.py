"""Shapes under sliders: each of them changes what the renderer of Gaussians draws."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from anr_core.export.shapes import SHAPES, SHOWN
from anr_core.viewer import open_shapes
from anr_core.viewer.shapes import Look

SIZE = 64


@pytest.fixture
def shapes():
    made = open_shapes(size=SIZE)
    made.settle()
    yield made
    made.close()


def shown(shapes) -> np.ndarray:
    shapes.settle()
    assert "c0392b" not in shapes.status.value
    return np.asarray(Image.open(io.BytesIO(bytes(shapes.picture.value)))).astype(int)


@pytest.mark.parametrize("name", ["azimuth", "elevation", "distance", "along", "across", "nearer"])
def test_every_slider_changes_the_picture(name, shapes):
    before = shown(shapes)
    slider = shapes.sliders.widgets[name]
    slider.value = slider.value + 10 * slider.step
    unit = 1 if name in ("azimuth", "elevation") else 0.01
    assert getattr(shapes.look, name) == pytest.approx(unit * slider.value)
    assert np.abs(shown(shapes) - before).mean() > 0.3


def test_only_scenes_of_many_have_as_many_as_one_likes(shapes):
    count = shapes.sliders.widgets["count"]
    assert count.disabled
    shapes.scene.value = "many-spheres"
    assert not count.disabled and shapes.look.distance == SHAPES["many-spheres"](1).distance
    few = shown(shapes)
    count.value = 250
    assert shapes.look.count == 250
    assert (shown(shapes).max(-1) > 60).sum() > (few.max(-1) > 60).sum()


def test_the_one_that_comes_nearer_outweighs_the_other_where_they_overlap():
    look = Look("two-that-overlap", azimuth=0.0, elevation=0.0, shown="weight of the first")
    weights = [int(replace(look, nearer=metres).picture(SIZE)[32, 32, 0]) for metres in (-1.0, -0.35, 0.3)]
    assert weights[0] < 100 < 110 < weights[1] < 145 < 180 < weights[2]


def test_weights_of_two_and_the_background_add_up_to_all():
    look = Look("two-that-overlap", distance=2.5)
    first, rest = (replace(look, shown=name).picture(SIZE).astype(int) for name in SHOWN[2:])
    assert int((first + rest).max()) <= 256
    corner = rest[0, 0, 0]
    assert corner == 255 and (first + rest)[32, 25, 0] > 240  # nothing there; and nearly nothing but red


def test_the_nearest_is_the_brightest():
    picture = Look("two-that-overlap", azimuth=0.0, shown="nearness").picture(SIZE)[..., 0]
    assert picture[32, 20] > 200 > 80 > picture[30, 44] > 20


def test_rays_that_reach_behind_the_camera_meet_what_lies_there():
    """Blue stands before the camera, red at its back."""
    look = Look("two-that-overlap", azimuth=0.0, elevation=0.0, distance=0.1, nearer=0.25, across=0.5)
    before = look.picture(SIZE)[32, 32].astype(int)
    both = replace(look, half_line=False).picture(SIZE)[32, 32].astype(int)
    assert both[0] > before[0] + 40 and before[2] > before[0]


def test_dragging_turns_and_the_wheel_comes_nearer(shapes):
    look = shapes.look
    shapes._dragged(0.1, 0.0)
    shapes._wheeled(-1)
    assert shapes.look.azimuth != look.azimuth and shapes.look.distance < look.distance
    shapes._wheeled(-100)
    assert shapes.look.distance == pytest.approx(0.1)
    shown(shapes)


def test_reset_goes_back_to_the_scenes_beginning(shapes):
    shapes.scene.value = "one-sphere"
    beginning = shapes.look
    shapes.change(azimuth=100.0, across=2.0, half_line=False)
    assert not shapes.half_line.value
    next(one for one in shapes.widget.children[1].children
         if getattr(one, "description", "") == "reset").click()
    assert replace(beginning, count=shapes.look.count, azimuth=20.0) == shapes.look and shapes.half_line.value


def test_running_the_cell_again_closes_the_widget_before():
    before = open_shapes(size=SIZE)
    before.settle()
    after = open_shapes(size=SIZE)
    assert before.picture.comm is None and after.picture.comm is not None
    other = open_shapes("people", size=SIZE)
    assert after.picture.comm is not None
    for one in (after, other):
        one.settle()
        one.close()


@pytest.mark.parametrize("how, told", [({"scene": "cube"}, "two-that-overlap"), ({"size": 3}, "16 to 2048")])
def test_what_cannot_be_shown_says_so(how, told):
    with pytest.raises(ValueError, match=told):
        open_shapes(**how)
