"""Conventions of pose parameters: the same numbers of a file, posed here, are the file's mesh."""

import numpy as np
import pytest
import torch

from anr_core.body import Pose
from anr_core.body.conventions import (
    easymocap_from_pose,
    pose_from_easymocap,
    pose_from_smplx,
    resting_pelvis,
    translation_about_origin,
    translation_about_pelvis,
)
from anr_core.body.smpl import SmplBody
from tests.body.test_smpl import blend_skinning, rotation, tiny_model, write

pytest.importorskip("smplx")

RNG = np.random.default_rng(3)


def body_of(tmp_path, model_type="smpl", **options):
    model = tiny_model(model_type)
    return model, SmplBody(write(tmp_path / "model.pkl", model), model_type, **options).double()


def easymocap_mesh(model, betas, poses, Rh, Th):
    """A mesh as EasyMocap poses it: skinned with the poses' own root, then turned about the origin."""
    vertices, _ = blend_skinning(model, betas, torch.from_numpy(poses.reshape(-1, 3)), 0)
    return vertices @ rotation(Rh).T + Th


def parameters(joints, batch=2, root=0.0):
    poses = RNG.normal(size=(batch, 3 * joints)) * 0.4
    poses[:, :3] *= root
    return poses, RNG.normal(size=(batch, 3)), RNG.normal(size=(batch, 3))


def test_a_turn_about_the_origin_by_hand():
    """A quarter turn about Z takes a pelvis at (1, 0, 0) to (0, 1, 0): about itself it would have stayed."""
    quarter, zero, pelvis = torch.tensor([[0, 0, np.pi / 2]]), torch.zeros(1, 3), torch.tensor([1.0, 0, 0])
    found = translation_about_pelvis(quarter, zero, pelvis)
    torch.testing.assert_close(found, torch.tensor([[-1.0, 1, 0]]))
    torch.testing.assert_close(translation_about_origin(quarter, found, pelvis), zero, atol=1e-6, rtol=0)


@pytest.mark.parametrize("root", [0.0, 1.0])
def test_easymocap_parameters_pose_the_mesh_that_easymocap_poses(tmp_path, root):
    betas = np.linspace(-1, 1, 10)
    model, body = body_of(tmp_path, betas=betas)
    poses, Rh, Th = parameters(24, root=root)
    pose = pose_from_easymocap(poses, Rh, Th, resting_pelvis(body))
    for i, vertices in enumerate(body(pose).vertices):
        expected = easymocap_mesh(model, betas, poses[i], Rh[i], Th[i])
        np.testing.assert_allclose(vertices, expected, atol=1e-6)


def test_parameters_fitted_without_pose_blend_shapes_are_posed_without_them(tmp_path):
    model, body = body_of(tmp_path, pose_blend_shapes=False)
    poses, Rh, Th = parameters(24, batch=1)
    vertices = body(pose_from_easymocap(poses, Rh, Th, resting_pelvis(body))).vertices[0]
    plain = dict(model, posedirs=np.zeros_like(model["posedirs"]))
    expected = easymocap_mesh(plain, np.zeros(10), poses[0], Rh[0], Th[0])
    np.testing.assert_allclose(vertices, expected, atol=1e-6)
    with_them = easymocap_mesh(model, np.zeros(10), poses[0], Rh[0], Th[0])
    assert np.abs(expected - with_them).max() > 0.01


@pytest.mark.parametrize("model_type", ["smpl", "smplh", "smplx"])
def test_there_and_back_changes_nothing(model_type):
    count = {"smpl": 23, "smplh": 51, "smplx": 54}[model_type]
    pelvis = RNG.normal(size=3)
    pose = Pose(*(torch.from_numpy(RNG.normal(size=shape)) for shape in ((4, count, 3), (4, 3), (4, 3))))
    written = easymocap_from_pose(pose, pelvis)
    again = pose_from_easymocap(**written, pelvis=pelvis, model_type=model_type)
    for name in ("rotations", "root_rotation", "root_translation"):
        torch.testing.assert_close(getattr(again, name), getattr(pose, name))
    rewritten = easymocap_from_pose(again, pelvis)
    for name in written:
        np.testing.assert_allclose(rewritten[name], written[name], atol=1e-12)


def test_69_values_are_the_72_without_the_root_and_a_single_frame_needs_no_batch():
    poses, Rh, Th = parameters(24, batch=1)
    whole = pose_from_easymocap(poses, Rh, Th, np.ones(3))
    for given in ((poses[:, 3:], Rh, Th), (poses[0], Rh[0], Th[0]), (poses[0, 3:], Rh, Th[0])):
        other = pose_from_easymocap(*given, np.ones(3))
        torch.testing.assert_close(other.rotations, whole.rotations)
        torch.testing.assert_close(other.root_translation, whole.root_translation)


@pytest.mark.parametrize(("model_type", "count", "whole"), [("smplh", 78, 52), ("smplx", 87, 55)])
def test_hand_components_become_finger_joints(model_type, count, whole):
    """Six components a hand after the body's 66 values, jaw and eyes last; joints have another order."""
    hands = [(RNG.normal(size=(45, 45)), RNG.normal(size=45)) for _ in range(2)]
    poses = RNG.normal(size=(2, count))
    poses[:, :3] = 0
    zero = np.zeros((2, 3))
    pose = pose_from_easymocap(poses, zero, zero, np.zeros(3), model_type, hands)
    assert pose.rotations.shape == (2, whole - 1, 3)
    np.testing.assert_allclose(pose.rotations[:, :21].flatten(1), poses[:, 3:66])
    left, right = (sum(poses[:, [start + i]] * components[i] for i in range(6)) + mean
                   for start, (components, mean) in zip((66, 72), hands, strict=True))
    np.testing.assert_allclose(pose.rotations[:, -30:-15].flatten(1), left)
    np.testing.assert_allclose(pose.rotations[:, -15:].flatten(1), right)
    np.testing.assert_allclose(pose.rotations[:, 21:-30].flatten(1), poses[:, 78:])
    with pytest.raises(ValueError, match="6 components each"):
        pose_from_easymocap(poses, zero, zero, np.zeros(3), model_type)


def test_smplx_parameters_are_ours(tmp_path):
    model, body = body_of(tmp_path)
    poses, _, translation = parameters(24, root=1.0)
    vertices = body(pose_from_smplx(poses, translation)).vertices
    for i in range(2):
        turns = torch.from_numpy(poses[i].reshape(-1, 3))
        expected, _ = blend_skinning(model, np.zeros(10), turns, translation[i])
        np.testing.assert_allclose(vertices[i], expected, atol=1e-6)


def test_parameters_of_another_model_or_count_are_refused():
    zero = np.zeros((1, 3))
    with pytest.raises(ValueError, match=r"hold 70 values, but smpl takes one of \[69, 72\]"):
        pose_from_easymocap(np.zeros((1, 70)), zero, zero, np.zeros(3))
    with pytest.raises(ValueError, match="don't belong together"):
        pose_from_easymocap(np.zeros((2, 72)), zero, zero, np.zeros(3))
    with pytest.raises(ValueError, match="don't belong together"):
        pose_from_smplx(np.zeros((2, 72)), zero)
