"""How several processes begin a training: who they are, and what the first one tells the others.

The first process alone reads the run's folder, or makes what a training begins with, and writes; the others
take its state. So a folder that all of them see is not needed, but they all read the capture.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy

from anr_core.avatars import Config
from anr_core.capture import Capture
from anr_core.launch import Alike, Place, launched
from anr_core.losses import perceptual_network, vgg_network
from anr_core.processes import mean_of_all, together, told_by_first
from anr_core.training.beginning import Person, State, fresh, open_runs, start
from anr_core.training.fingerprint import changed

# How long a process waits for others that neither answer nor end: the first one may unwrap thousands of
# pictures, while they wait for it.
PATIENCE = timedelta(minutes=30)


class Averaging(DDPStrategy):
    """Processes of one device each, whose gradients we average ourselves, after all of them are there.

    A wrapper that averages on the way back would have to be told which parameters have none, looks at one
    pass forward alone, and mixes with what else is asked on the way back (batch norm's statistics).
    """

    def setup_module(self, module: torch.nn.Module) -> torch.nn.Module:
        """The module as it is."""
        return module


def launched_fabric(config: Config) -> Fabric:
    """One process, or those that torchrun or srun has started."""
    variables = launched(os.environ)
    devices, nodes = int(variables["LOCAL_WORLD_SIZE"]), int(variables["GROUP_WORLD_SIZE"])
    several = int(variables["WORLD_SIZE"]) > 1
    if several:  # srun's too are told as torchrun's
        os.environ.update(variables)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # each process says that it begins
    seen = torch.cuda.device_count()
    if 0 < seen < devices:
        raise ValueError(f"{devices} processes were started on this machine, but see {seen} of its GPUs. Let "
                         "each see all of them (of srun --gpus-per-node, not --gpus-per-task), or start "
                         "fewer.")
    strategy = Averaging(timeout=PATIENCE) if several else "auto"
    environment = TorchElasticEnvironment() if several else LightningEnvironment()
    # Apple's GPUs have no Warp
    fabric = Fabric(accelerator="cuda" if seen else "cpu", devices=devices, num_nodes=nodes,
                    strategy=strategy, precision=config.precision, plugins=[environment])
    fabric.launch()
    return fabric


def begin(path: Path, config: Config, trainings: list[Capture], init: str | Path | None,
          place: Place, lock: Callable[[], object]) -> tuple[list[Person], State]:
    """Each person's run and the state to go on from, which is the first process's.

    lock  takes the folder, which is a run or may become one; the first process calls it

    Raises in all processes what the first one meets.
    """
    if place.count == 1:
        people = open_runs(path, config, trainings)
        lock()
        return people, start(path, people, init)
    people = state = wrong = None
    if place.rank == 0:
        try:
            people = open_runs(path, config, trainings)
            lock()
            state = start(path, people, init)
        except (ValueError, OSError, ImportError) as error:
            wrong = error
    seen = [person.run.seen for person in people or []]
    told, saved, seen = told_by_first((wrong and str(wrong), state and state.saved(), seen), place)
    if told is not None:
        raise Alike(told) from wrong
    if place.rank > 0:
        people = open_runs(path, config, trainings)
        state = fresh(people)
        state.take(saved)
    _check_captures(path, people, seen, place)
    _check_networks(config, place)
    return people, state


def _check_captures(path, people, seen, place):
    """Every machine reads a capture of its own, which has to be the first one's."""
    other = any(changed(first, person.run.seen) for first, person in zip(seen, people, strict=True))
    with together(place):
        share = float(mean_of_all(torch.tensor(float(other))))
    if share:
        raise Alike(f"{round(share * place.count)} of {place.count} processes of {path} read another capture "
                    "than the first one does. Copy it to every machine.")


def _check_networks(config, place):
    """Losses have to be the same everywhere: a network is had in all processes or in none."""
    for wanted, network, name in ((config.perceptual, lambda: perceptual_network("vgg"), "LPIPS"),
                                  (getattr(config, "vgg", 0), vgg_network, "VGG16")):
        if not wanted:
            continue
        with together(place):
            share = float(mean_of_all(torch.tensor(float(network() is not None))))
        if 0 < share < 1:
            raise Alike(f"{name} can be had in {round(share * place.count)} of {place.count} processes. Put "
                        "its weights on every machine (TORCH_HOME), or set perceptual and vgg to 0.")
