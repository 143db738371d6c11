"""Diffusion by spconv's compiled kernels, where they are installed; the weights are our own.

Nothing needs it: `convolution.py` gives the same. Source: the library spconv 2 (Apache-2.0).
"""

from __future__ import annotations

import torch
from torch.func import functional_call

from anr_core.volume.diffusion import Diffusion, Layer, Level
from anr_core.volume.voxels import Voxels

MISSING = ("backend 'spconv' needs the library of that name. Install it (`pip install spconv`, or on a GPU "
           "the wheel of its CUDA, such as spconv-cu120), or use backend 'torch', which gives the same.")


def diffuse(network: Diffusion, voxels: Voxels, codes: torch.Tensor) -> list[Level]:
    """The levels that `Diffusion` gives; raises ValueError where spconv is not installed."""
    spconv = _spconv()
    times, levels = 1, []
    tensor = spconv.SparseConvTensor(codes, voxels.cells.int(), list(voxels.shape), voxels.items)
    for place, layers in enumerate(network.stays):
        if place:
            layer = network.halves[place - 1]
            kernel = spconv.SparseConv3d(*layer.convolution.weight.shape[1:], 3, 2, 1, bias=False)
            tensor = _convolved(kernel, layer, tensor)
            times *= 2
            # it lists what it reaches in an order of its own
            voxels, rows = Voxels.of(tensor.indices.long(), tuple(tensor.spatial_shape), voxels.items)
            features = layer.activated(tensor.features[rows.argsort()], voxels)
            tensor = spconv.SparseConvTensor(features, voxels.cells.int(), list(voxels.shape), voxels.items)
        for layer in layers:
            kernel = spconv.SubMConv3d(*layer.convolution.weight.shape[1:], 3, bias=False,
                                       indice_key=f"level {place}")
            tensor = _convolved(kernel, layer, tensor)
            tensor = tensor.replace_feature(layer.activated(tensor.features, voxels))
        levels.append(Level(voxels, tensor.features, times))
    return levels[1:]


def _convolved(kernel: torch.nn.Module, layer: Layer, tensor):
    """By the layer's weights (27, C_in, C_out), which a kernel of spconv has as (C_out, 3, 3, 3, C_in)."""
    weight = layer.convolution.weight.unflatten(0, (3, 3, 3)).permute(4, 0, 1, 2, 3).contiguous()
    return functional_call(kernel.to(weight.device), {"weight": weight}, (tensor,))


def _spconv():
    try:
        import spconv.pytorch as spconv
        from spconv.pytorch import ops
    except ImportError:
        raise ValueError(MISSING) from None
    if not torch.cuda.is_available():
        ops.get_current_stream = lambda: 0  # gradients ask for a stream of CUDA on a machine without one
    return spconv
