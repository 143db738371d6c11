"""Vertices into voxels, and the body's frame that these lie in."""

import math

import pytest
import roma
import torch

from anr_core.volume import Voxels, body_points, largest_grid, rigid_frame, rigid_weights, voxelise
from anr_core.volume.frame import vertex_areas


def test_vertices_of_a_voxel_share_the_mean_of_their_codes():
    vertices = torch.tensor([[[0.0, 0.0, 0.0], [0.004, 0.0, 0.0], [0.021, 0.01, 0.0]]])
    codes = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    voxels, means = voxelise(vertices, codes, torch.zeros(1, 3), (4, 4, 4), 0.01)
    assert voxels.cells.tolist() == [[0, 0, 0, 0], [0, 2, 1, 0]]
    assert means.tolist() == [[2.0, 1.0], [5.0, 5.0]]


def test_gradients_of_a_voxel_are_shared_among_its_vertices():
    codes = torch.zeros(3, 1, requires_grad=True)
    vertices = torch.tensor([[[0.0, 0, 0], [0.001, 0, 0], [0.02, 0, 0]]])
    voxelise(vertices, codes, torch.zeros(1, 3), (4, 4, 4), 0.01)[1].sum().backward()
    assert codes.grad[:, 0].tolist() == [0.5, 0.5, 1.0]


def test_items_keep_their_own_voxels():
    vertices = torch.tensor([[[0.0, 0, 0]], [[0.0, 0, 0.03]]])
    voxels, codes = voxelise(vertices, torch.ones(1, 2), torch.zeros(2, 3), (2, 3, 5), 0.01)
    assert voxels.cells.tolist() == [[0, 0, 0, 0], [1, 0, 0, 3]]
    assert voxels.counts == [1, 1]


@pytest.mark.parametrize("place", [-0.02, 0.05, math.nan])
def test_a_body_outside_of_its_box_is_refused(place):
    vertices = torch.tensor([[[0.0, 0.0, 0.0], [0.0, place, 0.0]]])
    with pytest.raises(ValueError, match="1 of 2 vertices lie outside of the body's box"):
        voxelise(vertices, torch.ones(2, 1), torch.zeros(1, 3), (4, 4, 4), 0.01)


def test_cells_and_keys_tell_the_same():
    cells = torch.tensor([[0, 0, 0, 0], [0, 2, 0, 4], [1, 0, 1, 3], [2, 2, 1, 4]])
    voxels, rows = Voxels.of(cells.flip(0), (3, 2, 5), 3)
    assert torch.equal(voxels.cells, cells) and rows.tolist() == [3, 2, 1, 0]
    table = voxels.table()
    assert table.shape == (3, 3, 2, 5) and table[1, 0, 1, 3] == 2 and (table == 4).sum() == 90 - 4
    # a step out of the grid leads nowhere, into no other row or item either
    assert voxels.find(voxels.keys + voxels.step(0, 0, 1)).tolist() == [4, 4, 4, 4]
    assert voxels.find(voxels.keys + voxels.step(0, 0, 0)).tolist() == [0, 1, 2, 3]


def test_grids_are_rounded_up_past_the_next_multiple_of_32():
    low, high = torch.zeros(1, 3), torch.tensor([[0.32, 0.15, 1.701]])
    assert largest_grid(low, high, 0.005, 1.0) == (96, 32, 352)


def test_too_small_a_voxel_is_refused_with_one_that_fits():
    low, high = torch.zeros(1, 3), torch.tensor([[1.0, 0.5, 1.8]])
    with pytest.raises(ValueError, match=r"Voxels of 0\.5 mm .* Voxels of ([\d.]+) mm would fit") as found:
        largest_grid(low, high, 0.0005, 0.25)
    fits = float(str(found.value).split("Voxels of ")[2].split(" mm")[0])
    assert 0.5 < fits < 3
    largest_grid(low, high, fits / 1000, 0.25)


def test_a_body_that_is_a_thousand_times_too_large_is_refused():
    with pytest.raises(ValueError, match="is the body not in metres"):
        largest_grid(torch.zeros(1, 3), torch.tensor([[1000.0, 500, 1800]]), 0.005, 1.0)


# the body's frame


def turned(points, rotvec, shift):
    return points @ roma.rotvec_to_rotmat(torch.tensor(rotvec)).T + torch.tensor(shift)


def test_a_body_that_only_turns_and_goes_stays_in_its_frame():
    rest = torch.randn(40, 3)
    vertices = torch.stack([turned(rest, [0.3, -2.0, 1.1], [1.0, -4.0, 0.2]), rest])
    rotation, translation = rigid_frame(vertices, rest, torch.rand(40))
    torch.testing.assert_close(body_points(vertices, rotation, translation), rest.expand(2, -1, -1),
                               atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(2))


def test_a_flat_body_gets_a_rotation_and_no_reflection():
    rest = torch.randn(10, 3) * torch.tensor([1.0, 1.0, 0.0])
    rotation, _ = rigid_frame(turned(rest, [0.1, 0.2, 0.3], [0.0, 0, 0])[None], rest, torch.ones(10))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(1))


def test_a_vertex_has_a_third_of_the_triangles_around_it():
    vertices = torch.tensor([[0.0, 0, 0], [2.0, 0, 0], [0.0, 3, 0], [0.0, 0, 1]])
    areas = vertex_areas(vertices, torch.tensor([[0, 1, 2], [0, 1, 3]]))
    torch.testing.assert_close(areas, torch.tensor([4.0, 4.0, 3.0, 1.0]) / 3)


def test_a_body_of_nan_has_no_frame():
    with pytest.raises(ValueError, match="not finite"):
        rigid_frame(torch.full((1, 4, 3), math.nan), torch.randn(4, 3), torch.ones(4))


def test_what_swings_against_the_rest_hardly_counts():
    torch.manual_seed(0)
    trunk, arm = torch.randn(60, 3) * 0.2, torch.randn(30, 3) * 0.2 + torch.tensor([0.5, 0, 0])
    poses = torch.stack([turned(torch.cat([trunk, turned(arm, [0.0, 0.0, swing], [0.0, 0, 0])]),
                                [0.0, swing, 0.0], [swing, 0.0, 0.0]) for swing in (0.0, 0.5, -0.7, 1.0)])
    weights = rigid_weights(poses, torch.cat([torch.randint(60, (80, 3)), torch.randint(60, 90, (40, 3))]))
    assert float(weights[:60].sum()) > 20 * float(weights[60:].sum())
    rotation, _ = rigid_frame(poses, poses[0], weights)
    angles = roma.rotmat_to_rotvec(rotation)[:, 1]
    torch.testing.assert_close(angles, torch.tensor([0.0, 0.5, -0.7, 1.0]), atol=0.05, rtol=0)
