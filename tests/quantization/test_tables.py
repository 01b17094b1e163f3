"""Embedding tables in int8."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir
import onnxruntime
import pytest
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.quantization.tables import quantize_tables
from onnx import numpy_helper


def lookup(table: npt.NDArray[np.generic], *, axis: int = 0) -> onnx_ir.Model:
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 23]>\n'
        f"g (int64[batch, sequence] ids) => (float[batch, sequence, n] z) {{ z = Gather<axis = {axis}>(table, ids) }}"
    )
    proto.graph.initializer.append(numpy_helper.from_array(table, "table"))
    return onnx_ir.from_proto(proto)


def run(model: onnx_ir.Model, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    data = onnx_ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    [found] = session.run(["z"], {"ids": ids})
    assert isinstance(found, np.ndarray)
    return found


@pytest.fixture
def table() -> npt.NDArray[np.float32]:
    """Rows of very different sizes, one of zeros."""
    random = np.random.default_rng(0)
    values = random.normal(size=(1024, 64)) * np.logspace(-4, 4, 1024)[:, None]
    values[7] = 0
    return values.astype(np.float32)


def test_each_row_is_within_half_a_step(table: npt.NDArray[np.float32]) -> None:
    model = lookup(table)
    assert quantize_tables(model) == 1
    ids = np.random.default_rng(1).permutation(1024).reshape(4, 256)
    found, exact = run(model, ids), table[ids]
    steps = np.abs(exact).max(axis=2, keepdims=True) / 127
    assert (np.abs(found - exact) <= steps * 0.5001).all()
    assert (found[ids == 7] == 0).all()
    assert np.abs(found - exact).max() > 0


def test_bytes_are_a_quarter(table: npt.NDArray[np.float32]) -> None:
    model = lookup(table)
    quantize_tables(model)
    drop_unused(model)
    read = model.graph.initializers.values()
    kinds = {str(value.dtype): tuple(value.const_value.shape) for value in read if value.const_value is not None}
    assert kinds == {"INT8": (1024, 64), "FLOAT": (1024, 1)}


@pytest.mark.parametrize(
    "model",
    [
        lookup(np.zeros((1023, 64), dtype=np.float32)),
        lookup(np.zeros((64, 1024), dtype=np.float32), axis=1),
        lookup(np.zeros((1024, 8, 8), dtype=np.float32)),
        lookup(np.zeros((1024, 64), dtype=np.float64)),
        lookup(np.zeros((1024, 64), dtype=np.int64)),
    ],
    ids=["small", "another axis", "three axes", "double", "integers"],
)
def test_other_tables_stay(model: onnx_ir.Model) -> None:
    assert quantize_tables(model) == 0
    assert [node.op_type for node in model.graph] == ["Gather"]


def test_in_the_artifact(quantized: Path, transformer: Path) -> None:
    [words] = [
        numpy_helper.to_array(tensor)
        for tensor in onnx.load(transformer / "onnx/model.onnx").graph.initializer
        if tensor.name == "words"
    ]
    for name in ("int8", "int8_static"):
        graph = onnx.load(quantized / f"onnx/model_{name}.onnx").graph
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        whole, scales = (
            next(value for key, value in stored.items() if key.startswith(start))
            for start in ("words.int8", "words.scales")
        )
        assert whole.dtype == np.int8
        assert scales.shape == (len(words), 1)
        assert (np.abs(whole * scales - words) <= np.abs(words).max(axis=1, keepdims=True) / 127 * 0.5001).all()
        assert not any(value.nbytes == words.nbytes for value in stored.values())  # the float table is gone
