"""Diffuse Gaussians against quadrature, against a dense picture in float64, and at their edges."""

import math
from dataclasses import replace

import pytest
import roma
import torch

from anr_core.camera import Camera, orbit, pixel_centres
from anr_core.gaussians import ALPHA, BETA, Solids, draw, render, solids_of
from anr_core.gaussians.integral import background_weight, weights, whitening
from anr_core.gaussians.solids import rotation_from_x
from anr_core.skeleton import ANNY, BODY25, COCO17, SMPL, SMPLX, Skeleton
from anr_core.skeleton.detailed import BODY25_DETAILED, HUMAN36M, PANOPTIC
from anr_core.skeleton.widths import edge_widths

BONE = Skeleton(("a", "b"), None, ((0, 1),))
LENS = torch.tensor([[-0.3, 0.1, 0.002, -0.003, 0.01]])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def scene(count=12, features=3, depth=3.0, thinnest=0.005, dtype=torch.float64):
    """Means, rotations, squared scales, appearance and background of a crowd around (0, 0, depth)."""
    means = torch.randn(count, 3, dtype=dtype) * 0.4 + torch.tensor([0, 0, depth], dtype=dtype)
    width = thinnest * 20 ** torch.rand(count, dtype=dtype)
    length = 0.02 + 0.4 * torch.rand(count, dtype=dtype)
    return (means, roma.random_rotmat(count, dtype=dtype), torch.stack([length, width, width], 1).square(),
            torch.rand(count, features, dtype=dtype), torch.rand(features, dtype=dtype))


def camera_of(size, distortion=None):
    K = torch.tensor([[[1.3 * size[1], 0, size[1] / 2], [0, 1.3 * size[1], size[0] / 2], [0, 0, 1]]])
    return Camera(K, torch.eye(3)[None], torch.zeros(1, 3), distortion, size=size)


def rays_of(camera):
    return camera.to(torch.float64).rays(pixel_centres(camera.size)[0][None].double())[1][0]


def solids(means, rotations, squared_scales):
    return Solids(means[None], rotations[None], squared_scales[None], torch.ones(1, len(means)).bool())


def image(features, size):
    return features.T.reshape(-1, *size)


def dense(rays, means, rotations, squared_scales, appearance, background, half_line=True):
    """The definition, all rays by all primitives in float64: |m x y| / |y| is how far the ray misses by."""
    rays, means, rotations, squared_scales, appearance, background = (
        value.double() for value in (rays, means, rotations, squared_scales, appearance, background))
    whiten = torch.diag_embed(squared_scales.rsqrt()) @ rotations.mT
    y = torch.einsum("nij,pj->pni", whiten, rays)
    m = torch.einsum("nij,nj->ni", whiten, means)
    a, b = y.square().sum(-1), (y * m).sum(-1)
    missed = torch.linalg.cross(y, m.expand_as(y)).square().sum(-1) / a
    integral = 0.5 * (math.pi * ALPHA / a).sqrt() * (-missed / ALPHA).exp()
    if half_line:
        integral = integral * torch.erfc(-b / (a * ALPHA).sqrt())
    weight = integral / (1 + (b / a) ** 4)
    ball = 10 ** torch.ceil(torch.log10(squared_scales.min()))
    rest = 0.5 * (math.pi * ALPHA * ball).sqrt() / (1 + (BETA * (b / a).max()) ** 4)
    total = weight.sum(1, keepdim=True) + rest
    return weight / total @ appearance + rest / total * background


def test_a_power_of_ten_stays_one_in_float32():
    squared_scales, depth = torch.tensor([0.1**2, 0.01**2, 0.02]), torch.ones(3)
    expected = torch.tensor([1e-2, 1e-4, 1e-1]).sqrt() / (1 + BETA**4)
    torch.testing.assert_close(background_weight(depth, squared_scales), expected)
    torch.testing.assert_close(background_weight(depth.double(), squared_scales.double()), expected.double())


@pytest.mark.parametrize("depth, thinnest", [(0.3, 0.005), (3.0, 0.001), (3.0, 0.1), (40.0, 0.001)])
@pytest.mark.parametrize("distortion", [None, LENS])
def test_the_integral_agrees_with_quadrature_along_the_ray(depth, thinnest, distortion):
    means, rotations, squared_scales, _, _ = scene(40, depth=depth, thinnest=thinnest)
    rays = rays_of(camera_of((64, 64), distortion))
    # through the picture, and so near to each mean that the ray meets something
    rays = torch.cat([rays[torch.randperm(4096)[:20]].expand(40, 20, 3), torch.nn.functional.normalize(
        means[:, None] + squared_scales[:, 1, None, None].sqrt() * 0.3 * torch.randn(40, 20, 3), dim=-1)], 1)
    whiten = whitening(rotations, squared_scales)
    centred = (whiten @ means[..., None])[..., 0]
    found = weights(rays, whiten, centred, True) * math.sqrt(math.pi * ALPHA) / 2
    y = (whiten[:, None] @ rays[..., None])[..., 0]
    a, b = y.square().sum(-1), (y * centred[:, None]).sum(-1)
    spread = (ALPHA / a).sqrt()
    first, last = (b / a - 9 * spread).clamp(min=0), (b / a + 9 * spread).clamp(min=0)
    # of one behind the camera the tail that reaches before it, which ends the sooner the farther it is
    last = torch.where(b < 0, (20 * ALPHA / b.abs()).minimum(9 * spread), last)
    z = first[..., None] + (last - first)[..., None] * torch.linspace(0, 1, 2001, dtype=torch.float64)
    density = (-(z[..., None] * y[:, :, None] - centred[:, None, None]).square().sum(-1) / ALPHA).exp()
    expected = torch.trapezoid(density, z) / (1 + (b / a) ** 4)
    strong = expected > 1e-200
    assert int(strong.sum()) > 500
    torch.testing.assert_close(found[strong], expected[strong], rtol=1e-4, atol=0)


@pytest.mark.parametrize("half_line", [True, False])
@pytest.mark.parametrize("distortion", [None, LENS])
def test_tiles_and_blocks_agree_with_all_rays_by_all_primitives(distortion, half_line):
    camera, things = camera_of((70, 90), distortion), scene(60)
    rays = rays_of(camera)
    expected = dense(rays, *things, half_line=half_line)
    assert float((expected - things[4]).abs().amax(1).gt(0.01).double().mean()) > 0.05
    picture = draw(solids(*things[:3]), *things[3:], camera, half_line=half_line)
    torch.testing.assert_close(picture[0], image(expected, camera.size), rtol=0, atol=1e-10)
    order = torch.randperm(len(rays))
    torch.testing.assert_close(render(rays[order], *things, half_line=half_line), expected[order], rtol=0,
                               atol=1e-10)


@pytest.mark.parametrize("half_line", [True, False])
@pytest.mark.parametrize("depth", [0.0, -2.0])
def test_they_agree_around_and_behind_the_camera_too(depth, half_line):
    camera, things = camera_of((40, 40)), scene(40, depth=depth, thinnest=0.02)
    expected = dense(rays_of(camera), *things, half_line=half_line)
    picture = draw(solids(*things[:3]), *things[3:], camera, half_line=half_line)
    torch.testing.assert_close(picture[0], image(expected, camera.size), rtol=0, atol=1e-9)


def test_half_precision_around_it_changes_little():
    camera, things = camera_of((32, 32)), [value.float() for value in scene(20)]
    leaf = things[0].clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        picture = draw(solids(leaf, *things[1:3]), *things[3:], camera)
    picture.sum().backward()
    torch.testing.assert_close(picture, draw(solids(*things[:3]), *things[3:], camera), rtol=0, atol=0.02)
    assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("depth, thinnest", [(1.0, 0.1), (3.0, 0.0075), (10.0, 0.002)])
def test_float32_agrees_with_float64(depth, thinnest):
    camera, things = camera_of((64, 64)), scene(60, depth=depth, thinnest=thinnest)
    rounded = [value.float() for value in things]
    expected = dense(rays_of(camera), *rounded)
    picture = draw(solids(*rounded[:3]), *rounded[3:], camera)
    assert picture.dtype == torch.float32
    torch.testing.assert_close(picture[0].double(), image(expected, camera.size), rtol=0, atol=1e-6)
    rays = rays_of(camera).float()
    torch.testing.assert_close(render(rays, *rounded).double(), dense(rays, *rounded), rtol=0, atol=1e-6)


def test_the_order_of_primitives_makes_no_difference():
    rays, things = rays_of(camera_of((32, 32))), scene(30)
    order = torch.randperm(30)
    shuffled = [value[order] for value in things[:4]]
    torch.testing.assert_close(render(rays, *shuffled, things[4]), render(rays, *things), rtol=0, atol=1e-12)


def test_gradients_match_finite_differences():
    means, rotations, squared_scales, appearance, background = scene(3, 2, thinnest=0.1)
    rays = rays_of(camera_of((12, 12)))[torch.randperm(144)[:5]]
    leaves = [value.clone().requires_grad_() for value in (rays, means, rotations, squared_scales * 10,
                                                           appearance, background)]
    for half_line in (True, False):
        assert torch.autograd.gradcheck(lambda *all, half=half_line: render(*all, half), leaves)
    near = [leaves[0], (means - torch.tensor([0, 0, 3.0])).requires_grad_(), *leaves[2:]]  # around the camera
    assert torch.autograd.gradcheck(render, near)


def test_gradients_of_pictures_reach_joints_features_and_the_camera_through_its_lens():
    camera = camera_of((20, 24), LENS).to(torch.float64)
    joints = torch.tensor([[[-0.4, -0.2, 3], [0.3, 0.1, 2.8]]], dtype=torch.float64)
    appearance, background = torch.rand(1, 2).double(), torch.rand(2).double()

    def picture(joints, appearance, background, K, R, t, distortion):
        moved = replace(camera, K=K, R=R, t=t, distortion=distortion)
        return draw(solids_of(joints, BONE, [0.3]), appearance, background, moved)[..., ::5, ::5]

    inputs = [value.clone().requires_grad_() for value in (joints, appearance, background, camera.K, camera.R,
                                                           camera.t, camera.distortion)]
    assert torch.autograd.gradcheck(picture, inputs, atol=1e-4)


def test_a_batch_of_cameras_draws_what_each_draws_alone():
    cameras = orbit(torch.tensor([0, 0, 3.0]), torch.tensor([0.0, 0.7, 2.0]), 0.2, torch.tensor([2.0, 3, 4]),
                    0.6, (33, 40), (0, 1, 0))
    things = scene(20)
    one = solids(*things[:3])
    together = draw(one, *things[3:], cameras)
    alone = torch.cat([draw(one, *things[3:], camera) for camera in cameras])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_what_is_behind_the_camera_is_not_seen_on_the_half_line():
    camera, appearance, background = camera_of((16, 16)), torch.ones(1, 1), torch.zeros(1)
    behind = solids(torch.tensor([[0, 0, -3.0]]), torch.eye(3)[None], torch.full((1, 3), 0.5))
    assert float(draw(behind, appearance, background, camera).max()) < 1e-30
    assert float(draw(behind, appearance, background, camera, half_line=False).max()) > 0.7  # as released
    around = replace(behind, means=torch.zeros(1, 1, 3))
    assert torch.isfinite(draw(around, appearance, background, camera)).all()


def test_nearer_primitives_cover_farther_ones_and_the_picture_is_not_mirrored():
    # two on one ray, and one down on the left
    means = torch.tensor([[0.2, -0.1, 2.0], [0.4, -0.2, 4.0], [-0.3, 0.2, 2.0]])
    drawn = draw(solids(means, torch.eye(3).expand(3, 3, 3), torch.full((3, 3), 0.04)), torch.eye(3),
                 torch.zeros(3), camera_of((64, 64)))[0]
    (x, y), (left, down) = (((means[i, :2] / means[i, 2] * 1.3 + 0.5) * 64).int().tolist() for i in (0, 2))
    assert drawn[0, y, x] > 0.85 and drawn[1, y, x] < 0.15
    assert drawn[2, down, left] > 0.9 and left < 32 < down


def test_left_out_primitives_weigh_nothing_wherever_they_are():
    camera, background = camera_of((32, 32)), torch.tensor([0.3])
    joints = torch.tensor([[[-0.3, 0, 3], [0.3, 0, 3.0]], [[-0.3, 0, 3], [math.nan, 0, 3.0]]])
    sure = torch.tensor([[1.0, 1.0], [0.9, 0.0]])
    with_one = draw(solids_of(joints, BONE, [0.3], sure), torch.ones(1, 1), background,
                    Camera.cat([camera, camera]))
    assert float(with_one[0].max()) > 0.9 and bool((with_one[1] == 0.3).all())
    things = scene(6)
    present = torch.tensor([[True, True, False, True, False, True]])
    some = draw(replace(solids(*things[:3]), present=present), *things[3:], camera)
    fewer = [value[present[0]] for value in things[:4]]
    alone = draw(solids(*fewer[:3]), fewer[3], things[4], camera)
    torch.testing.assert_close(some, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bone", [(0, 0, 0), (-1, 0, 0), (-1, 1e-5, 0), (1, 0, 0), (0, 0, 1),
                                  (-1, 1e-3, 2e-3)])
def test_any_bone_has_an_orthonormal_frame_along_it_and_finite_gradients(bone):
    joints = torch.tensor([[[0.1, 0, 3], [0.1, 0, 3]]]) + torch.tensor([[[0.0] * 3, bone]]) * 0.4
    joints.requires_grad_()
    made = solids_of(joints, BONE, [0.1])
    frame = made.rotations[0, 0]
    torch.testing.assert_close(frame.T @ frame, torch.eye(3), rtol=0, atol=1e-6)
    assert bool(torch.linalg.det(frame) > 0.99)
    direction = torch.nn.functional.normalize(torch.tensor(bone, dtype=torch.float32), dim=0)
    if any(bone):
        torch.testing.assert_close(frame[:, 0], direction, rtol=0, atol=1e-5)
    length = max(float(torch.tensor(bone, dtype=torch.float32).norm()) * 0.4, 1e-3)
    torch.testing.assert_close(made.squared_scales[0, 0], torch.tensor([length ** 2, 0.01, 0.01]))
    draw(made, torch.ones(1, 1), torch.zeros(1), camera_of((16, 16))).sum().backward()
    assert torch.isfinite(joints.grad).all()


def test_the_frame_is_the_smallest_rotation_from_the_x_axis():
    direction = torch.nn.functional.normalize(torch.randn(200, 3, dtype=torch.float64), dim=1)
    rotation = rotation_from_x(direction)
    angle = roma.rotmat_to_rotvec(rotation).norm(dim=1)
    torch.testing.assert_close(rotation[..., 0], direction)
    torch.testing.assert_close(angle.cos(), direction[:, 0])


@pytest.mark.parametrize("skeleton, joints, edges", [
    (COCO17, 17, 19), (BODY25, 25, 24), (BODY25_DETAILED, 135, 127), (HUMAN36M, 17, 16), (PANOPTIC, 117, 108),
    (ANNY, 104, 103), (SMPL, 24, 23), (SMPLX, 55, 54)])
def test_every_skeleton_becomes_primitives_with_widths_alike_on_both_sides(skeleton, joints, edges):
    assert (len(skeleton), len(set(skeleton.names)), len(skeleton.edges)) == (joints, joints, edges)
    made = solids_of(torch.randn(2, joints, 3), skeleton)
    assert made.means.shape == (2, edges, 3) and bool(made.present.all())
    edges = [frozenset(edge) for edge in skeleton.edges]
    width = dict(zip(edges, edge_widths(skeleton), strict=True))
    for edge, thick in width.items():
        assert 0.005 < thick < 0.1 and width[frozenset(skeleton.mirror[joint] for joint in edge)] == thick


def test_published_widths():
    named = {frozenset(HUMAN36M.names[joint] for joint in edge): width
             for edge, width in zip(HUMAN36M.edges, edge_widths(HUMAN36M), strict=True)}
    legs, spine, neck, arms = [.045, .075, .05] * 2, [.05] * 2, [.02] * 2, [.04, .04, .035] * 2
    assert sorted(named.values()) == sorted(legs + spine + neck + arms)
    assert named[frozenset(["left_elbow", "left_wrist"])] == 0.035
    assert set(edge_widths(PANOPTIC)) == {.075, .05, .045, .04, .035, .01, .0075}


def test_what_makes_no_sense_is_refused():
    things, rays = scene(4), rays_of(camera_of((4, 4)))
    broken = things[0].clone()
    broken[2, 1] = math.nan
    with pytest.raises(ValueError, match="means are not finite .primitive 2"):
        render(rays, broken, *things[1:])
    with pytest.raises(ValueError, match="length 2, expected unit"):
        render(2 * rays, *things)
    with pytest.raises(ValueError, match="positive square metres"):
        render(rays, *things[:2], -things[2], *things[3:])
    with pytest.raises(ValueError, match=r"appearance has shape .3, 3."):
        render(rays, *things[:3], things[3][:3], things[4])
    with pytest.raises(ValueError, match="joint b of pose 0 is not finite"):
        solids_of(torch.tensor([[[0.0] * 3, [math.nan] * 3]]), BONE, [0.1])
    with pytest.raises(ValueError, match="weak-perspective"):
        draw(solids(*things[:3]), *things[3:], replace(camera_of((4, 4)), projection="weak"))


def test_no_rays_and_no_primitives_are_defined():
    rays, things = rays_of(camera_of((4, 4))), scene(4)
    means, rotations, scales, appearance, background = things
    assert render(rays[:0], means, rotations, scales, appearance, background).shape == (0, 3)
    none = render(rays, means[:0], rotations[:0], scales[:0], appearance[:0], background)
    assert bool((none == background).all())
