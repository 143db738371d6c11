"""What every avatar shares: compositing, drawing at any size, stages, posing."""

from dataclasses import replace

import pytest
import torch

from anr_core.avatars import Avatar, Config, Rendering, Scene, Stage
from anr_core.avatars.resizing import ResizedLayers
from anr_core.body import Pose, Posed, Surface, TrackedBody
from anr_core.camera import look_at

VERTICES = torch.tensor([[[-0.1, 0.2, 0.0], [0.1, -0.1, 0.0], [0.0, 0.1, 0.0]]])
FACES = torch.tensor([[0, 1, 2]])
SURFACE = Surface(FACES, torch.tensor([[0.0, 0], [1, 0], [0, 1]]), FACES, torch.tensor([1]))


class Recorder(Avatar):
    """Draws where its first vertex is, and notes what it was asked for."""

    def __init__(self):
        super().__init__(Config(size=60), SURFACE)
        self.first, self.second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        self.scenes = []

    def forward(self, scene):
        self.scenes.append(scene)
        rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in scene.size), indexing="ij")
        pixel = scene.camera.project(scene.posed.vertices)[0][0, 0]
        near = torch.hypot(columns - pixel[0], rows - pixel[1]) < max(scene.size) / 10
        picture = near.float()[None, None]
        return Rendering(picture.expand(-1, 3, -1, -1), picture, 2 * picture, {"spot": picture})


def camera(size):
    K = torch.tensor([[[2.0 * max(size), 0, size[1] / 2], [0, 2.0 * max(size), size[0] / 2], [0, 0, 1]]])
    return look_at(torch.tensor([[0.0, 0, 4]]), torch.zeros(1, 3), (0, 1, 0), K, size)


def scene(*size):
    return Scene(Posed(VERTICES, None, SURFACE), camera(size), size)


# compositing


def test_compositing_mixes_straight_colour_with_what_is_behind():
    rgb, mask = torch.full((2, 3, 4, 5), 0.8), torch.full((2, 1, 4, 5), 0.25)
    rendering = Rendering(rgb, mask)
    torch.testing.assert_close(rendering.over(0), torch.full((2, 3, 4, 5), 0.2))
    torch.testing.assert_close(rendering.over(1.0), torch.full((2, 3, 4, 5), 0.95))
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    expected = torch.tensor([0.95, 0.2, 0.2]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    torch.testing.assert_close(rendering.over(red), expected)


# sizes


@pytest.mark.parametrize("size, drawn", [
    ((60, 60), (60, 60)), ((90, 45), (90, 45)), ((40, 40), (40, 40)),
    ((180, 180), (90, 90)), ((120, 240), (45, 90)), ((20, 20), (40, 40)), ((10, 5), (40, 20)),
], ids=str)
def test_far_sizes_are_drawn_at_the_nearest_that_was_trained_and_resized(size, drawn):
    avatar = Recorder()
    rendering = avatar.draw(scene(*size))
    asked = avatar.scenes[0]
    assert asked.size == drawn and asked.camera.size == drawn
    for picture in (rendering.rgb, rendering.mask, rendering.depth, rendering.layers["spot"]):
        assert picture.shape[-2:] == size
    weight = rendering.mask[0, 0] / rendering.mask.sum()
    rows, columns = ((weight.sum(1 - axis) * (torch.arange(n) + 0.5)).sum() for axis, n in enumerate(size))
    pixel = camera(size).project(VERTICES)[0][0, 0]
    torch.testing.assert_close(torch.stack([columns, rows]), pixel, atol=0.01 * max(size), rtol=0)


def test_layers_are_resized_when_they_are_looked_at_and_once():
    asked = []

    def resized(layer):
        asked.append(layer)
        return layer.repeat_interleave(2, -1)

    parts = torch.tensor([[[[1.0, 4.0]]]])
    layers = ResizedLayers({"spot": torch.ones(1, 1, 2, 2), "parts": parts}, (1, 4), resized)
    assert list(layers) == ["spot", "parts"] and "spot" in layers and layers.get("other") is None
    assert not asked
    assert layers["spot"].shape == (1, 1, 2, 4) and layers["spot"] is layers["spot"] and len(asked) == 1
    assert layers["parts"].tolist() == [[[[1, 1, 4, 4]]]]  # no part 2 lies between 1 and 4
    assert (layers | {"other": parts}).keys() == {"spot", "parts", "other"} and len(asked) == 1


def test_drawing_takes_no_gradients_and_needs_no_size_in_the_camera():
    avatar, asked = Recorder(), scene(200, 200)
    unsized = replace(asked, camera=replace(asked.camera, size=None))
    drawn = avatar.draw(unsized)
    assert torch.equal(drawn.mask, avatar.draw(asked).mask) and not drawn.rgb.requires_grad


# posing


def test_a_pose_is_drawn_by_the_body():
    avatar = Recorder()
    with pytest.raises(ValueError, match="no body to pose"):
        avatar.render(Pose.of_frame(torch.tensor([3])), camera((60, 60)), (60, 60))
    avatar.body = TrackedBody([3], VERTICES, SURFACE)
    avatar.render(Pose.of_frame(torch.tensor([3])), camera((60, 60)), (60, 60))
    assert torch.equal(avatar.scenes[0].posed.vertices, VERTICES)


# training


def test_parameters_outside_of_a_stages_groups_rest():
    avatar = Recorder()
    for groups, moving in ((("first",), {"first.weight", "first.bias"}), (("second.bias",), {"second.bias"})):
        avatar.begin(Stage("some", 0.5, dict.fromkeys(groups, (1e-3, 1e-4))), lambda: iter(()))
        assert {name for name, parameter in avatar.named_parameters() if parameter.requires_grad} == moving


def test_a_checkpoint_holds_the_surface():
    state = Recorder().state_dict()
    other = Recorder()
    other.surface_uv.zero_()
    other.load_state_dict(state)
    for name in ("faces", "uv", "uv_faces", "part"):
        assert torch.equal(getattr(other.surface, name), getattr(SURFACE, name))
