"""The joints of a vertex in sets of four: the first is the best that four can do, all are the body's own."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from anr_core.body.anny import AnnyBody
from anr_core.export.influences import all_weights, further, strongest


def test_four_joints_put_a_vertex_where_all_do_where_two_always_turn_as_one():
    turn, shift = torch.eye(4).repeat(3, 6, 1, 1), torch.tensor([0.2, -0.3, 0.5])
    for joint, axis in enumerate((0, 0, 0, 1, 2, 2)):  # of six joints some move alike
        turn[:, joint, axis, 3] = shift * (1 + axis)
    weights = torch.tensor([[0.3, 0.2, 0.1, 0.15, 0.2, 0.05]])
    joints, four = strongest(torch.zeros(1, 3), weights, turn, torch.full((3,), 1 / 3))
    found = (turn[:, joints[0], :3, 3] * four[0, :, None]).sum(1)
    assert torch.allclose(found, torch.einsum("j,pji->pi", weights[0], turn[..., :3, 3]), atol=1e-4)
    assert four.sum() == pytest.approx(1) and bool((four[0, :3] > 0).all())


def test_the_four_agree_with_the_best_that_non_negative_least_squares_find():
    random = torch.Generator().manual_seed(1)
    moves = torch.eye(4).repeat(5, 7, 1, 1)
    moves[..., :3, 3] = torch.randn(5, 7, 3, generator=random)
    weights = torch.rand(30, 7, generator=random) ** 3
    weights /= weights.sum(1, keepdim=True)
    joints, four = strongest(torch.zeros(30, 3), weights, moves, torch.full((5,), 0.2))
    places = moves[..., :3, 3].permute(0, 2, 1).flatten(0, 1).double().numpy()  # (15, 7)
    for row, all_of_it in enumerate(weights.double().numpy()):
        wanted = places @ all_of_it
        best = min(nnls(np.vstack([places[:, some], np.full(4, 1e4)]), np.append(wanted, 1e4))[1]
                   for some in combinations(range(7), 4))  # the last equation makes their sum 1
        ours = np.linalg.norm(places[:, joints[row]] @ four[row].double().numpy() - wanted)
        assert ours == pytest.approx(best, rel=1e-3)


def test_further_sets_leave_the_body_its_own_weights():
    body = AnnyBody()
    weights = all_weights(body)
    four = weights.topk(4, 1)
    values = four.values / four.values.sum(1, keepdim=True)
    values[:, :2] = values[:, :2].flip(1)  # others than the body's
    joints = torch.where(values > 0, four.indices, 0)
    skin = further((joints, values), weights)
    original = torch.cat([torch.arange(weights.shape[1]), skin.twins])
    total = torch.zeros_like(weights).scatter_add(1, original[skin.joints], skin.weights)
    assert torch.allclose(total, weights, atol=1e-6)
    twice = torch.zeros(len(weights), len(original)).scatter_add(1, skin.joints, (skin.weights > 0).float())
    assert twice.max() == 1  # a joint stands once in a vertex's sets
