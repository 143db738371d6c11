"""Videos: what is drawn, side by side too, and a file that is whole or not there."""

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from anr_core.avatars import Rendering, Scene
from anr_core.avatars.run import Run
from anr_core.capture.pictures import write_image
from anr_core.export import video
from anr_core.export import writing as files
from anr_core.export.backgrounds import read_background
from anr_core.export.video import draw_frames, render
from anr_core.export.writing import write_video
from anr_core.layers import CAPTION_HEIGHT
from anr_core.motion import read_motion
from anr_core.training import train
from tests.motion.made_up import bvh_text, walk
from tests.posed_capture import make_posed_capture

SIZE = 48


@pytest.fixture(scope="module")
def run(small_capture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("video") / "run"
    tiny = {"size": SIZE, "window": 32, "batch": 1, "texture_size": 64, "width": 4}
    list(train(small_capture, folder, steps=3, config=tiny, cameras=["cam02", "cam03"]))
    return Run.open(folder)


@pytest.fixture
def short(monkeypatch):
    """Videos of four pictures: two frames of the small capture, there and back, at twice its speed."""
    monkeypatch.setattr(video, "VIDEO_FPS", 30)
    monkeypatch.setattr(video, "ROUND_SECONDS", 0)
    monkeypatch.setattr(video, "WATCH_SECONDS", 0)


def pictures(count, height=16, width=24):
    """Smooth pictures of rising brightness."""
    return [np.full((height, width, 3), 20 * index, np.uint8) for index in range(count)]


def played(file):
    return imageio.imread(file, plugin="FFMPEG")


# what is drawn


@pytest.mark.parametrize("view", ["orbit", "turn", "cam02"])
def test_every_view_becomes_a_video_that_plays(view, run, small_capture, short, tmp_path):
    render(run, small_capture, tmp_path / "new" / "out.mp4", view, frames=[0, 1])
    assert played(tmp_path / "new" / "out.mp4").shape == (4, SIZE, SIZE, 3)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["out.mp4"]


@pytest.fixture(scope="module")
def posable(tmp_path_factory):
    """A run, and its capture, of a body that can be posed."""
    folder = tmp_path_factory.mktemp("posable")
    capture = make_posed_capture(folder / "capture", masked=True)
    tiny = {"size": SIZE, "window": 32, "batch": 1, "texture_size": 64, "width": 4}
    list(train(capture, folder / "run", steps=2, config=tiny))
    return Run.open(folder / "run"), capture


@pytest.mark.parametrize("view", ["orbit", "turn", "front"])
def test_the_person_plays_a_motion_file(view, posable, monkeypatch, tmp_path):
    monkeypatch.setattr(video, "VIDEO_FPS", 10)
    monkeypatch.setattr(video, "ROUND_SECONDS", 0)
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(0.5)))
    render(*posable, tmp_path / "out.mp4", view, motion=tmp_path / "walk.bvh")
    shown = played(tmp_path / "out.mp4")
    assert shown.shape == (6, SIZE, SIZE, 3)


def test_who_walks_far_turns_on_the_spot_before_the_camera(posable, tmp_path):
    far = walk(8.0)
    (tmp_path / "walk.bvh").write_text(bvh_text(far))
    run, capture = posable
    count, scenes = video.staged_motion(capture, read_motion(tmp_path / "walk.bvh"), "turn", "front", SIZE)
    for scene in (scene for index, scene in enumerate(scenes) if index % 40 == 0):
        pixels, depth = scene.camera.project(scene.posed.vertices)
        assert float(depth.min()) > 0
        assert float(pixels.min()) > -1 and float(pixels.max()) < SIZE + 1


def test_meshes_play_no_motion_and_a_motion_has_no_frames_of_the_capture(run, small_capture, tmp_path):
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(0.5)))
    with pytest.raises(ValueError, match="can't be posed anew. Fit one that can"):
        render(run, small_capture, tmp_path / "out.mp4", motion=tmp_path / "walk.bvh")
    with pytest.raises(ValueError, match="leave one out"):
        render(run, small_capture, tmp_path / "out.mp4", frames=[0], motion=tmp_path / "walk.bvh")
    assert not (tmp_path / "out.mp4").exists()


def test_the_overview_shows_seven_pictures_under_their_names(run, small_capture, short, tmp_path):
    render(run, small_capture, tmp_path / "out.mp4", overview=True, frames=[0, 1])
    shown = played(tmp_path / "out.mp4")
    assert shown.shape == (4, SIZE + CAPTION_HEIGHT, 7 * SIZE, 3)
    assert shown[0, :CAPTION_HEIGHT].max() > 128


def test_a_name_of_a_picture_gets_a_strip_out_of_the_video(run, small_capture, monkeypatch, tmp_path):
    monkeypatch.setattr(video, "ROUND_SECONDS", 1)
    render(run, small_capture, tmp_path / "out.mp4")
    render(run, small_capture, tmp_path / "new" / "out.png")
    strip = imageio.imread(tmp_path / "new" / "out.png").astype(int)
    shown = played(tmp_path / "out.mp4").astype(int)
    assert strip.shape == (SIZE, video.STRIP * SIZE, 3)
    for index, still in enumerate(np.split(strip, video.STRIP, 1)):
        apart = [np.abs(still - frame).mean() for frame in shown]
        assert np.argmin(apart) == index * len(shown) // video.STRIP


def test_the_size_can_be_chosen_and_odd_ones_are_made_even(run, small_capture, short, tmp_path):
    render(run, small_capture, tmp_path / "out.mp4", size=37, frames=[0, 1])
    assert played(tmp_path / "out.mp4").shape == (4, 38, 38, 3)


def test_the_person_stands_before_the_background(run, small_capture, short, tmp_path):
    write_image(tmp_path / "blue.png", np.full((20, 30, 3), (0, 0, 255), np.uint8))
    render(run, small_capture, tmp_path / "out.mp4", background=tmp_path / "blue.png", frames=[0, 1])
    first = played(tmp_path / "out.mp4")[0].astype(int)
    assert first[1, 1, 2] > 180 and first[1, 1, :2].max() < 60
    assert np.abs(first[24, 24] - first[1, 1]).max() > 40


def test_what_is_drawn_lies_over_the_background(run, small_capture, monkeypatch):
    avatar = run.avatar()
    drawn = Rendering(torch.ones(1, 3, 2, 2), torch.tensor([[[[1.0, 0.5], [0, 0]]]]))
    monkeypatch.setattr(avatar, "draw", lambda scene: drawn)
    view = small_capture.views()[0]
    scene = Scene(avatar.body(view.pose), view.camera, (2, 2))
    over_black, = draw_frames(avatar, [scene], lambda scene: 0.0)
    over_red, = draw_frames(avatar, [scene], lambda scene: torch.tensor([1.0, 0, 0])[:, None, None])
    assert over_black[..., 0].tolist() == [[255, 128], [0, 0]]
    assert over_red[..., 0].min() == 255 and over_red[..., 1].tolist() == over_black[..., 1].tolist()


def test_a_background_fills_the_square_without_being_distorted(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    write_image(tmp_path / "wide.png", wide)
    assert float(read_background(tmp_path / "wide.png", 20).min()) == 1
    assert read_background(tmp_path / "wide.png", 33).shape == (1, 3, 33, 33)


# what is written


def test_pictures_come_back_in_order_and_close_to_what_they_were(tmp_path):
    sent = pictures(8)
    write_video(tmp_path / "out.mp4", sent, 25)
    assert np.abs(played(tmp_path / "out.mp4").astype(int) - sent).max() < 8
    assert imageio.immeta(tmp_path / "out.mp4", plugin="FFMPEG")["codec"] == "h264"
    assert imageio.immeta(tmp_path / "out.mp4", plugin="FFMPEG")["pix_fmt"].startswith("yuv420p")


def test_the_index_of_a_video_comes_first_so_that_it_plays_while_it_loads(tmp_path):
    write_video(tmp_path / "out.mp4", pictures(8), 25)
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_a_video_that_fails_midway_leaves_the_old_one(tmp_path):
    def failing():
        yield from pictures(3)
        raise ValueError("The avatar has gone.")

    (tmp_path / "out.mp4").write_bytes(b"old")
    with pytest.raises(ValueError, match="gone"):
        write_video(tmp_path / "out.mp4", failing(), 25)
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_video_that_did_not_arrive_as_a_whole_leaves_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(files.imageio_ffmpeg, "count_frames_and_secs", lambda _: (7, 0.28))
    (tmp_path / "out.mp4").write_bytes(b"old")
    with pytest.raises(ValueError, match="what was there is kept"):
        write_video(tmp_path / "out.mp4", pictures(8), 25)
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
