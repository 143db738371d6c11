"""Format `easymocap`: what its files say is what the capture holds."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.body import Pose
from anr_core.body.smpl import SmplBody
from anr_core.capture.readers.easymocap import read_calibration, read_yaml, recognises
from anr_core.capture.readers.smpl_json import posed_meshes, read_parameters
from anr_core.capture.readers.smpl_meshes import MODEL_FOLDER
from anr_core.prepare import prepare
from tests.body.test_smpl import tiny_model, write
from tests.conftest import REAL_CAPTURES
from tests.small_sources import (
    NAMES,
    RATE,
    SIZE,
    cameras,
    seen,
    write_calibration,
    write_easymocap,
    write_openpose,
    write_video,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Read only: three frames of three cameras."""
    return write_easymocap(tmp_path_factory.mktemp("easymocap") / "source")


@pytest.fixture(scope="module")
def capture(source):
    """Read only."""
    return prepare(source, source.with_name("capture"))


def test_cameras_are_the_ones_of_the_files(source, capture):
    assert recognises(source) and capture.format == "easymocap"
    for name, camera in cameras().items():
        for field in ("K", "R", "t"):
            assert torch.equal(getattr(capture.cameras[name], field), getattr(camera, field))
        assert capture.cameras[name].size == SIZE
    assert not capture.uncalibrated and capture.registration is None
    assert capture.up.tolist() == [0, 0, 1]


def test_keypoints_are_the_persons_and_not_the_bystanders(capture):
    assert capture.skeleton == "body25" and len(capture.keypoints) == 9
    for (name, frame), points in capture.keypoints.items():
        torch.testing.assert_close(points, torch.from_numpy(seen(cameras()[name], frame)), atol=1e-4, rtol=0)


def test_pictures_and_masks_are_copied_as_they_are(source, capture):
    for shot in capture.shots:
        stem = f"{shot.camera}/{shot.frame:06d}"
        assert (capture.path / shot.image).read_bytes() == (source / "images" / f"{stem}.jpg").read_bytes()
        mask = np.asarray(Image.open(source / "mask" / f"{stem}.png"))
        assert np.array_equal(np.asarray(Image.open(capture.path / shot.mask)), mask)


def test_its_own_annotations_are_read_and_follow_the_number_of_the_person(copied):
    shutil.rmtree(copied / "openpose")
    for name, camera in cameras().items():
        for frame in range(3):
            points = seen(camera, frame)
            other = {"personID": 4 if frame else 0, "keypoints": (2 * points).tolist()}
            file = copied / "annots" / name / f"{frame:06d}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"filename": "x.jpg", "height": SIZE[0], "width": SIZE[1], "annots": [
                other, {"personID": 3, "keypoints": points.tolist(), "bbox": [0, 0, 1, 1, 1]}]}))
    made = prepare(copied, copied.with_name("capture"))
    truth = torch.from_numpy(seen(cameras()["cam2"], 2))
    torch.testing.assert_close(made.keypoints["cam2", 2], truth, atol=1e-4, rtol=0)


def test_videos_are_read_and_thinned_out(tmp_path):
    source = tmp_path / "source"
    write_calibration(source, sizes=True)
    for name in NAMES:
        write_video(source / "videos" / f"{name}.mp4", name, range(10))
        write_openpose(source / "openpose" / name, name, range(10))
    made = prepare(source, tmp_path / "capture", fps=RATE / 2, start=0.2, end=0.7)
    assert made.fps == RATE and {shot.frame for shot in made.shots} == {2, 4, 6}
    assert len(made.keypoints) == 9
    torch.testing.assert_close(made.views(["cam1"], [4])[0].time, torch.tensor([0.4]))


def test_pictures_of_half_the_size_halve_K(copied):
    write_calibration(copied, sizes=True)
    shutil.rmtree(copied / "openpose")
    for file in [*copied.rglob("*.jpg"), *copied.rglob("*.png")]:
        Image.open(file).resize((SIZE[1] // 2, SIZE[0] // 2)).save(file)
    made = prepare(copied, copied.with_name("capture"))
    scale = torch.diag(torch.tensor([0.5, 0.5, 1]))
    torch.testing.assert_close(made.cameras["cam1"].K[0], scale @ cameras()["cam1"].K[0])
    original = json.loads((made.path / "capture.json").read_text())["cameras"]["cam1"]["original"]
    assert original["size"] == list(SIZE)


def test_rotation_vectors_and_numbers_over_several_lines_are_read(copied):
    text = (copied / "extri.yml").read_text().replace("Rot_cam1:", "other:").replace(", ", ",\n          ")
    text += ("R_cam1: !!opencv-matrix\n  rows: 3\n  cols: 1\n  dt: d\n  data: [1.5707963267948966, 0., 0.]\n")
    (copied / "extri.yml").write_text(text)
    expected = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    assert np.allclose(read_calibration(copied)["cam1"].R, expected, atol=1e-9)
    assert read_yaml(copied / "extri.yml")["names"] == list(NAMES)


def test_what_is_not_calibrated_or_not_filmed_is_said(copied, capsys):
    shutil.copytree(copied / "images" / "cam1", copied / "images" / "cam3")
    shutil.rmtree(copied / "images" / "cam2")
    made = prepare(copied, copied.with_name("capture"))
    said = capsys.readouterr().out
    assert "cam3 is not calibrated" in said and "cam2 is calibrated, but has no pictures" in said
    assert list(made.cameras) == ["cam1", "cam10"]


# body parameters

def parameters(folder, wrapped, count=72):
    folder.mkdir(parents=True)
    for frame in range(3):
        person = {"id": 7, "Rh": [[0.0, 0.0, 0.1 * frame]], "Th": [[0.0, 0.0, 1.0]],
                  "poses": [[0.0] * count], "shapes": [[0.0] * 10]}
        other = {**person, "id": 9, "Th": [[5.0, 5.0, 5.0]]} if frame else person
        people = [other, person] if frame else [person]
        (folder / f"{frame:06d}.json").write_text(json.dumps({"annots": people} if wrapped else people))


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("count", [69, 72, 78, 87, 156, 165])
def test_body_parameters_are_kept_as_they_are(wrapped, count, tmp_path):
    parameters(tmp_path / "smpl", wrapped, count)
    found = read_parameters({frame: tmp_path / "smpl" / f"{frame:06d}.json" for frame in range(3)})
    assert found["frames"].tolist() == [0, 1, 2] and found["poses"].shape == (3, count)
    assert np.allclose(found["Rh"], [[0, 0, 0], [0, 0, 0.1], [0, 0, 0.2]])
    assert (found["Th"] == [0, 0, 1]).all()


def test_without_a_model_they_lie_in_the_capture_and_it_is_said(copied, capsys, monkeypatch):
    monkeypatch.delenv(MODEL_FOLDER, raising=False)
    parameters(copied / "output" / "smpl", wrapped=True)
    made = prepare(copied, copied.with_name("capture"))
    said = capsys.readouterr().out
    assert f"3 frames have smpl parameters, kept in foreign.npz. Set {MODEL_FOLDER}" in said
    with np.load(made.path / "foreign.npz") as arrays:
        assert arrays["Th"].tolist() == [[0, 0, 1]] * 3
    assert made.registration is None


def test_with_a_model_they_pose_it_about_the_origin(tmp_path, monkeypatch):
    model = tmp_path / "SMPL_NEUTRAL.npz"
    write(model, tiny_model("smpl"))
    monkeypatch.setenv(MODEL_FOLDER, str(tmp_path))
    parameters(tmp_path / "smpl", wrapped=False)
    files = {frame: tmp_path / "smpl" / f"{frame:06d}.json" for frame in range(3)}
    vertices, surface = posed_meshes(read_parameters(files))
    nothing = torch.zeros(1, 3)
    rest = SmplBody(model)(Pose(torch.zeros(1, 23, 3), nothing, nothing)).vertices[0].numpy()
    about_z = np.array([[np.cos(0.2), -np.sin(0.2), 0], [np.sin(0.2), np.cos(0.2), 0], [0, 0, 1]])
    assert np.allclose(vertices[2], rest @ about_z.T + [0, 0, 1], atol=1e-5)
    assert surface.faces.max() < len(rest)


# the real one

def test_beam_walker_as_easymocap_is_the_same_as_registered(real_capture, tmp_path):
    registered = real_capture("beam-walker")
    made = prepare(REAL_CAPTURES / "beam-walker" / "easymocap", tmp_path / "capture", start=0, end=0.1)
    assert made.fps == 60
    for name, camera in made.cameras.items():
        same = registered.cameras[name]
        assert camera.size == same.size
        for field in ("K", "R", "t"):
            torch.testing.assert_close(getattr(camera, field), getattr(same, field), atol=1e-3, rtol=1e-5)
