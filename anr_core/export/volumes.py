"""What only volumes are told when they are drawn: memory that they may take, a frame's latent, a hull."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import torch

from anr_core.avatars import Avatar, Scene
from anr_core.avatars.hull import hull_of
from anr_core.capture import Capture
from anr_core.volume import rigid_frame


def limit_memory(avatar: Avatar, memory: float | None) -> None:
    """Let a volume take so many GiB to draw, None for its own setting; ValueError for what is no volume."""
    if memory is None:
        return
    check_volume(avatar, "--memory")
    if not memory > 0:
        raise ValueError(f"--memory is {memory:g} GiB; give more than 0.")
    avatar.memory = memory


def choose_latent(avatar: Avatar, frame: int | None) -> None:
    """Let a volume look as in a trained frame, None for the nearest; ValueError where there is no such."""
    if frame is None:
        return
    check_volume(avatar, "--latent")
    if frame not in (trained := avatar.frames.tolist()):
        raise ValueError(f"Frame {frame} was not trained, so it has no latent; those from {trained[0]} to "
                         f"{trained[-1]} have, as far as they were trained.")
    avatar.latent = frame


def hulled(avatar: Avatar, scenes: Iterable[Scene], frames: torch.Tensor, capture: Capture,
           cameras: set[str]) -> Iterator[Scene]:
    """Scenes in order, each with its frame, for an avatar whose hull is that scene's until the next is taken.

    frames   (m,) of the capture: whose masks say where something can be
    cameras  names of those whose masks count

    Where a scene's body stands or looks elsewhere than it was filmed, the hull moves with it.
    """
    filmed = cache(lambda frame: (capture.body(capture.pose(torch.tensor([frame]))).vertices[0],
                                  hull_of(capture, frame, cameras)))
    try:
        for frame, scene in zip(frames.long().tolist(), scenes, strict=True):
            vertices, inside = filmed(frame)
            rotation, shift = rigid_frame(scene.posed.vertices, vertices, torch.ones(len(vertices)))
            avatar.hull = Moved(inside, rotation[0], shift[0])
            yield replace(scene, frame=torch.tensor([frame]))
    finally:
        avatar.hull = None


class Moved:
    """A hull that was turned (3, 3) and then shifted (3,), metres."""

    def __init__(self, inside, rotation: torch.Tensor, shift: torch.Tensor):
        self.inside, self.rotation, self.shift = inside, rotation, shift

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        return self.inside((points - self.shift.to(points)) @ self.rotation.to(points))


def check_volume(avatar: Avatar, option: str) -> None:
    """Raise ValueError where an option is given that is for volumes alone."""
    if not hasattr(avatar, "hull"):
        raise ValueError(f"{option} is for volumes, which neural-body runs draw; this run is of "
                         f"{avatar.config.system}. Leave it out.")
