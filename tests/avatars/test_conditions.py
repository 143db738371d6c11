"""What pictures have for themselves, and what a new one is spared."""

import math

import numpy as np
import pytest
import torch

from anr_core.avatars import Scene
from anr_core.avatars.conditions import Conditions, Light, spherical_harmonics
from anr_core.camera import Camera

PICTURES = [(name, frame) for name in ("a", "b") for frame in (0, 1, 2)]


def conditions(pictures=PICTURES):
    """Every parameter shaken."""
    made, random = Conditions(pictures), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=random))
    return made


def scene(names, frames=None):
    count = 1 if names is None else len(names)
    frames = None if frames is None else torch.tensor(frames)
    camera = Camera(torch.eye(3).expand(count, 3, 3), torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3))
    return Scene(None, camera, (40, 60), frame=frames, camera_name=names)


@pytest.mark.parametrize("new", [scene(None), scene([None]), scene(["c"], [1]), scene([None], [1])],
                         ids=["nothing known", "no name", "another camera", "no name in a known frame"])
def test_a_new_camera_has_no_gain(new):
    assert torch.equal(conditions().gain(new), torch.ones(1, 3))


def test_a_picture_has_its_cameras_share_and_its_own():
    made = conditions()
    known = made.gain(scene(["b"], [2])).log()
    torch.testing.assert_close(known[0], made.camera_gain[1] + made.picture_gain[5])


@pytest.mark.parametrize("asked, nearest", [(-5, 0), (3, 0), (8, 10), (10, 10), (24, 20), (99, 30)])
def test_a_frame_that_was_not_trained_has_the_gain_of_its_cameras_nearest(asked, nearest):
    # camera a was trained at 0 and 10, b at 20 and 30: the nearest frame of another camera does not count
    made = conditions([("a", 0), ("a", 10), ("b", 20), ("b", 30)])
    name = "a" if nearest < 20 else "b"
    assert torch.equal(made.gain(scene([name], [asked])), made.gain(scene([name], [nearest])))
    assert not torch.equal(made.gain(scene(["a"], [24])), made.gain(scene(["b"], [24])))


def test_a_known_camera_without_a_frame_has_its_cameras_share():
    made = conditions()
    torch.testing.assert_close(made.gain(scene(["b"])).log()[0], made.camera_gain[1])


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


def test_without_any_learning_nothing_is_changed():
    made = Conditions(PICTURES)
    known = scene(["a", "b"], [0, 1])
    assert torch.equal(made.gain(known), torch.ones(2, 3)) and not made.regularization()


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
