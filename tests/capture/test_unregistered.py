"""Captures to which no body was fitted yet, of cameras whose focal length may be a guess."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody, Shape
from anr_core.camera import Camera
from anr_core.capture import load_capture
from anr_core.capture.changing import write_registration
from anr_core.capture.footage import Footage, Take
from anr_core.capture.outline import drawn_mask
from anr_core.capture.writing import write_capture
from anr_core.cli import main

SIZE = (120, 90)
KEYPOINTS = np.arange(75, dtype=np.float32).reshape(25, 3)


@pytest.fixture
def filmed(tmp_path):
    """Two frames of an uncalibrated camera; the second has a mask."""
    K = torch.tensor([[[130.0, 0, 45], [0, 130, 60], [0, 0, 1]]])
    camera = Camera(K, torch.eye(3)[None], torch.zeros(1, 3), size=SIZE)
    mask = np.zeros(SIZE, np.uint8)
    mask[20:100, 30:60] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    grey = np.full((*SIZE, 3), 90, np.uint8)
    takes = [Take("phone", 0, grey, None, keypoints=KEYPOINTS), Take("phone", 1, grey, tmp_path / "mask.png")]
    (tmp_path / "capture").mkdir()
    write_capture(Footage("made up", {"phone": camera}, {"phone": {}}, takes, np.zeros(0, np.int64), None,
                          None, 25.0, (0.0, -1.0, 0.0), "CC0", keypoints="body25",
                          uncalibrated=frozenset({"phone"})), tmp_path / "capture")
    return tmp_path / "capture"


def in_front(frames):
    """Anny upright before the camera, 4 m away: its Z is the camera's -Y."""
    body = AnnyBody(Shape(gender=0.4))
    turn = torch.tensor([[np.pi / 2, 0.0, 0.0]], dtype=torch.float32).expand(len(frames), 3)
    rest = body.rest_pose()
    rotations = rest.rotations.expand(len(frames), -1, -1).clone()
    return body, Pose(rotations, turn, torch.tensor([[0.0, 0.9, 4.0]]).expand(len(frames), 3),
                      torch.tensor(frames))


def test_its_views_have_no_pose_and_an_unknown_mask_is_nowhere_certain(filmed):
    without, with_mask = load_capture(filmed).views()
    assert without.pose is None and with_mask.pose is None
    assert not without.certain.any() and not without.mask.any()
    assert with_mask.certain.all() and with_mask.mask.sum() == 80 * 30
    assert torch.equal(without.keypoints[0], torch.from_numpy(KEYPOINTS)) and with_mask.keypoints is None


def test_what_is_known_of_it_is_read(filmed):
    capture = load_capture(filmed)
    assert capture.registration is None and capture.skeleton == "body25"
    assert capture.uncalibrated == {"phone"}
    assert [shot.registered for shot in capture.shots] == [False, False]


@pytest.mark.parametrize("ask", [
    lambda capture: capture.body,
    lambda capture: capture.recording,
    lambda capture: capture.views(crop="body", size=32),
    lambda capture: capture.views(crop="loose"),
])
def test_who_needs_a_body_is_told_how_to_fit_one(filmed, ask):
    with pytest.raises(ValueError, match=f"no registration yet.*python -m anr_core fit {filmed}"):
        ask(load_capture(filmed))


def test_training_says_so_in_one_line_and_leaves_no_run(filmed, tmp_path, capsys):
    assert main(["train", str(filmed), str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"python -m anr_core fit {filmed}" in told
    assert not (tmp_path / "run").exists()


def test_a_registration_makes_it_a_capture_like_any_other(filmed):
    body, poses = in_front([1, 0])
    turned = Camera(torch.tensor([[[150.0, 0, 45], [0, 150, 60], [0, 0, 1]]]), torch.eye(3)[None],
                    torch.tensor([[0.0, 0.0, 0.1]]), size=SIZE)
    capture = write_registration(load_capture(filmed), body, poses, {"phone": turned}, fitted=[0])
    assert capture.body.shape == body.shape and not capture.uncalibrated
    assert torch.equal(capture.cameras["phone"].K, turned.K) and capture.cameras["phone"].t[0, 2] == 0.1
    assert [shot.registered for shot in capture.shots] == [True, False]
    assert capture.recording.frame.tolist() == [0, 1]
    view = capture.views(crop="body", size=64)[0]
    assert view.mask.sum() > 300 and view.size == (64, 64)


def test_a_mask_that_nobody_measured_is_the_projection_of_the_mesh_and_doubtful_at_its_outline(filmed):
    body, poses = in_front([0, 1])
    capture = write_registration(load_capture(filmed), body, poses)
    drawn, measured = capture.views()
    mesh = body(poses[:1])
    projection = drawn_mask(mesh.vertices, mesh.surface.faces, capture.cameras["phone"])
    assert torch.equal(drawn.mask[0, 0], torch.from_numpy(projection) / 255) and drawn.mask.sum() > 400
    assert 0.5 < drawn.certain.float().mean() < 0.99
    assert measured.certain.all() and measured.mask.sum() == 80 * 30


def test_a_registration_needs_a_pose_of_every_frame(filmed):
    body, poses = in_front([0])
    before = (filmed / "capture.json").read_text()
    with pytest.raises(ValueError, match="no pose of frame 1"):
        write_registration(load_capture(filmed), body, poses)
    assert (filmed / "capture.json").read_text() == before and not (filmed / "poses.npz").exists()


def test_what_is_killed_while_it_registers_leaves_a_capture(filmed, monkeypatch):
    body, poses = in_front([0, 1])

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("anr_core.capture.changing.json.dumps", killed)
    with pytest.raises(KeyboardInterrupt):
        write_registration(load_capture(filmed), body, poses)
    assert json.loads((filmed / "capture.json").read_text())["body"] == {"model": None}
    assert load_capture(filmed).registration is None
    assert not list(filmed.glob(".new*"))
