"""Format `pose2sim`: a TOML, videos, OpenPose's folders, and how they find each other."""

import shutil

import numpy as np
import pytest
import torch

from anr_core.capture.readers.calibration import Calibration, camera_for
from anr_core.capture.readers.pose2sim import read_calibration, recognises
from anr_core.prepare import prepare
from tests.conftest import REAL_CAPTURES
from tests.small_sources import RATE, SIZE, cameras, seen, write_pose2sim


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Read only: four frames of three cameras."""
    return write_pose2sim(tmp_path_factory.mktemp("pose2sim") / "source")


def toml(source):
    return source / "calibration" / "Calib.toml"


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_cameras_pictures_and_keypoints_are_those_of_the_source(source, tmp_path):
    assert recognises(source)
    made = prepare(source, tmp_path / "capture")
    assert made.format == "pose2sim" and made.fps == RATE and len(made.shots) == 12
    for name, camera in cameras().items():  # called cam_1, cam_2 and cam_10 in the TOML
        for field in ("K", "R", "t"):
            torch.testing.assert_close(getattr(made.cameras[name], field), getattr(camera, field),
                                       atol=1e-5, rtol=1e-5)
        truth = torch.from_numpy(seen(camera, 2))
        torch.testing.assert_close(made.keypoints[name, 2], truth, atol=1e-3, rtol=0)


def test_names_that_nobody_shares_are_matched_in_their_order_and_said(copied, tmp_path, capsys):
    for old, new in (("cam_10", "zoe"), ("cam_1", "adam"), ("cam_2", "bob")):
        change(toml(copied), old, new)
    made = prepare(copied, tmp_path / "capture")
    assert "matched in their order: cam1 is adam, cam2 is bob, cam10 is zoe" in capsys.readouterr().out
    torch.testing.assert_close(made.cameras["cam10"].t, cameras()["cam10"].t, atol=1e-5, rtol=0)


def test_other_names_and_another_number_of_cameras_are_refused(copied, tmp_path):
    for name in ("1", "2", "10"):
        change(toml(copied), f"cam_{name}\"", f"station{name}x\"")
    (copied / "videos" / "cam2.mp4").unlink()
    with pytest.raises(ValueError, match="calibrates .*, but the videos are .*Give both the same names"):
        prepare(copied, tmp_path / "capture")


def test_pictures_that_the_encoder_cut_keep_their_scale():
    K = np.array([[1680.0, 0, 533], [0, 1680, 948], [0, 0, 1]])
    calibration = Calibration(K, np.eye(3), np.zeros(3), np.zeros(4), (1920, 1088))
    camera, notes = camera_for(calibration, "cam1", (960, 540))
    assert camera.K[0].tolist() == [[840, 0, 266.5], [0, 840, 474], [0, 0, 1]]
    assert notes == ["cam1: pictures are 540x960, calibrated with 1088x1920: taken as cut by 4 pixels on the "
                     "right, 0 below."]
    assert camera_for(calibration, "cam1", (960, 544))[1] == []


def test_a_turned_video_is_refused(copied, tmp_path):
    change(toml(copied), f"size = [ {SIZE[1]}.0, {SIZE[0]}.0]", f"size = [ {SIZE[0]}.0, {SIZE[1]}.0]")
    with pytest.raises(ValueError, match="calibrated with pictures of 120x90 pixels, but they are 90x120"):
        prepare(copied, tmp_path / "capture")


def test_fisheyes_are_refused(copied, tmp_path):
    change(toml(copied), "fisheye = false", "fisheye = true")
    with pytest.raises(ValueError, match="fisheye lens"):
        prepare(copied, tmp_path / "capture")


def test_a_lens_that_bends_is_undone(copied, tmp_path):
    straight = prepare(copied, tmp_path / "straight")
    change(toml(copied), "distortions = [ 0.0, 0.0, 0.0, 0.0]", "distortions = [ 0.15, 0.0, 0.0, 0.0]")
    shutil.rmtree(copied / "pose")
    bent = prepare(copied, tmp_path / "bent")
    assert bent.cameras["cam1"].distortion is None and all(shot.certain for shot in bent.shots)
    one, other = straight.views(["cam1"], [0])[0], bent.views(["cam1"], [0])[0]
    assert (one.image - other.image).abs().mean() > 0.01


# the real one

def test_the_calibration_of_beam_walker_is_read_with_its_cut(tmp_path, capsys):
    file = REAL_CAPTURES / "beam-walker" / "original_calibration.toml"
    if not file.is_file():
        pytest.skip(f"beam-walker is not in {REAL_CAPTURES}; set ANR_DATA to the folder that holds it")
    assert len(read_calibration(file)) == 4
    made = prepare(file, tmp_path / "capture", fps=15, end=0.1)
    said = capsys.readouterr().out
    assert list(made.cameras) == ["cam01", "cam02", "cam03"]
    assert "cam01: pictures are 540x960, calibrated with 1088x1920: taken as cut by 4 pixels" in said
    assert "cam03: pictures" not in said and "cam_04 is calibrated in" in said
    assert made.cameras["cam01"].K[0, 0, 0].item() == pytest.approx(1681.2449 / 2, abs=1e-3)
