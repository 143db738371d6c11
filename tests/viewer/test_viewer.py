"""The panel without a browser: what the hand does, the picture follows."""

import gc
import io
import json
import threading
import weakref
from dataclasses import replace

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.avatars.run import load_avatar
from anr_core.capture.pictures import write_image
from anr_core.training import train
from anr_core.viewer import State, Viewer, open_viewer
from anr_core.viewer.latest import Latest
from anr_core.viewer.panel import within
from anr_core.viewer.playing import Played
from anr_core.viewer.sliders import Scale, Sliders
from tests.motion.made_up import bvh_text, walk
from tests.posed_capture import make_posed_capture

TINY = {"size": 64, "window": 32, "batch": 1, "texture_size": 64, "width": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    capture = make_posed_capture(folder / "capture", masked=True)
    list(train(capture, folder / "run", steps=2, config=TINY))
    return folder / "run"


@pytest.fixture
def viewer(run):
    viewer = open_viewer(run, stamp=True)
    viewer.settle()
    return viewer


def shown(viewer) -> np.ndarray:
    viewer.settle()
    return np.asarray(Image.open(io.BytesIO(bytes(viewer.picture.value)))).astype(int)


def differs(one, other) -> bool:
    return np.abs(one[16:] - other[16:]).mean() > 0.05  # the stamp bleeds into a JPEG's first blocks


def test_the_picture_shows_the_person_from_the_front_at_first(viewer):
    picture = shown(viewer)
    assert picture.shape == (64, 64, 3)
    assert viewer.state.view.azimuth == 0
    person = np.abs(picture - 128).sum(2) > 12
    assert 0.03 < person.mean() < 0.5
    assert not viewer.words.value


@pytest.mark.parametrize("name", ["azimuth", "elevation", "distance", "field_of_view"])
def test_every_slider_of_the_view_changes_the_picture(name, viewer):
    before = shown(viewer)
    slider = viewer.parts["View"].sliders.widgets[name]
    slider.value = slider.value + 20 * slider.step
    unit = 0.01 if name == "distance" else 1
    assert getattr(viewer.state.view, name) == pytest.approx(unit * slider.value)
    assert differs(before, shown(viewer))


def test_a_step_to_the_left_side_shows_the_left_side(viewer):
    """At azimuth 90 the camera stands at the person's left, so the person looks to the picture's left."""
    posed, around = viewer.body(viewer.state.pose), viewer.artist.around
    view = replace(viewer.state.view, azimuth=90.0)
    names = viewer.body.skeleton.names
    toe, heel = (posed.joints[:, names.index(name)][None] for name in ("left_big_toe2", "left_ankle"))
    camera = around.camera(view, posed, 64)
    assert float(camera.project(toe)[0][0, 0, 0]) < float(camera.project(heel)[0][0, 0, 0])
    left, right = (posed.joints[:, names.index(name)][None] for name in ("left_shoulder", "right_shoulder"))
    assert float(camera.project(left)[1]) < float(camera.project(right)[1])


def test_every_slider_of_the_pose_moves_the_body(viewer):
    viewer.latest.close()
    for name, slider in viewer.parts["Pose"].sliders.widgets.items():
        before = viewer.body(viewer.state.pose).vertices
        slider.value = slider.max if slider.value < slider.max - 5 else slider.min
        assert float((viewer.body(viewer.state.pose).vertices - before).abs().max()) > 0.005, name
        assert abs(slider.value - viewer.parts["Pose"].controls.read(viewer.state.pose)[name]) < 0.01, name


def test_sliders_stand_on_their_steps_while_the_state_is_exact(viewer):
    viewer.change_view(azimuth=12.34, distance=3.777)
    sliders = viewer.parts["View"].sliders.widgets
    assert (sliders["azimuth"].value, sliders["distance"].value) == (12, 380)
    assert (viewer.state.view.azimuth, viewer.state.view.distance) == (12.34, 3.777)


def test_both_sides_move_together_on_request(viewer):
    sliders = viewer.parts["Pose"].sliders.widgets
    viewer.parts["Pose"].mirror.value = True
    sliders["left knee: bend"].value = 70
    assert sliders["right knee: bend"].value == 70
    left, right = (viewer.state.pose.rotations[0, viewer.body.skeleton.names.index(f"{side}_knee") - 1]
                   for side in ("left", "right"))
    torch.testing.assert_close(left * torch.tensor([1, -1, -1]), right, atol=1e-4, rtol=0)


def test_elbows_do_not_bend_backwards(viewer):
    pose = viewer.parts["Pose"]
    slider = pose.sliders.widgets["left elbow: bend"]
    slider.value = slider.min
    joints = dict(zip(viewer.body.skeleton.names, viewer.body(viewer.state.pose).joints[0], strict=True))
    upper = joints["left_elbow"] - joints["left_shoulder"]
    fore = joints["left_wrist"] - joints["left_elbow"]
    assert float(torch.nn.functional.cosine_similarity(upper, fore, dim=0)) > 0.99


def test_presets_stand_upright_on_the_same_floor(viewer):
    start = viewer.body(viewer.state.pose).vertices[0, :, 2].min()
    viewer.parts["Pose"].choice.value = "T-pose"
    posed = viewer.body(viewer.state.pose)
    joints = dict(zip(viewer.body.skeleton.names, posed.joints[0], strict=True))
    for side in ("left", "right"):
        arm = joints[f"{side}_wrist"] - joints[f"{side}_shoulder"]
        assert abs(float(arm[2] / arm.norm())) < 0.02
    assert float(posed.vertices[0, :, 2].min()) == pytest.approx(float(start), abs=1e-4)


def test_poses_of_the_capture_are_offered_and_reset_goes_back(viewer):
    viewer.parts["Pose"].choice.value = "frame 8"
    assert torch.equal(viewer.state.pose.rotations, viewer.capture.pose(torch.tensor([8])).rotations)
    viewer.parts["Pose"].choice.value = "frame 8"  # it can be chosen again
    viewer.state = viewer.home_state
    assert torch.equal(viewer.state.pose.rotations, viewer.capture.recording[:1].rotations)


def test_a_pose_goes_out_as_text_and_comes_back_exactly(viewer):
    pose = viewer.parts["Pose"]
    pose.sliders.widgets["head: turn left"].value = 33
    wanted = viewer.state.pose
    click(pose.widget, "pose to text")
    viewer.state = viewer.home_state
    click(pose.widget, "apply text")
    assert torch.equal(viewer.state.pose.rotations, wanted.rotations)


def test_a_pose_of_the_film_and_one_of_no_frame_take_each_others_place(viewer):
    pose, filmed = viewer.parts["Pose"], viewer.state.pose
    click(pose.widget, "pose to text")
    pose.choice.value = "T-pose"
    upright = viewer.state
    click(pose.widget, "apply text")
    assert not viewer.words.value
    assert torch.equal(viewer.state.pose.rotations, filmed.rotations)
    assert torch.equal(viewer.state.pose.frame, filmed.frame)
    pose.text.value = upright.text()
    click(pose.widget, "apply text")
    assert viewer.state.text() == upright.text()


def test_a_state_goes_out_as_text_and_comes_back_exactly(viewer):
    viewer.change_view(azimuth=12.34, distance=2.5)
    viewer.change(background="#00b140", layer="mask")
    text = viewer.state.text()
    viewer.state = viewer.home_state
    saving = viewer.parts["Save"]
    saving.text.value = text
    click(saving.widget, "apply text")
    assert viewer.state.text() == text


@pytest.mark.parametrize("text, told", [
    ("nonsense", "no state or pose"), ("[1]", "in braces"), ('{"rotations": [[1, 2, 3]]}', "another body"),
    ('{"rotations": "x"}', "no numbers"), ("{}", "no pose"),
    ('{"root_rotation": [1, 2, NaN]}', "not finite"), ('{"frame": "x"}', "expected a number")])
def test_text_that_is_no_pose_says_so_under_the_picture(text, told, viewer):
    pose, before = viewer.parts["Pose"], viewer.state
    pose.text.value = text
    click(pose.widget, "apply text")
    assert told in viewer.words.value
    assert viewer.state is before


def test_a_background_stands_behind_the_person(viewer, tmp_path):
    looks = viewer.parts["Looks"]
    write_image(tmp_path / "wall.png", np.full((30, 40, 3), [200, 30, 30], np.uint8))
    looks.file.value = str(tmp_path / "wall.png")
    picture = shown(viewer)
    assert np.abs(picture[10, 2] - [200, 30, 30]).max() < 12
    looks.background.value = "#ffffff"
    assert shown(viewer)[10, 2].min() > 245
    looks.file.value = str(tmp_path / "missing.png")
    assert "does not exist" in viewer.words.value


def test_steps_on_the_way_are_shown(viewer):
    seen = []
    for layer in ("IUV", "features", "normals", "latent", "mask", "texture"):
        viewer.parts["Looks"].layer.value = layer
        seen.append(shown(viewer))
        assert not viewer.words.value
    assert all(differs(one, other) for one, other in zip(seen, seen[1:], strict=False))


def test_the_form_offers_the_steps_that_the_avatar_has(viewer):
    offered = [step for _, step in viewer.parts["Looks"].layer.options]
    assert offered == ["result", "mask", "normals", "latent", "features", "texture", "IUV"]
    assert "Source" not in viewer.parts


def test_a_motion_plays_on_the_person(viewer):
    playing = viewer.parts["Motion"]
    playing.take(viewer.capture.recording, 10.0, "recorded")
    playing.place.value = 2
    assert torch.equal(viewer.state.pose.rotations, viewer.capture.recording[2:3].rotations)
    viewer._later.join(5)  # the sliders follow when the motion rests
    pose = viewer.parts["Pose"]
    raised = pose.controls.read(viewer.state.pose)["right shoulder: raise"]
    assert pose.sliders.widgets["right shoulder: raise"].value == pytest.approx(raised, abs=0.6)


def test_a_motion_file_plays_where_and_as_the_person_stands(viewer, tmp_path):
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(1.0)))
    playing, around = viewer.parts["Motion"], viewer.artist.around
    playing.file.value = str(tmp_path / "walk.bvh")
    click(playing.widget, "load")
    assert not viewer.words.value and playing.place.max > 10
    first, start = (viewer.body(pose) for pose in (playing.motion.poses[:1], viewer.home_state.pose))
    assert around.front_of(first) == pytest.approx(around.front, abs=0.02)
    assert torch.equal(first.joints[0, 0, :2].round(decimals=3), start.joints[0, 0, :2].round(decimals=3))
    playing.place.value = 8
    viewer.settle()
    assert not viewer.words.value


def test_what_is_looped_is_played_again_and_again(viewer):
    playing = viewer.parts["Motion"]
    assert getattr(playing.play, playing._repeat)
    playing.loop.value = False
    assert not getattr(playing.play, playing._repeat)


def test_a_motion_that_cannot_be_read_says_so(viewer, tmp_path):
    click(viewer.parts["Motion"].widget, "load")
    assert "Say which motion" in viewer.words.value
    viewer.parts["Motion"].file.value = str(tmp_path / "none.bvh")
    click(viewer.parts["Motion"].widget, "load")
    assert "none.bvh" in viewer.words.value
    click(viewer.parts["Motion"].widget, "the film's own")
    assert not viewer.words.value


def test_a_picture_and_a_video_are_saved(viewer, tmp_path):
    saving = viewer.parts["Save"]
    saving.picture.value, saving.video.value = str(tmp_path / "new" / "a.png"), str(tmp_path / "a.mp4")
    click(saving.widget, "save picture")
    assert Image.open(tmp_path / "new" / "a.png").size == (64, 64)
    viewer.parts["Motion"].motion = Played(viewer.capture.recording, 10.0)
    saving.what.value = saving.what.options[1]
    click(saving.widget, "save video")
    saving.wait()
    assert "written to" in viewer.words.value
    assert imageio.imread(tmp_path / "a.mp4", plugin="FFMPEG").shape == (3, 64, 64, 3)
    saving.picture.value = "picture"
    click(saving.widget, "save picture")
    assert "no name of a picture" in viewer.words.value


def test_before_nothing_the_person_is_saved_with_alpha_and_shown_over_squares(viewer, tmp_path):
    saving, looks = viewer.parts["Save"], viewer.parts["Looks"]
    looks.background.value = "none"
    picture = shown(viewer)
    assert abs(picture[62, 1] - picture[62, 3]).max() > 20 and not viewer.words.value
    saving.picture.value, saving.video.value = str(tmp_path / "a.png"), str(tmp_path / "a.mp4")
    click(saving.widget, "save picture")
    saved = Image.open(tmp_path / "a.png")
    assert saved.mode == "RGBA" and saved.getpixel((0, 0))[3] == 0
    click(saving.widget, "save video")
    assert ".webm" in viewer.words.value
    viewer.parts["Motion"].motion = Played(viewer.capture.recording, 10.0)
    saving.what.value, saving.video.value = saving.what.options[1], str(tmp_path / "a.webm")
    click(saving.widget, "save video")
    saving.wait()
    assert "written to" in viewer.words.value and saving.player.format == "webm"
    viewer.change(layer="mask")
    click(saving.widget, "save picture")
    assert Image.open(tmp_path / "a.png").mode == "RGB"


def test_an_error_in_a_frame_is_shown_and_the_panel_lives_on(viewer):
    good = viewer.artist.picture
    viewer.artist.picture = lambda *_: 1 / 0
    viewer.change_view(azimuth=20)
    viewer.settle()
    assert "division by zero" in viewer.words.value
    viewer.artist.picture = good
    viewer.change_view(azimuth=30)
    viewer.settle()
    assert not viewer.words.value


def test_what_a_form_says_stays_until_the_hand_moves_on(viewer):
    viewer.parts["Pose"].text.value = "nonsense"
    click(viewer.parts["Pose"].widget, "apply text")
    viewer.play(viewer.state.pose)  # a motion that goes on does not wipe it away
    viewer.settle()
    assert "no state or pose" in viewer.words.value
    viewer.change_view(azimuth=20)
    assert not viewer.words.value


def test_an_error_of_any_kind_behind_a_button_is_said(viewer, monkeypatch):
    looks = viewer.parts["Looks"]
    monkeypatch.setattr(viewer.artist, "wear", lambda *_: 1 / 0)
    looks.other.value, looks.worn.value = "anybody", (viewer.body.part_names[0],)
    click(looks.widget, "wear")
    assert "division by zero" in viewer.words.value


@pytest.mark.parametrize("text, told", [
    ('{"background": "#zzz"}', "#zzz"), ('{"background": "none.png"}', "does not exist"),
    ('{"worn": "x"}', "what is worn")])
def test_a_state_that_cannot_be_drawn_is_refused_and_changes_nothing(text, told, viewer):
    saving, before = viewer.parts["Save"], viewer.state
    saving.text.value = text
    click(saving.widget, "apply text")
    assert told in viewer.words.value
    assert viewer.state is before


def test_a_video_keeps_its_size_while_the_pictures_changes(viewer, tmp_path):
    saving, drawn = viewer.parts["Save"], viewer.artist.picture

    def resized(state, size):
        viewer.size = 32
        return drawn(state, size)

    viewer.artist.picture = resized
    saving._film(tmp_path / "a.mp4", [viewer.state] * 3, 10.0)
    assert imageio.imread(tmp_path / "a.mp4", plugin="FFMPEG").shape == (3, 64, 64, 3)


def test_the_hand_is_heard_while_another_thread_shows_a_state():
    moved, shows, heard = [], threading.Event(), threading.Event()
    sliders = Sliders({name: Scale(name, 0, 9) for name in "ab"}, lambda *move: moved.append(move))
    sliders.widgets["a"].observe(lambda _: (shows.set(), heard.wait(10)), "value")
    thread = threading.Thread(target=sliders.show, args=({"a": 5},))
    thread.start()
    shows.wait(10)
    sliders.widgets["b"].value = 3
    heard.set()
    thread.join(10)
    assert moved == [("b", 3)]


def test_wearing_needs_another_who_shares_the_renderers(viewer, run):
    looks, before = viewer.parts["Looks"], shown(viewer)
    click(looks.widget, "wear")
    assert "choose parts" in viewer.words.value
    looks.other.value, looks.worn.value = str(run), (viewer.body.part_names[0],)
    click(looks.widget, "wear")
    assert viewer.state.worn
    assert not differs(before, shown(viewer))  # one's own texture changes nothing


def test_people_of_one_run_wear_each_others_parts(tmp_path):
    captures = [make_posed_capture(tmp_path / name, masked=True) for name in ("ada", "bert")]
    for capture, colour in zip(captures, ([200, 60, 60], [60, 60, 200]), strict=True):
        for file in (capture.path / "frames").rglob("*.jpg"):
            write_image(file, np.full((*capture.cameras["front"].size, 3), colour, np.uint8))
    list(train(captures, tmp_path / "run", steps=4, config=TINY))
    viewer = open_viewer(tmp_path / "run")
    looks, before = viewer.parts["Looks"], shown(viewer)
    assert list(looks.other.options) == ["ada", "bert"] and not looks.other.disabled
    looks.other.value, looks.worn.value = "bert", tuple(viewer.body.part_names)
    click(looks.widget, "wear")
    after = shown(viewer)
    changed = np.abs(after - before)[16:].mean(2)
    assert changed[:, :64].max() > 40, "ada wears what bert has"
    assert changed[:, 64:].max() < 25, "bert wears his own"
    click(looks.widget, "wear own")
    assert np.abs(shown(viewer) - before).max() < 10


def test_running_the_cell_again_leaves_nothing_of_the_panel_before(run):
    before = open_viewer(run)
    before.settle()
    picture, artist = before.picture, weakref.ref(before.artist)
    after = open_viewer(run)
    after.settle()
    gc.collect()
    assert picture.comm is None and artist() is None
    assert not after.words.value and shown(after).std() > 1


def test_several_avatars_are_drawn_side_by_side(run):
    avatars = {"one": load_avatar(run), "other": load_avatar(run)}
    viewer = Viewer(avatars, up=torch.tensor([0.0, 0, 1]))
    picture = shown(viewer)
    assert picture.shape == (64 + 16, 128, 3)
    assert np.abs(picture[16:, :64] - picture[16:, 64:]).mean() < 3


def test_a_mesh_a_frame_offers_its_frames_alone(small_capture, tmp_path):
    list(train(small_capture, tmp_path / "run", steps=2, config=TINY, cameras=["cam02"]))
    viewer = open_viewer(tmp_path / "run")
    assert "frame 2" in viewer.parts["Pose"].presets and not viewer.parts["Pose"].controls.all
    before = shown(viewer)
    viewer.parts["Pose"].choice.value = "frame 4"
    assert differs(before, shown(viewer))


def test_an_avatar_without_a_body_is_refused_in_words(run):
    avatar = load_avatar(run)
    avatar.body = None
    with pytest.raises(ValueError, match="no body to pose"):
        Viewer(avatar)


@pytest.mark.parametrize("size", [-5, 7, 5000])
def test_a_picture_of_no_size_is_refused_in_words(size, run):
    with pytest.raises(ValueError, match="pixels wide; give 16 to 2048"):
        open_viewer(run, size=size)


def test_of_many_requests_only_the_newest_is_drawn_last():
    drawn, gate = [], threading.Event()

    def draw(request, sharp):
        gate.wait()
        drawn.append(request)

    latest = Latest(draw, drawn.append)
    for request in range(100):
        latest.ask(request)
    gate.set()
    assert latest.settle(10)
    assert drawn[-1] == 99 and len(drawn) < 10


def test_the_thread_ends_when_nothing_is_asked_for_and_starts_again(monkeypatch):
    monkeypatch.setattr("anr_core.viewer.latest.IDLE", 0.01)
    drawn = []
    latest = Latest(lambda request, sharp: drawn.append(request), drawn.append)
    for request in range(3):
        latest.ask(request)
        assert latest.settle(10)
        if (thread := latest._thread) is not None:
            thread.join(10)
        assert latest._thread is None
    assert drawn == [0, 1, 2]


def test_while_requests_keep_coming_slow_pictures_are_drawn_small(monkeypatch):
    drawn = []
    monkeypatch.setattr("anr_core.viewer.latest.SLOW", 0.0)
    latest = Latest(lambda request, sharp: drawn.append((request, sharp)), drawn.append)
    latest.ask("first")
    latest.settle(10)
    latest.ask("second")
    latest.settle(10)
    assert drawn[-2:] == [("second", False), ("second", True)]


def test_states_with_unknown_fields_are_refused(viewer):
    with pytest.raises(ValueError, match="'pos'"):
        State.of_text(json.dumps({"pos": 1}), viewer.state)


def click(widget, description):
    """Click the button that says so, wherever in a widget."""
    found = [one for one in within(widget) if getattr(one, "description", None) == description]
    assert found, description
    found[0].click()
