import math
from dataclasses import replace

import pytest
import torch

from anr_core.camera import Camera, distort, look_at, orbit, pixel_centres, undistort, undistort_image

COEFFICIENTS = {
    4: [-0.3, 0.1, 0.01, -0.005],
    5: [-0.4, 0.2, 0.001, 0.01, -0.03],
    8: [-0.3, 0.1, 0.001, 0.002, 0.01, 0.1, 0.02, 0.001],
    12: [-0.3, 0.1, 0.001, 0.002, 0.01, 0.1, 0.02, 0.001, 0.01, -0.01, 0.02, 0.003],
}
Y_UP, Z_UP = (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def general_camera(coefficients=None, batch=2):
    """Cameras that look at the origin from 3 m, with fx != fy, skew and a principal point off the middle."""
    generator = torch.Generator().manual_seed(0)
    eye = 3 * torch.nn.functional.normalize(torch.randn(batch, 3, generator=generator).double(), dim=-1)
    K = double([[300.0, 4.0, 147.0], [0.0, 280.0, 103.0], [0.0, 0.0, 1.0]]).expand(batch, 3, 3)
    camera = look_at(eye, torch.zeros(batch, 3).double(), Y_UP, K, (200, 300))
    return replace(camera, distortion=coefficients and double([coefficients] * batch))


def points_near_origin(batch=2, count=50):
    return torch.randn(batch, count, 3, generator=torch.Generator().manual_seed(1)).double() * 0.4


# projecting

def test_projection_agrees_with_a_hand_computation():
    quarter_turn = double([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    camera = Camera(double([[[100.0, 2.0, 50.0], [0.0, 200.0, 40.0], [0.0, 0.0, 1.0]]]), quarter_turn,
                    double([[0.0, 0.0, 3.0]]))
    # (1, 2, 1) turns into (-2, 1, 4): x = -0.5, y = 0.25; u = -50 + 0.5 + 50, v = 50 + 40
    pixels, depth = camera.project(double([[[1.0, 2.0, 1.0]]]))
    torch.testing.assert_close(pixels, double([[[0.5, 90.0]]]))
    torch.testing.assert_close(depth, double([[4.0]]))


def test_distortion_agrees_with_a_hand_computation():
    # at (0.5, 0): r2 = 0.25; radial 1 + 0.4 * 0.25 = 1.1; tangential p1 * r2 down, p2 * (r2 + 2 x2) right
    flat = distort(double([[[0.5, 0.0]]]), double([[0.4, 0.0, 0.01, 0.02]]))
    torch.testing.assert_close(flat, double([[[0.55 + 0.02 * 0.75, 0.01 * 0.25]]]))


@pytest.mark.parametrize("count", COEFFICIENTS)
def test_distortion_agrees_with_kornia(count):
    calibration = pytest.importorskip("kornia.geometry.calibration")
    flat = torch.rand(1, 100, 2, generator=torch.Generator().manual_seed(2)).double() * 1.6 - 0.8
    coefficients = double([COEFFICIENTS[count]])
    expected = calibration.distort_points(flat, torch.eye(3).double()[None], coefficients)
    torch.testing.assert_close(distort(flat, coefficients), expected)


@pytest.mark.parametrize("count", COEFFICIENTS)
def test_a_ray_of_a_pixel_projects_back_onto_it(count):
    camera = general_camera(COEFFICIENTS[count])
    pixels = pixel_centres((20, 30)).double() * 10
    origins, directions = camera.rays(pixels.expand(2, -1, -1))
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(2, 600).double())
    back, depth = camera.project(origins + 2 * directions)
    torch.testing.assert_close(back, pixels.expand_as(back), atol=1e-6, rtol=0)
    assert (depth > 0).all()


def test_a_weak_ray_projects_back_onto_its_pixel_from_any_depth():
    camera = general_camera().as_weak(torch.zeros(2, 3).double())
    pixels = pixel_centres((4, 6)).double() * 50
    origins, directions = camera.rays(pixels.expand(2, -1, -1))
    for metres in (0.0, 5.0):
        back, depth = camera.project(origins + metres * directions)
        torch.testing.assert_close(back, pixels.expand_as(back))
        torch.testing.assert_close(depth, torch.full_like(depth, metres))


def test_undistortion_converges_close_to_where_the_lens_turns_back():
    coefficients = double([[-0.3, 0.0, 0.0, 0.0]])  # r (1 - 0.3 r2) is greatest at r = 1.054
    flat = double([[[1.03, 0.0], [0.0, -1.0]]])
    torch.testing.assert_close(undistort(distort(flat, coefficients), coefficients), flat, atol=1e-9, rtol=0)


def test_a_point_far_outside_is_not_distorted_back_into_the_picture():
    coefficients = double([[-0.3, 0.0, 0.0, 0.0]])
    radii = torch.linspace(0, 50, 500).double()
    distorted = distort(torch.stack([radii, 0 * radii], -1)[None], coefficients)[0, :, 0]
    assert (distorted.diff() > 0).all()  # the bare polynomial is -37449 at the end


def test_straightened_points_project_by_K_alone():
    camera = general_camera(COEFFICIENTS[12])
    points = points_near_origin()
    straight = camera.straightened(points) @ camera.K.transpose(1, 2)
    torch.testing.assert_close(straight[..., :2] / straight[..., 2:], camera.project(points)[0])


def test_points_behind_the_camera_are_left_where_they_are_and_everything_stays_finite():
    camera = general_camera(COEFFICIENTS[5], batch=1)
    origin, direction = camera.rays(double([[[10.0, 20.0]]]))
    points = torch.cat([origin - direction, origin, origin + direction], 1).requires_grad_()
    straight, local = camera.straightened(points), camera.camera_from_world(points)
    torch.testing.assert_close(straight[:, :2], local[:, :2])
    assert not torch.allclose(straight[:, 2], local[:, 2])
    pixels, depth = camera.project(points)
    assert pixels.isfinite().all() and depth[0, 0] < 0 < depth[0, 2]
    assert torch.autograd.grad(straight.sum(), points)[0].isfinite().all()


def test_float32_cameras_stay_float32():
    camera = general_camera(COEFFICIENTS[8]).to(torch.float32)
    results = [*camera.project(points_near_origin().float()), *camera.rays(torch.rand(2, 5, 2)),
               camera.crop(1, 2, 3, 4).K, camera.resize((5, 5)).K]
    assert {result.dtype for result in results} == {torch.float32}


def test_view_directions_point_to_the_camera():
    camera = general_camera()
    points = points_near_origin()
    towards = camera.view_directions(points)
    distance = (points - camera.center[:, None]).norm(dim=-1, keepdim=True)
    torch.testing.assert_close(points + distance * towards, camera.center[:, None].expand_as(points))
    weak = camera.as_weak(torch.zeros(2, 3).double())
    torch.testing.assert_close(weak.view_directions(points), -weak.rays(torch.rand(2, 50, 2).double())[1])


# other pictures of the same view

@pytest.mark.parametrize("projection", ["perspective", "weak"])
def test_crop_shifts_pixels_and_resize_scales_them(projection):
    camera = general_camera(COEFFICIENTS[5])
    if projection == "weak":
        camera = camera.as_weak(torch.zeros(2, 3).double())
    points = points_near_origin()
    pixels = camera.project(points)[0]
    crop = camera.crop(12.5, -7, 80, 60)
    assert crop.size == (60, 80) and camera.size == (200, 300)
    torch.testing.assert_close(crop.project(points)[0], pixels - double([12.5, -7]))
    small = crop.resize((30, 160))
    assert small.size == (30, 160)
    torch.testing.assert_close(small.project(points)[0], (pixels - double([12.5, -7])) * double([2.0, 0.5]))


def test_resize_keeps_the_outer_corners_of_the_picture():
    """Two pixels become one: the centre of the first two lies at 1.0, the new pixel's centre at 0.5."""
    camera = general_camera()
    origins, directions = camera.rays(double([[[1.0, 1.0], [300.0, 200.0]]]).expand(2, -1, -1))
    halved = camera.resize((100, 150)).project(origins + directions)[0]
    torch.testing.assert_close(halved, double([[[0.5, 0.5], [150.0, 100.0]]]).expand_as(halved))


def test_a_batch_may_be_cropped_by_another_box_each():
    camera = general_camera()
    x, side = double([3.0, 50.0]), double([40.0, 80.0])
    together = camera.crop(x, 5, side, side).resize((20, 20))
    for i in range(2):
        alone = camera[i].crop(x[i].item(), 5, side[i].item(), side[i].item()).resize((20, 20))
        torch.testing.assert_close(together[i].K, alone.K)
    assert together.size == (20, 20)


def test_resize_without_a_size_says_what_to_do():
    with pytest.raises(ValueError, match=r"size is None; make the camera with size=\(H, W\)"):
        replace(general_camera(), size=None).resize((10, 10))


def test_weak_perspective_agrees_with_perspective_as_distance_grows():
    errors = []
    for distance in (4.0, 40.0, 400.0):
        field_of_view = 2 * math.atan(1 / distance)  # two metres fill the picture
        camera = orbit(torch.zeros(3).double(), 0.4, 0.2, distance, field_of_view, (100, 100), Y_UP)
        points = points_near_origin(batch=1)
        weak = camera.as_weak(torch.zeros(1, 3).double())
        errors.append((weak.project(points)[0] - camera.project(points)[0]).abs().max().item())
    assert errors[0] > 1 and errors[1] < errors[0] / 5 and errors[2] < errors[1] / 5


def test_weak_perspective_is_exact_in_the_plane_of_its_point():
    camera = general_camera()
    point = camera.center + 2.5 * camera.R[:, 2] + 0.3 * camera.R[:, 0]
    in_plane = point[:, None] + torch.randn(2, 10, 2).double() @ camera.R[:, :2]
    torch.testing.assert_close(camera.as_weak(point).project(in_plane)[0], camera.project(in_plane)[0])


def test_weak_perspective_of_a_point_behind_the_camera_is_refused():
    camera = general_camera(batch=1)
    with pytest.raises(ValueError, match="behind the camera, at a depth of -1 m"):
        camera.as_weak(camera.center - camera.R[:, 2])


def test_undistorting_a_picture_makes_a_bent_edge_straight():
    """A picture that shows each pixel's own ray direction must show the undistorted pixels' rays after."""
    camera = replace(general_camera([-0.2, 0.05, 0.001, 0.002], batch=1), R=torch.eye(3).double()[None])
    centres = pixel_centres((200, 300)).double()
    directions = camera.rays(centres)[1]
    taken = (directions[..., :2] / directions[..., 2:]).transpose(1, 2).unflatten(2, (200, 300))
    straight = undistort_image(taken, camera)
    wanted = replace(camera, distortion=None).rays(centres)[1]
    wanted = (wanted[..., :2] / wanted[..., 2:]).transpose(1, 2).unflatten(2, (200, 300))
    inner = (slice(None), slice(None), slice(20, -20), slice(20, -20))
    torch.testing.assert_close(straight[inner], wanted[inner], atol=1e-4, rtol=0)
    assert (taken[inner] - wanted[inner]).abs().max() > 5e-3


# batches

def test_indexing_keeps_the_batch_axis_and_cat_undoes_it():
    camera = general_camera(COEFFICIENTS[4], batch=3)
    assert len(camera[1]) == 1 and len(camera[1:]) == 2 and len(camera[-1]) == 1
    torch.testing.assert_close(camera[-1].t, camera.t[2:])
    again = Camera.cat(list(camera))
    assert len(again) == 3 and again.size == (200, 300)
    torch.testing.assert_close(again.R, camera.R)


def test_cat_pads_distortion_and_forgets_a_size_that_differs():
    cameras = [general_camera(), general_camera(COEFFICIENTS[5]).resize((10, 10))]
    both = Camera.cat(cameras)
    assert both.size is None
    points = points_near_origin()
    expected = torch.cat([camera.project(points)[0] for camera in cameras])
    torch.testing.assert_close(both.project(points.repeat(2, 1, 1))[0], expected)
    with pytest.raises(ValueError, match="as_weak on all or none"):
        Camera.cat([cameras[0], cameras[1].as_weak(torch.zeros(2, 3).double())])


@pytest.mark.parametrize("change, message", [
    ({"t": torch.zeros(3)}, r"Camera.t has shape \(3,\), expected \(1, 3\)"),
    ({"distortion": torch.zeros(1, 6)}, r"expected \(1, D\) with D one of \(0, 4, 5, 8, 12\)"),
    ({"projection": "fisheye"}, "use 'perspective' or 'weak'"),
])
def test_wrong_fields_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(general_camera(batch=1), **change)


# where to look from

@pytest.mark.parametrize("up, front", [(Y_UP, [0.0, 0.0, 1.0]), (Z_UP, [0.0, -1.0, 0.0])])
def test_orbit_starts_in_front_with_x_to_the_right(up, front):
    target = double([0.5, 1.0, -2.0])
    camera = orbit(target, 0.0, 0.0, 4.0, math.pi / 2, (200, 300), up)
    torch.testing.assert_close(camera.center[0], target + 4 * double(front))
    points = target + double([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], up]])
    pixels, depth = camera.project(points)
    # 90 degrees over 200 pixels: the focal length is 100 pixels, so a metre at 4 m takes 25
    torch.testing.assert_close(pixels, double([[[150.0, 100.0], [175.0, 100.0], [150.0, 75.0]]]))
    torch.testing.assert_close(depth, torch.full((1, 3), 4.0).double())


@pytest.mark.parametrize("up", [Y_UP, Z_UP, (0.1, 0.9, 0.3)])
def test_orbit_looks_at_its_target_upright_and_unmirrored(up):
    azimuth = torch.linspace(0, 6, 7).double()
    camera = orbit(double([1.0, 2.0, 3.0]), azimuth, 0.3, 2.0, 0.7, (64, 64), up)
    assert len(camera) == 7 and camera.size == (64, 64)
    torch.testing.assert_close(torch.linalg.det(camera.R), torch.ones(7).double())
    torch.testing.assert_close(camera.R @ camera.R.transpose(1, 2), torch.eye(3).double().expand(7, 3, 3))
    upwards = camera.R @ torch.nn.functional.normalize(double(up), dim=0)
    torch.testing.assert_close(upwards[:, 0], torch.zeros(7).double(), atol=1e-7, rtol=0)
    assert (upwards[:, 1] < 0).all() and (camera.center[1:] - camera.center[:-1]).norm(dim=-1).min() > 0.5


def test_orbit_turns_counterclockwise_and_climbs_to_the_zenith():
    camera = orbit(torch.zeros(3).double(), double([math.pi / 2, 0.0]), double([0.0, math.pi / 2]), 1.0, 1.0,
                   (8, 8), Y_UP)
    torch.testing.assert_close(camera.center, double([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))


def test_orbit_agrees_with_look_at():
    target = double([[0.2, 0.1, 0.9]])
    camera = orbit(target, 0.7, 0.4, 3.0, 0.6, (100, 80), Z_UP)
    again = look_at(camera.center, target, Z_UP, camera.K, camera.size)
    torch.testing.assert_close(again.R, camera.R)
    torch.testing.assert_close(again.t, camera.t)


def test_looking_along_up_is_refused():
    with pytest.raises(ValueError, match="give another up"):
        look_at(torch.tensor([[0.0, 2.0, 0.0]]), torch.zeros(1, 3), Y_UP, torch.eye(3)[None])


# gradients

@pytest.mark.parametrize("count", [None, *COEFFICIENTS])
def test_gradients_of_project_and_rays_match_finite_differences(count):
    camera = general_camera(COEFFICIENTS.get(count), batch=1)
    parts = [camera.K, camera.R, camera.t, *([] if count is None else [camera.distortion])]
    parts = [part.clone().requires_grad_() for part in parts]
    points = points_near_origin(1, 2).requires_grad_()
    pixels = double([[[40.0, 170.0], [222.0, 31.0]]]).requires_grad_()
    gradcheck = torch.autograd.gradcheck
    assert gradcheck(lambda points, *parts: Camera(*parts).project(points), (points, *parts))
    assert gradcheck(lambda points, *parts: Camera(*parts).straightened(points), (points, *parts))
    assert gradcheck(lambda pixels, *parts: Camera(*parts).rays(pixels), (pixels, *parts))


def test_gradients_of_weak_projection_match_finite_differences():
    camera = general_camera(batch=1)
    parts = [part.clone().requires_grad_() for part in (camera.K, camera.R, camera.t)]
    points = points_near_origin(1, 2).requires_grad_()

    def through(points, *parts):
        weak = Camera(*parts).as_weak(points[:, 0])
        return *weak.project(points), *weak.rays(points[..., :2])

    assert torch.autograd.gradcheck(through, (points, *parts))
