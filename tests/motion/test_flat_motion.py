"""Motions in a picture, read from JSON and from captures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anr_core.motion.keypoints import FlatMotion, flat_motion, read_flat_motion
from anr_core.skeleton import BODY25, COCO17
from tests.conftest import REAL_CAPTURES
from tests.motion.flat import film, joint


def write(folder: Path, motion: FlatMotion, skip=(), others=()) -> Path:
    """OpenPose's JSON, one a frame; `others` are further people, (25, 3)."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame, points in zip(motion.frames.tolist(), motion.points.numpy(), strict=True):
        people = [] if frame in skip else [*others, points]
        (folder / f"dance_{frame:06d}_keypoints.json").write_text(json.dumps(
            {"people": [{"pose_keypoints_2d": np.ravel(one).tolist()} for one in people]}))
    return folder


@pytest.fixture
def walk():
    return film(torch.full((12,), 400.0), 300, 320.0 + torch.arange(12))


def test_a_folder_of_json_is_a_motion_whose_rate_is_assumed_and_said(walk, tmp_path):
    found = read_flat_motion(write(tmp_path, walk))
    assert torch.allclose(found.points, walk.points) and found.skeleton == BODY25 and found.size is None
    assert found.fps == 30 and "30 are assumed" in found.notes[0]
    told = read_flat_motion(tmp_path, fps=12)
    assert told.fps == 12 and told.notes == () and told.seconds == pytest.approx(11 / 12)


def test_json_may_lie_in_a_folder_of_its_own(walk, tmp_path):
    write(tmp_path / "openpose_json", walk)
    assert len(read_flat_motion(tmp_path).frames) == 12


def test_one_of_several_people_is_followed_and_frames_without_her_are_left_out(walk, tmp_path):
    small = walk.points[0].numpy() * np.float32([0.2, 0.2, 1])
    found = read_flat_motion(write(tmp_path, walk, skip=(3, 4), others=[small]))
    assert found.frames.tolist() == [0, 1, 2, *range(5, 12)]
    assert torch.allclose(joint(found, "neck")[:, 0], joint(walk, "neck")[found.frames, 0], atol=1e-3)


def test_between_frames_points_are_between(walk):
    found = replace(walk, points=walk.points.clone())
    found.points[5, 0, 2] = 0
    there = found.at(torch.tensor([0.0, 2.5, 4.2, 4.8, 20.0]))
    assert torch.allclose(there.points[1], (walk.points[2] + walk.points[3]) / 2)
    assert torch.equal(there.points[4], walk.points[11]) and torch.equal(there.points[0], walk.points[0])
    assert torch.equal(there.points[2, 0], walk.points[4, 0]) and float(there.points[3, 0, 2]) == 0


def test_a_capture_shows_what_one_of_its_cameras_saw(small_capture):
    points = {("cam01", frame): torch.cat([torch.rand(17, 2), torch.ones(17, 1)], 1) for frame in (0, 8)}
    capture = replace(small_capture, skeleton="coco17", keypoints=points)
    found = flat_motion(capture)
    assert found.skeleton == COCO17 and found.frames.tolist() == [0, 8] and found.fps == capture.fps
    assert found.size == capture.cameras["cam01"].size
    with pytest.raises(ValueError, match="Camera moon has no keypoints in .*; those that have: cam01"):
        flat_motion(capture, "moon")
    with pytest.raises(ValueError, match="has no keypoints. Find them: python -m anr_core annotate"):
        flat_motion(replace(capture, keypoints={}))


def test_what_is_no_motion_is_said_in_one_line(walk, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no keypoints. Give a folder of OpenPose's JSON"):
        read_flat_motion(tmp_path / "none")
    with pytest.raises(ValueError, match="shows nobody: its 12 files hold no person"):
        read_flat_motion(write(tmp_path / "nobody", walk, skip=range(12)))
    with pytest.raises(ValueError, match="points that are NaN"):
        broken = walk.points.numpy().copy()
        broken[4, 3, 0] = np.nan
        write(tmp_path / "nan", film(torch.full((12,), 400.0), 300, 320))
        (tmp_path / "nan" / "dance_000004_keypoints.json").write_text(json.dumps(
            {"people": [{"pose_keypoints_2d": broken[4].ravel().tolist()}]}))
        read_flat_motion(tmp_path / "nan")
    with pytest.raises(ValueError, match="0 frames a second; give a positive"):
        read_flat_motion(write(tmp_path / "walk", walk), fps=0)
    with pytest.raises(ValueError, match="12 frames of 25 points"):
        replace(walk, points=walk.points[:5])
    with pytest.raises(ValueError, match="NaN"):
        replace(walk, points=walk.points * torch.nan)
    with pytest.raises(ValueError, match="shows nobody"):
        replace(walk, points=walk.points * 0)


def test_the_dancer_has_hands_and_a_face():
    if not (REAL_CAPTURES / "dancer-2d").is_dir():
        pytest.skip(f"dancer-2d is not in {REAL_CAPTURES}; set ANR_DATA to the folder that holds it")
    found = read_flat_motion(REAL_CAPTURES / "dancer-2d")
    assert found.points.shape == (60, 135, 3) and (found.points[:, 25:, 2] > 0.3).any()
