"""Embedding tables in int8 with a scale a row: a quarter of the bytes, and each token's vector rounded by itself alone."""

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.quantization.int8 import GraphWriter

__all__ = ["quantize_tables"]

_SMALLEST_TABLE = 1 << 16
"""Elements. Smaller tables gain nothing."""


def quantize_tables(model: onnx_ir.Model) -> int:
    """Replace every large float table that is read by Gather, in place; gives how many there were."""
    writer = GraphWriter(model)
    found = [(node, table) for node in model.graph if (table := _table_of(node)) is not None]
    for node, values in found:
        source, ids = node.inputs
        name = source.name if source is not None else "table"
        scales = np.maximum(np.abs(values).max(axis=1, keepdims=True) / 127, 1e-30).astype(np.float32)
        writer.place = node
        rows = writer.add("Gather", writer.constant(np.rint(values / scales).astype(np.int8), f"{name}.int8"), ids)
        row_scales = writer.add("Gather", writer.constant(scales, f"{name}.scales"), ids)  # (…, 1)
        result = writer.add("Mul", writer.add("Cast", rows, to=onnx_ir.DataType.FLOAT), row_scales)
        writer.replace(node.outputs[0], result)
    return len(found)


def _table_of(node: onnx_ir.Node) -> npt.NDArray[np.float32] | None:
    """The float table (entries, width) that ``node`` looks rows up in, if it is large enough."""
    table = node.inputs[0] if node.op_type == "Gather" and node.attributes.get_int("axis", 0) == 0 else None
    if table is None or table.const_value is None or table.dtype != onnx_ir.DataType.FLOAT:
        return None
    values = table.const_value
    return values.numpy() if len(values.shape) == 2 and values.size >= _SMALLEST_TABLE else None
