"""Avatars: the systems by name, each imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.config import PRESETS, Config, configure
from anr_core.body import Surface

SYSTEMS = {
    "anr": ("anr_core.avatars.anr", "ANR"),
    "deferred": ("anr_core.avatars.deferred", "Deferred"),
    "static": ("anr_core.avatars.static", "StaticTexture"),
}

__all__ = ["PRESETS", "SYSTEMS", "Avatar", "Config", "Rendering", "Scene", "Stage", "configure",
           "make_avatar"]


def make_avatar(config: Config, surface: Surface, pictures: list[tuple[str, int]]) -> Avatar:
    """An untrained avatar of config.system for training pictures (camera name, frame)."""
    if config.system not in SYSTEMS:
        raise ValueError(f"system {config.system!r} is unknown; use one of {', '.join(SYSTEMS)}.")
    module, name = SYSTEMS[config.system]
    avatar = getattr(import_module(module), name)(config, surface, pictures)
    # what only unwraps is the yardstick: it stays as registered
    if 0 < config.refine_from <= len(pictures) and avatar.stages(config):
        from anr_core.avatars.refinement import Refinement  # roma takes a second, and few need it

        avatar.refinement = Refinement(pictures, surface.skeleton)
    return avatar
