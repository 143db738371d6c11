"""The stage: a room with a floor and four walls, and calibrated cameras on two rings in it.

The room is flat, so each camera's picture of it is computed once, from where its rays end: what every lamp
and the surroundings add to each pixel apart, so that the person's shadow is a product later on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from anr_core.camera import Camera, look_at, pixel_centres
from anr_core.prepare.studio.light import UP, Lights
from anr_core.prepare.studio.painting import clouds, colour, linear, mixed, noise, step

RING = 1.95  # from the middle to a camera, in heights of the person
HEIGHTS = (0.95, 2.15)  # metres of the low and the high ring
MIDDLE = (0.0, 0.0, 1.0)
WALL = 4.6  # metres from the middle to a wall: behind the cameras
RAISED, BELOW = 1.37, 0.13  # heights above and below the floor that pictures show: raised hands, near feet

FLOOR_SIDE = 5.2  # metres of floor, around the middle, that the person's shadow can reach
FLOOR_CELLS = 288


def cameras(seed: int, count: int, size: tuple[int, int], height: float) -> dict[str, Camera]:
    """Cameras by name, the low ring's and the high ring's in turn, looking inwards, each a bit different.

    Their pictures hold a person of a height, metres, with raised arms.
    """
    reach = (RAISED + BELOW) * height
    random = np.random.default_rng([seed, 1])
    made = {}
    for index in range(count):
        turn = 2 * math.pi * (index + random.uniform(-0.18, 0.18)) / count
        away = RING * height * random.uniform(0.95, 1.05)
        up = HEIGHTS[index % 2] + random.uniform(-0.12, 0.12)
        eye = torch.tensor([[away * math.sin(turn), -away * math.cos(turn), up]], dtype=torch.float32)
        target = [*random.normal(0, 0.03, 2), reach / 2 - BELOW * height + random.normal(0, 0.02)]
        target = torch.tensor([target], dtype=torch.float32)
        away = float((eye - target).norm())
        focal = min(size[0], 1.35 * size[1]) * away / reach * random.uniform(0.96, 1.04)
        K = torch.tensor([[[focal, 0, size[1] / 2 + random.uniform(-0.01, 0.01) * size[1]],
                           [0, focal, size[0] / 2 + random.uniform(-0.01, 0.01) * size[0]], [0, 0, 1]]])
        camera = look_at(eye, target, UP, K.float(), size)
        made[f"cam{index + 1:02d}"] = _rolled(camera, random.uniform(-0.03, 0.03))
    return made


def _rolled(camera, angle):
    """The camera turned about its optical axis, radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]])
    return replace(camera, R=turn @ camera.R, t=(turn @ camera.t[..., None])[..., 0])


# the room


@dataclass(frozen=True)
class Backdrop:
    """What one camera sees of the empty room, linear light.

    ambient  (3, H, W)           what comes from all around
    lamps    (lamps, 3, H, W)    what each lamp adds
    floor    (H, W, 2)           where in the map of the floor's light a pixel looks, in [-1, 1]; else beyond
    """

    ambient: torch.Tensor
    lamps: torch.Tensor
    floor: torch.Tensor

    def picture(self, floor_light: torch.Tensor | None = None) -> torch.Tensor:
        """(3, H, W) the room under the floor's light (1 + lamps, cells, cells), or empty."""
        if floor_light is None:
            return self.ambient + self.lamps.sum(0)
        # what lies beyond the map keeps all of its light
        shade = 1 - functional.grid_sample(1 - floor_light[None], self.floor[None], align_corners=False)[0]
        return self.ambient * shade[:1] + (self.lamps * shade[1:, None]).sum(0)


def floor_cells() -> torch.Tensor:
    """(cells², 3) centres of the map of the floor's light, row by row."""
    line = (torch.arange(FLOOR_CELLS) + 0.5) / FLOOR_CELLS * FLOOR_SIDE - FLOOR_SIDE / 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3)


def backdrop(seed: int, camera: Camera, lights: Lights, samples: int = 3) -> Backdrop:
    """The empty room, with samples² rays a pixel."""
    height, width = camera.size
    fine = camera.resize((samples * height, samples * width))
    bands = []
    rows = max(1, 2**18 // (width * samples**2))  # pixels' rows at a time: 260 000 rays
    for top in range(0, height, rows):
        count = min(rows, height - top)
        part = fine.crop(0, top * samples, fine.size[1], count * samples)
        bands.append(_seen(seed, part, lights, samples))
    ambient, lamps = (torch.cat([band[index] for band in bands], -2) for index in range(2))
    place, on_floor = _hit(camera)[:2]
    floor = torch.where(on_floor[:, None], 2 * place[:, :2] / FLOOR_SIDE, 9.0)
    return Backdrop(ambient, lamps, floor.view(height, width, 2))


def _hit(camera):
    """Where rays of all pixels end: places (N, 3), whether on the floor (N,), wall (N,), normals (N, 3)."""
    origins, directions = camera.rays(pixel_centres(tuple(int(n) for n in camera.size)))
    origins, directions = origins[0], directions[0]
    directions = torch.where(directions.abs() < 1e-7, 1e-7, directions)
    walls = ((WALL * directions[:, :2].sign() - origins[:, :2]) / directions[:, :2])
    to_wall, axis = walls.min(1)
    to_floor = torch.where(directions[:, 2] < 0, -origins[:, 2] / directions[:, 2], torch.inf)
    on_floor = to_floor < to_wall
    place = origins + torch.minimum(to_wall, to_floor)[:, None] * directions
    side = directions[:, :2].gather(1, axis[:, None])[:, 0] > 0
    wall = 2 * axis + side
    normal = torch.zeros_like(place)
    normal.scatter_(1, axis[:, None], torch.where(side, -1.0, 1.0)[:, None])
    normal[on_floor] = torch.tensor(UP)
    return place, on_floor, wall, normal, directions


def _seen(seed, camera, lights, samples):
    height, width = (int(n) for n in camera.size)
    place, on_floor, wall, normal, directions = _hit(camera)
    albedo = torch.empty_like(place)
    albedo[on_floor] = linear(floor_paint(seed, place[on_floor, :2]))
    along = torch.where(wall < 2, place[:, 1], place[:, 0])
    face = torch.stack([along, place[:, 2]], 1)
    for index in range(4):
        there = ~on_floor & (wall == index)
        albedo[there] = linear(wall_paint(seed, index, face[there]))
    corner = (WALL - place[:, :2].abs()).abs().sort(1).values  # the nearer wall's distance first, 0 on a wall
    near = torch.where(on_floor, corner[:, 0], torch.minimum(corner[:, 1], place[:, 2]))
    open_share = 1 - 0.45 * torch.exp(-near.clamp(min=0) / 0.35)
    ambient = albedo * (lights.radiance(normal) * open_share[:, None])
    pooled = [_pooled(ambient, height, width, samples)]
    for lamp in lights.lamps:
        way = lamp.points.mean(0) - place
        towards = functional.normalize(way, dim=1)
        distance = float((lamp.points.mean(0) - torch.tensor(MIDDLE)).norm())
        fall = (distance / way.norm(dim=1)).square().clamp(max=1.6)
        light = (towards * normal).sum(1).clamp(min=0) * fall
        half = functional.normalize(towards - directions, dim=1)
        gloss = 0.10 * (half * normal).sum(1).clamp(min=0).pow(40) * on_floor
        sent = (albedo * light[:, None] + (gloss * fall)[:, None]) * lamp.colour
        pooled.append(_pooled(sent, height, width, samples))
    return pooled[0], torch.stack(pooled[1:])


def _pooled(values, height, width, samples):
    return functional.avg_pool2d(values.view(height, width, 3).permute(2, 0, 1)[None], samples)[0]


# paint of the room: (N, 3) sRGB at places (N, 2) metres


def floor_paint(seed: int, place: torch.Tensor) -> torch.Tensor:
    """Boards, tiles or concrete."""
    random = np.random.default_rng([seed, 2])
    kind = random.integers(3)
    if kind == 0:
        return _boards(place, random, seed)
    if kind == 1:
        return _tiles(place, random, seed)
    tone = colour(*random.uniform(0.42, 0.6) * (1 + random.normal(0, 0.03, 3)))
    grain = 0.07 * clouds(place, 1.1, seed, 6) + 0.03 * noise(place, 0.012, seed + 9)
    crack = step(0.012, 0.0, clouds(place, 0.9, seed + 20, 4).abs())
    crack = crack * step(0.1, 0.5, noise(place, 1.7, seed + 5))
    joint = ((place - 0.7).remainder(2.0) - 1).abs().amin(1)
    return (tone + grain[:, None]) * (1 - 0.35 * crack - 0.4 * step(0.007, 0.003, joint))[:, None]


def _boards(place, random, seed):
    width, length = random.uniform(0.10, 0.17), random.uniform(1.1, 1.8)
    warm = random.uniform(0, 1)
    tone = torch.tensor([0.50, 0.35, 0.22]) * (1 - warm) + torch.tensor([0.70, 0.54, 0.37]) * warm
    across = place[:, 0] / width
    board = across.floor()
    shifted = place[:, 1] / length + torch.frac(board * 0.377).abs() * 3
    piece = torch.stack([board, shifted.floor(), 7 * torch.ones_like(board)], 1) + 0.5
    hue = noise(piece, 0.731, seed + 3)
    grain = clouds(torch.stack([place[:, 0] * 14, place[:, 1] + hue * 5], 1), 0.35, seed + 4, 5)
    rings = torch.sin(60 * (place[:, 0] + 0.03 * grain + 0.02 * hue)) * 0.5 + 0.5
    gap = torch.minimum((across - across.round()).abs() * width, (shifted - shifted.round()).abs() * length)
    shade = 1 + 0.16 * hue + 0.12 * grain - 0.07 * rings
    return tone * (shade * (1 - 0.6 * step(0.0035, 0.001, gap)))[:, None]


def _tiles(place, random, seed):
    side = random.uniform(0.3, 0.5)
    light = colour(*random.uniform(0.55, 0.75) * (1 + random.normal(0, 0.03, 3)))
    dark = light * random.uniform(0.5, 0.95)
    cell = (place / side).floor()
    odd = cell.sum(1).remainder(2)
    hue = noise(torch.cat([cell, cell[:, :1] * 0 + 3], 1) + 0.5, 0.637, seed + 3)
    veins = step(0.05, 0.0, clouds(place + hue[:, None], 0.5, seed + 4, 5).abs())
    shade = 1 + 0.05 * hue + 0.04 * clouds(place, 0.2, seed + 7, 4) - 0.1 * veins
    paint = mixed(light, dark, odd) * shade[:, None]
    gap = (place / side - (place / side).round()).abs().amin(1) * side
    return mixed(paint, colour(0.33, 0.32, 0.31), step(0.004, 0.002, gap))


def wall_paint(seed: int, wall: int, place: torch.Tensor) -> torch.Tensor:
    """Plaster, paper in stripes, brick or panels, with a skirting board and pictures."""
    random = np.random.default_rng([seed, 3])
    base = colour(*(random.uniform(0.45, 0.75) + random.uniform(-0.09, 0.09, 3)))
    kind = (random.integers(4) + wall % 2 * random.integers(1, 3)) % 4
    x, z = place.unbind(1)
    plaster = 0.025 * clouds(place, 0.8, seed + wall, 5) + 0.012 * noise(place, 0.02, seed + 40)
    paint = (base + plaster[:, None]).clamp(0, 1)
    if kind == 1:
        stripe = (x / 0.16).remainder(1)
        paint = mixed(paint, base * 0.82 + 0.04, step(0.48, 0.5, stripe) * step(1.0, 0.98, stripe))
        paint = mixed(paint, base * 0.55, step(0.012, 0.006, (stripe - 0.25).abs()))
    elif kind == 2:
        row = (z / 0.075).floor()
        across = x / 0.24 + 0.5 * row.remainder(2)
        level = z / 0.075
        gap = torch.minimum((across - across.round()).abs() * 0.24, (level - level.round()).abs() * 0.075)
        hue = noise(torch.stack([across.floor(), row, row * 0 + wall], 1) + 0.5, 0.641, seed + 41)
        brick = torch.tensor([0.52, 0.30, 0.23]) * 0.7 + base * 0.3
        shade = 1 + 0.2 * hue + 0.12 * clouds(place, 0.06, seed + 42, 3)
        paint = mixed(brick * shade[:, None], colour(0.58, 0.56, 0.53), step(0.007, 0.004, gap))
    elif kind == 3:
        panel = (x / 0.9 - (x / 0.9).round()).abs() * 0.9
        groove, moulding = step(0.012, 0.005, panel), step(0.03, 0.025, (panel - 0.08).abs())
        paint = paint * (1 - 0.3 * groove - 0.12 * moulding)[:, None]
    for side in (-1, 1)[:random.integers(1, 3)]:
        paint = _poster(paint, place, side, np.random.default_rng([seed, 4, wall, side + 1]), seed)
    paint = mixed(paint, colour(0.80, 0.79, 0.76), step(0.102, 0.10, z))
    return paint * (1 - 0.5 * step(0.008, 0.002, (z - 0.10).abs()))[:, None]


def _poster(paint, place, side, random, seed):
    """A framed picture of coloured shapes, somewhere on one side of the wall."""
    centre = torch.tensor([side * random.uniform(0.7, 3.2), random.uniform(1.35, 1.75)], dtype=torch.float32)
    half = torch.tensor(random.uniform(0.28, 0.55, 2), dtype=torch.float32)
    inside = place - centre
    edge = (half - inside.abs()).amin(1)
    ground, ink, other = (colour(*(random.uniform(0.15, 0.8) + random.uniform(-0.2, 0.2, 3)))
                          for _ in range(3))
    art = mixed(ground, ink, step(0.05, 0.0, clouds(inside, 0.35, seed + int(random.integers(99)), 2)))
    spot = (inside - torch.tensor(random.normal(0, 0.1, 2), dtype=torch.float32)).norm(dim=1)
    art = mixed(art, other, step(0.14, 0.135, spot))
    framed = mixed(mixed(art, colour(0.92, 0.91, 0.88), step(0.07, 0.068, edge)), colour(0.12, 0.1, 0.09),
                   step(0.025, 0.023, edge))
    return mixed(paint * (1 - 0.3 * step(-0.05, 0.0, edge))[:, None], framed, step(-0.002, 0.0, edge))
