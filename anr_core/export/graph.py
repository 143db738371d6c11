"""A network as the bytes of an ONNX file.

It is traced by torch's older exporter. The newer one gives the same figures, but takes ten seconds a network
instead of a third of one, needs two packages more, and names sizes by formulas.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np
import torch
from torch import nn

OPSET = 17  # of operators: the first with all that is used here is 16, and every runtime since 2022 has 17

PRECISIONS = ("float32", "float16 weights", "float16")

PICTURE = {0: "batch", 2: "height", 3: "width"}  # what differs from picture to picture

# Fewer values than these stay as they are: sizes and axes, and biases, whose digits cost nothing.
MANY = 1024


def onnx_package() -> ModuleType:
    """The package `onnx`; raises ImportError with what to install."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError("Writing an .onnx needs the package onnx: pip install onnx") from error
    return onnx


@torch.no_grad()
def network_bytes(module: nn.Module, example: Sequence[torch.Tensor], inputs: Sequence[str],
                  outputs: Sequence[str], axes: Mapping[str, Mapping[int, str]] | None = None,
                  precision: str = "float32", told: Mapping[str, str] | None = None,
                  explained: Mapping[str, str] | None = None) -> bytes:
    """What a module on the CPU does in evaluation, as an ONNX model; the module stays as it is.

    example    float32 tensors to trace with, in the order of `forward`. Where sizes differ later they should
               be no multiple of anything: a network that pads then does so in the graph, too
    inputs     their names
    outputs    names of what comes out: a tensor, or a tuple of some
    axes       {name: {axis: its name}} of the sizes that may differ, where equal names are equal sizes; None
               for batch, height and width of all pictures (four axes) and the batch of the others; {} for
               the example's sizes alone
    precision  "float32"
               "float16 weights"  half as large a file; a runtime makes them float32 once, when it loads them
               "float16"          inputs, outputs and all in between too
    told       what the file says of itself, as metadata
    explained  what it says of inputs and outputs, by name

    Raises ImportError without the package onnx.
    """
    onnx = onnx_package()
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is unknown; use one of {', '.join(PRECISIONS)}.")
    kind = torch.float16 if precision == "float16" else torch.float32
    trained, example = module.training, tuple(tensor.to(kind) for tensor in example)
    module = module.eval() if precision != "float16" else copy.deepcopy(module).eval().half()
    drawn = module(*example)
    drawn = (drawn,) if isinstance(drawn, torch.Tensor) else tuple(drawn)
    shapes = {name: tensor.shape for name, tensor in zip((*inputs, *outputs), (*example, *drawn),
                                                         strict=True)}
    if axes is None:
        axes = {name: PICTURE if len(shape) == 4 else {0: "batch"} for name, shape in shapes.items()}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)        # see the module
        warnings.simplefilter("ignore", torch.jit.TracerWarning)   # of padding: see `example`
        warnings.filterwarnings("ignore", "Constant folding")      # of a slice, which may stay as it is
        torch.onnx.export(module, example, file, dynamo=False, opset_version=OPSET,
                          input_names=list(inputs), output_names=list(outputs),
                          dynamic_axes={name: dict(found) for name, found in axes.items()})
    module.train(trained)
    model = onnx.load_from_string(file.getvalue())
    _name_sizes(model.graph, shapes, axes)
    if precision == "float16 weights":
        _halve(onnx, model.graph)
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = (explained or {}).get(value.name, "")
    onnx.helper.set_model_props(model, dict(told or {}))
    model.producer_name, model.producer_version = "anr_core", ""
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _name_sizes(graph, shapes, axes):
    """Write the sizes of inputs and outputs: numbers where they stay, names where they differ."""
    for value in (*graph.input, *graph.output):
        sizes = value.type.tensor_type.shape.dim
        for axis, (size, count) in enumerate(zip(sizes, shapes[value.name], strict=True)):
            size.Clear()
            if name := axes.get(value.name, {}).get(axis):
                size.dim_param = name
            else:
                size.dim_value = count


def _halve(onnx, graph):
    """Keep large weights as float16, each brought back to float32 by a node that all who use it share."""
    back = []
    for weight in graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and np.prod(weight.dims) >= MANY:
            name, full = f"{weight.name}.half", onnx.numpy_helper.to_array(weight)
            back.append(onnx.helper.make_node("Cast", [name], [weight.name], to=onnx.TensorProto.FLOAT))
            weight.CopyFrom(onnx.numpy_helper.from_array(full.astype(np.float16), name))
    nodes = [*back, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
