"""Who judges: a discriminator that is trained along, so that drawn pictures are as sharp as those taken."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from anr_core.avatars.base import Rendering
from anr_core.capture.view import View
from anr_core.losses import feature_matching, hinge_discriminator, hinge_generator
from anr_core.renderer import PatchDiscriminator

FEATURES = 10  # how much more than the discriminator's word its features weigh; Wang et al. 2018


class Adversary:
    """Tells pictures that were drawn from those that were taken, over black, with their masks; and learns to.

    rates   learning rates at the start and the end
    weight  of what it says of the drawn ones; their features are to be like those of the taken ones
    seed    of the network's first weights
    state   what `state` gave, to go on from

    What is uncertain in a view is black in both.
    """

    def __init__(self, rates: tuple[float, float], weight: float, seed: int, fabric: Fabric,
                 state: dict | None = None):
        with torch.random.fork_rng():  # else going on would draw once more from the run's random state
            torch.manual_seed(seed)
            network, (start, end) = PatchDiscriminator(4), rates
        optimizer = torch.optim.Adam([{"params": list(network.parameters()), "lr": start, "start": start,
                                       "end": end}], betas=(0.5, 0.99))
        if state is not None:
            network.load_state_dict(state["network"])
        network.to(fabric.device)
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
        self.network, self.weight, self.fabric, self.pictures = network, weight, fabric, ()
        self.judge, self.optimizer = fabric.setup(network, optimizer)

    def state(self) -> dict:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def losses(self, rendering: Rendering, view: View) -> dict[str, torch.Tensor]:
        """What those who draw are to minimise."""
        drawn, taken = (torch.cat(pictures, 1) * view.certain for pictures in
                        ((rendering.over(0), rendering.mask), (view.image * view.mask, view.mask)))
        self.pictures = drawn.detach(), taken
        self.network.requires_grad_(False)
        said, wanted = self.network(drawn), self.network(taken)
        self.network.requires_grad_(True)
        return {"adversary": self.weight * hinge_generator(said),
                "features": FEATURES * self.weight * feature_matching(wanted, said)}

    def step(self) -> None:
        """Learn from the newest pictures."""
        drawn, taken = self.pictures
        self.optimizer.zero_grad()
        self.fabric.backward(hinge_discriminator(self.judge(taken), self.judge(drawn)))
        self.optimizer.step()
