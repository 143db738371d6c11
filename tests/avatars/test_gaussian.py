"""The Gaussian avatar: whom it draws, where, in whose looks, what its losses and stages reach."""

import json
from dataclasses import replace

import pytest
import torch

from anr_core.avatars import Scene, configure, make_avatar
from anr_core.avatars.gaussian import PRESETS, Settings
from anr_core.avatars.run import load_avatar
from anr_core.body import Posed
from anr_core.capture import View
from anr_core.evaluation import evaluate
from anr_core.skeleton import ANNY, COCO23
from anr_core.training import objective, scene_of, train
from tests.killed import killed_and_whole
from tests.posed_capture import make_posed_capture

pytestmark = pytest.mark.slow  # whole trainings, fits, films or timings

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4, "levels": 2, "features": 4,
        "encoder_width": 4, "encoder_depth": 14, "source_size": 64, "lifter_width": 64, "refine_from": 0}


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture", masked=True)


@pytest.fixture(scope="module")
def views(capture):
    return list(capture.views(crop="body", size=64))


def build(capture, views, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = configure(system="gaussian", **{"skeleton": "coco23"} | TINY | changes)
        avatar = make_avatar(config, capture.body.surface, [("front", 4)])
    avatar.begin(avatar.stages(config)[0], lambda most=None: pairs(capture, views))
    return avatar


def pairs(capture, views):
    return ((view, posed(capture, view)) for view in views)


def posed(capture, view):
    mesh = capture.body(view.pose)
    return Posed(mesh.vertices, mesh.joints, capture.body.surface)


def scene(capture, view):
    return scene_of(view, posed(capture, view))


# drawing


def test_half_precision_practises_on_the_same_examples(capture, views):
    avatar = build(capture, views)
    stage = avatar.stages(avatar.config)[0]
    assert stage.practice
    with torch.autocast("cpu", torch.bfloat16):
        cast = avatar.practise(3, stage.name)["distance"]
    torch.testing.assert_close(cast, avatar.practise(3, stage.name)["distance"], rtol=0.02, atol=0)


def test_half_precision_leaves_joints_where_they_are(capture, views):
    avatar = build(capture, views)
    stands = scene(capture, views[1])
    with torch.autocast("cpu", torch.bfloat16):
        cast = avatar.joints(stands)
    assert torch.equal(cast, avatar.joints(stands))


@pytest.mark.parametrize("outer", [0, 1])
@pytest.mark.parametrize("skeleton, bones", [("coco23", len(COCO23.edges)), ("body25", 24),
                                             ("body", len(ANNY.edges))])
def test_a_batch_is_drawn_in_range_and_as_its_pictures_alone(skeleton, bones, outer, capture, views):
    avatar = build(capture, views, skeleton=skeleton, outer=outer).eval()
    drawn = avatar(scene(capture, View.cat([views[0], views[3]])))
    assert drawn.rgb.shape == (2, 3, 64, 64) and drawn.mask.shape == (2, 1, 64, 64)
    assert avatar.looks(None).shape == (1, bones, 4)
    for picture in (drawn.rgb, drawn.mask):
        assert picture.isfinite().all() and picture.min() >= 0 and picture.max() <= 1
    for index, view in enumerate((views[0], views[3])):
        alone = avatar(scene(capture, view))
        torch.testing.assert_close(drawn.rgb[index], alone.rgb[0], atol=1e-4, rtol=0)
        assert alone.layers["latent"].shape == (1, 4, 64, 64)


def test_a_picture_of_any_size_is_drawn(capture, views):
    avatar = build(capture, views, outer=1).eval()
    for size in ((41, 53), (96, 30), (7, 9), (200, 200)):
        drawn = avatar.draw(Scene(posed(capture, views[0]), views[0].camera.resize(size), size))
        assert drawn.rgb.shape == (1, 3, *size) and drawn.mask.shape == (1, 1, *size)
        assert drawn.layers["primitives"].shape == (1, 3, *size)
        assert drawn.rgb.isfinite().all() and not drawn.rgb.requires_grad


def test_primitives_lie_on_the_person_and_left_is_left(capture, views):
    avatar = build(capture, views).eval()
    for view in views:
        primitives = avatar(scene(capture, view)).layers["primitives"][0]
        seen = primitives.sum(0) > 0.3
        assert (seen & (view.mask[0, 0] > 0.5)).sum() > 0.8 * seen.sum()
    front = avatar(scene(capture, views[0])).layers["primitives"][0]
    warm, cold = ((front[one] - front[other]).clamp(min=0).sum(0) for one, other in ((0, 2), (2, 0)))
    columns = torch.arange(64.0)
    # who looks at the camera has the left hand at its right
    assert (warm * columns).sum() / warm.sum() > (cold * columns).sum() / cold.sum() + 3


def test_given_joints_draw_what_their_mesh_draws(capture, views):
    avatar = build(capture, views).eval()
    with_mesh = scene(capture, views[1])
    joints = avatar.joints(with_mesh)
    assert torch.equal(avatar(replace(with_mesh, posed=None, joints=joints)).rgb, avatar(with_mesh).rgb)


@pytest.mark.parametrize("spoil", [
    lambda joints: joints.index_fill_(1, torch.tensor([7]), torch.nan).index_put_(
        (torch.tensor(0), torch.tensor(7), torch.tensor(3)), torch.tensor(0.0)),
    lambda joints: joints.index_put_((torch.tensor(0), torch.tensor(13)), joints[0, 11].clone()),
    lambda joints: joints.mul_(torch.tensor([1.0, 1.0, 1.0, 0.0])),
], ids=["a joint that is NaN, without confidence", "a bone without length", "no joint that is known"])
def test_bad_joints_draw_finite_pictures(spoil, capture, views):
    avatar = build(capture, views).eval()
    asked = scene(capture, views[0])
    drawn = avatar(replace(asked, posed=None, joints=spoil(avatar.joints(asked).clone())))
    assert drawn.rgb.isfinite().all() and drawn.mask.isfinite().all()


def test_a_joint_that_is_nan_and_sure_is_named(capture, views):
    avatar = build(capture, views).eval()
    asked = scene(capture, views[0])
    joints = avatar.joints(asked).clone()
    joints[0, 9, :3] = torch.nan
    with pytest.raises(ValueError, match="joint left_wrist of pose 0 is not finite"):
        avatar(replace(asked, posed=None, joints=joints))


def test_a_camera_that_sees_nobody_draws_no_nan(capture, views):
    avatar = build(capture, views).eval()
    away = replace(views[0].camera, t=-views[0].camera.t)
    drawn = avatar.draw(Scene(posed(capture, views[0]), away, (64, 64)))
    assert drawn.rgb.isfinite().all() and not drawn.layers["primitives"].any()


# looks


def test_the_picture_in_which_the_person_looks_at_the_camera_is_the_source(capture, views):
    avatar = build(capture, views)
    assert avatar.most_frontal(pairs(capture, views))[0].camera_name == ["front"]


def test_another_source_draws_another_picture_and_its_own_the_same(capture, views):
    avatar = build(capture, views).eval()
    asked = scene(capture, views[0])
    red = replace(views[0], image=torch.tensor([1.0, 0, 0])[None, :, None, None].expand(1, 3, 64, 64))
    own, other = avatar(asked), avatar(replace(asked, source=red))
    assert not torch.equal(own.rgb, other.rgb)
    avatar.lend(red, posed(capture, red))
    with torch.no_grad():
        assert torch.equal(avatar(asked).rgb, other.rgb)


def test_what_the_own_source_says_is_forgotten_when_the_network_changes(capture, views):
    avatar = build(capture, views).eval()
    with torch.no_grad():
        before = avatar.looks(None)
        assert avatar.looks(None) is before
        avatar.encoder.load_state_dict({name: value + 0.1 if value.is_floating_point() else value
                                        for name, value in avatar.encoder.state_dict().items()})
        assert not torch.equal(avatar.looks(None), before)


# training


def test_losses_are_finite_and_reach_the_parameters_of_their_stage_alone(capture, views):
    avatar = build(capture, views, course="pose, pictures, adversary").train()
    view = replace(View.cat([views[0], views[3]]), source=views[1])
    stages = avatar.stages(avatar.config)
    assert [stage.name for stage in stages] == ["pose", "pictures", "adversary"]
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    for stage in stages:
        avatar.zero_grad()
        avatar.begin(stage, lambda most=None: pairs(capture, views))
        asked = scene(capture, view)
        losses = avatar.practise(3, stage.name) if stage.practice else \
            avatar.losses(asked, avatar(asked), view, stage.name)
        assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()
        for name, parameter in avatar.named_parameters():
            moved = parameter.grad is not None and bool((parameter.grad != 0).any())
            assert not moved or name.startswith(tuple(stage.groups)), (stage.name, name)
        for group in stage.groups:
            assert any(parameter.grad is not None and bool((parameter.grad != 0).any())
                       for name, parameter in avatar.named_parameters() if name.startswith(group)), group


def test_uncertain_pixels_enter_no_loss(capture, views):
    avatar = build(capture, views).train()
    view = views[0]
    certain = view.certain.clone()
    certain[..., 20:40] = False
    other = replace(view, certain=certain, image=torch.where(certain, view.image, 1 - view.image),
                    mask=torch.where(certain, view.mask, 1 - view.mask))
    rendering = avatar(scene(capture, view))
    one, two = (avatar.losses(None, rendering, shown, "pictures")
                for shown in (replace(view, certain=certain), other))
    for name in one:
        torch.testing.assert_close(one[name], two[name])


def test_a_training_sees_its_person_from_other_pictures(capture, tmp_path, monkeypatch):
    seen = []

    def noted(view, posed):
        seen.append(view.source)
        return scene_of(view, posed)

    monkeypatch.setattr(objective, "scene_of", noted)
    list(train(capture, tmp_path / "run", "gaussian", steps=8, config=TINY | {"course": "pictures"}))
    lent = [source for source in seen if source is not None]  # previews take the avatar's own
    assert len(lent) == 8 and all(source.size == (64, 64) for source in lent)
    assert len({(source.camera_name[0], int(source.frame)) for source in lent}) > 2


@pytest.mark.slow
def test_a_run_in_three_stages_that_was_killed_ends_in_the_same_bytes(capture, tmp_path, monkeypatch):
    config = TINY | {"course": "pose, pictures, adversary", "adversary": 1.0}
    again, whole = killed_and_whole(capture, tmp_path, "gaussian", 10, config, (1, 4, 9), monkeypatch)
    assert again == whole


def test_a_run_finds_its_skeleton_and_comes_back(capture, tmp_path):
    list(train(capture, tmp_path / "run", "gaussian", steps=3, config=TINY))
    avatar = load_avatar(tmp_path / "run")
    assert avatar.config.skeleton == "coco23" and avatar.source.any()
    assert avatar.lengths.isfinite().all() and 0.2 < float(avatar.lengths.max()) < 0.8
    view = capture.views(crop="body", size=64)[0]
    assert avatar.render(view.pose, view.camera, (64, 64)).rgb.isfinite().all()


@pytest.mark.slow
def test_weights_of_another_run_come_along(capture, tmp_path):
    list(train(capture, tmp_path / "pose", "gaussian", steps=3, config=TINY | {"course": "pose"}))
    list(train(capture, tmp_path / "pictures", "gaussian", steps=2, init=tmp_path / "pose",
               config=TINY | {"course": "pictures"}))
    one, two = (load_avatar(tmp_path / name).lifter.state_dict() for name in ("pose", "pictures"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.slow
def test_people_who_share_networks_keep_their_own_looks(capture, tmp_path):
    other = make_posed_capture(tmp_path / "other", masked=True)
    dark = replace(other, person="dark")
    list(train([capture, dark], tmp_path / "run", "gaussian", steps=4, config=TINY))
    one, two = (load_avatar(tmp_path / "run", name) for name in (capture.person, "dark"))
    assert torch.equal(one.decoder.leave.weight, two.decoder.leave.weight)
    assert one.source.any() and two.source.any()


def test_what_cannot_be_says_so(capture, small_capture):
    for change, words in (({"skeleton": "dragon"}, "skeleton 'dragon' is unknown; use body or one of"),
                          ({"course": "pose, sleep"}, "course names a stage 'sleep'"),
                          ({"projection": "weak"}, "has no weak perspective")):
        with pytest.raises(ValueError, match=words):
            config = configure(system="gaussian", **{"skeleton": "coco23"} | TINY | change)
            avatar = make_avatar(config, capture.body.surface, [])
            avatar.stages(config)
    with pytest.raises(ValueError, match="nothing tells where joints are.*annotate"):
        list(train(small_capture, small_capture.path.parent / "none", "gaussian", steps=1, config=TINY))


def test_presets_are_the_published_ones_but_for_two_cores():
    for preset in PRESETS.values():
        assert isinstance(preset, Settings) and preset.features == 16
    assert PRESETS["large"].width == 64 and PRESETS["large"].encoder_depth == 50


def test_evaluation_tells_how_far_lifted_joints_are_off(capture, tmp_path, capsys):
    list(train(capture, tmp_path / "run", "gaussian", steps=4, frames=[4, 8], config=TINY))
    evaluate(tmp_path / "run", protocol="inside")
    assert "2 poses lifted from 2D, MPJPE / N-MPJPE / P-MPJPE" in capsys.readouterr().out
    poses = json.loads((tmp_path / "run" / "evaluation" / "poses.json").read_text())
    figures = poses["novel_pose"]
    assert set(figures) == {"lifter", "mean"} and set(figures["mean"]) == {"mpjpe", "n_mpjpe", "p_mpjpe"}
    assert all(0.01 < value < 2 for method in figures.values() for value in method.values())
