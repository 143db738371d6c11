"""AMASS and EasyMocap: rotations of SMPL's joints, without a body model."""

import json

import numpy as np
import pytest
import torch

from anr_core.body.conventions import translation_about_origin
from anr_core.motion import read_motion, retarget
from anr_core.skeleton import SMPL, SMPLX, T_POSE
from tests.motion.made_up import PlainBody, walk
from tests.motion.measures import played, turned_apart

PELVIS = torch.tensor([0.0, -0.22, 0.03])  # about where SMPL's rests


@pytest.fixture(scope="module")
def posed():
    """A walk in SMPL's parameters, Z up: poses (T, 72) and places (T, 3), by the size of the person."""
    def of_size(size):
        pose = retarget(walk(2.0), PlainBody(size))
        poses = torch.cat([pose.root_rotation, pose.rotations.flatten(1)], 1)
        return poses.numpy(), pose.root_translation.numpy()

    return {size: of_size(size) for size in (1.0, 0.85)}


@pytest.fixture(scope="module")
def direct(anny):
    return retarget(walk(2.0), anny)


@pytest.mark.parametrize("values", [72, 156, 165])
@pytest.mark.parametrize("rate", ["mocap_framerate", "mocap_frame_rate"])
def test_amass_moves_anny_as_the_same_walk_from_bvh(values, rate, posed, direct, anny, tmp_path):
    poses, places = posed[1.0]
    padded = np.zeros((len(poses), values))
    padded[:, :66] = poses[:, :66]
    np.savez(tmp_path / "walk.npz", poses=padded, trans=places, betas=np.zeros(16), gender="neutral",
             **{rate: 30.0})
    motion = read_motion(tmp_path / "walk.npz")
    assert motion.fps == 30 and motion.format == "AMASS"
    found = played(motion, anny)
    assert turned_apart(found.poses, direct) < 9  # fingers' ends tell where a hand points
    assert torch.allclose(found.poses.root_translation, direct.root_translation, atol=0.01)
    assert max(here for here, _ in found.slides()) < 0.008


def test_amass_of_smplx_comes_in_parts(posed, direct, anny, tmp_path):
    poses, places = posed[1.0]
    np.savez(tmp_path / "walk.npz", root_orient=poses[:, :3], pose_body=poses[:, 3:66], trans=places,
             mocap_frame_rate=30.0)
    found = retarget(read_motion(tmp_path / "walk.npz"), anny)
    assert torch.allclose(found.root_translation, direct.root_translation, atol=0.01)


def test_the_size_of_a_person_is_found_from_feet_that_stand(posed, direct, anny, tmp_path):
    for size, (poses, places) in posed.items():
        np.savez(tmp_path / "walk.npz", poses=poses, trans=places, mocap_framerate=30.0)
        motion = read_motion(tmp_path / "walk.npz")
        thigh = float(motion.rest[SMPL.names.index("left_knee")].norm())
        assert thigh == pytest.approx(0.41 * size, rel=0.02)
        assert torch.allclose(retarget(motion, anny).root_translation, direct.root_translation, atol=0.02)


def entry(row, poses, places, root):
    """EasyMocap's entry of a frame; the root stands among the poses, is zero there, or is left out."""
    turn, place = torch.from_numpy(poses[row, :3]), torch.from_numpy(places[row])
    Th = translation_about_origin(turn[None], place[None], PELVIS)[0]
    if root == "among the poses":
        Rh, all_poses = [0, 0, 0], poses[row].tolist()
        return {"id": 0, "Rh": [Rh], "Th": [Th.tolist()], "poses": [all_poses], "shapes": [[0] * 10]}
    first = [0.0] * 3 if root == "zero" else []
    return {"id": 0, "Rh": [turn.tolist()], "Th": [Th.tolist()], "poses": [first + poses[row, 3:].tolist()],
            "shapes": [[0] * 10]}


@pytest.mark.parametrize("root", ["zero", "left out", "among the poses"])
def test_easymocap_in_one_list_moves_anny_as_the_same_walk_from_bvh(root, posed, direct, anny, tmp_path):
    poses, places = posed[1.0]
    frames = [[entry(row, poses, places, root)] for row in range(len(poses))]
    (tmp_path / "walk.json").write_text(json.dumps(frames))
    motion = read_motion(tmp_path / "walk.json")
    assert motion.format == "EasyMocap" and motion.fps == 30
    assert turned_apart(retarget(motion, anny), direct) < 3


def test_easymocap_in_a_folder_of_one_a_frame_may_have_gaps(posed, direct, anny, tmp_path):
    poses, places = posed[1.0]
    for row in range(len(poses)):
        if row % 5 != 3:
            file = tmp_path / f"{row:06d}.json"
            file.write_text(json.dumps({"annots": [entry(row, poses, places, "zero")]}))
    motion = read_motion(tmp_path)
    assert len(motion) == len(poses)
    found = retarget(motion, anny)
    assert torch.allclose(found.root_translation, direct.root_translation, atol=0.03)
    assert read_motion(tmp_path, fps=50).fps == 50


@pytest.mark.parametrize("arrays, told", [
    ({"faces": np.zeros(3)}, "has no poses, so it is no motion of AMASS; it has faces"),
    ({"poses": np.zeros((4, 60)), "trans": np.zeros((4, 3))}, "poses of 60 values; expected 72, 156 or 165"),
    ({"poses": np.zeros((4, 72)), "trans": np.zeros((3, 3))}, "4 poses, but 3 places"),
    ({"poses": np.full((4, 72), np.nan), "trans": np.zeros((4, 3))}, "288 values that are NaN"),
    ({"poses": np.zeros((0, 72)), "trans": np.zeros((0, 3))}, "holds no frames"),
    ({"poses": np.zeros((4, 72)), "trans": np.zeros((4, 3)), "mocap_framerate": 0.0}, "0 frames a second"),
    ({"poses": np.array(["a"]), "trans": np.zeros((1, 3))}, "no array of numbers")])
def test_a_damaged_npz_is_one_error_that_says_what_was_found(arrays, told, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=told) as error:
        read_motion(tmp_path / "bad.npz")
    assert "bad.npz" in str(error.value) and "\n" not in str(error.value)


def test_a_truncated_npz_is_refused(tmp_path):
    np.savez(tmp_path / "whole.npz", poses=np.zeros((4, 72)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:200])
    with pytest.raises(ValueError, match="can't be read as npz"):
        read_motion(tmp_path / "cut.npz")


@pytest.mark.parametrize("content, told", [
    ("[1, 2]", "entry 0 has no Rh"), ("[]", "no frames"),
    ('[{"Rh": [0, 0, 0], "Th": [0, 0, 0], "poses": [1, 2]}]', "2 pose values; SMPL has 72"),
    ('[{"Rh": [0, 0, 0], "Th": ["a", 0, 0], "poses": [1, 2]}]', "no numbers"), ("[", "not whole JSON")])
def test_damaged_json_is_one_error(content, told, tmp_path):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(ValueError, match=told):
        read_motion(tmp_path / "bad.json")


def test_a_folder_without_frames_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no json files that are named by their frame"):
        read_motion(tmp_path)


def test_the_figure_has_all_of_smpls_joints_and_stands_upright():
    assert set(SMPL.names) <= {*T_POSE, *(name.replace("left", "right") for name in T_POSE)}
    assert set(T_POSE) <= {*SMPL.names, *SMPLX.names}
    assert T_POSE["head"][1] > T_POSE["pelvis"][1] > T_POSE["left_knee"][1] > T_POSE["left_foot"][1]
