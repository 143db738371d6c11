"""Steps on the way to a picture, in colours that stay the same."""

from dataclasses import replace

import pytest
import torch

from anr_core.avatars import Avatar, Config, Rendering, Scene
from anr_core.layers import Layers, colour_of_parts, main_colours, taken_apart


def test_main_colours_spread_along_the_directions_of_most_variance():
    random = torch.Generator().manual_seed(0)
    deviations = torch.tensor([0.01, 5, 0.02, 1, 0.2, 0.01])[:, None, None]
    layer = deviations * torch.randn(6, 40, 40, generator=random)
    colours = main_colours(layer[None], torch.ones(1, 1, 40, 40))
    shown = colours(layer[None])[0].flatten(1)
    assert float(shown.mean()) == pytest.approx(0.5, abs=0.01)
    assert shown.std(1).tolist() == pytest.approx([0.25] * 3, abs=0.02)
    strongest = torch.corrcoef(torch.stack([shown[2], layer[1].flatten()]))[0, 1].abs()
    assert float(strongest) > 0.95


def test_where_nobody_is_in_the_mask_all_pixels_make_the_colours():
    layer = torch.randn(1, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    colours = main_colours(layer, torch.zeros(1, 1, 8, 8))
    assert torch.equal(colours(layer), main_colours(layer, torch.ones(1, 1, 8, 8))(layer))


def test_depth_is_brightest_where_it_is_near_and_keeps_its_scale():
    def drawn(depth):
        depth = torch.tensor(depth).view(1, 1, 2, 2)
        mask = torch.tensor([1.0, 1, 1, 0]).view(1, 1, 2, 2)
        return Rendering(torch.zeros(1, 3, 2, 2), mask, depth, {"depth": depth})

    layers = Layers()
    near, middle, far, nothing = layers.panel("depth", drawn([2.0, 2.5, 3, 0]), None, 0)[0, 0].flatten()
    assert 1 > near > middle > far > 0.15 and nothing == 0
    later = layers.panel("depth", drawn([2.5, 9.0, 0.1, 5]), None, 0)[0, 0].flatten()
    assert later.tolist() == pytest.approx([float(middle), 0.15, 1, 0])
    assert "depth" in layers.steps(drawn([2.0, 2, 2, 2]))


def test_iuv_gives_parts_and_uv_in_colours_that_tell_apart():
    iuv = torch.zeros(1, 3, 2, 2)
    iuv[0, :, 0, 0] = torch.tensor([3, 0.25, 1])
    iuv[0, :, 0, 1] = torch.tensor([14, 0.5, 0.5])
    rendering = taken_apart(Rendering(torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2), None, {"iuv": iuv}))
    assert Layers.steps(rendering) == ["parts", "UV", "mask", "result"]
    parts = Layers().panel("parts", rendering, None, 0)
    assert not torch.equal(parts[0, :, 0, 0], parts[0, :, 0, 1]) and not parts[0, :, 1].any()
    uv = Layers().panel("UV", rendering, None, 0)
    assert uv[0, :, 0, 0].tolist() == [0.25, 1, 0.25] and not uv[0, :, 1].any()


def test_neighbouring_parts_have_colours_that_differ():
    colours = colour_of_parts(24)
    apart = torch.cdist(colours, colours) + 9 * torch.eye(25)
    assert float(apart.min()) > 0.1


def test_a_foreground_is_a_step_of_its_own_where_there_is_a_background():
    plain = Rendering(torch.ones(1, 3, 2, 2), torch.zeros(1, 1, 2, 2))
    before = replace(plain, layers={"background": torch.zeros(1, 3, 2, 2)})
    assert Layers.steps(plain) == ["mask", "result"]
    assert Layers.steps(before) == ["mask", "foreground", "background", "result"]
    assert float(Layers().panel("foreground", before, None, 0).min()) == 0.5


def test_features_are_shown_where_they_cover():
    layers = {"features": torch.randn(1, 5, 1, 2), "coverage": torch.tensor([[[[0.5, 0.0]]]])}
    rendering = Rendering(torch.zeros(1, 3, 1, 2), torch.ones(1, 1, 1, 2), None, layers)
    shown = Layers().panel("features", rendering, None, 0.5)
    assert shown[..., 0].any() and not shown[..., 1].any()


def test_an_overview_shows_those_that_are_chosen():
    white = torch.ones(1, 3, 4, 4)
    rendering = Rendering(white, white[:, :1], None, {"texture": white})
    assert Layers().overview(rendering, None, 0.5).shape[1] == 12
    assert Layers().overview(rendering, None, 0.5, ("result", "mask", "depth")).shape[1] == 8


def test_parts_stay_whole_numbers_when_a_picture_is_drawn_much_larger_than_trained():
    class Numbered(Avatar):
        def forward(self, scene):
            image = torch.zeros(1, 1, *scene.size)
            image[..., scene.size[1] // 2:] = 7
            return Rendering(image.expand(-1, 3, -1, -1), image / 7, None, {"parts": image, "other": image})

    avatar = Numbered(Config(size=8), None)
    avatar.register_buffer("somewhere", torch.zeros(1))
    drawn = avatar.draw(Scene(None, None, (40, 40)))
    assert set(drawn.layers["parts"].unique().tolist()) == {0, 7}
    assert len(drawn.layers["other"].unique()) > 2
