"""A model file in the exact structure of SMPL, SMPL-H or SMPL-X that holds a real human shape: Anny's.

    write_smpl_model(folder, "smpl")        folder/SMPL_NEUTRAL.npz, 6890 vertices

The mesh is Anny's in SMPL's T-pose and axes, made coarser; the tree, the numbers of vertices and joints and
the vertices that keypoints are picked from are the published ones. Shapes are the principal components of
Anny's random people. Pelvis and hips are where SMPL has them, the hips lower and further in than Anny's.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import roma
import torch
from scipy.sparse import csr_array, vstack

from anr_core import skeleton
from anr_core.body import Pose
from anr_core.body.anny import AnnyBody, baked, rest_from_shape
from anr_core.body.smpl import SKELETONS, VERTICES
from anr_core.skeleton import ANNY, COCO23, joints_for_anny

PEOPLE = 60
SMPL_FROM_ANNY = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
PICKED = {"smpl": "smplh", "smplh": "smplh", "smplx": "smplx"}


def write_smpl_model(folder: Path, model_type: str = "smpl", variant: str = "neutral") -> Path:
    """Write the model's file as smplx looks for it; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{model_type}_{variant}".upper()
    np.savez(file.with_suffix(".npz"), **smpl_model(model_type))
    return file.with_suffix(".npz")


@lru_cache(maxsize=3)
def smpl_model(model_type: str) -> dict[str, np.ndarray]:
    """The arrays of a model file."""
    vertices, joints, keypoints = _people_in_t_pose()
    body, tree = AnnyBody(), SKELETONS[model_type]
    vertices, faces, merged = _coarser(vertices, body.surface.faces.numpy(), VERTICES[model_type])
    weights = _weights(tree, merged)
    places = _joints(tree, joints, keypoints)
    anatomy = dict(zip(COCO23.names, keypoints[0], strict=True))
    order = _order(vertices[0], model_type, anatomy)
    vertices, weights = vertices[:, order], weights[order]
    faces = np.argsort(order)[faces]
    mean, components = _components(vertices)
    random = np.random.default_rng(1)
    bending = 0.01 * random.normal(size=(len(tree) - 1, 9, 3))  # metres: up to a centimetre in a right angle
    posedirs = np.einsum("vj,jkx->vxjk", weights[:, 1:], bending).reshape(len(weights), 3, -1)
    parents = np.array(tree.parents)
    shapes = np.zeros((len(mean), 3, 20 if model_type == "smplx" else 10))  # the last 10 are expressions
    shapes[..., :10] = components
    return {"v_template": mean, "shapedirs": shapes, "posedirs": posedirs,
            "J_regressor": np.stack([_regressor(vertices, places[:, joint]) for joint in range(len(tree))]),
            "weights": weights, "f": faces.astype(np.uint32),
            "kintree_table": np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(len(tree))])}


@torch.no_grad()
def _people_in_t_pose():
    """Vertices, joints and COCO23's keypoints of Anny's random people (n, N, 3), the average one first."""
    random = torch.Generator().manual_seed(0)
    phenotypes = torch.rand(PEOPLE, 11, generator=random)
    phenotypes[:, 1] = 0.45 + 0.5 * phenotypes[:, 1]  # grown up
    phenotypes[0] = torch.tensor([0.5, 0.7] + [0.5] * 9)
    body = AnnyBody()
    rotations = torch.zeros(PEOPLE, len(ANNY) - 1, 3)
    joints = body(body.rest_pose()).joints[0]
    for side, out in (("left", 1.0), ("right", -1.0)):
        turns = torch.eye(3)
        for bone in (("shoulder", "elbow"), ("elbow", "wrist")):
            ends = [joints[ANNY.names.index(f"{side}_{name}")] for name in bone]
            way = turns @ torch.nn.functional.normalize(ends[1] - ends[0], dim=0)
            aim = torch.tensor([out, 0.0, 0.0])
            axis = torch.nn.functional.normalize(torch.linalg.cross(way, aim), dim=0)
            more = roma.rotvec_to_rotmat(axis * torch.acos(way @ aim))
            rotations[:, ANNY.names.index(f"{side}_{bone[0]}") - 1] = roma.rotmat_to_rotvec(
                turns.T @ more @ turns)
            turns = more @ turns
    zeros = torch.zeros(PEOPLE, 3)
    posed = body.posed(rest_from_shape(phenotypes), Pose(rotations, zeros, zeros))
    found = posed.vertices, posed.joints, body.keypoints(posed, "coco23")
    return tuple(points.double().numpy() @ SMPL_FROM_ANNY.T for points in found)


def _coarser(vertices, faces, count):
    """Vertices, which fall into the same cube of the first person, become one; then faces are split until
    there are `count`. Also (V, V') the shares of the old vertices in the new ones."""
    low, high = 0.003, 0.05
    for _ in range(20):
        side = (low + high) / 2
        cubes = np.unique(np.floor(vertices[0] / side).astype(int), axis=0, return_inverse=True)[1].ravel()
        low, high = (low, side) if cubes.max() + 1 < count else (side, high)
    cubes = np.unique(np.floor(vertices[0] / high).astype(int), axis=0, return_inverse=True)[1].ravel()
    shares = csr_array((1 / np.bincount(cubes)[cubes], (cubes, np.arange(len(cubes)))))
    corners = cubes[faces]
    corners = corners[(corners != np.roll(corners, 1, 1)).all(1)]
    split = corners[:count - shares.shape[0]]
    shares = vstack([shares, (shares[split[:, 0]] + shares[split[:, 1]] + shares[split[:, 2]]) / 3]).tocsr()
    new = np.arange(count - len(split), count)
    corners = np.concatenate([corners[len(split):], *(
        np.stack([split[:, one], split[:, (one + 1) % 3], new], 1) for one in range(3))])
    return np.stack([shares @ person for person in vertices]), corners, shares


def _weights(tree, shares):
    arrays = baked()
    starts = torch.cat([arrays["skin_start"], torch.tensor([len(arrays["skin_joints"])])])
    vertex = np.arange(shares.shape[1]).repeat(starts.diff().numpy())
    mine = np.array(joints_for_anny(tree))[arrays["skin_joints"].numpy()]
    weights = np.zeros((shares.shape[1], len(tree)))
    np.add.at(weights, (vertex, mine), arrays["skin_weights"].numpy())
    weights = shares @ weights
    least = np.argsort(weights, 1)[:, :-4]
    weights[np.arange(len(weights))[:, None], least] = 0  # four a vertex, as published
    return weights / weights.sum(1, keepdims=True)


def _joints(tree, joints, keypoints):
    """(n, J, 3) where the joints of people rest."""
    of = dict(zip(ANNY.names, np.moveaxis(joints, 1, 0), strict=True))
    seen = dict(zip(COCO23.names, np.moveaxis(keypoints, 1, 0), strict=True))
    middle = (of["left_hip"] + of["right_hip"]) / 2
    up = of["neck"] - middle
    own = {"pelvis": middle + 0.045 * up, "jaw": (of["head"] + seen["nose"]) / 2}
    for side in ("left", "right"):
        own[f"{side}_hip"] = middle + 0.54 * (of[f"{side}_hip"] - middle) - 0.108 * up
        own[f"{side}_foot"] = (of[f"{side}_big_toe1"] + of[f"{side}_small_toe1"]) / 2
        own[f"{side}_hand"] = of[f"{side}_middle1"]
    return np.stack([own.get(name, of.get(name)) for name in tree.names], 1)


def _order(vertices, model_type, anatomy):
    """(V,) which vertex comes where, so that picked ones have their published numbers."""
    from smplx.vertex_ids import vertex_ids

    order = np.arange(len(vertices))
    for name, short in skeleton.SMPL_PICKED.items():
        here = np.linalg.norm(vertices - anatomy[name], axis=1)[order].argmin()
        there = vertex_ids[PICKED[model_type]][short]
        order[[here, there]] = order[[there, here]]
    return order


def _components(vertices):
    """The first person, and ten directions (V, 3, 10) in which people differ by one standard deviation."""
    off = (vertices - vertices.mean(0)).reshape(PEOPLE, -1)
    values, vectors = np.linalg.eigh(off @ off.T)
    largest = np.argsort(values)[::-1][:10]
    return vertices.mean(0), (off.T @ vectors[:, largest] / PEOPLE**0.5).reshape(-1, 3, 10)


def _regressor(vertices, joint):
    """(V,) shares of vertices around that give a joint of all people (n, 3)."""
    near = np.linalg.norm(vertices[0] - joint[0], axis=1).argsort()[:80]
    system = vertices[:, near].transpose(0, 2, 1).reshape(-1, 80)
    even = 0.02 * np.eye(80)  # shares are about even, and their sum is 1
    system = np.concatenate([system, 10 * np.ones((1, 80)), even])
    wanted = np.concatenate([joint.ravel(), [10], np.full(80, 0.02 / 80)])
    row = np.zeros(vertices.shape[1])
    row[near] = np.linalg.lstsq(system, wanted, rcond=None)[0]
    return row / row.sum()
