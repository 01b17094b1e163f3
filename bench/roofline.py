"""The most that ONNX Runtime's matrix product reaches on one thread here: what a share of the peak is a share of."""

import statistics
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

__all__ = ["gemm_peak"]

_SHAPES = ((512, 384, 384), (512, 384, 1536), (512, 1536, 384))


def gemm_peak(*, seconds: float = 1.0) -> float:
    """Best GFLOP/s of float32 ``MatMul`` over the shapes of a 384-wide transformer with 512 tokens, one thread."""
    return max(_gflops(*shape, seconds=seconds) for shape in _SHAPES)


def _gflops(rows: int, inner: int, columns: int, *, seconds: float) -> float:
    session = _matmul(inner, columns)
    feed = {"x": np.random.default_rng(0).standard_normal((rows, inner), dtype=np.float32)}
    session.run(None, feed)
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - started)
    return 2 * rows * inner * columns / statistics.median(times) / 1e9


def _matmul(inner: int, columns: int) -> onnxruntime.InferenceSession:
    weight = np.random.default_rng(1).standard_normal((inner, columns), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "matmul",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", inner])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", columns])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
