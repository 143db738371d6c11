"""A small made-up person, filmed: a folder in format `registered`, drawn in seconds, for tests and a demo.

    python -m tests.small_capture captures/demo-source

The person is ten capsules in bright clothes, left and right different, whose limbs swing. What is filmed is
a little larger than the registered mesh and bulges, so that outlines disagree as they do in real captures.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from anr_core.body import Surface
from anr_core.camera import Camera, look_at
from anr_core.rasterizer import rasterize

RINGS, SEGMENTS = 7, 12  # of each capsule
TILES = 4  # the atlas has 4 x 4 tiles, one a capsule
# name: (parent, joint in the parent's frame or None for its end, length, direction, radius)
# metres; Z up, the person looks along -Y, their left is +X
LIMBS = {
    "torso": (None, (0, 0, 0.95), 0.50, (0, 0, 1), 0.15),
    "head": ("torso", (0, 0, 0.56), 0.22, (0, 0, 1), 0.10),
    "left upper arm": ("torso", (0.20, 0, 0.46), 0.28, (0.35, 0, -1), 0.050),
    "left forearm": ("left upper arm", None, 0.27, (0.25, -0.15, -1), 0.042),
    "right upper arm": ("torso", (-0.20, 0, 0.46), 0.28, (-0.35, 0, -1), 0.050),
    "right forearm": ("right upper arm", None, 0.27, (-0.25, -0.15, -1), 0.042),
    "left thigh": ("torso", (0.09, 0, 0.0), 0.42, (0.1, 0, -1), 0.080),
    "left shin": ("left thigh", None, 0.45, (0, 0, -1), 0.060),
    "right thigh": ("torso", (-0.09, 0, 0.0), 0.42, (-0.1, 0, -1), 0.080),
    "right shin": ("right thigh", None, 0.45, (0, 0, -1), 0.060),
}
# how far each limb swings about X, radians, and how much of a cycle it lags
SWINGS = {"left upper arm": (0.6, 0.0), "right upper arm": (0.6, 0.5), "left forearm": (0.4, 0.1),
          "right forearm": (0.4, 0.6), "left thigh": (0.45, 0.5), "right thigh": (0.45, 0.0),
          "left shin": (0.35, 0.7), "right shin": (0.35, 0.2), "head": (0.15, 0.3)}


def surface() -> Surface:
    """One capsule a limb, each with its tile of the atlas and its part id."""
    faces, uv, uv_faces, part = [], [], [], []
    around, down = torch.meshgrid(torch.linspace(0, 1, SEGMENTS + 1), torch.linspace(0, 1, RINGS),
                                  indexing="xy")
    segment, ring = (index.flatten() for index in
                     torch.meshgrid(torch.arange(SEGMENTS), torch.arange(RINGS - 1), indexing="xy"))
    for limb in range(len(LIMBS)):
        corner = torch.tensor([limb % TILES, limb // TILES])
        tile = torch.stack([around, down], -1).reshape(-1, 2) * 0.94 + 0.03  # a rim, so that tiles don't mix
        for columns, indices, start in ((SEGMENTS, faces, limb * RINGS * SEGMENTS),
                                        (SEGMENTS + 1, uv_faces, limb * RINGS * (SEGMENTS + 1))):
            here, right = ring * columns + segment, ring * columns + (segment + 1) % columns
            indices.append(start + torch.cat([torch.stack([here, right, here + columns], -1),
                                              torch.stack([right, right + columns, here + columns], -1)]))
        uv.append((corner + tile) / TILES)
        part.append(torch.full((len(faces[-1]),), limb + 1))
    return Surface(torch.cat(faces), torch.cat(uv), torch.cat(uv_faces), torch.cat(part))


def posed_vertices(phase: float, grown: float = 0.0) -> torch.Tensor:
    """Vertices (V, 3), metres, at a phase of the walk in [0, 1); `grown` hangs clothes of some cm on them."""
    frames, vertices = {}, []
    for name, (parent, joint, length, direction, radius) in LIMBS.items():
        turn, origin = frames[parent][:2] if parent else (torch.eye(3), torch.zeros(3))
        origin = frames[parent][2] if joint is None else origin + turn @ torch.tensor(joint)
        swing, lag = SWINGS.get(name, (0.0, 0.0))
        turn = turn @ about_x(swing * math.sin(2 * math.pi * (phase + lag)))
        axis = functional.normalize(torch.tensor(direction, dtype=torch.float32), dim=0)
        end = origin + turn @ (axis * length)
        frames[name] = turn, origin, end
        vertices.append(origin + capsule(length, radius, axis, grown) @ turn.T)
    return torch.cat(vertices)


def about_x(angle: float) -> torch.Tensor:
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def capsule(length: float, radius: float, axis: torch.Tensor, grown: float) -> torch.Tensor:
    """(RINGS * SEGMENTS, 3) from the limb's joint along its axis, poles included as rings of no size."""
    across = functional.normalize(torch.linalg.cross(axis, torch.tensor([0.0, 1.0, 0.0])), dim=0)
    third = torch.linalg.cross(axis, across)
    down = torch.linspace(0, math.pi, RINGS)[:, None]
    around = (torch.arange(SEGMENTS) / SEGMENTS * 2 * math.pi)[None]
    # clothes hang wider towards the end of a limb, and more on one side
    clothes = 0.01 * grown * (1 - down.cos()) * (1 + 0.6 * around.cos())
    width = (radius + clothes) * down.sin().clamp(min=1e-4).sqrt()  # sqrt: a barrel, fuller than an ellipsoid
    along = length / 2 - (length / 2 + radius / 2) * down.cos()
    points = (width * around.cos())[..., None] * across + (width * around.sin())[..., None] * third
    return (points + along[..., None] * axis).reshape(-1, 3)


def clothing(seed: int) -> torch.Tensor:
    """A texture (1, 3, 256, 256): every limb its own colours, stripes and patches."""
    random = np.random.default_rng(seed)
    size = 256 // TILES
    picture = np.zeros((256, 256, 3), np.float32)
    rows, columns = np.mgrid[:size, :size] / size
    for limb in range(len(LIMBS)):
        base, other, third = random.uniform(0.08, 0.92, (3, 3))
        count, slant = random.integers(2, 5), random.integers(-1, 2)
        stripes = (np.sin(2 * np.pi * (count * rows + slant * columns)) > 0.3)[..., None]
        tile = np.where(stripes, other, base)
        for _ in range(3):
            row, column = random.uniform(0.2, 0.8, 2)
            tile = np.where((np.hypot(rows - row, columns - column) < 0.13)[..., None], third, tile)
        top, left = (TILES - 1 - limb // TILES) * size, limb % TILES * size  # UV starts at the bottom left
        picture[top:top + size, left:left + size] = tile
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def stage(seed: int, size: tuple[int, int]) -> torch.Tensor:
    """A background (3, H, W): soft colours and a floor of tiles."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 4, generator=random)
    cloth = functional.interpolate(coarse, size, mode="bicubic")[0].clamp(0, 1)
    rows, columns = torch.meshgrid(torch.arange(size[0]) // 12, torch.arange(size[1]) // 12, indexing="ij")
    floor = ((rows + columns) % 2) * (rows > rows.max() * 0.7)
    return 0.3 + 0.4 * cloth + 0.2 * floor


def cameras(count: int, size: tuple[int, int]) -> list[Camera]:
    """Cameras all around, at two heights; fx and fy differ, the principal point is not in the middle."""
    height, width = size
    turn = torch.arange(count) / count * 2 * math.pi + 0.3
    eye = torch.stack([2.9 * turn.sin(), -2.9 * turn.cos(), 1.1 + 0.3 * (torch.arange(count) % 2)], -1)
    K = torch.tensor([[1.30 * height, 0, 0.51 * width], [0, 1.33 * height, 0.48 * height], [0, 0, 1]])
    target, up = torch.tensor([[0.0, 0.0, 0.9]]), torch.tensor([0.0, 0.0, 1.0])
    around = look_at(eye, target.expand(count, 3), up, K.expand(count, 3, 3), size)
    return [around[index] for index in range(count)]


def film(vertices: torch.Tensor, person: Surface, texture: torch.Tensor, camera: Camera,
         background: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture (3, H, W) and coverage (H, W) of textured, lit vertices (V, 3), nine samples a pixel."""
    height, width = camera.size
    fine = camera.resize((3 * height, 3 * width))
    fragments = rasterize(vertices[None], person.faces, fine, fine.size)
    covered = fragments.face_id >= 0
    face, weight = fragments.face_id[covered].long(), fragments.barycentric[covered]
    uv = (person.uv[person.uv_faces[face]] * weight[..., None]).sum(1)
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], -1)[None, None]
    colour = functional.grid_sample(texture, grid, align_corners=False)[0, :, 0]
    corners = vertices[person.faces]
    flat = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = torch.zeros_like(vertices).index_add(0, person.faces.flatten(), flat.repeat_interleave(3, 0))
    normal = functional.normalize((normals[person.faces[face]] * weight[..., None]).sum(1), dim=-1)
    light = 0.45 + 0.55 * (normal @ functional.normalize(torch.tensor([0.4, -0.7, 0.6]), dim=0)).clamp(min=0)
    layers = torch.zeros(4, *fine.size)
    layers[:, covered[0]] = torch.cat([colour * light, torch.ones(1, len(face))])
    layers = functional.avg_pool2d(layers[None], 3)[0]
    return layers[:3] + (1 - layers[3]) * background, layers[3]


def make_small_capture(folder: Path, frames: int = 8, camera_count: int = 4,
                       size: tuple[int, int] = (240, 160), registered_every: int = 1, seed: int = 0) -> None:
    """Write a source folder; cameras.json speaks of pictures twice as large, as real ones do."""
    folder, person, texture = Path(folder), surface(), clothing(seed)
    described = {}
    for index, camera in enumerate(cameras(camera_count, size)):
        name, large = f"cam{index + 1:02d}", camera.resize((2 * size[0], 2 * size[1]))
        described[name] = {"width": large.size[1], "height": large.size[0], "K": large.K[0].tolist(),
                           "R": large.R[0].tolist(), "t": large.t[0].tolist()}
        background = stage(seed + 100 + index, size)
        save(folder / "background_median" / f"{name}.jpg", background)
        for frame in range(frames):
            clothed = posed_vertices(frame / frames, grown=1.0)
            picture, coverage = film(clothed, person, texture, camera, background)
            save(folder / "frames" / name / f"{frame:04d}.jpg", picture)
            if frame % registered_every == 0:
                save(folder / "masks" / name / f"{frame:04d}.png", (coverage > 0.5).float())
    registered = np.arange(0, frames, registered_every)
    np.savez(folder / "mesh.npz", frames=registered, faces=person.faces.numpy(), uv=person.uv.numpy(),
             uv_faces=person.uv_faces.numpy(),
             vertices=np.stack([posed_vertices(frame / frames).numpy() for frame in registered]))
    (folder / "cameras.json").write_text(json.dumps({"fps": 15, "cameras": described}, indent=1))


def save(file: Path, picture: torch.Tensor) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    array = (picture.clamp(0, 1) * 255).round().byte().numpy()
    Image.fromarray(array if array.ndim == 2 else array.transpose(1, 2, 0)).save(file, quality=95)


if __name__ == "__main__":
    make_small_capture(Path(sys.argv[1]), camera_count=8)
