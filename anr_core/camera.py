"""Cameras: pinhole with lens distortion, or weak perspective.

Everything is OpenCV's convention: +X right, +Y down, +Z forward, `x_camera = R x_world + t`, and the centre
of the top-left pixel is (0.5, 0.5). Pixels come from camera coordinates by

    perspective  (u, v, 1) = K (x, y, 1)   with (x, y) = distort(X / Z, Y / Z)
    weak         (u, v, 1) = K (X, Y, 1)   K in pixels a metre; no distortion; all rays are parallel
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from anr_core.telling import brief

COEFFICIENT_COUNTS = (0, 4, 5, 8, 12)


@dataclass(frozen=True)
class Camera:
    """B cameras, never changed in place; every method that alters one returns a new one.

    K           (B, 3, 3)  pixels; may hold skew
    R           (B, 3, 3)  camera from world
    t           (B, 3)     metres
    distortion  (B, D)     OpenCV's k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4]]]: D is 0, 4, 5, 8 or 12; or None
    projection  "perspective" or "weak"
    size        (H, W) of the pictures, pixels, or None; between a crop and a resize it may hold fractions,
                or (B,) tensors
    """

    K: torch.Tensor
    R: torch.Tensor
    t: torch.Tensor
    distortion: torch.Tensor | None = None
    projection: str = "perspective"
    size: tuple[int, int] | None = None

    def __post_init__(self):
        batch = len(self.K)
        for name, value, shape in (("K", self.K, (batch, 3, 3)), ("R", self.R, (batch, 3, 3)),
                                   ("t", self.t, (batch, 3))):
            if tuple(value.shape) != shape:
                raise ValueError(f"Camera.{name} has shape {brief(value.shape)}, expected {shape}; "
                                 "a single camera is a batch of one: add the axis with [None].")
        if self.projection not in ("perspective", "weak"):
            raise ValueError(f"Camera.projection is {self.projection!r}; use 'perspective' or 'weak'.")
        if self.distortion is None:
            return
        if tuple(self.distortion.shape) not in [(batch, count) for count in COEFFICIENT_COUNTS]:
            found = brief(self.distortion.shape)
            raise ValueError(f"Camera.distortion has shape {found}, expected ({batch}, D) with D one "
                             f"of {COEFFICIENT_COUNTS}; pad with zeros up to the next of these.")

    @staticmethod
    def cat(cameras: list[Camera]) -> Camera:
        """One batch of many; distortions are padded to the longest, size stays where all share it.

        Raises ValueError for perspective and weak ones together.
        """
        if len({camera.projection for camera in cameras}) > 1:
            raise ValueError("Perspective and weak cameras can't share a batch; call as_weak on all or none.")
        widest = max(camera._coefficient_count() for camera in cameras)
        distortion = torch.cat([camera._coefficients(widest) for camera in cameras]) if widest else None
        sizes = {camera.size for camera in cameras}
        return replace(cameras[0],
                       K=torch.cat([camera.K for camera in cameras]),
                       R=torch.cat([camera.R for camera in cameras]),
                       t=torch.cat([camera.t for camera in cameras]),
                       distortion=distortion,
                       size=sizes.pop() if len(sizes) == 1 else None)

    def __len__(self) -> int:
        return len(self.K)

    def __getitem__(self, index: int | slice | torch.Tensor) -> Camera:
        """Some of the cameras; an integer keeps the batch axis."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"camera {index} of {len(self)}")  # without it, `for` would never end
            index = slice(index, index + 1 or None)
        return self._map(lambda value: value[index])

    def to(self, *target) -> Camera:
        """On another device, or in another dtype, as `torch.Tensor.to` takes them."""
        return self._map(lambda value: value.to(*target))

    def _map(self, change) -> Camera:
        size = self.size and tuple(change(n) if torch.is_tensor(n) else n for n in self.size)
        return replace(self, K=change(self.K), R=change(self.R), t=change(self.t), size=size,
                       distortion=None if self.distortion is None else change(self.distortion))

    def _coefficient_count(self) -> int:
        return 0 if self.distortion is None else self.distortion.shape[1]

    def _coefficients(self, count: int) -> torch.Tensor:
        given = self.t.new_zeros(len(self), 0) if self.distortion is None else self.distortion
        return functional.pad(given, (0, count - given.shape[1]))

    # projecting

    @property
    def center(self) -> torch.Tensor:
        """(B, 3) the camera's place in the world, metres."""
        return -(self.R.transpose(1, 2) @ self.t[..., None])[..., 0]

    def camera_from_world(self, points: torch.Tensor) -> torch.Tensor:
        """World points (B, N, 3) in camera coordinates, metres."""
        return points @ self.R.transpose(1, 2) + self.t[:, None]

    def straightened(self, points: torch.Tensor) -> torch.Tensor:
        """Camera coordinates (B, N, 3) of world points, moved sideways until K alone projects them.

        The lens distortion is folded into X / Z and Y / Z, so that drawing straight edges between the results
        is exact at the vertices. Points at or behind the camera's plane stay where they are.
        """
        local = self.camera_from_world(points)
        if not self._distorts():
            return local
        depth = local[..., 2:]
        front = depth > 1e-6
        safe = torch.where(front, depth, 1.0)
        moved = torch.cat([distort(local[..., :2] / safe, self.distortion) * safe, depth], -1)
        return torch.where(front, moved, local)

    def project(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (B, N, 2) and depth (B, N) in metres of world points (B, N, 3).

        Depth is Z, not the distance. A perspective pixel means nothing where depth <= 0, but is finite.
        """
        local = self.camera_from_world(points)
        flat, depth = local[..., :2], local[..., 2]
        if self.projection == "perspective":
            flat = flat / torch.where(depth.abs() < 1e-9, 1e-9, depth)[..., None]
        if self._distorts():
            flat = distort(flat, self.distortion)
        return self._pixels(flat), depth

    def rays(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """World origins (B, N, 3), metres, and unit directions (B, N, 3) of pixels (B, N, 2).

        Perspective rays start at the camera's centre, weak ones on the plane through it.
        """
        linear, offset = self.K[:, :2, :2], self.K[:, None, :2, 2]
        flat = (pixels - offset) @ torch.linalg.inv(linear).transpose(1, 2)
        if self.projection == "weak":
            origins = (functional.pad(flat, (0, 1)) - self.t[:, None]) @ self.R
            return origins, self.R[:, None, 2].expand_as(origins)
        if self._distorts():
            flat = undistort(flat, self.distortion)
        directions = functional.normalize(functional.pad(flat, (0, 1), value=1.0), dim=-1) @ self.R
        return self.center[:, None].expand_as(directions), directions

    def view_directions(self, points: torch.Tensor) -> torch.Tensor:
        """Unit vectors (B, N, 3) in the world from points (B, N, 3) to the camera."""
        if self.projection == "weak":
            return -self.R[:, None, 2].expand_as(points)
        return functional.normalize(self.center[:, None] - points, dim=-1)

    def _distorts(self) -> bool:
        return self.projection == "perspective" and self._coefficient_count() > 0

    def _pixels(self, flat: torch.Tensor) -> torch.Tensor:
        return flat @ self.K[:, :2, :2].transpose(1, 2) + self.K[:, None, :2, 2]

    # other pictures of the same view

    def crop(self, x, y, w, h) -> Camera:
        """The camera of the part of the picture whose top-left corner is (x, y); floats or (B,) tensors."""
        corner = torch.stack([torch.as_tensor(n, dtype=self.K.dtype, device=self.K.device).expand(len(self))
                              for n in (x, y)], -1)
        return replace(self, K=self.K - functional.pad(corner[..., None], (2, 0, 0, 1)), size=(h, w))

    def resize(self, size: tuple[int, int]) -> Camera:
        """The camera of the same picture at another size (H, W): (u, v) comes to (u W / W0, v H / H0).

        Raises ValueError where `size` is None.
        """
        if self.size is None:
            raise ValueError("Camera.resize needs the picture's present size, but Camera.size is None; "
                             "make the camera with size=(H, W), or crop it first.")
        scale = [torch.as_tensor(new / old, dtype=self.K.dtype, device=self.K.device).expand(len(self))
                 for new, old in zip(reversed(size), reversed(self.size), strict=True)]
        return replace(self, K=self.K * torch.stack([*scale, torch.ones_like(scale[0])], -1)[..., None],
                       size=tuple(size))

    def as_weak(self, point: torch.Tensor) -> Camera:
        """The weak-perspective camera that agrees with this one at the depth of a world point (B, 3).

        Distortion is dropped. A camera that is weak already is returned as it is.

        Raises ValueError for a point behind the camera.
        """
        if self.projection == "weak":
            return self
        depth = self.camera_from_world(point[:, None])[:, 0, 2]
        if bool((depth <= 0).any()):
            raise ValueError(f"Camera.as_weak: the point lies behind the camera, at a depth of "
                             f"{float(depth.min()):.3g} m; give the world point of the body's root.")
        metres = torch.ones_like(self.K)
        metres[:, :2, :2] = depth[:, None, None]
        return replace(self, K=self.K / metres, distortion=None, projection="weak")


# lens distortion

def distort(points: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    """Where the lens puts points (B, N, 2) of the plane at depth 1, by OpenCV's model.

    coefficients (B, 4|5|8|12). Outside of the picture that it was fitted to, OpenCV's radial polynomial may
    turn back towards the middle; from the radius where it does, it goes on in a straight line here, so that a
    vertex far outside of the picture is not drawn into it.
    """
    return _distort(points, _by_name(coefficients))[0]


def undistort(points: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    """The inverse of `distort`, once differentiable in both arguments.

    Newton's method; the gradient is that of its last step, which the implicit function theorem makes exact.

    Points (B, N, 2) of the plane at depth 1, coefficients (B, 4|5|8|12).
    """
    named = _by_name(coefficients)
    with torch.no_grad():
        guess = points
        for _ in range(10):  # 5 suffice inside of a picture, 10 close to the radius where the lens turns back
            guess = _newton(guess, points, named)
    return _newton(guess, points, named)


def _newton(guess, points, named):
    distorted, jacobian = _distort(guess, named)
    a, b, c, d = (entry.detach() for entry in jacobian)
    x, y = (points - distorted).unbind(-1)
    return guess + torch.stack([d * x - b * y, a * y - c * x], -1) / (a * d - b * c)[..., None]


def _by_name(coefficients):
    """The twelve coefficients, and the squared radius at which the straight line begins, each (B, 1)."""
    padded = functional.pad(coefficients, (0, 12 - coefficients.shape[1]))
    named = padded[:, :, None].unbind(1)
    with torch.no_grad():
        radii = torch.linspace(0, 8, 801).to(coefficients)  # up to 83 degrees off the axis
        grows = (radii * _radial(radii.square(), named)[0]).diff() > 0
        turn = radii[functional.pad(grows, (0, 1)).int().argmin(1)]
    return *named, turn.square()[:, None]


def _radial(r2, named):
    """The radial factor and its derivative by r2; r2 (B, N)."""
    k1, k2, _, _, k3, k4, k5, k6 = named[:8]
    above, below = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    above_slope, below_slope = k1 + r2 * (2 * k2 + r2 * 3 * k3), k4 + r2 * (2 * k5 + r2 * 3 * k6)
    return above / below, (above_slope * below - above * below_slope) / below.square()


def _distort(points, named):
    """Distorted points (B, N, 2) and the Jacobian's entries, each (B, N): xx, xy, yx, yy."""
    p1, p2 = named[2:4]
    s1, s2, s3, s4, turn = named[8:]
    x, y = points.unbind(-1)
    r2 = x.square() + y.square()
    radial, slope = _radial(r2.minimum(turn), named)
    slope = torch.where(r2 < turn, slope, 0)
    cross = 2 * x * y
    distorted = torch.stack([
        x * radial + p1 * cross + p2 * (r2 + 2 * x.square()) + r2 * (s1 + s2 * r2),
        y * radial + p2 * cross + p1 * (r2 + 2 * y.square()) + r2 * (s3 + s4 * r2)], -1)
    shared = cross * slope + 2 * p1 * x + 2 * p2 * y
    prism_u, prism_v = 2 * (s1 + 2 * s2 * r2), 2 * (s3 + 2 * s4 * r2)
    jacobian = (radial + 2 * x.square() * slope + 2 * p1 * y + 6 * p2 * x + prism_u * x, shared + prism_u * y,
                shared + prism_v * x, radial + 2 * y.square() * slope + 6 * p1 * y + 2 * p2 * x + prism_v * y)
    return distorted, jacobian


def undistort_image(image: torch.Tensor, camera: Camera) -> torch.Tensor:
    """The picture (B, C, H, W) that the same camera would take without distortion; outside is zero."""
    height, width = image.shape[-2:]
    undistorted = pixel_centres((height, width)).to(camera.K).expand(len(camera), -1, -1)
    linear, offset = camera.K[:, :2, :2], camera.K[:, None, :2, 2]
    flat = (undistorted - offset) @ torch.linalg.inv(linear).transpose(1, 2)
    source = camera._pixels(distort(flat, camera._coefficients(12)))
    grid = (2 * source / source.new_tensor([width, height]) - 1).unflatten(1, (height, width))
    return functional.grid_sample(image, grid.to(image), align_corners=False)


def pixel_centres(size: tuple[int, int]) -> torch.Tensor:
    """(1, H W, 2) the centres of a picture's pixels, row by row."""
    rows, columns = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    return torch.stack([columns, rows], -1).reshape(1, -1, 2)


# where to look from

def look_at(eye: torch.Tensor, target: torch.Tensor, up, K: torch.Tensor,
            size: tuple[int, int] | None = None) -> Camera:
    """Cameras at eye (B, 3) with target (B, 3) on the optical axis and the direction up (3,) up.

    K (B, 3, 3) pixels. Raises ValueError where the camera looks along `up`, or stands in its target.
    """
    forward = functional.normalize(target - eye, dim=-1)
    up = functional.normalize(torch.as_tensor(up).to(forward), dim=-1)
    right = torch.linalg.cross(forward, up.expand_as(forward))
    if bool((right.norm(dim=-1) < 1e-6).any()):
        raise ValueError("look_at: the camera looks along `up`, or eye and target coincide, so nothing tells "
                         "the picture's top; move the eye or give another up.")
    return _looking(eye, forward, functional.normalize(right, dim=-1), K, size)


def orbit(target: torch.Tensor, azimuth, elevation, distance, field_of_view: float, size: tuple[int, int],
          up) -> Camera:
    """Cameras on a sphere around target (3,) or (B, 3), with the direction up (3,) up in the picture.

    azimuth        radians; at 0 the world's +X points right: the camera stands at +Z of the target where Y is
                   up, at -Y where Z is up; grows counterclockwise seen from above
    elevation      radians, positive from above; straight down and straight up work too
    distance       metres
    field_of_view  radians, from the picture's top to its bottom
    size           (H, W)

    azimuth, elevation and distance are floats or (B,) tensors.

    Raises ValueError where `up` is the world's X axis, from which azimuth is counted.
    """
    angles = [torch.as_tensor(n).to(target).reshape(-1, 1) for n in (azimuth, elevation, distance)]
    target, azimuth, elevation, distance = torch.broadcast_tensors(target.reshape(-1, 3), *angles)
    up = functional.normalize(torch.as_tensor(up).to(target), dim=-1)
    east = target.new_tensor([1.0, 0.0, 0.0])
    east = east - (east @ up) * up
    if bool(east.norm() < 1e-6):
        raise ValueError("orbit: `up` is the world's X axis, where azimuth is counted from; give another up.")
    east = functional.normalize(east, dim=-1).expand_as(target)
    front = torch.linalg.cross(east, up.expand_as(target))
    outward = elevation.cos() * (azimuth.cos() * front + azimuth.sin() * east) + elevation.sin() * up
    right = azimuth.cos() * east - azimuth.sin() * front
    focal = size[0] / 2 / math.tan(field_of_view / 2)
    K = target.new_tensor([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]])
    return _looking(target + distance * outward, -outward, right, K.repeat(len(target), 1, 1), tuple(size))


def _looking(eye, forward, right, K, size):
    R = torch.stack([right, torch.linalg.cross(forward, right), forward], -2)
    return Camera(K, R, -(R @ eye[..., None])[..., 0], size=size)
