"""Articulated Neural Rendering: where it begins, what it learns when, which pictures it leaves out."""

import math
from dataclasses import replace

import pytest
import torch

from anr_core.avatars import Scene, configure, make_avatar
from anr_core.avatars.anr import SHARP, outline
from anr_core.body import Posed
from anr_core.training import scene_of
from anr_core.training.schedule import make_optimizer

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}


# pictures that no view belongs to: enough of them for everything to be learned
PLENTY = [("elsewhere", frame) for frame in range(100)]


def build(capture, system="anr", pictures=None):
    pictures = pictures or [(shot.camera, shot.frame) for shot in capture.shots]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_avatar(configure(system=system, **TINY), capture.body.surface, pictures).eval()


@pytest.fixture(scope="module")
def avatar(small_capture):
    """Untrained, but with gains of cameras and pictures."""
    made = build(small_capture)
    random = torch.Generator().manual_seed(0)
    made.initialize(smooth(random))
    with torch.no_grad():
        for parameter in made.conditions.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=random))
    return made


def smooth(random):
    coarse = torch.rand(1, 3, 8, 8, generator=random)
    return torch.nn.functional.interpolate(coarse, (64, 64), mode="bilinear")


def posed_views(avatar, capture):
    """A function as training gives it to `begin`: each view with its mesh."""
    def views(most=100):
        for view in capture.evenly(most).views(crop="body", size=64):
            yield view, Posed(capture.body(view.pose).vertices, None, avatar.surface)
    return views


def stages(avatar):
    return {stage.name: stage for stage in avatar.stages(avatar.config)}


def drawn(avatar, capture, camera_name=None, frame=None):
    view = capture.views(cameras=["cam02"], frames=[2], crop="body", size=64)[0]
    posed = Posed(capture.body(view.pose).vertices, None, avatar.surface)
    frame = None if frame is None else torch.tensor([frame])
    return avatar.draw(Scene(posed, view.camera, view.size, frame=frame, camera_name=[camera_name]))


# where it begins


def test_untrained_it_draws_the_static_texture_under_the_blurred_outline_of_the_mesh(small_capture):
    anr, static = build(small_capture), build(small_capture, "static")
    texture = smooth(torch.Generator().manual_seed(0))
    anr.initialize(texture)
    static.initialize(texture)
    found, expected = drawn(anr, small_capture), drawn(static, small_capture)
    inside = expected.mask > 0
    assert torch.equal(found.layers["coverage"], expected.mask)
    assert not found.layers["features"][:, 3:].any() and not found.layers["added"].any()
    assert (found.rgb - expected.rgb).abs()[inside.expand(-1, 3, -1, -1)].mean() < 0.02
    torch.testing.assert_close(found.mask, torch.sigmoid(SHARP * outline(expected.mask)))
    assert ((found.mask > 0.5) == inside).float().mean() > 0.97


def test_the_mask_begins_at_the_outline_with_a_soft_edge():
    straight = (torch.arange(40) < 20).float().expand(1, 1, 40, 40)
    ramp = torch.tensor([0.99, 8 / 9, 6 / 9, 3 / 9, 1 / 9, 0.01])  # two means of three, kept from 0 and 1
    for begun in (outline(straight), outline(straight.mT).mT):
        row = torch.sigmoid(begun)[0, 0, 20]
        torch.testing.assert_close(row[17:23], ramp)
        torch.testing.assert_close(row[5:17], torch.full((12,), 0.99))
        torch.testing.assert_close(row[23:], torch.full((17,), 0.01))


def test_the_mask_is_not_softened_where_the_picture_ends():
    torch.testing.assert_close(torch.sigmoid(outline(torch.ones(1, 1, 9, 9))), torch.full((1, 1, 9, 9), 0.99))


def test_normals_are_those_of_the_camera(small_capture):
    avatar = build(small_capture)
    for view, posed in posed_views(avatar, small_capture)():
        layers = avatar.draw(scene_of(view, posed)).layers
        facing = layers["normals"][:, 2:][layers["coverage"] > 0]
        assert (facing < 0).float().mean() > 0.95  # Z goes forward, so what is seen looks back


# what it knows of cameras


def test_a_new_camera_is_drawn_as_if_no_picture_had_been_different(avatar, small_capture):
    plain = build(small_capture)
    plain.load_state_dict(avatar.state_dict())
    with torch.no_grad():
        for parameter in plain.conditions.parameters():
            parameter.zero_()
    expected = drawn(plain, small_capture)
    for known in ((None, None), ("cam09", 2), (None, 2)):
        found = drawn(avatar, small_capture, *known)
        assert torch.equal(found.rgb, expected.rgb) and torch.equal(found.mask, expected.mask)


def test_a_trained_camera_keeps_its_exposure_in_a_frame_that_was_not_trained(avatar, small_capture):
    new, other, last = (drawn(avatar, small_capture, *known)
                        for known in ((None, 4), ("cam02", 77), ("cam02", 4)))
    assert not torch.allclose(new.rgb, other.rgb, atol=0.01)
    assert torch.equal(other.rgb, last.rgb)


# what it learns when


@pytest.mark.parametrize("pictures", [None, PLENTY, [("cam02", 2)]], ids=["few", "many", "one"])
def test_colours_light_and_gains_rest_while_the_networks_learn(pictures, small_capture):
    shots = small_capture.views().shots
    pictures = [(shot.camera, shot.frame) for shot in shots] + PLENTY if pictures is PLENTY else pictures
    avatar = build(small_capture, pictures=pictures).train()
    learning = stages(avatar)["renderers"]
    shown = [pair for pair in posed_views(avatar, small_capture)()
             if (pair[0].camera_name[0], int(pair[0].frame)) in avatar.conditions.pictures]
    avatar.begin(learning, lambda: iter(shown))
    before = {name: parameter.detach().clone() for name, parameter in avatar.named_parameters()}
    optimizer = make_optimizer([avatar], [learning])
    for view, posed in (8 * shown)[:8]:
        optimizer.zero_grad()
        scene = scene_of(view, posed)
        sum(avatar.losses(scene, avatar(scene), view, learning.name).values()).backward()
        optimizer.step()
    resting = "light", "conditions"
    for name, parameter in avatar.named_parameters():
        if name.startswith("texture"):
            assert torch.equal(parameter[:, :3], before[name][:, :3]), name
        else:
            assert torch.equal(parameter, before[name]) == name.startswith(resting), name
    moved = any(bool(level[:, 3:].any()) for level in avatar.texture.levels)
    assert moved == ("texture" in learning.groups) == (len(avatar.conditions.pictures) > len(PLENTY))


def test_few_pictures_have_no_light_and_gains_of_their_own(small_capture):
    few, many = (stages(build(small_capture, pictures=pictures))["conditions"].groups
                 for pictures in ([("cam02", 2)], PLENTY))
    assert set(many) - set(few) == {"light", "conditions.camera_gain", "conditions.picture_gain"}


def test_the_networks_add_nothing_while_gains_and_light_are_learned(small_capture):
    avatar = build(small_capture).train()
    torch.nn.init.normal_(avatar.r2.leave.weight)
    for stage, adds in ((stages(avatar)["conditions"], False), (stages(avatar)["renderers"], True)):
        avatar.begin(stage, posed_views(avatar, small_capture))
        view, posed = next(posed_views(avatar, small_capture)())
        assert avatar(scene_of(view, posed)).layers["added"].any() == adds


def test_a_gain_of_a_picture_is_taken_out_before_its_colours_are_laid_on(small_capture):
    plain, known = build(small_capture), build(small_capture)
    darker = 0.6
    with torch.no_grad():
        known.conditions.picture_gain.fill_(math.log(darker))
    views = posed_views(plain, small_capture)
    plain.begin(stages(plain)["renderers"], views)
    known.begin(stages(known)["renderers"],
                lambda: ((replace(view, image=darker * view.image), posed) for view, posed in views()))
    torch.testing.assert_close(known.texture.image()[:, :3], plain.texture.image()[:, :3], atol=1e-4, rtol=0)


def test_colours_without_a_group_hold_nothing_of_its_pictures(small_capture):
    plain, changed = build(small_capture), build(small_capture)
    views, folds = posed_views(plain, small_capture), plain.folds
    plain.begin(stages(plain)["renderers"], views)
    tables = plain.left_out.chunk(folds.count)

    for group in range(folds.count):
        def inverted(group=group):
            for view, posed in views():
                inside = group in folds.of((view.camera_name[0], int(view.frame)))
                yield replace(view, image=1 - view.image) if inside else view, posed

        changed.begin(stages(changed)["renderers"], inverted)
        found = changed.left_out.chunk(folds.count)
        for other, (before, after) in enumerate(zip(tables, found, strict=True)):
            assert torch.allclose(before, after, atol=1e-3) == (other == group), (group, other)
        assert not torch.allclose(plain.texture.image()[:, :3], changed.texture.image()[:, :3], atol=0.1)


def test_training_draws_with_colours_of_other_pictures_the_avatar_with_those_of_all(small_capture):
    avatar = build(small_capture)
    avatar.begin(stages(avatar)["renderers"], posed_views(avatar, small_capture))
    for group, colours in enumerate(avatar.left_out.chunk(avatar.folds.count)):
        colours.fill_(2 + group)  # no texture is so bright
    view, posed = next(posed_views(avatar, small_capture)())
    found = set()
    for _ in range(20):
        layers = avatar.train()(scene_of(view, posed)).layers
        covered = layers["coverage"][0, 0] > 0
        found |= set(layers["texture"][0, 0][covered].round(decimals=3).tolist())
    assert found == {2.0 + group for group in avatar.folds.of((view.camera_name[0], int(view.frame)))}
    assert avatar.eval()(scene_of(view, posed)).layers["texture"].max() <= 1
