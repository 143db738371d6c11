"""Outlines of the mesh against outlines of masks: which point of the one belongs to which of the other.

Every few steps the mesh is drawn, and each point of a mask's outline finds the nearest of the mesh's outline
that leads out the same way, and the other way round. Until the next time such a pair pulls one vertex along
the normal: a hundredth of the time that a whole mesh takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from anr_core.camera import Camera
from anr_core.prepare.fitting.energy import robust
from anr_core.prepare.fitting.observations import Observations, Outline, outline_of
from anr_core.prepare.fitting.puppet import Motion, Puppet
from anr_core.rasterizer import NEAR, rasterize

# As parts of the person's extent: what outlines err by (clothes), how far partners may be, and how far apart
# a right angle between their normals counts.
OUTLINE_ERROR, REACH, RIGHT_ANGLE = 0.010, 0.08, 0.05

EVIDENCE = 45.0  # how many independent observations an outline is worth, from either side
DRAWN = 256  # pixels of the person's extent in the drawn picture


@dataclass(frozen=True)
class Pairs:
    """N pairs in each of V pictures: a vertex of the picture's mesh, and the line that it should move to.

    view         (V,)       the picture
    basis, mean  (K, 3, U) and (3, U): where the vertices, each once, are in no pose, linear in coefficients
    which        (V, N)     of those the pair's
    bend         (V, N, 3)  what the pose adds to it, though it is about to change a little
    follows      (V, N, J)  how much it follows each joint
    normal       (V, N, 2)  along which it moves, unit
    target       (V, N)     what normal . pixel should be
    weight       (V, N)     0 where the picture has fewer
    """

    view: torch.Tensor
    basis: torch.Tensor
    mean: torch.Tensor
    which: torch.Tensor
    bend: torch.Tensor
    follows: torch.Tensor
    normal: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor

    def rest(self, coefficients: torch.Tensor) -> torch.Tensor:
        """(V, N, 3) where the vertices of coefficients (K,) are before they are carried."""
        return (self.mean + torch.tensordot(coefficients, self.basis, 1)).T[self.which] + self.bend

    def shift(self, coefficients: torch.Tensor) -> torch.Tensor:
        """(B, V, N, 3) by how much coefficients (B, K) shift the vertices before they are carried."""
        return torch.tensordot(coefficients, self.basis, 1).mT[:, self.which]


def silhouette_cost(puppet: Puppet, seen: Observations, pairs: Pairs, carry: torch.Tensor,
                    rest: torch.Tensor, cameras: Camera) -> torch.Tensor:
    """Of vertices that lie off their lines; rest (V, N, 3) are they before they are carried."""
    camera = seen.camera[pairs.view]
    vertices = puppet.vertices_at(carry, seen.moment[pairs.view], rest, pairs.follows)
    pixels, _ = cameras[camera].project(vertices)
    off = (pixels * pairs.normal).sum(-1) - pairs.target
    spread = (OUTLINE_ERROR * seen.extent)[camera][:, None]
    return (pairs.weight * robust((off / spread).square(), 2.0)).sum()


@torch.no_grad()
def paired(puppet: Puppet, seen: Observations, motion: Motion, cameras: Camera) -> Pairs | None:
    """Which vertex of each picture's mesh belongs to which point of its mask's outline, as things are now;
    None where none does."""
    body, faces = puppet.person(puppet.shape(motion.build)), puppet.body.surface.faces
    found = []
    for view, outline in enumerate(seen.outlines):
        if outline is None:
            continue
        row, camera = int(seen.moment[view]), cameras[int(seen.camera[view])]
        extent = float(seen.extent[seen.camera[view]])
        vertices = body(puppet.pose(motion[row:row + 1])).vertices
        rim = drawn_outline(vertices, faces, camera, DRAWN / extent)
        if rim is None:
            continue
        pairs = _partners(outline, *rim, camera.project(vertices)[0][0], extent)
        if len(pairs[0]):  # else the outlines are far from each other
            found.append((torch.tensor(view), *pairs))
    if not found:
        return None
    view, *columns = zip(*found, strict=True)
    vertex, normal, target, weight = (pad_sequence(column, batch_first=True) for column in columns)
    view, (single, which) = torch.stack(view), vertex.unique(return_inverse=True)
    return Pairs(view, *puppet.resting(single), which, puppet.bends(motion, seen.moment[view], vertex),
                 puppet.weights[vertex], normal, target, weight)


def drawn_outline(vertices: torch.Tensor, faces: torch.Tensor, camera: Camera, scale: float
                  ) -> tuple[Outline, torch.Tensor] | None:
    """The outline of a mesh (1, V, 3), drawn at a scale, in the camera's pixels, and the vertex (N,) at each
    of its points; None where the camera doesn't see the mesh."""
    pixels, depth = camera.project(vertices)
    if not bool((depth > NEAR).all()):
        return None
    low, high = pixels[0].amin(0) - 2 / scale, pixels[0].amax(0) + 2 / scale
    width, height = (high - low).tolist()
    size = max(1, round(height * scale)), max(1, round(width * scale))
    if max(size) > 4 * DRAWN:  # far out of proportion: the fit has gone astray here
        return None
    drawn = rasterize(vertices, faces, camera.crop(*low.tolist(), width, height).resize(size), size)
    face_id = drawn.face_id[0]
    outline = outline_of((face_id >= 0).numpy())
    if outline is None:
        return None
    column, row = (outline.points - 0.6 * outline.normals).long().unbind(1)
    row, column = row.clamp(0, size[0] - 1), column.clamp(0, size[1] - 1)
    face, corner = face_id[row, column].long(), drawn.barycentric[0, row, column].argmax(1)
    on_mesh = face >= 0
    vertex = faces[face, corner][on_mesh]
    stretch = torch.tensor([width / size[1], height / size[0]])
    return Outline(outline.points[on_mesh] * stretch + low, outline.normals[on_mesh]), vertex


def _partners(mask: Outline, rim: Outline, rim_vertex, pixels, extent):
    """Vertices (N,), normals (N, 2), targets (N,) and weights (N,) of pairs, both ways round."""
    apart = torch.cdist(mask.points, rim.points).square()
    apart = apart + (RIGHT_ANGLE * extent) ** 2 * torch.cdist(mask.normals, rim.normals).square() / 2
    to_rim, to_mask = apart.argmin(1), apart.argmin(0)
    mask_row = torch.cat([torch.arange(len(mask.points)), to_mask])
    rim_row = torch.cat([to_rim, torch.arange(len(rim.points))])
    weight = torch.cat([torch.full((len(mask.points),), EVIDENCE / len(mask.points)),
                        torch.full((len(rim.points),), EVIDENCE / len(rim.points))])
    near = apart[mask_row, rim_row] < (REACH * extent) ** 2
    mask_row, rim_row, weight = mask_row[near], rim_row[near], weight[near]
    normal, vertex = mask.normals[mask_row], rim_vertex[rim_row]
    target = mask.points[mask_row] - rim.points[rim_row] + pixels[vertex]
    return vertex, normal, (normal * target).sum(1), weight
