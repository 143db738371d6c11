"""Light: area lamps with soft shadows, and what comes from all around with what stands in its way.

Everything is linear light. A lamp is many points, each with a shadow map that our rasterizer draws; the share
of the points that a place sees is its penumbra. What comes from all around is gathered at the vertices from
depth maps of directions, as the first two bands of spherical harmonics, so that a normal may still vary
between the vertices (Ramamoorthi and Hanrahan, An Efficient Representation for Irradiance Environment Maps,
2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import warp as wp
from torch.nn import functional

from anr_core.camera import Camera, look_at

UP = (0.0, 0.0, 1.0)

# Of the light that a body keeps away from itself this much comes back, reflected by what stands in the way.
RETURNED = 0.22

# Metres a place is moved out of its surface before it is looked up, so that a surface doesn't shade itself:
# two texels of a shadow map, one and a half of a direction's depth map.
SHADOW_OFFSET, AMBIENT_OFFSET = 0.008, 0.02

SHADOW_SIZE, AMBIENT_SIZE = 448, 160
AMBIENT_DIRECTIONS = 48


@dataclass(frozen=True)
class Lamp:
    """An area light.

    points  (K, 3)  metres, where it shines from
    colour  (3,)    what a white surface turned to it sends back, linear
    """

    points: torch.Tensor
    colour: torch.Tensor


@dataclass(frozen=True)
class Lights:
    """Lamps, and what comes from all around: radiance (3,) from above, from the sides and from below."""

    lamps: tuple[Lamp, ...]
    above: torch.Tensor
    around: torch.Tensor
    below: torch.Tensor

    def radiance(self, directions: torch.Tensor) -> torch.Tensor:
        """(N, 3) what comes from unit directions (N, 3)."""
        height = directions[:, 2:]
        upper = torch.lerp(self.around.expand(len(directions), 3), self.above, height.clamp(min=0).sqrt())
        return torch.lerp(upper, self.below, (-4 * height).clamp(0, 1))


def studio_lights(seed: int) -> Lights:
    """A large warm key lamp from above at one side of the front, a cool one opposite, and a bright room."""
    random = np.random.default_rng([seed, 5])
    side = random.choice([-1, 1])
    front = side * random.uniform(0.45, 0.9)
    behind = front + math.pi + random.uniform(-0.7, 0.7)
    key, back = ((3.4 * math.sin(turn), -3.4 * math.cos(turn), height)
                 for turn, height in ((front, random.uniform(3.0, 3.7)), (behind, random.uniform(2.3, 3.0))))
    warmth, strength = random.uniform(-0.05, 0.1), random.uniform(1.05, 1.25)
    middle = (0.0, 0.0, 1.0)
    return Lights((Lamp(disc(key, middle, random.uniform(0.35, 0.7), 16),
                        strength * torch.tensor([1 + warmth, 1.0, 1 - warmth], dtype=torch.float32)),
                   Lamp(disc(back, middle, 0.5, 8), 0.35 * torch.tensor([0.88, 0.96, 1.1]))),
                  torch.tensor([0.38, 0.40, 0.44]), torch.tensor([0.25, 0.245, 0.24]),
                  torch.tensor([0.20, 0.18, 0.155]))


def disc(centre, target, radius: float, count: int) -> torch.Tensor:
    """(count, 3) points evenly spread over a disc that faces its target (Vogel's spiral)."""
    centre, target = torch.tensor(centre), torch.tensor(target)
    forward = functional.normalize(target - centre, dim=0)
    right = functional.normalize(torch.linalg.cross(forward, torch.tensor(UP)), dim=0)
    down = torch.linalg.cross(forward, right)
    index = torch.arange(count)
    turn, away = index * math.pi * (3 - math.sqrt(5)), radius * ((index + 0.5) / count).sqrt()
    return centre + (away * turn.cos())[:, None] * right + (away * turn.sin())[:, None] * down


def sphere(count: int) -> torch.Tensor:
    """(count, 3) unit directions evenly spread (Fibonacci's lattice)."""
    index = torch.arange(count)
    z = 1 - (2 * index + 1) / count
    turn, flat = index * math.pi * (3 - math.sqrt(5)), (1 - z.square()).sqrt()
    return torch.stack([flat * turn.cos(), flat * turn.sin(), z], 1)


# shadow maps


@wp.func
def seen_at(projection: wp.mat44, p: wp.vec3):
    """Pixel and depth of a place in a map."""
    q = projection * wp.vec4(p[0], p[1], p[2], 1.0)  # u w, v w, depth, w; w is 1 where rays are parallel
    return wp.vec3(q[0] / q[3], q[1] / q[3], q[2])


@wp.func
def twice_area(a: wp.vec3, b: wp.vec3, x: float, y: float):
    """Twice the area of a triangle whose third corner is (x, y), positive counterclockwise."""
    return (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])


@wp.kernel
def cast(vertices: wp.array(dtype=wp.vec3), faces: wp.array(dtype=wp.vec3i),
         depth: wp.array3d(dtype=float), projection: wp.array(dtype=wp.mat44)):
    """Lower a map's depths to those of a face, which is so small that depth is linear in the picture."""
    k, face = wp.tid()
    corner = faces[face]
    a = seen_at(projection[k], vertices[corner[0]])
    b = seen_at(projection[k], vertices[corner[1]])
    c = seen_at(projection[k], vertices[corner[2]])
    size = depth.shape[1]
    low = wp.min(wp.min(a, b), c)
    high = wp.max(wp.max(a, b), c)
    first_row = wp.max(int(wp.ceil(low[1] - 0.5)), 0)
    last_row = wp.min(int(wp.floor(high[1] - 0.5)), size - 1)
    first_column = wp.max(int(wp.ceil(low[0] - 0.5)), 0)
    last_column = wp.min(int(wp.floor(high[0] - 0.5)), size - 1)
    area = twice_area(a, b, c[0], c[1])
    if first_row > last_row or first_column > last_column or area == 0.0:
        return
    scale = 1.0 / area
    for row in range(first_row, last_row + 1):
        for column in range(first_column, last_column + 1):
            x = float(column) + 0.5
            y = float(row) + 0.5
            of_a = twice_area(b, c, x, y) * scale
            of_b = twice_area(c, a, x, y) * scale
            of_c = 1.0 - of_a - of_b
            if of_a >= 0.0 and of_b >= 0.0 and of_c >= 0.0:
                wp.atomic_min(depth, k, row, column, of_a * a[2] + of_b * b[2] + of_c * c[2])


@dataclass(frozen=True)
class Shadows:
    """Depth maps (K, S, S), infinite where nothing stands, of cameras whose projections are (K, 4, 4)."""

    depth: torch.Tensor
    projection: torch.Tensor

    @staticmethod
    def drawn(vertices: torch.Tensor, faces: torch.Tensor, camera: Camera, size: int) -> Shadows:
        """Maps of a mesh (V, 3) that lies in front of all cameras."""
        count = len(camera)
        pixel_from_camera = torch.zeros(count, 4, 4)  # to u w, v w, depth, w
        pixel_from_camera[:, 2, 2] = 1
        if camera.projection == "weak":
            pixel_from_camera[:, :2, [0, 1, 3]] = camera.K[:, :2]
            pixel_from_camera[:, 3, 3] = 1
        else:
            pixel_from_camera[:, :2, :3] = camera.K[:, :2]
            pixel_from_camera[:, 3, 2] = 1
        camera_from_world = torch.eye(4).repeat(count, 1, 1)
        camera_from_world[:, :3, :3], camera_from_world[:, :3, 3] = camera.R, camera.t
        projection = pixel_from_camera @ camera_from_world
        shadows = Shadows(torch.full((count, size, size), torch.inf), projection)
        triangles = wp.from_torch(faces.int().contiguous(), dtype=wp.vec3i)
        wp.launch(cast, (count, len(faces)), [_vectors(vertices), triangles, *shadows.arrays()], device="cpu")
        return shadows

    def arrays(self):
        """Depth and projection, as the kernels take them."""
        return wp.from_torch(self.depth), wp.from_torch(self.projection, dtype=wp.mat44)


def lamp_shadows(lamp: Lamp, vertices: torch.Tensor, faces: torch.Tensor) -> Shadows:
    """Shadow maps of a mesh (V, 3) as the points of a lamp see it."""
    low, high = vertices.amin(0), vertices.amax(0)
    centre, radius = (low + high) / 2, float((high - low).norm()) / 2
    distance = (lamp.points - centre).norm(dim=1)
    focal = SHADOW_SIZE / 2 / (radius / (distance.square() - radius**2).clamp(min=0.01).sqrt())
    K = torch.zeros(len(focal), 3, 3)
    K[:, 0, 0] = K[:, 1, 1] = focal
    K[:, :2, 2], K[:, 2, 2] = SHADOW_SIZE / 2, 1
    camera = look_at(lamp.points, centre.expand_as(lamp.points), UP, K)
    return Shadows.drawn(vertices, faces, camera, SHADOW_SIZE)


def ambient_shadows(directions: torch.Tensor, vertices: torch.Tensor, faces: torch.Tensor) -> Shadows:
    """Depth maps of a mesh (V, 3) by parallel rays from unit directions (D, 3), none of them straight up."""
    low, high = vertices.amin(0), vertices.amax(0)
    centre, radius = (low + high) / 2, float((high - low).norm()) / 2
    scale = AMBIENT_SIZE / 2 / radius
    K = torch.tensor([[scale, 0, AMBIENT_SIZE / 2], [0, scale, AMBIENT_SIZE / 2], [0, 0, 1]])
    camera = look_at(centre + 2 * radius * directions, centre.expand_as(directions), UP,
                     K.expand(len(directions), 3, 3))
    weak = Camera(camera.K, camera.R, camera.t, projection="weak")
    return Shadows.drawn(vertices, faces, weak, AMBIENT_SIZE)


@wp.func
def lit_share(depth: wp.array3d(dtype=float), k: int, place: wp.vec3):
    """How much of the four texels around a place's pixel has nothing before its depth."""
    size = depth.shape[1]
    x = place[0] - 0.5
    y = place[1] - 0.5
    far = place[2]
    left = int(wp.floor(x))
    top = int(wp.floor(y))
    if left < 0 or top < 0 or left + 1 >= size or top + 1 >= size:
        return 1.0
    a = x - float(left)
    b = y - float(top)
    share = 0.0
    for corner in range(4):
        column = corner % 2
        row = corner / 2
        nearest = depth[k, top + row, left + column]
        if nearest >= far:
            share += wp.where(column == 1, a, 1.0 - a) * wp.where(row == 1, b, 1.0 - b)
    return share


@wp.kernel
def shine(places: wp.array(dtype=wp.vec3), normals: wp.array(dtype=wp.vec3), points: wp.array(dtype=wp.vec3),
          depth: wp.array3d(dtype=float), projection: wp.array(dtype=wp.mat44), offset: float, wrap: float,
          received: wp.array(dtype=wp.vec3)):
    """What a lamp of brightness 1 gives a place: by Lambert, wrapped around, and the share that it sees."""
    i = wp.tid()
    n = normals[i]
    p = places[i] + offset * n
    total = wp.vec3(0.0)
    count = points.shape[0]
    for k in range(count):
        seen = lit_share(depth, k, seen_at(projection[k], p))
        cosine = wp.dot(n, wp.normalize(points[k] - p))
        total += seen * wp.vec3(wp.max(cosine, 0.0), wp.max((cosine + wrap) / (1.0 + wrap), 0.0), 1.0)
    received[i] = total / float(count)


@wp.kernel
def gather(places: wp.array(dtype=wp.vec3), normals: wp.array(dtype=wp.vec3),
           directions: wp.array(dtype=wp.vec3), radiance: wp.array(dtype=wp.vec3),
           depth: wp.array3d(dtype=float), projection: wp.array(dtype=wp.mat44), offset: float,
           returned: float, received: wp.array2d(dtype=wp.vec3)):
    """Mean of the visible radiance, and of it times x, y and z of where it comes from."""
    i = wp.tid()
    n = normals[i]
    p = places[i] + offset * n
    count = directions.shape[0]
    for k in range(count):
        d = directions[k]
        if wp.dot(d, n) > 0.0:
            seen = lit_share(depth, k, seen_at(projection[k], p))
            arriving = radiance[k] * (seen + (1.0 - seen) * returned) / float(count)
            received[i, 0] += arriving
            received[i, 1] += arriving * d[0]
            received[i, 2] += arriving * d[1]
            received[i, 3] += arriving * d[2]


def lamp_light(lamp: Lamp, shadows: Shadows, places: torch.Tensor, normals: torch.Tensor,
               wrap: float = 0.4) -> torch.Tensor:
    """What places (N, 3) with unit normals get of a lamp of brightness 1, (N, 3).

    The columns: by Lambert; wrapped around by `wrap`; and how much of the lamp they see.
    """
    received = torch.empty_like(places)
    wp.launch(shine, len(places), [
        _vectors(places), _vectors(normals), _vectors(lamp.points), *shadows.arrays(), SHADOW_OFFSET, wrap,
        _vectors(received)], device="cpu")
    return received


def ambient_light(lights: Lights, directions: torch.Tensor, shadows: Shadows, places: torch.Tensor,
                  normals: torch.Tensor) -> torch.Tensor:
    """(N, 4, 3) spherical harmonics of what comes from all around to places (N, 3); see `irradiance`."""
    received = torch.zeros(len(places), 4, 3)
    wp.launch(gather, len(places), [
        _vectors(places), _vectors(normals), _vectors(directions), _vectors(lights.radiance(directions)),
        *shadows.arrays(), AMBIENT_OFFSET, RETURNED, _vectors(received)], device="cpu")
    return received


def irradiance(harmonics: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """(N, 3) what a white surface with unit normals (N, 3) sends back, of harmonics (N, 4, 3)."""
    return (harmonics[:, 0] + 2 * (harmonics[:, 1:] * normals[..., None]).sum(1)).clamp(min=0)


def _vectors(values: torch.Tensor):
    return wp.from_torch(values.contiguous(), dtype=wp.vec3)
