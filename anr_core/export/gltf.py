"""A run's person as binary glTF 2.0: a mesh under its unwrapped texture, for whatever opens that.

    mesh       the body's rest shape, its joints as nodes (rig.py), joints a vertex in sets (influences.py)
    texture    the static one, shown as it is: the light was filmed with it
    motion     an animation of 30 keys a second, with morph targets for what four joints a vertex leave of it
               (corrections.py): it is right in every engine
    shapes     morph targets (morphs.py)

The person stands above the origin with the soles at height zero, in the A-pose, and there a motion begins.
A body that is one mesh a frame has no joints that anybody knows: that of the first trained frame is written,
upright above the origin.

glTF 2.0: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image
from torch.nn import functional

from anr_core.avatars.run import Run, check_surface, write_atomically
from anr_core.avatars.static import StaticTexture
from anr_core.body import Pose
from anr_core.capture.posing import make_body
from anr_core.export.container import INDICES, VERTICES, Container
from anr_core.export.corners import Corners
from anr_core.export.corrections import corrections
from anr_core.export.handing import CONSENT, Wishes, notice
from anr_core.export.influences import MOST, skin_of, told_of_sets
from anr_core.export.morphs import clothes_target, shape_targets
from anr_core.export.rig import GLTF_FROM_BODY, KEYS, animate, hang
from anr_core.export.staging import driven
from anr_core.motion import read_motion
from anr_core.rasterizer import vertex_normals

LINEAR, MIPMAPS, CLAMPED = 9729, 9987, 33071  # of a sampler


def check(run: Run, wishes: Wishes) -> None:
    """Raise ValueError for a run that has no mesh to hand on, and for wishes that it can't fulfil."""
    if run.paired:
        raise ValueError(f"{run.path} was trained on pairs of pictures and has no body, so there is no mesh "
                         "to write as .glb.")
    if wishes.sampled or wishes.size is not None:
        raise ValueError("A .glb holds a mesh, and neither networks nor drawn pictures: leave out --sampled "
                         "and --size.")
    static, _ = run.static()
    if run.body is not None:
        if run.body["model"] != "anny":
            raise ValueError(f"{run.path} is of a body of {run.body['model'].upper()}, whose licence doesn't "
                             "let the model's shape and weights be passed on, as a .glb would. Fit Anny: "
                             "python -m anr_core fit CAPTURE, then train again.")
        if not torch.equal(make_body(run.body).surface.faces, static.surface.faces):
            raise ValueError(f"{run.path / 'static.safetensors'} holds other triangles than the body in "
                             "config.json. Put the run's own file back, or train again.")
        return
    capture = run.capture()
    if capture.body is None:
        raise ValueError(f"{capture.path} has no body, so there is no mesh to write as .glb. Fit one: python "
                         "-m anr_core fit CAPTURE, then train again.")
    check_surface(capture, static.surface)
    if wishes.motion is not None or wishes.shapes:
        raise ValueError(f"{capture.path} has one registered mesh a frame, which can neither be moved nor "
                         "shaped; without --motion and --shapes one of them is written. For more, fit Anny: "
                         "python -m anr_core fit CAPTURE --to meshes, then train again.")


@torch.no_grad()
def write(run: Run, out: Path, wishes: Wishes) -> list[str]:
    """Write the file; returns what is to be known of it."""
    static, _ = run.static()
    glb, corners = Container(), Corners(static)
    glb.tree |= {"asset": {"version": "2.0", "generator": "anr_core", "copyright": notice(run),
                           "extras": {"licence": run.licence, "consent": CONSENT}},
                 "scene": 0, "scenes": [{"nodes": [0]}],
                 "nodes": [{"name": run.person or "person", "mesh": 0}]}
    notes = _one_mesh(glb, run, corners) if run.body is None else _skinned(glb, run, corners, wishes)
    _add_texture(glb, static)
    content = glb.content()
    write_atomically(out, content)
    learned = "" if run.config.system == "static" else f", not what {run.config.system} learned"
    return [*notes, f"texture: {static.size[1]} texels a side, of the training pictures{learned}"]


def _skinned(glb: Container, run: Run, corners: Corners, wishes: Wishes) -> list[str]:
    body, poses, notes = make_body(run.body), None, []
    if wishes.motion is not None:
        motion = read_motion(wishes.motion)
        poses = driven(body, motion, body.rest_pose(), torch.tensor([0.0, 0, 1]), KEYS, 0, wishes.up)
        notes.append(f"motion: {motion}; {len(poses)} keys, {KEYS} a second, from above the origin")
    lift = torch.zeros(3)
    lift[2] = -body.rest_vertices[0, :, 2].min()  # for who reads no skin: it stands on the floor all the same
    skin = skin_of(body, poses)
    sets = {}
    for number, (joints, shares) in enumerate(zip(skin.joints.split(MOST, 1), skin.weights.split(MOST, 1),
                                                  strict=True)):
        sets |= {f"JOINTS_{number}": joints.byte(), f"WEIGHTS_{number}": shares}
    _add_mesh(glb, corners, (body.rest_vertices[0] + lift) @ GLTF_FROM_BODY.T, body.surface.faces, sets)
    hang(glb, body, skin.twins, lift)
    targets, resting, weights = {}, torch.zeros(0), torch.zeros(0, 0)
    if poses is None:
        notes.append(told_of_sets(body, skin))
    else:
        missing = corrections(body, skin, poses)
        targets, resting, weights = missing.targets, missing.resting, missing.weights
        notes.append(missing.told(body, skin, poses))
    if wishes.shapes:
        shapes, note = shape_targets(body, skin)
        if (clothes := clothes_target(run, body)) is not None:
            shapes["clothes"] = clothes
        notes.append(note)
        targets = shapes | targets
        resting, weights = (functional.pad(each, (len(shapes), 0)) for each in (resting, weights))
    if targets:
        _add_targets(glb, corners, targets, resting)
    if poses is not None:
        animate(glb, poses, Path(wishes.motion).stem, weights)
        if wishes.shapes:
            notes.append("shapes: while the motion plays it holds their weights at 0; set them after each of "
                         "its frames")
    return notes


def _one_mesh(glb: Container, run: Run, corners: Corners) -> list[str]:
    body, frame = run.capture().body, min(frame for _, frame in run.trained)
    upright = trimesh.geometry.align_vectors(np.array(run.up, np.float64), [0, 1, 0])[:3, :3]
    vertices = body(Pose.of_frame(torch.tensor([frame]))).vertices[0] @ torch.from_numpy(upright).float().T
    low, high = vertices.aminmax(dim=0)
    below = torch.stack([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    _add_mesh(glb, corners, vertices - below, body.surface.faces, {})
    return [f"mesh: the registered one of frame {frame}, without joints, which nobody knows. For one that "
            "moves, fit Anny: python -m anr_core fit CAPTURE --to meshes, then train again"]


def _add_mesh(glb: Container, corners: Corners, vertices: torch.Tensor, faces: torch.Tensor,
              further: dict[str, torch.Tensor]) -> None:
    """A mesh of vertices (V, 3), in glTF's axes, with further attributes of them."""
    of_vertices = {"POSITION": vertices, "NORMAL": vertex_normals(vertices[None], faces)[0], **further}
    attributes = {name: values[corners.vertex] for name, values in of_vertices.items()}
    attributes["TEXCOORD_0"] = corners.uv
    # 65535 would end a strip
    of_few = np.uint16 if len(corners.vertex) < 65535 else np.uint32
    indices = corners.triangles.flatten().numpy().astype(of_few)
    glb.tree["meshes"] = [{"name": "person", "primitives": [{
        "attributes": {name: glb.array(values.numpy(), VERTICES, bounds=name == "POSITION")
                       for name, values in attributes.items()},
        "indices": glb.array(indices, INDICES), "material": 0}]}]


def _add_targets(glb: Container, corners: Corners, targets: dict[str, torch.Tensor],
                 weights: torch.Tensor) -> None:
    """Morph targets by name, (V, 3) that they add in the body's axes, and how much they do so (K,)."""
    mesh = glb.tree["meshes"][0]
    mesh["primitives"][0]["targets"] = [
        {"POSITION": glb.sparse((moved @ GLTF_FROM_BODY.T)[corners.vertex].numpy())}
        for moved in targets.values()]
    mesh |= {"weights": weights.tolist(), "extras": {"targetNames": list(targets)}}


def _add_texture(glb: Container, static: StaticTexture) -> None:
    """The texture, and a material that shows it: as it is, or matt where a reader knows only lit ones."""
    atlas = (255 * static.pictures()["atlas"]).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(atlas).save(file, "png", optimize=True)
    glb.tree |= {
        "images": [{"name": "texture", "mimeType": "image/png", "bufferView": glb.view(file.getvalue())}],
        "samplers": [{"magFilter": LINEAR, "minFilter": MIPMAPS, "wrapS": CLAMPED, "wrapT": CLAMPED}],
        "textures": [{"source": 0, "sampler": 0}],
        "materials": [{"name": "person", "extensions": {"KHR_materials_unlit": {}}, "pbrMetallicRoughness": {
            "baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 1.0}}],
        "extensionsUsed": ["KHR_materials_unlit"]}
