"""The values of a graph as passes see them: weights, numbers, and what computes them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir

__all__ = ["add_weight", "constant", "is_whole_number", "only_value", "produced_by"]


def constant(value: onnx_ir.Value | None) -> npt.NDArray[Any] | None:
    """The numbers of a weight; None if ``value`` is computed."""
    return value.const_value.numpy() if value is not None and value.const_value is not None else None


def is_whole_number(value: onnx_ir.Value | None, number: int) -> bool:
    """Whether ``value`` is this one number, of any shape with one element."""
    array = constant(value)
    return array is not None and array.size == 1 and array.item() == number


def only_value(value: onnx_ir.Value | None) -> onnx_ir.Value:
    """An input that the operator's definition requires."""
    if value is None:
        raise ValueError("a required input of a node is missing")
    return value


def produced_by(value: onnx_ir.Value | None, operator: str) -> onnx_ir.Node | None:
    """The standard operator of this name that computes ``value``; None if another one does."""
    producer = value.producer() if value is not None else None
    return producer if producer is not None and producer.op_type == operator and not producer.domain else None


def add_weight(graph: onnx_ir.Graph, name: str, array: npt.NDArray[np.float32 | np.int64]) -> onnx_ir.Value:
    """A further constant of ``graph``, float32 or int64; ``name`` must be new to it."""
    tensor = onnx_ir.tensor(array, name=name)
    value = onnx_ir.Value(
        name=name,
        const_value=tensor,
        shape=onnx_ir.Shape(array.shape),
        type=onnx_ir.TensorType(tensor.dtype),
    )
    graph.register_initializer(value)
    return value
