"""Which layer is to blame: the first one whose output in the graph is not what PyTorch computes there."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import torch
from embedrt_export.graphs.running import loaded
from embedrt_export.modules.graph_module import GraphModule
from torch import Tensor, nn

__all__ = ["first_differing_layer"]

_SCOPES = "pkg.torch.onnx.name_scopes"  # where the tracer notes which module a node came from
_SUSPICIOUS = 1e-4  # relative to the largest value; float32 noise of a deep stack stays below


def first_differing_layer(module: GraphModule, model: onnx_ir.Model, folder: Path) -> str:
    """A clause for an error message; empty if no single layer stands out.

    Args:
        module: the traced module.
        model: its graph, with the tracer's notes still on it; gets further outputs.
        folder: where there is room for a copy of the graph while it is loaded.
    """
    layers = [name for name, child in module.named_modules() if isinstance(child, nn.ModuleList)]
    names = [f"{layers[0]}.{index}" for index in range(len(module.get_submodule(layers[0])))] if layers else []  # type: ignore[arg-type]
    outputs = {name: value for name in names if (value := _last_value(model, name)) is not None}
    if not outputs:  # no layers at all, as where vectors are looked up in a table
        return ""
    ids, mask = (
        torch.tensor([[2, 3, 4, 5, 6], [2, 3, 4, 0, 0]]),
        torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
    )
    inputs = {"input_ids": ids, "attention_mask": mask, "pooling_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    expected = _torch_outputs(module, list(outputs), [inputs[name] for name in module.input_names])
    model.graph.outputs.extend(value for value in outputs.values() if value not in model.graph.outputs)
    session = loaded(model, folder)
    feed = {value.name: inputs[value.name].numpy() for value in session.get_inputs()}
    found = session.run([value.name for value in outputs.values()], feed)
    for name, result in zip(outputs, found, strict=True):
        if result.shape != expected[name].shape:
            continue  # a last layer that was narrowed to the pooled token
        scale = float(np.abs(expected[name]).max()) or 1.0
        if float(np.abs(result - expected[name])[mask.numpy() == 1].max()) > _SUSPICIOUS * scale:
            return f"; the first layer that differs is {name.removeprefix('transformer.')}"
    return ""


def _last_value(model: onnx_ir.Model, layer: str) -> onnx_ir.Value | None:
    """What the last node that came from ``layer`` gives."""
    inside = [node for node in model.graph if f"'{layer}'" in node.metadata_props.get(_SCOPES, "")]
    return inside[-1].outputs[0] if inside else None


def _torch_outputs(module: GraphModule, names: list[str], inputs: list[Tensor]) -> dict[str, Any]:
    outputs: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: Any) -> None:
            outputs[name] = (output if isinstance(output, Tensor) else output[0]).numpy()

        return hook

    handles = [module.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    with torch.no_grad():
        module(*inputs)
    for handle in handles:
        handle.remove()
    return outputs
