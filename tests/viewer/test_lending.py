"""The panel of an avatar that looks at a picture: what it shows, and whose looks it takes."""

import io
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.capture.pictures import write_image
from anr_core.training import train
from anr_core.viewer import State, open_viewer
from tests.avatars.test_gaussian import TINY
from tests.posed_capture import make_posed_capture


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lending")
    capture = make_posed_capture(folder / "capture", masked=True)
    list(train(capture, folder / "run", "gaussian", steps=2, config=TINY | {"course": "pictures"}))
    return folder / "run"


@pytest.fixture
def viewer(run):
    viewer = open_viewer(run)
    viewer.settle()
    return viewer


def shown(viewer) -> np.ndarray:
    viewer.settle()
    return np.asarray(Image.open(io.BytesIO(bytes(viewer.picture.value)))).astype(int)


def test_the_form_offers_what_the_avatar_has_on_its_way(viewer):
    offered = [step for _, step in viewer.parts["Looks"].layer.options]
    assert offered == ["result", "mask", "latent", "primitives", "skeleton", "source"]


def test_steps_on_the_way_are_shown(viewer):
    seen = {}
    for step in ("source", "skeleton", "primitives", "latent", "mask"):
        viewer.parts["Looks"].layer.value = step
        seen[step] = shown(viewer)
        assert not viewer.words.value
    pictures = list(seen.values())
    assert all(np.abs(one - other).mean() > 1 for one, other in zip(pictures, pictures[1:], strict=False))
    warm = seen["primitives"][..., 0] - seen["primitives"][..., 2]
    assert warm.max() > 60 and warm.min() < -60  # both sides


def test_what_stands_before_the_drawing_needs_none(viewer, monkeypatch):
    monkeypatch.setattr(next(iter(viewer.artist.avatars.values())), "draw", lambda scene: 1 / 0)
    viewer.draw(replace(viewer.state, layer="source"))
    viewer.draw(replace(viewer.state, layer="skeleton"))
    with pytest.raises(ZeroDivisionError):
        viewer.draw(replace(viewer.state, layer="primitives"))


def test_any_picture_of_the_film_lends_its_looks_until_the_own_one_does_again(viewer):
    lending, avatar = viewer.parts["Source"], next(iter(viewer.artist.avatars.values()))
    viewer.parts["Looks"].layer.value = "source"
    own, kept = shown(viewer), avatar.source.clone()
    lending.camera.value = "side"
    assert viewer.state.source == "side:4" and not lending.frame.disabled
    first = shown(viewer)
    lending.frame.value = 8
    assert viewer.state.source == "side:8"
    second = shown(viewer)
    # frames are as grey as their numbers say
    assert np.median(second[second != 128]) != np.median(first[first != 128])
    lending.camera.value = lending.camera.options[0]
    assert viewer.state.source == "" and lending.frame.disabled
    assert np.array_equal(shown(viewer), own) and torch.equal(avatar.source, kept)
    assert not viewer.words.value


def test_another_picture_changes_what_is_drawn(viewer):
    before = viewer.draw().astype(int)
    viewer.change(source="side:8")
    assert np.abs(viewer.draw().astype(int) - before).max() > 0


def test_an_uploaded_picture_lends_its_looks(viewer, tmp_path):
    write_image(tmp_path / "red.png", np.full((80, 40, 3), (200, 0, 0), np.uint8))
    lending = viewer.parts["Source"]
    upload = lending.widget.children[-1]
    content = (tmp_path / "red.png").read_bytes()
    upload.set_trait("value", ({"name": "red.png", "content": content, "type": "image/png", "size": 1,
                                "last_modified": datetime.now()},))
    assert viewer.state.source.endswith("red.png") and lending.camera.value == lending.camera.options[-1]
    viewer.parts["Looks"].layer.value = "source"
    assert shown(viewer)[32, 32, 0] > 180 and shown(viewer)[32, 32, 1] < 30


def test_who_lends_goes_out_in_the_states_text_and_comes_back(viewer):
    viewer.change(source="front:6")
    text = viewer.state.text()
    viewer.state = viewer.home_state
    assert viewer.parts["Source"].camera.value == viewer.parts["Source"].camera.options[0]
    viewer.take(State.of_text(text, viewer.state))
    assert viewer.state.text() == text
    assert (viewer.parts["Source"].camera.value, viewer.parts["Source"].frame.value) == ("front", 6)


def test_anothers_picture_has_to_be_named(viewer):
    viewer.parts["Source"].camera.value = viewer.parts["Source"].camera.options[-1]
    assert "or upload" in viewer.words.value and viewer.state.source == ""


@pytest.mark.parametrize("source, told", [
    ("none.png", "does not exist"), ("side:99", "no picture of camera")])
def test_a_source_that_is_not_there_is_refused_and_changes_nothing(source, told, viewer):
    before = viewer.state
    viewer.parts["Source"].file.value = source
    assert told in viewer.words.value and viewer.state is before
