import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anr_core.camera import Camera, orbit
from anr_core.rasterizer import rasterize
from anr_core.rasterizer.pytorch3d import fragments_from_pytorch3d, pytorch3d_camera

DATA = Path(os.environ.get("ANR_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
INSTALLED = importlib.util.find_spec("pytorch3d") is not None


def cameras(size, distance):
    azimuth = torch.tensor([0.3, 2.0])
    return orbit(torch.zeros(3), azimuth, 0.4, distance, 0.8, size, torch.tensor([0.0, 0, 1]))


@pytest.mark.parametrize("size", [(256, 256), (256, 144)])
def test_we_draw_what_pytorch3d_drew(size):
    file = DATA / "golden" / "pytorch3d_fragments.npz"
    if not file.is_file():
        pytest.skip(f"{file} is missing; set ANR_DATA to the folder that holds golden")
    golden = {name: torch.from_numpy(value) for name, value in np.load(file).items()}
    name = f"{size[0]}x{size[1]}"
    camera = Camera(golden[f"{name}_K"][None], golden["R"][None], golden["t"][None])
    ours = rasterize(golden["vertices"][None], golden["faces"], camera, size)
    theirs = [golden[f"{name}_{key}"][None, :, :, None] for key in ("pix_to_face", "zbuf", "bary_coords")]
    theirs = fragments_from_pytorch3d(*theirs, len(golden["faces"]))
    assert torch.equal(ours.face_id, theirs.face_id) and torch.equal(ours.pixels, theirs.pixels)
    torch.testing.assert_close(ours.barycentric, theirs.barycentric, atol=1e-3, rtol=0)  # float32 there
    torch.testing.assert_close(ours.depth, theirs.depth, atol=1e-5, rtol=0)


def test_face_ids_that_count_through_the_batch_start_anew():
    pix_to_face = torch.tensor([[[[3]], [[-1]]], [[[9]], [[5]]]])  # (B 2, H 2, W 1, K 1), five faces a mesh
    barycentric = torch.tensor([0.5, 0.3, 0.2]).expand(2, 2, 1, 1, 3).where(pix_to_face[..., None] >= 0, -1)
    found = fragments_from_pytorch3d(pix_to_face, torch.where(pix_to_face >= 0, 2.0, -1.0), barycentric, 5)
    assert found.face_id.flatten().tolist() == [3, -1, 4, 0] and found.face_id.dtype == torch.int32
    assert found.depth.flatten().tolist() == [2, 0, 2, 2]
    assert found.barycentric[0, 1, 0].tolist() == [0, 0, 0] and found.pixels.tolist() == [0, 2, 3]


@pytest.mark.parametrize("projection", ["perspective", "weak"])
@pytest.mark.parametrize("size", [(60, 60), (60, 34), (34, 60)])
def test_the_camera_projects_to_our_pixels_by_pytorch3d_rules(size, projection):
    camera = cameras(size, 3.0).crop(3.0, -2.0, size[1], size[0])  # the principal point off the middle
    camera = replace(camera, K=camera.K * torch.tensor([[1.1], [1.0], [1.0]]))
    if projection == "weak":
        camera = camera.as_weak(torch.zeros(2, 3))
    points = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0)) * 0.4
    given = pytorch3d_camera(camera, size)
    view = points @ given["R"] + given["T"][:, None]
    flat = view[..., :2] / (view[..., 2:] if projection == "perspective" else 1)
    left, up = (given["focal_length"][:, None] * flat + given["principal_point"][:, None]).unbind(-1)
    half = min(size) / 2  # their unit: half the shorter side, from the middle, to the left and up
    found = torch.stack([size[1] / 2 - half * left, size[0] / 2 - half * up], -1)
    expected, depth = camera.project(points)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(view[..., 2], depth)


def test_skew_is_refused():
    K = torch.tensor([[[5.0, 1, 2], [0, 5, 2], [0, 0, 1]]])
    camera = Camera(K, torch.eye(3)[None], torch.zeros(1, 3))
    with pytest.raises(ValueError, match="skew"):
        pytorch3d_camera(camera, (4, 4))


@pytest.mark.skipif(INSTALLED, reason="PyTorch3D is installed")
def test_without_pytorch3d_the_error_names_the_command():
    camera = Camera(torch.eye(3)[None], torch.eye(3)[None], torch.zeros(1, 3))
    with pytest.raises(ImportError, match="pip install"):
        rasterize(torch.ones(1, 3, 3), torch.tensor([[0, 1, 2]]), camera, (4, 4), "pytorch3d")


@pytest.mark.skipif(not INSTALLED, reason="PyTorch3D is not installed; no wheel exists for current Pythons")
@pytest.mark.parametrize("projection", ["perspective", "weak"])
def test_the_backend_agrees_with_warp(projection):
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(2, 60, 3, generator=generator)
    faces = torch.arange(60).reshape(20, 3)
    camera = cameras((60, 40), 6.0)
    if projection == "weak":
        camera = camera.as_weak(torch.zeros(2, 3))
    ours, theirs = (rasterize(vertices, faces, camera, (60, 40), name) for name in ("warp", "pytorch3d"))
    same = ours.face_id == theirs.face_id
    assert same.float().mean() > 0.999
    torch.testing.assert_close(ours.barycentric[same], theirs.barycentric[same], atol=1e-3, rtol=0)
