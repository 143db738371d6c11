"""Rays through a box."""

import numpy as np
import torch
from scipy.spatial import Delaunay

from anr_core.camera import look_at, pixel_centres
from anr_core.volume import crossing, hits_box

SIZE = 40


def camera(x=0.0):
    K = torch.tensor([[[40.0, 0, 20], [0, 40, 20], [0, 0, 1]]])
    return look_at(torch.tensor([[x, 0.0, -2]]), torch.zeros(1, 3), (0, -1, 0), K, (SIZE, SIZE))


def test_a_ray_enters_and_leaves_where_geometry_says():
    origins = torch.tensor([[[-2.0, 0, 0], [0.0, 0, 0], [-2.0, 5, 0], [2.0, 0, 0]]])
    directions = torch.tensor([[[1.0, 0, 0], [0.0, 0, 1], [1.0, 0, 0], [1.0, 0, 0]]])
    near, far = crossing(origins, directions, torch.tensor([[-1.0, -1, -1]]), torch.tensor([[0.5, 1, 3]]))
    assert near[0, :2].tolist() == [1.0, 0.0] and far[0, :2].tolist() == [2.5, 3.0]
    assert (far[0, 2:] < near[0, 2:]).all()  # past the box, and away from it


def test_the_box_is_the_hull_of_its_projected_corners():
    eye = camera(x=1.5)
    low, high = torch.tensor([[-0.3, -0.5, -0.2]]), torch.tensor([[0.4, 0.5, 0.3]])
    found = hits_box(eye, (SIZE, SIZE), low, high)[0, 0].numpy()
    corners = torch.stack(torch.meshgrid(*torch.stack([low[0], high[0]], 1), indexing="ij"), -1)
    pixels = eye.project(corners.reshape(1, 8, 3))[0][0].numpy()
    expected = Delaunay(pixels).find_simplex(pixel_centres((SIZE, SIZE))[0].numpy()) >= 0
    assert expected.sum() > 200
    np.testing.assert_array_equal(found.ravel(), expected)


def test_a_box_behind_the_camera_is_not_hit():
    behind = torch.tensor([[-1.0, -1, -9]]), torch.tensor([[1.0, 1, -5]])
    assert not hits_box(camera(), (SIZE, SIZE), *behind).any()
