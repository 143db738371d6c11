"""SMPLpix: its network, what it is shown, what its losses reach, how its learning rate falls."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from anr_core import losses, pretrained
from anr_core.avatars import Scene, configure, make_avatar
from anr_core.avatars.inputs import CHANNELS, Look, draw_input, spread_vertices, vertex_colours
from anr_core.avatars.rims import depths, outline
from anr_core.avatars.run import load_avatar
from anr_core.avatars.smplpix import PRESETS, SMPLpix
from anr_core.body import Posed
from anr_core.capture import View, resample
from anr_core.renderer import BlockUNet
from anr_core.texture import table
from anr_core.training import bodies, learner, loop, plateau, scene_of, train
from anr_core.training.inputs import DrawnInputs

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4, "levels": 2}
PUBLISHED = {"width": 32, "levels": 5, "fold": 1, "norm": "batch", "activation": "relu", "up": "bilinear"}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def build(capture, **changes):
    """An avatar over a random texture, its network shaken out of its beginning."""
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pictures = [(shot.camera, shot.frame) for shot in capture.shots]
        avatar = make_avatar(configure(system="smplpix", **TINY | {"refine_from": 0} | changes),
                             capture.body.surface, pictures)
    avatar.initialize(torch.rand(1, 3, 64, 64, generator=random))
    with torch.no_grad():
        for parameter in avatar.network.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=random)
    avatar.body = capture.body
    return avatar


@pytest.fixture(scope="module")
def views(small_capture):
    return list(small_capture.views(crop="body", size=64))


def posed(capture, view):
    return Posed(capture.body(view.pose).vertices, None, capture.body.surface)


# the rim


def test_the_rim_agrees_with_pooling():
    coverage = (torch.rand(2, 1, 21, 17, generator=torch.Generator().manual_seed(0)) > 0.02).float()
    pooled = coverage
    for _ in range(2):
        pooled = nn.functional.avg_pool2d(pooled, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(outline(coverage), pooled.logit(0.01), rtol=1e-4, atol=1e-4)
    deep = 1 - nn.functional.max_pool2d(1 - coverage, 7, 1, 3)
    assert torch.equal(depths(coverage), deep) and 0 < deep.mean() < 1


def test_what_is_drawn_in_short_numbers_is_the_same_to_the_eye(small_capture, views):
    avatar = build(small_capture).eval()
    scene = scene_of(views[0], posed(small_capture, views[0]))
    whole, drawn = avatar(scene), avatar.draw(scene)
    assert (whole.rgb - drawn.rgb).abs().max() < 1 / 255 and (whole.mask - drawn.mask).abs().max() < 2 / 255


def test_a_mask_too_faint_for_a_byte_is_none(small_capture, views):
    mask = build(small_capture).eval().draw(scene_of(views[0], posed(small_capture, views[0]))).mask
    assert mask.min() == 0 and mask[mask > 0].min() >= 0.5 / 255


# the network


def test_the_published_network_has_8637411_parameters():
    assert count(BlockUNet(3, 3)) == 8_637_411
    base = PRESETS["base"]
    assert {name: getattr(base, name) for name in PUBLISHED} == PUBLISHED and base.input_channels == 3
    avatar = SMPLpix(replace(base, masked=False), None, [])
    assert count(avatar) == 8_637_411 and not avatar.config.residual and avatar.config.sigmoid


def test_a_mask_takes_33_parameters_more():
    assert count(SMPLpix(PRESETS["base"], None, [])) == 8_637_411 + 32 + 1


@pytest.mark.parametrize("blocks, parameters", [(3, 0.52e6), (4, 2.14e6), (6, 34.6e6)])
def test_fewer_and_more_blocks_have_the_published_parameters_too(blocks, parameters):
    with torch.device("meta"):
        assert count(BlockUNet(3, 3, blocks=blocks)) == pytest.approx(parameters, rel=0.01)


@pytest.mark.parametrize("up", ["bilinear", "nearest", "transpose"])
@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 40), (31, 33), (64, 64)])
def test_a_picture_of_any_size_keeps_it(size, fold, up):
    network = BlockUNet(4, 2, 4, 4, "none", up=up, fold=fold)
    assert network(torch.rand(2, 4, *size)).shape == (2, 2, *size)


@pytest.mark.parametrize("norm", ["batch", "group", "instance", "none"])
@pytest.mark.parametrize("activation", ["relu", "leaky", "silu", "none"])
def test_every_norm_and_activation_learns(norm, activation):
    network = BlockUNet(3, 3, 4, 2, norm, activation)
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    assert network.leave.weight.grad.any()


@pytest.mark.parametrize("choice", [{"norm": "layer"}, {"activation": "tanh"}, {"up": "cubic"}])
def test_an_unknown_choice_is_named_with_those_there_are(choice):
    name, value = next(iter(choice.items()))
    with pytest.raises(ValueError, match=f"{name} '{value}' is unknown; use one of "):
        BlockUNet(3, 3, **choice)


# what it is shown


def look(capture, kind="texture", points=0, size=64):
    texels = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    return Look(kind, points, table(texels), (1, size, size))


def test_a_mesh_in_colour_is_what_the_static_texture_draws(small_capture, views):
    view, drawn = views[0], look(small_capture)
    static = make_avatar(configure(system="static", texture_size=64), small_capture.body.surface, [])
    static.texels.copy_(drawn.texels)
    image, _ = draw_input(posed(small_capture, view), view.camera, view.size, drawn)
    fine = static(Scene(posed(small_capture, view), view.camera.resize((128, 128)), (128, 128)))
    pool = nn.AvgPool2d(2)
    torch.testing.assert_close(image[:, 4:], pool(fine.mask))
    torch.testing.assert_close(image[:, :3] * image[:, 4:], pool(fine.rgb * fine.mask), atol=1e-5, rtol=0)
    assert image.shape[1] == CHANNELS and 0 <= image.min() and image.max() <= 1


@pytest.mark.parametrize("points", [0, 100])
def test_of_points_in_one_pixel_the_nearest_is_drawn(points, small_capture, views):
    view, drawn = views[3], look(small_capture, "points", points)
    mesh = posed(small_capture, view)
    camera = view.camera.resize((20, 14))
    image, _ = draw_input(mesh, camera, (20, 14), drawn)
    chosen = spread_vertices(mesh.vertices.shape[1], points)
    pixels, depth = camera.project(mesh.vertices[:, chosen])
    colours = vertex_colours(mesh.surface, mesh.vertices.shape[1], drawn)[chosen]
    nearest = {}
    for index, ((x, y), far) in enumerate(zip(pixels[0].tolist(), depth[0].tolist(), strict=True)):
        place = math.floor(y), math.floor(x)
        if 0 <= place[0] < 20 and 0 <= place[1] < 14 and far < nearest.get(place, (math.inf,))[0]:
            nearest[place] = far, index
    assert len(nearest) > 3
    expected = torch.zeros(4, 20, 14)
    for place, (_, index) in nearest.items():
        expected[:, *place] = torch.cat([colours[index], torch.ones(1)])
    assert torch.equal(image[0, [0, 1, 2, 4]], expected)


def test_what_is_nearer_is_nearer_in_the_fourth_channel(small_capture, views):
    view = views[0]
    image, buffer = draw_input(posed(small_capture, view), view.camera, view.size, look(small_capture))
    covered = image[0, 4] == 1
    depth = nn.functional.avg_pool2d(buffer.image(buffer.depth), 2)[0, 0][covered]
    order = depth.argsort()
    assert (image[0, 3][covered][order].diff() <= 1e-6).all() and not image[0, 3][image[0, 4] == 0].any()


def test_every_kind_of_input_is_drawn_and_learned_from(small_capture, views):
    for kind in ("texture", "vertices", "shading", "points"):
        avatar = build(small_capture, drawn=kind, input_channels=5)
        view = views[0]
        scene = scene_of(view, posed(small_capture, view))
        sum(avatar.train().losses(scene, avatar(scene), view, "pictures").values()).backward()
        assert all(parameter.grad.isfinite().all() for parameter in avatar.network.parameters()), kind


def test_an_input_drawn_once_is_cut_as_the_view_is(small_capture):
    avatar = build(small_capture, size=200)
    inputs = DrawnInputs(avatar, small_capture)
    view = small_capture.views(crop="loose")[1]
    place = torch.tensor([[60.0, 80.0]]), torch.tensor([90.0]), torch.tensor([0.2]), 56
    cut = inputs.window(1, *place, np.random.default_rng(0))
    window = resample(view, *place)
    direct = avatar.inputs(scene_of(window, posed(small_capture, view)))[0]
    assert (cut[:, -1] - direct[:, -1]).abs().mean() < 0.02
    both = ((cut[:, -1:] > 0.99) & (direct[:, -1:] > 0.99)).expand(-1, 3, -1, -1)
    assert both.any() and (cut[:, :3] - direct[:, :3])[both].abs().mean() < 0.12  # a texture of noise


def test_a_training_view_is_drawn_with_the_colours_of_others(small_capture, views):
    avatar = build(small_capture)
    avatar.begin(avatar.stages(avatar.config)[0],
                 lambda most=None: ((view, posed(small_capture, view)) for view in views[:most]))
    for group, colours in enumerate(avatar.left_out):
        colours.fill_((1 + group) / 16)
    view = views[0]
    groups = avatar.folds.of((view.camera_name[0], int(view.frame)))
    drawn = avatar.inputs(scene_of(view, posed(small_capture, view)))
    assert [float(one[:, :3].max()) for one in drawn] == pytest.approx([(1 + group) / 16 for group in groups])


def test_pairs_are_drawn_without_a_body():
    avatar = SMPLpix(configure(system="smplpix", **TINY, input_channels=4), None, [])
    assert avatar.needs == ("image",) and avatar.controls == () and avatar.surface is None
    image = torch.rand(2, 4, 21, 30)
    drawn = avatar.eval()(Scene(None, None, (21, 30), image=image))
    torch.testing.assert_close(drawn.rgb, image[:, :3])  # a residual begins by adding nothing
    assert drawn.mask.shape == (2, 1, 21, 30)


# losses


def test_what_lies_beside_the_person_does_not_reach_the_colours(small_capture, views):
    avatar, view = build(small_capture).train(), views[0]
    scene = scene_of(view, posed(small_capture, view))
    certain = torch.ones_like(view.certain)

    def gradient(image):
        avatar.zero_grad()
        other = replace(view, image=image, certain=certain)
        sum(avatar.losses(scene, avatar(scene), other, "pictures").values()).backward()
        return torch.cat([parameter.grad.flatten() for parameter in avatar.parameters()])

    beside = (view.mask == 0).expand_as(view.image)
    assert torch.equal(gradient(view.image), gradient(torch.where(beside, 1 - view.image, view.image)))


def test_without_vgg_weights_it_learns_by_structure_and_says_so(small_capture, views, monkeypatch, capsys):
    def missing():
        raise ImportError("No module named 'torchvision'")

    monkeypatch.setattr(pretrained, "_import_torchvision", missing)
    losses.vgg_network.cache_clear()
    avatar, view = build(small_capture, vgg=1.0, structure=0.1).train(), views[0]
    scene = scene_of(view, posed(small_capture, view))
    for _ in range(2):
        terms = avatar.losses(scene, avatar(scene), view, "pictures")
    losses.vgg_network.cache_clear()
    assert "structure" in terms and "vgg" not in terms
    assert capsys.readouterr().err == "VGG16 is left out: ImportError: No module named 'torchvision'\n"


def test_vgg_features_are_weighed_and_averaged_in_one_vector(monkeypatch):
    network = nn.Sequential(*(nn.Conv2d(3, 3, 1) if index == 0 else nn.MaxPool2d(2) if index in (4, 9, 16)
                              else nn.Identity() for index in range(23))).requires_grad_(False)
    monkeypatch.setattr(losses, "vgg_network", lambda: network)
    drawn, taken = torch.rand(2, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    total, numbers = (drawn - taken).abs().sum(), drawn.numel()
    drawn_features, taken_features = network[0](drawn), network[0](taken)
    for weight in (1 / 16, 1 / 8, 1 / 4, 1):
        total = total + weight * (drawn_features - taken_features).abs().sum()
        numbers += drawn_features.numel()
        drawn_features, taken_features = (nn.functional.max_pool2d(features, 2)
                                          for features in (drawn_features, taken_features))
    ours = losses.vgg(drawn, taken, torch.ones(1, 1, 16, 16))
    torch.testing.assert_close(ours, total / numbers)


# training


def test_the_discriminator_judges_at_the_end_and_a_painter_from_the_start(small_capture):
    def stages(**changes):
        config = configure("quick", "smplpix", **TINY | {"adversary": 0.1} | changes)
        return make_avatar(config, small_capture.body.surface, [("a", 0)]).stages(config)

    assert [bool(stage.adversary) for stage in stages()] == [False, True]
    assert [bool(stage.adversary) for stage in stages(freeze_texture=True)] == [True]
    assert not any(stage.adversary for stage in stages(adversary=0.0))


def test_a_plateau_multiplies_the_rate_after_enough_looks():
    fallen = plateau.Plateau(0.1, 2)
    for loss, scale in ((5, 1), (4, 1), (4, 1), (4, 1), (4, 0.1), (3, 0.1), (3.5, 0.1), (3, 0.1), (3, 0.01)):
        fallen.look(loss)
        assert fallen.scale == pytest.approx(scale)
    assert plateau.Plateau(**fallen.state()) == fallen


def test_a_run_on_a_plateau_that_was_stopped_ends_in_the_same_bytes(small_capture, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "steps_between_looks", lambda pictures, batch: 3)
    monkeypatch.setattr(plateau, "LOWER", 0.9)  # nothing is ever so much lower
    config = TINY | {"schedule": "plateau", "patience": 0, "norm": "batch", "adversary": 0.01}
    rates = []
    scale_learning_rates = learner.scale_learning_rates

    def noted(optimizer, place, scale):
        scale_learning_rates(optimizer, place, scale)
        rates.append(scale)

    monkeypatch.setattr(learner, "scale_learning_rates", noted)
    runs = tmp_path / "whole", tmp_path / "stopped"
    list(train(small_capture, runs[0], "smplpix", steps=12, config=config))
    assert min(rates) < 0.5 < max(rates)
    for last in (5, 10):
        steps = train(small_capture, runs[1], "smplpix", steps=12, config=config)
        while next(steps).step < last:
            pass
        steps.close()
    list(train(small_capture, runs[1], "smplpix", steps=12, config=config))
    first, second = ((run / "checkpoint.safetensors").read_bytes() for run in runs)
    assert first == second


def test_validation_is_looked_at_where_there_is_one(small_capture, tmp_path, monkeypatch):
    shots = [replace(shot, split="validation" if shot.frame == 4 else "train")
             for shot in small_capture.shots]
    monkeypatch.setattr(loop, "steps_between_looks", lambda pictures, batch: 2)
    drawn, seen = bodies.drawn_whole, []

    def noted(capture, config):
        seen.append({shot.split for shot in capture.shots})
        return drawn(capture, config)

    monkeypatch.setattr(bodies, "drawn_whole", noted)
    list(train(replace(small_capture, shots=shots), tmp_path / "run", "smplpix", steps=4,
               config=TINY | {"schedule": "plateau"}))
    assert {"validation"} in seen


def test_what_batch_norm_knows_is_averaged_with_the_weights(small_capture, tmp_path):
    list(train(small_capture, tmp_path / "run", "smplpix", steps=6, config=TINY | {"norm": "batch"}))
    norms = [module for module in load_avatar(tmp_path / "run").network.modules()
             if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(bool((norm.running_var != 1).all()) for norm in norms)


def test_a_step_draws_no_mesh(small_capture, tmp_path, monkeypatch):
    steps = train(small_capture, tmp_path / "run", "smplpix", steps=5, config=TINY)
    next(steps)
    monkeypatch.setattr("anr_core.avatars.inputs.gbuffer", None)
    monkeypatch.setattr(loop.Trainer, "_look_after", lambda trainer: None)
    assert next(steps).step == 2
    steps.close()


def test_settings_are_the_system_s_own():
    assert configure(system="smplpix") == PRESETS["quick"]
    assert configure("base", system="smplpix", points=7).points == 7
    with pytest.raises(ValueError, match="setting points is unknown"):
        configure(points=7)
    for name, preset in PRESETS.items():
        assert preset.preset == name and preset.system == "smplpix" and configure(**vars(preset)) == preset


def test_a_batch_is_cut_with_its_inputs(small_capture):
    view = small_capture.views(crop="body", size=64)[0]
    assert View.cat([replace(view, input=torch.rand(1, 5, 64, 64))] * 2).input.shape == (2, 5, 64, 64)
