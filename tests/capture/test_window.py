"""Windows: what is drawn and what the camera says stay on each other."""

import math
from dataclasses import replace

import pytest
import torch

from anr_core.body import Pose
from anr_core.camera import Camera, pixel_centres
from anr_core.capture import View, body_box, resample, resize
from anr_core.capture.flow import warped
from anr_core.capture.window import border_colours

SIZE = (120, 160)


def camera(**changes):
    K = torch.tensor([[[210.0, 3.0, 83.0], [0.0, 190.0, 57.0], [0.0, 0.0, 1.0]]])
    tilt = torch.tensor([[[0.96, 0.0, 0.28], [0.0, 1.0, 0.0], [-0.28, 0.0, 0.96]]])
    return Camera(K, tilt, torch.tensor([[0.1, -0.2, 3.0]]), size=SIZE, **changes)


def view_of(image, camera, mask=None, certain=None, keypoints=None):
    plane = torch.ones_like(image[:, :1])
    zero = torch.zeros(1, dtype=torch.int64)
    return View(image, plane if mask is None else mask, plane > 0 if certain is None else certain, camera,
                Pose.of_frame(zero), keypoints, ["person"], ["cam01"], zero, torch.zeros(1))


def spot(pixel, size, radius=3.0):
    """A picture (1, 3, H, W) of a soft spot around a pixel (2,)."""
    distance = (pixel_centres(size)[0] - pixel).square().sum(-1).view(1, 1, *size)
    return torch.exp(-distance / (2 * radius**2)).expand(1, 3, -1, -1)


def centroid(image):
    weight = image[0, 0].flatten()
    return (pixel_centres(image.shape[-2:])[0] * weight[:, None]).sum(0) / weight.sum()


WINDOWS = [  # centre, side, roll, size
    ((80.0, 60.0), 100.0, 0.0, 100),
    ((78.3, 61.7), 93.0, 0.0, 37),
    ((78.3, 61.7), 93.0, 0.5, 64),
    ((85.1, 50.9), 120.0, -1.2, 45),
    ((82.0, 55.0), 61.0, 2.9, 200),
]


@pytest.mark.parametrize("projection", ["perspective", "weak"])
@pytest.mark.parametrize(("center", "side", "roll", "size"), WINDOWS)
def test_a_spot_stays_where_the_windows_camera_projects_its_point(center, side, roll, size, projection):
    point = torch.tensor([[[0.02, 0.1, 0.3]]])
    shot = camera() if projection == "perspective" else camera().as_weak(torch.tensor([[0.0, 0.0, 0.1]]))
    view = view_of(spot(shot.project(point)[0][0, 0], SIZE), shot)
    window = resample(view, torch.tensor([center]), torch.tensor([side]), torch.tensor([roll]), size)
    expected, depth = window.camera.project(point)
    torch.testing.assert_close(centroid(window.image), expected[0, 0], atol=0.03, rtol=0)
    torch.testing.assert_close(depth, shot.project(point)[1])


@pytest.mark.parametrize(("center", "side", "roll", "size"), WINDOWS)
def test_a_windows_camera_is_the_similarity_of_the_pictures_everywhere(center, side, roll, size):
    points = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0)) * 0.4
    view = view_of(torch.zeros(1, 3, *SIZE), camera())
    window = resample(view, torch.tensor([center]), torch.tensor([side]), torch.tensor([roll]), size).camera
    x, y = (camera().project(points)[0][0] - torch.tensor(center)).T
    cos, sin = math.cos(roll), math.sin(roll)
    turned = torch.stack([cos * x + sin * y, cos * y - sin * x], -1)
    expected = turned * size / side + size / 2
    torch.testing.assert_close(window.project(points)[0][0], expected, atol=1e-3, rtol=0)
    assert window.K[0, 1, 0] == 0 and window.size == (size, size)
    torch.testing.assert_close(window.R[0] @ window.R[0].T, torch.eye(3))
    origin, direction = window.rays(expected[None])
    along = (points - origin).norm(dim=-1, keepdim=True)
    torch.testing.assert_close(origin + along * direction, points, atol=1e-4, rtol=0)


def test_keypoints_move_with_the_picture_and_keep_their_confidence():
    keypoints = torch.tensor([[[90.0, 60.0, 0.7]]])
    view = view_of(torch.zeros(1, 3, *SIZE), camera(), keypoints=keypoints)
    quarter = torch.tensor([math.pi / 2])
    window = resample(view, torch.tensor([[80.0, 60.0]]), torch.tensor([40.0]), quarter, 20)
    # 10 px right of the middle; the window's y axis points left, so 10 px upwards in it, at half the size
    torch.testing.assert_close(window.keypoints, torch.tensor([[[10.0, 5.0, 0.7]]]), atol=1e-4, rtol=0)


def test_what_lies_outside_of_the_picture_is_uncertain_and_not_the_person():
    view = view_of(torch.ones(1, 3, *SIZE), camera())
    window = resample(view, torch.tensor([[0.0, 60.0]]), torch.tensor([64.0]), torch.zeros(1), 64)
    assert not window.certain[..., :32].any() and not window.mask[..., :31].any()
    assert window.certain[..., 33:].all() and (window.mask[..., 33:] > 0.999).all()


def test_one_uncertain_pixel_spoils_every_pixel_that_it_is_part_of():
    certain = torch.ones(1, 1, *SIZE, dtype=torch.bool)
    certain[..., 61, 81] = False
    view = view_of(torch.zeros(1, 3, *SIZE), camera(), certain=certain)
    quarter = resize(view, (SIZE[0] // 4, SIZE[1] // 4))
    assert (~quarter.certain).nonzero().tolist() == [[0, 0, 15, 20]]
    larger = resize(view, (2 * SIZE[0], 2 * SIZE[1]))
    inner = ~larger.certain[0, 0, 1:-1, 1:-1]  # the outermost pixels mix with what is outside
    assert inner.sum() == 16 and inner[120:124, 160:164].all()


def test_fine_stripes_become_grey_and_not_coarse_stripes():
    stripes = (torch.arange(SIZE[1]) % 2).float().expand(1, 3, *SIZE)
    smaller = resize(view_of(stripes, camera()), (SIZE[0] // 3, SIZE[1] // 3)).image[..., 1:-1]
    assert ((smaller - 0.5).abs() < 0.2).all()
    halved = resize(view_of(stripes, camera()), (SIZE[0] // 2, SIZE[1] // 2)).image
    torch.testing.assert_close(halved, torch.full_like(halved, 0.5))


def test_resizing_to_the_same_size_changes_nothing():
    image = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    same = resize(view_of(image, camera()), SIZE)
    torch.testing.assert_close(same.image, image, atol=1e-5, rtol=0)
    assert same.certain.all()
    torch.testing.assert_close(same.camera.K, camera().K)


def test_windows_of_a_batch_are_drawn_each_by_its_own():
    shots = Camera.cat([camera(), replace(camera(), t=torch.tensor([[-0.1, 0.1, 4.0]]))])
    point = torch.tensor([[[0.02, 0.1, 0.3]]])
    views = [view_of(spot(shots[i].project(point)[0][0, 0], SIZE), shots[i]) for i in range(2)]
    window = resample(View.cat(views), torch.tensor([[80.0, 60.0], [70.0, 50.0]]), torch.tensor([90.0, 60.0]),
                      torch.tensor([0.3, -0.7]), 50)
    pixels = window.camera.project(point.expand(2, -1, -1))[0]
    for index in range(2):
        found = centroid(window.image[index:index + 1])
        torch.testing.assert_close(found, pixels[index, 0], atol=0.03, rtol=0)


def test_a_rolled_window_of_a_distorted_picture_is_refused():
    bent = camera(distortion=torch.tensor([[0.1, 0.0, 0.01, 0.0]]))
    view = view_of(torch.zeros(1, 3, *SIZE), bent)
    with pytest.raises(ValueError, match="undistort it first"):
        resample(view, torch.tensor([[80.0, 60.0]]), torch.tensor([40.0]), torch.tensor([0.1]), 20)


def test_the_body_box_leaves_out_what_is_behind_the_camera():
    straight = Camera(torch.tensor([[[100.0, 0, 0], [0, 100.0, 0], [0, 0, 1]]]), torch.eye(3)[None],
                      torch.zeros(1, 3), size=SIZE)
    vertices = torch.tensor([[[0.0, 0.0, 1.0], [0.4, 0.6, 1.0], [9.0, 9.0, -1.0]]])
    center, side = body_box(straight, vertices)
    torch.testing.assert_close(center, torch.tensor([[20.0, 30.0]]))
    torch.testing.assert_close(side, torch.tensor([60.0]))
    assert body_box(straight, vertices[:, 2:])[1].isnan().all()


def test_an_input_is_cut_out_like_the_picture():
    image = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    view = replace(view_of(image, camera()), input=torch.cat([1 - image, image[:, :1]], 1))
    window = resample(view, torch.tensor([[80.0, 60.0]]), torch.tensor([50.0]), torch.tensor([0.4]), 40)
    torch.testing.assert_close(window.input, torch.cat([1 - window.image, window.image[:, :1]], 1))
    assert View.cat([window, window]).input.shape == (2, 4, 40, 40)
    assert View.cat([window, replace(window, input=None)]).input is None


def test_what_lies_outside_can_have_the_colour_of_the_border_the_inputs_its_own():
    image, given = torch.full((1, 3, *SIZE), 0.75), torch.full((1, 1, *SIZE), 0.25)
    image[..., 40:80, 60:100] = given[..., 40:80, 60:100] = 0.5
    view = replace(view_of(image, camera()), input=given)
    place = torch.tensor([[20.0, 10.0]]), torch.tensor([[130.0, 90.0]]), torch.tensor([0.8])
    window = resample(view, *place, (45, 65), border_colours(torch.cat([image, given], 1)))
    outside = ~window.certain[0, 0]
    assert 0.2 < outside.float().mean() < 0.8 and window.size == (45, 65) == window.camera.size
    torch.testing.assert_close(window.image[0, :, outside], torch.full((3, int(outside.sum())), 0.75))
    torch.testing.assert_close(window.input[0, 0, outside], torch.full((int(outside.sum()),), 0.25))
    assert not resample(view, *place, (45, 65)).image[0, :, outside].eq(0.75).all()


# flow


def moved_pair(right=5.0, down=-3.0):
    """Views of one soft texture, the later moved so many pixels, and the flow back to the earlier."""
    rows, columns = (torch.arange(count).float() for count in SIZE)

    def picture(right, down):
        x, y = columns[None] - right, rows[:, None] - down
        waves = [(x / 9 + y / 15).sin(), (x / 14 - y / 8).cos(), ((x + y) / 11).sin()]
        return (0.5 + 0.4 * torch.stack(waves))[None]

    back = torch.tensor([-right, -down, 1.0]).view(1, 3, 1, 1).expand(-1, -1, *SIZE).clone()
    return view_of(picture(0, 0), camera()), replace(view_of(picture(right, down), camera()), flow=back)


@pytest.mark.parametrize(("center", "side", "roll", "size"), WINDOWS)
def test_the_flow_of_a_window_leads_to_the_same_window_of_the_frame_before(center, side, roll, size):
    window = torch.tensor([center]), torch.tensor([side]), torch.tensor([roll]), size
    before, after = (resample(view, *window) for view in moved_pair())
    trusted = after.flow[:, 2:] > 0
    assert 0.5 < trusted.float().mean() < 1 and set(after.flow[:, 2].unique().tolist()) == {0, 1}
    there = trusted & (warped(before.certain.float(), after.flow[:, :2]) > 0.999)
    missed = (warped(before.image, after.flow[:, :2]) - after.image).abs().amax(1, keepdim=True)
    assert there.float().mean() > 0.5 and missed[there].max() < 0.03
    assert before.flow is None and not after.flow[:, :2][~trusted.expand(-1, 2, -1, -1)].any()


@pytest.mark.parametrize("size", [(60, 80), (40, 160), (240, 320)])
def test_resizing_scales_the_flow_by_each_side(size):
    found = resize(moved_pair()[1], size).flow[..., size[0] // 2, size[1] // 2]
    torch.testing.assert_close(found, torch.tensor([[-5 * size[1] / 160, 3 * size[0] / 120, 1]]))


def test_flow_is_trusted_where_all_of_a_pixel_is_and_where_it_leads_into_the_window():
    view = moved_pair(right=8.0, down=0.0)[1]
    view.flow[:, 2, 61, 81] = 0
    trusted = resize(view, (SIZE[0] // 4, SIZE[1] // 4)).flow[0, 2] > 0
    assert (~trusted[:, 2:]).nonzero().tolist() == [[15, 18]] and not trusted[:, :2].any()


def test_pixels_alone_and_batches_keep_their_flow():
    before, after = moved_pair()
    rows, columns = torch.tensor([[3, 4]]), torch.tensor([[50, 60]])
    assert torch.equal(after.at(rows, columns).flow, after.flow[..., rows, columns])
    assert before.at(rows, columns).flow is None and View.cat([before, after]).flow is None
    both = View.cat([replace(before, flow=torch.zeros_like(after.flow)), after])
    assert torch.equal(both.to("cpu").flow[1:], after.flow) and not both.flow[0].any()


def test_flow_changes_nothing_else_of_a_window():
    after = moved_pair()[1]
    window = torch.tensor([[78.3, 61.7]]), torch.tensor([93.0]), torch.tensor([0.5]), 64
    plain, led = (resample(view, *window) for view in (replace(after, flow=None), after))
    for name in ("image", "mask", "certain"):
        assert torch.equal(getattr(plain, name), getattr(led, name))
