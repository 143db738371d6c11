"""What holds for every system: what it draws, what its losses reach, how it is cut and sized."""

from dataclasses import replace

import pytest
import torch

from anr_core.avatars import SYSTEMS, Scene, configure, make_avatar
from anr_core.avatars.run import load_avatar
from anr_core.body import Posed
from anr_core.capture import View
from anr_core.training import scene_of, train

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
# what draws bones or keypoints is tested in test_gaussian.py and test_dynamic_texture.py
MESHED = [name for name in SYSTEMS if name not in ("gaussian", "dynamic-texture")]
LAYERS = {"neural-body": {"depth", "weights"}}  # what draws no mesh
LEARNING = [name for name in MESHED if name != "static"]


@pytest.fixture(scope="module")
def views(small_capture):
    return list(small_capture.views(crop="body", size=64))


def build(capture, system, **changes):
    """An avatar over a random texture, with every parameter shaken out of its beginning."""
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pictures = [(shot.camera, shot.frame) for shot in capture.shots]
        avatar = make_avatar(configure(system=system, **TINY | changes), capture.body.surface, pictures)
        charts = len(capture.body.surface.part.unique()) if changes.get("charts_by_part") else 1
        avatar.initialize(torch.rand(charts, 3, 64, 64, generator=random))
    with torch.no_grad():
        for parameter in avatar.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=random)
    avatar.body = capture.body
    return avatar


def posed(avatar, capture, view):
    return Posed(capture.body(view.pose).vertices, None, avatar.surface)


def scene(avatar, capture, view):
    return scene_of(view, posed(avatar, capture, view))


@pytest.mark.parametrize("system", MESHED)
@pytest.mark.parametrize("changes", [{}, {"charts_by_part": True}, {"projection": "weak"}], ids=str)
def test_a_batch_is_drawn_in_range_and_as_its_pictures_alone(system, changes, small_capture, views):
    avatar = build(small_capture, system, **changes).eval()
    drawn = avatar(scene(avatar, small_capture, View.cat([views[0], views[7]])))
    assert drawn.rgb.shape == (2, 3, 64, 64) and drawn.mask.shape == drawn.depth.shape == (2, 1, 64, 64)
    for picture in (drawn.rgb, drawn.mask):
        assert picture.isfinite().all() and picture.min() >= 0 and picture.max() <= 1
    assert LAYERS.get(system, {"iuv", "normals"}) <= set(drawn.layers)
    for index, view in enumerate((views[0], views[7])):
        alone = avatar(scene(avatar, small_capture, view))
        torch.testing.assert_close(drawn.rgb[index], alone.rgb[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(drawn.mask[index], alone.mask[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("system", MESHED)
def test_a_picture_of_any_size_is_drawn(system, small_capture, views):
    avatar = build(small_capture, system)
    view = views[0]
    for size in ((64, 64), (41, 53), (96, 30), (7, 9), (200, 200)):
        whole = Scene(posed(avatar, small_capture, view), view.camera.resize(size), size)
        drawn = avatar.draw(whole)
        assert drawn.rgb.shape == (1, 3, *size) and drawn.mask.shape == (1, 1, *size)
        assert drawn.rgb.isfinite().all() and not drawn.rgb.requires_grad


@pytest.mark.parametrize("system", MESHED)
def test_a_camera_that_sees_nobody_draws_no_nan(system, small_capture, views):
    avatar = build(small_capture, system).eval()
    away = replace(views[0].camera, t=-views[0].camera.t)
    drawn = avatar.draw(Scene(posed(avatar, small_capture, views[0]), away, (64, 64)))
    assert drawn.rgb.isfinite().all() and drawn.mask.isfinite().all() and not drawn.depth.any()


@pytest.mark.parametrize("system", MESHED)
def test_drawing_reads_only_what_is_needed(system, small_capture, views):
    avatar = build(small_capture, system).eval()
    asked = scene(avatar, small_capture, views[0])
    needed = Scene(size=asked.size, **{name: None for name in ("posed", "camera")} |
                   {name: getattr(asked, name) for name in avatar.needs})
    assert torch.equal(avatar.draw(needed).rgb, avatar.draw(asked).rgb)


@pytest.mark.parametrize("system", LEARNING)
def test_losses_are_finite_and_reach_the_parameters_of_their_stage_alone(system, small_capture, views):
    avatar = build(small_capture, system).train()
    view = View.cat([views[0], views[7]])
    stages = avatar.stages(avatar.config)
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    for stage in stages:
        avatar.zero_grad()
        avatar.begin(stage, lambda most=None: ((view, posed(avatar, small_capture, view)) for view in views))
        asked = scene(avatar, small_capture, view)
        losses = avatar.losses(asked, avatar(asked), view, stage.name)
        assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
        assert any(loss.requires_grad for loss in losses.values())
        sum(losses.values()).backward()
        for name, parameter in avatar.named_parameters():
            moved = parameter.grad is not None and bool((parameter.grad != 0).any())
            assert moved == name.startswith(tuple(stage.groups)), (stage.name, name)
            assert parameter.grad is None or parameter.grad.isfinite().all(), (stage.name, name)


@pytest.mark.parametrize("system", LEARNING)
def test_uncertain_pixels_enter_no_loss(system, small_capture, views):
    avatar = build(small_capture, system).train()
    view = views[0]
    certain = view.certain.clone()
    certain[..., 20:40] = False
    other = torch.where(certain, view.image, 1 - view.image), torch.where(certain, view.mask, 1 - view.mask)
    for stage in avatar.stages(avatar.config):
        avatar.begin(stage, lambda most=None: ((view, posed(avatar, small_capture, view)) for view in views))
        asked = scene(avatar, small_capture, view)
        rendering = avatar(asked)
        shown = [replace(view, image=image, mask=mask, certain=certain)
                 for image, mask in ((view.image, view.mask), other)]
        losses = [avatar.losses(asked, rendering, view, stage.name) for view in shown]
        for name in losses[0]:
            torch.testing.assert_close(losses[0][name].detach(), losses[1][name].detach())


@pytest.mark.parametrize("system", LEARNING)
def test_a_stage_begun_twice_is_as_begun_once(system, small_capture, views):
    avatar = build(small_capture, system)
    for stage in avatar.stages(avatar.config):
        def shown(most=None):
            return ((view, posed(avatar, small_capture, view)) for view in views)

        for _ in range(2):
            avatar.begin(stage, shown)
            state = {name: tensor.clone() for name, tensor in avatar.state_dict().items()}
        avatar.begin(stage, shown)
        assert all(torch.equal(tensor, state[name]) for name, tensor in avatar.state_dict().items())


@pytest.mark.parametrize("system", MESHED)
def test_weak_projection_differs_slightly(system, small_capture, views):
    outlines = []
    for projection in ("perspective", "weak"):
        avatar = build(small_capture, system, projection=projection).eval()
        outlines.append(avatar.draw(scene(avatar, small_capture, views[0])).depth > 0)
    either, both = outlines[0] | outlines[1], outlines[0] & outlines[1]
    assert 0.7 < both.sum() / either.sum() < 1


@pytest.mark.parametrize("system", MESHED)
def test_weak_projection_trains_and_draws(system, small_capture, tmp_path):
    list(train(small_capture, tmp_path / "run", system, steps=2, projection="weak", config=TINY))
    avatar = load_avatar(tmp_path / "run")
    view = small_capture.views(crop="body", size=64)[0]
    drawn = avatar.render(view.pose, view.camera, (64, 64))
    overlap = (drawn.depth > 0) & (view.mask > 0.5)
    assert overlap.sum() > 0.7 * (view.mask > 0.5).sum()


def test_an_unknown_system_is_named_with_those_there_are(small_capture):
    known = "anr, deferred, dynamic-texture, gaussian, neural-body, smplpix, static"
    with pytest.raises(ValueError, match=f"'nerf' is unknown; use one of {known}"):
        make_avatar(configure(system="nerf"), small_capture.body.surface, [])
