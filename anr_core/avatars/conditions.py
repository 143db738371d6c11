"""What differs between the pictures of one person, apart from the person: colour balance, small camera errors, light.

A texture that is fitted to pictures which disagree comes out blurred and grey, and a network that may see which
picture it draws learns them by heart. So the differences have a few numbers of their own, a camera and a picture.
A new camera has none of them: its gain is 1 and it is believed.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from anr_core.avatars.base import Scene
from anr_core.camera import Camera


class Conditions(nn.Module):
    """Gains and alignments of the pictures that an avatar is trained on.

    pictures  (camera name, frame) of every training picture

    A camera's share is what its pictures have in common; where no camera has two pictures there is none.
    """

    def __init__(self, pictures: list[tuple[str, int]]):
        super().__init__()
        self.pictures = {picture: row for row, picture in enumerate(pictures)}
        self.cameras = sorted({camera for camera, _ in pictures})
        several = len(self.cameras) < len(self.pictures)
        self.known = set(self.cameras) if several else set()
        # log gains of red, green and blue
        self.camera_gain = nn.Parameter(torch.zeros(len(self.cameras), 3))
        self.picture_gain = nn.Parameter(torch.zeros(len(self.pictures), 3))
        # zoom, roll, shift right, shift down, in units of the plane at depth 1
        self.camera_shift = nn.Parameter(torch.zeros(len(self.cameras), 4))
        self.picture_shift = nn.Parameter(torch.zeros(len(self.pictures), 4))

    def gain(self, scene: Scene) -> torch.Tensor:
        """(B, 3) factors of red, green and blue, sRGB-encoded."""
        return self._of(scene, self.camera_gain, self.picture_gain).exp()

    def aligned(self, scene: Scene) -> Camera:
        """The scene's cameras as the pictures say that they are: a similarity of the plane at depth 1."""
        zoom, roll, right, down = self._of(scene, self.camera_shift, self.picture_shift).unbind(-1)
        one, zero = torch.ones_like(zoom), torch.zeros_like(zoom)
        moved = torch.stack([zoom + 1, -roll, right, roll, zoom + 1, down, zero, zero, one], -1)
        return replace(scene.camera, K=scene.camera.K @ moved.unflatten(-1, (3, 3)))

    def regularization(self) -> torch.Tensor:
        """Keeps the mean gain at 1, and what a picture has for itself below what its camera has."""
        mean = self._shares(self.camera_gain, self.picture_gain).mean(0)
        return (10 * mean.square().mean() + 0.03 * self.camera_gain.square().mean()
                + 0.3 * self.picture_gain.square().mean()
                + 3 * self.camera_shift.square().mean() + 30 * self.picture_shift.square().mean())

    def _shares(self, camera, picture):
        rows = torch.tensor([self.cameras.index(name) for name, _ in self.pictures])
        return camera[rows] + picture

    def _of(self, scene, camera, picture):
        """Each scene's sum of its camera's and its picture's row; zeros for what is not known."""
        names = scene.camera_name or [None] * len(scene.camera)
        frames = [None] * len(names) if scene.frame is None else scene.frame.tolist()
        rows = []
        for name, frame in zip(names, frames, strict=True):
            row = camera.new_zeros(camera.shape[1])
            if name in self.known:
                row = row + camera[self.cameras.index(name)]
            if (name, frame) in self.pictures:
                row = row + picture[self.pictures[name, frame]]
            rows.append(row)
        return torch.stack(rows)


class Light(nn.Module):
    """How bright a surface is by the way it looks, in the world: nine spherical harmonics a colour.

    It stays where the person moves and turns, so it carries over to new poses and to cameras that see the lit
    side; a network would have to guess it from what it saw together. Source: Ramamoorthi and Hanrahan 2001,
    section 3 (nine coefficients hold diffuse light to about 1 %); fitted here to the logarithm.
    """

    def __init__(self):
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(9, 3))

    def forward(self, normal: torch.Tensor) -> torch.Tensor:
        """Factors (N, 3) for unit normals (N, 3), world."""
        return (spherical_harmonics(normal) @ self.coefficients).exp()

    def regularization(self) -> torch.Tensor:
        return self.coefficients.square().mean()


def spherical_harmonics(direction: torch.Tensor) -> torch.Tensor:
    """The nine real spherical harmonics of degree 0 to 2 (N, 9) of unit directions (N, 3), each of mean square 1."""
    x, y, z = direction.unbind(-1)
    return torch.stack([torch.ones_like(x), 3**0.5 * y, 3**0.5 * z, 3**0.5 * x,
                        15**0.5 * x * y, 15**0.5 * y * z, 5**0.5 / 2 * (3 * z * z - 1), 15**0.5 * x * z,
                        15**0.5 / 2 * (x * x - y * y)], -1)
