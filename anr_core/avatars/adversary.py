"""Who judges: a discriminator that is trained along, so that drawn pictures are as sharp as those taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anr_core.avatars.augmentation import augment
from anr_core.launch import Place
from anr_core.losses import (
    bce_discriminator,
    bce_generator,
    feature_matching,
    gradient_penalty,
    hinge_discriminator,
    hinge_generator,
    square_discriminator,
    square_generator,
)
from anr_core.processes import average_gradients
from anr_core.renderer import PatchDiscriminator, ResidualDiscriminator

if TYPE_CHECKING:  # avatars name who judges them
    from lightning_fabric import Fabric

    from anr_core.avatars.base import Rendering
    from anr_core.capture.view import View

FEATURES = 10  # how much more than the discriminator's word its features weigh; Wang et al. 2018


class Adversary:
    """Tells pictures that were drawn from those that were taken, over black, with their masks; and learns to.

    rates   learning rates at the start and the end
    weight  of what it says of the drawn ones; their features are to be like those of the taken ones
    seed    of the network's first weights
    state   what `state` gave, to go on from

    What is uncertain in a view is black in both.
    """

    # what its network's words cost those who draw, and itself
    generator = staticmethod(hinge_generator)
    discriminator = staticmethod(hinge_discriminator)

    def __init__(self, rates: tuple[float, float], weight: float, seed: int, fabric: Fabric,
                 state: dict | None = None):
        with torch.random.fork_rng():  # else going on would draw once more from the run's random state
            torch.manual_seed(seed)
            network, (start, end) = self.make_network(), rates
        optimizer = self.make_optimizer([{"params": list(network.parameters()), "lr": start, "start": start,
                                          "end": end}])
        if state is not None:
            network.load_state_dict(state["network"])
        network.to(fabric.device)
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
        self.network, self.weight, self.fabric, self.pictures = network, weight, fabric, ()
        self.judge, self.optimizer = fabric.setup(network, optimizer)

    def make_network(self) -> nn.Module:
        """It takes colours and mask, (B, 4, H, W), and returns features and words as PatchDiscriminator."""
        return PatchDiscriminator(4)

    def make_optimizer(self, groups: list[dict]) -> torch.optim.Optimizer:
        """Adam without much momentum, of groups that carry rates, `start` and `end`."""
        return torch.optim.Adam(groups, betas=(0.5, 0.99))

    def state(self) -> dict:
        """What going on needs: the network's weights and what its optimiser knows."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def shown(self, rendering: Rendering, view: View) -> list[torch.Tensor]:
        """Drawn and taken, (B, 4, H, W) each, as they are to be judged."""
        return [torch.cat(pictures, 1) * view.certain for pictures in
                ((rendering.over(0), rendering.mask), (view.image * view.mask, view.mask))]

    def losses(self, rendering: Rendering, view: View) -> dict[str, torch.Tensor]:
        """What those who draw are to minimise."""
        drawn, taken = self.shown(rendering, view)
        self.pictures = drawn.detach(), taken
        self.network.requires_grad_(False)
        said, wanted = self.network(drawn), self.network(taken)
        self.network.requires_grad_(True)
        return {"adversary": self.weight * self.generator(said),
                "features": FEATURES * self.weight * feature_matching(wanted, said)}

    def step(self) -> None:
        """Learn from the newest pictures."""
        self.gradients()
        self.optimizer.step()

    def gradients(self) -> torch.Tensor:
        """Take the gradients of the newest pictures; the loss of this process's rows, one scalar."""
        drawn, taken = self.pictures
        self.optimizer.zero_grad()
        said = self.judge(taken)
        loss = self.discriminator(said, self.judge(drawn)) + self.further(said, taken)
        self.fabric.backward(loss)
        place = Place(self.fabric.global_rank, self.fabric.world_size)
        if place.count > 1:  # alone nothing is to be waited for
            average_gradients(self.network.parameters(), loss.detach()[None], place)
        return loss.detach()

    def further(self, said: list[list[torch.Tensor]], taken: torch.Tensor) -> torch.Tensor | float:
        """What else it is to minimise, given what it said of taken pictures."""
        return 0.0


class PosedAdversary(Adversary):
    """An adversary that sees the pose beside a picture: what is sharp, but of another pose, is told as well.

    A rendering's layer "pose" (B, 3, H, W) is what it sees of that.
    Source: Sun et al. 2021, after pix2pixHD; these match no features.
    """

    generator = staticmethod(square_generator)
    discriminator = staticmethod(square_discriminator)

    def make_network(self) -> nn.Module:
        return PatchDiscriminator(7)

    def shown(self, rendering: Rendering, view: View) -> list[torch.Tensor]:
        pose = rendering.layers["pose"].detach() * view.certain
        return [torch.cat([pictures, pose], 1) for pictures in super().shown(rendering, view)]


LAZY = 16        # steps from one look at its steepness to the next
GAMMA = 2.5e-4   # of R1 a pixel, of a batch of 32 as published
BATCH = 32
TARGET = 0.5     # how often more right than wrong of taken pictures; above it knows them by heart
FOLLOWED = 0.8   # share of what is known of that which a step leaves
CLIMB = 2.5e-3   # how far a step moves the augmentation's probability


class AdaptiveAdversary(Adversary):
    """An adversary that can be trained on few pictures: those that it sees are changed, the more the better
    it knows them, and drawn ones alike; and it is kept from being steep.

    Every LAZY-th step R1 enters its loss, LAZY times as strongly: the mean over the steps is then as if it
    were looked at in each.
    Sources: Rochette, Russell, Bowden, 2021; Karras et al., Training GANs with Limited Data, 2020, and
    StyleGAN2, 2020, appendix B (lazy regularisation).
    """

    width = 32  # of its network; half as wide takes a third of the time
    generator = staticmethod(bce_generator)
    discriminator = staticmethod(bce_discriminator)

    def __init__(self, rates: tuple[float, float], weight: float, seed: int, fabric: Fabric,
                 state: dict | None = None):
        super().__init__(rates, weight, seed, fabric, state)
        known = state or {"steps": 0, "right": 0.0, "probability": 0.0}
        # right: by how much more of taken patches it says "taken" than "drawn", in [-1, 1], of late
        self.steps, self.right, self.probability = (known[name] for name in ("steps", "right", "probability"))

    def make_network(self) -> nn.Module:
        return ResidualDiscriminator(4, self.width)

    def make_optimizer(self, groups: list[dict]) -> torch.optim.Optimizer:
        """AdamW without momentum, as Rochette et al. train theirs."""
        return torch.optim.AdamW(groups, betas=(0.0, 0.99), weight_decay=0.01)

    def state(self) -> dict:
        return super().state() | {"steps": self.steps, "right": self.right, "probability": self.probability}

    def shown(self, rendering: Rendering, view: View) -> list[torch.Tensor]:
        return augment(super().shown(rendering, view), self.probability)

    def further(self, said: list[list[torch.Tensor]], taken: torch.Tensor) -> torch.Tensor | float:
        self._follow(torch.stack([scale[-1].detach().sign().mean() for scale in said]).mean())
        self.steps += 1
        if self.steps % LAZY != 1:
            return 0.0
        pictures = taken.detach().requires_grad_()
        gamma = GAMMA * taken.shape[-2] * taken.shape[-1] / BATCH
        # not through `judge`: in half precision squares of small gradients are lost
        return LAZY * gamma * gradient_penalty(self.network(pictures), pictures)

    def _follow(self, right: torch.Tensor) -> None:
        """Move the probability of a change by what all processes' discriminators said of taken pictures."""
        right = float(self.fabric.all_reduce(right, reduce_op="mean"))
        self.right = FOLLOWED * self.right + (1 - FOLLOWED) * right
        moved = self.probability + (CLIMB if self.right > TARGET else -CLIMB)
        self.probability = min(max(moved, 0.0), 1.0)
