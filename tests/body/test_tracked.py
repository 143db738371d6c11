import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anr_core.body import Pose, TrackedBody, make_surface, unwrap

DATA = Path(os.environ.get("ANR_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))
TETRAHEDRON = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
FACES = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]
UV = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]


def body_at(frames, interpolate=False):
    """The tetrahedron, at x = frame number."""
    shift = torch.tensor([[float(frame), 0, 0] for frame in frames])
    surface = make_surface(TETRAHEDRON, FACES, UV)
    return TrackedBody(frames, TETRAHEDRON + shift[:, None], surface, interpolate)


def mesh_of(body, *frames):
    return body(Pose.of_frame(torch.tensor(frames))).vertices


def test_a_frame_gives_its_own_mesh_whatever_the_order_of_registration():
    body = body_at([30, 10, 20])
    meshes = mesh_of(body, 20, 10, 20)
    torch.testing.assert_close(meshes[:, 0, 0], torch.tensor([20.0, 10.0, 20.0]))
    posed = body(Pose.of_frame(torch.tensor([10])))
    assert posed.joints is None and posed.surface is body.surface and body.skeleton is None


def test_a_mesh_goes_to_another_surfaces_device_joints_and_all():
    body = body_at([10])
    elsewhere = body.surface.to("meta")
    posed = body(Pose.of_frame(torch.tensor([10])))
    assert posed.on(elsewhere).joints is None
    moved = replace(posed, joints=torch.zeros(1, 2, 3)).on(elsewhere)
    assert moved.surface is elsewhere and moved.vertices.is_meta and moved.joints.is_meta


def test_a_frame_between_two_is_their_mixture():
    body = body_at([10, 20, 40], interpolate=True)
    meshes = mesh_of(body, 10, 13, 20, 25, 40)
    expected = torch.tensor([10.0, 13.0, 20.0, 25.0, 40.0])[:, None, None] * torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(meshes, TETRAHEDRON + expected)
    torch.testing.assert_close(mesh_of(body, 12.5)[0, 0, 0], torch.tensor(12.5))


@pytest.mark.parametrize("frame, interpolate, message", [
    (15, False, "Frame 15 has no mesh: 2 frames from 10 to 20 are registered.*interpolated"),
    (9, True, "Frame 9 has no mesh: 2 frames from 10 to 20 are registered"),
    (21, True, "Frame 21 has no mesh"),
    (21, False, "Frame 21 has no mesh"),
])
def test_an_unregistered_frame_is_refused_with_the_registered_range(frame, interpolate, message):
    with pytest.raises(ValueError, match=message):
        mesh_of(body_at([10, 20], interpolate), 10, frame)


def test_nan_vertices_are_refused_by_frame():
    vertices = TETRAHEDRON.repeat(3, 1, 1)
    vertices[1, 2, 0] = float("nan")
    with pytest.raises(ValueError, match="mesh of frame 7 holds NaN"):
        TrackedBody([5, 7, 9], vertices, make_surface(TETRAHEDRON, FACES, UV))


def test_a_frame_registered_twice_is_refused():
    with pytest.raises(ValueError, match="Frame 7 is registered more than once"):
        body_at([5, 7, 7])


def test_a_pose_without_a_frame_is_refused():
    with pytest.raises(ValueError, match="Pose.of_frame"):
        body_at([1])(Pose(torch.zeros(1, 0, 3), torch.zeros(1, 3), torch.zeros(1, 3)))


def test_meshes_stay_out_of_the_checkpoint_and_follow_the_module():
    body = body_at([1, 2])
    assert body.state_dict() == {}
    body.to("meta")
    assert body.vertices.is_meta and body.surface.faces.is_meta


@pytest.mark.parametrize("change, message", [
    ({"faces": [[0, 1, 4]]}, "faces names indices from 0 to 4, but there are 4"),
    ({"faces": [[0, 1, 2, 3]]}, r"faces has shape \(1, 4\).*triangulate"),
    ({"uv_faces": [[0, 1, 2]]}, "4 faces but 1 uv_faces"),
    ({"uv": [[0.0, 0.0], [1.5, 0.0], [0.0, 1.0], [1.0, 1.0]]}, r"between 0 and 1.5, expected \[0, 1\]"),
])
def test_a_surface_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make_surface(TETRAHEDRON, **{"faces": FACES, "uv": UV} | change)


def cube(cells):
    """A cube of cells x cells quads a side, each of two triangles; the sides share no vertices."""
    s, t = np.meshgrid(np.arange(cells + 1), np.arange(cells + 1), indexing="ij")
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()[:, None]
    faces = np.concatenate([corner + [0, cells + 1, 1], corner + [1, cells + 1, cells + 2]])
    sides = [np.roll(np.stack([s.ravel(), t.ravel(), np.full(s.size, depth)], -1), axis, 1)
             for axis in range(3) for depth in (0, cells)]
    return np.concatenate(sides) / cells, np.concatenate([faces + i * s.size for i in range(6)])


def test_an_unwrapped_atlas_overlaps_nowhere_and_covers_every_face():
    vertices, faces = cube(4)
    surface = make_surface(vertices, faces)
    corners = surface.uv[surface.uv_faces]
    edge, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = (edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0]).abs() / 2
    assert (area > 0.1 / len(faces) / 2).all()
    # throw darts: no point of the atlas may lie in two triangles
    darts = torch.rand(4000, 1, 2, generator=torch.Generator().manual_seed(0))
    offset = darts - corners[:, 0]
    scale = edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0]
    a = (offset[..., 0] * other[:, 1] - offset[..., 1] * other[:, 0]) / scale
    b = (edge[:, 0] * offset[..., 1] - edge[:, 1] * offset[..., 0]) / scale
    hits = ((a > 1e-4) & (b > 1e-4) & (a + b < 1 - 1e-4)).sum(1)
    assert hits.max() == 1
    assert abs(hits.float().mean() - area.sum()) < 0.03


def test_a_vertex_far_beyond_any_body_is_refused_before_charts_are_packed():
    vertices, faces = cube(3)
    vertices = np.array(vertices)
    vertices[0] = 1e6
    with pytest.raises(ValueError, match="reaches over 1e.06 m, which is no body"):
        unwrap(vertices, faces)


def test_unwrapping_gives_the_same_bytes_every_time():
    first, second = unwrap(*cube(3)), unwrap(*cube(3))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("file", ["turning-person/mesh.npz", "beam-walker/anny_registration.npz"])
def test_the_registered_captures_are_tracked_bodies(file):
    if not (DATA / file).exists():
        pytest.skip(f"{DATA / file} is missing; set ANR_DATA to the folder of captures")
    mesh = np.load(DATA / file)
    surface = make_surface(mesh["vertices"][0], mesh["faces"], mesh["uv"], mesh["uv_faces"])
    body = TrackedBody(mesh["frames"], mesh["vertices"], surface)
    np.testing.assert_array_equal(mesh_of(body, int(mesh["frames"][3]))[0], mesh["vertices"][3])
