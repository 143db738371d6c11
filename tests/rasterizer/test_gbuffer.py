import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from anr_core.body import Posed, Surface
from anr_core.camera import orbit, pixel_centres
from anr_core.rasterizer import gbuffer, interpolate, rasterize, vertex_normals

SIZE = (40, 32)


def sphere(rings=12, segments=16):
    """A unit sphere, Y up, faces counterclockwise from outside, a UV seam, and two halves as parts."""
    latitude = torch.linspace(-math.pi / 2, math.pi / 2, rings + 1)[:, None]
    longitude = torch.linspace(0, 2 * math.pi, segments + 1)[None]
    grid = torch.stack(torch.broadcast_tensors(latitude.cos() * longitude.sin(), latitude.sin(),
                                               latitude.cos() * longitude.cos()), -1)
    uv = torch.stack(torch.broadcast_tensors(longitude / (2 * math.pi), latitude / math.pi + 0.5), -1)
    first = (torch.arange(rings)[:, None] * (segments + 1) + torch.arange(segments)).flatten()
    uv_faces = torch.cat([torch.stack([first, first + 1, first + segments + 2], -1),
                          torch.stack([first, first + segments + 2, first + segments + 1], -1)])
    vertices, faces = grid.reshape(-1, 3).mul(1e5).round().unique(dim=0, return_inverse=True)  # seam, poles
    vertices = vertices / 1e5
    part = 1 + (vertices[faces[uv_faces]].mean(1)[:, 0] > 0).long()
    return vertices, Surface(faces[uv_faces], uv.reshape(-1, 2), uv_faces, part)


def scene(batch=2, projection="perspective"):
    vertices, surface = sphere()
    moved = torch.stack([vertices + torch.tensor([0.1 * k, 0.0, 0.0]) for k in range(batch)])
    azimuth = 0.4 + torch.arange(batch) * 1.1
    camera = orbit(torch.zeros(3), azimuth, 0.2, 4.0, 0.7, SIZE, torch.tensor([0.0, 1, 0]))
    if projection == "weak":
        camera = camera.as_weak(torch.zeros(batch, 3))
    return Posed(moved, None, surface), camera


def test_interpolating_the_vertices_gives_the_points_that_rays_hit():
    posed, camera = scene()
    buffer = gbuffer(posed, camera, SIZE)
    pixels = pixel_centres(SIZE)[0][buffer.pixels % (SIZE[0] * SIZE[1])]
    for k in range(2):
        mine = buffer.picture == k
        found, depth = camera[k].project(buffer.position[mine][None])
        torch.testing.assert_close(found[0], pixels[mine], atol=2e-3, rtol=0)
        torch.testing.assert_close(depth[0], buffer.depth[mine], atol=1e-5, rtol=0)


def test_rows_and_pictures_are_the_same_values():
    posed, camera = scene()
    buffer = gbuffer(posed, camera, SIZE)
    fragments = rasterize(posed.vertices, posed.surface.faces, camera, SIZE)
    assert torch.equal(buffer.pixels, fragments.pixels)
    assert torch.equal(buffer.image(buffer.depth)[:, 0], fragments.depth)
    assert torch.equal(buffer.image(buffer.barycentric).permute(0, 2, 3, 1), fragments.barycentric)
    assert torch.equal(buffer.coverage()[:, 0] == 1, fragments.face_id >= 0)
    dense = interpolate(fragments, posed.surface.faces, posed.vertices)
    assert torch.equal(dense, buffer.image(buffer.position).permute(0, 2, 3, 1))
    assert dense.shape == (2, *SIZE, 3) and buffer.image(buffer.normal).shape == (2, 3, *SIZE)


def test_uv_and_parts_come_from_the_corners_of_the_seen_face():
    posed, camera = scene()
    buffer = gbuffer(posed, camera, SIZE)
    surface = posed.surface
    expected = (surface.uv[surface.uv_faces[buffer.face]] * buffer.barycentric[..., None]).sum(1)
    torch.testing.assert_close(buffer.uv, expected)
    iuv = buffer.iuv()
    assert torch.equal(iuv[:, 0].unique(), torch.tensor([0.0, 1, 2]))
    assert torch.equal(iuv[:, :1] > 0, buffer.coverage() > 0)
    height = 2 * buffer.position[:, 1].asin() / math.pi  # of the sphere; its facets lie a little inside
    torch.testing.assert_close(2 * buffer.uv[:, 1] - 1, height, atol=0.03, rtol=0)


def test_normals_of_a_sphere_point_outwards():
    posed, camera = scene()
    centre = torch.tensor([[0.0, 0, 0], [0.1, 0, 0]])
    at_vertices = vertex_normals(posed.vertices, posed.surface.faces)
    torch.testing.assert_close(at_vertices, posed.vertices - centre[:, None], atol=0.12, rtol=0)
    buffer = gbuffer(posed, camera, SIZE)
    outwards = functional.normalize(buffer.position - centre[buffer.picture], dim=-1)
    assert (buffer.normal * outwards).sum(-1).min() > 0.99
    torch.testing.assert_close(buffer.normal.norm(dim=-1), torch.ones(len(buffer.pixels)))


@pytest.mark.parametrize("projection", ["perspective", "weak"])
def test_camera_normals_and_facing_see_the_sphere_from_the_front(projection):
    posed, camera = scene(projection=projection)
    buffer = gbuffer(posed, camera, SIZE)
    rows = torch.stack([camera.R[k] @ n for k, n in zip(buffer.picture.tolist(), buffer.normal, strict=True)])
    torch.testing.assert_close(buffer.camera_normal, rows)
    assert buffer.facing.max() > 0.98 and buffer.facing.min() > -0.3
    towards = torch.cat([camera[k].view_directions(buffer.position[buffer.picture == k][None])[0]
                         for k in range(2)])
    torch.testing.assert_close(buffer.facing, (towards * buffer.normal).sum(-1))


def test_vertex_normals_by_hand():
    # two faces that meet at a right angle, and a vertex without a face
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, -2], [9, 9, 9]]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])  # normals +Z, area 1/2, and -X, area 1
    normals = vertex_normals(vertices, faces)[0]
    shared = torch.tensor([-2.0, 0, 1]) / math.sqrt(5)
    expected = [shared, torch.tensor([0.0, 0, 1]), shared, torch.tensor([-1.0, 0, 0]), torch.zeros(3)]
    torch.testing.assert_close(normals, torch.stack(expected))


def test_a_batch_gives_the_same_rows_as_each_alone():
    posed, camera = scene()
    together = gbuffer(posed, camera, SIZE)
    for k in range(2):
        alone = gbuffer(replace(posed, vertices=posed.vertices[k:k + 1]), camera[k], SIZE)
        mine = together.picture == k
        for name in ("face", "part", "uv", "depth", "position", "normal", "camera_normal", "facing"):
            assert torch.equal(getattr(together, name)[mine], getattr(alone, name)), name


def test_autocast_and_the_precision_of_the_camera_change_nothing():
    posed, camera = scene()
    plain, double = gbuffer(posed, camera, SIZE), gbuffer(posed, camera.to(torch.float64), SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        cast = gbuffer(posed, camera, SIZE)
        for name in ("barycentric", "uv", "position", "normal", "camera_normal", "facing"):
            assert torch.equal(getattr(cast, name), getattr(plain, name)), name
            assert getattr(double, name).dtype == torch.float32


def test_gradients_pass_through_normals_and_positions():
    posed, camera = scene(batch=1)
    vertices = posed.vertices.double().requires_grad_()
    buffer = gbuffer(replace(posed, vertices=vertices), camera, SIZE)
    (buffer.normal.square().sum() + buffer.facing.sum() + buffer.depth.sum()).backward()
    assert vertices.grad.isfinite().all() and vertices.grad.abs().sum() > 0

    few = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [0, 2, 4]])
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, faces), few)


def test_attributes_shared_by_the_batch_need_no_batch_axis():
    posed, camera = scene()
    fragments = rasterize(posed.vertices, posed.surface.faces, camera, SIZE)
    colours = torch.rand(posed.vertices.shape[1], 4)
    each = interpolate(fragments, posed.surface.faces, colours.expand(2, -1, -1))
    assert torch.equal(each, interpolate(fragments, posed.surface.faces, colours))


def test_a_camera_that_looks_away_gives_an_empty_buffer():
    posed, camera = scene()
    turn = torch.tensor([-1.0, 1, -1])
    away = replace(camera, R=camera.R * turn[:, None], t=camera.t * turn)
    buffer = gbuffer(posed, away, SIZE)
    assert len(buffer.pixels) == 0 and buffer.normal.shape == (0, 3) and len(buffer.facing) == 0
    assert buffer.iuv().shape == (2, 3, *SIZE) and not buffer.iuv().any() and not buffer.coverage().any()
