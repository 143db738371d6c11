"""The sheet that shows what the renderer of Gaussians draws."""

import imageio_ffmpeg
import numpy as np
import pytest

from anr_core.capture.pictures import read_image
from anr_core.cli import main
from anr_core.export.shapes import CAPTION, SHAPES, picture, write_shapes


def test_a_sheet_shows_every_shape_under_its_name(tmp_path):
    write_shapes(tmp_path / "new" / "all.png", size=48, count=5)
    sheet = read_image(tmp_path / "new" / "all.png")
    assert sheet.shape == (2 * (48 + CAPTION), 3 * 48, 3)
    tiles = sheet.reshape(2, 48 + CAPTION, 3, 48, 3).swapaxes(1, 2).reshape(6, 48 + CAPTION, 48, 3)
    for tile in tiles:
        assert tile[:CAPTION].max() > 200 and tile[CAPTION:].max() > 150  # words, and something below them
        assert (tile[CAPTION:].max(-1) < 40).mean() > 0.3


def test_one_shape_is_drawn_alone_by_the_command(tmp_path, capsys):
    assert main(["shapes", str(tmp_path / "one.jpg"), "--which", "one-sphere", "--size", "40"]) == 0
    assert read_image(tmp_path / "one.jpg").shape == (40 + CAPTION, 40, 3)
    assert "one.jpg" in capsys.readouterr().out


def test_of_two_that_overlap_the_red_one_is_in_front_and_behind_from_the_other_side():
    two = SHAPES["two-that-overlap"](0)
    red, _, blue = (picture(two, 64, 0.0).astype(int).sum((0, 1)))
    red_behind, _, blue_before = (picture(two, 64, np.pi).astype(int).sum((0, 1)))
    assert red > blue and blue_before > red_behind


def test_a_person_who_faces_the_camera_has_the_left_side_on_the_right():
    drawn = picture(SHAPES["people"](0), 96, 0.0).astype(int)
    warm = np.argwhere(drawn[..., 0] - drawn[..., 2] > 90)[:, 1]
    cold = np.argwhere(drawn[..., 2] - drawn[..., 0] > 90)[:, 1]
    assert warm.mean() > cold.mean() + 5


def test_a_name_in_mp4_becomes_a_turn(tmp_path, monkeypatch):
    monkeypatch.setattr("anr_core.export.shapes.SECONDS", 0.2)
    write_shapes(tmp_path / "turn.mp4", "two-that-overlap", size=32)
    assert imageio_ffmpeg.count_frames_and_secs(tmp_path / "turn.mp4")[0] == 5


@pytest.mark.parametrize("options, told", [
    (["out.gif"], "no name of a picture"), (["out.png", "--size", "2"], "16"),
    (["out.png", "--which", "cube"], "one-sphere")])
def test_what_cannot_be_drawn_is_said_in_a_line(options, told, capsys):
    assert main(["shapes", *options]) == 2
    assert told in capsys.readouterr().err
