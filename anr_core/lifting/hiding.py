"""Which keypoints a person's own body hides from a camera."""

from __future__ import annotations

import torch

from anr_core.skeleton import Skeleton

# Flesh as rows of balls from joint to joint, on either side: (from, to, how many, radius in metres).
# Chosen so that made-up people hide what meshes of people hide.
_FLESH = (("shoulder", "hip", 5, 0.10), ("hip", "knee", 4, 0.07), ("knee", "ankle", 4, 0.045),
          ("shoulder", "elbow", 3, 0.045), ("elbow", "wrist", 3, 0.035))
_CHEST = 5, 0.11  # between the middle of the shoulders and that of the hips
_HEAD = 0.095
_UNDER = 0.04  # metres that a keypoint may lie under the skin


def hidden_by_body(local: torch.Tensor, skeleton: Skeleton) -> torch.Tensor:
    """(B, J) bool: the joints (B, J, 3), in a camera's axes, that lie behind somebody's flesh.

    Nothing is hidden of a skeleton without shoulders and hips.
    """
    balls, radii = _balls(local, skeleton)
    if not len(radii):
        return torch.zeros(local.shape[:2], dtype=torch.bool)
    distance = local.norm(dim=-1, keepdim=True).clamp(min=1e-6)  # (B, J, 1)
    along = (local / distance) @ balls.mT  # (B, J, Q) how far along the ray it passes a ball
    beside = balls.square().sum(-1)[:, None] - along.square()
    return ((beside < radii.square()) & (along < distance - _UNDER)).any(-1)


def _balls(local, skeleton):
    """Middles (B, Q, 3) and radii (Q,) of a person's flesh."""
    at = dict(zip(skeleton.names, local.unbind(1), strict=True))
    middles, radii = [], []

    def fill(start, end, count, radius):
        for share in torch.linspace(0, 1, count).tolist():
            middles.append(torch.lerp(start, end, share))
            radii.append(radius)

    for start, end, count, radius in _FLESH:
        for side in ("left", "right"):
            if (one := f"{side}_{start}") in at and (other := f"{side}_{end}") in at:
                fill(at[one], at[other], count, radius)
    corners = [f"{side}_{joint}" for joint in ("shoulder", "hip") for side in ("left", "right")]
    if all(name in at for name in corners):
        left_shoulder, right_shoulder, left_hip, right_hip = (at[name] for name in corners)
        fill((left_shoulder + right_shoulder) / 2, (left_hip + right_hip) / 2, *_CHEST)
    if "left_ear" in at and "right_ear" in at:
        fill((at["left_ear"] + at["right_ear"]) / 2, at["left_ear"], 1, _HEAD)
    elif "head" in at:
        fill(at["head"], at["head"], 1, _HEAD)
    if not radii:
        return local[:, :0], local.new_zeros(0)
    return torch.stack(middles, 1), local.new_tensor(radii)
