"""Steps downhill, against torch's own."""

import subprocess
import sys

import pytest
import torch

from anr_core.prepare.fitting.descent import Descent


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.99)])
def test_steps_are_those_of_torchs_adam(betas):
    descent = Descent({"one": torch.Size([3, 2]), "other": torch.Size([])}, betas)
    theirs = {name: torch.zeros(shape, requires_grad=True) for name, shape in descent.shapes.items()}
    optimiser = torch.optim.Adam(theirs.values(), betas=betas)
    weights = torch.arange(1.0, 7.0).view(3, 2)

    def cost(values):
        one, other = values["one"], values["other"]
        return (weights * (one - 1).square()).sum() + (other * one[0, 0] - 2).cosh()

    for step in range(20):
        rate = 0.1 * (1 - step / 40)
        descent.step(cost(descent.values()), rate)
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        cost(theirs).backward()
        optimiser.step()
    for name, value in descent.values().items():
        assert (value - theirs[name]).abs().max() < 1e-5
    assert float(descent.values()["other"].detach().abs()) > 0.1


def test_a_fit_does_without_torchs_compiler_which_takes_a_second_to_load():
    code = ("import sys, torch, anr_core.prepare.fit; from anr_core.prepare.fitting.descent import Descent; "
            "descent = Descent({'x': torch.Size([2])}); descent.step(descent.values()['x'].sum(), 0.1); "
            "sys.exit('torch._dynamo' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
