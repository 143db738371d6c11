"""The surface of a volume as a mesh: marching cubes around the posed body, coloured by what the field shows.

    density on a lattice around the body -> a surface -> without floaters and cavities -> a colour a vertex

Colours are the field's in the frame's latent, looking along each vertex's inward normal. PLY holds world
metres. GLB too, under a node that stands it upright (glTF's Y is up), and linear colours, as glTF has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from scipy import sparse

from anr_core.avatars import Scene
from anr_core.avatars.hull import hull_of
from anr_core.avatars.neural_body import NeuralBody
from anr_core.avatars.run import Run, check_surface, write_atomically, writing
from anr_core.body import Body, Posed
from anr_core.camera import Camera
from anr_core.capture import Capture, View
from anr_core.evaluation.surfaces import nearness, outer_samples
from anr_core.export.volumes import limit_memory
from anr_core.prepare.studio.annotations import read_surface
from anr_core.rasterizer import vertex_normals
from anr_core.volume import MARGIN, isosurface

KINDS = (".ply", ".glb")
VOXEL = 0.005  # metres between points of the lattice, as published
LIMB = 0.05  # metres, the radius of a limb
SMALL = 0.01  # a piece of less than so much of the largest one's area is a floater


@dataclass(frozen=True)
class Extracted:
    """A mesh, counterclockwise from outside, and what was done to get it.

    vertices   (V, 3) metres, world     faces  (F, 3)      colours  (V, 3) in [0, 1], sRGB
    threshold  density at the surface, a metre
    floaters   pieces that were left out, and cavities, which are surfaces that enclose nothing dense
    up         (3,) the world's unit vector against gravity
    """

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    threshold: float
    floaters: int
    cavities: int
    up: torch.Tensor


def grazed(voxel: float) -> float:
    """The density, a metre, at which a ray that grazes a limb half a voxel deep loses half of its light.

    Outlines teach a volume where it ends, and there a ray is seen as stopped once half of it is. Half a voxel
    below the surface of a limb it runs sqrt(8 LIMB voxel / 2) within: 4.5 cm where a voxel has 1 cm.
    """
    return math.log(2) / (2 * math.sqrt(LIMB * voxel))


@torch.no_grad()
def extract(avatar: NeuralBody, posed: Posed, frame: int, voxel: float = VOXEL,
            threshold: float | None = None, hull: Callable | None = None) -> Extracted:
    """The surface of an avatar in a pose (a batch of one), in the colours of a frame.

    voxel      of the lattice, metres
    threshold  density at the surface, a metre; None for what `grazed` says of the field's own voxels, finer
               than which nothing is known
    hull       what says where something can be at all, see avatars/hull.py

    Raises ValueError where the lattice would take more memory than `avatar.memory`, and for no surface.
    """
    threshold = grazed(avatar.config.voxel) if threshold is None else threshold
    before, avatar.hull = avatar.hull, hull
    try:
        tracer = avatar.tracer(Scene(posed, None, (1, 1), frame=torch.tensor([frame])))
        corners = posed.vertices[0].aminmax(dim=0)
        vertices, faces = isosurface(lambda points: tracer.density(points[None])[0],
                                     corners.min - MARGIN, corners.max + MARGIN, voxel, threshold,
                                     avatar.memory)
        vertices, faces, floaters, cavities = whole(vertices, faces)
        points = torch.from_numpy(vertices).to(posed.vertices)
        normals = vertex_normals(points[None], torch.from_numpy(faces).to(points.device))[0]
        # from a voxel before the surface to four behind it
        along = avatar.config.voxel * torch.linspace(-1, 4, 6, device=points.device)
        colours = tracer.facing(points, normals, along).cpu().numpy()
    finally:
        avatar.hull = before
    return Extracted(vertices, faces, colours, threshold, floaters, cavities, avatar.up)


def whole(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int]:
    """The pieces of a mesh that are no floaters and no cavities, and how many of each were left out.

    A cavity's faces point inwards: marching cubes turn them to what is less dense.
    """
    pairs = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = sparse.coo_matrix((np.ones(len(pairs)), tuple(pairs.T)), (len(vertices), len(vertices)))
    count, piece = sparse.csgraph.connected_components(graph, directed=False)
    piece = piece[faces[:, 0]]
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    area = np.bincount(piece, np.linalg.norm(np.cross(b - a, c - a), axis=1), count)
    hollow = np.bincount(piece, (a * np.cross(b, c)).sum(1), count) < 0
    small = ~hollow & (area < SMALL * area[~hollow].max(initial=0))
    kept = faces[~(hollow | small)[piece]]
    used, rows = np.unique(kept, return_inverse=True)
    return vertices[used], rows.reshape(-1, 3), int(small.sum()), int(hollow.sum())


# the command


def mesh_of(run: Run, capture: Capture | None = None, frame: int | None = None, voxel: float = VOXEL,
            threshold: float | None = None, hull: bool = False,
            memory: float | None = None) -> tuple[Extracted, list[str]]:
    """The mesh of a run's avatar in a frame, and lines that say what was found.

    capture  another one of the same body; None for the run's own, whose poses are as the run corrected them
    frame    of the capture; None for the first that was trained
    hull     nothing is where a training camera sees background at that frame

    Raises ValueError for a run of another system, and a frame that there is not.
    """
    if run.config.system != "neural-body":
        raise ValueError(f"{run.path} is a run of {run.config.system}, which draws on a body's mesh and has "
                         "no surface of its own; that mesh is in its capture. Train one that has: python -m "
                         "anr_core train CAPTURE RUN --system neural-body")
    avatar, own = run.avatar(), capture is None
    capture = capture or run.capture()
    check_surface(capture, avatar.surface)
    limit_memory(avatar, memory)
    frames = sorted({shot.frame for shot in capture.shots})
    trained = [number for number in sorted({number for _, number in run.trained}) if number in frames]
    frame = (trained if own else frames)[0] if frame is None else frame
    if frame not in frames:
        raise ValueError(f"{capture.path} has no frame {frame}; its frames go from {frames[0]} to "
                         f"{frames[-1]}.")
    view = capture.views(frames=[frame])[0]
    naked = capture.body(view.pose).on(avatar.surface)
    posed = avatar.placed(view, capture.body)[1] if own and avatar.refinement is not None else naked
    bodies = {"naked body": naked} | ({} if posed is naked else {"corrected": posed})
    inside = hull_of(capture, frame, {camera for camera, _ in run.trained},
                     lambda view: seen_by(avatar, view, capture.body)) if hull else None
    avatar.to("cuda" if torch.cuda.is_available() else "cpu")
    posed = posed.on(avatar.surface)
    made = extract(avatar, posed, frame, voxel, threshold, inside)
    notes = [f"frame {frame}: vertices {len(made.vertices)}, faces {len(made.faces)}, where the density is "
             f"{made.threshold:.3g} a metre"]
    if made.floaters or made.cavities:
        notes.append(f"left out: floaters {made.floaters} (less than {100 * SMALL:g} % of the largest "
                     f"piece's area), cavities {made.cavities}")
    return made, notes + compared(made, bodies, capture, frame)


def seen_by(avatar: NeuralBody, view: View, body: Body) -> Camera:
    """A view's camera as the avatar was trained to see through it."""
    view, posed = avatar.placed(view, body)
    return avatar.projected(view.camera, posed)


def compared(made: Extracted, bodies: dict[str, Posed], capture: Capture, frame: int) -> list[str]:
    """Lines that tell how near the mesh is to the true surface, and bodies by name; none without a truth."""
    truth = read_surface(capture.path, frame)
    if truth is None:
        return []
    true = outer_samples(*truth)
    lines = ["to the true clothed surface, seen from outside: mean distance both ways, there, back (mm); "
             "cosine of normals"]
    meshes = {"mesh": (made.vertices, made.faces)} | {
        name: (body.vertices[0].cpu().numpy(), body.surface.faces.cpu().numpy())
        for name, body in bodies.items()}
    for name, (vertices, faces) in meshes.items():
        near = nearness(outer_samples(vertices, faces), true)
        lines.append(f"{name:>10}  {near.chamfer:6.2f}  {near.to:6.2f}  {near.back:6.2f}  {near.normals:.3f}")
    itself = nearness(outer_samples(*truth, seed=1), true)
    return [*lines, f"{'itself':>10}  {itself.chamfer:6.2f}  {itself.to:6.2f}  {itself.back:6.2f}  "
                    f"{itself.normals:.3f}"]


def check_mesh_name(out: Path) -> None:
    """Raise ValueError for a name that is neither of a mesh, nor of a video or a picture of one."""
    if out.suffix.lower() not in (*KINDS, ".mp4", ".jpg", ".png"):
        raise ValueError(f"{out} is no name of a mesh; write one in .ply or .glb, or in .mp4, .jpg or .png "
                         "to look at it.")


def write_mesh(out: Path, made: Extracted) -> None:
    """Write a mesh with its colours as PLY or GLB."""
    content = _glb(made) if out.suffix.lower() == ".glb" else _mesh(made, made.colours).export(
        file_type="ply", vertex_normal=False)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, content)


def _mesh(made, colours):
    return trimesh.Trimesh(made.vertices, made.faces, process=False,
                           vertex_colors=(255 * colours).round().clip(0, 255).astype(np.uint8))


def _glb(made):
    linear = np.where(made.colours <= 0.04045, made.colours / 12.92, ((made.colours + 0.055) / 1.055) ** 2.4)
    upright = trimesh.geometry.align_vectors(made.up.double().cpu().numpy(), [0, 1, 0])
    scene = trimesh.Scene()
    scene.add_geometry(_mesh(made, linear), node_name="person", geom_name="person", transform=upright)

    def matt(tree):  # without a material a viewer takes it to be metal, which is black in an empty room
        tree["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}]
        for mesh in tree["meshes"]:
            for primitive in mesh["primitives"]:
                primitive["material"] = 0

    return trimesh.exchange.gltf.export_glb(scene, tree_postprocessor=matt)
