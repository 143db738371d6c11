"""How large people are, and what several cameras tell of it."""

import pytest
import torch

from anr_core.camera import Camera, orbit
from anr_core.lifting import Examples, in_world, root, size, size_seen
from anr_core.lifting.people import made_up_people
from anr_core.skeleton import BODY25, COCO23, FLAME
from anr_core.skeleton.bones import bone_lengths


def test_size_grows_with_the_person_and_not_with_the_pose():
    joints = made_up_people(COCO23, 48, torch.Generator().manual_seed(0))
    torch.testing.assert_close(size(1.3 * joints, COCO23), 1.3 * size(joints, COCO23))
    assert 0.7 < float(size(joints, COCO23).min()) and float(size(joints, COCO23).max()) < 1.5
    other = made_up_people(BODY25, 48, torch.Generator().manual_seed(0))
    assert float((size(other, BODY25) / size(joints, COCO23) - 1).abs().max()) < 0.1


def test_bones_that_are_not_known_do_not_count():
    joints = made_up_people(COCO23, 4, torch.Generator().manual_seed(0))
    spoiled, known = joints.clone(), torch.ones(4, 23)
    spoiled[:, 9], known[:, 9] = 100.0, 0
    assert float((size(spoiled, COCO23, known) / size(joints, COCO23) - 1).abs().max()) < 0.1
    assert size(joints, COCO23, torch.zeros(4, 23)).tolist() == [1.0] * 4
    assert size(torch.randn(2, 5, 3), FLAME).tolist() == [1.0, 1.0]


def test_examples_are_of_people_of_one_size():
    batch = Examples(COCO23)(3, 64)
    torch.testing.assert_close(size(batch.joints, COCO23), torch.ones(64), atol=1e-4, rtol=0)


def two_cameras(apart):
    return orbit(torch.zeros(2, 3), torch.tensor([0.0, apart]), 0.1, 4.0, 0.6, (500, 500), (0, 0, 1))


def keypoints(cameras, joints):
    pixels, _ = cameras.project(joints.expand(2, -1, -1))
    return torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1)


def test_two_cameras_tell_the_size_and_one_place_does_not():
    joints = made_up_people(COCO23, 1, torch.Generator().manual_seed(0))
    moment = torch.zeros(2, dtype=torch.long)
    cameras = two_cameras(1.5)
    guess = (joints / 1.25).expand(2, -1, -1)
    told = size_seen(keypoints(cameras, joints), guess, cameras, moment)
    assert float(told) == pytest.approx(1.25, abs=1e-3)
    same = two_cameras(0.0)
    assert not size_seen(keypoints(same, joints), guess, same, moment).isfinite().any()
    alone = Camera.cat([cameras[0], cameras[0]])
    apart = torch.tensor([0, 1])
    assert not size_seen(keypoints(alone, joints), guess, alone, apart).isfinite().any()


def test_rays_that_cross_decide_and_one_ray_leaves_the_depth_as_guessed():
    joints = made_up_people(COCO23, 1, torch.Generator().manual_seed(0))
    guess = joints + 0.05 * torch.randn(1, 23, 3, generator=torch.Generator().manual_seed(1))
    cameras = two_cameras(1.5)
    seen = keypoints(cameras, joints)
    together = in_world(seen, guess.expand(2, -1, -1), cameras, torch.zeros(2, dtype=torch.long))
    assert float((together[0, :, :3] - joints[0]).norm(dim=-1).mean()) < 0.01
    alone = in_world(seen[:1], joints, cameras[0])
    assert float((alone[0, :, :3] - joints[0]).norm(dim=-1).mean()) < 0.02


def test_everybody_gets_the_bones_of_the_person_who_will_be_seen():
    person = made_up_people(COCO23, 1, torch.Generator().manual_seed(5))
    person = torch.nn.functional.pad(person, (0, 1), value=1.0)
    lengths = bone_lengths(person, COCO23)
    examples = Examples(COCO23, given=1.2 * person[..., :3], bones=lengths)
    poses = examples._poses(0, 64, torch.Generator().manual_seed(0))
    rows = [COCO23.edges.index(edge) for edge in ((5, 7), (7, 9), (11, 13), (13, 15))]
    start, end = torch.tensor([COCO23.edges[row] for row in rows]).T
    found = (poses[:, start, :3] - poses[:, end, :3]).norm(dim=-1)
    torch.testing.assert_close(found, lengths[rows].expand(64, -1), atol=1e-4, rtol=0)
    assert float(root(poses[..., :3], COCO23).abs().max()) < 1e-5
