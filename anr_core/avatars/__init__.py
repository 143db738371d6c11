"""Avatars: the systems by name, each imported when it is asked for."""

from __future__ import annotations

from anr_core.avatars.base import Avatar, Rendering, Scene, Stage
from anr_core.avatars.config import PRESETS, SYSTEMS, Config, configure, module_of
from anr_core.body import Surface

__all__ = ["PRESETS", "SYSTEMS", "Avatar", "Config", "Rendering", "Scene", "Stage", "avatar_class",
           "configure", "make_avatar"]


def avatar_class(system: str) -> type[Avatar]:
    """The class of a system, imported; raises ValueError for a system that there is not."""
    return getattr(module_of(system), SYSTEMS[system][1])


def make_avatar(config: Config, surface: Surface | None, pictures: list[tuple[str, int]]) -> Avatar:
    """An untrained avatar of config.system for training pictures (camera name, frame).

    surface  of the person, or None for pairs of pictures without a body
    """
    avatar = avatar_class(config.system)(config, surface, pictures)
    # what only unwraps is the yardstick: it stays as registered
    if surface is not None and 0 < config.refine_from <= len(pictures) and avatar.stages(config):
        from anr_core.avatars.refinement import Refinement  # roma takes a second, and few need it

        avatar.refinement = Refinement(pictures, surface.skeleton)
    return avatar
