"""What pictures have for themselves, and what a new one is spared."""

import math

import numpy as np
import pytest
import torch

from anr_core.avatars import Scene
from anr_core.avatars.conditions import Conditions, Light, spherical_harmonics
from anr_core.camera import Camera, look_at

PICTURES = [(name, frame) for name in ("a", "b") for frame in (0, 1, 2)]
SIZE = (40, 60)


def conditions(pictures=PICTURES):
    """Every parameter shaken; shifts by some per cent."""
    made, random = Conditions(pictures), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            size = 0.3 if "gain" in name else 0.03
            parameter.copy_(size * torch.randn(parameter.shape, generator=random))
    return made


def camera(count):
    K = torch.tensor([[80.0, 0, 30], [0, 90, 20], [0, 0, 1]]).expand(count, 3, 3)
    eyes = torch.tensor([[0.3, 0.1, 3.0]]).expand(count, 3)
    return look_at(eyes, torch.zeros(count, 3), (0, 1, 0), K, SIZE)


def scene(names, frames=None, eye=None):
    count = 1 if names is None else len(names)
    frames = None if frames is None else torch.tensor(frames)
    return Scene(None, eye or camera(count), SIZE, frame=frames, camera_name=names)


def projected(camera):
    points = 0.5 * torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(1))
    return camera.project(points.expand(len(camera), -1, -1))[0]


@pytest.mark.parametrize("new", [scene(None), scene([None]), scene(["c"], [1]), scene([None], [1])],
                         ids=["nothing known", "no name", "another camera", "no name in a known frame"])
def test_a_new_camera_has_no_gain_and_is_not_moved(new):
    made = conditions()
    assert torch.equal(made.gain(new), torch.ones(1, 3))
    torch.testing.assert_close(made.aligned(new).K, new.camera.K)


def test_a_picture_has_its_cameras_share_and_its_own():
    made = conditions()
    known = made.gain(scene(["b"], [2])).log()
    torch.testing.assert_close(known[0], made.camera_gain[1] + made.picture_gain[5])


def test_a_known_camera_in_an_unknown_frame_has_its_cameras_share():
    made = conditions()
    for asked in (scene(["b"], [9]), scene(["b"])):
        torch.testing.assert_close(made.gain(asked).log()[0], made.camera_gain[1])
    with torch.no_grad():
        made.picture_shift.zero_()
    torch.testing.assert_close(made.aligned(scene(["b"], [9])).K, made.aligned(scene(["b"], [2])).K)


def test_where_no_camera_has_two_pictures_a_camera_has_no_share():
    made = conditions([("0000", 0), ("0001", 1)])
    assert torch.equal(made.gain(scene(["0001"], [7])), torch.ones(1, 3))
    torch.testing.assert_close(made.gain(scene(["0001"], [1])).log()[0], made.picture_gain[1])


def test_pictures_of_a_batch_are_told_apart():
    made = conditions()
    batch = scene(["b", None, "a"], [2, 2, 0])
    for index, (name, frame) in enumerate((("b", 2), (None, 2), ("a", 0))):
        alone = scene([name], [frame])
        torch.testing.assert_close(made.gain(batch)[index], made.gain(alone)[0])
        torch.testing.assert_close(made.aligned(batch)[index].K, made.aligned(alone).K)


def test_without_any_learning_nothing_is_changed():
    made = Conditions(PICTURES)
    known = scene(["a", "b"], [0, 1])
    assert torch.equal(made.gain(known), torch.ones(2, 3)) and not made.regularization()
    torch.testing.assert_close(made.aligned(known).K, known.camera.K)


def test_a_crop_is_aligned_as_the_whole_picture_is():
    made = conditions()
    whole = made.aligned(scene(["a"], [1]))
    cropped = camera(1).crop(7, -3, 20, 30).resize((64, 64))
    aligned = projected(made.aligned(scene(["a"], [1], cropped)))
    expected = projected(whole.crop(7, -3, 20, 30).resize((64, 64)))
    torch.testing.assert_close(aligned, expected, atol=1e-3, rtol=0)
    assert (aligned - projected(cropped)).norm(dim=-1).mean() > 0.5  # pixels


def test_alignments_move_the_picture_as_their_names_say():
    made = Conditions(PICTURES)
    straight = Camera(torch.eye(3)[None], torch.eye(3)[None], torch.zeros(1, 3))
    points = torch.tensor([[[0.4, 0.2, 2.0]]])  # (0.2, 0.1) on the plane at depth 1
    for column, value, expected in ((0, 0.1, (0.22, 0.11)), (1, 0.1, (0.19, 0.12)), (2, 0.1, (0.3, 0.1)),
                                    (3, 0.1, (0.2, 0.2))):
        with torch.no_grad():
            made.camera_shift.zero_()
            made.camera_shift[0, column] = value
        moved = made.aligned(scene(["a"], eye=straight)).project(points)[0][0, 0]
        torch.testing.assert_close(moved, torch.tensor(expected))


def test_gain_that_all_pictures_share_costs_more_than_what_tells_them_apart():
    same, different = Conditions(PICTURES), Conditions(PICTURES)
    with torch.no_grad():
        same.camera_gain.fill_(0.1)
        different.camera_gain.copy_(torch.tensor([[0.1], [-0.1]]).expand(2, 3))
    assert same.regularization() > 10 * different.regularization() > 0


# light


def test_light_that_has_learned_nothing_is_one():
    normals = torch.nn.functional.normalize(torch.randn(9, 3), dim=-1)
    assert torch.equal(Light()(normals), torch.ones(9, 3))


def test_light_is_positive_and_follows_the_direction():
    light = Light()
    with torch.no_grad():
        light.coefficients[2] = 0.4  # the harmonic that grows with z
    above, below = light(torch.tensor([[0.0, 0, 1], [0.0, 0, -1]]))
    torch.testing.assert_close(above, torch.full((3,), math.exp(0.4 * math.sqrt(3))))
    torch.testing.assert_close(above * below, torch.ones(3))


def test_spherical_harmonics_are_orthonormal_over_the_sphere():
    # Gauss's quadrature along z and even steps around it are exact for products of degree 2
    z, weight = np.polynomial.legendre.leggauss(4)
    angle = np.arange(8) * 2 * np.pi / 8
    radius = np.sqrt(1 - z**2)[:, None]
    height = np.broadcast_to(z[:, None], (4, 8))
    directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], -1)
    values = spherical_harmonics(torch.from_numpy(directions.reshape(-1, 3))).numpy()
    share = np.repeat(weight, 8) / 16  # of the sphere's area
    np.testing.assert_allclose(values.T @ (values * share[:, None]), np.eye(9), atol=1e-12)
