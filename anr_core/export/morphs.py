"""A body's shape basis as morph targets of its rest mesh: what each phenotype, or the clothes, would change.

A target moves vertices before joints do, and glTF lets it move no joint. So a target is what makes the body
its changed self in the A-pose, with the root where it is; bent limbs turn about the joints of before.
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import torch

from anr_core.avatars.run import Run, read_tensors
from anr_core.body.anny import AnnyBody, Shape
from anr_core.export.influences import Skin, moves_of
from anr_core.rasterizer import vertex_normals

NEAR = 0.05  # of a phenotype's range: an end that is nearer is no change


def shape_targets(body: AnnyBody, skin: Skin) -> tuple[dict[str, torch.Tensor], str]:
    """What is added to rest vertices, (V, 3) by the target's name, and a line of how far joints would go."""
    pose, targets, apart = body.rest_pose(), {}, {}
    turns, here = skin.matrices(moves_of(body, pose)[0])[:, :3, :3], body(pose)
    for name, shape in changed(body.shape).items():
        there = AnnyBody(shape)(pose)
        # from where the body is: what four joints leave of that is corrected by itself
        targets[name] = torch.linalg.solve(turns, there.vertices[0] - here.vertices[0])
        apart[name] = 1000 * float((there.joints - here.joints).norm(dim=-1).max())
    told = ", ".join(f"{name} {far:.0f}" for name, far in sorted(apart.items(), key=lambda one: -one[1]))
    return targets, ("shapes: exact in the A-pose; glTF doesn't move joints with them, which would have to "
                     f"go so far, in mm at the most: {told}")


def changed(shape: Shape) -> dict[str, Shape]:
    """The shape with one phenotype at either end of its range, by names such as "weight+"."""
    found = {}
    for entry in fields(Shape):
        low, value = -1 / 3 if entry.name == "age" else 0.0, asdict(shape)[entry.name]
        for sign, end in (("-", low), ("+", 1.0)):
            if abs(end - value) > NEAR * (1 - low):
                found[entry.name + sign] = replace(shape, **{entry.name: end})
    return found


def clothes_target(run: Run, body: AnnyBody) -> torch.Tensor | None:
    """(V, 3) from the rest vertices to the clothes that the avatar draws on; None where it knows of none."""
    far = read_tensors(run.path / "checkpoint.safetensors").get("displacement")
    if far is None or not bool(far.any()):
        return None
    return far[:, None] * vertex_normals(body.rest_vertices, body.surface.faces)[0]
