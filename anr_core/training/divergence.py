"""Losses and gradients that are not finite: at which step, and at whose pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from anr_core.capture import View

SHOWN = 8  # pictures that an error names, at the most


def size_of_gradients(parameters: Iterable[torch.nn.Parameter]) -> torch.Tensor:
    """The length (,) of all gradients as one vector; not finite where one of them isn't."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())


def of_divergence(step: int, batch: View | int, losses: dict[str, float]) -> ValueError:
    """What to raise where losses, or with finite losses the gradients, are not finite.

    batch  what the step saw, or its number where it practised on made-up examples
    """
    told = ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
    if all(map(math.isfinite, losses.values())):
        told += "; but gradients are not finite"
    return ValueError(f"The training diverged at step {step}, at {_seen(batch)} (losses: {told}). Its last "
                      "checkpoint is kept. Look at the masks and meshes of these pictures, or train into "
                      "another folder with another --seed.")


def _seen(batch):
    if not isinstance(batch, View):
        return "a made-up example"
    rows = zip(batch.person, batch.camera_name, batch.frame.tolist(), strict=True)
    names = list(dict.fromkeys(f"{person}, {camera}, frame {frame}"
                               for person, camera, frame in rows))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "; ".join(names[:SHOWN]) + more
