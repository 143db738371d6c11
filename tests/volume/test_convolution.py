"""Convolutions over occupied cells: equal to dense ones, in values and gradients."""

import pytest
import torch
from torch.nn import functional

from anr_core.volume import Diffusion, Voxels
from anr_core.volume.convolution import Convolution, around, halved
from anr_core.volume.diffusion import EPSILON

SHAPE = (12, 9, 14)


def scattered(shape=SHAPE, items=1, count=60, seed=0):
    """Voxels at random, some at the grid's very edges."""
    random = torch.Generator().manual_seed(seed)
    cells = torch.stack([torch.randint(0, side, (count * items,), generator=random) for side in shape], 1)
    cells[:2] = torch.tensor([[0, 0, 0], [side - 1 for side in shape]])
    item = torch.arange(items).repeat_interleave(count)[:, None]
    return Voxels.of(torch.cat([item, cells], 1), shape, items)[0]


def densified(voxels, features):
    """(items, C, X, Y, Z), zeros where nothing is occupied."""
    dense = features.new_zeros(voxels.items, *voxels.shape, features.shape[1])
    return dense.index_put(voxels.cells.unbind(1), features).permute(0, 4, 1, 2, 3)


def kernel_of(convolution):
    """The same weights as torch's convolution has them."""
    return convolution.weight.unflatten(0, (3, 3, 3)).permute(4, 3, 0, 1, 2)


def random_features(voxels, channels, seed=1):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(len(voxels), channels, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("items", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_of_occupied_cells_is_the_dense_one_there(stride, items):
    voxels = scattered(items=items)
    convolution = Convolution(5, 7).double()
    features = random_features(voxels, 5).requires_grad_()
    out, neighbours = (voxels, around(voxels)) if stride == 1 else halved(voxels)
    convolved = convolution(features, neighbours)
    dense = functional.conv3d(densified(voxels, features), kernel_of(convolution), stride=stride, padding=1)
    item, x, y, z = out.cells.unbind(1)
    expected = dense[item, :, x, y, z]
    torch.testing.assert_close(convolved, expected, atol=1e-12, rtol=1e-10)
    if stride == 2:  # and there is nothing anywhere else
        assert bool((densified(out, convolved) - dense).abs().max() < 1e-12)
    wanted = torch.randn(expected.shape, dtype=torch.float64)
    found, true = (torch.autograd.grad((values * wanted).sum(), (features, convolution.weight))
                   for values in (convolved, expected))
    for one, other in zip(found, true, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-9)


def test_gradients_match_finite_differences():
    voxels = scattered((4, 4, 4), count=8)
    half, neighbours = halved(voxels)
    convolution = Convolution(2, 3).double()
    features = random_features(voxels, 2).requires_grad_()

    def convolved(features, weight):
        return torch.func.functional_call(convolution, {"weight": weight}, (features, neighbours))

    assert torch.autograd.gradcheck(convolved, (features, convolution.weight))


def test_cells_of_an_odd_side_and_of_one_are_halved():
    for shape in [(5, 7, 3), (1, 1, 1), (2, 1, 9)]:
        voxels = scattered(shape, count=6)
        half, neighbours = halved(voxels)
        assert half.shape == tuple((side + 1) // 2 for side in shape)
        assert (half.cells[:, 1:] < torch.tensor(half.shape)).all() and (half.cells >= 0).all()


def test_more_cells_than_a_block_are_convolved_all(monkeypatch):
    voxels = scattered(count=90)
    convolution, features = Convolution(3, 4).double(), random_features(voxels, 3)
    whole = convolution(features, around(voxels))
    monkeypatch.setattr("anr_core.volume.convolution.BLOCK", 7)
    torch.testing.assert_close(convolution(features, around(voxels)), whole, atol=1e-12, rtol=0)


# the network


def dense_diffusion(network, voxels, codes):
    """The same layers on dense grids, beside which of their cells are occupied; slow and plain."""
    grid, there = densified(voxels, codes), densified(voxels, torch.ones_like(codes[:, :1])) > 0

    def layer(layer, grid, there, stride):
        grid = functional.conv3d(grid, kernel_of(layer.convolution), stride=stride, padding=1)
        if stride == 2:
            there = functional.max_pool3d(there.double(), 3, 2, 1) > 0
        rows = []
        for values, mask in zip(grid, there, strict=True):
            some = values[:, mask[0]]
            mean, variance = some.mean(1, keepdim=True), some.var(1, unbiased=False, keepdim=True)
            normal = (some - mean) / (variance + EPSILON).sqrt() * layer.weight[:, None] + layer.bias[:, None]
            rows.append(torch.zeros_like(values).masked_scatter(mask.expand_as(values), normal.clamp(min=0)))
        return torch.stack(rows), there

    levels = []
    for place, layers in enumerate(network.stays):
        if place:
            grid, there = layer(network.halves[place - 1], grid, there, 2)
        for one in layers:
            grid, _ = layer(one, grid, there, 1)
        levels.append(grid)
    return levels[1:]


def network_and_codes(voxels, width=3):
    torch.manual_seed(3)
    network = Diffusion(4, width).double()
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", ".weight")) and parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.3)
    return network, random_features(voxels, 4).requires_grad_()


@pytest.mark.parametrize("items", [1, 2])
def test_diffusion_is_the_dense_one_and_its_gradients_too(items):
    voxels = scattered((32, 32, 32), items=items, count=40)
    network, codes = network_and_codes(voxels)
    levels, dense = network(voxels, codes), dense_diffusion(network, voxels, codes)
    found = [densified(level.voxels, level.features) for level in levels]
    assert [level.times for level in levels] == [2, 4, 8, 16]
    for one, other in zip(found, dense, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-7)
    wanted = [torch.randn(grid.shape, dtype=torch.float64) for grid in found]
    sums = [sum((grid * want).sum() for grid, want in zip(grids, wanted, strict=True))
            for grids in (found, dense)]
    gradients = [torch.autograd.grad(total, (codes, *network.parameters())) for total in sums]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-8, rtol=1e-5)


def test_what_else_is_in_a_batch_changes_nothing():
    voxels = scattered((32, 32, 32), items=2, count=40)
    network, codes = network_and_codes(voxels)
    first = voxels.cells[:, 0] == 0
    alone = network(Voxels(voxels.keys[first], voxels.shape, 1), codes[first])
    for one, both in zip(alone, network(voxels, codes), strict=True):
        torch.testing.assert_close(both.features[both.voxels.cells[:, 0] == 0], one.features)


def test_the_published_network_has_its_number_of_parameters():
    assert sum(parameter.numel() for parameter in Diffusion(16, 16).parameters()) == 3_790_592  # 3.79 M
    assert Diffusion(16, 16).channels == 352


def test_a_single_cell_goes_through_without_statistics():
    voxels = Voxels.of(torch.tensor([[0, 3, 4, 5]]), (32, 32, 32), 1)[0]
    network, codes = network_and_codes(voxels)
    assert all(bool(level.features.isfinite().all()) for level in network(voxels, codes))
