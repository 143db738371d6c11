"""Light, exposure and colour balance of the training pictures, computed rather than learned.

A texture tells what a picture would show without them. The logarithm of what it does show is, in each colour,
linear in them: in nine coefficients of the light, a gain a camera and a gain a picture. ANR learns the same
numbers beside its texture; here texture and numbers are computed in turns.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from anr_core.avatars.conditions import Conditions, Light, spherical_harmonics

ROUNDS = 2

# What squared coefficients cost in units of squared colour errors: of the light, of cameras, of pictures.
LIGHT, CAMERA, PICTURE = 4e-3, 1e-4, 1e-3

# Differences of the logarithm larger than this are rather due to what is drawn at a wrong place.
DOUBT = 0.5

# A brightness as dark as this has no colour balance.
DARK = 0.02


@torch.no_grad()
def balance(conditions: Conditions, light: Light,
            shown: Iterable[tuple[tuple[str, int], torch.Tensor, torch.Tensor, torch.Tensor]]) -> None:
    """Set gains and light to what explains best, in least squares, how pictures differ from a texture.

    shown  of each training picture its name, colours (N, 3) of the texture, normals (N, 3) there in the
           world, and the colours (N, 3) that were taken
    """
    cameras = len(conditions.cameras) if conditions.known else 0
    size = 9 + cameras
    # normal equations of each colour, rid of the pictures' own gains, of which each meets one picture alone
    matrix, right, pictures = torch.zeros(3, size, size), torch.zeros(3, size), {}
    for picture, drawn, normal, taken in shown:
        difference = ((taken + DARK) / (drawn + DARK)).log()
        # squared brightness turns errors of the logarithm into those of the colour
        weight = drawn.square() / (1 + (difference / DOUBT).square()) / max(len(drawn), 1)
        camera = torch.zeros(len(drawn), cameras)
        if cameras:
            camera[:, conditions.cameras.index(picture[0])] = 1
        terms = torch.cat([spherical_harmonics(normal.cpu()), camera], 1)
        weight, difference = weight.cpu(), difference.cpu()
        weighed = weight.T[:, :, None] * terms  # (3, N, size)
        own, total = weighed.sum(1), weight.sum(0) + PICTURE
        measured = (weight * difference).sum(0)
        matrix += weighed.mT @ terms - own[:, :, None] * own[:, None] / total[:, None, None]
        right += (weighed * difference.T[:, :, None]).sum(1) - own * (measured / total)[:, None]
        pictures[picture] = own, measured, total
    held = torch.cat([torch.full((9,), LIGHT), torch.full((cameras,), CAMERA)]) * len(pictures)
    solved = torch.linalg.solve(matrix + held.diag(), right)  # (3, size)
    light.coefficients.copy_(solved[:, :9].T)
    gains = solved[:, 9:].T if cameras else torch.zeros_like(conditions.camera_gain)
    of_pictures = torch.stack([(measured - (own * solved).sum(1)) / total
                               for own, measured, total in (pictures[name] for name in conditions.pictures)])
    # a camera that nobody knows has a gain of 1, so the mean is to be 1
    mean = (gains.to(of_pictures)[conditions.camera_of_picture.cpu()] + of_pictures).mean(0)
    light.coefficients[0] += mean.to(light.coefficients)
    conditions.camera_gain.copy_(gains - (mean if cameras else 0))
    conditions.picture_gain.copy_(of_pictures - (0 if cameras else mean))
