"""Where rays go through an axis-aligned box."""

from __future__ import annotations

import torch

from anr_core.camera import Camera, pixel_centres


def crossing(origins: torch.Tensor, directions: torch.Tensor, low: torch.Tensor,
             high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances (B, M), metres, at which rays enter and leave a box; those that miss leave before they enter.

    origins, directions  (B, M, 3)  metres; unit
    low, high            (B, 3)     metres, the box's corners

    Behind a ray's origin there is no box: it is entered at 0 where the origin lies inside.
    """
    steep = torch.where(directions.abs() < 1e-9, 1e-9, directions)
    entries, exits = (low[:, None] - origins) / steep, (high[:, None] - origins) / steep
    near = torch.minimum(entries, exits).amax(-1).clamp(min=0)
    return near, torch.maximum(entries, exits).amin(-1)


def hits_box(camera: Camera, size: tuple[int, int], low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Pixels (B, 1, H, W) whose rays meet the axis-aligned box from low to high, both (B, 3), metres."""
    rays = camera.rays(pixel_centres(size).to(low).expand(len(low), -1, -1))
    near, far = crossing(*rays, low, high)
    return (far >= near).view(len(low), 1, *size)
