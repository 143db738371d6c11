"""SMPL's family as a fit moves it, with model files in the published structure that hold Anny's shape."""

from dataclasses import replace

import pytest
import torch

from anr_core.body.anny import AnnyBody
from anr_core.body.smpl import keypoint_mix
from anr_core.prepare.fitting.initialisation import facings
from anr_core.prepare.fitting.puppet import KEYPOINT_NAMES, Puppet, keypoints_of
from anr_core.prepare.fitting.smpl_puppet import SmplPuppet
from anr_core.skeleton import COCO23, SMPL, SMPL_KEYPOINTS, SMPL_PICKED, SMPLX, joints_for_anny, mirrored

pytest.importorskip("smplx")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_models")]

UP = torch.tensor([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def puppet(own_models):
    return SmplPuppet("smpl")


@pytest.fixture(scope="module")
def anny():
    return Puppet()


def someone(puppet, count=3):
    """A motion in which every control takes part."""
    some = torch.Generator().manual_seed(4)
    motion = puppet.typical(facings(UP, count), torch.randn(count, 3, generator=some))
    wild = 0.2 * torch.randn(motion.controls.shape, generator=some)
    return replace(motion, controls=motion.controls + wild, turn=0.3 * torch.randn(count, 3, generator=some),
                   build=torch.linspace(-1.5, 1.5, len(motion.build)))


# the puppet is the body

@pytest.mark.parametrize("openpose", [True, False])
def test_the_puppets_keypoints_are_those_of_the_posed_body(openpose):
    puppet = SmplPuppet("smpl", openpose)
    motion = someone(puppet)
    body = puppet.person(puppet.shape(motion.build))
    names, expected = (KEYPOINT_NAMES, "body25") if openpose else (COCO23.names, "coco23")
    rows = [KEYPOINT_NAMES.index(name) for name in names]
    found = keypoints_of(puppet, motion)[:, rows]
    assert (found - body.keypoints(body(puppet.pose(motion)), expected)).abs().max() < 1e-4


@pytest.mark.parametrize("model_type", ["smplh", "smplx"])
def test_of_models_with_fingers_too_whose_hands_and_face_rest(model_type):
    puppet = SmplPuppet(model_type)
    motion = someone(puppet)
    body, pose = puppet.person(puppet.shape(motion.build)), puppet.pose(motion)
    assert (keypoints_of(puppet, motion) - body.keypoints(body(pose), "body25")).abs().max() < 1e-4
    names = puppet.body.skeleton.names
    rest = [names.index(name) - 1 for name in ("jaw", "left_index1", "right_thumb2", "left_eyeball")
            if name in names]
    assert len(rest) >= 2 and float(pose.rotations[:, rest].abs().max()) < 1e-3  # flat hands, closed mouth


def test_single_vertices_are_those_of_the_posed_body_bent_as_the_pose_bends_them(puppet):
    motion, vertex = someone(puppet), torch.arange(0, 6890, 53).repeat(2, 1)
    body, rows = puppet.person(puppet.shape(motion.build)), torch.tensor([2, 0])
    rested = puppet.rested(motion.build)
    basis, mean = puppet.resting(vertex[0])
    rest = (mean + torch.tensordot(rested.coefficients, basis, 1)).T + puppet.bends(motion, rows, vertex)
    found = puppet.vertices_at(puppet.carry(motion, rested), rows, rest, puppet.weights[vertex])
    assert (found - body(puppet.pose(motion)).vertices[rows[:, None], vertex]).abs().max() < 1e-4


def test_controls_turn_smpl_as_they_turn_anny(puppet, anny):
    """The same motion of both: each limb points the same way, the person's left one to the left."""
    motion = replace(someone(anny), build=anny.build_mean)
    theirs = keypoints_of(anny, motion)
    mine = keypoints_of(puppet, replace(motion, build=torch.zeros(10)))
    for bone in ("shoulder elbow", "elbow wrist", "hip knee", "knee ankle"):
        for side in ("left", "right"):
            one, other = (KEYPOINT_NAMES.index(f"{side}_{end}") for end in bone.split())
            ways = [torch.nn.functional.normalize(points[:, other] - points[:, one], dim=-1)
                    for points in (mine, theirs)]
            assert float((ways[0] * ways[1]).sum(-1).min()) > 0.97, (bone, side)  # 14 degrees
    apart = (mine - mine.mean(1, keepdim=True) - theirs + theirs.mean(1, keepdim=True)).norm(dim=-1)
    assert float(apart.mean()) < 0.06  # of bodies of other builds


def test_the_pelvis_is_where_the_motion_puts_it_whatever_the_shape(puppet):
    motion = someone(puppet)
    posed = puppet.person(puppet.shape(motion.build))(puppet.pose(motion))
    assert (posed.joints[:, 0] - motion.place).abs().max() < 1e-5


def test_the_rest_pose_stands_upright_and_looks_the_way_that_annys_does(puppet):
    body, anny = puppet.body, AnnyBody()
    points = [one.keypoints(one(one.rest_pose()), "body25")[0] for one in (body, anny)]
    nose, left_wrist = KEYPOINT_NAMES.index("nose"), KEYPOINT_NAMES.index("left_wrist")
    for found in points:
        assert float(found[nose, 1]) < -0.1 and float(found[nose, 2]) > 1.2
        assert float(found[left_wrist, 0]) > 0.3
    assert float(body(body.rest_pose()).vertices[..., 2].min()) == pytest.approx(0, abs=1e-4)


# names

def test_every_joint_of_anny_has_one_of_smpl_and_left_stays_left():
    for tree in (SMPL, SMPLX):
        mine, theirs = joints_for_anny(tree), AnnyBody().skeleton
        for joint, one in enumerate(mine):
            assert tree.mirror[one] == mine[theirs.mirror[joint]]
        named = dict(zip(theirs.names, (tree.names[one] for one in mine), strict=True))
        assert named["left_elbow"] == "left_elbow" and named["left_thigh"] == "left_hip"
        assert named["lumbar"] == "spine1" and named["left_small_toe2"] == "left_foot"
    assert named["left_index2"] == "left_index2"  # SMPL-X has fingers


def test_keypoints_are_mixes_whose_left_is_the_mirror_of_their_right():
    for name, mix in SMPL_KEYPOINTS.items():
        assert sum(mix.values()) == pytest.approx(1)
        assert set(mix) <= {*SMPL.names, *SMPL_PICKED}
        other = list(SMPL_KEYPOINTS)[mirrored(list(SMPL_KEYPOINTS))[list(SMPL_KEYPOINTS).index(name)]]
        exchanged = {list(mix)[mirrored(list(mix))[row]]: share for row, share in enumerate(mix.values())} \
            if len(mix) > 1 else {other: 1.0}
        assert SMPL_KEYPOINTS[other] == pytest.approx(exchanged)


def test_picked_vertices_lie_on_the_detections_of_a_real_registered_mesh(real_capture):
    """turning-person's meshes have SMPL's vertices in the published order."""
    capture = real_capture("turning-person")
    picked, _ = keypoint_mix("smpl", 6890, "body25")
    rows = [KEYPOINT_NAMES.index(name) for name in SMPL_PICKED]
    off = []
    for shot in capture.shots:
        seen = capture.keypoints[shot.camera, shot.frame][rows]
        vertices = capture.body(capture.pose(torch.tensor([shot.frame]))).vertices
        pixels = capture.cameras[shot.camera].project(vertices)[0][0, picked]
        off.append((pixels - seen[:, :2]).norm(dim=-1).where(seen[:, 2] > 0.3, torch.nan))
    assert float(torch.stack(off).nanmean(0).max()) < 12  # of 540; exchanged sides are 30 off
