"""Several processes that train one avatar: as one with so many times the batch, and none without the others."""

import os
import signal
import time

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import distributed, nn

from anr_core import training
from anr_core.avatars import Config, configure
from anr_core.cli import main
from anr_core.launch import ALONE, Place, first_machine, launched
from anr_core.processes import average_gradients, mean_of_all, own, together
from anr_core.renderer import BlockUNet
from anr_core.training import windows
from anr_core.training.consecutive import Consecutive
from anr_core.training.rays import Rays
from anr_core.training.windows import Windows
from tests.posed_capture import make_posed_capture
from tests.several import in_processes, trained

TINY = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
POSED = {"size": 64, "window": 64, "batch": 2, "texture_size": 64, "width": 4, "levels": 2, "features": 4,
         "refine_from": 0}
SYSTEMS = {
    "anr": ("anr", TINY | {"adversary": 0.01, "structure": 0.1}),
    "smplpix": ("smplpix", TINY | {"levels": 2, "adversary": 0.01}),
    # its own rate is so high at first that roundings grow a hundredfold in three steps
    "gaussian": ("gaussian", POSED | {"encoder_width": 4, "encoder_depth": 14, "source_size": 64, "rate": 1e-4,
                                      "lifter_width": 64, "course": "pose, pictures, adversary",
                                      "adversary": 1.0}),
    "neural-body": ("neural-body", {"size": 48, "batch": 2, "texture_size": 64, "width": 4, "hidden": 16,
                                    "latent": 8, "voxel": 0.03, "samples": 20, "rays": 64,
                                    "refine_from": 0}),
    "dynamic-texture": ("dynamic-texture", POSED | {"generator_width": 4, "generator_depth": 1,
                                                    "chart_size": 16, "made_up": 2, "skeleton": "coco23",
                                                    "adversary": 0.1}),
}


def doubled(config):
    return config | {"batch": 2 * config["batch"]}


@pytest.fixture(scope="module")
def posed(tmp_path_factory):
    return make_posed_capture(tmp_path_factory.mktemp("posed") / "capture", masked=True)


def weights(run):
    return {file.relative_to(run): safetensors.torch.load_file(file)
            for file in sorted(run.rglob("checkpoint.safetensors"))}


def assert_alike(one, other, within=1e-5):
    assert one.keys() == other.keys() and one
    for file, tensors in one.items():
        for name, tensor in tensors.items():
            torch.testing.assert_close(other[file][name], tensor, rtol=0, atol=within, msg=f"{file}: {name}")


# two processes are one


@pytest.mark.parametrize("system", SYSTEMS)
def test_two_processes_come_to_what_one_with_the_doubled_batch_does(system, small_capture, posed, tmp_path):
    name, config = SYSTEMS[system]
    capture = small_capture if system in ("anr", "smplpix") else posed
    alone = trained(capture, tmp_path / "one", name, doubled(config), steps=6)
    both = in_processes(trained, capture.path, tmp_path / "two", name, config, *(), )
