"""What differs between the pictures of one person, apart from the person: colour balance, exposure, light.

A network that has to explain why the same skin is brighter in one picture learns the pictures by heart. So
these differences have a few numbers of their own. A new camera has none of them: its gain is 1.

Small turns of the cameras were tried as well, a camera's and a picture's, with gradients through the
rasterizer. They lower the training error, but on a real capture whose calibration is some pixels off, views
that were held out came out no better (by -0.1 to -0.2 dB): the error is not the cameras' but local, of head,
arms and hips.
"""

from __future__ import annotations

from bisect import bisect_left

import torch
from torch import nn

from anr_core.avatars.base import Scene


class Conditions(nn.Module):
    """Gains of the pictures that an avatar is trained on.

    pictures  (camera name, frame) of every training picture

    A camera's share is what its pictures have in common; where no camera has two pictures there is none.
    """

    def __init__(self, pictures: list[tuple[str, int]]):
        super().__init__()
        self.pictures = {picture: row for row, picture in enumerate(pictures)}
        self.cameras = sorted({camera for camera, _ in pictures})
        several = len(self.cameras) < len(self.pictures)
        self.known = set(self.cameras) if several else set()
        self.times = {camera: sorted(frame for name, frame in pictures if name == camera)
                      for camera in self.known}
        rows = {camera: row for row, camera in enumerate(self.cameras)}
        camera_of_picture = torch.tensor([rows[camera] for camera, _ in pictures], dtype=torch.int64)
        self.register_buffer("camera_of_picture", camera_of_picture, persistent=False)
        # log gains of red, green and blue
        self.camera_gain = nn.Parameter(torch.zeros(len(self.cameras), 3))
        self.picture_gain = nn.Parameter(torch.zeros(len(self.pictures), 3))

    def gain(self, scene: Scene) -> torch.Tensor:
        """(B, 3) factors of red, green and blue, sRGB-encoded."""
        return self._found(scene).exp()

    def regularization(self) -> torch.Tensor:
        """Keeps the mean gain at 1, and what a picture has for itself below what its camera has."""
        mean = (self.camera_gain[self.camera_of_picture] + self.picture_gain).mean(0)
        return (10 * mean.square().mean() + 0.03 * self.camera_gain.square().mean()
                + 0.3 * self.picture_gain.square().mean())

    def _found(self, scene):
        """Each scene's sum of its camera's and its picture's log gains; zeros for what is not known.

        A frame that was not trained has what the nearest one of its camera has: exposure drifts slowly.
        """
        names = scene.camera_name or [None] * len(scene.camera)
        frames = [None] * len(names) if scene.frame is None else scene.frame.tolist()
        rows = []
        for name, frame in zip(names, frames, strict=True):
            row = self.camera_gain.new_zeros(3)
            if name in self.known:
                row = row + self.camera_gain[self.cameras.index(name)]
            nearest = self._nearest(name, frame)
            if nearest is not None:
                row = row + self.picture_gain[nearest]
            rows.append(row)
        return torch.stack(rows)

    def _nearest(self, name, frame):
        """The row of a camera's picture that is closest in time, or None; a lone one is no neighbour."""
        if name in self.known and frame is not None:
            times = self.times[name]
            after = bisect_left(times, frame)
            frame = min(times[max(after - 1, 0):after + 1], key=lambda time: abs(time - frame))
        return self.pictures.get((name, frame))


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
        """Keeps the light even: the mean square of its coefficients, one scalar."""
        return self.coefficients.square().mean()


def spherical_harmonics(direction: torch.Tensor) -> torch.Tensor:
    """The nine real spherical harmonics of degree 0 to 2 (N, 9) of unit directions (N, 3).

    Each has mean square 1 over the sphere.
    """
    x, y, z = direction.unbind(-1)
    return torch.stack([torch.ones_like(x), 3**0.5 * y, 3**0.5 * z, 3**0.5 * x,
                        15**0.5 * x * y, 15**0.5 * y * z, 5**0.5 / 2 * (3 * z * z - 1), 15**0.5 * x * z,
                        15**0.5 / 2 * (x * x - y * y)], -1)
