"""Anny onto registered meshes: its parts against hand computations, the whole on people who are known."""

import json
import math

import numpy as np
import pytest
import roma
import torch

from anr_core.body import Pose, make_surface
from anr_core.body.anny import AnnyBody, Shape
from anr_core.camera import orbit
from anr_core.capture import load_capture
from anr_core.capture.footage import Footage, Take
from anr_core.capture.writing import write_capture
from anr_core.cli import main
from anr_core.prepare import onto_meshes
from anr_core.prepare.fit import fit
from anr_core.prepare.fitting import meshes
from anr_core.prepare.fitting.figures import AnnyFigure
from anr_core.prepare.fitting.meshes import Target, fit_meshes, measured
from anr_core.prepare.fitting.surfaces import described, distances, evenly, fans, partners, vertex_normals
from anr_core.skeleton import ANNY

pytestmark = pytest.mark.slow

UP = torch.tensor([0.0, 0.0, 1.0])
FRAMES = torch.tensor([2, 5, 9])
SHAPE = Shape(gender=0.2, age=0.7, height=0.6)
TRIANGLE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2]])


@pytest.fixture(scope="module")
def figure():
    return AnnyFigure()


def with_steps(monkeypatch, *steps):
    """Fewer of them, and fewer points: for people who are easy."""
    monkeypatch.setattr(meshes, "FINE", 0.04)
    for name, count in zip(("ALONE", "CARRIED", "AGREED", "FOLLOWED"), steps, strict=True):
        monkeypatch.setattr(meshes, name, count)


def someone(shape=SHAPE):
    """A body and three poses: the left arm comes up and a knee bends while the person turns and walks."""
    body, share = AnnyBody(shape), torch.tensor([0.0, 0.6, 1.0])
    rotations = torch.zeros(3, len(ANNY) - 1, 3)
    for joint, axis, angle in (("left_shoulder", 1, -1.2), ("right_hip", 0, -0.6), ("right_knee", 0, 0.9)):
        rotations[:, ANNY.names.index(joint) - 1, axis] = angle * share
    place = body.rest_pose().root_translation + share[:, None] * torch.tensor([0.1, -0.2, 0.0])
    return body, Pose(rotations, (0.5 + 0.4 * share)[:, None] * UP, place)


def coarser(vertices, faces, spacing=0.03):
    """Meshes (F, V, 3) of another topology: vertices in the same cube, in the first frame, become one."""
    cube = np.floor(vertices[0].numpy() / spacing).astype(int)
    merged = torch.from_numpy(np.unique(cube, axis=0, return_inverse=True)[1]).flatten()
    count = torch.bincount(merged)
    found = torch.zeros(len(vertices), len(count), 3).index_add_(1, merged, vertices) / count[:, None]
    corners = merged[faces]
    whole = (corners != corners.roll(1, 1)).all(1)
    return found, corners[whole]


# surfaces

def test_distances_are_those_of_a_triangles_plane_edge_and_corner():
    points = torch.tensor([[0.2, 0.3, 0.5], [0.5, -2.0, 0.0], [-3.0, -4.0, 0.0], [1.0, 1.0, 0.0],
                           [0.2, 0.2, 0.0]])
    vertices, faces = TRIANGLE
    expected = torch.tensor([0.5, 2.0, 5.0, 0.5**0.5, 0.0])
    assert torch.allclose(distances(points, vertices, faces.repeat(12, 1)), expected, atol=1e-6)


def test_normals_lead_out_of_a_body(figure):
    body = figure.puppet.body
    vertices = body(body.rest_pose()).vertices
    further = vertices + 0.01 * vertex_normals(vertices, body.surface.faces)
    widths = [(points.amax(1) - points.amin(1))[0] for points in (vertices, further)]
    assert bool((widths[1] > widths[0]).all())
    normal = vertex_normals(TRIANGLE[0][None], TRIANGLE[1])
    assert torch.equal(normal, UP.expand(1, 3, 3))


def test_one_point_is_kept_of_each_cube():
    points = torch.tensor([[0.01, 0.0, 0.0], [0.02, 0.0, 0.0], [0.11, 0.0, 0.0], [0.19, 0.0, 0.05]])
    assert evenly(points, 0.1).tolist() == [0, 2]


def test_partners_are_those_that_stay_together():
    """A hand on the belly at first, and away from it later."""
    hand, belly = torch.tensor([[[0.0, 0, 0]], [[1.0, 0, 0]]]), torch.tensor([[[0.02, 0, 0]], [[0.02, 0, 0]]])
    theirs = torch.cat([belly - 0.019, hand + 0.03], 1)
    assert partners(hand[:1], theirs[:1]).tolist() == [0]
    assert partners(hand, theirs).tolist() == [1]


def test_of_two_sides_of_a_thin_surface_the_one_that_faces_the_same_way_is_the_partner():
    points = torch.tensor([[[0.0, 0, 0], [0.0, 0, 0.01]]])
    query = described(torch.tensor([[[0.0, 0, 0.002]]]), UP[None, None])
    assert partners(query, described(points, torch.stack([-UP, UP])[None])).tolist() == [1]
    assert partners(query, described(points, torch.stack([UP, UP])[None])).tolist() == [0]


def test_bare_points_of_a_body_have_normals_that_lead_out_in_every_pose():
    body, pose = someone()
    points, faces = coarser(body(pose).vertices, body.surface.faces, 0.025)
    along = (vertex_normals(points, fans(points)) * vertex_normals(points, faces)).sum(-1)
    assert float((along > 0.7).float().mean(1).min()) > 0.85


def test_bare_points_of_a_ball_have_its_normals():
    away = torch.randn(800, 3, generator=torch.Generator().manual_seed(3))
    away = away / away.norm(dim=1, keepdim=True)
    normals = vertex_normals(away[None], fans(torch.stack([away, 2 * away])))
    assert float((normals[0] * away).sum(1).min()) > 0.8


# the figure

def test_the_figures_points_are_the_bodys_vertices(figure):
    body, pose = someone(figure.puppet.shape(figure.puppet.build_mean))
    vertex = torch.arange(0, 13718, 91)
    chosen = figure.choose(vertex)
    found = figure.points(figure.rest(figure.puppet.build_mean, chosen), pose, chosen)
    assert (found - body(pose).vertices[:, vertex]).abs().max() < 1e-5


@pytest.mark.parametrize("metres", [1.2, 1.9])
def test_a_figure_is_as_tall_as_it_should_be(figure, metres):
    height = figure.body(figure.as_tall(metres)).rest_vertices[0, :, 2]
    assert float(height.max() - height.min()) == pytest.approx(metres, abs=0.05)


# the whole

def test_a_person_is_found_again_in_meshes_of_another_topology(figure, monkeypatch):
    """From the wrong side of it, too; the frame in between follows in a window."""
    with_steps(monkeypatch, 60, 60, 120, 50)
    monkeypatch.setattr(meshes, "SPREAD", 2)
    monkeypatch.setattr(meshes, "windows", lambda count: [(0, 2, 0, 1), (1, 3, 1, 3)])
    body, pose = someone()
    truth = body(pose).vertices
    points, faces = coarser(truth, body.surface.faces)
    target = Target(FRAMES, points, faces)
    shape, found = fit_meshes(figure, target, lambda frames: facing(figure, frames, (1.0, 1.0 + math.pi)))
    fitted = figure.body(shape)
    assert found.frame.tolist() == FRAMES.tolist()
    assert float((fitted(found).vertices - truth).norm(dim=-1).mean(1).max()) < 0.02
    rows, apart = measured(fitted, found, target)
    assert rows.tolist() == FRAMES.tolist() and float(apart.mean()) < 0.008
    for joint in ("left_wrist", "right_wrist", "left_knee", "right_ankle", "head"):
        row = ANNY.names.index(joint)
        assert float((fitted(found).joints - body(pose).joints)[:, row].norm(dim=-1).max()) < 0.05


def facing(figure, frames, yaws):
    """A standing person for each frame and yaw, radians about the world's Z."""
    turns = roma.rotvec_to_rotmat(torch.tensor(yaws * len(frames))[:, None] * UP)
    return figure.puppet.pose(figure.puppet.typical(turns, torch.zeros(len(turns), 3)))


def capture_of(folder, cloud):
    """Two cameras' grey pictures, with registered meshes or, a cloud, with points that nobody can draw."""
    body, pose = someone()
    points, faces = coarser(body(pose).vertices, body.surface.faces)
    around = orbit(torch.tensor([[0.0, 0.0, 0.9]]), torch.tensor([0.0, 1.5]), 0.1, 4.0, 0.6, (60, 60), UP)
    takes = [Take(name, frame, np.full((60, 60, 3), 90, np.uint8), None)
             for name in ("front", "side") for frame in FRAMES.tolist()]
    frames = FRAMES.numpy()
    surface = None if cloud else make_surface(points[0], faces, points[0, :, :2].clamp(0, 1), faces)
    arrays = {"mesh_frames": frames[::-1], "vertices": points.flip(0).numpy()}
    folder.mkdir()
    registered = (np.zeros(0, np.int64), None, None) if cloud else (frames, points.numpy(), surface)
    write_capture(Footage("made up", {"front": around[0], "side": around[1]}, {"front": {}, "side": {}},
                          takes, *registered, 5.0, (0.0, 0.0, 1.0), "CC0", foreign=arrays if cloud else None),
                  folder)
    return load_capture(folder)


@pytest.mark.parametrize("cloud", [True, False])
def test_the_command_fits_meshes_where_there_is_nothing_else(tmp_path, monkeypatch, capsys, cloud):
    with_steps(monkeypatch, 20, 10, 20, 10)
    monkeypatch.setattr(onto_meshes, "FACINGS", 2)
    given = capture_of(tmp_path / "capture", cloud)
    before = onto_meshes.registered_meshes(given)
    assert main(["fit", str(given.path)]) == 0
    told = capsys.readouterr().out
    made = load_capture(given.path)
    assert "3 of 3 frames fitted, to meshes of" in told and "mm off in the mean" in told
    assert isinstance(made.body, AnnyBody) and made.poses.frame.tolist() == FRAMES.tolist()
    again = onto_meshes.registered_meshes(made)
    assert torch.equal(again.points, before.points) and torch.equal(again.faces, before.faces)
    assert torch.equal(again.frames, FRAMES)
    body, pose = someone()
    assert float((again.points - coarser(body(pose).vertices, body.surface.faces)[0]).abs().max()) < 1e-6


def test_a_fit_to_meshes_that_cannot_be_had_says_what_to_do(tmp_path, capsys):
    given = capture_of(tmp_path / "capture", cloud=True)
    for options, told in ((["--to", "meshes", "--cameras", "front"], "leave out --cameras"),
                          (["--to", "stars"], "use auto, pictures or meshes"),
                          (["--to", "pictures"], "no keypoints"), (["--cameras", "front"], "no keypoints")):
        assert main(["fit", str(given.path), *options]) == 2
        assert told in capsys.readouterr().err
    (given.path / "foreign.npz").unlink()
    assert main(["fit", str(given.path), "--to", "meshes"]) == 2
    assert "no registered meshes" in capsys.readouterr().err
    assert json.loads((given.path / "capture.json").read_text())["body"] == {"model": None}
    with pytest.raises(ValueError, match="no keypoints"):
        fit(given.path)
