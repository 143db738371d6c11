import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anr_core.camera import Camera, orbit, pixel_centres
from anr_core.rasterizer import NEAR, rasterize

DATA = Path(os.environ.get("ANR_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
BACKENDS = ("warp", "reference")
SIZE = (24, 32)


def pinhole(focal=20.0, centre=(16.0, 12.0), **others):
    """One camera at the world's origin, looking along +Z."""
    K = torch.tensor([[[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]]])
    return Camera(K, torch.eye(3)[None], torch.zeros(1, 3), **others)


def mesh(*triangles):
    """Vertices (1, 3 n, 3) and faces (n, 3) of separate triangles."""
    vertices = torch.tensor(triangles, dtype=torch.float32).reshape(1, -1, 3)
    return vertices, torch.arange(vertices.shape[1]).reshape(-1, 3)


def random_mesh(seed, triangles=30, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    middles = spread * torch.randn(1, triangles, 1, 3, generator=generator)
    vertices = (middles + torch.randn(1, triangles, 3, 3, generator=generator)).reshape(1, -1, 3)
    return vertices, torch.arange(3 * triangles).reshape(-1, 3)


def ray_traced(vertices, faces, camera, size):
    """Face (P,), barycentrics (P, 3) and depth (P,) from intersected rays: no edge functions here."""
    camera = camera.to(torch.float64)
    local = camera.straightened(vertices.double())[0].numpy()
    pixels = np.concatenate([pixel_centres(size)[0].double().numpy(), np.ones((size[0] * size[1], 1))], 1)
    direction = pixels @ np.linalg.inv(camera.K[0].numpy()).T
    origin = np.zeros(3)
    if camera.projection == "weak":
        origin, direction = direction * [1, 1, 0], np.array([[0.0, 0.0, 1.0]])
    face, depth = np.full(len(pixels), -1), np.full(len(pixels), np.inf)
    weights = np.zeros((len(pixels), 3))
    near = NEAR if camera.projection == "perspective" else -np.inf
    for number, (a, b, c) in enumerate(local[faces.numpy()]):  # Moeller and Trumbore's test
        with np.errstate(all="ignore"):
            across = np.cross(direction, c - a)
            scale = across @ (b - a)
            second = ((origin - a) * across).sum(-1) / scale
            beside = np.cross(origin - a, b - a)
            third = (direction * beside).sum(-1) / scale
            z = (beside @ (c - a)) / scale
            hit = (second >= 0) & (third >= 0) & (second + third <= 1) & (z >= near) & (z < depth)
        face[hit], depth[hit] = number, z[hit]
        weights[hit] = np.stack([1 - second - third, second, third], -1)[hit]
    return face, weights, depth


def assert_agrees_with_rays(fragments, vertices, faces, camera, size, wrong=0):
    face, weights, depth = ray_traced(vertices, faces, camera, size)
    found = fragments.face_id.flatten().numpy()
    seen = (face >= 0) & (found == face)
    assert (found != face).sum() <= wrong
    assert seen.sum() > 5
    np.testing.assert_allclose(fragments.barycentric.flatten(0, 2).numpy()[seen], weights[seen], atol=2e-4)
    np.testing.assert_allclose(fragments.depth.flatten().numpy()[seen], depth[seen], rtol=1e-5)


def assert_same(left, right):
    for name in ("face_id", "barycentric", "depth"):
        assert torch.equal(getattr(left, name), getattr(right, name)), name


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_triangle_by_hand(backend):
    # corners at pixels (2, 2), (10.25, 2), (2, 10.25), depths 1, 2, 4
    corners = [[(u - 16) / 20 * z, (v - 12) / 20 * z, z]
               for u, v, z in [(2, 2, 1), (10.25, 2, 2), (2, 10.25, 4)]]
    fragments = rasterize(*mesh(corners), pinhole(), SIZE, backend)
    rows, columns = torch.meshgrid(torch.arange(24) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    inside = (columns >= 2) & (rows >= 2) & (columns + rows <= 12.25)
    assert torch.equal(fragments.face_id[0] == 0, inside)
    flat = torch.tensor([8.25 - 0.5 - 2.5, 0.5, 2.5]) / 8.25  # of the sample (2.5, 4.5) in the picture
    expected = flat / torch.tensor([1.0, 2, 4])
    torch.testing.assert_close(fragments.barycentric[0, 4, 2], expected / expected.sum(), atol=1e-5, rtol=0)
    assert fragments.depth[0, 4, 2].item() == pytest.approx(1 / expected.sum().item(), rel=1e-5)
    assert fragments.depth[0, 0, 0] == 0 and not fragments.barycentric[0, 0, 0].any()
    assert torch.equal(fragments.pixels, inside.flatten().nonzero()[:, 0])
    assert torch.equal(torch.unique(fragments.face_id), torch.tensor([-1, 0], dtype=torch.int32))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("projection", ["perspective", "weak"])
def test_agrees_with_traced_rays(backend, projection):
    vertices, faces = random_mesh(1)  # before, behind and beside the camera, and through its near plane
    camera = pinhole(20.0 if projection == "perspective" else 5.0, projection=projection)
    camera = replace(camera, t=torch.tensor([[0.1, -0.2, 1.0]]))
    fragments = rasterize(vertices, faces, camera, SIZE, backend)
    assert_agrees_with_rays(fragments, vertices, faces, camera, SIZE)


def test_float64_vertices_agree_with_traced_rays_to_float64():
    vertices, faces = random_mesh(2)
    fragments = rasterize(vertices.double(), faces, pinhole(), SIZE)
    face, weights, depth = ray_traced(vertices.double(), faces, pinhole(), SIZE)
    seen = face >= 0
    np.testing.assert_allclose(fragments.barycentric.flatten(0, 2).numpy()[seen], weights[seen], atol=1e-10)
    np.testing.assert_allclose(fragments.depth.flatten().numpy()[seen], depth[seen], rtol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
def test_near_plane_crossing_triangle_is_clipped(backend):
    # a floor 1 m below the camera, from 5 m behind it to 5 m before it: the horizon is row 12
    vertices, faces = mesh([[-50.0, 1, -5], [50, 1, -5], [0, 1, 5]])
    fragments = rasterize(vertices, faces, pinhole(), SIZE, backend)
    assert (fragments.face_id[0, :12] == -1).all()
    assert (fragments.face_id[0, -1] == 0).all()  # row 23.5 sees the floor at 20 / 11.5 m
    torch.testing.assert_close(fragments.depth[0, -1], torch.full((32,), 20 / 11.5), rtol=1e-5, atol=0)
    assert_agrees_with_rays(fragments, vertices, faces, pinhole(), SIZE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_seen_before_the_near_plane(backend):
    def square(z):
        return [[-1.0, -1, z], [1, -1, z], [0, 3, z]]

    near = rasterize(*mesh(square(0.99 * NEAR)), pinhole(), SIZE, backend)
    past = rasterize(*mesh(square(1.01 * NEAR)), pinhole(), SIZE, backend)
    assert (near.face_id == -1).all() and (past.face_id == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_faces_around_the_near_plane_agree_with_traced_rays(backend):
    vertices, faces = random_mesh(5, spread=1.0)
    vertices = vertices * NEAR
    fragments = rasterize(vertices, faces, pinhole(), SIZE, backend)
    assert_agrees_with_rays(fragments, vertices, faces, pinhole(), SIZE)
    assert NEAR <= fragments.depth[fragments.depth > 0].min() < 1.1 * NEAR


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", ["behind", "left", "below", "a line", "a point", "edge-on", "no faces"])
def test_what_covers_no_sample_draws_nothing(backend, case):
    triangle = {
        "behind": [[-1.0, -1, -2], [1, -1, -2], [0, 1, -2]],
        "left": [[-9.0, 0, 2], [-8, 0, 2], [-8, 1, 2]],
        "below": [[0.0, 8, 2], [1, 8, 2], [0, 9, 2]],
        "a line": [[-1.0, -1, 2], [0, 0, 2], [1, 1, 2]],
        "a point": [[0.025, 0.025, 1]] * 3,
        "edge-on": [[0.5, 0.0, 1], [1.0, 0.0, 2], [1.0, 0.5, 2]],
        "no faces": [[0.0, 0, 1]] * 3,
    }[case]
    vertices, faces = mesh(triangle)
    fragments = rasterize(vertices, faces[:0] if case == "no faces" else faces, pinhole(), SIZE, backend)
    assert (fragments.face_id == -1).all() and len(fragments.pixels) == 0
    assert not fragments.barycentric.any() and not fragments.depth.any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_triangle_larger_than_the_picture_fills_it(backend):
    vertices, faces = mesh([[-1e4, -1e4, 3.0], [1e4, -1e4, 3], [0, 2e4, 3]])
    fragments = rasterize(vertices, faces, pinhole(), SIZE, backend)
    assert (fragments.face_id == 0).all()
    torch.testing.assert_close(fragments.depth, torch.full((1, *SIZE), 3.0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_sides_are_drawn(backend):
    vertices, faces = random_mesh(3)
    front = rasterize(vertices, faces, pinhole(), SIZE, backend)
    back = rasterize(vertices, faces.flip(1), pinhole(), SIZE, backend)
    assert torch.equal(front.face_id, back.face_id)
    torch.testing.assert_close(front.barycentric, back.barycentric.flip(-1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_of_two_faces_at_equal_depth_the_lower_id_is_seen(backend):
    vertices, faces = random_mesh(4)
    alone = rasterize(vertices, faces, pinhole(), SIZE, backend)
    twice = rasterize(vertices, torch.cat([faces, faces]), pinhole(), SIZE, backend)
    assert_same(alone, twice)


@pytest.mark.parametrize("backend", BACKENDS)
def test_slivers_are_seen_where_they_cross_samples(backend):
    # 20 px long and 1e-4 px wide, along the centres of row 10
    left, right, thin = (4 - 16) / 20, (24 - 16) / 20, 5e-5 / 20
    middle = (10.5 - 12) / 20
    vertices, faces = mesh([[left, middle - thin, 1.0], [right, middle, 1], [left, middle + thin, 1]])
    fragments = rasterize(vertices, faces, pinhole(), SIZE, backend)
    assert (fragments.face_id[0, 10, 4:24] == 0).float().mean() > 0.8
    assert (fragments.face_id >= 0).sum() == (fragments.face_id[0, 10, 4:24] == 0).sum()


def fan(count, centre, radius, z=2.0):
    """A disc of count triangles around a vertex, pixels in a picture of a camera with focal length 16."""
    angles = torch.arange(count) * (2 * math.pi / count)
    ring = torch.stack([centre[0] + radius * angles.cos(), centre[1] + radius * angles.sin()], -1)
    pixels = torch.cat([torch.tensor([centre]), ring])
    vertices = torch.cat([(pixels - torch.tensor([16.0, 12])) * z / 16, torch.full((count + 1, 1), z)], 1)
    faces = torch.tensor([[0, 1 + k, 1 + (k + 1) % count] for k in range(count)])
    return vertices[None], faces


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("centre", [(16.5, 12.5), (16.0, 12.0), (16.3, 12.71)])  # the first is a sample
@pytest.mark.parametrize("count", [4, 7, 64])
def test_shared_edges_leave_no_sample_out(backend, centre, count):
    vertices, faces = fan(count, centre, 9.0)
    fragments = rasterize(vertices, faces, pinhole(16.0), SIZE, backend)
    offset = pixel_centres(SIZE)[0] - torch.tensor(centre)
    well_inside = offset.norm(dim=-1) < 9 * math.cos(math.pi / count) - 1e-3
    assert (fragments.face_id.flatten()[well_inside] >= 0).all()
    assert ((fragments.barycentric >= -1e-6) & (fragments.barycentric <= 1 + 1e-6)).all()


def test_a_grid_of_edges_through_every_sample_is_watertight_and_stable():
    # a heightless grid with a vertex on each pixel's centre: every sample is in up to six faces
    rows, columns = torch.meshgrid(torch.arange(9) + 4.5, torch.arange(9) + 4.5, indexing="ij")
    vertices = torch.stack([(columns - 16) / 16, (rows - 12) / 16, torch.ones(9, 9)], -1).reshape(1, -1, 3)
    corner = (torch.arange(8)[:, None] * 9 + torch.arange(8)).flatten()
    faces = torch.cat([torch.stack([corner, corner + 1, corner + 9], -1),
                       torch.stack([corner + 1, corner + 10, corner + 9], -1)])
    fragments = rasterize(vertices, faces, pinhole(16.0), SIZE)
    assert (fragments.face_id[0, 4:13, 4:13] >= 0).all() and len(fragments.pixels) == 81
    assert_same(fragments, rasterize(vertices, faces, pinhole(16.0), SIZE, "reference"))
    seen = faces[fragments.face_id[0, 4:13, 4:13].flatten()].tolist()
    assert all(sample in corners for sample, corners in enumerate(seen))  # sample k is vertex k


def test_an_edge_within_rounding_of_a_sample_leaves_it_to_one_of_its_faces():
    # around every sample a quad of its own, its diagonal through the sample as nearly as float64 allows
    generator = torch.Generator().manual_seed(0)
    sample = pixel_centres(SIZE)[0].double()
    angle = 6.28 * torch.rand(len(sample), 1, generator=generator).double()
    along, across = torch.cat([angle.cos(), angle.sin()], 1), torch.cat([-angle.sin(), angle.cos()], 1)
    length = 0.2 + 0.2 * torch.rand(4, len(sample), 1, generator=generator).double()
    corners = torch.stack([sample + length[0] * along, sample - length[1] * along,
                           sample + length[2] * across, sample - length[3] * across], 1)
    depth = 1 + torch.rand(len(sample), 4, 1, generator=generator).double()
    vertices = torch.cat([(corners - torch.tensor([16.0, 12])) / 20 * depth, depth], -1).reshape(1, -1, 3)
    first = 4 * torch.arange(len(sample))[:, None]
    faces = torch.cat([first + torch.tensor([0, 1, 2]), first + torch.tensor([1, 0, 3])])
    assert (rasterize(vertices, faces, pinhole(), SIZE).face_id >= 0).all()


def batch_of_scenes():
    meshes = [random_mesh(seed)[0] for seed in range(3)]
    faces = random_mesh(0)[1]
    azimuth, distance = torch.tensor([0.1, 1.2, 2.5]), torch.tensor([3.0, 5.0, 1.0])
    cameras = orbit(torch.zeros(3), azimuth, 0.3, distance, 0.9, SIZE, torch.tensor([0.0, 1, 0]))
    return torch.cat(meshes), faces, cameras


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("distortion", [None, [-0.2, 0.05, 0.001, -0.002]])
def test_a_batch_of_cameras_gives_the_same_bytes_as_each_alone(backend, distortion):
    vertices, faces, cameras = batch_of_scenes()
    if distortion:
        cameras = replace(cameras, distortion=torch.tensor([distortion] * 3))
    together = rasterize(vertices, faces, cameras, SIZE, backend)
    for k in range(3):
        alone = rasterize(vertices[k:k + 1], faces, cameras[k], SIZE, backend)
        assert torch.equal(together.face_id[k:k + 1], alone.face_id)
        assert torch.equal(together.barycentric[k:k + 1], alone.barycentric)
        assert torch.equal(together.depth[k:k + 1], alone.depth)


def test_two_threads_give_the_same_bytes_as_one(monkeypatch):
    from anr_core.rasterizer import warp

    monkeypatch.setattr(warp, "PIXELS_WORTH_A_THREAD", 0)
    vertices, faces, cameras = batch_of_scenes()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = rasterize(vertices, faces, cameras, SIZE)
        torch.set_num_threads(2)
        two = rasterize(vertices, faces, cameras, SIZE)  # the second picture is drawn by both
    finally:
        torch.set_num_threads(threads)
    assert_same(one, two)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lens_distortion_moves_the_vertices(backend):
    camera = replace(pinhole(), distortion=torch.tensor([[-0.3, 0.1, 0.01, -0.005]]))
    triangle = [[-0.6, -0.4, 1.0], [0.5, -0.3, 1], [0.1, 0.5, 1]]
    vertices, faces = mesh(triangle)
    pixels, _ = camera.project(vertices)
    straight = torch.cat([(pixels - torch.tensor([16.0, 12])) / 20, vertices[..., 2:]], -1)
    assert (pixels - pinhole().project(vertices)[0]).abs().max() > 0.5
    distorted = rasterize(vertices, faces, camera, SIZE, backend)
    assert torch.equal(distorted.face_id, rasterize(straight, faces, pinhole(), SIZE, backend).face_id)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_weak_camera_sees_the_nearer_of_two_faces_also_behind_it(backend):
    vertices, faces = mesh(*([[-1.0, -1, z], [1, -1, z], [0, 1, z]] for z in (-1, -2, 3)))
    fragments = rasterize(vertices, faces, pinhole(10.0, projection="weak"), SIZE, backend)
    assert set(fragments.face_id.unique().tolist()) == {-1, 1}
    assert fragments.depth.min() == -2


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_batches_and_empty_meshes_give_empty_fragments(backend):
    vertices, faces = random_mesh(0)
    nobody = rasterize(vertices[:0], faces, pinhole()[:0], SIZE, backend)
    assert nobody.face_id.shape == (0, *SIZE) and nobody.barycentric.shape == (0, *SIZE, 3)
    nothing = rasterize(torch.zeros(1, 0, 3), faces[:0], pinhole(), SIZE, backend)
    assert (nothing.face_id == -1).all() and nothing.depth.shape == (1, *SIZE)
    blank = rasterize(torch.zeros(1, 0, 3, requires_grad=True), faces[:0], pinhole(), SIZE, backend)
    assert not blank.depth.any()


def test_bad_input_is_refused_in_one_line():
    vertices, faces = random_mesh(0)
    broken = vertices.clone()
    broken[0, 7, 1] = math.nan
    nowhere = replace(pinhole(), t=torch.full((1, 3), math.inf))
    for words, arguments in [
        ("vertex 7 of picture 0", (broken, faces, pinhole(), SIZE)),
        ("camera.t is not finite", (vertices, faces, nowhere, SIZE)),
        ("name vertices 0 to 89 of 80", (vertices[:, :80], faces, pinhole(), SIZE)),
        (r"expected \(1, V, 3\)", (vertices.expand(2, -1, -1), faces, pinhole(), SIZE)),
        ("float16", (vertices.half(), faces, pinhole(), SIZE)),
        (r"\(F, 3\)", (vertices, faces.reshape(-1, 2), pinhole(), SIZE)),
        ("positive", (vertices, faces, pinhole(), (0, 5))),
        ("'opengl' is unknown", (vertices, faces, pinhole(), SIZE, "opengl")),
    ]:
        with pytest.raises(ValueError, match=words) as error:
            rasterize(*arguments)
        assert "\n" not in str(error.value)


def test_importing_the_rasterizer_leaves_warp_alone():
    code = "import sys, anr_core.rasterizer; sys.exit('warp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_gives():
    vertices, faces, cameras = batch_of_scenes()
    cpu = rasterize(vertices, faces, cameras, SIZE)
    gpu = rasterize(vertices.cuda(), faces.cuda(), cameras.to("cuda"), SIZE)
    assert (cpu.face_id == gpu.face_id.cpu()).float().mean() > 0.999
    same = cpu.face_id == gpu.face_id.cpu()
    torch.testing.assert_close(cpu.barycentric[same], gpu.barycentric.cpu()[same], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(64, 64), (64, 40)])
def test_a_registered_body_agrees_with_the_reference(size):
    file = DATA / "golden" / "pytorch3d_fragments.npz"
    if not file.is_file():
        pytest.skip(f"{file} is missing; set ANR_DATA to the folder that holds golden")
    golden = np.load(file)
    scale = torch.tensor([size[1] / 256, size[0] / 256, 1.0])[:, None]
    camera = Camera(torch.from_numpy(golden["256x256_K"])[None] * scale, torch.from_numpy(golden["R"])[None],
                    torch.from_numpy(golden["t"])[None])
    vertices = torch.from_numpy(golden["vertices"])[None]
    faces = torch.from_numpy(golden["faces"])[::8]  # the reference takes its time
    ours = rasterize(vertices, faces, camera, size)
    oracle = rasterize(vertices.double(), faces, camera, size, "reference")
    assert torch.equal(ours.face_id, oracle.face_id)
    torch.testing.assert_close(ours.barycentric, oracle.barycentric.float(), atol=1e-5, rtol=0)
