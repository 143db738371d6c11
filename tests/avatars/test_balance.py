"""Light and gains, computed from what pictures show beside a texture."""

import torch
from torch.nn import functional

from anr_core.avatars.balance import balance
from anr_core.avatars.conditions import Conditions, Light

PICTURES = [(camera, frame) for camera in "ab" for frame in range(4)]


def shown(gains, light, count=400):
    """Pictures of a grey texture under a light, each camera with its gain."""
    random = torch.Generator().manual_seed(0)
    for picture in PICTURES:
        drawn = 0.3 + 0.4 * torch.rand(count, 3, generator=random)
        normal = functional.normalize(torch.randn(count, 3, generator=random), dim=1)
        yield picture, drawn, normal, drawn * light(normal) * gains[picture[0]]


def found(gains, coefficients=None):
    true, light, conditions = Light(), Light(), Conditions(PICTURES)
    if coefficients is not None:
        with torch.no_grad():
            true.coefficients.copy_(coefficients)
    with torch.no_grad():
        balance(conditions, light, list(shown(gains, true)))
    return light, conditions, true


def test_a_brighter_camera_has_the_larger_gain_and_the_mean_is_one():
    _, conditions, _ = found({"a": torch.tensor([1.2, 1.1, 1.0]), "b": torch.tensor([1.0, 1.0, 1.1])})
    gains = conditions.camera_gain + conditions.picture_gain.view(2, 4, 3).mean(1)
    wanted = torch.tensor([[1.2, 1.1, 1.0], [1.0, 1.0, 1.1]]).log()
    torch.testing.assert_close(gains[0] - gains[1], wanted[0] - wanted[1], atol=0.01, rtol=0)
    assert gains.mean(0).abs().max() < 1e-5


def test_light_from_one_side_is_found():
    coefficients = torch.zeros(9, 3)
    coefficients[2] = 0.1
    light, _, true = found({"a": 1.0, "b": 1.0}, coefficients)
    normal = torch.eye(3)
    torch.testing.assert_close(light(normal), true(normal), atol=0.03, rtol=0)


def test_pictures_that_show_the_texture_ask_for_nothing():
    light, conditions, _ = found({"a": 1.0, "b": 1.0})
    assert light.coefficients.abs().max() < 1e-4
    assert max(gain.abs().max() for gain in conditions.parameters()) < 1e-4


def test_one_wrongly_placed_texel_in_ten_hardly_matters():
    pictures = list(shown({"a": 1.0, "b": 1.0}, Light()))
    for _, _, _, taken in pictures:
        taken[:40] = 0
    light, conditions = Light(), Conditions(PICTURES)
    balance(conditions, light, [tuple(part.detach() if torch.is_tensor(part) else part for part in one)
                                for one in pictures])
    assert light.coefficients[0].abs().max() < 0.03
