"""Embedding tables in int8 with a scale a row: a quarter of the bytes, and each token's vector rounded by itself alone.

Or in float16, half of the bytes. Either way rows are turned to float32 when they are looked up, and all arithmetic stays so.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.quantization.graph_writer import GraphWriter

from embedrt.errors import InputError

__all__ = ["halve_tables", "quantize_tables"]

_SMALLEST_TABLE = 1 << 16
"""Elements. Smaller tables gain nothing."""
_BLOCK = 1 << 14
"""Rows that are rounded at once: a table of words may be as large as memory allows."""

Floats = npt.NDArray[np.float32]


def quantize_tables(model: onnx_ir.Model, *, smallest: int = _SMALLEST_TABLE) -> int:
    """Replace every float table of at least ``smallest`` elements that is read by Gather, in place; gives how many there were."""
    writer = GraphWriter(model)
    found = _tables(model, smallest)
    for node, values in found:
        ids, name = node.inputs[1], _name(node)
        integers, scales = _rounded_rows(values)
        writer.place = node
        rows = writer.add("Gather", writer.constant(integers, f"{name}.int8"), ids)
        row_scales = writer.add("Gather", writer.constant(scales, f"{name}.scales"), ids)  # (…, 1)
        result = writer.add("Mul", writer.add("Cast", rows, to=onnx_ir.DataType.FLOAT), row_scales)
        writer.replace(node.outputs[0], result)
    return len(found)


def halve_tables(model: onnx_ir.Model, *, smallest: int = _SMALLEST_TABLE) -> int:
    """The same in float16.

    Raises:
        InputError: a number is beyond what float16 can hold.
    """
    writer = GraphWriter(model)
    found = _tables(model, smallest)
    for node, values in found:
        largest = max(float(np.abs(values[at : at + _BLOCK]).max()) for at in range(0, len(values), _BLOCK))
        if largest > np.finfo(np.float16).max:
            raise InputError(f"a table holds {largest:g}, but float16 ends at 65504: take int8 or fp32 rows")
        writer.place = node
        rows = writer.add("Gather", writer.constant(values.astype(np.float16), f"{_name(node)}.fp16"), node.inputs[1])
        writer.replace(node.outputs[0], writer.add("Cast", rows, to=onnx_ir.DataType.FLOAT))
    return len(found)


def _rounded_rows(values: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """int8 (entries, width), and the scale of each row, (entries, 1)."""
    integers, scales = np.empty(values.shape, dtype=np.int8), np.empty((len(values), 1), dtype=np.float32)
    for at in range(0, len(values), _BLOCK):
        block = values[at : at + _BLOCK]
        largest = np.abs(block).max(axis=1, keepdims=True)
        scales[at : at + _BLOCK] = np.maximum(largest / 127, 1e-30)
        integers[at : at + _BLOCK] = np.rint(block / scales[at : at + _BLOCK])
    return integers, scales


def _tables(model: onnx_ir.Model, smallest: int) -> list[tuple[onnx_ir.Node, Floats]]:
    return [(node, table) for node in model.graph for table in _table_of(node, smallest)]


def _name(node: onnx_ir.Node) -> str:
    source = node.inputs[0]
    return source.name or "table" if source is not None else "table"


def _table_of(node: onnx_ir.Node, smallest: int) -> Iterator[Floats]:
    """The float table (entries, width) that ``node`` looks rows up in, if it is large enough."""
    table = node.inputs[0] if node.op_type == "Gather" and node.attributes.get_int("axis", 0) == 0 else None
    if table is None or table.const_value is None or table.dtype != onnx_ir.DataType.FLOAT:
        return
    values = table.const_value
    if len(values.shape) == 2 and values.size >= smallest:
        yield values.numpy()
