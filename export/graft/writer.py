"""Adding nodes to a graph of any opset from 11 on, in that opset's own words.

A graph is not converted to a newer opset, though onnx's converter can (tried from 11 to 23, with ONNX Runtime's own operators
too): it hands the whole model over as one message, which ends at 2 GB, and rewrites somebody else's transformer for no gain.
What is added needs few operators, and between opsets 11 and 23 only the place of their axes has moved.
"""

from typing import Any

import numpy as np
import onnx_ir

from embedrt.errors import CheckpointError

__all__ = ["OLDEST_OPSET", "Writer", "require_opset"]

OLDEST_OPSET = 11
"""The first with CumSum over whole numbers, which first and last tokens are found by."""
_AXES_ARE_AN_INPUT_FROM = {
    "ReduceSum": 13,
    "Unsqueeze": 13,
    "Squeeze": 13,
    "ReduceMax": 18,
    "ReduceMean": 18,
    "ReduceL2": 18,
}


def require_opset(model: onnx_ir.Model, graph: str) -> int:
    """The opset of the standard operators.

    Raises:
        CheckpointError: it is older than what can be added to.
    """
    opset = model.opset_imports.get("", 1)
    if opset < OLDEST_OPSET:
        raise CheckpointError(
            f"{graph} is of opset {opset}, expected {OLDEST_OPSET} or later: convert it with onnx.version_converter, "
            "or with PyTorch, type: embedrt export MODEL OUT"
        )
    return opset


class Writer:
    """Adds constants and nodes: at the end of the graph, or before :attr:`place`."""

    def __init__(self, model: onnx_ir.Model, *, prefix: str = "graft") -> None:
        """``prefix`` begins the name of all that is added."""
        self._graph = model.graph
        self._prefix = prefix
        self._opset = model.opset_imports.get("", 1)
        self._count = 0
        self.place: onnx_ir.Node | None = None

    def add(self, operator: str, *inputs: onnx_ir.Value | None, **attributes: Any) -> onnx_ir.Value:
        """A standard operator of one output."""
        name = self._name(operator)
        output = onnx_ir.Value(name=name)
        node = onnx_ir.node(operator, inputs, attributes=attributes or None, outputs=[output], name=name)
        if self.place is None:
            self._graph.append(node)
        else:
            self._graph.insert_before(self.place, node)
        return output

    def over_axis(self, operator: str, x: onnx_ir.Value, axis: int, **attributes: Any) -> onnx_ir.Value:
        """An operator that takes one axis, as an attribute or as an input, as the opset has it."""
        if self._opset >= _AXES_ARE_AN_INPUT_FROM[operator]:
            return self.add(operator, x, self.constant(np.array([axis], dtype=np.int64), "axis"), **attributes)
        return self.add(operator, x, axes=[axis], **attributes)

    def number(self, value: float) -> onnx_ir.Value:
        """A float32 constant without axes."""
        return self.constant(np.array(value, dtype=np.float32), "number")

    def constant(self, array: Any, name: str) -> onnx_ir.Value:
        """An initializer."""
        unique = self._name(name)
        value = onnx_ir.Value(name=unique, const_value=onnx_ir.tensor(array, name=unique))
        value.shape, value.dtype = onnx_ir.Shape(array.shape), onnx_ir.DataType.from_numpy(array.dtype)
        self._graph.register_initializer(value)
        return value

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{self._prefix}.{stem}.{self._count}"
