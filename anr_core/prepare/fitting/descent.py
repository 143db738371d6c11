"""Steps downhill by Adam (Kingma and Ba, ICLR 2015, algorithm 1).

torch.optim's would do; but with its first step it loads torch's compiler, which takes a second: as long as
two hundred steps of a few frames do, and a fit of these takes seven hundred.
"""

from __future__ import annotations

import torch

EPSILON = 1e-8


class Descent:
    """Several tensors that a cost is made small by; they begin at zero, in units of a step of rate 1."""

    def __init__(self, shapes: dict[str, torch.Size], betas: tuple[float, float] = (0.9, 0.999)):
        """shapes by the tensors' names; betas, how much of the past gradients and their squares remains."""
        self.shapes, self.betas, self.steps = shapes, betas, 0
        self.flat = torch.zeros(sum(shape.numel() for shape in shapes.values()), requires_grad=True)
        self.mean, self.square = (torch.zeros(len(self.flat)) for _ in range(2))

    def values(self) -> dict[str, torch.Tensor]:
        """Where the tensors are by now; differentiable, so costs are computed of these."""
        parts = self.flat.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape)
                for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def step(self, cost: torch.Tensor, rate: float) -> None:
        """One step down a scalar cost of the values."""
        gradient, = torch.autograd.grad(cost, self.flat)
        self.steps += 1
        first, second = self.betas
        with torch.no_grad():
            self.mean.lerp_(gradient, 1 - first)
            self.square.lerp_(gradient.square(), 1 - second)
            spread = (self.square / (1 - second**self.steps)).sqrt_().add_(EPSILON)
            self.flat.addcdiv_(self.mean, spread, value=-rate / (1 - first**self.steps))
