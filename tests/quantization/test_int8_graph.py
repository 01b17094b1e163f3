"""The int8 graphs as files: which operators they have, and of what types; nothing is left over, and the checker is content."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

GRAPHS = {"int8": "onnx/model_int8.onnx", "int8-static": "onnx/model_int8_static.onnx"}


def nodes_of(path: Path, operator: str) -> list[onnx.NodeProto]:
    return [node for node in onnx.load(path).graph.node if node.op_type == operator]


def arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


@pytest.fixture(params=list(GRAPHS))
def int8_graph(request: pytest.FixtureRequest, quantized: Path) -> Path:
    return quantized / GRAPHS[request.param]


def test_operators(int8_graph: Path) -> None:
    model = onnx.load(int8_graph)
    counts = Counter(node.op_type for node in model.graph.node)
    assert counts["MatMulIntegerToFloat"] == 8
    assert counts["MatMul"] == 2  # pooling, and the product behind it
    assert counts["QuantizeLinear"] == 6  # query, key and value share one
    assert (counts["Attention"], counts["LayerNormalization"]) == (1, 3)
    assert (counts["Gelu"], counts["QuickGelu"]) == ((0, 1) if "static" in int8_graph.name else (1, 0))
    unwanted = ("SkipLayerNormalization", "MatMulInteger", "QLinearMatMul", "MatMulNBits", "DequantizeLinear")
    assert not [name for name in counts if name in unwanted or name.startswith("Dynamic")]
    assert {(entry.domain, entry.version) for entry in model.opset_import} >= {("", 23), ("com.microsoft", 1)}
    assert {node.domain for node in model.graph.node if node.op_type == "MatMulIntegerToFloat"} == {"com.microsoft"}


def test_products_are_u8_times_s8(int8_graph: Path) -> None:
    stored = arrays(int8_graph)
    by_output = {name: node for node in onnx.load(int8_graph).graph.node for name in node.output}
    for product in nodes_of(int8_graph, "MatMulIntegerToFloat"):
        quantization = by_output[product.input[0]]
        assert quantization.op_type == "QuantizeLinear"
        assert stored[product.input[1]].dtype == np.int8
        assert stored[product.input[4]].dtype == np.uint8  # the zero point of the left operand has its type
        assert stored[product.input[4]].shape == ()
        assert not product.input[5:6] or product.input[5] == ""  # weights are symmetric
        scales = stored[product.input[3]]
        assert scales.shape == (stored[product.input[1]].shape[1],)


def test_what_reads_the_same_shares_its_quantization(int8_graph: Path) -> None:
    read = Counter(node.input[0] for node in nodes_of(int8_graph, "MatMulIntegerToFloat"))
    assert sorted(read.values()) == [1, 1, 1, 1, 1, 3]


def test_a_row_is_a_block(quantized: Path) -> None:
    forms = [
        {attribute.name: attribute.i for attribute in node.attribute}
        for node in nodes_of(quantized / GRAPHS["int8"], "QuantizeLinear")
    ]
    assert [form for form in forms if not form] == [{}] * 3  # behind the norms: one scale for all
    blocks = {(form["axis"], form["block_size"]) for form in forms if form}  # behind attention, gelu and tanh
    assert blocks == {(-1, 32), (-1, 64)}
    static = [node for node in nodes_of(quantized / GRAPHS["int8-static"], "QuantizeLinear") if node.attribute]
    [behind_gelu] = static  # in blocks of channels
    assert {attribute.name: attribute.i for attribute in behind_gelu.attribute} == {"axis": -1, "block_size": 8}


def test_standard_part_passes_the_checker(int8_graph: Path) -> None:
    """onnx knows no contrib operators, and skips the types behind them."""
    onnx.checker.check_model(onnx.load(int8_graph))
    session = onnxruntime.InferenceSession(int8_graph, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["input_ids", "attention_mask"]
    assert [(value.name, value.shape) for value in session.get_outputs()] == [("sentence_embedding", ["batch", 32])]


def test_nothing_is_left_over(int8_graph: Path) -> None:
    graph = onnx.load(int8_graph).graph
    read = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= read
    assert {name for node in graph.node for name in node.output} <= read | {"sentence_embedding"}


def test_balancing_in_the_whole_graph(quantized: Path, transformer: Path) -> None:
    """norm2 is read by its product alone; norm0 and norm1 are read by residuals; attention has its values."""
    before = arrays(transformer / "onnx/model.onnx")
    for path in GRAPHS.values():
        after = arrays(quantized / path)
        weights = {node.output[0]: after[node.input[1]] for node in nodes_of(quantized / path, "LayerNormalization")}
        for name in ("norm0", "norm1"):
            np.testing.assert_array_equal(weights[name], before[f"{name}.weight"])
        assert np.abs(weights["norm2"] / before["norm2.weight"] - 1).max() > 0.1
