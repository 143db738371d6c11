"""What rests while a motion is refined: nearly what it is exactly, for builds in any order."""

from types import SimpleNamespace

import pytest
import torch

from anr_core.prepare.fitting.puppet import Puppet
from anr_core.prepare.fitting.resting import Resting
from anr_core.prepare.fitting.silhouette import Pairs
from anr_core.prepare.fitting.smpl_puppet import SmplPuppet


@pytest.fixture(scope="module")
def puppet():
    return Puppet()


@pytest.fixture(scope="module")
def pairs(puppet):
    """Pairs of which only the vertices are asked, in two pictures."""
    vertex = torch.arange(0, 13718, 700).repeat(2, 1)
    single, which = vertex.unique(return_inverse=True)
    return Pairs(torch.tensor([0, 1]), *puppet.resting(single), which, torch.zeros(*vertex.shape, 3),
                 *[torch.zeros(0)] * 4)


def moved_from(build, by, seed=0):
    return (build + by * torch.randn(len(build), generator=torch.Generator().manual_seed(seed))
            ).requires_grad_()


def differing(found, puppet, pairs, build):
    """How far what is told lies off what is: the coefficients first, the vertices, metres, last."""
    rested, lines = found
    exact = puppet.rested(build)
    parts = [getattr(rested, name) - value for name, value in vars(exact).items()]
    return [float(part.abs().max().detach())
            for part in (*parts, *([] if pairs is None else [lines - pairs.rest(exact.coefficients)]))]


def slopes_and_exact_ones(puppet, build):
    exact = torch.func.jacfwd(lambda build: tuple(vars(puppet.rested(build)).values()))(build)
    return zip(vars(puppet.slopes(build)).values(), (one.movedim(-1, 0) for one in exact), strict=True)


def test_slopes_are_those_of_what_rests(puppet):
    for slope, expected in slopes_and_exact_ones(puppet, moved_from(puppet.build_mean, 0.3).detach()):
        assert torch.allclose(slope, expected, atol=2e-3 * float(expected.abs().max()))


@pytest.mark.slow
def test_slopes_of_smpl_are_those_of_what_rests(own_models):
    pytest.importorskip("smplx")
    for slope, expected in slopes_and_exact_ones(SmplPuppet("smpl"), torch.linspace(-1.0, 1.0, 10)):
        assert torch.allclose(slope, expected, atol=1e-5)


def test_short_strides_tell_nearly_what_rests_and_how_it_changes(puppet, pairs):
    resting, reach = Resting(puppet), 0.2
    build = moved_from(puppet.build_mean, 0.5)
    resting.at(build, pairs, reach)
    for seed in range(8):
        build = moved_from(build.detach(), 0.01, seed)
        found = resting.at(build, pairs, reach)
        assert all(off < 3e-3 for off in differing(found, puppet, pairs, build)[1:])
    height = found[1][..., 2].square().sum()
    exact = pairs.rest(puppet.rested(build).coefficients)[..., 2].square().sum()
    (slope,), (expected,) = torch.autograd.grad(height, build), torch.autograd.grad(exact, build)
    assert (slope - expected).norm() < 0.05 * expected.norm()


def test_long_strides_and_the_first_tell_it_exactly(puppet, pairs):
    resting = Resting(puppet)
    for seed in range(3):
        build = moved_from(puppet.build_mean, 0.5, seed)
        assert max(differing(resting.at(build, pairs, 0.1), puppet, pairs, build)) == 0


def test_slopes_are_found_again_before_the_build_is_out_of_reach_and_for_other_pairs(puppet, pairs):
    asked = []
    spied = SimpleNamespace(rested=puppet.rested,
                            slopes=lambda build: asked.append(build) or puppet.slopes(build))
    resting, build = Resting(spied), puppet.build_mean.clone()
    for step in range(41):
        found = resting.at((build + 0.01 * step).requires_grad_(), pairs, 0.1)
        assert max(differing(found, puppet, pairs, build + 0.01 * step)[1:]) < 3e-3  # metres
    assert len(asked) == 4  # after the first stride, and every eleventh
    resting.at((build + 0.4).requires_grad_(), None, 0.1)
    assert len(asked) == 5


def test_a_build_that_stays_is_asked_for_once(puppet, pairs):
    asked = []
    resting = Resting(SimpleNamespace(rested=lambda build: asked.append(build) or puppet.rested(build)))
    for which in (None, None, pairs, pairs):
        found = resting.at(puppet.build_mean, which, 0.1)
    assert len(asked) == 2 and max(differing(found, puppet, pairs, puppet.build_mean)) == 0
