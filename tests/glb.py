"""A small reader of .glb files, and the skinning that they ask for."""

import json
import struct

import numpy as np
import roma
import torch

KINDS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
SHAPES = {"SCALAR": (), "VEC2": (2,), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}


class Glb:
    """A file: its tree, arrays by accessor, and where joints put its vertices."""

    def __init__(self, file):
        self.file, content = file, file.read_bytes()
        magic, version, length, of_tree, kind = struct.unpack("<4sIII4s", content[:20])
        assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
        self.tree, self.blob = json.loads(content[20:20 + of_tree]), content[28 + of_tree:]
        self.attributes = self.tree["meshes"][0]["primitives"][0]["attributes"]

    def bytes(self, view):
        view = self.tree["bufferViews"][view]
        return self.blob[view["byteOffset"]:view["byteOffset"] + view["byteLength"]]

    def array(self, accessor):
        accessor = self.tree["accessors"][accessor]
        kind = KINDS[accessor["componentType"]]
        shape = (accessor["count"], *SHAPES[accessor["type"]])
        if "sparse" in accessor:
            few, found = accessor["sparse"], np.zeros(shape, kind)
            rows = np.frombuffer(self.bytes(few["indices"]["bufferView"]),
                                 KINDS[few["indices"]["componentType"]])
            found[rows] = np.frombuffer(self.bytes(few["values"]["bufferView"]), kind).reshape(-1, *shape[1:])
            return found
        found = np.frombuffer(self.bytes(accessor["bufferView"]), kind).reshape(shape)
        return found.swapaxes(1, 2) if accessor["type"] == "MAT4" else found

    def moved(self, row):
        """What an animation has at a key, by path and node: translations, rotations, weights of targets."""
        animation, found = self.tree["animations"][0], {}
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            keys = self.array(sampler["output"])
            keys = keys.reshape(self.tree["accessors"][sampler["input"]]["count"], -1)
            found[channel["target"]["path"], channel["target"]["node"]] = keys[row]
        return found

    def target(self, number):
        """(N, 3) what a morph target adds."""
        return self.array(self.tree["meshes"][0]["primitives"][0]["targets"][number]["POSITION"])

    def posed(self, moved, sets=None, added=0.0):
        """(N, 3) vertices where joints put them; `sets` of joints are read, all if not said."""
        resting = self.tree["meshes"][0].get("weights", ())
        for number, weight in enumerate(moved.get(("weights", 0), resting)):
            added = added + weight * self.target(number)
        nodes, skin = self.tree["nodes"], self.tree["skins"][0]
        world = {skin["joints"][0]: np.eye(4)}
        for node in skin["joints"]:  # parents first
            own = np.eye(4)
            own[:3, 3] = moved.get(("translation", node), nodes[node].get("translation", [0, 0, 0]))
            turn = moved.get(("rotation", node), nodes[node].get("rotation", [0, 0, 0, 1]))
            own[:3, :3] = roma.unitquat_to_rotmat(torch.tensor(np.float64(turn))).numpy()
            world[node] = world[node] @ own
            world |= {child: world[node] for child in nodes[node].get("children", [])}
        matrices = np.stack([world[node] for node in skin["joints"]])
        matrices = matrices @ self.array(skin["inverseBindMatrices"])
        sets = sets or sum(name.startswith("JOINTS") for name in self.attributes)
        joints, weights = (np.concatenate([self.array(self.attributes[f"{name}_{number}"])
                                           for number in range(sets)], 1) for name in ("JOINTS", "WEIGHTS"))
        weights = weights / weights.sum(1, keepdims=True)
        blended = sum(matrices[joint] * weight[:, None, None]
                      for joint, weight in zip(joints.T, weights.T, strict=True))
        rest = self.array(self.attributes["POSITION"]) + added
        return (blended[:, :3, :3] @ rest[..., None])[..., 0] + blended[:, :3, 3]


def triangles_of(glb):
    """(F, 3)"""
    return glb.array(glb.tree["meshes"][0]["primitives"][0]["indices"]).astype(np.int64).reshape(-1, 3)


def off(one, other):
    """Millimetres from one's vertices to the other's."""
    return 1000 * np.linalg.norm(one - other, axis=1)
