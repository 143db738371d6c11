"""Format `plain`: videos and pictures that nobody calibrated, and what lies beside them."""

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.capture.readers.clips import first_number, natural, numbered, open_clip
from anr_core.capture.readers.plain import guessed_camera
from anr_core.cli import main
from anr_core.prepare import prepare
from tests.conftest import REAL_CAPTURES
from tests.small_sources import (
    NAMES,
    RATE,
    SIZE,
    cameras,
    picture,
    seen,
    write_openpose,
    write_pictures,
    write_video,
)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Read only: a video of 12 frames alone in its folder."""
    file = tmp_path_factory.mktemp("film") / "walk.mp4"
    write_video(file, "cam1", range(12))
    return file


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Read only: 6 numbered pictures, with masks and keypoints beside."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, ["cam2"], range(0, 12, 2), digits=4)
    write_openpose(folder / "keypoints" / "cam2", "cam2", range(0, 12, 2))
    return folder


def test_a_video_alone_is_a_capture_of_an_uncalibrated_camera(film, tmp_path):
    made = prepare(film, tmp_path / "capture")
    assert made.format == "plain" and made.fps == RATE and made.uncalibrated == {"walk"}
    assert [shot.frame for shot in made.shots] == list(range(12)) and made.skeleton is None
    assert made.cameras["walk"].size == SIZE and made.up.tolist() == [0, -1, 0]
    assert torch.equal(made.cameras["walk"].K, guessed_camera(SIZE).K)
    assert made.cameras["walk"].K[0, 0, 0] == 150  # the diagonal of 90 x 120
    truth = torch.from_numpy(picture(cameras()["cam1"], 5)[0].copy()).permute(2, 0, 1) / 255
    assert (made.views(frames=[5])[0].image[0] - truth).abs().mean() < 0.05


def test_seconds_and_frames_a_second_are_taken(film, tmp_path):
    made = prepare(film, tmp_path / "capture", fps=5, start=0.25, end=0.85)
    assert [shot.frame for shot in made.shots] == [4, 6, 8]


@pytest.mark.parametrize(("options", "words"), [
    (["--fps", "0"], "--fps 0 was asked for; use a positive number"),
    (["--fps", "nan"], "--fps nan was asked for"),
    (["--start", "5", "--end", "1"], "--start 5 comes after --end 1"),
    (["--start", "60"], "No picture of the source lies between --start and --end"),
])
def test_spans_that_hold_nothing_are_refused(options, words, film, tmp_path, capsys):
    assert main(["prepare", str(film), str(tmp_path / "capture"), *options]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "capture").exists()


def test_pictures_bring_masks_and_keypoints_that_lie_beside(pictures, tmp_path):
    for source in (pictures, pictures / "images" / "cam2"):
        made = prepare(source, tmp_path / "capture")
        assert [shot.frame for shot in made.shots] == list(range(0, 12, 2))
        assert all(shot.mask for shot in made.shots) and len(made.keypoints) == 6
        truth = torch.from_numpy(seen(cameras()["cam2"], 4))
        torch.testing.assert_close(made.keypoints["cam2", 4], truth, atol=1e-4, rtol=0)


def test_the_rate_of_pictures_is_what_fps_says(pictures, tmp_path, capsys):
    made = prepare(pictures, tmp_path / "capture", fps=12)
    assert made.fps == 24 and len(made.shots) == 6  # every second number is there
    prepare(pictures, tmp_path / "capture")
    assert "nothing tells how many pictures are a second: 30 are assumed" in capsys.readouterr().out


def test_a_video_counts_as_its_pictures_do(tmp_path):
    write_pictures(tmp_path, ["cam1"], range(3, 15, 2), masks=False)
    write_video(tmp_path / "videos" / "cam1.mp4", "cam1", range(6, 16))  # pictures 3 and 5 come before
    found = {frame: tmp_path / "images" / "cam1" / f"{frame:06d}.jpg" for frame in range(3, 15, 2)}
    assert first_number(tmp_path / "videos" / "cam1.mp4", found) == 6
    made = prepare(tmp_path, tmp_path / "capture", fps=RATE)
    assert [shot.frame for shot in made.shots] == [3, 5, *range(6, 16)]
    assert [shot.frame for shot in prepare(tmp_path / "videos" / "cam1.mp4", tmp_path / "other").shots] == \
        list(range(6, 16))


def test_a_video_of_something_else_is_left_alone_and_said(tmp_path, capsys):
    write_pictures(tmp_path, ["cam1"], range(4), masks=False)
    write_video(tmp_path / "videos" / "cam1.mp4", "cam2", range(4))
    made = prepare(tmp_path, tmp_path / "capture", fps=RATE)
    assert len(made.shots) == 4 and "cam1.mp4 doesn't show the pictures" in capsys.readouterr().out


def test_several_videos_are_synchronised_cameras(tmp_path, capsys):
    for name in NAMES:
        write_video(tmp_path / f"{name}.mp4", name, range(3))
    made = prepare(tmp_path, tmp_path / "capture")
    assert set(made.cameras) == made.uncalibrated == set(NAMES) and len(made.shots) == 9
    assert "nothing tells how the 3 cameras stand to each other" in capsys.readouterr().out


def test_videos_of_other_rates_are_not_synchronised(tmp_path):
    write_video(tmp_path / "cam1.mp4", "cam1", range(3), rate=10)
    write_video(tmp_path / "cam2.mp4", "cam2", range(3), rate=25)
    with pytest.raises(ValueError, match="cam1 runs at 10 frames a second, cam2 at 25"):
        prepare(tmp_path, tmp_path / "capture")


def test_clips_of_one_standing_camera_follow_each_other(tmp_path, capsys):
    film = tmp_path / "shelf" / "film"  # a session's calibration is looked for two folders up
    write_video(film / "videos" / "first.mp4", "cam1", range(5))
    write_video(film / "videos" / "second.mp4", "cam1", range(5, 9))
    made = prepare(film, tmp_path / "capture")
    assert [shot.frame for shot in made.shots] == [0, 1, 2, 3, 4, 1000, 1001, 1002, 1003]
    assert list(made.cameras) == ["camera"]
    assert "first from frame 0, second from frame 1000" in capsys.readouterr().out


def test_numbers_are_the_last_in_a_name_and_sort_naturally(tmp_path):
    for name in ("take2_0010.jpg", "take2_0009.jpg", "background_1.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert list(numbered(tmp_path, (".jpg",))) == [9, 10]
    assert sorted(["cam10", "cam2"], key=natural) == ["cam2", "cam10"]


def test_two_pictures_of_one_number_are_refused(tmp_path):
    for name in ("a_1.jpg", "b_01.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    with pytest.raises(ValueError, match="are both frame 1. Keep one"):
        prepare(tmp_path, tmp_path.with_name("capture"))


def test_pictures_without_numbers_are_taken_in_their_order(tmp_path):
    for name in ("one", "three", "two"):
        Image.new("RGB", (8, 6), (len(name), 0, 0)).save(tmp_path / f"{name}.png")
    made = prepare(tmp_path, tmp_path.with_name("ordered"))
    assert [shot.frame for shot in made.shots] == [0, 1, 2]


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match="no pictures|no known format"):
        prepare(tmp_path / "empty", tmp_path / "capture", "plain")


# the real one

@pytest.fixture
def treadmill():
    if not (REAL_CAPTURES / "treadmill-walker").is_dir():
        pytest.skip(f"treadmill-walker is not in {REAL_CAPTURES}; set ANR_DATA to the folder that holds it")
    return REAL_CAPTURES / "treadmill-walker"


def test_treadmill_walkers_video_begins_with_frame_4_and_picture_3_is_before_it(treadmill):
    clip = open_clip(treadmill, "27")
    assert clip.first == 4 and min(clip.pictures) == 3 and clip.size == (618, 720)
    assert len(clip.masks) == len(clip.keypoints) == len(clip.pictures) == 34
    assert clip.skeleton == "body25_detailed" and clip.background == treadmill / "background_plate.png"
    assert np.isclose(clip.fps, 23.98)


def test_treadmill_walkers_clips_of_one_camera_have_each_their_keypoints(treadmill, tmp_path):
    made = prepare(treadmill, tmp_path / "capture")
    assert len(made.keypoints) == len(made.shots) == 67 and made.skeleton == "body25_detailed"


def test_treadmill_walkers_pictures_lie_where_the_video_has_them(treadmill, tmp_path):
    made = prepare(treadmill / "videos" / "32.mp4", tmp_path / "capture", start=0, end=0.3)
    truth = np.asarray(Image.open(treadmill / "frames" / "32" / "0006.jpg"), np.float32)
    difference = {}
    for view in made.views(frames=range(4, 9)):
        image = 255 * view.image[0].permute(1, 2, 0).numpy()
        difference[int(view.frame)] = np.abs(image - truth).mean()
    assert min(difference, key=difference.get) == 6
