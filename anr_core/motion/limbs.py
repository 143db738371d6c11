"""The geometry of limbs: turning directions into one another, hinges, and legs that reach a goal."""

from __future__ import annotations

import torch
from torch.nn import functional

FOLLOWED = 0.3  # sine of a bend from which on its own plane, rather than the bone's twist, is the hinge's


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors (..., 3) of length 1; zeros stay zeros."""
    return functional.normalize(vectors, dim=-1)


def apply(turns: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Vectors (..., 3) turned by matrices (..., 3, 3)."""
    return (turns @ vectors[..., None])[..., 0]


def across(vectors: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    """What of vectors (..., 3) is perpendicular to a unit axis (..., 3), as a unit vector."""
    return unit(vectors - (vectors * axis).sum(-1, keepdim=True) * axis)


def swing(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The smallest rotations (..., 3, 3) that take unit vectors one (..., 3) to others (Rodrigues)."""
    one, other = torch.broadcast_tensors(one, other)
    cosine = (one * other).sum(-1)
    axis = torch.linalg.cross(one, other, dim=-1)
    opposite = cosine < -1 + 1e-9
    if bool(opposite.any()):  # half a turn about anything perpendicular
        spare = torch.eye(3).to(one)[one.abs().argmin(-1)]
        half = across(spare, one)
        flipped = 2 * half[..., :, None] * half[..., None, :] - torch.eye(3).to(one)
    k = _cross_matrix(axis)
    turn = torch.eye(3).to(one) + k + k @ k / (1 + cosine.clamp(min=-1 + 1e-9))[..., None, None]
    return torch.where(opposite[..., None, None], flipped, turn) if bool(opposite.any()) else turn


def frame(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Matrices (..., 3, 3) whose columns are first, the part of second across it, and their cross product."""
    second = across(second, first)
    first, second = torch.broadcast_tensors(first, second)
    return torch.stack([first, second, torch.linalg.cross(first, second, dim=-1)], -1)


def rotation_nearest(matrices: torch.Tensor) -> torch.Tensor:
    """The rotations nearest to matrices (..., 3, 3)."""
    import roma  # a second to import

    return roma.special_procrustes(matrices)


def twist_about(turn: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    """The angle (...) of rotations (..., 3, 3) about a unit axis (3,): the rest of each swings the axis."""
    import roma  # a second to import

    quaternion = roma.rotmat_to_unitquat(turn)
    angle = 2 * torch.atan2((quaternion[..., :3] * axis).sum(-1), quaternion[..., 3])
    return (angle + torch.pi) % (2 * torch.pi) - torch.pi


def two_bones(upper: torch.Tensor, lower: torch.Tensor, guess: torch.Tensor, rest_upper: torch.Tensor,
              rest_lower: torch.Tensor, hinge: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Turns (T, 3, 3) of two bones that point to upper and lower (T, 3) and meet in a hinge.

    guess                   (T, 3, 3)  the upper bone's turn from rest: its twist counts in a straight limb
    rest_upper, rest_lower  (3,)       where the bones point at rest
    hinge                   (3,)       axis about which the lower bone bends, at rest
    """
    first = swing(unit(apply(guess, rest_upper)), upper) @ guess
    axis = apply(first, hinge)
    plane = torch.linalg.cross(upper, lower, dim=-1)
    backwards = (plane * axis).sum(-1, keepdim=True).clamp(max=0)
    plane = plane - backwards * axis
    axis = across(FOLLOWED**2 * axis + plane.norm(dim=-1, keepdim=True) * plane, upper)
    first = frame(upper, axis) @ frame(rest_upper, hinge).mT
    second = swing(unit(apply(first, rest_lower)), lower) @ first
    return first, second


def reached(start: torch.Tensor, goal: torch.Tensor, bent: torch.Tensor, lengths: tuple[float, float],
            straightest: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions (T, 3) of two bones from start (T, 3) to goal that bend about axes bent (T, 3).

    A goal that is farther than `straightest` of the limb's length is not reached: the limb points to it.
    """
    one, other = lengths
    away = goal - start
    direction = unit(away)
    distance = away.norm(dim=-1).clamp(abs(one - other) + 1e-4, straightest * (one + other))
    side = torch.linalg.cross(direction, across(bent, direction), dim=-1)
    cosine = (one**2 + distance**2 - other**2) / (2 * one * distance)
    sine = (1 - cosine.square()).clamp(min=0).sqrt()
    first = cosine[:, None] * direction + sine[:, None] * side
    second = unit(distance[:, None] * direction - one * first)
    return first, second


def _cross_matrix(vectors):
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
