"""Between the cells of grids: what is there, and whether anything is near."""

import torch
from torch.nn import functional

from anr_core.volume import Level, Nearby, sample
from tests.volume.test_convolution import densified, random_features, scattered


def levels_at(times, items=2):
    """Levels of grids that shrink, whose cells are so many voxels large."""
    found = []
    for place, side in enumerate(times):
        shape = tuple(32 // side for _ in range(3))
        voxels = scattered(shape, items, 20, place)
        found.append(Level(voxels, random_features(voxels, 3 + place, place), side))
    return found


def sampled(levels, item, place):
    return sample(levels, [level.voxels.table() for level in levels], item, place)


def test_features_are_those_of_a_dense_grid_between_its_cells():
    levels = levels_at((2, 4, 8))
    torch.manual_seed(0)
    place = torch.rand(500, 3, dtype=torch.float64) * 40 - 4  # some outside of the grid
    item = torch.arange(500) % 2
    found = sampled(levels, item, place)
    expected = []
    for level in levels:
        dense = densified(level.voxels, level.features)
        grid = 2 * (place / level.times) / (dense.shape[-1] - 1) - 1
        both = functional.grid_sample(dense, grid.flip(-1)[None, None, None].expand(2, -1, -1, -1, -1),
                                      align_corners=True, padding_mode="zeros")[:, :, 0, 0]
        expected.append(both.permute(2, 0, 1)[torch.arange(500), item])
    torch.testing.assert_close(found, torch.cat(expected, 1), atol=1e-12, rtol=1e-9)


def test_a_cell_is_where_the_convolutions_put_it():
    voxels = scattered((4, 4, 4), count=5)
    level = Level(voxels, random_features(voxels, 2), 4)
    at_cells = sampled([level], voxels.cells[:, 0], 4.0 * voxels.cells[:, 1:].double())
    torch.testing.assert_close(at_cells, level.features)


def test_gradients_reach_the_eight_cells_around():
    voxels = scattered((2, 2, 2), count=40)  # all eight
    features = torch.zeros(len(voxels), 1, dtype=torch.float64, requires_grad=True)
    place = torch.tensor([[0.25, 0.5, 1.0]], dtype=torch.float64)
    sampled([Level(voxels, features, 1)], torch.zeros(1, dtype=torch.long), place).sum().backward()
    shares = {tuple(cell[1:]): float(share) for cell, share in
              zip(voxels.cells.tolist(), features.grad[:, 0], strict=True)}
    assert shares == {(0, 0, 1): 0.375, (0, 1, 1): 0.375, (1, 0, 1): 0.125, (1, 1, 1): 0.125,
                      (0, 0, 0): 0, (0, 1, 0): 0, (1, 0, 0): 0, (1, 1, 0): 0}


def test_near_is_all_within_reach_and_nothing_far_beyond():
    torch.manual_seed(0)
    vertices = torch.rand(2, 6, 3) * 30 + 5
    nearby = Nearby.around(vertices, (40, 40, 40), 4.0)
    place, item = torch.rand(4000, 3) * 40, torch.arange(4000) % 2
    distance = (place[:, None] - vertices[item]).abs().amax(-1).amin(1)  # of the largest axis
    near = nearby(item, place)
    assert near[distance <= 4].all() and not near[distance > 6.1].any()
    assert not nearby(torch.zeros(2, dtype=torch.long), torch.tensor([[-9.0, 5, 5], [5.0, 99, 5]])).any()


def test_what_is_kept_of_finer_cells_is_near_and_a_cell_around():
    torch.manual_seed(0)
    vertices = torch.rand(1, 4, 3) * 20 + 6
    wide = Nearby.around(vertices, (32, 32, 32), 5.0)
    cells, places = wide.places(2.0)
    item = torch.zeros(len(places), dtype=torch.long)
    assert wide(item, places).all() and (places == 2.0 * cells[:, 1:]).all()
    every = 2.0 * torch.cartesian_prod(*[torch.arange(20)] * 3).float()
    assert int(wide(torch.zeros(len(every), dtype=torch.long), every).sum()) == len(cells)
    kept = cells[::50]
    narrow = wide.narrowed(kept, 2.0)
    place = torch.rand(3000, 3) * 32
    apart = (place[:, None] - 2.0 * kept[:, 1:]).abs().amax(-1).amin(1)
    near = narrow(torch.zeros(3000, dtype=torch.long), place)
    within = wide(torch.zeros(3000, dtype=torch.long), place)
    assert near[within & (apart < 2.9)].all() and not near[~within | (apart > 3.1)].any()
