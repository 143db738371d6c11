"""The fit of SMPL's family, with model files in the published structure that hold Anny's shape."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from anr_core.avatars.run import load_avatar
from anr_core.body.anny import AnnyBody
from anr_core.body.smpl import MODEL_FOLDER, SmplBody, own_variant
from anr_core.camera import orbit
from anr_core.capture import load_capture
from anr_core.capture.footage import Footage, Take
from anr_core.capture.posing import describe_body, make_body
from anr_core.capture.sheet import contact_sheet
from anr_core.capture.writing import write_capture
from anr_core.cli import main
from anr_core.prepare import fitting
from anr_core.prepare.fitting import meshes
from anr_core.prepare.fitting.initialisation import facings
from anr_core.prepare.fitting.meshes import Target, fit_meshes, measured
from anr_core.prepare.fitting.prior import CONTROLS
from anr_core.prepare.fitting.smpl_figure import SmplFigure
from anr_core.prepare.fitting.smpl_puppet import SmplPuppet
from anr_core.skeleton import SMPL
from anr_core.training import train
from tests.body.test_smpl import tiny_model, write
from tests.posed_capture import SIZE, make_posed_capture, silhouette
from tests.smpl_model import smpl_model

pytest.importorskip("smplx")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_models")]

UP = torch.tensor([0.0, 0.0, 1.0])
FRAMES = (3, 4, 6)
BETAS = torch.tensor([0.8, -0.6, 0.5, 0.0, 0.3, 0.0, -0.4, 0.0, 0.0, 0.2])


# the whole

def few_steps(patch):
    for name, steps in (("KEYPOINT_STEPS", 60), ("OUTLINE_STEPS", 30), ("LAST_STEPS", 20)):
        patch.setattr(fitting, name, steps)


def filmed_smpl(folder):
    """A capture of a person that the user's model makes, and the vertices (F, V, 3) of that person."""
    puppet = SmplPuppet("smpl", openpose=False)
    place = torch.tensor([[0.0, 0.0, 0.95]]).repeat(3, 1)
    motion = puppet.typical(facings(UP, 8)[1:2].repeat(3, 1, 1), place)
    controls, share = motion.controls.clone(), torch.tensor([0.0, 0.4, 1.0])
    controls[:, CONTROLS.index("left_shoulder"), 1] -= 1.2 * share
    motion = replace(motion, controls=controls, build=BETAS)
    body, poses = puppet.person(BETAS), puppet.pose(motion)
    posed = body(poses)
    points = body.keypoints(posed, "coco23")
    around = orbit(torch.tensor([[0.0, 0.0, 0.9]]), torch.tensor([0.0, 1.5]), 0.1, 4.0, 0.6, SIZE, UP)
    cameras, takes = {"front": around[0], "side": around[1]}, []
    for name, camera in cameras.items():
        for row, frame in enumerate(FRAMES):
            seen = torch.cat([camera.project(points[row:row + 1])[0][0], torch.ones(23, 1)], 1)
            takes.append(Take(name, frame, np.full((*SIZE, 3), 90, np.uint8),
                              silhouette(body(poses[row:row + 1]), camera), keypoints=seen.numpy()))
    folder.mkdir(parents=True)
    write_capture(Footage("made up", cameras, {name: {} for name in cameras}, takes, np.array(FRAMES), None,
                          body.surface, 10.0, (0.0, 0.0, 1.0), "CC0", body=body, poses=poses,
                          keypoints="coco23"), folder)
    return load_capture(folder), posed.vertices


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, own_models):
    """A capture of an SMPL person fitted with SMPL, the true vertices, and what was said."""
    capture, truth = filmed_smpl(tmp_path_factory.mktemp("smpl") / "capture")
    with pytest.MonkeyPatch.context() as patch:
        few_steps(patch)
        assert main(["fit", str(capture.path), "--body", "smpl"]) == 0
    return capture, truth


def test_a_person_of_smpl_is_found_again(fitted):
    given, truth = fitted
    made = load_capture(given.path)
    assert isinstance(made.body, SmplBody) and made.poses.frame.tolist() == list(FRAMES)
    found = made.body(made.recording).vertices
    assert float((found - truth).norm(dim=-1).mean()) < 0.03
    joints = [capture.body(capture.recording).joints for capture in (given, made)]
    assert float((joints[0] - joints[1]).norm(dim=-1).max()) < 0.08


def test_what_was_fitted_is_drawn_and_posed_by_new_poses(fitted):
    made = load_capture(fitted[0].path)
    assert contact_sheet(made).ndim == 3
    between = made.pose(torch.tensor([5]))
    assert made.body(between).vertices.shape == (1, 6890, 3)
    bent = replace(between, rotations=between.rotations.clone())
    bent.rotations[:, SMPL.names.index("left_knee") - 1, 0] += 1.0
    moved = (made.body(bent).vertices - made.body(between).vertices).norm(dim=-1)[0]
    ankle = torch.from_numpy(smpl_model("smpl")["weights"][:, SMPL.names.index("left_ankle")]) > 0.5
    head = torch.from_numpy(smpl_model("smpl")["weights"][:, SMPL.names.index("head")]) > 0.5
    assert float(moved[ankle].min()) > 0.1 and float(moved[head].max()) < 1e-4


def test_a_run_is_trained_on_it_and_needs_the_model_alone(fitted, tmp_path, monkeypatch):
    tiny = {"size": 48, "window": 32, "batch": 2, "texture_size": 32, "width": 4}
    made = load_capture(fitted[0].path)
    list(train(made, tmp_path / "run", steps=3, config=tiny))
    avatar = load_avatar(tmp_path / "run")
    assert isinstance(avatar.body, SmplBody) and torch.equal(avatar.body.betas, made.body.betas)
    view = made.views(crop="body", size=48)[0]
    other = replace(view.pose, rotations=torch.zeros_like(view.pose.rotations))
    drawn, posed_anew = (avatar.render(pose, view.camera, view.size).mask for pose in (view.pose, other))
    assert float(drawn.mean()) > 0.05 and not torch.equal(drawn, posed_anew)
    weights = safetensors.torch.load_file(tmp_path / "run" / "checkpoint.safetensors")
    of_vertices = {name for name, value in weights.items() if 6890 in value.shape}
    assert of_vertices <= {"surface_uv", "displacement"}  # made here; neither template nor skinning
    monkeypatch.delenv(MODEL_FOLDER)
    with pytest.raises(FileNotFoundError, match=f"set {MODEL_FOLDER}"):
        load_avatar(tmp_path / "run")


def test_the_capture_holds_numbers_of_the_person_and_nothing_of_the_model(fitted):
    path = fitted[0].path
    body = json.loads((path / "capture.json").read_text())["body"]
    assert sorted(body) == ["betas", "model", "variant"] and len(body["betas"]) == 10
    assert body["model"] == "smpl" and body["variant"] == "neutral"
    with np.load(path / "poses.npz") as poses:
        assert sorted(poses) == ["frames", "root_rotation", "root_translation", "rotations"]
        assert poses["rotations"].shape == (3, 23, 3)
    assert describe_body(make_body(body)) == body


def test_somebody_elses_body_is_fitted_by_smpl_left_on_the_left(tmp_path, monkeypatch, capsys):
    few_steps(monkeypatch)
    given = make_posed_capture(tmp_path / "capture", masked=True)
    assert main(["fit", str(given.path), "--body", "smpl"]) == 0
    said = capsys.readouterr().out
    assert "by your neutral smpl model" in said and "every fifth left out" in said
    made = load_capture(given.path)
    points = [capture.body.keypoints(capture.body(capture.recording), "coco23") for capture in (given, made)]
    apart = (points[0] - points[1]).norm(dim=-1)
    assert float(apart.mean()) < 0.05 and float(apart.max()) < 0.15


def test_smpl_is_found_in_meshes_of_another_topology(monkeypatch):
    for name, steps in (("ALONE", 30), ("CARRIED", 30), ("AGREED", 50)):
        monkeypatch.setattr(meshes, name, steps)
    monkeypatch.setattr(meshes, "FINE", 0.04)
    body, figure = AnnyBody(), SmplFigure("smpl")
    rest = body.rest_pose()
    pose = replace(rest, rotations=rest.rotations.repeat(2, 1, 1), root_rotation=torch.stack([0 * UP, UP]),
                   root_translation=rest.root_translation.repeat(2, 1))
    pose.rotations[1, body.skeleton.names.index("right_knee") - 1, 0] = 0.9
    posed = body(pose)
    target = Target(torch.tensor([0, 1]), posed.vertices, body.surface.faces)
    puppet = figure.puppet
    shape, found = fit_meshes(figure, target, lambda frames: puppet.pose(puppet.typical(
        facings(UP, 8)[:2].repeat(len(frames), 1, 1), torch.zeros(2 * len(frames), 3))))
    mine = figure.body(shape)
    assert float(measured(mine, found, target)[1].mean()) < 0.01
    for joint in ("left_wrist", "right_wrist", "left_knee", "right_ankle"):
        rows = [names.index(joint) for names in (SMPL.names, body.skeleton.names)]
        assert float((mine(found).joints[:, rows[0]] - posed.joints[:, rows[1]]).norm(dim=-1).max()) < 0.06


# what cannot be

@pytest.fixture
def unfitted(fitted, tmp_path):
    """A copy of the capture, before a fit."""
    folder = shutil.copytree(fitted[0].path, tmp_path / "capture")
    index = json.loads((folder / "capture.json").read_text())
    (folder / "capture.json").write_text(json.dumps(index | {"body": {"model": None}}))
    return folder


def told(capsys, folder, *options):
    """What a fit that ends with 2 says, in one line."""
    before = (folder / "capture.json").read_bytes()
    assert main(["fit", str(folder), *options]) == 2
    assert (folder / "capture.json").read_bytes() == before
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_no_folder_a_wrong_one_and_one_without_the_model_are_told(unfitted, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(MODEL_FOLDER)
    assert f"register at https://smpl.is.tue.mpg.de, download it, and set {MODEL_FOLDER}" in told(
        capsys, unfitted, "--body", "smpl")
    monkeypatch.setenv(MODEL_FOLDER, str(tmp_path / "nowhere"))
    assert "nowhere, which is no folder" in told(capsys, unfitted, "--body", "smpl")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(MODEL_FOLDER, str(tmp_path / "empty"))
    assert "SMPLH_NEUTRAL.npz or SMPLH_NEUTRAL.pkl" in told(capsys, unfitted, "--body", "smplh")
    assert "use anny, smpl, smplh, smplx" in told(capsys, unfitted, "--body", "star")


def test_a_file_of_another_family_or_with_other_vertices_is_told(unfitted, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(MODEL_FOLDER, str(tmp_path / "models"))
    write(tmp_path / "models" / "SMPLX_NEUTRAL.npz", tiny_model("smpl"))
    assert "has 24 joints, but smplx has 55" in told(capsys, unfitted, "--body", "smplx")
    write(tmp_path / "models" / "SMPL_NEUTRAL.npz", tiny_model("smpl"))
    assert "30 vertices was given; keypoints are picked from the 6890" in told(
        capsys, unfitted, "--body", "smpl")
    (tmp_path / "models" / "SMPLH_NEUTRAL.pkl").write_bytes(b"no pickle")
    assert "can't be read as a body model" in told(capsys, unfitted, "--body", "smplh")


def test_a_fitted_capture_without_its_model_says_what_it_lacks(fitted, monkeypatch):
    monkeypatch.delenv(MODEL_FOLDER)
    with pytest.raises(FileNotFoundError, match=f"your own model file.*set {MODEL_FOLDER}"):
        load_capture(fitted[0].path)


def test_a_broken_description_is_refused():
    for change in ({"betas": "many"}, {"betas": [["a"]]}, {"betas": None}, {"betas": [float("nan")] * 10}):
        with pytest.raises(ValueError, match="betas|broken"):
            make_body({"model": "smpl", "variant": "neutral", "betas": [0.0] * 10} | change)
    with pytest.raises(ValueError, match="is broken"):
        make_body({"model": "smpl", "betas": [0.0] * 10})


def test_the_neutral_model_is_taken_before_others_and_others_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv(MODEL_FOLDER, str(tmp_path))
    write(tmp_path / "SMPL_FEMALE.npz", tiny_model("smpl"))
    assert own_variant("smpl") == "female"
    write(tmp_path / "smpl" / "SMPL_NEUTRAL.pkl", tiny_model("smpl"))
    assert own_variant("smpl") == "neutral"
