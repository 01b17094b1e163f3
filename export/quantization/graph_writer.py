"""Nodes and constants of the int8 form, put into a graph; which products take which form is decided in :mod:`.int8`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.quantization.linears import LinearGroup
from embedrt_export.quantization.scheme import Rows, Static

__all__ = ["MICROSOFT", "GraphWriter", "Quantized", "Weights"]

MICROSOFT = "com.microsoft"
_SMALLEST_MAXIMUM = 1e-12
_AXES_ARE_AN_INPUT_FROM = 18  # opset


@dataclass(frozen=True, slots=True)
class Weights:
    """A matrix in int8, a scale a column."""

    name: str
    weight: npt.NDArray[np.int8]
    """(inputs, outputs)"""
    scales: npt.NDArray[np.float32]
    """(outputs,)"""
    bias: npt.NDArray[np.float32] | None
    """(outputs,)"""


@dataclass(frozen=True, slots=True)
class Quantized:
    """Activations in u8, as the products read them."""

    value: onnx_ir.Value
    """(batch, sequence, inputs), or (tokens, inputs) with row scales"""
    zero_point: onnx_ir.Value
    scale: onnx_ir.Value
    """One number, or (tokens, 1)"""
    by_row: bool
    one_row: bool = False
    """Whether a text has one row: in a last layer that was narrowed to the pooled token."""


@dataclass(slots=True)
class GraphWriter:
    """Adds constants and nodes to a graph, the nodes before :attr:`place`."""

    model: onnx_ir.Model
    place: onnx_ir.Node | None = None
    _constants: dict[tuple[Any, ...], onnx_ir.Value] = field(default_factory=dict)
    _order: dict[onnx_ir.Node, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._order = {node: index for index, node in enumerate(self.model.graph)}

    def position(self, node: onnx_ir.Node) -> int:
        """Where ``node`` stood when writing began."""
        return self._order[node]

    def constant(self, array: Any, name: str) -> onnx_ir.Value:
        """An initializer; small equal ones are shared."""
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 4 else (name, len(self._constants))
        if key not in self._constants:
            unique = f"{name}.{len(self._constants)}"
            value = onnx_ir.Value(name=unique, const_value=onnx_ir.tensor(array, name=unique))
            value.shape, value.dtype = onnx_ir.Shape(array.shape), onnx_ir.DataType.from_numpy(array.dtype)
            self.model.graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def add(self, operator: str, *inputs: onnx_ir.Value | None, domain: str = "", **attributes: Any) -> onnx_ir.Value:
        """A node of one output, put before :attr:`place`."""
        node = onnx_ir.node(operator, inputs, attributes=attributes or None, domain=domain)
        if self.place is None:
            raise ValueError("place is not set")
        self.model.graph.insert_before(self.place, node)
        return node.outputs[0]

    def replace(self, old: onnx_ir.Value, new: onnx_ir.Value) -> None:
        """Let all that reads ``old`` read ``new``, which takes over its shape and, as an output of the graph, its name."""
        new.shape, new.dtype = old.shape, old.dtype or onnx_ir.DataType.FLOAT
        if old.is_graph_output():
            old.name, new.name = f"{old.name}.float", old.name
        onnx_ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)

    def balanced(self, group: LinearGroup, smoothing: npt.NDArray[np.float32]) -> None:
        """Let the products of ``group`` read 1/c times what they read.

        By the normalization's own weights if only they read it, else by a Mul.
        """
        producer = group.source.producer()
        readers = {use.node for use in group.source.uses()}
        products = [linear.product for linear in group.linears]
        inverse = 1 / smoothing
        alone = readers == set(products) and not group.source.is_graph_output()
        if group.kind == "norm" and producer is not None and producer.op_type != "Where" and alone:
            for index, old in enumerate(producer.inputs[1:], 1):
                if old is not None and old.const_value is not None:
                    weights = self.constant(old.const_value.numpy() * inverse, f"{old.name}.balanced")
                    producer.replace_input_with(index, weights)
            return
        self.place = min(products, key=self.position)
        result = self.add("Mul", group.source, self.constant(inverse, "balance"))
        result.shape, result.dtype = group.source.shape, onnx_ir.DataType.FLOAT
        for product in products:
            product.replace_input_with(0, result)

    def quantize_static(self, source: onnx_ir.Value, activations: Static) -> Quantized:
        """One scale and zero point, known beforehand."""
        scale = self.constant(np.float32(activations.scale), "scale")
        zero = self.constant(np.uint8(activations.zero_point), "zero_point")
        return Quantized(self.add("QuantizeLinear", source, scale, zero), zero, scale, by_row=False)

    def quantize_blocks(
        self, source: onnx_ir.Value, activations: Static, factors: npt.NDArray[np.float32]
    ) -> Quantized:
        """As :meth:`quantize_static`, of ``factors`` (blocks,) times as coarse a scale in each block of channels."""
        if source.shape is None or not isinstance(width := source.shape[-1], int):
            raise ValueError(f"{source.name} has no known width")
        shape = self._token_shape(len(factors))
        coarse = self.constant((activations.scale * factors).astype(np.float32), "scales")
        zero = self.constant(np.uint8(activations.zero_point), "zero_point")
        scales, zeros = self.add("Expand", coarse, shape), self.add("Expand", zero, shape)
        size = width // len(factors)
        quantized = self.add("QuantizeLinear", source, scales, zeros, axis=-1, block_size=size)
        scale = self.constant(np.float32(activations.scale), "scale")
        return Quantized(quantized, zero, scale, by_row=False)

    def quantize_rows(self, source: onnx_ir.Value, activations: Rows) -> Quantized:
        """A scale for each token: (tokens,) and with it (tokens, inputs) in u8."""
        width = source.shape[-1] if source.shape is not None else -1
        rows = self.add("Reshape", source, self.constant(np.array([-1, width], dtype=np.int64), "shape"))
        axes, levels = self.constant(np.array([1], dtype=np.int64), "axis"), np.float32(255 - activations.zero_point)
        compared = rows if activations.floor is not None else self.add("Abs", rows)
        largest = self._row_maximum(compared, axes)
        floor = self.constant(np.float32(activations.floor or _SMALLEST_MAXIMUM), "floor")
        scale = self.add("Mul", self.add("Max", largest, floor), self.constant(1 / levels, "level"))
        zero = self.constant(np.uint8(activations.zero_point), "zero_point")
        zeros = self.add("Expand", zero, self.add("Shape", scale))  # QuantizeLinear wants one a scale
        column = self.add("Unsqueeze", scale, axes)  # (tokens, 1)
        one_row = source.shape is not None and source.shape[1] == 1
        quantized = self.add("QuantizeLinear", rows, scale, zeros, axis=0)
        return Quantized(quantized, zero, column, by_row=True, one_row=one_row)

    def _row_maximum(self, rows: onnx_ir.Value, axes: onnx_ir.Value) -> onnx_ir.Value:
        """Of (tokens, inputs), (tokens,); grafted graphs may be of an opset where the axes are an attribute still."""
        if self.model.opset_imports[""] < _AXES_ARE_AN_INPUT_FROM:
            return self.add("ReduceMax", rows, axes=[1], keepdims=0)
        return self.add("ReduceMax", rows, axes, keepdims=0)

    def product(self, left: Quantized, right: Weights) -> onnx_ir.Value:
        """(batch, sequence, outputs) in float32."""
        weight, scales = self.constant(right.weight, right.name), self.constant(right.scales, f"{right.name}.scales")
        bias = None if right.bias is None else self.constant(right.bias, f"{right.name}.bias")
        if not left.by_row:
            operands = (left.value, weight, left.scale, scales, left.zero_point, None, bias)
            return self.add("MatMulIntegerToFloat", *operands, domain=MICROSOFT)
        one = self.constant(np.float32(1), "one")
        plain = self.add("MatMulIntegerToFloat", left.value, weight, one, scales, left.zero_point, domain=MICROSOFT)
        result = self.add("Mul", plain, left.scale)  # (tokens, outputs)
        if bias is not None:
            result = self.add("Add", result, bias)
        width = right.weight.shape[1]
        one_row = self.constant(np.array([-1, 1, width], dtype=np.int64), "shape") if left.one_row else None
        return self.add("Reshape", result, one_row or self._token_shape(width))

    def _token_shape(self, width: int) -> onnx_ir.Value:
        """[batch, sequence, width], computed once in the graph."""
        key = ("token shape", width)
        if key not in self._constants:
            place, self.place = self.place, next(iter(self.model.graph))
            shape = self.add("Shape", self.model.graph.inputs[0])
            self._constants[key] = self.add(
                "Concat", shape, self.constant(np.array([width], dtype=np.int64), "width"), axis=0
            )
            self.place = place
        return self._constants[key]
