from dataclasses import replace

import pytest
import torch

from anr_core.camera import Camera
from anr_core.rasterizer import interpolate, rasterize

SIZE = (5, 6)
BACKENDS = ("warp", "reference")


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def scene(projection="perspective", distortion=None):
    """Two meshes of five vertices in float64 and their cameras; the last face crosses the near plane."""
    generator = torch.Generator().manual_seed(0)
    vertices = double([[-0.9, -0.8, 2], [1.1, -0.7, 2.4], [0.1, 0.9, 1.7], [0.9, 1, 3], [-1, 0.7, -1]])
    vertices = vertices + 0.05 * torch.randn(2, 5, 3, generator=generator).double()
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [0, 2, 4]])
    K = double([[5.0, 0.3, 3.0], [0.0, 4.5, 2.6], [0.0, 0.0, 1.0]]).expand(2, 3, 3)
    if projection == "weak":
        K = K / double([2.0, 2.0, 1.0])[:, None]
    R = torch.linalg.matrix_exp(double([[[0, -0.1, 0.05], [0.1, 0, 0.02], [-0.05, -0.02, 0]]] * 2))
    t = double([[0.05, -0.02, 0.1], [0.0, 0.1, -0.1]])
    coefficients = distortion and double([distortion] * 2)
    return vertices, faces, Camera(K, R, t, coefficients, projection)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("projection", ["perspective", "weak"])
def test_gradients_match_finite_differences(backend, projection):
    vertices, faces, camera = scene(projection)
    attributes = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(1)).double()
    seen = rasterize(vertices, faces, camera, SIZE, backend).face_id
    assert seen.unique().tolist() == [-1, 0, 1, 2]

    def draw(vertices, attributes, K, R, t):
        fragments = rasterize(vertices, faces, replace(camera, K=K, R=R, t=t), SIZE, backend)
        return interpolate(fragments, faces, attributes), fragments.barycentric, fragments.depth

    inputs = (vertices, attributes, camera.K, camera.R, camera.t)
    assert torch.autograd.gradcheck(draw, [value.clone().requires_grad_() for value in inputs])


def test_gradients_reach_the_distortion():
    vertices, faces, camera = scene(distortion=[-0.1, 0.02, 0.003, 0.001])

    def draw(vertices, distortion):
        return rasterize(vertices, faces, replace(camera, distortion=distortion), SIZE).barycentric

    inputs = (vertices, camera.distortion)
    assert torch.autograd.gradcheck(draw, [value.clone().requires_grad_() for value in inputs])


@pytest.mark.parametrize("wanted", ["vertices", "K", "R", "t"])
def test_one_input_that_needs_a_gradient_gets_it(wanted):
    vertices, faces, camera = scene()
    if wanted == "vertices":
        leaf = vertices.float().requires_grad_()
        fragments = rasterize(leaf, faces, camera, SIZE)
    else:
        leaf = getattr(camera, wanted).clone().requires_grad_()
        fragments = rasterize(vertices.float(), faces, replace(camera, **{wanted: leaf}), SIZE)
    (fragments.barycentric.square().sum() + fragments.depth.sum()).backward()
    assert leaf.grad.abs().sum() > 0 and leaf.grad.isfinite().all()


def test_values_are_the_same_with_and_without_gradients():
    vertices, faces, camera = scene()
    vertices = vertices.float()
    plain = rasterize(vertices, faces, camera, SIZE)
    traced = rasterize(vertices.clone().requires_grad_(), faces, camera, SIZE)
    assert not plain.barycentric.requires_grad and traced.barycentric.requires_grad
    assert traced.barycentric.dtype == traced.depth.dtype == torch.float32
    assert torch.equal(plain.face_id, traced.face_id) and torch.equal(plain.pixels, traced.pixels)
    torch.testing.assert_close(plain.barycentric, traced.barycentric, atol=1e-6, rtol=0)
    torch.testing.assert_close(plain.depth, traced.depth, atol=0, rtol=1e-6)


def test_the_gradient_of_the_reference_is_the_gradient_of_the_kernel():
    vertices, faces, camera = scene()
    gradients = []
    for backend in BACKENDS:
        leaf = vertices.clone().requires_grad_()
        fragments = rasterize(leaf, faces, camera, SIZE, backend)
        (fragments.barycentric[..., 0].square().sum() + fragments.depth.sum()).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, atol=1e-9, rtol=1e-9)
