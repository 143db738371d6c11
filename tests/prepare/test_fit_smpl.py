"""The fit of SMPL's family, with model files in the published structure that hold Anny's shape."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from anr_core.avatars.run import load_avatar
from anr_core.body import atlas
from anr_core.body.anny import AnnyBody
from anr_core.body.smpl import MODEL_FOLDER, SmplBody, keypoint_mix, own_variant
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
from anr_core.prepare.fitting.puppet import KEYPOINT_NAMES, Puppet
from anr_core.prepare.fitting.smpl_figure import SmplFigure
from anr_core.prepare.fitting.smpl_puppet import SmplPuppet
from anr_core.skeleton import COCO23, SMPL, SMPL_KEYPOINTS, SMPL_PICKED, SMPLX, joints_for_anny, mirrored
from anr_core.training import train
from tests.body.test_smpl import tiny_model, write
from tests.posed_capture import SIZE, make_posed_capture, silhouette
from tests.smpl_model import smpl_model, write_smpl_model

pytest.importorskip("smplx")

UP = torch.tensor([0.0, 0.0, 1.0])
FRAMES = (3, 4, 6)
BETAS = torch.tensor([0.8, -0.6, 0.5, 0.0, 0.3, 0.0, -0.4, 0.0, 0.0, 0.2])


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory):
    """The user's folder of models, one of each in it; an atlas of all would take 15 s."""
    folder = tmp_path_factory.mktemp("models")
    for model_type in ("smpl", "smplh", "smplx"):
        write_smpl_model(folder, model_type)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_FOLDER, str(folder))
        patch.setattr(atlas, "unwrap", lambda vertices, faces: (np.zeros((len(vertices), 2)), faces))
        yield folder


@pytest.fixture(scope="module")
def puppet():
    return SmplPuppet("smpl")


@pytest.fixture(scope="module")
def anny():
    return Puppet()


def someone(puppet, count=3):
    """A motion in which every control takes part."""
    some = torch.Generator().manual_seed(4)
    motion = puppet.typical(facings(UP, count), torch.randn(count, 3, generator=some))
    wild = 0.2 * torch.randn(motion.controls.shape, generator=some)
    return replace(motion, controls=motion.controls + wild, turn=0.3 * torch.randn(count, 3, generator=some),
                   build=torch.linspace(-1.5, 1.5, len(motion.build)))


def keypoints_of(puppet, motion):
    coefficients = puppet.coefficients(motion.build)
    return puppet.keypoints(puppet.carry(motion, coefficients), coefficients)


# the puppet is the body

@pytest.mark.parametrize("openpose", [True, False])
def test_the_puppets_keypoints_are_those_of_the_posed_body(openpose):
    puppet = SmplPuppet("smpl", openpose)
    motion = someone(puppet)
    body = puppet.person(puppet.shape(motion.build))
    names, expected = (KEYPOINT_NAMES, "body25") if openpose else (COCO23.names, "coco23")
    rows = [KEYPOINT_NAMES.index(name) for name in names]
    found = keypoints_of(puppet, motion)[:, rows]
    assert (found - body.keypoints(body(puppet.pose(motion)), expected)).abs().max() < 1e-4


@pytest.mark.parametrize("model_type", ["smplh", "smplx"])
def test_of_models_with_fingers_too_whose_hands_and_face_rest(model_type):
    puppet = SmplPuppet(model_type)
    motion = someone(puppet)
    body, pose = puppet.person(puppet.shape(motion.build)), puppet.pose(motion)
    assert (keypoints_of(puppet, motion) - body.keypoints(body(pose), "body25")).abs().max() < 1e-4
    names = puppet.body.skeleton.names
    rest = [names.index(name) - 1 for name in ("jaw", "left_index1", "right_thumb2", "left_eyeball")
            if name in names]
    assert len(rest) >= 2 and float(pose.rotations[:, rest].abs().max()) < 1e-3  # flat hands, closed mouth


def test_single_vertices_are_those_of_the_posed_body_bent_as_the_pose_bends_them(puppet):
    motion, vertex = someone(puppet), torch.arange(0, 6890, 53)
    body, row = puppet.person(puppet.shape(motion.build)), torch.arange(len(vertex)) % 3
    coefficients = puppet.coefficients(motion.build)
    basis, mean = puppet.resting(motion, row, vertex)
    rest = (mean + (coefficients @ basis.flatten(1)).view(3, -1)).T
    found = puppet.vertices_at(puppet.carry(motion, coefficients), rest, row, vertex)
    assert (found - body(puppet.pose(motion)).vertices[row, vertex]).abs().max() < 1e-4


def test_controls_turn_smpl_as_they_turn_anny(puppet, anny):
    """The same motion of both: each limb points the same way, the person's left one to the left."""
    motion = replace(someone(anny), build=anny.build_mean)
    theirs = keypoints_of(anny, motion)
    mine = keypoints_of(puppet, replace(motion, build=torch.zeros(10)))
    for bone in ("shoulder elbow", "elbow wrist", "hip knee", "knee ankle"):
        for side in ("left", "right"):
            one, other = (KEYPOINT_NAMES.index(f"{side}_{end}") for end in bone.split())
            ways = [torch.nn.functional.normalize(points[:, other] - points[:, one], dim=-1)
                    for points in (mine, theirs)]
            assert float((ways[0] * ways[1]).sum(-1).min()) > 0.97, (bone, side)  # 14 degrees
    apart = (mine - mine.mean(1, keepdim=True) - theirs + theirs.mean(1, keepdim=True)).norm(dim=-1)
    assert float(apart.mean()) < 0.06  # of bodies of other builds


def test_the_pelvis_is_where_the_motion_puts_it_whatever_the_shape(puppet):
    motion = someone(puppet)
    posed = puppet.person(puppet.shape(motion.build))(puppet.pose(motion))
    assert (posed.joints[:, 0] - motion.place).abs().max() < 1e-5


def test_the_rest_pose_stands_upright_and_looks_the_way_that_annys_does(puppet):
    body, anny = puppet.body, AnnyBody()
    points = [one.keypoints(one(one.rest_pose()), "body25")[0] for one in (body, anny)]
    nose, left_wrist = KEYPOINT_NAMES.index("nose"), KEYPOINT_NAMES.index("left_wrist")
    for found in points:
        assert float(found[nose, 1]) < -0.1 and float(found[nose, 2]) > 1.2
        assert float(found[left_wrist, 0]) > 0.3
    assert float(body(body.rest_pose()).vertices[..., 2].min()) == pytest.approx(0, abs=1e-4)


# names

def test_every_joint_of_anny_has_one_of_smpl_and_left_stays_left():
    for tree in (SMPL, SMPLX):
        mine, theirs = joints_for_anny(tree), AnnyBody().skeleton
        for joint, one in enumerate(mine):
            assert tree.mirror[one] == mine[theirs.mirror[joint]]
        named = dict(zip(theirs.names, (tree.names[one] for one in mine), strict=True))
        assert named["left_elbow"] == "left_elbow" and named["left_thigh"] == "left_hip"
        assert named["lumbar"] == "spine1" and named["left_small_toe2"] == "left_foot"
    assert named["left_index2"] == "left_index2"  # SMPL-X has fingers


def test_keypoints_are_mixes_whose_left_is_the_mirror_of_their_right():
    for name, mix in SMPL_KEYPOINTS.items():
        assert sum(mix.values()) == pytest.approx(1)
        assert set(mix) <= {*SMPL.names, *SMPL_PICKED}
        other = list(SMPL_KEYPOINTS)[mirrored(list(SMPL_KEYPOINTS))[list(SMPL_KEYPOINTS).index(name)]]
        exchanged = {list(mix)[mirrored(list(mix))[row]]: share for row, share in enumerate(mix.values())} \
            if len(mix) > 1 else {other: 1.0}
        assert SMPL_KEYPOINTS[other] == pytest.approx(exchanged)


def test_picked_vertices_lie_on_the_detections_of_a_real_registered_mesh(real_capture):
    """turning-person's meshes have SMPL's vertices in the published order."""
    capture = real_capture("turning-person")
    picked, _ = keypoint_mix("smpl", 6890, "body25")
    rows = [KEYPOINT_NAMES.index(name) for name in SMPL_PICKED]
    off = []
    for shot in capture.shots:
        seen = capture.keypoints[shot.camera, shot.frame][rows]
        vertices = capture.body(capture.pose(torch.tensor([shot.frame]))).vertices
        pixels = capture.cameras[shot.camera].project(vertices)[0][0, picked]
        off.append((pixels - seen[:, :2]).norm(dim=-1).where(seen[:, 2] > 0.3, torch.nan))
    assert float(torch.stack(off).nanmean(0).max()) < 12  # of 540; exchanged sides are 30 off


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
def fitted(tmp_path_factory):
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
    assert of_vertices == {"surface_uv", "displacement"}  # made here; neither template nor skinning
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
