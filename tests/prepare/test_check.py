"""The report at the end of `prepare`: each mistake that a source can have is named, with its remedy."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.camera import Camera
from anr_core.cli import main
from anr_core.prepare import prepare
from anr_core.prepare.agreement import keypoint_lag, mirrored_cameras, reprojection_errors, triangulate
from anr_core.prepare.check import check, mask_overlaps
from anr_core.skeleton import BODY25
from tests.conftest import REAL_CAPTURES
from tests.small_capture import make_small_capture
from tests.small_sources import SIZE, cameras, figure, seen, write_calibration, write_easymocap


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Read only: 16 frames of a figure before three cameras."""
    return write_easymocap(tmp_path_factory.mktemp("checked") / "source", range(16))


@pytest.fixture(scope="module")
def capture(source):
    """Read only."""
    return prepare(source, source.with_name("capture"))


def found(capture):
    return [str(finding) for finding in check(capture, mask_overlaps(capture), "captures/x")]


def refused(source, capsys):
    """The one line and the report, of a source that must not be prepared."""
    assert main(["prepare", str(source), str(source.with_name("refused"))]) == 2
    assert not source.with_name("refused").exists()
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    return said.err, said.out


def with_keypoints(capture, change):
    """The capture with other keypoints: change(camera, frame, points) makes them."""
    return replace(capture, keypoints={(name, frame): change(name, frame, points.clone())
                                       for (name, frame), points in capture.keypoints.items()})


def numbered_later(capture, frames):
    """The capture with keypoints so many frames late."""
    return replace(capture, keypoints={(name, frame + frames): points
                                       for (name, frame), points in capture.keypoints.items()})


# a sound capture

def test_a_sound_capture_has_no_finding_and_a_sheet(capture):
    assert found(capture) == []
    with Image.open(capture.path / "report.png") as sheet:
        assert sheet.size[0] > 600


# masks

def test_pictures_without_masks_are_counted_and_named(copied, capture):
    for frame in (3, 7):
        (copied / "mask" / "cam1" / f"{frame:06d}.png").unlink()
    made = prepare(copied, copied.with_name("capture"))
    assert found(made) == ["warning: cam1/0003, cam1/0007: 2 of 48 pictures have no mask. Find them: python "
                           "-m anr_core annotate captures/x, or with another --annotator. Or lay them into "
                           "masks/ of the source, as the README's Captures tell, and prepare it again."]


def test_a_mask_of_something_else_is_named(copied, capsys):
    elsewhere = np.zeros(SIZE, np.uint8)
    elsewhere[:20, :10] = 255
    Image.fromarray(elsewhere).save(copied / "mask" / "cam2" / "000005.png")
    made = prepare(copied, copied.with_name("capture"))
    assert len(found(made)) == 1
    assert "masks/cam2/0005.png: 1 of 16 masks of cam2 don't touch the keypoints" in found(made)[0]


def test_masks_that_mostly_show_something_else_stop(copied, capsys):
    elsewhere = np.zeros(SIZE, np.uint8)
    elsewhere[:20, :10] = 255
    for file in (copied / "mask" / "cam2").iterdir():
        Image.fromarray(elsewhere).save(file)
    assert "cam2: 16 of 16 masks don't touch the keypoints" in refused(copied, capsys)[0]


# bodies

@pytest.mark.parametrize(("factor", "words"), [(1000, "1000 times too large: it is in millimetres"),
                                               (100, "100 times too large"), (0.01, "no person's size")])
def test_a_body_of_other_units_stops(factor, words, small_source, tmp_path, capsys):
    copied = shutil.copytree(small_source, tmp_path / "source")
    with np.load(copied / "mesh.npz") as arrays:
        np.savez(copied / "mesh.npz", **{**arrays, "vertices": factor * arrays["vertices"]})
    assert words in refused(copied, capsys)[0]


def test_a_body_that_stands_upside_down_stops(tmp_path, capsys):
    make_small_capture(tmp_path / "source", frames=1, camera_count=2)
    with np.load(tmp_path / "source" / "mesh.npz") as arrays:
        vertices = arrays["vertices"]
        turned = vertices * np.float32([1, -1, -1]) + np.float32([0, 0, 2 * vertices[..., 2].mean() + 1.1])
        np.savez(tmp_path / "source" / "mesh.npz", **{**arrays, "vertices": turned})
    assert "don't touch the mesh, which stands upside down" in refused(tmp_path / "source", capsys)[0]


def test_a_mirrored_body_is_told(tmp_path, capsys):
    make_small_capture(tmp_path / "source", frames=1, camera_count=2)
    with np.load(tmp_path / "source" / "mesh.npz") as arrays:
        mirrored = arrays["vertices"] * np.float32([-1, 1, 1])
        np.savez(tmp_path / "source" / "mesh.npz", **{**arrays, "vertices": mirrored})
    prepare(tmp_path / "source", tmp_path / "capture")
    assert "warning: mesh: its faces look inwards" in capsys.readouterr().out


# numbers and sizes

def test_a_gap_in_the_numbers_is_told(copied, capture):
    for frame in (5, 6):
        (copied / "images" / "cam10" / f"{frame:06d}.jpg").unlink()
    made = prepare(copied, copied.with_name("capture"))
    assert any("frames/cam10: frames are missing: 5 to 6" in line for line in found(made))


def test_a_picture_of_another_size_stops_and_is_named(copied, capsys):
    file = copied / "images" / "cam2" / "000004.jpg"
    Image.open(file).resize((45, 60)).save(file)
    complaint = "cam2/000004.jpg is 45x60 pixels, but others of the same camera are 90x120"
    assert complaint in refused(copied, capsys)[0]


# cameras

def test_triangulated_points_are_where_they_were():
    pixels = np.stack([seen(camera, 3) for camera in cameras().values()])
    points, known = triangulate(list(cameras().values()), pixels[..., :2], pixels[..., 2] > 0)
    assert known.all() and np.abs(points - figure(3)).max() < 1e-4


def test_a_camera_that_was_moved_is_named_with_its_pixels(source, tmp_path):
    def moved(cameras):
        step = torch.tensor([[0.03, 0.05, 0]])
        return cameras | {"cam2": replace(cameras["cam2"], t=cameras["cam2"].t + step)}

    copied = shutil.copytree(source, tmp_path / "source")
    write_calibration(copied, change=moved)
    made = prepare(copied, tmp_path / "capture")
    errors, culprit, others = reprojection_errors(made)
    assert culprit == "cam2" and others < 0.1 < errors["cam2"]
    line, = found(made)
    assert "warning: cam2: keypoints of several cameras meet only to" in line and "--refine-cameras" in line


def test_cameras_of_another_convention_stop(copied, capsys):
    def inverted(cameras):
        """Camera to world given as world to camera, of all but one."""
        return {name: camera if name == "cam1" else
                Camera(camera.K, camera.R, torch.tensor([[0.4, -0.3, 3.0]]), size=camera.size)
                for name, camera in cameras.items()}

    write_calibration(copied, change=inverted)
    assert "R and t are of another convention" in refused(copied, capsys)[0]


def test_calibration_in_millimetres_stops(copied, capsys):
    write_calibration(copied, units=1000)
    assert "its T is in millimetres, not in metres. Divide all T by 1000" in refused(copied, capsys)[0]


# keypoints

@pytest.mark.parametrize("late", [3, -2])
def test_keypoints_that_lag_are_found_by_correlation(late, tmp_path):
    source = write_easymocap(tmp_path / "source", range(2, 18), late)
    assert keypoint_lag(prepare(source, tmp_path / "capture")) == {"": late}
    mended = prepare(source, tmp_path / "capture", keypoints_late=late)
    assert keypoint_lag(mended) == {}
    truth = torch.from_numpy(seen(cameras()["cam1"], 5))
    assert torch.allclose(mended.keypoints["cam1", 5], truth, atol=1e-4)


def test_keypoints_of_larger_pictures_stop(capture):
    twice = with_keypoints(capture, lambda name, frame, points: points * torch.tensor([2, 2, 1]))
    complaint = "outside of its pictures: they were detected in pictures about 1.9 times as large"
    assert any("ERROR: cam1: " in line and complaint in line for line in found(twice))


def test_sides_that_one_camera_has_swapped_are_found_by_the_others(capture):
    swapped = with_keypoints(capture, lambda name, frame, points:
                             points[list(BODY25.mirror)] if name == "cam10" else points)
    assert list(mirrored_cameras(swapped)) == ["cam10"]
    assert any("ERROR: cam10: left and right of the keypoints are swapped" in line for line in found(swapped))


def test_sides_that_all_cameras_have_swapped_are_found_in_the_face(capture):
    swapped = with_keypoints(capture, lambda name, frame, points: points[list(BODY25.mirror)])
    assert any("ERROR: all cameras: left and right of the keypoints are swapped: the left eye" in line
               for line in found(swapped))


def test_a_face_that_is_known_from_behind_too_is_not_mirrored(capture, monkeypatch):
    """As of keypoints that were projected, not seen: from behind the left eye is on the left."""
    module = sys.modules["anr_core.prepare.check"]  # the package has a function of its name
    shares = {"cam1": (1.0, 30), "cam2": (0.0, 20), "cam10": (1.0, 10)}
    monkeypatch.setattr(module, "facing_shares", lambda _: shares)
    assert not any("swapped" in line for line in found(capture))
    monkeypatch.setattr(module, "facing_shares", lambda _: shares | {"cam1": (0.0, 30), "cam10": (0.1, 10)})
    assert any("swapped" in line for line in found(capture))


def test_pictures_that_stand_on_their_head_stop(capture):
    def turned(name, frame, points):
        return torch.tensor([SIZE[1], SIZE[0], 0]) + points * torch.tensor([-1, -1, 1])

    assert any("ERROR: cam1: the person stands upside down in 16 pictures" in line
               for line in found(with_keypoints(capture, turned)))


def test_a_video_on_its_side_is_told(capture):
    def lying(name, frame, points):
        return torch.stack([points[:, 1], points[:, 0], points[:, 2]], 1)

    assert any("warning: cam1: the person lies on one side" in line
               for line in found(with_keypoints(capture, lying)))


def test_every_finding_says_what_to_do(capture):
    damaged = with_keypoints(capture, lambda name, frame, points: points * torch.tensor([2, -2, 1]))
    for finding in check(damaged, {}, "captures/x"):
        assert finding.where and finding.wrong and finding.remedy.endswith((".", "x", "s"))


# real captures

def test_the_published_calibration_of_beam_walker_is_found_to_be_off(real_capture, tmp_path):
    refined = real_capture("beam-walker")
    assert max(reprojection_errors(refined)[0].values()) < 5  # of 960 pixels
    described = json.loads((REAL_CAPTURES / "beam-walker" / "cameras.json").read_text())["cameras"]
    published = {name: replace(camera, **{
        key: torch.tensor(described[name][f"{key}_original"], dtype=torch.float32)[None] for key in "Rt"})
        for name, camera in refined.cameras.items()}
    moved = replace(refined, cameras=published)
    errors, culprit, _ = reprojection_errors(moved)
    assert max(errors.values()) > 6
    line = next(str(one) for one in check(moved, {}, "captures/x") if "meet only to" in one.wrong)
    assert line.startswith(f"warning: {culprit or 'cameras'}: ") and "--refine-cameras" in line
    assert all(f"{name} {error:.1f}" in line for name, error in errors.items())


def test_beam_walkers_keypoints_are_in_time(real_capture):
    assert keypoint_lag(real_capture("beam-walker")) == {}
    assert keypoint_lag(numbered_later(real_capture("beam-walker"), 8)) == {"": 8}


def test_treadmill_walkers_keypoints_are_in_time_and_their_lag_would_be_found(tmp_path):
    if not (REAL_CAPTURES / "treadmill-walker").is_dir():
        pytest.skip(f"treadmill-walker is not in {REAL_CAPTURES}; set ANR_DATA to the folder that holds it")
    capture = prepare(REAL_CAPTURES / "treadmill-walker" / "frames" / "32", tmp_path / "capture")
    assert keypoint_lag(capture) == {}
    assert keypoint_lag(numbered_later(capture, 6)) == {"": 6}
