"""A run's networks as one .onnx file, for ONNX Runtime: from G-buffers to colour and mask, of any size.

    feeds = given(avatar, scene)                                  what goes in, of our own rasterizer
    rgb, mask = InferenceSession("me.onnx").run(None, feeds)      what `avatar.draw(scene)` gives

What goes in and out stands in the file, channel by channel, as do the capture's licence and `CONSENT`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from anr_core.avatars.base import Avatar, Scene
from anr_core.avatars.run import Run, write_atomically
from anr_core.export.graph import network_bytes, onnx_package
from anr_core.export.handing import Wishes, notice
from anr_core.export.networks import SYSTEMS, exported
from anr_core.export.slots import Exported

# Why the others have no graph.
REFUSED = {"static": "has no network, only a texture. Export its .glb instead.",
           "neural-body": "draws rays through a volume, one by one, and no picture of a network's. Write its "
                          "surface instead: python -m anr_core mesh RUN OUT.glb"}

UNSAMPLED = {"gaussian": "its primitives have no texture", "dynamic-texture": "where its texture is sampled "
             "follows from the generator, which stays outside"}


def check(run: Run, wishes: Wishes) -> None:
    """Raise ValueError for a run that has no such graph, and ImportError where onnx is not installed."""
    config = run.config
    if config.system not in SYSTEMS:
        raise ValueError(f"{run.path} can't be exported to .onnx: a {config.system} avatar "
                         f"{REFUSED.get(config.system, 'has no such networks.')}")
    if wishes.sampled and config.system in UNSAMPLED:
        raise ValueError(f"A {config.system} avatar can't be exported with sampling: "
                         f"{UNSAMPLED[config.system]}. Leave --sampled out.")
    if wishes.sampled and run.paired:
        raise ValueError(f"{run.path} was trained on pairs of pictures, so there is no texture to sample. "
                         "Leave --sampled out.")
    if wishes.sampled and config.system == "smplpix" and config.drawn != "texture":
        raise ValueError(f"This smplpix avatar draws the mesh by {config.drawn!r}, not by its texture, so "
                         "there is nothing to sample. Leave --sampled out.")
    for name, given in (("motion", wishes.motion), ("up", wishes.up), ("shapes", wishes.shapes or None),
                        ("size", wishes.size)):
        if given is not None:
            raise ValueError(f"An .onnx holds networks, which draw any pose at any size, so --{name} says "
                             "nothing. Leave it out.")
    onnx_package()


def write(run: Run, out: Path, wishes: Wishes) -> list[str]:
    """Write the graph; returns what goes in and out, a line each."""
    network = exported(run.avatar(), wishes.sampled)
    made = graph_of(network, about(run, network))
    write_atomically(out, made)
    lines = [f"{name} ({', '.join(map(str, slot.shape))})" for name, slot in network.inputs.items()]
    return [f"in: {', '.join(lines)}", f"out: {', '.join(network.outputs)}; what each channel is, and the "
            "licence, stand in its metadata"]


def graph_of(network: Exported, told: dict[str, str], precision: str = "float32") -> bytes:
    """The ONNX file of a network, with what it says of itself."""
    slots = network.inputs | network.outputs
    axes = {name: {axis: size for axis, size in enumerate(slot.shape) if isinstance(size, str)}
            for name, slot in slots.items()}
    return network_bytes(network, network.example(), list(network.inputs), list(network.outputs), axes,
                         precision, told, {name: slot.told for name, slot in slots.items()})


def about(run: Run, network: Exported) -> dict[str, str]:
    """A file's metadata; `inputs` and `outputs` are JSON: {name: {shape, channels, told}}."""
    def listed(slots):
        return json.dumps({name: asdict(slot) for name, slot in slots.items()})

    return {"system": run.config.system, "person": run.person, "licence": notice(run),
            "inputs": listed(network.inputs), "outputs": listed(network.outputs),
            "trained_size": str(run.config.size),
            "sizes": f"Longer sides of {run.config.size / 1.5:.0f} to {run.config.size * 1.5:.0f} pixels are "
                     "near what was trained; draw others at the nearest such size, then resize.",
            "pictures": "(batch, channels, height, width), row 0 is the top; float32; 0 beside the mesh"}


@torch.no_grad()
def given(avatar: Avatar, scene: Scene, sampled: bool = False) -> dict[str, np.ndarray]:
    """What goes into the graph of an avatar, by name, to draw a scene as `avatar(scene)` does."""
    return {name: value.float().cpu().contiguous().numpy()
            for name, value in exported(avatar, sampled).given(scene).items()}
