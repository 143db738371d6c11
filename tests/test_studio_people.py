"""The studio's people: who they are, what they wear, how they move."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from anr_core.body import Pose
from anr_core.camera import Camera, orbit
from anr_core.prepare.studio.cloth import Cloth, Threads
from anr_core.prepare.studio.exercises import Script, write_script
from anr_core.prepare.studio.movement import SIDES, Rig, animate, two_bones
from anr_core.prepare.studio.patterns import Pattern, edges_of, pack, rim_of, skips_of, triangles
from anr_core.prepare.studio.people import figure_of, moments, subject
from anr_core.rasterizer import rasterize, vertex_normals

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def person():
    return subject(0)


@pytest.fixture(scope="module")
def film(person):
    return list(moments(person, 12, 4))


@pytest.fixture(scope="module")
def rig(person):
    body = person.body
    posed = body(body.rest_pose())
    return Rig(body.skeleton.names, body.skeleton.parents, posed.joints[0].double().numpy(), 0.0)


# sewing

def grid(name, keys):
    places = np.stack(np.meshgrid(np.arange(3.0), [0.0], np.arange(3.0)), -1)[0].swapaxes(0, 1)
    return name, keys, places


def test_edges_with_equal_keys_are_sewn():
    pattern = Pattern()
    pattern.sheet(*grid("one", [[("a", c, r) for c in range(3)] for r in range(3)]))
    pattern.sheet(*grid("two", [[("a", 2, r), ("b", 1, r), ("b", 2, r)] for r in range(3)]))
    quads = np.concatenate(pattern.quads)
    assert len(pattern.places) == 9 + 6
    assert len(rim_of(quads)) == 12  # of a sheet of 4 x 2 cells
    assert len(edges_of(quads)) == 3 * 4 + 5 * 2
    assert len(skips_of(quads)) == 3 * 3 + 5 * 1  # across the seam too
    assert len(triangles(quads)) == 16


def test_sheets_are_laid_out_apart_at_one_scale():
    pattern = Pattern()
    pattern.sheet(*grid("one", [[("a", c, r) for c in range(3)] for r in range(3)]))
    pattern.sheet(*grid("two", [[("b", c, r) for c in range(3)] for r in range(3)]))
    uv, boxes, metres = pack(pattern.sheets, pattern.places)
    for name, piece in zip(("one", "two"), uv, strict=True):
        left, bottom, right, top = boxes[name]
        assert piece.min() >= 0 and piece.max() <= 1
        np.testing.assert_allclose([(right - left) * metres, (top - bottom) * metres], 2, atol=1e-9)
    assert boxes["one"][2] < boxes["two"][0] or boxes["one"][3] < boxes["two"][1]


def test_charts_of_cloth_don_t_overlap(person):
    for layer in person.layers:
        if layer.name == "skin":
            continue
        corners = layer.uv[layer.uv_faces].astype(float)
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2
        places = torch.tensor(np.pad(corners.reshape(-1, 2) * [1, -1] + [0, 1], ((0, 0), (0, 1)),
                                     constant_values=1.0))
        camera = Camera(torch.tensor([[[512.0, 0, 0], [0, 512, 0], [0, 0, 1]]]), torch.eye(3)[None],
                        torch.zeros(1, 3), projection="weak")
        seen = rasterize(places[None].float(), torch.arange(len(places)).view(-1, 3), camera, (512, 512))
        assert float((seen.face_id >= 0).float().mean()) == pytest.approx(area, rel=0.03), layer.name


# moving

def test_two_bones_reach_their_target(rig):
    names = ("left_hip", "left_knee", "left_ankle")
    target = np.array([[0.1, -0.2, -0.6], [0, 0.1, -0.7]])
    upper, hinge = two_bones(rig, names, target, np.array([[1.0, 0, 0]] * 2), np.array([1.0, 0, 0]))
    hip, knee, ankle = (rig.at(name) for name in names)
    reached = (upper @ (knee - hip)[:, None] + upper @ hinge @ (ankle - knee)[:, None])[..., 0]
    np.testing.assert_allclose(reached, target, atol=1e-9)


def test_planted_feet_stay_and_none_sinks(person, rig):
    script = Script(np.random.default_rng(0), rig.length("leg"))
    script.key(0.5, height=0.7, pelvis=(0.4, 0.1, 0.3))
    script.key(0.5, height=0.9, sway=(0.1, 0.05))
    rotations, root, place = animate(rig, script, np.linspace(0, script.time, 9))
    skin = _posed(person.body, rotations, root, place)
    for side in SIDES:
        feet = figure_of(person.body).moved_by(f"{side}_ankle") == 1
        assert np.abs(skin[:, feet] - skin[:1, feet]).max() < 1e-3
    assert np.abs(skin[..., 2].min(1)).max() < 2e-3


@pytest.mark.parametrize("seed", range(4))
def test_a_person_moves_as_smoothly_as_people_do(rig, seed):
    script = write_script(np.random.default_rng(seed), rig.length("leg"), 12 + seed, 3)
    rotations, _, place = animate(rig, script, np.arange(0, 15 + seed, 1 / 100))
    assert np.linalg.norm(np.diff(place, axis=0), axis=1).max() * 100 < 2.5  # metres a second, of the hips
    for name, value in rotations.items():
        turn = Rotation.from_rotvec(value)
        assert (turn[:-1].inv() * turn[1:]).magnitude().max() * 100 < 25, name  # radians a second, in a punch


def test_knees_and_elbows_bend_one_way_only(rig):
    script = write_script(np.random.default_rng(2), rig.length("leg"), 8, 4)
    rotations, _, _ = animate(rig, script, np.linspace(0, 12, 300))
    for name in ("left_knee", "right_knee"):
        assert rotations[name][:, 0].min() > -0.2 and rotations[name][:, 0].max() < 2.6


def _posed(body, rotations, root, place):
    table = torch.zeros(len(root), len(body.skeleton) - 1, 3)
    for name, value in rotations.items():
        table[:, body.skeleton.names.index(name) - 1] = torch.as_tensor(value).float()
    return body(Pose(table, torch.as_tensor(root).float(), torch.as_tensor(place).float())).vertices.numpy()


# cloth

def pendulum(pull, floor=-5.0):
    """One particle on a thread of 10 cm from a fixed one, over a body of one triangle below it."""
    body = np.array([[0.08, 0, floor], [0.12, 0, floor], [0.1, 0.04, floor]])
    threads = Threads(
        rest=np.array([[0, 0, 0], [0.1, 0, 0]]), joints=np.zeros((2, 8)), weights=np.eye(8)[[0, 0]],
        pairs=np.array([[0, 1]]), lengths=np.array([0.1]), stiffness=np.ones((1, 2)),
        pull=np.array([1.0, pull]), tether=np.full(2, 9.0), drag=np.full(2, 3.0), clearance=np.full(2, 0.01),
        contacts=np.array([[-1, -1], [0, -1]]), range=np.ones(2),
        neighbours=np.array([[1, 2, *[-1] * 8]] * 3), faces=np.array([[0, 1, 2]]),
        region=np.zeros(3))
    return Cloth(threads, body, np.zeros((3, 8)), np.eye(8)[[0, 0, 0]])


def test_cloth_hangs_down_where_nothing_holds_it():
    cloth, still = pendulum(0.0), np.eye(4)[None]
    cloth.start(still)
    for _ in range(240):
        cloth.advance(still)
    np.testing.assert_allclose(cloth.places.numpy(), [[0, 0, 0], [0, 0, -0.1]], atol=2e-3)


def test_cloth_that_is_sewn_on_goes_where_the_body_goes():
    cloth, moved = pendulum(1.0), np.eye(4)[None].copy()
    cloth.start(moved)
    moved[0, :3, 3] = 0.1, 0.2, 0.3
    cloth.advance(moved)
    np.testing.assert_allclose(cloth.places.numpy(), [[0.1, 0.2, 0.3], [0.2, 0.2, 0.3]], atol=1e-6)


def test_cloth_lags_behind_the_body_and_swings():
    cloth, moved = pendulum(0.0), np.eye(4)[None].copy()
    cloth.start(moved)
    for _ in range(240):
        cloth.advance(moved)
    swing = []
    for tick in range(60):
        moved[0, 0, 3] = min(tick * 0.02, 0.2)
        cloth.advance(moved)
        swing.append(float(np.diff(cloth.places.numpy()[:, 0])[0]))
    assert min(swing) < -0.02 and max(swing) > 0.005  # behind first, then beyond


def test_cloth_stays_out_of_what_it_touches():
    cloth, still = pendulum(0.0, floor=-0.02), np.eye(4)[None]
    cloth.start(still)
    for _ in range(120):
        cloth.advance(still)
    assert cloth.places.numpy()[1, 2] == pytest.approx(-0.02 + 0.01, abs=1e-3)  # above the floor, clear of it


# people

def test_the_same_number_gives_the_same_bytes_and_another_one_another_person(person, film):
    again, other = subject(0), subject(1)
    assert all(np.array_equal(a.uv, b.uv) for a, b in zip(person.layers, again.layers, strict=True))
    first = next(moments(again, 12, 4))
    for name, vertices in film[0].vertices.items():
        assert np.array_equal(vertices, first.vertices[name]), name
    assert other.looks != person.looks


def test_a_film_is_a_warm_up_and_then_punches(film):
    assert [moment.frame for moment in film] == list(range(12))
    motions = [moment.motion for moment in film]
    assert motions == sorted(motions, reverse=True) and set(motions) == {"warm-up", "punching"}


def test_layers_and_vertices_belong_together(person, film):
    names = [layer.name for layer in person.layers]
    assert names[0] == "skin" and {"shirt", "shoes", "hair"} < set(names)
    for layer in person.layers:
        assert layer.faces.dtype == layer.uv_faces.dtype == np.int64
        assert layer.faces.shape == layer.uv_faces.shape
        assert layer.uv.min() >= 0 and layer.uv.max() <= 1 and layer.uv_faces.max() == len(layer.uv) - 1
        for moment in film:
            vertices = moment.vertices[layer.name]
            assert vertices.dtype == np.float32 and np.isfinite(vertices).all()
            assert layer.faces.max() == len(vertices) - 1
    assert len(film[0].vertices["skin"]) == len(person.body.rest_vertices[0])


def test_the_rate_of_pictures_doesn_t_change_what_happens(person):
    slow = list(moments(person, 4, 5))
    fast = list(moments(person, 8, 10))
    for k in range(3):
        a, b = slow[k], fast[2 * k]
        if a.motion == b.motion == "warm-up":
            assert np.abs(a.vertices["skin"] - b.vertices["skin"]).max() < 1e-4
            assert np.abs(a.vertices["shirt"] - b.vertices["shirt"]).max() < 1e-3


def test_people_stand_on_the_floor_in_their_shoes(film):
    for moment in film:
        assert abs(moment.vertices["shoes"][:, 2].min()) < 0.02


def test_the_naked_body_fills_between_80_and_92_percent_of_the_dressed_outline(person, film):
    shares = []
    for moment in film[::3]:
        for azimuth in (0.0, 1.2, 2.6, 4.0):
            camera = orbit(torch.tensor([0, 0, 0.95]), azimuth, 0.2, 4.2, 0.5, (256, 256), (0, 0, 1))
            naked, dressed = (_outline(person, moment, camera, layers) for layers in (1, None))
            shares.append(float((naked & dressed).sum() / (naked | dressed).sum()))
    assert 0.8 < np.mean(shares) < 0.92


def _outline(person, moment, camera, count):
    vertices, faces, start = [], [], 0
    for layer in person.layers[:count]:
        vertices.append(torch.from_numpy(moment.vertices[layer.name]))
        faces.append(torch.from_numpy(layer.faces) + start)
        start += len(vertices[-1])
    return rasterize(torch.cat(vertices)[None], torch.cat(faces), camera, (256, 256)).face_id >= 0


def test_cloth_doesn_t_reach_into_the_body(person, film):
    figure = figure_of(person.body)
    trunk = figure.moved_by("neck_upper", "left_hip", "right_hip", "left_elbow", "right_elbow") < 0.1
    threads, part = person.threads, person.parts["shirt"]
    no_sleeve = threads.region[threads.contacts[part, 0]] == 0
    for moment in film[::4]:
        skin = torch.from_numpy(moment.vertices["skin"])
        normals = vertex_normals(skin[None], torch.from_numpy(figure.faces))[0].numpy()[trunk]
        skin, cloth = skin.numpy()[trunk], moment.vertices["shirt"][no_sleeve]
        distance, near = cKDTree(skin).query(cloth)
        depth = ((cloth - skin[near]) * normals[near]).sum(1)[distance < 0.02]
        assert np.quantile(depth, 0.01) > -0.006


def test_hair_keeps_to_the_head(film, person):
    head = person.body.skeleton.names.index("head")
    for moment in film:
        joint = person.body(moment.pose).joints[0, head].numpy()
        assert np.linalg.norm(moment.vertices["hair"] - joint, axis=1).max() < 0.4
