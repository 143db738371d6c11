"""spconv as a backend: the same levels and gradients; without it a clear error."""

import sys
from importlib.util import find_spec

import pytest
import torch

from anr_core.volume import Diffusion
from tests.volume.test_convolution import scattered


@pytest.mark.skipif(not find_spec("spconv"), reason="spconv is not installed")
def test_spconv_gives_what_plain_torch_gives():
    torch.manual_seed(0)
    voxels = scattered((32, 32, 64), items=2, count=80)
    network, codes = Diffusion(8, 8), torch.randn(len(voxels), 8, requires_grad=True)
    found = []
    for backend in ("torch", "spconv"):
        network.backend = backend
        levels = network(voxels, codes)
        loss = sum((level.features ** 2).sum() for level in levels)
        found.append((levels, torch.autograd.grad(loss, [codes, *network.parameters()])))
    for one, other in zip(*(levels for levels, _ in found), strict=True):
        assert torch.equal(one.voxels.keys, other.voxels.keys) and one.times == other.times
        torch.testing.assert_close(one.features, other.features, atol=1e-4, rtol=1e-4)
    for one, other in zip(*(gradients for _, gradients in found), strict=True):
        assert float((one - other).norm() / one.norm().clamp(min=1e-3)) < 1e-3


def test_without_spconv_what_to_do_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "spconv.pytorch", None)
    monkeypatch.setitem(sys.modules, "spconv", None)
    voxels = scattered((32, 32, 32))
    with pytest.raises(ValueError, match="pip install spconv"):
        Diffusion(4, 4, "spconv")(voxels, torch.randn(len(voxels), 4))
