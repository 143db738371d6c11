"""Deferred Neural Rendering: an honest baseline has as many parameters and follows the view."""

import pytest
import torch

from anr_core.avatars import PRESETS, configure, make_avatar
from anr_core.training import scene_of


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("changes", [{}, {"fold": 1}, {"width": 40}, {"levels": 4}], ids=str)
@pytest.mark.parametrize("count_of_pictures", [6, 300])
def test_its_network_has_as_many_parameters_as_both_of_anr(preset, changes, count_of_pictures, small_capture):
    pictures = [("a", frame) for frame in range(count_of_pictures)]
    with torch.device("meta"):  # sizes without memory
        anr, deferred = (make_avatar(configure(preset, system=system, **changes), small_capture.body.surface,
                                     pictures)
                         for system in ("anr", "deferred"))
        assert count(deferred.network) == pytest.approx(count(anr.r1, anr.r2), rel=0.02)


def test_too_few_channels_for_colour_and_harmonics_are_refused(small_capture):
    with pytest.raises(ValueError, match="12 texture channels or more.*texture_channels is 9"):
        make_avatar(configure(system="deferred", texture_channels=9), small_capture.body.surface, [])


def test_nine_channels_follow_the_view_and_the_others_do_not(small_capture):
    avatar = make_avatar(configure(system="deferred", size=64, texture_size=64, width=4),
                         small_capture.body.surface, [])
    with torch.no_grad():
        for level in avatar.texture.levels:
            level.fill_(1.0)
    view = small_capture.views(crop="body", size=64)[0]
    features = avatar.draw(scene_of(view, small_capture.body(view.pose))).layers["features"]
    covered = features[0, 0] > 0
    spread = features[0, :, covered].std(1)
    # the first harmonic is constant, and so are colour and the channels after the harmonics
    assert (spread[[0, 1, 2, 3, 12, 13, 14, 15]] < 1e-4).all() and (spread[4:12] > 1e-3).all()
