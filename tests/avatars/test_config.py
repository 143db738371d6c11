"""Settings: presets with changes."""

import pytest

from anr_core.avatars import PRESETS, Config, configure


def test_a_preset_is_changed_by_what_is_given():
    changed = configure("base", width=24, seed=None)
    assert (changed.width, changed.seed, changed.size) == (24, PRESETS["base"].seed, PRESETS["base"].size)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_knows_its_name_and_is_made_again_from_its_fields(name):
    assert PRESETS[name].preset == name
    assert configure(**vars(PRESETS[name])) == PRESETS[name]


def test_the_default_is_quick():
    assert configure() == PRESETS["quick"] == Config()


@pytest.mark.parametrize("preset, changes, told", [
    ("huge", {}, "preset 'huge' is unknown; use one of quick, base, large"),
    ("quick", {"depth": 3, "colour": 1}, "setting colour, depth is unknown; there are system, preset"),
    ("quick", {"projection": "fisheye"}, "projection 'fisheye' is unknown; use perspective or weak"),
])
def test_what_is_unknown_is_named_with_what_there_is(preset, changes, told):
    with pytest.raises(ValueError, match=told):
        configure(preset, **changes)


def test_networks_see_as_far_as_the_pictures_teach_unless_they_are_told():
    found = [Config().levels_for(pictures) for pictures in (0, 1, 29, 30, 199, 200, 999, 1000, 10**6)]
    assert found == [1, 1, 1, 2, 2, 3, 3, 4, 4]
    assert Config(levels=3).levels_for(2) == Config(levels=3).levels_for(10**6) == 3
