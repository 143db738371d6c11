"""One chart a part: texture coordinates in which each of a body's parts fills a square of its own.

An atlas has a part in several islands, between which coordinates jump; a network can't tell where. Here each
half of Anny's limbs, torso and head is unrolled around the axis of the whole, and hands and feet, which have
no halves, are opened like a book: palm and back, seen along their thinnest side, lie beside each other.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from anr_core.body import Surface
from anr_core.body.anny import PARTS, baked
from anr_core.body.atlas import is_anny

EDGE = 0.03  # of a chart, left free on every side: what is sampled there blends with nothing
# How far behind the middle of a limb's cross-section the axis is that its front is unrolled around, standard
# deviations: between the legs the torso's front reaches behind the middle.
BEHIND = 1.0
WAY = (0.58, 0.53, -0.62)  # square to none of the parts' axes: see `_axes`
HALVES = ("front", "back", "inner", "outer", "left", "right")
UPRIGHT = ("torso", "head")  # unrolled about the vertical


def charted(surface: Surface) -> Surface:
    """The surface with a chart a part, by `part`; any other than Anny's keeps the coordinates that it has."""
    if not is_anny(surface):
        return surface
    vertices, faces = baked()["mean_vertices"].float().T.contiguous(), baked()["faces"].long()
    uv, uv_faces = torch.zeros(0, 2), torch.zeros_like(faces)
    part = baked()["part"].long()
    for number, name in enumerate(PARTS, 1):
        mine = part == number
        if _limb(name) == name:  # no halves
            corners, places = _book(vertices, faces[mine])
        else:
            used, corners = faces[mine].unique(return_inverse=True)
            whole = torch.isin(part, torch.tensor(_whole(number)))
            places = _unrolled(vertices[used], vertices[faces[whole].unique()], name)
        uv_faces[mine] = corners + len(uv)
        uv = torch.cat([uv, _filled(places)])
    device = surface.faces.device
    return replace(surface, uv=uv.to(device), uv_faces=uv_faces.to(device))


def _limb(name):
    words = name.split("_")
    return "_".join(words[:-1]) if words[-1] in HALVES and len(words) > 1 else name


def _whole(number):
    """The numbers of the parts that are halves of the same limb."""
    return [other for other, name in enumerate(PARTS, 1) if _limb(name) == _limb(PARTS[number - 1])]


def _book(vertices, faces):
    """(F, 3) and (n, 2): triangles of a part and places of their corners, either side of it on a page."""
    points = vertices[faces.unique()]
    middle = (points.amax(0) + points.amin(0)) / 2
    thin, wide, long = _axes(points - middle).unbind(1)
    a, b, c = vertices[faces].unbind(1)
    back = torch.linalg.cross(b - a, c - a) @ thin > 0
    edge = ((points - middle) @ wide).min()
    corners, places = torch.zeros_like(faces), vertices.new_zeros(0, 2)
    for page, side in ((back, 1.0), (~back, -1.0)):
        used, corners_of_page = faces[page].unique(return_inverse=True)
        corners[page] = corners_of_page + len(places)
        here = vertices[used] - middle
        places = torch.cat([places, torch.stack([side * (here @ wide - edge), here @ long], 1)])
    return corners, places


def _unrolled(points, around, name):
    """(n, 2) places of a half's points (n, 3), around the axis of the whole's points (m, 3)."""
    middle = (around.amax(0) + around.amin(0)) / 2
    axis = torch.tensor([0.0, 0, 1]) if _limb(name) in UPRIGHT else _axes(around - middle)[:, 2]
    outward = (points - middle).mean(0)
    outward = torch.nn.functional.normalize(outward - outward @ axis * axis, dim=0)
    across = torch.linalg.cross(axis, outward)
    flat = [(points - middle) @ way / ((around - middle) @ way).square().mean().sqrt()
            for way in (across, outward)]
    return torch.stack([torch.atan2(flat[0], flat[1] + BEHIND), (points - middle) @ axis], 1)


def _axes(points):
    """(3, 3) the directions in which points (n, 3) spread least to most, as columns, each looking one way.

    Which of its two ways an eigenvector looks is another on another machine, and charts are not saved.
    """
    axes = torch.linalg.eigh((points.T @ points).double()).eigenvectors.float()
    towards = torch.tensor(WAY) @ axes
    return axes * torch.where(towards < 0, -1.0, 1.0)


def _filled(places):
    low, high = places.aminmax(dim=0)
    return EDGE + (1 - 2 * EDGE) * (places - low) / (high - low)
