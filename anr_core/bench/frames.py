"""Untrained avatars, of which frames are drawn."""

from __future__ import annotations

from anr_core.avatars import Avatar, configure, make_avatar
from anr_core.body import Body

# What a training decides: networks are as large as some hundred pictures make them.
LARGE = {"levels": 3}
SETTINGS = {"anr": LARGE, "deferred": LARGE, "smplpix": LARGE, "gaussian": {"skeleton": "coco23"},
            "dynamic-texture": {"skeleton": "coco23"}}
ON_ANNY = ("gaussian", "dynamic-texture")  # which have to know where joints are


def untrained(system: str, body: Body, **changes) -> Avatar:
    """An avatar of the preset `quick` on a body, as it draws once it is trained."""
    return ready(make_avatar(configure("quick", system=system, **SETTINGS.get(system, {}) | changes),
                             body.surface, [("camera", 0)]), body)


def ready(avatar: Avatar, body: Body) -> Avatar:
    """The same, on its body, with all of it taking part in drawing."""
    avatar.eval().body = body
    if avatar.config.system == "gaussian":
        avatar.find_joints()
    if avatar.config.system == "dynamic-texture":  # its network draws from its last stage on
        avatar.begin(avatar.stages(avatar.config)[-1], lambda most=None: iter(()))
    return avatar
