import math

import pytest
import torch

from anr_core.camera import Camera, orbit
from anr_core.lifting import Examples, examples, in_world, look, place, root
from anr_core.lifting.people import made_up_people
from anr_core.skeleton import BODY25, COCO23
from anr_core.skeleton.detailed import HUMAN36M, PANOPTIC

UP = torch.tensor([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def people():
    return made_up_people(COCO23, 6, torch.Generator().manual_seed(0))


def filmed(people, camera):
    """Keypoints (B, J, 3), all sure."""
    if len(camera) == 1:
        camera = Camera.cat([camera] * len(people))
    return torch.cat([camera.project(people)[0], torch.ones_like(people[..., :1])], -1)


def around(count=6, size=(480, 640), distance=4.0, field=0.6):
    return orbit(torch.tensor([[0.1, 0.0, 0.0]]), torch.linspace(0, 5, count),
                 torch.linspace(-0.2, 0.7, count), distance, field, size, UP)


def test_focal_length_crop_and_size_make_no_difference(people):
    camera = around()
    seen = look(filmed(people, camera), camera, UP)
    for other in (camera.crop(100.0, 50.0, 300, 300), camera.resize((960, 320)),
                  around(field=0.3)):
        again = look(filmed(people, other), other, UP)
        torch.testing.assert_close(again.seen, seen.seen, atol=2e-4, rtol=0)
        torch.testing.assert_close(again.world_from_sight, seen.world_from_sight, atol=1e-4, rtol=0)


def test_a_camera_that_is_turned_on_the_spot_makes_no_difference(people):
    camera, angle = around(), 0.2
    roll = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0],
                         [0, 0, 1.0]])
    tilt = torch.tensor([[1.0, 0, 0], [0, math.cos(angle), -math.sin(angle)],
                         [0, math.sin(angle), math.cos(angle)]])
    turned = Camera(camera.K, roll @ tilt @ camera.R, (roll @ tilt @ camera.t[..., None])[..., 0])
    one, other = look(filmed(people, camera), camera, UP), look(filmed(people, turned), turned, UP)
    torch.testing.assert_close(one.seen, other.seen, atol=2e-4, rtol=0)
    torch.testing.assert_close(one.world_from_sight, other.world_from_sight, atol=1e-4, rtol=0)


def test_the_sights_axes_are_level_and_look_at_the_person(people):
    camera = around()
    sight = look(filmed(people, camera), camera, UP)
    torch.testing.assert_close(sight.world_from_sight[:, :, 1], -UP.expand(6, 3), atol=1e-6, rtol=0)
    ahead = -camera.center * torch.tensor([1.0, 1.0, 0.0])
    ahead = ahead / ahead.norm(dim=1, keepdim=True)
    assert ((sight.world_from_sight[:, :, 2] * ahead).sum(1) > 0.97).all()
    torch.testing.assert_close(sight.from_world(sight.to_world(people)), people, atol=1e-5, rtol=0)


def test_how_steep_the_line_of_sight_is_is_the_places_middle(people):
    camera = orbit(torch.zeros(1, 3), 0.3, torch.tensor([0.5]), 200.0, 0.01, (200, 200), UP)
    seen = look(filmed(people, camera), camera, UP).seen
    middle = torch.tensor([[0.0, 0.5]]).expand(6, 2)
    torch.testing.assert_close(seen[..., :2].mean(1), middle, atol=5e-3, rtol=0)


def test_hidden_and_broken_keypoints_are_nothing(people):
    camera, points = around(), filmed(people, around())
    points[0, 2] = math.nan
    points[1, :, 2] = 0
    points[2, 1:, 2] = 0.01
    points[3, 4] = torch.tensor([math.inf, 3.0, 1.0])
    seen = look(points, camera, UP)
    assert seen.seen.isfinite().all() and seen.world_from_sight.isfinite().all()
    assert not seen.seen[0, 2].any() and not seen.seen[1].any() and not seen.seen[3, 4].any()
    assert not seen.seen[2, 1:].any()
    turns = seen.world_from_sight
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(6, 3, 3), atol=1e-5, rtol=0)


def test_straight_down_and_without_gravity_there_are_still_axes(people):
    down = orbit(torch.zeros(1, 3), 0.4, torch.tensor([math.pi / 2]), 5.0, 0.6, (200, 200), UP)
    for up in (UP, None):
        turns = look(filmed(people, down), down, up).world_from_sight
        torch.testing.assert_close(torch.linalg.det(turns), torch.ones(6), atol=1e-5, rtol=0)


def test_a_weak_camera_sees_what_one_from_very_far_does(people):
    far = orbit(torch.zeros(1, 3), 0.4, torch.tensor([0.3]), 400.0, 0.006, (200, 200), UP)
    weak = far.as_weak(torch.zeros(1, 3))
    one, other = look(filmed(people, far), far, UP), look(filmed(people, weak), weak, UP)
    torch.testing.assert_close(one.seen, other.seen, atol=0.01, rtol=0)
    torch.testing.assert_close(one.world_from_sight, other.world_from_sight, atol=0.01, rtol=0)


@pytest.mark.parametrize("weak", [False, True])
def test_true_joints_are_placed_where_they_are(people, weak):
    camera = around()
    if weak:
        camera = camera.as_weak(torch.zeros(6, 3))
    relative = people - root(people, COCO23)
    points = filmed(people, camera)
    points[:, 3, :2] += 40  # a wrong one
    points[:, 5] = math.nan
    where = place(points, relative, camera)
    missed = where - root(people, COCO23)[:, 0]
    if weak:  # which tells no depth
        missed = missed - (missed * camera.R[:, 2]).sum(1, keepdim=True) * camera.R[:, 2]
    assert missed.norm(dim=1).max() < 5e-3


def test_pictures_of_one_moment_are_placed_together(people):
    camera = around()
    one = people[:1].expand(6, -1, -1)
    points, moment = filmed(one, camera), torch.tensor([0, 1, 0, 1, 0, 1])
    points[:, 7, 2] = 0
    joints = in_world(points, one - root(one, COCO23), camera, moment)
    assert joints.shape == (2, 23, 4)
    torch.testing.assert_close(joints[..., :3], people[:1].expand(2, -1, -1), atol=2e-3, rtol=0)
    assert not joints[:, 7, 3].any() and (joints[:, 8, 3] == 1).all()


def test_nothing_seen_is_placed_nowhere_and_one_keypoint_on_its_ray(people):
    camera, points = around(), filmed(people, around())
    points[0, :, 2] = 0
    points[1, 1:, 2] = 0
    where = place(points, people - root(people, COCO23), camera)
    assert where.isfinite().all() and not where[0].any()
    pixel = camera[1].project((people[1] - root(people[1], COCO23) + where[1])[None, :1])[0][0, 0]
    assert (pixel - points[1, 0, :2]).norm() < 0.5


def test_roots_are_the_skeletons_own_or_the_hips_middle():
    joints = torch.randn(2, 117, 3)
    hips = [COCO23.names.index(f"{side}_hip") for side in ("left", "right")]
    torch.testing.assert_close(root(joints[:, :23], COCO23), joints[:, hips].mean(1, keepdim=True))
    assert torch.equal(root(joints[:, :25], BODY25)[:, 0], joints[:, BODY25.names.index("middle_hip")])
    assert torch.equal(root(joints[:, :17], HUMAN36M)[:, 0], joints[:, 0])
    assert torch.equal(root(joints, PANOPTIC)[:, 0], joints[:, PANOPTIC.names.index("sternum")])


def test_what_examples_show_is_what_a_camera_would(monkeypatch):
    monkeypatch.setattr(examples, "POOL", 300)
    batch = Examples(COCO23)(0, 400)
    sure = batch.seen[..., 2] > 0
    flat = batch.joints[..., :2] - (batch.joints[..., :2] * sure[..., None]).sum(1, keepdim=True) / \
        sure.sum(1)[:, None, None].clamp(min=1)
    across, seen = flat[..., 0][sure], batch.seen[..., 0][sure]
    assert torch.corrcoef(torch.stack([across, seen]))[0, 1] > 0.9
