import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from anr_core.body import Pose
from anr_core.body.smpl import SKELETONS, SmplBody, read_model

pytest.importorskip("smplx")

VERTICES = 30
SHAPES = {"smpl": 10, "smplh": 10, "smplx": 20, "flame": 20, "mano": 10}  # of 20, 10 are expressions


def tiny_model(model_type):
    """A model file's arrays: random numbers on a strip of triangles, with the published joint tree."""
    random = np.random.default_rng(0)
    parents = np.array(SKELETONS[model_type].parents)
    joints = len(parents)
    regressor, weights = random.random((joints, VERTICES)) ** 8, random.random((VERTICES, joints)) ** 8
    return {
        "v_template": random.normal(size=(VERTICES, 3)),
        "shapedirs": random.normal(size=(VERTICES, 3, SHAPES[model_type])) * 0.1,
        "posedirs": random.normal(size=(VERTICES, 3, 9 * (joints - 1))) * 0.02,
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(joints)]),
        "f": np.arange(VERTICES - 2)[:, None].astype(np.uint32) + np.arange(3, dtype=np.uint32),
    }


def write(path, model):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, **model)
    else:
        path.write_bytes(pickle.dumps(model, protocol=2))
    return path


def random_pose(model_type, batch=3):
    generator = torch.Generator().manual_seed(1)
    joints = len(SKELETONS[model_type]) - 1
    return Pose(torch.randn(batch, joints, 3, generator=generator) * 0.5,
                torch.randn(batch, 3, generator=generator), torch.randn(batch, 3, generator=generator))


def rotation(axis_angle):
    """By the exponential of the cross product's matrix."""
    x, y, z = (float(n) for n in axis_angle)
    return torch.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)).numpy()


def blend_skinning(model, betas, rotations, translation):
    """Linear blend skinning, one vertex and one joint at a time (Loper et al. 2015, equations 2 to 10)."""
    shaped = model["v_template"] + model["shapedirs"][..., :len(betas)] @ betas
    joints = model["J_regressor"] @ shaped
    turns = [rotation(r) for r in rotations]
    bent = shaped + model["posedirs"] @ np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])
    world_from_joint, placed = [], []
    for joint, parent in enumerate(model["kintree_table"][0]):
        if joint == 0:
            world_from_joint.append(turns[0])
            placed.append(joints[0])
        else:
            world_from_joint.append(world_from_joint[parent] @ turns[joint])
            placed.append(placed[parent] + world_from_joint[parent] @ (joints[joint] - joints[parent]))
    vertices = np.zeros_like(bent)
    for vertex in range(len(bent)):
        for joint in range(len(joints)):
            moved = world_from_joint[joint] @ (bent[vertex] - joints[joint]) + placed[joint]
            vertices[vertex] += model["weights"][vertex, joint] * moved
    return vertices + translation, np.array(placed) + translation


@pytest.mark.parametrize("model_type", SKELETONS)
@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_posing_agrees_with_skinning_one_vertex_at_a_time(tmp_path, model_type, suffix):
    model = tiny_model(model_type)
    betas = np.linspace(-1, 1, 10)
    body = SmplBody(write(tmp_path / f"anything{suffix}", model), model_type, betas=betas)
    pose = random_pose(model_type)
    posed = body(pose)
    for i in range(3):
        rotations = torch.cat([pose.root_rotation[i:i + 1], pose.rotations[i]])
        vertices, joints = blend_skinning(model, betas, rotations, pose.root_translation[i].numpy())
        np.testing.assert_allclose(posed.vertices[i], vertices, atol=2e-5)
        np.testing.assert_allclose(posed.joints[i], joints, atol=2e-5)


def test_the_zero_pose_is_the_template_and_the_surface_its_faces(tmp_path):
    model = tiny_model("smpl")
    body = SmplBody(write(tmp_path / "SMPL_NEUTRAL.pkl", model))
    zero = Pose(torch.zeros(1, 23, 3), torch.zeros(1, 3), torch.zeros(1, 3))
    np.testing.assert_allclose(body(zero).vertices[0], model["v_template"], atol=1e-6)
    np.testing.assert_array_equal(body.surface.faces, model["f"])
    assert body.skeleton.names[0] == "pelvis" and body.surface.uv_faces.shape == body.surface.faces.shape


def test_gradients_reach_the_pose(tmp_path):
    body = SmplBody(write(tmp_path / "model.npz", tiny_model("smplx")), "smplx")
    pose = random_pose("smplx", batch=1)
    inputs = [pose.rotations.requires_grad_(), pose.root_rotation.requires_grad_(),
              pose.root_translation.requires_grad_()]
    gradients = torch.autograd.grad(body(pose).vertices.square().sum(), inputs)
    assert all((gradient.abs().amax(-1) > 0).all() for gradient in gradients)


def test_the_model_has_no_parameters_and_enters_no_checkpoint_but_moves_along(tmp_path):
    body = SmplBody(write(tmp_path / "model.npz", tiny_model("smplh")), "smplh")
    assert body.state_dict() == {} and list(body.parameters()) == []
    zero = torch.zeros(1, 52, 3).double()
    assert body.double()(Pose(zero[:, 1:], zero[:, 0], zero[:, 0])).vertices.dtype == torch.float64
    assert body.to("meta").surface.faces.is_meta


def test_a_folder_is_searched_as_smplx_lays_it_out(tmp_path):
    write(tmp_path / "smplx" / "SMPLX_FEMALE.npz", tiny_model("smplx"))
    write(tmp_path / "MANO_RIGHT.pkl", tiny_model("mano"))
    SmplBody(tmp_path, "smplx", variant="female")
    SmplBody(tmp_path, "mano")
    with pytest.raises(FileNotFoundError, match="SMPLX_MALE.npz or SMPLX_MALE.pkl in .*register at https://smpl-x"):
        SmplBody(tmp_path, "smplx", variant="male")
    with pytest.raises(FileNotFoundError, match="nowhere.pkl.*register at https://smpl.is"):
        SmplBody(tmp_path / "nowhere.pkl")


def test_chumpy_and_sparse_arrays_are_read_without_chumpy(tmp_path, monkeypatch):
    sparse = pytest.importorskip("scipy.sparse")

    def shell(module, name, state):
        """An object as chumpy pickles it: a class of that name, with a dictionary for its state."""
        kind = type(name, (), {"__module__": module})
        for name_of_module in ("chumpy", module):
            monkeypatch.setitem(sys.modules, name_of_module, types.ModuleType(name_of_module))
        setattr(sys.modules[module], name, kind)
        made = kind()
        made.__dict__.update(state)
        return made

    model = tiny_model("mano")
    stored = dict(model, J_regressor=sparse.csc_matrix(model["J_regressor"]))
    stored["weights"] = shell("chumpy.ch", "Ch", {"x": model["weights"], "_status": "new"})
    wide = np.concatenate([model["shapedirs"], model["shapedirs"]], -1)
    picked = np.arange(wide.size).reshape(wide.shape)[..., :10].ravel()
    stored["shapedirs"] = shell("chumpy.reordering", "Select",
                                {"a": wide, "idxs": picked, "preferred_shape": (VERTICES, 3, 10)})
    stored["v_posed"] = shell("chumpy.ch_ops", "add", {"b": 1})  # in the file, but not wanted
    file = write(tmp_path / "MANO_RIGHT.pkl", stored)
    monkeypatch.undo()
    assert "chumpy.ch" not in sys.modules
    for key, value in read_model(file).items():
        np.testing.assert_array_equal(value, model[key])


class Evil:
    def __reduce__(self):
        return os.mkdir, ("/tmp/never",)


def test_bad_files_are_refused_in_one_line(tmp_path):
    whole = write(tmp_path / "whole.npz", tiny_model("smpl")).read_bytes()
    (tmp_path / "truncated.npz").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "truncated.pkl").write_bytes(pickle.dumps(tiny_model("smpl"))[:5000])
    write(tmp_path / "evil.pkl", dict(tiny_model("smpl"), f=Evil()))
    lacking = tiny_model("smpl")
    del lacking["posedirs"]
    write(tmp_path / "lacking.pkl", lacking)
    for name, message in [("truncated.npz", "can't be read"), ("truncated.pkl", "can't be read"),
                          ("evil.pkl", "mkdir, which is no array"), ("lacking.pkl", "lacks posedirs")]:
        with pytest.raises(ValueError, match=message):
            SmplBody(tmp_path / name)


def test_wrong_types_counts_and_shapes_are_named(tmp_path):
    file = write(tmp_path / "model.pkl", tiny_model("smpl"))
    with pytest.raises(ValueError, match="has 24 joints, but smplx has 55"):
        SmplBody(file, "smplx")
    with pytest.raises(ValueError, match="use one of smpl, smplh"):
        SmplBody(file, "star")
    with pytest.raises(ValueError, match="12 betas were given, but .* has 10"):
        SmplBody(file, betas=np.zeros(12))
    with pytest.raises(ValueError, match="15 joint rotations, but smpl takes 23"):
        SmplBody(file)(random_pose("mano"))


def test_the_users_uvs_are_taken_and_must_fit_the_faces(tmp_path):
    model = tiny_model("smpl")
    file = write(tmp_path / "model.pkl", model)
    uv = np.random.default_rng(0).random((VERTICES, 2)).round(4)
    lines = [f"vt {u} {v}" for u, v in uv]
    lines += ["f " + " ".join(f"{i + 1}/{VERTICES - i}/1" for i in face) for face in model["f"][::-1]]
    (tmp_path / "uv.obj").write_text("\n".join(lines))
    surface = SmplBody(file, uv_obj=tmp_path / "uv.obj").surface
    np.testing.assert_array_equal(surface.faces, model["f"][::-1])
    np.testing.assert_allclose(surface.uv, uv, atol=1e-6)
    np.testing.assert_array_equal(surface.uv_faces, VERTICES - 1 - model["f"][::-1].astype(int))
    (tmp_path / "other.obj").write_text("\n".join(lines[:-1]))
    with pytest.raises(ValueError, match="27 triangles of .* are not the model's 28"):
        SmplBody(file, uv_obj=tmp_path / "other.obj")
    (tmp_path / "bare.obj").write_text("f 1 2 3")
    with pytest.raises(ValueError, match="must hold triangles with UVs"):
        SmplBody(file, uv_obj=tmp_path / "bare.obj")
    with pytest.raises(FileNotFoundError, match="leave uv_obj out"):
        SmplBody(file, uv_obj=tmp_path / "none.obj")


def test_smplx_is_imported_only_when_asked_for(tmp_path, monkeypatch):
    check = "import anr_core.capture, anr_core.body.smpl, sys; sys.exit('smplx' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", check], cwd=root).returncode == 0
    file = write(tmp_path / "model.pkl", tiny_model("smpl"))
    monkeypatch.setitem(sys.modules, "smplx", None)
    with pytest.raises(ImportError, match="pip install smplx"):
        SmplBody(file)
