import pytest
import torch

from anr_core.body.anny import AnnyBody, Rest, rest_from_shape
from anr_core.lifting import Examples, examples, people
from anr_core.lifting.hiding import hidden_by_body
from anr_core.lifting.people import knows, made_up_people, people_by_chance, random_poses, random_shapes
from anr_core.lifting.variation import limbs, varied
from anr_core.skeleton import ANNY, BODY25, BODY25B, COCO17, COCO23
from anr_core.skeleton.detailed import HUMAN36M, PANOPTIC


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    monkeypatch.setattr(examples, "POOL", 300)
    monkeypatch.setattr(people, "SHAPES", 4)


def test_made_up_people_hang_their_elbows_and_stand_on_both_feet():
    natural, anyhow = (make(COCO23, 400, torch.Generator().manual_seed(1))
                       for make in (made_up_people, people_by_chance))
    elbow, ankles = COCO23.names.index("left_elbow"), [COCO23.names.index(f"{side}_ankle")
                                                       for side in ("left", "right")]
    ends = [COCO23.names.index(name) for name in ("left_shoulder", "left_wrist")]
    more, fewer = ((joints[:, elbow, 2] < joints[:, ends, 2].mean(1)).float().mean()
                   for joints in (natural, anyhow))
    assert more > fewer + 0.1
    even, odd = ((joints[:, ankles[0], 2] - joints[:, ankles[1], 2]).abs().median()
                 for joints in (natural, anyhow))
    assert even < 0.7 * odd


@pytest.mark.parametrize("name, skeleton", [("coco23", COCO23), ("body25", BODY25)])
def test_made_up_people_have_the_keypoints_of_annys_mesh(name, skeleton):
    random = torch.Generator().manual_seed(4)
    made = people_by_chance(skeleton, 3, random)
    random = torch.Generator().manual_seed(4)
    rest, body = rest_from_shape(random_shapes(3, random)), AnnyBody()
    for row in range(3):
        one = Rest(rest.vertices[row:row + 1], rest.steps[row:row + 1], rest.joint_from_rest[row:row + 1])
        posed = body.posed(one, random_poses(1, random))
        torch.testing.assert_close(made[row], body.keypoints(posed, name)[0], atol=1e-4, rtol=0)


def test_anny_knows_bodies_but_no_faces():
    assert all(knows(skeleton) for skeleton in (COCO17, COCO23, BODY25, BODY25B, HUMAN36M, ANNY))
    assert not knows(PANOPTIC)


def test_a_step_gives_the_same_bytes_whoever_asks_and_whenever():
    one, other = Examples(COCO23, seed=3), Examples(COCO23, seed=3)
    one(7, 16)
    for step in (700, 2):
        first, second = one(step, 16), other(step, 16)
        assert torch.equal(first.seen, second.seen) and torch.equal(first.joints, second.joints)
    assert not torch.equal(one(2, 16).seen, one(3, 16).seen)
    assert not torch.equal(one(2, 16).seen, Examples(COCO23, seed=4)(2, 16).seen)


def test_examples_are_people_seen_upright_from_all_sides():
    batch = Examples(COCO23)(0, 2000)
    assert batch.seen.isfinite().all() and batch.joints.isfinite().all() and bool((batch.known == 1).all())
    names = COCO23.names.index
    head, ankle = batch.joints[:, names("nose"), 1], batch.joints[:, names("left_ankle"), 1]
    assert (head < ankle).float().mean() > 0.85  # +Y is down
    across = batch.joints[:, names("left_hip")] - batch.joints[:, names("right_hip")]
    azimuth = torch.atan2(across[:, 2], across[:, 0])
    assert torch.histc(azimuth, 8, -torch.pi, torch.pi).min() > 2000 / 8 * 0.6
    hidden = (batch.seen[..., 2] == 0).float().mean()
    assert 0.1 < hidden < 0.5
    assert not batch.seen[batch.seen[..., 2] == 0].any()


def test_given_poses_are_learned_from_and_alone_where_anny_lacks_joints():
    given = torch.randn(4, 117, 3)
    batch = Examples(PANOPTIC, given=given, up=(0.0, -1.0, 0.0))(0, 32)
    assert batch.seen.shape == (32, 117, 3)
    with pytest.raises(ValueError, match="Give joints"):
        Examples(PANOPTIC)
    with pytest.raises(ValueError, match=r"expected \(n, 23, 3 or 4\)"):
        Examples(COCO23, given=torch.zeros(4, 17, 3))


def test_joints_that_are_not_known_of_given_poses_are_not_learned():
    given = torch.randn(4, 17, 4)
    given[..., 3] = 1
    given[:, 5, 3], given[0, 0, 0] = 0, torch.nan
    batch = Examples(HUMAN36M, given=given)(0, 64)
    assert bool((batch.known == 0).any()) and batch.joints.isfinite().all()
    assert not batch.seen[batch.known == 0].any()


def test_a_limb_of_another_keeps_its_length_and_place_at_the_trunk():
    random = torch.Generator().manual_seed(0)
    poses = torch.nn.functional.pad(made_up_people(COCO23, 50, random), (0, 1), value=1.0)
    made = varied(poses, COCO23, 200, random)
    name = COCO23.names.index
    one, other = name("left_shoulder"), name("left_elbow")
    lengths = (made[:, other, :3] - made[:, one, :3]).norm(dim=1)
    known = (poses[:, other, :3] - poses[:, one, :3]).norm(dim=1)
    assert ((lengths[:, None] - known).abs().amin(1) < 1e-4).all()
    mixes = {tuple(pose[[name("left_wrist"), name("right_ankle")]].flatten().tolist()) for pose in made}
    assert len(mixes) > 50


def test_limbs_reach_from_shoulder_and_hip_to_fingers_and_toes():
    found = limbs(COCO23)
    assert {COCO23.names[row] for row in found["left", "hip"]} == {
        "left_knee", "left_ankle", "left_big_toe", "left_small_toe", "left_heel"}
    assert len(limbs(PANOPTIC)["right", "shoulder"]) == 22


def test_a_back_hides_the_face_and_nothing_hides_the_nearer_side():
    body = AnnyBody()
    points = body.keypoints(body(body.rest_pose()), "coco23")
    name = COCO23.names.index
    to_front = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # the person looks along -Y
    front = (points - points.mean(1, keepdim=True)) @ to_front.T + torch.tensor([0, 0, 4.0])
    behind = front * torch.tensor([-1.0, 1, -1]) + torch.tensor([0, 0, 8.0])
    assert not hidden_by_body(front, COCO23)[0, name("nose")]
    assert hidden_by_body(behind, COCO23)[0, name("nose")]
    assert hidden_by_body(front, COCO23).float().mean() < 0.15
