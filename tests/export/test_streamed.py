"""Graphs written tensor by tensor are what onnx itself would have written."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir
import onnxruntime
import pytest
from embedrt_export.packing.streamed import save_streamed
from onnx import numpy_helper

LARGE = (600, 512)


def graph(tensors: dict[str, npt.NDArray[Any]]) -> onnx_ir.Model:
    """A sum of each of ``tensors``, in their order."""
    names = ", ".join(f"float[n] {name}_sum" for name in tensors)
    nodes = " ".join(
        f"{name}_float = Cast<to = 1>({name}) {name}_sum = ReduceSum({name}_float, last)" for name in tensors
    )
    proto = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 23]> g (int64[one] last) => ({names}) {{ {nodes} }}'
    )
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in tensors.items())
    return onnx_ir.from_proto(proto)


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int8, np.int64, np.float64, ml_dtypes.bfloat16, np.bool_])
def test_large_and_small_tensors(tmp_path: Path, kind: type) -> None:
    random = np.random.default_rng(0)
    tensors: dict[str, npt.NDArray[Any]] = {
        "first": random.integers(-9, 9, size=(4 * LARGE[0], LARGE[1])).astype(kind),
        "small": random.integers(-9, 9, size=(3, 5)).astype(kind),
        "second": random.integers(-9, 9, size=(8 * LARGE[0], LARGE[1]))[:, ::2].astype(kind),
    }
    model = graph(tensors)
    model.metadata_props["embedrt"] = "kept"
    save_streamed(model, tmp_path / "ours.onnx")
    onnx_ir.save(model, tmp_path / "theirs.onnx")
    ours, theirs = onnx.load(tmp_path / "ours.onnx"), onnx.load(tmp_path / "theirs.onnx")
    onnx.checker.check_model(ours)
    assert ours.graph.node == theirs.graph.node
    assert ours.metadata_props == theirs.metadata_props
    assert ours.ir_version == theirs.ir_version
    assert {tensor.name: tensor for tensor in ours.graph.initializer} == {
        tensor.name: tensor for tensor in theirs.graph.initializer
    }
    assert set(model.graph.initializers) == set(tensors)  # the model is what it was


def test_onnxruntime_reads_it(tmp_path: Path) -> None:
    table = np.random.default_rng(0).integers(-9, 9, size=LARGE).astype(np.float32)
    save_streamed(graph({"table": table}), tmp_path / "ours.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "ours.onnx", providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"last": np.array([1])})
    np.testing.assert_array_equal(found, table.sum(axis=1, keepdims=True))


def test_no_copy_of_the_weights_is_made(tmp_path: Path, run_python: Any) -> None:
    """In a process of its own: what is resident grows by less than one more copy of the weights."""
    code = """
import resource, sys
import numpy as np, onnx_ir
from pathlib import Path
from embedrt_export.packing.streamed import save_streamed
table = np.ones((1 << 18, 256), dtype=np.float32)  # 268 MB
value = onnx_ir.Value(name="table", const_value=onnx_ir.tensor(table, name="table"))
graph = onnx_ir.Graph([], [], nodes=[], initializers=[value], opset_imports={"": 23}, name="g")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
save_streamed(onnx_ir.Model(graph, ir_version=10), Path(sys.argv[1]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = run_python(code, tmp_path / "large.onnx")
    assert int(done.stdout) < 40, done.stderr
    assert (tmp_path / "large.onnx").stat().st_size > 1 << 28
