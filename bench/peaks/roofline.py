"""What matrix products can reach on this processor, measured and in theory, and which share of it an engine does.

Measured: ONNX Runtime's own float32 ``MatMul`` and 8-bit ``MatMulIntegerToFloat`` (u8 by s8) on one thread, at the shapes
of a 384-wide transformer with many tokens. The theory is in :mod:`embedrt_bench.peaks.theory`. An engine's work is that of the
checkpoint's constant matrices alone: attention, normalization and tokenization are its own affair and lower its share.
"""

import math
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

__all__ = ["matrix_operations", "measured_peak", "share_of_peak"]

_SHAPES = ((1024, 384, 384), (1024, 384, 1536), (1024, 1536, 384))


def measured_peak(kind: Literal["fp32", "int8"], *, seconds: float = 1.0) -> float:
    """Best 10^9 operations a second of one thread, a multiplication and an addition being two."""
    return max(_rate(kind, *shape, seconds=seconds) for shape in _SHAPES)


def matrix_operations(graph: Path) -> int:
    """Operations a token of the constant matrices that products of the float32 ``graph`` read, of whatever architecture."""
    found = onnx.load(graph, load_external_data=False).graph
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in found.initializer if len(tensor.dims) == 2}
    products = (node for node in found.node if node.op_type in ("MatMul", "Gemm"))
    counted: int = 2 * sum(sizes.get(name, 0) for node in products for name in node.input)
    return counted


def share_of_peak(
    tokens_per_second: Mapping[str, float], peak_of: Mapping[str, float], *, operations: int, threads: int
) -> dict[str, float]:
    """By engine: operations a second over what ``threads`` threads reach at ``peak_of`` it, in 10^9 a second and thread."""
    return {
        name: tokens_per_second[name] * operations / (threads * peak * 1e9)
        for name, peak in peak_of.items()
        if name in tokens_per_second
    }


def _rate(kind: str, rows: int, inner: int, columns: int, *, seconds: float) -> float:
    numbers = np.random.default_rng(0)
    wide = kind == "fp32"
    session = _session(_product(inner, columns) if wide else _integer_product(inner, columns))
    feed = {
        "x": numbers.standard_normal((rows, inner), dtype=np.float32)
        if wide
        else numbers.integers(0, 256, (rows, inner), dtype=np.uint8)
    }
    session.run(None, feed)
    times: list[float] = []
    until = time.perf_counter() + seconds / len(_SHAPES)
    while not times or time.perf_counter() < until:
        began = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - began)
    return 2 * rows * inner * columns / statistics.median(times) / 1e9


def _product(inner: int, columns: int) -> Any:
    weight = np.random.default_rng(1).standard_normal((inner, columns), dtype=np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return _graph(node, TensorProto.FLOAT, inner, columns, {"w": weight})


def _integer_product(inner: int, columns: int) -> Any:
    """u8 activations with a zero point, s8 weights with a scale a column, none of which saturates without VNNI."""
    numbers = np.random.default_rng(1)
    constants = {
        "w": numbers.integers(-64, 65, (inner, columns), dtype=np.int8),
        "x_scale": np.array(0.01, dtype=np.float32),
        "w_scale": np.full(columns, 0.01, dtype=np.float32),
        "x_zero": np.array(128, dtype=np.uint8),
        "w_zero": np.zeros(columns, dtype=np.int8),
    }
    names = ["x", "w", "x_scale", "w_scale", "x_zero", "w_zero"]
    node = helper.make_node("MatMulIntegerToFloat", names, ["y"], domain="com.microsoft")
    return _graph(node, TensorProto.UINT8, inner, columns, constants)


def _graph(node: Any, kind: int, inner: int, columns: int, constants: Mapping[str, Any]) -> Any:
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", kind, ["rows", inner])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", columns])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _session(model: Any) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
