"""Articulated Neural Rendering: where it begins, what it knows of cameras, which pictures it leaves out."""

import pytest
import torch

from anr_core.avatars import Scene, configure, make_avatar
from anr_core.avatars.anr import Folds
from anr_core.body import Posed

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}


def build(capture, system="anr"):
    pictures = [(shot.camera, shot.frame) for shot in capture.shots]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_avatar(configure(system=system, **TINY), capture.body.surface, pictures).eval()


@pytest.fixture(scope="module")
def avatar(small_capture):
    """Untrained, but with gains and shifts of cameras and pictures."""
    made = build(small_capture)
    random = torch.Generator().manual_seed(0)
    made.initialize(smooth(random))
    with torch.no_grad():
        for name, parameter in made.conditions.named_parameters():
            size = 0.2 if "gain" in name else 0.02
            parameter.copy_(size * torch.randn(parameter.shape, generator=random))
    return made


def smooth(random):
    coarse = torch.rand(1, 3, 8, 8, generator=random)
    return torch.nn.functional.interpolate(coarse, (64, 64), mode="bilinear")


def drawn(avatar, capture, camera_name=None, frame=None):
    view = capture.views(cameras=["cam02"], frames=[2], crop="body", size=64)[0]
    posed = Posed(capture.body(view.pose).vertices, None, avatar.surface)
    frame = None if frame is None else torch.tensor([frame])
    return avatar.draw(Scene(posed, view.camera, view.size, frame=frame, camera_name=[camera_name]))


def test_untrained_it_draws_the_static_texture_under_the_outline_of_the_mesh(small_capture):
    anr, static = build(small_capture), build(small_capture, "static")
    texture = smooth(torch.Generator().manual_seed(0))
    anr.initialize(texture)
    static.initialize(texture)
    found, expected = drawn(anr, small_capture), drawn(static, small_capture)
    inside = expected.mask > 0
    assert (found.rgb - expected.rgb).abs()[inside.expand(-1, 3, -1, -1)].mean() < 0.02
    assert (found.mask - expected.mask).abs().max() < 0.1


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
    new, camera, picture = (drawn(avatar, small_capture, *known)
                            for known in ((None, 2), ("cam02", 77), ("cam02", 2)))
    assert not torch.allclose(new.rgb, camera.rgb, atol=0.01)
    assert not torch.allclose(camera.rgb, picture.rgb, atol=0.01)


# which pictures are left out together


@pytest.mark.parametrize("pictures", [
    [(camera, frame) for camera in "abc" for frame in range(6)],
    [(str(frame), frame) for frame in range(30)],  # one camera a frame
    [("a", frame) for frame in range(9)],
], ids=["cameras and frames", "one camera a frame", "one camera"])
def test_every_picture_is_in_groups_that_do_not_hold_all(pictures):
    folds = Folds(pictures)
    members = {group: [picture for picture in pictures if group in folds.of(picture)]
               for group in range(folds.count)}
    assert all(0 < len(group) < len(pictures) for group in members.values())
    assert {len(folds.of(picture)) for picture in pictures} == {len(folds.kinds)}
    assert sorted(sum(members.values(), [])) == sorted(pictures * len(folds.kinds))


def test_a_picture_is_left_out_with_its_camera_or_with_its_stretch_of_time():
    folds = Folds([(camera, frame) for camera in "abc" for frame in range(6)])
    assert set(folds.of(("a", 0))) & set(folds.of(("a", 5)))
    assert set(folds.of(("a", 0))) & set(folds.of(("c", 1)))
    assert not set(folds.of(("a", 0))) & set(folds.of(("c", 5)))
    scene = Scene(None, None, (1, 1), frame=torch.tensor([0] * 40), camera_name=["a"] * 40)
    assert set(folds.choose(scene).tolist()) == set(folds.of(("a", 0)))


def test_a_single_picture_is_not_left_out():
    assert Folds([("a", 0)]).count == 0
