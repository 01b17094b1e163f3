"""Nodes and constants of the int8 form, put into a graph; which products take which form is decided in :mod:`.int8`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.quantization.linears import LinearGroup, has_one_row
from embedrt_export.quantization.scheme import Rows, Static

__all__ = ["BLOCKS_FROM", "MICROSOFT", "GraphWriter", "Quantized", "Weights"]

MICROSOFT = "com.microsoft"
BLOCKS_FROM = 21
"""The opset since which a part of a row can have a scale of its own."""
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
    """(batch, sequence, inputs)"""
    zero_point: onnx_ir.Value
    scale: onnx_ir.Value
    """One number, or (batch, sequence, 1)"""
    by_row: bool


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
        shape = self._token_shape(len(factors))
        coarse = self.constant((activations.scale * factors).astype(np.float32), "scales")
        zero = self.constant(np.uint8(activations.zero_point), "zero_point")
        scales, size = self.add("Expand", coarse, shape), _width(source) // len(factors)
        quantized = self.add("QuantizeLinear", source, scales, self._spread(zero, shape), axis=-1, block_size=size)
        scale = self.constant(np.float32(activations.scale), "scale")
        return Quantized(quantized, zero, scale, by_row=False)

    def quantize_rows(self, source: onnx_ir.Value, activations: Rows) -> Quantized:
        """A scale for each token, which is one block; before there were blocks, one row of a matrix."""
        scale = self._row_scale(source, activations)
        zero = self.constant(np.uint8(activations.zero_point), "zero_point")
        if self.model.opset_imports[""] >= BLOCKS_FROM:
            zeros = self._one_each(zero, scale) if has_one_row(source) else self._spread(zero, self._token_shape(1))
            quantized = self.add("QuantizeLinear", source, scale, zeros, axis=-1, block_size=_width(source))
            return Quantized(quantized, zero, scale, by_row=True)
        rows, scales = self.add("Flatten", source, axis=2), self.add("Reshape", scale, self._whole_numbers(-1))
        quantized = self.add("QuantizeLinear", rows, scales, self._one_each(zero, scales), axis=0)
        unfolded = self.add("Reshape", quantized, self.add("Shape", source))
        return Quantized(unfolded, zero, scale, by_row=True)

    def _row_scale(self, source: onnx_ir.Value, activations: Rows) -> onnx_ir.Value:
        """Of each token, (batch, sequence, 1); in graphs of old opsets the axes are an attribute still."""
        levels = np.float32(255 - activations.zero_point)
        compared = source if activations.floor is not None else self.add("Abs", source)
        if self.model.opset_imports[""] < _AXES_ARE_AN_INPUT_FROM:
            largest = self.add("ReduceMax", compared, axes=[-1], keepdims=1)
        else:
            largest = self.add("ReduceMax", compared, self._whole_numbers(-1), keepdims=1)
        floor = self.constant(np.float32(activations.floor or _SMALLEST_MAXIMUM), "floor")
        return self.add("Mul", self.add("Max", largest, floor), self.constant(1 / levels, "level"))

    def product(self, left: Quantized, right: Weights) -> onnx_ir.Value:
        """(batch, sequence, outputs) in float32."""
        weight, scales = self.constant(right.weight, right.name), self.constant(right.scales, f"{right.name}.scales")
        bias = None if right.bias is None else self.constant(right.bias, f"{right.name}.bias")
        if not left.by_row:
            operands = (left.value, weight, left.scale, scales, left.zero_point, None, bias)
            return self.add("MatMulIntegerToFloat", *operands, domain=MICROSOFT)
        one = self.constant(np.float32(1), "one")
        plain = self.add("MatMulIntegerToFloat", left.value, weight, one, scales, left.zero_point, domain=MICROSOFT)
        result = self.add("Mul", plain, left.scale)
        return result if bias is None else self.add("Add", result, bias)

    def _whole_numbers(self, *numbers: int) -> onnx_ir.Value:
        return self.constant(np.array(numbers, dtype=np.int64), "numbers")

    def _one_each(self, zero: onnx_ir.Value, scale: onnx_ir.Value) -> onnx_ir.Value:
        """A zero point for each scale, which QuantizeLinear asks for."""
        return self.add("Expand", zero, self.add("Shape", scale))

    def _spread(self, zero: onnx_ir.Value, shape: onnx_ir.Value) -> onnx_ir.Value:
        """The same for all layers, of a :meth:`_token_shape`."""
        return self._once(("spread", zero, shape), lambda: self.add("Expand", zero, shape))

    def _token_shape(self, width: int) -> onnx_ir.Value:
        """The shape (batch, sequence, width)."""
        shape = self._once(("tokens",), lambda: self.add("Shape", self.model.graph.inputs[0]))
        return self._once(("token shape", width), lambda: self.add("Concat", shape, self._whole_numbers(width), axis=0))

    def _once(self, key: tuple[Any, ...], build: Callable[[], onnx_ir.Value]) -> onnx_ir.Value:
        """What :meth:`add` puts at the beginning of the graph, for all layers."""
        if key not in self._constants:
            place, self.place = self.place, next(iter(self._order))
            self._constants[key] = build()
            self.place = place
        return self._constants[key]


def _width(source: onnx_ir.Value) -> int:
    width = source.shape[-1] if source.shape is not None else None
    if isinstance(width, int):
        return width
    raise ValueError(f"{source.name} has no known width")
