"""SMPL, SMPL-H, SMPL-X, FLAME and MANO, through `smplx`, from the user's own model files.

The files are read plainly first: only the arrays below, by a reader that runs no code of the file and needs
no chumpy, whose classes the older files hold. `smplx` then gets them under the names that it looks for.
"""

from __future__ import annotations

import contextlib
import copy
import io
import math
import os
import pickle
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from anr_core import skeleton
from anr_core.body.atlas import make_surface
from anr_core.body.base import Body, Pose, Posed
from anr_core.body.npz import read_npz
from anr_core.body.pickles import read_pickle
from anr_core.body.stand_ins import plain_array
from anr_core.telling import brief, reason

ARRAYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")

# smplx's name for each stretch of joints after the root, and how many joints it has
_HANDS = (("left_hand_pose", 15), ("right_hand_pose", 15))
_EYES = (("jaw_pose", 1), ("leye_pose", 1), ("reye_pose", 1))
STRETCHES = {
    "smpl": (("body_pose", 23),),
    "smplh": (("body_pose", 21), *_HANDS),
    "smplx": (("body_pose", 21), *_EYES, *_HANDS),
    "flame": (("neck_pose", 1), *_EYES),
    "mano": (("hand_pose", 15),),
}
SKELETONS = {"smpl": skeleton.SMPL, "smplh": skeleton.SMPLH, "smplx": skeleton.SMPLX, "flame": skeleton.FLAME,
             "mano": skeleton.MANO}
HOMES = {"smpl": "https://smpl.is.tue.mpg.de", "smplh": "https://mano.is.tue.mpg.de",
         "smplx": "https://smpl-x.is.tue.mpg.de", "flame": "https://flame.is.tue.mpg.de",
         "mano": "https://mano.is.tue.mpg.de"}


# Vertices of the published meshes, of which keypoints are picked.
VERTICES = {"smpl": 6890, "smplh": 6890, "smplx": 10475}

# Folder of the user's own model files, laid out as smplx lays it out.
MODEL_FOLDER = "ANR_CORE_SMPL"


class SmplBody(Body):
    """A body of the SMPL family; smplx's conventions, with flat hands as the rest pose.

    model_path  the model's .pkl or .npz, or a folder that holds SMPL_NEUTRAL.pkl or smpl/SMPL_NEUTRAL.pkl
    model_type  "smpl", "smplh", "smplx", "flame" or "mano"
    variant     "neutral", "female" or "male"; "right" or "left" for MANO; only chooses a file in a folder
    betas       (S,) shape of the person, None for the mean
    uv_obj      a Wavefront file with the model's faces and UVs; None has an atlas made (2 s)
    pose_blend_shapes  False poses by skinning alone, as parameters want that were fitted so

    `Pose.rotations` follow the model's joints after the root. `root_rotation` turns the mesh about its
    resting root joint, then `root_translation` moves it: at zero translation the root is not at the origin.
    The model's arrays enter no checkpoint, since their licence does not let them travel.
    """

    def __init__(self, model_path, model_type: str = "smpl", variant: str | None = None, betas=None,
                 uv_obj=None, pose_blend_shapes: bool = True):
        if model_type not in STRETCHES:
            raise ValueError(f"model_type is {model_type!r}; use one of {', '.join(STRETCHES)}.")
        arrays = read_model(find_model(Path(model_path), model_type, variant))
        joints, expected = arrays["weights"].shape[1], len(SKELETONS[model_type])
        if joints != expected:
            raise ValueError(f"{model_path} has {joints} joints, but {model_type} has {expected}; "
                             "name the model_type that the file holds.")
        faces, uv, uv_faces = arrays["f"], None, None
        if uv_obj is not None:
            faces, uv, uv_faces = read_uv(Path(uv_obj), faces)
        if not pose_blend_shapes:
            arrays["posedirs"] = np.zeros_like(arrays["posedirs"])
        skeleton_of_type = SKELETONS[model_type]
        surface = make_surface(arrays["v_template"], faces, uv, uv_faces) if uv is not None else \
            _unwrapped(arrays["v_template"].tobytes(), faces.tobytes(), *(
                (array.dtype.str, array.shape) for array in (arrays["v_template"], faces)))
        super().__init__(replace(surface, skeleton=skeleton_of_type))
        betas = torch.as_tensor(np.zeros(10) if betas is None else betas, dtype=torch.float32).reshape(1, -1)
        model = _create(arrays, model_type, betas.shape[1])
        if betas.shape[1] > model.num_betas:
            raise ValueError(f"{betas.shape[1]} betas were given, but {model_path} has {model.num_betas}.")
        self.register_buffer("betas", betas, persistent=False)
        self._unsaved = (model,)  # in a tuple, torch doesn't see it, and so it enters no checkpoint
        self.model_type, self.variant = model_type, variant

    @property
    def model(self):
        """smplx's own module, with the arrays of the file."""
        return self._unsaved[0]

    def reshaped(self, betas: torch.Tensor) -> SmplBody:
        """The same model as another person, betas (S,); they share its arrays, also their device."""
        other = copy.copy(self)
        other._buffers = self._buffers | {"betas": betas.detach().to(self.betas).reshape(1, -1)}
        return other

    def rest_pose(self) -> Pose:
        """The T-pose, upright above the origin of a world whose +Z is up, as Anny's: it looks along -Y."""
        zeros = self.betas.new_zeros(1, len(self.skeleton) - 1, 3)
        upright = zeros.new_tensor([[math.pi / 2, 0, 0]])
        lowest = self(Pose(zeros, upright, zeros[:, 0])).vertices[..., 2].amin(1)
        return Pose(zeros, upright, torch.nn.functional.pad(-lowest[:, None], (2, 0)))

    def keypoints(self, posed: Posed, names: str) -> torch.Tensor:
        """Keypoints (B, K, 3) of a posed mesh, metres: "coco23" or "body25"."""
        picked, mix = keypoint_mix(self.model_type, posed.vertices.shape[1], names)
        return mix.to(posed.vertices) @ torch.cat([posed.joints, posed.vertices[:, picked]], 1)

    def _apply(self, change, recurse=True):
        self._unsaved[0]._apply(change)
        return super()._apply(change, recurse)

    def forward(self, pose: Pose) -> Posed:
        """The mesh of B poses; raises ValueError where the number of rotations is not the model's."""
        (model,), batch = self._unsaved, len(pose.root_rotation)
        stretches = STRETCHES[self.model_type]
        counts = [count for _, count in stretches]
        if pose.rotations.shape[1] != sum(counts):
            raise ValueError(f"The pose has {pose.rotations.shape[1]} joint rotations, but {self.model_type} "
                             f"takes {sum(counts)} after the root.")
        given = {name: part.flatten(1) for (name, _), part in
                 zip(stretches, pose.rotations.split(counts, 1), strict=True)}
        if model.num_expression_coeffs:
            given["expression"] = self.betas.new_zeros(batch, model.num_expression_coeffs)
        output = model(betas=self.betas.expand(batch, -1), global_orient=pose.root_rotation,
                       transl=pose.root_translation, **given)
        return Posed(output.vertices, output.joints[:, :1 + sum(counts)], self.surface)


def find_model(path: Path, model_type: str, variant: str | None = None) -> Path:
    """The model's file, looked for as smplx lays out its folders.

    Raises FileNotFoundError, which says where to register, where there is none.
    """
    name = f"{model_type}_{variant or ('right' if model_type == 'mano' else 'neutral')}".upper()
    folders = [path / model_type, path] if path.is_dir() else []
    candidates = [folder / f"{name}{suffix}" for folder in folders for suffix in (".npz", ".pkl")]
    for file in candidates or [path]:
        if file.is_file():
            return file
    wanted = f"{name}.npz or {name}.pkl in the folder {path}" if candidates else path
    raise FileNotFoundError(f"Found no {wanted}. The models may not be passed on: register at "
                            f"{HOMES[model_type]}, download yours, and give its path.")


def own_model(model_type: str, variant: str | None = None) -> Path:
    """The file of the user's model, in the folder that MODEL_FOLDER names.

    Raises FileNotFoundError where no folder is named, or no such model is in it.
    """
    if (folder := os.environ.get(MODEL_FOLDER)) is None:
        raise FileNotFoundError(f"A body of {model_type} is made from your own model file: register at "
                                f"{HOMES[model_type]}, download it, and set {MODEL_FOLDER} to its folder.")
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{MODEL_FOLDER} names {folder}, which is no folder; set it to that of "
                                "your body models.")
    return find_model(Path(folder), model_type, variant)


def own_variant(model_type: str) -> str:
    """Which of the user's models there is, the neutral one before others; raises as `own_model`."""
    for variant in ("neutral", "male", "female"):
        with contextlib.suppress(FileNotFoundError):
            own_model(model_type, variant)
            return variant
    own_model(model_type)  # tells what is missing
    raise AssertionError("A model has come to be there.")


def read_model(file: Path) -> dict[str, np.ndarray]:
    """The seven arrays of a model's .npz or .pkl, whatever wrote it; no code of the file is run."""
    try:
        if file.suffix == ".npz":
            found = read_npz(file, only=ARRAYS, objects=True)
        else:
            found = read_pickle(file)
        missing = [key for key in ARRAYS if key not in found]
        if not missing:
            return _fitting({key: plain_array(found[key]) for key in ARRAYS})
    except (EOFError, KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise ValueError(f"{file} can't be read as a body model: {reason(error)}. Download it again."
                         ) from error
    raise ValueError(f"{file} lacks {', '.join(missing)}; a body model's file holds {', '.join(ARRAYS)}.")


def _fitting(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same arrays; raises ValueError where their shapes aren't those of one body, or they no numbers."""
    vertices, joints = arrays["v_template"].shape[:1], arrays["weights"].shape[1:]
    shapes = {"v_template": (*vertices, 3), "shapedirs": (*vertices, 3, None),
              "weights": (*vertices, *joints), "posedirs": (*vertices, 3, None),
              "J_regressor": (*joints, *vertices), "f": (None, 3),
              "kintree_table": (2, *joints)}
    for name, array in arrays.items():
        expected, found = shapes[name], array.shape
        if array.dtype.kind not in "biuf" or len(found) != len(expected) or 0 in found or \
                any(size not in (None, there) for size, there in zip(expected, found, strict=True)):
            raise ValueError(f"{name} is of {brief(array.dtype)} and shape {brief(found)}, expected numbers "
                             f"of {str(expected).replace('None', 'n')}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinite numbers")
    parents = arrays["kintree_table"][0].astype(np.int64)
    if (parents[1:] >= np.arange(1, len(parents))).any() or (parents[1:] < 0).any():
        raise ValueError("kintree_table has parents that come after their children")
    if arrays["posedirs"].shape[2] != 9 * (len(parents) - 1):
        raise ValueError(f"posedirs has {arrays['posedirs'].shape[2]} components, expected "
                         f"{9 * (len(parents) - 1)} for {len(parents)} joints")
    return arrays


def read_uv(file: Path, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """faces (F, 3), uv (U, 2) and uv_faces (F, 3) of a Wavefront file with the same triangles as given."""
    if not file.is_file():
        raise FileNotFoundError(f"Found no UV file {file}; leave uv_obj out to have an atlas made.")
    lines = [line.split() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    corners = [[corner.split("/")[:2] for corner in line[1:]] for line in lines if line[:1] == ["f"]]
    try:
        uv = np.array([line[1:3] for line in lines if line[:1] == ["vt"]], np.float32)
        corners = np.array(corners, np.int64).reshape(-1, 3, 2) - 1
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{file} must hold triangles with UVs, lines like 'f 1/1 2/2 3/3'.") from error
    if not np.array_equal(_sorted_triangles(corners[..., 0]), _sorted_triangles(faces)):
        raise ValueError(f"The {len(corners)} triangles of {file} are not the model's {len(faces)}; "
                         "take the UV file of the same model.")
    return corners[..., 0], uv, corners[..., 1]


@lru_cache(maxsize=4)
def _unwrapped(vertices: bytes, faces: bytes, of_vertices, of_faces):
    """A surface with an atlas, which takes 2 s; a capture and a run open the same model several times."""
    return make_surface(*(np.frombuffer(values, dtype).reshape(shape) for values, (dtype, shape) in
                          ((vertices, of_vertices), (faces, of_faces))))


@lru_cache(maxsize=4)
def keypoint_mix(model_type: str, vertices: int, names: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Which vertices (P,) are picked, and how joints and they mix to keypoints: (K, J + P).

    names  "body25", where OpenPose has them, or "coco23"
    Raises ValueError for a mesh that is not the published one, whose vertices are others.
    """
    if vertices != VERTICES.get(model_type):
        raise ValueError(f"A {model_type} model of {vertices} vertices was given; keypoints are picked from "
                         f"the {VERTICES.get(model_type, 'none')} of the published one.")
    from smplx.vertex_ids import vertex_ids

    from anr_core.body.anny import OPENPOSE_INSET  # leads to roma, a second to import

    of_joint = {name: row for row, name in enumerate(SKELETONS[model_type].names)}
    picked = list(skeleton.SMPL_PICKED)
    ids = vertex_ids["smplx" if model_type == "smplx" else "smplh"]
    points = skeleton.KEYPOINT_SETS[names].names
    mix = torch.zeros(len(points), len(of_joint) + len(picked))
    for row, point in enumerate(points):
        for name, share in skeleton.SMPL_KEYPOINTS[point].items():
            mix[row, len(of_joint) + picked.index(name) if name in picked else of_joint[name]] = share
    if names == "body25":
        for row, point in enumerate(points):
            side, _, stem = point.partition("_")
            if stem in OPENPOSE_INSET:  # the same detector on the same feet
                mix[row] = torch.lerp(mix[row], mix[points.index(f"{side}_ankle")], OPENPOSE_INSET[stem])
    return torch.tensor([ids[skeleton.SMPL_PICKED[name]] for name in picked]), mix


def _sorted_triangles(faces):
    triangles = np.sort(np.asarray(faces, np.int64), 1)
    return triangles[np.lexsort(triangles.T)]


def _create(arrays, model_type: str, shape_count: int):
    try:
        import smplx
    except ImportError as error:
        raise ImportError("SMPL bodies need the package smplx (for non-commercial use). "
                          "Install it with: pip install smplx") from error
    # what smplx demands of a file beside; means of zero make flat hands the rest pose
    demanded = {"lmk_faces_idx": np.zeros(1, np.int64), "lmk_bary_coords": np.eye(3)[:1],
                **{f"hands_mean{side}": np.zeros(45) for side in ("", "l", "r")},
                **{f"hands_components{side}": np.eye(45) for side in ("", "l", "r")}}
    landmarks = {"lmk_face_idx": demanded["lmk_faces_idx"], "lmk_b_coords": demanded["lmk_bary_coords"]}
    parts = ("global_orient", "transl", "betas", "expression", *dict(STRETCHES[model_type]))
    quiet = contextlib.redirect_stdout(io.StringIO())  # smplx prints how many betas the file has
    with tempfile.TemporaryDirectory() as root, quiet:
        folder = Path(root, model_type)
        folder.mkdir()
        name = "MANO_RIGHT" if model_type == "mano" else f"{model_type.upper()}_NEUTRAL"
        (folder / f"{name}.pkl").write_bytes(pickle.dumps({**arrays, **demanded}))
        (folder / "flame_static_embedding.pkl").write_bytes(pickle.dumps(landmarks))
        model = smplx.create(root, model_type, ext="pkl", use_pca=False,
                             num_betas=shape_count, **{f"create_{part}": False for part in parts})
    # no keypoints picked from vertices: a trimmed mesh need not have them
    model.vertex_joint_selector.extra_joints_idxs = torch.zeros(0, dtype=torch.int64)
    return model.requires_grad_(False)
