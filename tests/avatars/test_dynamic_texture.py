"""The dynamic texture: what it draws of keypoints and of bodies, what its losses reach, what it learns."""

import math
from dataclasses import replace

import pytest
import torch

from anr_core.avatars import Scene, configure, make_avatar
from anr_core.avatars.dynamic_losses import along, beside, swimming
from anr_core.avatars.dynamic_texture import PRESETS, Settings
from anr_core.avatars.rims import beyond
from anr_core.avatars.run import load_avatar
from anr_core.body import Posed
from anr_core.capture import View, resample
from anr_core.capture.pictures import read_image, write_image
from anr_core.parts import Labelling, Limbs
from anr_core.parts.generator import MOVES
from anr_core.rasterizer import gbuffer
from anr_core.training import scene_of, train
from tests.killed import killed_and_whole
from tests.posed_capture import make_posed_capture

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 64, "batch": 2, "texture_size": 64, "width": 4, "levels": 2, "features": 4,
        "generator_width": 4, "generator_depth": 1, "chart_size": 16, "made_up": 2, "skeleton": "coco23"}


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture", masked=True)


@pytest.fixture(scope="module")
def views(capture):
    return list(capture.views(crop="body", size=64))


@pytest.fixture(scope="module")
def learned(capture, tmp_path_factory):
    """A run that has learned a little of everything."""
    path = tmp_path_factory.mktemp("run") / "run"
    list(train(capture, path, "dynamic-texture", steps=60, seed=1, config=TINY | {"generator_width": 8}))
    return path


def build(capture, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pictures = [(shot.camera, shot.frame) for shot in capture.shots]
        avatar = make_avatar(configure(system="dynamic-texture", **TINY | changes), capture.body.surface,
                             pictures)
        avatar.look_at(capture)
        avatar.initialize(torch.rand(1, 3, 64, 64))
        avatar.alive.fill_(True)
        with torch.no_grad():
            for name, parameter in avatar.named_parameters():
                if name.startswith(("generator", "network")):
                    parameter += 0.1 * torch.randn(parameter.shape)
    return avatar


def posed(capture, view):
    mesh = capture.body(view.pose)
    return Posed(mesh.vertices, mesh.joints, capture.body.surface)


def scene(capture, view):
    return scene_of(view, posed(capture, view))


def followed(views):
    """A batch of one pair, whose flow is nothing and trusted everywhere."""
    flow = torch.zeros(2, 3, 64, 64)
    flow[1, 2] = 1
    return replace(View.cat(views), flow=flow)


# drawing


def test_a_batch_is_drawn_in_range_and_as_its_pictures_alone(capture, views):
    avatar = build(capture).eval()
    drawn = avatar(scene(capture, View.cat([views[0], views[3]])))
    assert drawn.rgb.shape == (2, 3, 64, 64) and drawn.mask.shape == (2, 1, 64, 64)
    for picture in (drawn.rgb, drawn.mask):
        assert picture.isfinite().all() and picture.min() >= 0 and picture.max() <= 1
    for index, view in enumerate((views[0], views[3])):
        alone = avatar(scene(capture, view))
        torch.testing.assert_close(drawn.rgb[index], alone.rgb[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(drawn.mask[index], alone.mask[0], atol=1e-4, rtol=0)


def test_a_picture_of_any_size_is_drawn_and_layers_have_it(capture, views):
    avatar = build(capture).eval()
    for size in ((64, 64), (41, 53), (96, 30), (7, 9), (200, 200)):
        drawn = avatar.draw(Scene(posed(capture, views[0]), views[0].camera.resize(size), size))
        assert drawn.rgb.shape == (1, 3, *size) and drawn.mask.shape == (1, 1, *size)
        assert all(layer.shape[2:] == size for layer in drawn.layers.values())
        assert drawn.rgb.isfinite().all() and not drawn.rgb.requires_grad


def test_keypoints_draw_what_the_body_draws_whose_they_are(capture, views):
    avatar = build(capture, pose="keypoints").eval()
    asked = scene(capture, views[0])
    of_body = avatar.points(replace(asked, keypoints=None))
    seen = of_body[..., 2] > 0
    assert seen.sum() > 15
    distance = (of_body - views[0].keypoints)[..., :2].norm(dim=-1)[seen]
    assert distance.max() < 0.05  # pixels
    alone = replace(asked, posed=None, keypoints=of_body)
    assert torch.equal(avatar(alone).rgb, avatar(replace(asked, keypoints=None)).rgb)


def test_a_body_says_where_on_its_parts_pixels_are(capture, views):
    avatar, asked = build(capture).eval(), scene(capture, views[0])
    with torch.no_grad():
        avatar.generator.mend.weight.zero_(), avatar.generator.mend.bias.zero_()
        drawn = avatar(asked)
    true = gbuffer(replace(asked.posed, surface=avatar.charts), asked.camera, asked.size).iuv()
    torch.testing.assert_close(torch.cat([drawn.layers["parts"], drawn.layers["uv"]], 1), true)
    texture = beyond(drawn.layers["features"][:, :3], drawn.layers["coverage"], closely=True)
    assert torch.equal(drawn.layers["coverage"], (true[:, :1] > 0).float())
    torch.testing.assert_close((texture + drawn.layers["added"]).clamp(0, 1), drawn.rgb)


def test_what_is_mended_moves_places_and_the_mask(capture, views):
    avatar, asked = build(capture).eval(), scene(capture, views[0])
    with torch.no_grad():
        avatar.generator.mend.weight.zero_()
        avatar.network.requires_grad_(False), avatar.alive.fill_(False)
        drawn = []
        for mended in (0.0, 1.0):
            avatar.generator.mend.bias.fill_(mended)
            drawn.append(avatar(asked))
    covered = drawn[0].layers["coverage"] > 0
    moved = (drawn[1].layers["uv"] - drawn[0].layers["uv"])[covered.expand(-1, 2, -1, -1)]
    whole = drawn[0].layers["uv"][covered.expand(-1, 2, -1, -1)] < 0.9
    torch.testing.assert_close(moved[whole], torch.full_like(moved[whole], MOVES * math.tanh(1)))
    assert (drawn[1].mask >= drawn[0].mask).all() and (drawn[1].mask > drawn[0].mask).any()


def test_training_takes_poses_of_keypoints_and_of_bodies_in_turn(capture, views):
    avatar, asked = build(capture).train(), scene(capture, views[0])
    assert {avatar.guided(asked) for _ in range(40)} == {True, False}
    avatar.eval()
    assert avatar.guided(asked) and not avatar.guided(replace(asked, posed=None))
    assert not build(capture, pose="keypoints").train().guided(asked)


def test_what_the_own_body_hides_of_the_face_is_not_seen_and_limbs_are_there(capture, views):
    avatar = build(capture).eval()
    side = next(view for view in views if view.camera_name == ["side"])
    points = avatar.points(replace(scene(capture, side), keypoints=None))[0]
    hidden = {name for name, point in zip(avatar.skeleton.names, points, strict=True) if not point[2]}
    assert hidden and all(name.endswith(("_eye", "_ear")) for name in hidden)
    assert len({name.split("_")[0] for name in hidden}) == 1  # those of the far side


@pytest.mark.parametrize("spoil", [
    lambda points: points.fill_(torch.nan),
    lambda points: points.mul_(torch.tensor([1.0, 1.0, 0.0])),
    lambda points: points.add_(torch.tensor([1e7, -1e7, 0.0])),
    lambda points: points.mul_(torch.tensor([0.0, 0.0, 1.0])),
], ids=["NaN", "nothing seen", "far outside", "all in one place"])
def test_bad_keypoints_draw_finite_pictures(spoil, capture, views):
    avatar = build(capture).eval()
    points = spoil(views[0].keypoints.clone())
    drawn = avatar(Scene(None, views[0].camera, (64, 64), points))
    assert drawn.rgb.isfinite().all() and drawn.mask.isfinite().all()


def test_without_keypoints_and_body_it_says_what_it_needs(capture, views):
    with pytest.raises(ValueError, match="keypoints, or those of a posed body"):
        build(capture)(Scene(None, views[0].camera, (64, 64)))


def test_a_camera_that_sees_nobody_draws_no_nan(capture, views):
    away = replace(views[0].camera, t=-views[0].camera.t)
    drawn = build(capture).eval().draw(Scene(posed(capture, views[0]), away, (64, 64)))
    assert drawn.rgb.isfinite().all() and drawn.mask.isfinite().all()


def test_the_static_texture_is_what_the_network_adds_nothing_to(capture, views):
    avatar = build(capture).eval()
    asked = scene(capture, views[0])
    dynamic, static = avatar.draw(asked), avatar.draw_static(asked)
    assert not static.layers["added"].any() and dynamic.layers["added"].any()
    torch.testing.assert_close(static.rgb * static.mask, dynamic.layers["texture"] * (static.mask > 0),
                               atol=1e-5, rtol=0)
    assert torch.equal(avatar.draw(asked).rgb, dynamic.rgb)  # it is as it was


# backgrounds


def test_the_background_is_known_to_cameras_that_were_trained(capture, views):
    avatar = build(capture).eval()
    assert avatar.background("front").shape == (1, 3, *capture.cameras["front"].size)
    assert avatar.background("ceiling") is None
    known = avatar(scene(capture, views[0])).layers["known"]
    assert known.mean() > 0.5  # the rest of the window is beside the picture
    unnamed = avatar(replace(scene(capture, views[0]), camera_name=[None]))
    assert not unnamed.layers["known"].any()


def test_half_precision_moves_no_background_and_hardly_changes_a_picture(capture, views):
    avatar, asked = build(capture).eval(), scene(capture, views[0])
    exact = avatar(asked)
    with torch.autocast("cpu", torch.bfloat16):
        cast = avatar(asked)
    for name in ("behind", "known"):
        assert torch.equal(cast.layers[name], exact.layers[name])
    assert cast.rgb.dtype == torch.float32 and (cast.mask - exact.mask).abs().mean() < 0.02
    same = cast.layers["parts"] == exact.layers["parts"]
    assert same.float().mean() > 0.9
    assert (cast.layers["uv"] - exact.layers["uv"]).abs()[same.expand(-1, 2, -1, -1)].mean() < 0.01


# learning


@pytest.mark.slow
def test_it_learns_in_half_precision(capture, tmp_path):
    config = TINY | {"precision": "bf16-mixed", "adversary": 0.1}
    steps = list(train(capture, tmp_path / "run", "dynamic-texture", steps=6, config=config))
    assert {step.stage for step in steps} == {"labels", "static", "dynamic"}


def test_a_window_is_learned_from_as_the_whole_is_drawn(capture, views):
    avatar, view = build(capture), views[0]
    window = resample(view, torch.tensor([[24.0, 24.0]]), torch.tensor([48.0]), torch.zeros(1), 48)
    draw, seen = avatar.limbs, []

    class Noted(Limbs):
        def __call__(self, *asked):
            seen.append(draw(*asked))
            return seen[-1]

    avatar.limbs = Noted(avatar.skeleton)
    avatar.eval()(replace(scene(capture, view), posed=None))
    avatar.train()(replace(scene(capture, window), posed=None))
    torch.testing.assert_close(seen[0][..., :12, :12], seen[1])


def test_losses_are_finite_and_reach_the_parameters_of_their_stage_alone(capture, views):
    avatar = build(capture).train()
    view, stages = followed([views[0], views[1]]), avatar.stages(avatar.config)
    assert [stage.name for stage in stages] == ["labels", "static", "dynamic"]
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    for stage in stages:
        avatar.zero_grad()
        avatar.begin(stage, None)
        asked = scene(capture, view)
        for guided in (True, False):
            avatar.guided = lambda scene, guided=guided: guided
            losses = avatar.practise(3, stage.name) if stage.practice else \
                avatar.losses(asked, avatar(asked), view, stage.name)
            assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
            sum(losses.values()).backward()
        for name, parameter in avatar.named_parameters():
            moved = parameter.grad is not None and bool((parameter.grad != 0).any())
            assert not moved or name.startswith(tuple(stage.groups)), (stage.name, name)
        for group in stage.groups:  # an untrained mask leaves nothing of the background
            assert group == "backgrounds" or any(
                       parameter.grad is not None and bool((parameter.grad != 0).any())
                       for name, parameter in avatar.named_parameters() if name.startswith(group)), group


def test_of_keypoints_alone_the_texture_learns_nothing(capture, views):
    avatar = build(capture).train()
    avatar.begin(avatar.stages(avatar.config)[2], None)
    asked = scene(capture, View.cat([views[0], views[1]]))
    avatar.guided = lambda scene: False
    avatar.losses(asked, avatar(asked), followed([views[0], views[1]]), "dynamic")["drawn"].backward()
    assert not any(parameter.grad is not None and parameter.grad.any() for name, parameter in
                   avatar.named_parameters() if name.startswith("texture"))
    assert any(parameter.grad is not None and parameter.grad.any()
               for parameter in avatar.generator.parameters())


def test_uncertain_pixels_enter_no_loss(capture, views):
    avatar = build(capture).train()
    view = followed([views[0], views[1]])
    certain = view.certain.clone()
    certain[..., 20:40] = False
    other = replace(view, certain=certain, image=torch.where(certain, view.image, 1 - view.image),
                    mask=torch.where(certain, view.mask, 1 - view.mask))
    for stage in avatar.stages(avatar.config)[1:]:
        avatar.begin(stage, None)
        asked = scene(capture, view)
        rendering, found = avatar(asked), []
        for shown in (replace(view, certain=certain), other):
            torch.manual_seed(0)
            found.append(avatar.losses(asked, rendering, shown, stage.name))
        for name in found[0]:
            torch.testing.assert_close(found[0][name], found[1][name])


def test_a_picture_that_changes_as_the_taken_one_does_costs_nothing_in_time(capture, views):
    avatar = build(capture).train()
    view = followed([views[0], views[1]])
    avatar.begin(avatar.stages(avatar.config)[2], None)
    asked = scene(capture, view)
    rendering = avatar(asked)
    taken = replace(rendering, rgb=view.image, mask=torch.ones_like(rendering.mask))
    assert avatar.losses(asked, taken, view, "dynamic")["temporal"] == 0
    flickering = replace(taken, rgb=torch.cat([view.image[:1], torch.ones_like(view.image[1:])]))
    assert avatar.losses(asked, flickering, view, "dynamic")["temporal"] > 0.1


def two_frames(capture, view, step):
    """A body drawn twice, the second time beside where it was, on the avatar's charts."""
    mesh = posed(capture, view)
    both = replace(mesh, vertices=torch.cat([mesh.vertices, mesh.vertices + step]),
                   joints=mesh.joints.repeat(2, 1, 1))
    return gbuffer(both, View.cat([view, view]).camera, (64, 64))


def test_along_a_mesh_each_place_is_found_where_the_frame_before_has_it(capture, views):
    step = torch.tensor([0.04, 0.02, -0.03])
    buffer = two_frames(capture, views[0], step)
    flow, seen = along(buffer)
    later = buffer.picture == 1
    true = views[0].camera.project((buffer.position[later] - step)[None])[0][0]
    places = buffer.pixels[later] - 64 * 64
    here = torch.stack([places % 64, places // 64], 1) + 0.5
    torch.testing.assert_close(flow[0].flatten(1).T[places], true - here, atol=0.02, rtol=0)
    assert 0.5 < seen.sum() / len(places) < 1  # what the body itself hides, and its rim, are unknown
    assert seen.flatten()[places].sum() == seen.sum()
    with torch.autocast("cpu", torch.bfloat16):
        half = along(buffer)
        places = torch.zeros(2, 2, 64, 64, dtype=torch.bfloat16)
        assert swimming(places, torch.zeros(2, 3, 64, 64), buffer) == 0
    torch.testing.assert_close(half, (flow, seen), atol=1e-3, rtol=0)


def test_only_what_leaves_its_place_on_the_body_swims(capture, views):
    buffer = two_frames(capture, views[0], torch.tensor([0.04, 0.02, -0.03]))
    on_body = buffer.image(buffer.uv)
    planes = torch.zeros(2, 3, 64, 64)
    assert swimming(0 * on_body, planes, buffer) == 0
    kept = swimming(0.1 * on_body, planes, buffer)
    planes[1] = 0.1
    torch.testing.assert_close(swimming(0 * on_body, planes, buffer), torch.tensor(0.1))
    on_picture = torch.linspace(0, 1, 64).expand(2, 2, 64, 64)
    assert kept < 0.3 * swimming(0.1 * on_picture, 0 * planes, buffer)


def test_it_learns_where_a_person_is(learned, capture, views):
    avatar = load_avatar(learned)
    for view in views:
        drawn, there = avatar.draw(scene(capture, view)).mask, view.mask > 0.5
        assert drawn[there].mean() > 2 * drawn[~there].mean()


@pytest.mark.slow
def test_a_run_in_three_stages_that_was_killed_ends_in_the_same_bytes(capture, tmp_path, monkeypatch):
    config = TINY | {"adversary": 1.0}
    again, whole = killed_and_whole(capture, tmp_path, "dynamic-texture", 10, config, (1, 4, 9), monkeypatch)
    assert again == whole


def test_another_run_s_generator_comes_along_into_a_larger_one(learned, capture, tmp_path):
    config = TINY | {"generator_width": 12, "generator_depth": 2, "rate": 1e-9}
    seen = list(train(capture, tmp_path / "run", "dynamic-texture", steps=2, init=learned, config=config))
    assert {progress.stage for progress in seen} == {"static", "dynamic"}
    one, two = load_avatar(learned).generator, load_avatar(tmp_path / "run").generator
    maps = torch.randn(1, load_avatar(learned).limbs.channels, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(one(maps).logits, two(maps).logits, atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="can't hold one of width 8"):
        list(train(capture, tmp_path / "small", "dynamic-texture", steps=1, init=learned, config=TINY))


@pytest.mark.slow
def test_people_who_share_networks_keep_their_own_texture(capture, tmp_path):
    dark = replace(make_posed_capture(tmp_path / "other", masked=True), person="dark")
    for shot in dark.shots:
        write_image(dark.path / shot.image, read_image(dark.path / shot.image) // 2)
    list(train([capture, dark], tmp_path / "run", "dynamic-texture", steps=6, config=TINY))
    one, two = (load_avatar(tmp_path / "run", name) for name in (capture.person, "dark"))
    assert torch.equal(one.generator.leave.weight, two.generator.leave.weight)
    assert not torch.equal(one.texture.levels[0], two.texture.levels[0])


def test_what_cannot_be_says_so(capture, tmp_path):
    for change, words in (({"skeleton": "dragon"}, "skeleton 'dragon' is unknown"),
                          ({"pose": "body and soul"}, "pose 'body and soul' is unknown"),
                          ({"refine_from": 1}, "cameras stay as they are"),
                          ({"course": "labels", "freeze_renderers": True}, "nothing can be learned here"),
                          ({"background": "frame x"}, "background 'frame x' is unknown"),
                          ({"course": "static, sleep"}, "course names a stage 'sleep'"),
                          ({"background": "beach"}, "background 'beach' is unknown")):
        with pytest.raises(ValueError, match=words):
            avatar = make_avatar(configure(system="dynamic-texture", **TINY | change), capture.body.surface,
                                 [("front", 4)])
            avatar.stages(avatar.config)
            avatar.look_at(capture)


def test_the_published_texture_is_base_s():
    for name in ("base", "large"):
        preset = PRESETS[name]
        assert isinstance(preset, Settings) and (preset.features, preset.chart_size) == (15, 200)


def test_what_is_kept_says_nothing_of_clothes_near_the_body():
    part = torch.zeros(1, 32, 32, dtype=torch.long)
    part[:, 10:20, 10:20] = 3
    wide = torch.zeros(1, 5, 32, 32, requires_grad=True)
    beside(Labelling(wide, torch.zeros(1, 4, 2, 32, 32)), part).backward()
    assert not wide.grad[..., 5:25, 5:25].any() and wide.grad[..., :4, :].all()
