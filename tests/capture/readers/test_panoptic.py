"""Panoptic Studio: its real calibration and poses, and pictures made up."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.capture.readers import find_reader, panoptic
from anr_core.prepare import prepare
from anr_core.skeleton import BODY25
from tests.capture.readers.small_datasets import video
from tests.conftest import REAL_CAPTURES

REAL = REAL_CAPTURES / "panoptic" / "160906_band1"
real_only = pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there; set ANR_DATA")


def write_json(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


@pytest.fixture
def source(tmp_path):
    """A camera 2 m before the origin with a lens, and a person of two whose neck is at the origin."""
    folder = tmp_path / "171026_pose1"
    camera = {"name": "00_00", "type": "hd", "resolution": [40, 30],
              "K": [[30, 0, 20], [0, 30, 15], [0, 0, 1]], "distCoef": [-0.2, 0.1, 0, 0, 0],
              "R": np.eye(3).tolist(), "t": [[0], [0], [200]]}
    other = dict(camera, name="01_01", type="vga")
    write_json(folder / "calibration_171026_pose1.json", {"cameras": [other, camera]})
    for frame in (5, 6):
        joints = np.zeros((19, 4))
        joints[:, 3] = 0.2
        joints[1] = 10, -20, 0, 0.1 * frame  # the nose
        joints[8] = 0, 0, 0, -1  # the left ankle wasn't found
        bodies = [{"id": 3, "joints19": joints.ravel().tolist()}, {"id": 4, "joints19": [0.0] * 76}]
        write_json(folder / panoptic.POSES / f"body3DScene_{frame:08d}.json", {"bodies": bodies[:7 - frame]})
        (folder / "hdImgs" / "00_00").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (frame, 0, 0)).save(folder / "hdImgs" / "00_00" / f"00_00_{frame:08d}.png")
    return folder


def test_a_sequence_becomes_a_capture_in_metres(source, tmp_path, capsys):
    capture = prepare(source, tmp_path / "capture")
    said = capsys.readouterr().out
    assert "format panoptic" in said and "person 3 is taken, who is in 2 of 2 frames" in said
    assert capture.licence.startswith("CMU Panoptic Studio: non-commercial") and capture.registration is None
    assert capture.cameras["00_00"].t.tolist() == [[0, 0, 2]] and capture.up.tolist() == [0, -1, 0]
    nose = capture.keypoints["00_00", 6][BODY25.names.index("nose")]
    # 0.1 m right and 0.2 m up at 2 m; the lens is taken out of keypoints as it is out of pictures
    torch.testing.assert_close(nose, torch.tensor([20 + 30 * 0.05, 15 - 30 * 0.1, 0.6]))
    assert capture.keypoints["00_00", 6][BODY25.names.index("left_ankle"), 2] == 0
    with np.load(capture.path / "foreign.npz") as kept:
        nose = kept["joints"][0, BODY25.names.index("nose")]
        np.testing.assert_allclose(nose, [0.1, -0.2, 0, 0.5], rtol=1e-6)
    assert capture.joints.skeleton == "body25" and not capture.joints.lifted
    np.testing.assert_allclose(capture.joints.points[5][BODY25.names.index("nose")], nose, rtol=1e-6)


def test_keypoints_of_the_source_have_its_lens(source):
    take = next(iter(panoptic.read(source).takes))
    bent = 1 - 0.2 * 0.0125 + 0.1 * 0.0125**2  # at the squared radius 0.05^2 + 0.1^2
    nose = take.keypoints[BODY25.names.index("nose")]
    np.testing.assert_allclose(nose, [20 + 1.5 * bent, 15 - 3 * bent, 0.5], rtol=1e-6)


def test_a_video_is_counted_like_the_poses(source):
    shutil.rmtree(source / "hdImgs")
    (source / "hdVideos").mkdir()
    shades = [torch.full((3, 30, 40), shade / 8) for shade in range(9)]
    video(source / "hdVideos" / "hd_00_00.mp4", shades, 29.97)
    takes = list(panoptic.read(source).takes)
    assert [take.frame for take in takes] == [5, 6]
    assert [round(float(take.image.mean()) / 255 * 8) for take in takes] == [5, 6]


def test_without_pictures_the_way_to_them_is_told(source):
    shutil.rmtree(source / "hdImgs")
    with pytest.raises(FileNotFoundError, match="neither pictures of the 2 frames .* getData.sh"):
        panoptic.read(source)


@real_only
def test_the_real_calibration_sees_the_real_people():
    calibrations, (joints, notes) = panoptic.read_calibrations(REAL), panoptic.read_joints(REAL)
    assert len(calibrations) == 31 and sorted(joints) == [168, 169] and "person 0 is taken" in notes[0]
    points, name = joints[168], BODY25.names.index
    found = points[:, 3] > 0
    assert found.sum() == 18  # of 19, the left ankle is not
    height = np.ptp(points[found, 1])
    assert 0.9 < height < 1.9  # metres
    up, ears = np.array([0, -1, 0]), points[[name("left_ear"), name("right_ear")], :3].mean(0)
    ahead = points[name("nose"), :3] - ears
    hips, nose, ankle = (points[name(joint), :3] @ up for joint in ("middle_hip", "nose", "right_ankle"))
    assert nose > hips > ankle
    leftwards = points[name("left_shoulder"), :3] - points[name("right_shoulder"), :3]
    assert leftwards @ np.cross(up, ahead) > 0  # nobody is mirrored
    seen = 0
    for key, calibration in calibrations.items():
        camera, _ = panoptic.camera_for(calibration, key, (1080, 1920))
        assert 1 < float(camera.center.norm()) < 6
        seen += int((panoptic._seen(points, camera)[found, 2] > 0).sum())
    assert seen > 0.75 * 31 * 18  # the person stands at the edge of the dome


@real_only
def test_the_real_sequence_is_recognised_and_lacks_its_pictures(tmp_path):
    assert find_reader(REAL)[0] == "panoptic"
    with pytest.raises(FileNotFoundError, match="getData.sh"):
        prepare(REAL, tmp_path / "capture")


def changed(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(("name", "change", "complaint"), [
    ("calibration", lambda c: c.pop("cameras"), "has no cameras"),
    ("calibration", lambda c: c.update(cameras={}), "cameras is no list"),
    ("calibration", lambda c: c["cameras"].pop(), "no camera of type hd"),
    ("calibration", lambda c: c["cameras"][1].pop("K"), "has no K"),
    ("calibration", lambda c: c["cameras"][1].update(t=[1, 2]), r"t of 00_00 has the shape \(2,\)"),
    ("calibration", lambda c: c["cameras"][1].update(t=[1, 2, 1e7]), "millimetres"),
    ("calibration", lambda c: c["cameras"][1].update(K="wide"), "in numbers"),
    ("body", lambda c: c.pop("bodies"), "has no bodies"),
    ("body", lambda c: c["bodies"][0].pop("joints19"), "has no joints19"),
    ("body", lambda c: c["bodies"][0].update(joints19=[1, 2]), "joints19 has 2 numbers, expected 76"),
    ("body", lambda c: c["bodies"][0]["joints19"].__setitem__(0, None), "NaN|no array of numbers"),
    ("body", lambda c: c["bodies"][0].update(id="he"), "json: id is no array of numbers"),
])
def test_broken_files_are_refused_in_one_line(source, tmp_path, name, change, complaint):
    changed(next(source.rglob(f"{name}*.json")), change)
    with pytest.raises(ValueError, match=complaint) as refused:
        prepare(source, tmp_path / "capture")
    assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()


def test_truncated_files_are_refused_in_one_line(source, tmp_path):
    for file in [file for file in source.rglob("*") if file.is_file()]:
        whole = file.read_bytes()
        file.write_bytes(whole[:len(whole) // 2])
        with pytest.raises(ValueError, match=file.name) as refused:
            prepare(source, tmp_path / "capture")
        assert "\n" not in str(refused.value) and not (tmp_path / "capture").exists()
        file.write_bytes(whole)
