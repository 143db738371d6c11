"""Anny's joints as nodes of a glTF file, in the A-pose, and a motion of them as an animation.

glTF is in metres, +Y up, and who stands in it looks along +Z: Anny's axes become that by (x, y, z) ->
(x, z, -y). A node's frame is that of the joint in `AnnyBody.world_from_joint`, so its rotation is the pose's.
"""

from __future__ import annotations

import numpy as np
import roma
import torch

from anr_core.body import Pose
from anr_core.body.anny import AnnyBody
from anr_core.export.container import Container

GLTF_FROM_BODY = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
KEYS = 30  # a second


def hang(glb: Container, body: AnnyBody, twins: torch.Tensor, lift: torch.Tensor) -> None:
    """Add the joints' nodes, then their twins', with a skin that hangs the mesh of node 0 on them.

    twins  (T,) the joint that each twin is like
    lift   (3,) by which the mesh is moved from the body's rest shape, in the body's axes
    """
    nodes, names = glb.tree["nodes"], body.skeleton.names
    parents = [*body.skeleton.parents, *twins.tolist()]
    first = len(nodes)
    steps = body.rest_steps[0].clone()
    steps[0] = body.rest_pose().root_translation[0]
    for joint, step in enumerate((steps @ GLTF_FROM_BODY.T).tolist()):
        children = [first + child for child, parent in enumerate(parents) if parent == joint]
        nodes.append({"name": names[joint], "translation": step}
                     | ({"children": children} if children else {}))
    nodes += [{"name": f"{names[joint]}_twin"} for joint in twins.tolist()]
    turn, unlift = torch.eye(4), torch.eye(4)
    turn[:3, :3], unlift[:3, 3] = GLTF_FROM_BODY, -lift
    joint_from_rest = torch.cat([body.joint_from_rest[0], body.joint_from_rest[0, twins]])
    joint_from_mesh = turn @ joint_from_rest @ unlift @ turn.T
    glb.tree["scenes"][0]["nodes"].append(first)
    nodes[0]["skin"] = 0
    joints = list(range(first, len(nodes)))
    glb.tree["skins"] = [{"name": "Anny", "skeleton": first, "joints": joints,
                          "inverseBindMatrices": glb.array(joint_from_mesh.numpy())}]


def animate(glb: Container, poses: Pose, name: str, weights: torch.Tensor) -> None:
    """Add an animation of the joints that poses (T), KEYS a second, turn.

    weights  (T, K) of the mesh's morph targets, which go with it
    """
    joints = glb.tree["skins"][0]["joints"]
    turns = quaternions(torch.cat([poses.root_rotation[:, None], poses.rotations], 1))
    tracks = [(joints[0], "translation", poses.root_translation @ GLTF_FROM_BODY.T)]
    tracks += [(node, "rotation", turn) for node, turn in zip(joints, turns.unbind(1), strict=False)
               if node == joints[0] or float(turn[:, :3].abs().max()) > 1e-6]
    if weights.shape[1]:
        tracks.append((0, "weights", weights.flatten()))  # of the mesh's node
    times = glb.array((np.arange(len(poses)) / KEYS).astype(np.float32), bounds=True)
    glb.tree["animations"] = [{
        "name": name,
        "samplers": [{"input": times, "output": glb.array(values.numpy()), "interpolation": "LINEAR"}
                     for _, _, values in tracks],
        "channels": [{"sampler": row, "target": {"node": node, "path": path}}
                     for row, (node, path, _) in enumerate(tracks)]}]


def quaternions(rotations: torch.Tensor) -> torch.Tensor:
    """Rotations (T, J, 3) about the body's axes as quaternions (T, J, 4), x y z w, about glTF's.

    Of the two that mean a rotation it is the one nearer to the frame before: some engines mix their numbers.
    """
    found = roma.rotvec_to_unitquat(rotations.double() @ GLTF_FROM_BODY.double().T)
    flips = torch.where((found[1:] * found[:-1]).sum(-1) < 0, -1, 1).cumprod(0)
    found[1:] *= flips[..., None]
    return found.float()
