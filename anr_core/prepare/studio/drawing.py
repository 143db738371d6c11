"""Drawing: a dressed person in light, as one camera sees it, over the room.

    model = Model.of(layers, counts, paint)     what stays: the layers as one mesh, and their paint
    lit = Lit.of(model, vertices, lights)       a moment: what all cameras' pictures share
    picture = draw(lit, camera, backdrop)       one camera's picture, linear light
    image = developed(picture.light, ...)       as a file has it
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from anr_core.camera import Camera
from anr_core.prepare.studio.light import (
    AMBIENT_DIRECTIONS,
    Lights,
    ambient_light,
    ambient_shadows,
    irradiance,
    lamp_light,
    lamp_shadows,
    sphere,
)
from anr_core.prepare.studio.materials import Paint
from anr_core.prepare.studio.painting import encoded
from anr_core.prepare.studio.stage import FLOOR_CELLS, Backdrop, floor_cells
from anr_core.rasterizer import rasterize, vertex_normals
from anr_core.rasterizer.gbuffer import weighted


@dataclass(frozen=True)
class Model:
    """The layers of a person as one mesh.

    names     of the layers
    faces     (F, 3), uv (U, 2), uv_faces (F, 3): all layers' one after the other
    layer     (F,)    which layer a face belongs to
    hair      the rows of its vertices, or None
    paint     what is painted on the layers
    """

    names: tuple[str, ...]
    faces: torch.Tensor
    uv: torch.Tensor
    uv_faces: torch.Tensor
    layer: torch.Tensor
    hair: slice | None
    paint: Paint

    @staticmethod
    def of(layers, counts: list[int], paint: Paint) -> Model:
        """Layers of a person, with how many vertices each has, as one mesh."""
        faces, uv_faces, layer, hair, vertex, corner = [], [], [], None, 0, 0
        for index, (one, count) in enumerate(zip(layers, counts, strict=True)):
            faces.append(torch.from_numpy(one.faces) + vertex)
            uv_faces.append(torch.from_numpy(one.uv_faces) + corner)
            layer.append(torch.full((len(one.faces),), index))
            hair = slice(vertex, vertex + count) if one.name == "hair" else hair
            vertex, corner = vertex + count, corner + len(one.uv)
        uv = torch.cat([torch.from_numpy(one.uv) for one in layers])
        return Model(tuple(one.name for one in layers), torch.cat(faces), uv, torch.cat(uv_faces),
                     torch.cat(layer), hair, paint)

    def joined(self, vertices: dict[str, np.ndarray]) -> torch.Tensor:
        """(V, 3) of the vertices of each layer."""
        return torch.from_numpy(np.concatenate([vertices[name] for name in self.names]))


@dataclass(frozen=True)
class Lit:
    """A person in a pose, and the light that reaches it.

    vertices   (V, 3) metres, normals (V, 3)
    across     (F, 3) normals of the faces, as long as twice their area
    slopes     (F, 6) how u and v grow along each face, per metre
    harmonics  (V, 12)   ambient light, see `irradiance`
    shadows    of each lamp
    floor      (1 + lamps, cells, cells) the share of the surroundings' and each lamp's light the floor gets
    """

    model: Model
    lights: Lights
    vertices: torch.Tensor
    normals: torch.Tensor
    across: torch.Tensor
    slopes: torch.Tensor
    harmonics: torch.Tensor
    shadows: tuple
    floor: torch.Tensor

    @staticmethod
    def of(model: Model, vertices: torch.Tensor, lights: Lights) -> Lit:
        """What lamps and sky do to a model at its vertices (V, 3), metres."""
        normals = vertex_normals(vertices[None], model.faces)[0]
        if model.hair is not None:
            normals[model.hair] = _combed(vertices[model.hair], normals[model.hair])
        directions = sphere(AMBIENT_DIRECTIONS)
        around = ambient_shadows(directions, vertices, model.faces)
        harmonics = ambient_light(lights, directions, around, vertices, normals)
        shadows = tuple(lamp_shadows(lamp, vertices, model.faces) for lamp in lights.lamps)
        floor = _floor_light(lights, directions, around, shadows)
        return Lit(model, lights, vertices, normals, *_on_faces(vertices, model), harmonics.flatten(1),
                   shadows, floor)


def _combed(hair, normals):
    """Normals of hair turned outwards from its middle: its locks are lit as one body, not as scales."""
    outward = functional.normalize(hair - hair.mean(0), dim=1)
    return functional.normalize(normals + 2.5 * outward, dim=1)


def _floor_light(lights, directions, around, shadows):
    cells = floor_cells()
    up = torch.tensor([0.0, 0.0, 1.0]).expand_as(cells)
    open_sky = Lights((), *(torch.ones(3) for _ in range(3)))
    sky = irradiance(ambient_light(open_sky, directions, around, cells, up), up)[:, 0]
    shares = [sky / sky.max()]
    shares += [lamp_light(lamp, maps, cells, up)[:, 2]
               for lamp, maps in zip(lights.lamps, shadows, strict=True)]
    return torch.stack(shares).view(-1, FLOOR_CELLS, FLOOR_CELLS)


@dataclass(frozen=True)
class Picture:
    """One camera's picture of a dressed person.

    light     (3, H, W)  linear, the person over the room
    coverage  (H, W)     share of each pixel that the person covers
    """

    light: torch.Tensor
    coverage: torch.Tensor


def draw(lit: Lit, camera: Camera, backdrop: Backdrop, samples: int = 3) -> Picture:
    """The person over the room, with samples² samples a pixel."""
    light, coverage = backdrop.picture(lit.floor), torch.zeros(camera.size)
    left, top, right, bottom = _box(lit.vertices, camera)
    if right <= left or bottom <= top:
        return Picture(light, coverage)
    fine = camera.crop(left, top, right - left, bottom - top).resize(((bottom - top) * samples,
                                                                      (right - left) * samples))
    fragments = rasterize(lit.vertices[None], lit.model.faces, fine, fine.size)
    seen = shaded(lit, fine, fragments)
    planes = seen.new_zeros(fine.size[0] * fine.size[1], 4)
    planes[fragments.pixels] = functional.pad(seen, (0, 1), value=1.0)
    pooled = functional.avg_pool2d(planes.view(*fine.size, 4).permute(2, 0, 1)[None], samples)[0]
    light[:, top:bottom, left:right] = light[:, top:bottom, left:right] * (1 - pooled[3]) + pooled[:3]
    coverage[top:bottom, left:right] = pooled[3]
    return Picture(light, coverage)


def _box(vertices, camera):
    """Left, top, right and bottom of the whole pixels that may see the person."""
    pixels = camera.project(vertices[None])[0][0]
    low, high = pixels.amin(0).floor().long() - 1, pixels.amax(0).ceil().long() + 1
    size = torch.tensor(camera.size[::-1])
    return *low.clamp(min=0).minimum(size).tolist(), *high.clamp(min=0).minimum(size).tolist()


def shaded(lit: Lit, camera: Camera, fragments) -> torch.Tensor:
    """(N, 3) linear light that the covered samples send to the camera."""
    model, paint = lit.model, lit.model.paint
    face = fragments.face_id.view(-1)[fragments.pixels].long()
    weights = fragments.barycentric.flatten(0, 2)[fragments.pixels]
    corners = model.faces[face]
    place = weighted(lit.vertices, corners, weights)
    smooth = functional.normalize(weighted(lit.normals, corners, weights), dim=1)
    harmonics = weighted(lit.harmonics, corners, weights).view(-1, 4, 3)
    uv = weighted(model.uv, model.uv_faces[face], weights)
    layer = model.layer[face]
    towards = functional.normalize(camera.center - place, dim=1)
    # what is seen from behind, the inside of a sleeve, is lit on that side
    smooth = smooth * torch.where((lit.across[face] * towards).sum(1) < 0, -1.0, 1.0)[:, None]
    albedo, slope, gloss = paint.sampled(layer, uv, _detail(lit, camera, paint.size)[face])
    along = lit.slopes[face]
    normal = functional.normalize(smooth - slope[:, :1] * along[:, :3] - slope[:, 1:] * along[:, 3:], dim=1)
    return _reflected(lit, paint, layer, place, smooth, normal, towards, harmonics, albedo, gloss)


def _reflected(lit, paint, layer, place, smooth, normal, towards, harmonics, albedo, gloss):
    roughness, specular, sheen, wrap = paint.finish[layer].unbind(1)
    facing = (normal * towards).sum(1).clamp(min=1e-3)
    grazing = (1 - facing).pow(5)
    ambient = irradiance(harmonics, normal)
    # red goes furthest through skin
    spread = wrap[:, None] * torch.tensor([1.0, 0.45, 0.25])
    light = albedo * ambient * (1 + sheen * (1 - facing).pow(3))[:, None]
    fresnel = specular + (1 - specular) * grazing * (1 - roughness)
    light = light + (fresnel * 0.5 * gloss)[:, None] * ambient
    power = 2 / roughness.clamp(min=0.05).pow(4) - 2
    for lamp, shadows in zip(lit.lights.lamps, lit.shadows, strict=True):
        hard, soft, seen = lamp_light(lamp, shadows, place, smooth).unbind(1)
        direction = functional.normalize(lamp.points.mean(0) - place, dim=1)
        relief = ((normal * direction).sum(1) - (smooth * direction).sum(1)) * seen
        diffuse = torch.lerp(hard[:, None], soft[:, None], spread) + relief[:, None]
        half = functional.normalize(direction + towards, dim=1)
        lobe = (normal * half).sum(1).clamp(min=0).pow(power) * (power + 8) / 25
        shine = lobe * fresnel_at(specular, (half * towards).sum(1)) * hard * gloss
        velvet = sheen * (1 - facing).pow(3) * soft
        light = light + lamp.colour * (albedo * (diffuse.clamp(min=0) + velvet[:, None]) + shine[:, None])
    return light


def fresnel_at(specular: torch.Tensor, cosine: torch.Tensor) -> torch.Tensor:
    """Share of light that is mirrored at an angle (Schlick's approximation)."""
    return specular + (1 - specular) * (1 - cosine.clamp(0, 1)).pow(5)


def _on_faces(vertices, model):
    """Normals (F, 3) of the faces, and how u and v grow along each, (F, 6) per metre."""
    a, b, c = (vertices[model.faces[:, corner]] for corner in range(3))
    p, q, r = (model.uv[model.uv_faces[:, corner]] for corner in range(3))
    first, second = b - a, c - a
    across = torch.linalg.cross(first, second)
    area = across.square().sum(1, keepdim=True).clamp(min=1e-16)
    to_second, to_third = torch.linalg.cross(second, across) / area, torch.linalg.cross(across, first) / area
    slopes = [(q - p)[:, axis, None] * to_second + (r - p)[:, axis, None] * to_third for axis in range(2)]
    return across, torch.cat(slopes, 1)


def _detail(lit, camera, size):
    """(F,) level of the paint's pyramid whose texels are as large as the samples."""
    model = lit.model
    pixels, depth = camera.project(lit.vertices[None])
    a, b, c = (pixels[0, model.faces[:, corner]] for corner in range(3))
    p, q, r = (model.uv[model.uv_faces[:, corner]] * size for corner in range(3))
    seen, painted = _area(b - a, c - a), _area(q - p, r - p)
    return (0.5 * torch.log2(painted.clamp(min=1e-12) / seen.clamp(min=1e-3))).nan_to_num(0.0)


def _area(one, other):
    return (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]).abs()


# developing


def developed(light: torch.Tensor, exposure: torch.Tensor, random: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 of light (3, H, W): times an exposure (3,), highlights rolled off, with noise."""
    exposed = light * exposure[:, None, None]
    knee = 0.6
    shoulder = 1 - (1 - knee) * torch.exp(-(exposed - knee) / (1 - knee))
    rolled = torch.where(exposed > knee, shoulder, exposed)
    picture = encoded(rolled.clamp(0, 1)).permute(1, 2, 0).numpy()
    grain = random.normal(0, 1.1 / 255, picture.shape).astype(np.float32)
    return ((picture + grain).clip(0, 1) * 255 + 0.5).astype(np.uint8)
