import json
import math
import shutil

import numpy as np
import pytest
import torch

from anr_core.capture import load_capture
from anr_core.capture.changing import write_joints
from anr_core.capture.joints import Joints
from anr_core.capture.keypoints import write_keypoints
from anr_core.cli import main
from anr_core.lifting import Examples, people
from anr_core.lifting import examples as made_up
from anr_core.prepare import lifter
from anr_core.prepare.lift import lift
from anr_core.prepare.lifter import kept_lifter, save_lifter, train_lifter
from anr_core.skeleton import COCO23
from tests.posed_capture import make_posed_capture


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lift") / "capture"
    make_posed_capture(folder)
    return folder


@pytest.fixture
def capture(source, tmp_path):
    shutil.copytree(source, tmp_path / "capture")
    return tmp_path / "capture"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A small regressor that learns for ten steps."""
    def trained(examples, minutes):
        return train_lifter(examples, minutes, 64, steps=10)

    monkeypatch.setattr(made_up, "POOL", 200)
    monkeypatch.setattr(people, "SHAPES", 4)
    monkeypatch.setattr(lifter, "BATCH", 32)
    monkeypatch.setattr("anr_core.lifting.lifter.SAMPLE", 100)
    monkeypatch.setattr("anr_core.prepare.lift.EXERCISES", 1)
    monkeypatch.setattr("anr_core.prepare.lift.train_lifter", trained)


def changed(folder, change):
    """The capture with other keypoints."""
    table = {key: points.clone() for key, points in load_capture(folder).keypoints.items()}
    change(table)
    write_keypoints(folder / "keypoints.npz", table)
    return folder


def test_lifted_joints_are_in_the_capture_at_every_frame(capture, capsys):
    made = lift(capture)
    assert made.joints.skeleton == "coco23" and made.joints.lifted and list(made.joints.points) == [4, 6, 8]
    assert all(points.shape == (23, 4) and points.isfinite().all() for points in made.joints.points.values())
    said = capsys.readouterr().out
    assert "3 frames lifted, through front, side" in said
    assert "train: MPJPE / N-MPJPE / P-MPJPE" in said and "the mean pose" in said


def test_a_second_call_takes_the_lifter_that_is_kept(capture, monkeypatch):
    first = lift(capture)
    monkeypatch.setattr("anr_core.prepare.lift.train_lifter", None)
    second = lift(capture)
    for frame, points in first.joints.points.items():
        torch.testing.assert_close(second.joints.points[frame], points)


def test_a_lifter_of_something_else_or_a_broken_one_is_not_taken(tmp_path):
    made = train_lifter(Examples(COCO23), 1, 64, steps=2)
    file = tmp_path / "lifter.safetensors"
    save_lifter(made, {"skeleton": "coco23"}, file)
    again = kept_lifter(file, {"skeleton": "coco23"}, COCO23)
    torch.testing.assert_close(again.mean, made.mean)
    seen = torch.randn(2, 23, 3)
    torch.testing.assert_close(again(seen, COCO23), made(seen, COCO23))
    assert kept_lifter(file, {"skeleton": "body25"}, COCO23) is None
    file.write_bytes(b"broken")
    with pytest.raises(ValueError, match="--again"):
        kept_lifter(file, {"skeleton": "coco23"}, COCO23)


def test_a_lifter_answers_mirror_images_with_mirror_images():
    made, seen = train_lifter(Examples(COCO23), 1, 64, steps=2), torch.randn(2, 23, 3)
    across, mirror = torch.tensor([-1.0, 1, 1]), list(COCO23.mirror)
    torch.testing.assert_close(made((seen * across)[:, mirror], COCO23),
                               (made(seen, COCO23) * across)[:, mirror])


def test_training_lowers_the_distance():
    examples = Examples(COCO23)
    batch = examples(1000, 100)
    one, other = (train_lifter(examples, 1, 64, steps=steps) for steps in (1, 80))
    off = [float((made(batch.seen, COCO23) - batch.joints).norm(dim=-1).mean()) for made in (one, other)]
    assert off[1] < 0.8 * off[0]


def test_frames_without_enough_keypoints_are_left_out_by_name(capture, capsys):
    def hide(table):
        for camera in ("front", "side"):
            table[camera, 6][5:, 2] = 0
        table["side", 8][:, 0] = math.nan

    made = lift(changed(capture, hide))
    said = capsys.readouterr().out
    assert "front: too few keypoints in 1 pictures, which are left out: 6" in said
    assert "side: too few keypoints in 2 pictures, which are left out: 6, 8" in said
    assert list(made.joints.points) == [4, 8]


def test_nothing_seen_at_all_is_an_error(capture):
    def hide(table):
        for points in table.values():
            points[..., 2] = 0

    with pytest.raises(ValueError, match="No picture of .* has 6 keypoints"):
        lift(changed(capture, hide))
    assert load_capture(capture).joints is None


def test_a_capture_without_keypoints_is_to_be_annotated_first(capture):
    file = capture / "capture.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"keypoints": None}))
    with pytest.raises(ValueError, match="annotate"):
        lift(capture)


def test_joints_that_the_source_knew_are_kept_unless_told(capture):
    known = Joints.of("human36m", np.array([4, 8]), np.ones((2, 17, 3)))
    assert not write_joints(load_capture(capture), known).joints.lifted
    with pytest.raises(ValueError, match="--again replaces"):
        lift(capture)
    assert lift(capture, again=True).joints.skeleton == "coco23"


def test_guessed_cameras_lift_alone(capture):
    file = capture / "capture.json"
    index = json.loads(file.read_text())
    index["cameras"]["side"]["calibrated"] = False
    file.write_text(json.dumps(index))
    with pytest.raises(ValueError, match="--cameras front"):
        lift(capture)
    assert len(lift(capture, cameras=["side"]).joints.points) == 3


def test_bad_options_are_told_in_one_line(capture, capsys):
    assert main(["lift", str(capture), "--cameras", "top"]) == 2
    assert "Camera top has no keypoints" in capsys.readouterr().err
    assert main(["lift", str(capture), "--minutes", "0"]) == 2
    assert "--minutes is 0" in capsys.readouterr().err
    assert main(["lift", str(capture), "--run", str(capture.parent / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_lifts(capture, capsys):
    assert main(["lift", str(capture), "--cameras", "front"]) == 0
    assert "3 frames lifted, through front" in capsys.readouterr().out


def test_a_run_without_a_lifter_says_so(capture, monkeypatch):
    monkeypatch.setattr("anr_core.avatars.run.load_avatar", lambda run: object())
    with pytest.raises(ValueError, match="has no lifter of its own"):
        lift(capture, run="run")


def test_broken_joints_are_refused(capture):
    lift(capture)
    (capture / "joints.npz").write_bytes(b"broken")
    with pytest.raises(ValueError, match="joints.npz is missing or broken"):
        load_capture(capture)
    with pytest.raises(ValueError, match="expected"):
        Joints.of("human36m", np.array([1]), np.ones((1, 16, 3)))
