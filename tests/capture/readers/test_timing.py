"""Which frames are taken: the same of all cameras, and rather those that something is known of."""

import pytest

from anr_core.capture.readers.timing import EVERYTHING, Span, fullest
from anr_core.prepare import prepare
from tests.small_sources import write_easymocap, write_openpose, write_video


def test_everything_is_taken_unless_something_is_asked_for():
    assert EVERYTHING.frames(range(5), 30.0) == set(range(5))


def test_seconds_and_frames_a_second_choose_frames():
    assert Span(start=0.1, end=0.2).frames(range(10), 30.0) == {3, 4, 5, 6}
    assert Span(fps=10).frames(range(10), 30.0) == {0, 3, 6, 9}
    assert Span(fps=20).frames(range(9), 30.0) == {0, 2, 4, 6, 8}  # every second: one and a half is none
    assert Span(fps=60).frames(range(3), 30.0) == {0, 1, 2}


def test_odd_frames_are_not_missed_by_even_steps():
    assert fullest([3, 5, 7, 8], 2) == 1 and fullest([4, 5], 2) == 0 and fullest([], 7) == 0
    assert Span(fps=15).frames([1, 3, 5], 30.0) == {1, 3, 5}


@pytest.mark.parametrize(("span", "words"), [
    ({"fps": 0}, "--fps 0 was asked for"), ({"fps": float("nan")}, "--fps nan was asked for"),
    ({"start": 2, "end": 1}, "--start 2 comes after --end 1")])
def test_what_makes_no_sense_is_refused(span, words):
    with pytest.raises(ValueError, match=words):
        Span(**span)


def test_extreme_rates_take_one_frame_or_all_and_nothing_is_left_where_nothing_is():
    assert Span(fps=1e-320).frames(range(9), 30.0) == {0} and Span(fps=1e300).frames({4}, 30.0) == {4}
    with pytest.raises(ValueError, match="No frame is left .* frames 0 to 4 at 30 a second"):
        Span(start=9).frames(range(5), 30.0)


def test_a_video_is_thinned_out_to_frames_that_have_keypoints(tmp_path, capsys):
    write_video(tmp_path / "videos" / "cam1.mp4", "cam1", range(12))
    write_openpose(tmp_path / "keypoints" / "cam1", "cam1", range(1, 12, 2))
    made = prepare(tmp_path, tmp_path / "capture", fps=5)
    assert [shot.frame for shot in made.shots] == [1, 3, 5, 7, 9, 11] and len(made.keypoints) == 6
    prepare(tmp_path, tmp_path / "capture", end=0.05)
    assert "cam1: its keypoints are of frames 1 to 11, and none of these is taken" in capsys.readouterr().out


def test_cameras_that_begin_later_give_the_same_frames(tmp_path):
    source = write_easymocap(tmp_path / "source", range(8))
    for file in ("000000", "000001", "000002"):
        (source / "images" / "cam2" / f"{file}.jpg").unlink()
    made = prepare(source, tmp_path / "capture", start=0.15, end=0.21)  # of 30 a second
    assert {(shot.camera, shot.frame) for shot in made.shots} == {
        (name, frame) for name in ("cam1", "cam2", "cam10") for frame in (5, 6)}
