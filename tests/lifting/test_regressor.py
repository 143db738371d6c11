import pytest
import torch

from anr_core.lifting import PoseRegressor, pose_distance
from anr_core.lifting.regressor import parts
from anr_core.skeleton import ANNY, COCO23, SMPL
from anr_core.skeleton.detailed import HUMAN36M, PANOPTIC


@pytest.mark.parametrize("joints, width, millions", [(117, 2048, 18.24), (17, 1024, 4.31)])
def test_the_regressor_has_the_published_count_of_parameters(joints, width, millions):
    with torch.device("meta"):
        regressor = PoseRegressor(joints, width)
    assert round(sum(value.numel() for value in regressor.parameters()) / 1e6, 2) == millions


def test_keypoints_become_joints_and_gradients_reach_every_weight():
    regressor = PoseRegressor(5, 64)
    joints = regressor(torch.randn(3, 5, 3))
    assert joints.shape == (3, 5, 3)
    joints.square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in regressor.parameters())
    assert all(float(layer.weight.grad.abs().sum()) > 0 for layer in regressor.modules()
               if isinstance(layer, torch.nn.Linear))


def test_wrong_shapes_and_widths_are_refused():
    with pytest.raises(ValueError, match=r"expected \(B, 5, 3\)"):
        PoseRegressor(5, 64)(torch.zeros(2, 6, 3))
    with pytest.raises(ValueError, match="multiple of 32"):
        PoseRegressor(5, 72)
    with pytest.raises(ValueError, match="from 64 on"):
        PoseRegressor(5, 32)


def test_the_distance_is_the_mean_over_known_joints():
    joints, truth, known = torch.zeros(2, 23, 3), torch.zeros(2, 23, 3), torch.zeros(2, 23)
    truth[0, 3], truth[1, 4] = torch.tensor([0.0, 0.3, 0.4]), torch.tensor([2.0, 0.0, 0.0])
    known[0, 3], known[0, 5] = 1, 1
    torch.testing.assert_close(pose_distance(joints, truth, known, COCO23), torch.tensor(0.25))


def test_nothing_known_is_no_distance_and_equal_poses_have_a_finite_gradient():
    joints = torch.zeros(2, 23, 3, requires_grad=True)
    assert float(pose_distance(joints, torch.ones(2, 23, 3), torch.zeros(2, 23), COCO23).detach()) == 0
    pose_distance(joints, torch.zeros(2, 23, 3), torch.ones(2, 23), COCO23).backward()
    assert joints.grad.isfinite().all()


def test_a_detailed_skeleton_counts_hands_tenfold_from_the_wrist_and_the_face_fivefold_from_the_nose():
    assert [(weight, len(rows)) for weight, rows, _ in parts(PANOPTIC)] == [
        (1, 26), (10, 20), (10, 20), (5, 51)]
    truth, known = torch.zeros(1, 117, 3), torch.ones(1, 117)
    whole = truth.clone()
    whole[:, [joint for joint, name in enumerate(PANOPTIC.names) if name.startswith("left_")
              and any(finger in name for finger in ("thumb", "index", "middle", "ring", "pinky"))]] += 0.1
    far = 0.1 * 3**0.5
    assert float(pose_distance(whole, truth, known, PANOPTIC)) == pytest.approx(10 * far, abs=1e-4)
    assert float(pose_distance(truth + 0.1, truth, known, PANOPTIC)) == pytest.approx(far, abs=1e-4)


@pytest.mark.parametrize("skeleton", [COCO23, HUMAN36M, SMPL])
def test_other_skeletons_are_one_body(skeleton):
    assert [(weight, len(rows)) for weight, rows, _ in parts(skeleton)] == [(1, len(skeleton))]


def test_every_joint_belongs_to_one_part():
    for skeleton in (PANOPTIC, ANNY):
        assert sorted(row for _, rows, _ in parts(skeleton) for row in rows) == list(range(len(skeleton)))
