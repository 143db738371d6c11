"""Pose parameters of other systems, exactly in ours and back.

What differs between files that all hold "SMPL parameters" of a posed mesh v, with x the mesh in its rest
pose of the same shape, J the rest pose's pelvis, and B the bending of all other joints:

    ours, smplx, People-Snapshot    v = R (B(x) - J) + J + t     turned about the pelvis
    EasyMocap, ZJU-MoCap            v = Rh B(x) + Th             turned about the origin; R is among the
                                                                 poses, but zero, or is left out

So only the translation differs, by the place of the pelvis, and the posed mesh is the same. Pose blend
shapes are a part of B: parameters that were fitted without them (ZJU-MoCap's `params`) have to be posed
without them, `SmplBody(..., pose_blend_shapes=False)`; those with them (`new_params`, EasyMocap) with.

Sources: EasyMocap issue 469, where its author confirms the two equations; Loper et al., SMPL, 2015.
"""

from __future__ import annotations

import numpy as np
import torch

from anr_core.body.base import Body, Pose

BODY_JOINTS = {"smpl": 23, "smplh": 21, "smplx": 21}  # after the root
FACE_JOINTS = {"smpl": 0, "smplh": 0, "smplx": 3}  # jaw, left eye, right eye
FINGER_JOINTS = {"smpl": 0, "smplh": 15, "smplx": 15}  # of each hand
HAND_COMPONENTS = 6  # EasyMocap's, of each hand


def translation_about_pelvis(rotation, translation, pelvis) -> torch.Tensor:
    """The translation (B, 3) with a turn about the pelvis that does what one about the origin does.

    rotation     (B, 3)           axis-angle, the same in both
    translation  (B, 3)           metres
    pelvis       (3,) or (B, 3)   where the pelvis of this shape rests, metres
    """
    return translation + _turned(rotation, pelvis) - pelvis


def translation_about_origin(rotation, translation, pelvis) -> torch.Tensor:
    """The inverse of `translation_about_pelvis`."""
    return translation + pelvis - _turned(rotation, pelvis)


def resting_pelvis(body: Body) -> torch.Tensor:
    """(3,) where the root joint of a body stands in its rest pose, metres."""
    zero = torch.zeros(1, len(body.skeleton), 3).to(next(body.buffers()))
    return body(Pose(zero[:, 1:], zero[:, 0], zero[:, 0])).joints[0, 0]


def pose_from_easymocap(poses, Rh, Th, pelvis, model_type: str = "smpl", hands=None) -> Pose:
    """The pose of EasyMocap's or ZJU-MoCap's parameters, for a body of the SMPL family.

    poses       (B, n), or (n,)   every joint's axis-angle in EasyMocap's order: body, left hand, right hand,
                                  jaw and eyes where the hands are components, else body, jaw and eyes, hands.
                                  n may count the root's three values or not: 72 or 69 for SMPL
    Rh, Th      (B, 3), or (3,)   about the origin
    pelvis      (3,)              `resting_pelvis` of the body
    hands       components (n, 45) and mean (45,) of the left hand, then of the right one, as the model's
                file has them; needed where n says that hands are given as six components each

    A root that is not zero among the poses is applied before Rh, as EasyMocap does.

    Raises ValueError for another number of values than the model's, and for components without `hands`.
    """
    poses, Rh, Th = _rows(poses), _rows(Rh), _rows(Th)
    pelvis = torch.as_tensor(pelvis).to(poses)
    body, face, fingers = (3 * table[model_type] for table in (BODY_JOINTS, FACE_JOINTS, FINGER_JOINTS))
    whole, short = 3 + body + face + 2 * fingers, 3 + body + face + 2 * HAND_COMPONENTS * bool(fingers)
    if poses.shape[1] in (whole - 3, short - 3):
        poses = torch.nn.functional.pad(poses, (3, 0))
    if poses.shape[1] not in (whole, short):
        expected = sorted({whole, whole - 3, short, short - 3})
        raise ValueError(f"The poses hold {poses.shape[1]} values, but {model_type} takes one of {expected}; "
                         "name the model that they were made for.")
    if not len(poses) == len(Rh) == len(Th) or Rh.shape[1:] != (3,) or Th.shape[1:] != (3,):
        raise ValueError(f"poses {tuple(poses.shape)}, Rh {tuple(Rh.shape)} and Th {tuple(Th.shape)} don't "
                         "belong together; expected (B, n), (B, 3) and (B, 3).")
    if poses.shape[1] != whole:
        poses = _with_whole_hands(poses, 3 + body, hands)
    moved, root = translation_about_pelvis(Rh, Th, pelvis), poses[:, :3]
    if bool(root.any()):
        import roma  # a second to import

        Rh = roma.rotvec_composition((Rh, root))
    return Pose(_joints(poses[:, 3:]), Rh, moved)


def easymocap_from_pose(pose: Pose, pelvis) -> dict[str, np.ndarray]:
    """EasyMocap's `poses` (B, 3 J), `Rh` (B, 3) and `Th` (B, 3) of a pose; hands are written in full.

    pelvis  (3,)  `resting_pelvis` of the body
    """
    pelvis = torch.as_tensor(pelvis).to(pose.root_translation)
    moved = translation_about_origin(pose.root_rotation, pose.root_translation, pelvis)
    found = {"poses": torch.nn.functional.pad(pose.rotations.flatten(1), (3, 0)), "Rh": pose.root_rotation,
             "Th": moved}
    return {name: value.numpy() for name, value in found.items()}


def pose_from_smplx(poses, translation) -> Pose:
    """The pose of parameters (B, 3 J) that begin with the root's turn, and its translation (B, 3), metres.

    Raises ValueError for shapes that don't belong together.
    """
    poses, translation = _rows(poses), _rows(translation)
    if poses.shape[1] % 3 or poses.shape[1] < 3 or translation.shape != (len(poses), 3):
        raise ValueError(f"poses {tuple(poses.shape)} and translation {tuple(translation.shape)} don't "
                         "belong together; expected (B, 3 J) and (B, 3).")
    return Pose(_joints(poses[:, 3:]), poses[:, :3], translation)


def _joints(values):
    return values.reshape(len(values), -1, 3)


def _turned(rotation, points):
    """Points (3,) or (B, 3) turned by rotations (B, 3)."""
    import roma  # a second to import

    return (roma.rotvec_to_rotmat(rotation) @ points[..., None])[..., 0]


def _rows(values) -> torch.Tensor:
    """(B, n) of (B, n) or (n,), floating point."""
    values = values if torch.is_tensor(values) else torch.from_numpy(np.array(values, np.float64))
    return values.reshape(-1, values.shape[-1])


def _with_whole_hands(poses, body, hands):
    """Poses whose two hands, six components each after the body, became fifteen joints each at the end."""
    if hands is None:
        raise ValueError(f"The poses hold {poses.shape[1]} values: hands as {HAND_COMPONENTS} components "
                         "each, which mean nothing without the model's file. Give it, or poses in full.")
    ends = body, body + HAND_COMPONENTS, body + 2 * HAND_COMPONENTS
    whole = []
    for (components, mean), start, end in zip(hands, ends[:2], ends[1:], strict=True):
        components, mean = (torch.as_tensor(np.asarray(value)).to(poses) for value in (components, mean))
        whole.append(poses[:, start:end] @ components[:HAND_COMPONENTS] + mean.reshape(-1))
    return torch.cat([poses[:, :body], poses[:, ends[2]:], *whole], 1)
