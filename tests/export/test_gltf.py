"""A run's person as .glb: posed by the file's own bytes it is where the body is; who made what; refusals."""

import io
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
import trimesh
from PIL import Image

from anr_core.avatars import Scene
from anr_core.avatars.config import configure
from anr_core.avatars.run import Run
from anr_core.avatars.static import StaticTexture
from anr_core.body import Posed, make_surface
from anr_core.body.anny import AnnyBody, Shape
from anr_core.camera import orbit
from anr_core.capture.posing import make_body
from anr_core.cli import main
from anr_core.export.corners import Corners, on_sheet
from anr_core.export.corrections import corrections
from anr_core.export.handing import CONSENT, Wishes, hand_on
from anr_core.export.influences import anybodys_poses, distances, skin_of
from anr_core.export.morphs import changed
from anr_core.export.rig import KEYS, quaternions
from anr_core.export.staging import driven
from anr_core.motion import read_motion
from anr_core.parts import charted
from anr_core.prepare import prepare
from anr_core.rasterizer import gbuffer
from anr_core.texture import bilinear, table
from anr_core.training import train
from tests.glb import Glb, off, triangles_of
from tests.motion.made_up import bvh_text, walk
from tests.posed_capture import make_posed_capture
from tests.small_pairs import write_pairs

TINY = {"size": 64, "texture_size": 64}
UP = torch.tensor([0.0, 0, 1])
NODE = Path(os.environ.get("ANR_NODE", Path(__file__).parent))  # a folder with node_modules in it


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gltf")
    list(train(make_posed_capture(folder / "capture"), folder / "run", "static", config=TINY))
    return Run.open(folder / "run")


@pytest.fixture(scope="module")
def meshes(small_capture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("meshes") / "run"
    list(train(small_capture, folder, "static", config=TINY))
    return Run.open(folder)


@pytest.fixture(scope="module")
def walking(run, tmp_path_factory):
    """The file of somebody who walks, and the poses that it is to have."""
    folder = tmp_path_factory.mktemp("walking")
    (folder / "walk.bvh").write_text(bvh_text(walk()))
    hand_on(run, folder / "me.glb", Wishes(motion=folder / "walk.bvh"))
    body, motion = make_body(run.body), read_motion(folder / "walk.bvh")
    return Glb(folder / "me.glb"), driven(body, motion, body.rest_pose(), UP, KEYS, 0)


def by_hand(glb, pose):
    """Node rotations that a pose (a batch of one) means, as somebody in an engine would set them."""
    joints = glb.tree["skins"][0]["joints"]
    turns = quaternions(torch.cat([pose.root_rotation[:, None], pose.rotations], 1))[0].numpy()
    return {("rotation", node): turn for node, turn in zip(joints, turns, strict=False)}


def expected(run, pose):
    """(N, 3) the body's vertices in glTF's axes, at the file's corners."""
    x, y, z = make_body(run.body)(pose).vertices[0].T
    return torch.stack([x, z, -y], 1)[Corners(run.static()[0]).vertex].numpy()


# where vertices are


def test_a_file_opens_in_the_a_pose_above_the_origin_with_the_soles_at_height_zero(run, walking):
    glb, _ = walking
    shown = glb.posed({})
    assert off(shown, expected(run, make_body(run.body).rest_pose())).max() < 1
    assert abs(shown[:, 1].min()) < 1e-3
    names = {node.get("name"): place for place, node in enumerate(glb.tree["nodes"])}
    assert glb.tree["nodes"][names["pelvis"]]["translation"][::2] == [0, 0]
    toe = glb.tree["nodes"][names["left_big_toe1"]]["translation"]
    assert toe[2] > 0.05  # from the ankle forwards: who stands there looks along +Z


def test_the_motion_puts_every_vertex_where_the_body_has_it_to_a_millimetre_with_four_joints(run, walking):
    glb, poses = walking
    assert "JOINTS_1" not in glb.attributes  # all that many engines read
    for row in (0, 7, len(poses) // 2, len(poses) - 1):
        assert off(glb.posed(glb.moved(row)), expected(run, poses[row:row + 1])).max() < 1


def test_what_corrects_a_motion_does_so_by_shares(run, walking):
    glb, poses = walking
    names = glb.tree["meshes"][0]["extras"]["targetNames"]
    assert all(name.startswith("correction") for name in names)
    shares = np.stack([glb.moved(row)["weights", 0] for row in range(len(poses))])
    assert shares.shape[1] == len(names) and shares.min() >= 0 and shares.max() <= 1
    without, corrected = [], []
    for row in range(0, len(poses), 8):
        wanted, moved = expected(run, poses[row:row + 1]), glb.moved(row)
        without.append(off(glb.posed(moved | {("weights", 0): np.zeros(len(names))}), wanted).max())
        corrected.append(off(glb.posed(moved), wanted).max())
    assert max(without) > 1.5 * max(corrected)


def test_a_file_without_a_motion_can_take_any_pose_at_its_nodes(run, shaped):
    glb, _ = shaped
    body = make_body(run.body)
    assert off(glb.posed({}, sets=1), expected(run, body.rest_pose())).max() < 1
    poses = anybodys_poses(body)
    for pose in (poses[:1], poses[1:2]):
        wanted, moved = expected(run, pose), by_hand(glb, pose)
        assert off(glb.posed(moved), wanted).max() < 0.05
        first = off(glb.posed(moved, sets=1), wanted)  # all that three.js reads
        assert first.mean() < 0.2 and (first > 1).mean() < 0.05 and first.max() < 20


def test_shapes_beside_a_motion_rest_and_can_be_set_in_it(run, walking, shaped, tmp_path):
    (tmp_path / "walk.bvh").write_text(bvh_text(walk()))
    notes = hand_on(run, tmp_path / "me.glb", Wishes(motion=tmp_path / "walk.bvh", shapes=True))
    glb, body = Glb(tmp_path / "me.glb"), make_body(run.body)
    assert any("holds their weights at 0" in note for note in notes)
    poses, moved = walking[1], glb.moved(7)
    wanted = expected(run, poses[7:8])
    assert off(glb.posed(moved), wanted).max() < 1
    names = glb.tree["meshes"][0]["extras"]["targetNames"]
    shapes = shaped[0].tree["meshes"][0]["extras"]["targetNames"]
    assert names[:len(shapes)] == shapes and not moved["weights", 0][:len(shapes)].any()
    there = AnnyBody(changed(body.shape)["weight+"])(body.rest_pose()).vertices[0].numpy()
    there = there[Corners(run.static()[0]).vertex]
    stout = np.array(glb.tree["meshes"][0]["weights"])
    stout[names.index("weight+")] = 1
    shown = glb.posed({("weights", 0): stout})
    assert off(shown, np.stack([there[:, 0], there[:, 2], -there[:, 1]], 1)).max() < 1
    stout = moved["weights", 0].copy()
    stout[names.index("weight+")] = 1
    other = AnnyBody(changed(body.shape)["weight+"])(poses[7:8]).vertices[0].numpy()
    other = other[Corners(run.static()[0]).vertex]
    wanted = np.stack([other[:, 0], other[:, 2], -other[:, 1]], 1)
    assert off(glb.posed(moved | {("weights", 0): stout}), wanted).mean() < 15


def test_a_motion_of_which_nothing_is_missing_has_no_targets(run):
    body = make_body(run.body)
    poses = body.rest_pose()[torch.zeros(3, dtype=torch.int64)]
    missing = corrections(body, skin_of(body), poses)
    assert missing.targets == {} and missing.weights.shape == (3, 0)
    assert float(missing.moved(missing.weights).abs().max()) == 0


def test_frames_that_no_component_was_made_of_are_corrected_too(run, monkeypatch):
    body = make_body(run.body)
    poses = anybodys_poses(body)[:12]
    monkeypatch.setattr("anr_core.export.corrections.LOOKED_AT", 2)
    monkeypatch.setattr("anr_core.export.corrections.WORST", 3)
    skin = skin_of(body, poses)
    missing = corrections(body, skin, poses)
    assert float(distances(body, skin, poses, missing.moved(missing.weights)).max()) < 0.001


def test_keys_are_at_their_times_and_no_rotation_jumps(walking):
    glb, poses = walking
    animation = glb.tree["animations"][0]
    times = glb.array(animation["samplers"][0]["input"])
    assert animation["name"] == "walk" and np.allclose(times, np.arange(len(poses)) / KEYS)
    for channel in animation["channels"]:
        values = glb.array(animation["samplers"][channel["sampler"]]["output"])
        if channel["target"]["path"] == "rotation":
            assert np.allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)
            assert (values[1:] * values[:-1]).sum(1).min() > 0.9


def test_a_quaternion_stays_on_its_side_past_half_a_turn():
    turns = torch.linspace(0, 4, 9)[:, None, None] * torch.tensor([0.0, 0, torch.pi / 2])
    turns = roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(turns))  # none farther than half a turn
    assert bool(((found := quaternions(turns))[1:] * found[:-1]).sum(-1).min() > 0.8)


def test_weights_are_shares_and_none_is_below_nothing(walking):
    glb, _ = walking
    sets = [name for name in glb.attributes if name.startswith("WEIGHTS")]
    weights = np.concatenate([glb.array(glb.attributes[name]) for name in sets], 1)
    assert weights.min() == 0 and np.allclose(weights.sum(1), 1, atol=1e-6)


# looks


def test_the_file_drawn_by_its_own_arrays_looks_as_the_static_texture_does(run, walking):
    glb, poses = walking
    static, pose = run.static()[0], poses[5:6]
    picture = Image.open(io.BytesIO(glb.bytes(glb.tree["images"][0]["bufferView"])))
    texels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
    faces = torch.from_numpy(triangles_of(glb))
    uv = torch.from_numpy(glb.array(glb.attributes["TEXCOORD_0"]) * np.float32([1, -1]) + np.float32([0, 1]))
    surface = make_surface(range(len(uv)), faces, uv, faces)
    x, y, z = torch.from_numpy(glb.posed(glb.moved(5))).float().T
    posed = torch.stack([x, -z, y], 1)[None]
    camera = orbit(posed.mean(1), torch.tensor([0.4]), 0.1, 3.0, 0.7, (96, 96), UP)
    buffer = gbuffer(Posed(posed, None, surface), camera, (96, 96))
    chart = torch.zeros_like(buffer.part)
    drawn = buffer.image(bilinear(table(texels), (1, *texels.shape[2:]), chart, buffer.uv))
    body = make_body(run.body)
    wanted = static(Scene(body(pose).on(static.surface), camera, (96, 96)))
    assert (buffer.coverage() - wanted.mask).abs().mean() < 0.002
    assert float((drawn - wanted.rgb).abs().mean()) < 0.004


def test_faces_are_counterclockwise_from_outside_and_normals_point_there(walking):
    glb, _ = walking
    triangles = triangles_of(glb)
    a, b, c = glb.array(glb.attributes["POSITION"])[triangles.T].astype(np.float64)
    across = np.cross(b - a, c - a)
    assert (a * across).sum() > 0  # the volume that they enclose
    assert ((across * glb.array(glb.attributes["NORMAL"])[triangles[:, 0]]).sum(1) > 0).mean() > 0.97


def test_charts_a_part_are_found_on_their_sheet():
    surface = charted(AnnyBody().surface)
    static = StaticTexture(configure(system="static", charts_by_part=True, texture_size=8), surface)
    static.initialize(torch.arange(24.0)[:, None, None, None].expand(24, 3, 8, 8) / 24)
    corners = Corners(static)
    atlas = static.pictures()["atlas"][0]
    x, y = (corners.uv * torch.tensor(atlas.shape[::-1])).long().T
    part = torch.zeros(len(x), dtype=torch.int64)
    part[corners.triangles] = surface.part[:, None]
    assert torch.allclose(atlas[y, x], (part - 1) / 24)


def test_one_atlas_keeps_its_places_with_the_origin_at_the_top():
    uv = torch.tensor([[0.0, 0.0], [0.25, 1.0]])
    assert on_sheet(uv, torch.zeros(2).long(), (1, 8, 8)).tolist() == [[0, 1], [0.25, 0]]


# shapes


@pytest.fixture(scope="module")
def shaped(run, tmp_path_factory):
    file = tmp_path_factory.mktemp("shaped") / "me.glb"
    learned = replace(run, config=replace(run.config, system="gaussian"))
    notes = hand_on(learned, file, Wishes(shapes=True))
    return Glb(file), notes


def test_a_morph_target_makes_the_body_that_has_the_changed_shape(run, shaped):
    glb, notes = shaped
    mesh, body = glb.tree["meshes"][0], make_body(run.body)
    names = mesh["extras"]["targetNames"]
    assert len(names) == len(mesh["weights"]) == len(mesh["primitives"][0]["targets"]) > 15
    assert any("height+" in note for note in notes)
    for name in ("weight+", "height-"):
        other = AnnyBody(changed(body.shape)[name])(body.rest_pose()).vertices[0].numpy()
        other = other[Corners(run.static()[0]).vertex]
        wanted = np.stack([other[:, 0], other[:, 2], -other[:, 1]], 1)
        assert off(glb.posed({}, added=glb.target(names.index(name))), wanted).max() < 1


def test_an_end_that_is_near_is_no_change():
    names = changed(Shape(gender=0.02, weight=0.5))
    assert "gender-" not in names and {"gender+", "weight-", "weight+", "age-"} <= set(names)
    assert names["age-"].age == pytest.approx(-1 / 3)


# registered meshes


def test_registered_meshes_give_the_first_trained_one_upright_above_the_origin(meshes, tmp_path):
    notes = hand_on(meshes, tmp_path / "me.glb")
    glb, capture = Glb(tmp_path / "me.glb"), meshes.capture()
    assert "skins" not in glb.tree and "JOINTS_0" not in glb.attributes
    assert "frame 0" in notes[0] and "fit CAPTURE --to meshes" in notes[0]
    shown = glb.array(glb.attributes["POSITION"])
    up = capture.body.vertices[0] @ torch.tensor(meshes.up)
    assert shown[:, 1].min() == pytest.approx(0, abs=1e-5)
    assert shown[:, 1].max() == pytest.approx(float(up.max() - up.min()), abs=1e-4)


# what others make of it


def test_trimesh_loads_mesh_and_texture(run, walking):
    glb, _ = walking
    scene = trimesh.load(glb.file, process=False)
    loaded, = scene.geometry.values()
    corners = Corners(run.static()[0])
    assert loaded.faces.shape == (27420, 3) and np.array_equal(loaded.faces, corners.triangles)
    assert np.allclose(loaded.vertices, glb.array(glb.attributes["POSITION"]))
    assert loaded.visual.material.baseColorTexture.size == (64, 64)
    assert np.allclose(loaded.visual.uv, corners.uv.numpy() * [1, -1] + [0, 1], atol=1e-6)


def of_node(*words):
    missing = [name for name in ("gltf-validator", "three") if not (NODE / "node_modules" / name).is_dir()]
    if shutil.which("node") is None or missing:
        pytest.skip("needs node, and a folder that ANR_NODE names: npm install gltf-validator three")
    script = Path(__file__).with_name("gltf.mjs")
    done = subprocess.run(["node", script, NODE, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_khronos_validator_finds_nothing(walking, shaped, meshes, tmp_path):
    hand_on(meshes, tmp_path / "me.glb")
    for file in (walking[0].file, shaped[0].file, tmp_path / "me.glb"):
        assert of_node(file, "validate")["messages"] == []


def test_three_js_shows_what_the_body_shows(run, walking):
    glb, poses = walking
    rows, some = (3, 20), np.arange(0, len(glb.array(glb.attributes["POSITION"])), 7)
    told = of_node(glb.file, "pose", ",".join(str(row / KEYS) for row in rows), ",".join(map(str, some)))
    assert told["material"] == "MeshBasicMaterial"  # without light
    for row, found in zip(rows, told["found"], strict=True):
        assert off(np.array(found), expected(run, poses[row:row + 1])[some]).max() < 1


# whose it is


def test_the_file_says_whose_it_is_and_that_a_person_must_agree(walking, run):
    asset = walking[0].tree["asset"]
    assert run.licence == "CC0" and "CC0" in asset["copyright"] and CONSENT in asset["copyright"]
    assert asset["extras"] == {"licence": "CC0", "consent": CONSENT}


def test_a_learned_renderer_stays_behind_and_the_notes_say_so(shaped):
    glb, notes = shaped
    assert "not what gaussian learned" in notes[-1]
    assert "animations" not in glb.tree


# refusals


def refused(run, words, capsys):
    """What the command says of a run, on the one line that it says."""
    out = run.path.parent / "refused.glb"
    assert main(["export", str(run.path), str(out), *words]) == 2 and not out.exists()
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said


def test_a_mesh_a_frame_is_neither_moved_nor_shaped(meshes, capsys):
    for words in (["--shapes"], ["--motion", "walk.bvh"]):
        assert "fit CAPTURE --to meshes" in refused(meshes, words, capsys)


def test_networks_and_sizes_are_of_other_files(run, capsys):
    assert "leave out" in refused(run, ["--sampled"], capsys)
    assert "leave out" in refused(run, ["--size", "64"], capsys)


def test_a_motion_that_is_not_there_is_named(run, capsys):
    assert "no.bvh does not exist" in refused(run, ["--motion", "no.bvh"], capsys)


def test_pairs_of_pictures_have_no_mesh(tmp_path, capsys):
    capture = prepare(write_pairs(tmp_path / "pairs"), tmp_path / "capture")
    list(train(capture, tmp_path / "run", "smplpix", steps=1, config={"size": 32, "width": 4, "batch": 1}))
    assert "no body" in refused(Run.open(tmp_path / "run"), [], capsys)


def test_a_body_of_the_smpl_family_may_not_be_passed_on(run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    replace(run, path=folder, body={"model": "smplx", "variant": "neutral", "betas": [0.0]}).save()
    said = refused(Run.open(folder), [], capsys)
    assert "SMPLX" in said and "licence" in said
