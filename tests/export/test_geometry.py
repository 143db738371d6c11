"""The surface of a volume as a mesh: its place, its colours, what is left out, how it is written."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import roma
import torch
import trimesh

from anr_core.avatars import Scene
from anr_core.avatars.hull import hull_of
from anr_core.avatars.run import Run
from anr_core.cli import main
from anr_core.export.geometry import Extracted, compared, extract, grazed, whole, write_mesh
from anr_core.export.turntable import turned
from anr_core.export.volumes import hulled
from anr_core.prepare.studio.annotations import write_layers, write_surface
from anr_core.training import train
from anr_core.volume.tracing import Tracer

TINY = {"size": 64, "width": 4, "code": 4, "hidden": 16, "latent": 8, "voxel": 0.03, "samples": 12,
        "rays": 64}
RADIUS, FACTOR = 0.12, 400.0


@pytest.fixture(scope="module")
def run(small_capture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh") / "run"
    for _ in train(small_capture, folder, "neural-body", steps=1, config=TINY):
        pass
    return Run.open(folder)


@pytest.fixture
def balls(run, monkeypatch):
    """Its avatar with a made-up field: a red ball in the torso, dense, and a speck beside it."""
    avatar, capture = run.avatar(), run.capture()
    posed = capture.body(capture.pose(torch.tensor([0]))).on(avatar.surface)
    middle = posed.vertices[0].mean(0)
    speck = middle + torch.tensor([0.16, 0, 0])

    def met(self, item, points):
        def inside(centre, radius):
            return (FACTOR * (radius - (points - centre).norm(dim=1)) + grazed(TINY["voxel"])).clamp(min=0)

        density = torch.maximum(inside(middle, RADIUS), inside(speck, 0.009))
        if self.hull is not None:
            density = density * self.hull(points)
        return density, density[:, None], torch.arange(len(points))

    def rgb(hidden, latent, points, directions):
        # red grows with how squarely the ball is seen
        outward = torch.nn.functional.normalize(points - middle, dim=1)
        red = -(outward * directions).sum(1, keepdim=True)
        return torch.cat([red, torch.zeros(len(points), 2)], 1)

    monkeypatch.setattr(Tracer, "_met", met)
    avatar.field.rgb = rgb
    return avatar, posed, middle


def test_a_ball_of_density_becomes_a_ball_seen_squarely_without_its_speck(balls):
    avatar, posed, middle = balls
    made = extract(avatar, posed, 0, voxel=0.01)
    radii = np.linalg.norm(made.vertices - middle.numpy(), axis=1)
    assert np.abs(radii - RADIUS).max() < 0.002
    found = trimesh.Trimesh(made.vertices, made.faces, process=False)
    assert found.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.03)
    assert (made.floaters, made.cavities) == (1, 0)
    assert made.colours[:, 0].min() > 0.9 and made.colours[:, 1:].max() == 0


def test_a_hull_cuts_the_surface_and_does_not_stay(balls):
    avatar, posed, middle = balls
    made = extract(avatar, posed, 0, voxel=0.02, hull=lambda points: points[:, 2] < middle[2])
    assert made.vertices[:, 2].max() < middle[2] + 0.02
    assert avatar.hull is None


def test_floaters_and_cavities_are_left_out():
    ball = trimesh.creation.icosphere(subdivisions=2)
    speck = trimesh.creation.icosphere(subdivisions=1, radius=0.03)
    speck.apply_translation([3, 0, 0])
    cavity = trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    cavity.invert()
    joined = trimesh.util.concatenate([speck, cavity, ball])
    vertices, faces, floaters, cavities = whole(np.asarray(joined.vertices), np.asarray(joined.faces))
    assert (len(vertices), len(faces), floaters, cavities) == (len(ball.vertices), len(ball.faces), 1, 1)
    np.testing.assert_allclose(vertices[faces].sum(1), ball.triangles.sum(1), atol=1e-9)


@pytest.mark.slow
def test_nearness_to_a_true_surface_of_layers_is_told_where_there_is_one(small_capture, tmp_path):
    posed = small_capture.body(small_capture.pose(torch.tensor([0])))
    vertices, faces = posed.vertices[0].numpy(), posed.surface.faces.numpy()
    apart = SimpleNamespace(faces=faces, uv=posed.surface.uv.numpy(), uv_faces=posed.surface.uv_faces.numpy())
    write_layers(tmp_path / "surface", ["skin", "shirt"], [apart, apart])
    write_surface(tmp_path / "surface" / "0000.npz", {"skin": vertices, "shirt": vertices + 0.01})
    made = Extracted(vertices + np.float32(0.01), faces, vertices, 5.0, 0, 0, torch.tensor([0.0, 0, 1]))
    capture = replace(small_capture, path=tmp_path)
    rows = [line.split() for line in compared(made, {"body": posed}, capture, 0)[1:]]
    assert [name for name, *_ in rows] == ["mesh", "body", "itself"]
    assert all(float(chamfer) < 15 for _, chamfer, *_ in rows)  # the layers are 17 mm apart
    assert compared(made, {"body": posed}, capture, 1) == []


# files


@pytest.fixture(scope="module")
def quarters():
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.4)
    vertices = np.asarray(ball.vertices, np.float32)
    colours = np.where(vertices[:, :1] > 0, [[1, 0.5, 0]], [[0, 0.5, 1]]).astype(np.float32)
    return Extracted(vertices + np.float32([1, 2, 3]), np.asarray(ball.faces), colours, 5.0, 0, 0,
                     torch.tensor([0.0, 0, 1]))


def test_ply_holds_world_metres_and_colours_as_they_are_seen(quarters, tmp_path):
    write_mesh(tmp_path / "new" / "ball.ply", quarters)
    read = trimesh.load(tmp_path / "new" / "ball.ply", process=False)
    np.testing.assert_allclose(read.vertices, quarters.vertices, atol=1e-6)
    assert np.array_equal(read.faces, quarters.faces)
    assert np.abs(read.visual.vertex_colors[:, :3] / 255 - quarters.colours).max() < 0.003
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["ball.ply"]


def test_glb_stands_upright_in_linear_colours_and_is_not_metal(quarters, tmp_path):
    write_mesh(tmp_path / "ball.glb", quarters)
    scene = trimesh.load(tmp_path / "ball.glb", process=False)
    held = next(iter(scene.geometry.values()))
    np.testing.assert_allclose(held.vertices, quarters.vertices, atol=1e-6)
    assert scene.bounds.mean(0)[1] == pytest.approx(3, abs=0.01)  # glTF's Y is what was Z
    raw = (tmp_path / "ball.glb").read_bytes()
    told = json.loads(raw[20:20 + int.from_bytes(raw[12:16], "little")])
    assert told["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert told["meshes"][0]["primitives"][0]["material"] == 0
    green = held.visual.vertex_attributes["color"][:, 1]  # where trimesh keeps those beside a material
    assert set(green.tolist()) == {round(255 * 0.2140)}  # sRGB 0.5


def test_a_turning_mesh_shows_its_other_side(quarters):
    front, back = turned(quarters, 64, 2)
    assert front.shape == (128, 64, 3)
    middles = [picture[32, 32].astype(int) for picture in (front, back)]
    sides = [picture[32, 20].astype(int) for picture in (front, back)]
    assert np.abs(sides[0] - sides[1]).max() > 100 or np.abs(middles[0] - middles[1]).max() > 100
    blue = front[96, 32].astype(int)
    assert blue[2] > 240  # the middle of a ball looks at the camera


# the command


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


def test_the_command_writes_a_mesh_and_tells_of_it(run, tmp_path, capsys, monkeypatch):
    arguments = ["mesh", run.path, tmp_path / "a.ply", "--voxel", 0.03, "--threshold", 0.5, "--frame", 2]
    assert main([str(argument) for argument in arguments]) == 0
    told = capsys.readouterr().out
    assert "frame 2: vertices" in told and "where the density is 0.5 a metre" in told and "a.ply" in told
    assert len(trimesh.load(tmp_path / "a.ply").faces) > 10


def test_bad_input_of_the_command_is_one_line(run, tmp_path, capsys):
    assert "no name of a mesh" in refused(capsys, "mesh", run.path, tmp_path / "a.obj")
    assert "no frame 77" in refused(capsys, "mesh", run.path, tmp_path / "a.ply", "--frame", 77)
    assert "Nothing is denser" in refused(capsys, "mesh", run.path, tmp_path / "a.ply", "--voxel", 0.05,
                                          "--threshold", 1e6)
    assert "would fit" in refused(capsys, "mesh", run.path, tmp_path / "a.ply", "--voxel", 1e-5)
    assert "more than 0" in refused(capsys, "mesh", run.path, tmp_path / "a.ply", "--memory", -1)


def test_a_run_of_another_system_is_told_where_its_mesh_is(small_capture, tmp_path, capsys):
    for _ in train(small_capture, tmp_path / "run", "static"):
        pass
    told = refused(capsys, "mesh", tmp_path / "run", tmp_path / "a.ply")
    assert "static" in told and "--system neural-body" in told
    assert "neural-body" in refused(capsys, "render", tmp_path / "run", tmp_path / "a.jpg", "--memory", 1)
    assert "neural-body" in refused(capsys, "render", tmp_path / "run", tmp_path / "a.jpg", "--hull")


# the hull


def test_the_hull_keeps_the_body_and_drops_what_a_camera_sees_beside_it(small_capture):
    inside = hull_of(small_capture, 0, list(small_capture.cameras))
    vertices = small_capture.body(small_capture.pose(torch.tensor([0]))).vertices[0]
    assert inside(vertices).float().mean() > 0.95  # 0.5 of the body's own outline is within two pixels
    above = vertices[vertices[:, 2].argmax()] + torch.tensor([0.0, 0.0, 0.15])
    assert not inside(above[None]).any()


def test_what_a_picture_does_not_show_or_is_not_certain_of_it_does_not_decide(small_capture):
    inside = hull_of(small_capture, 0, list(small_capture.cameras))
    assert inside(torch.tensor([[0.0, 0.0, 500.0], [300.0, 300.0, 0.0]])).all()
    unmasked = replace(small_capture, shots=[replace(shot, mask=None) for shot in small_capture.shots])
    doubtful = hull_of(unmasked, 0, list(small_capture.cameras))
    body = small_capture.body(small_capture.pose(torch.tensor([0]))).vertices[0]
    assert doubtful(body).all()  # the ring around a drawn mask is not certain


def test_one_camera_is_no_hull(small_capture):
    with pytest.raises(ValueError, match="Frame 0 was seen by one of the training cameras.*two or more"):
        hull_of(small_capture, 0, ["cam01"])
    with pytest.raises(ValueError, match="Frame 99 was seen by none"):
        hull_of(small_capture, 99, ["cam01", "cam02"])


def test_the_hull_turns_and_goes_along_with_the_body(run, small_capture):
    avatar = run.avatar()
    posed = small_capture.body(small_capture.pose(torch.tensor([2])))
    turn = roma.rotvec_to_rotmat(torch.tensor([0.3, 1.0, -2.0]))
    moved = replace(posed, vertices=posed.vertices @ turn.T + torch.tensor([5.0, 0, 1]))
    scenes = hulled(avatar, [Scene(moved, None, (1, 1))], torch.tensor([2]), small_capture,
                    set(small_capture.cameras))
    scene = next(scenes)
    around = posed.vertices[0] + 0.1 * torch.randn(posed.vertices[0].shape, generator=torch.Generator()
                                                   .manual_seed(0))
    there = hull_of(small_capture, 2, small_capture.cameras)(around)
    assert scene.frame.tolist() == [2] and 0.1 < there.float().mean() < 0.9
    assert (avatar.hull(around @ turn.T + torch.tensor([5.0, 0, 1])) == there).float().mean() > 0.99
    assert next(scenes, None) is None and avatar.hull is None


def test_a_strip_is_drawn_within_the_hull_at_whole_frames_alone(run, tmp_path, capsys):
    arguments = ["render", run.path, tmp_path / "a.png", "--hull", "--view", "turn", "--size", 24, "--memory",
                 0.2]
    assert main([str(argument) for argument in arguments]) == 0
    assert "no frame" not in capsys.readouterr().err
