"""The panel of an avatar that is drawn out of keypoints, without a browser."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anr_core.training import train
from anr_core.viewer import State, open_viewer
from anr_core.viewer.drawing import LEARNED
from tests.avatars.test_dynamic_texture import TINY
from tests.posed_capture import make_posed_capture
from tests.viewer.test_viewer import differs, shown


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    capture = make_posed_capture(folder / "capture", masked=True)
    list(train(capture, folder / "run", "dynamic-texture", steps=30, config=TINY | {"generator_width": 8}))
    return folder / "run"


@pytest.fixture
def viewer(run):
    viewer = open_viewer(run, stamp=True)
    viewer.settle()
    return viewer


def test_poses_and_views_move_the_picture(viewer):
    assert {"View", "Pose", "Motion", "Looks", "Save"} <= set(viewer.parts)
    first = shown(viewer)
    viewer.parts["Pose"].sliders.widgets["left shoulder: raise"].value = 60
    bent = shown(viewer)
    assert differs(first, bent) and not viewer.words.value
    for azimuth in (-90, 40, 180):
        viewer.change_view(azimuth=float(azimuth))
        turned = shown(viewer)
        assert differs(bent, turned) and not viewer.words.value
        bent = turned


def test_a_camera_amid_the_person_draws_all_the_same(viewer):
    for elevation in (-80.0, 80.0):
        viewer.change_view(distance=0.8, field_of_view=70.0, elevation=elevation)
        assert shown(viewer).shape == (64, 64, 3) and not viewer.words.value


def test_the_steps_are_those_of_keypoints(viewer):
    looks = viewer.parts["Looks"]
    assert looks.steps == ["skeleton", "parts", "UV", "texture", "features", "mask", "result"]
    seen = []
    for step in looks.steps:
        looks.layer.value = step
        seen.append(shown(viewer))
        assert not viewer.words.value
    assert all(differs(one, other) for one, other in zip(seen, seen[1:], strict=False))


def test_what_was_learned_of_a_camera_s_background_is_offered(viewer):
    looks = viewer.parts["Looks"]
    offered = [value for _, value in looks.background.options if value.startswith(LEARNED)]
    assert offered == [f"{LEARNED}front", f"{LEARNED}side"]
    avatar = viewer.artist.avatars["run"]
    before = shown(viewer)
    looks.background.value = offered[0]
    assert differs(before, shown(viewer)) and not viewer.words.value
    drawn = viewer.artist.background(offered[0], 48)[0].numpy()
    learned = avatar.background("front")[0, :, :, (180 - 96) // 2:(180 + 96) // 2]  # its middle
    learned = torch.nn.functional.avg_pool2d(learned, 2).numpy()
    np.testing.assert_allclose(drawn, learned, atol=0.05)


def test_a_background_that_nobody_has_learned_is_one_line(viewer):
    with pytest.raises(ValueError, match="behind the person before camera ceiling"):
        viewer.take(State.of_text(replace(viewer.state, background=f"{LEARNED}ceiling").text(), viewer.state))


def test_whoever_has_no_texture_of_a_mesh_is_offered_nobody_s_to_wear(viewer):
    assert not hasattr(viewer.parts["Looks"], "worn")
