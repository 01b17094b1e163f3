"""float16 where it is safe, float32 where it is not."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
from embedrt_export.quantization.fp16 import to_float16
from onnx import TensorProto, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from embedrt import SentenceEncoder
from embedrt.errors import InputError

GRAPH = "onnx/model_fp16.onnx"


@pytest.fixture
def half(quantized: Path) -> onnx.GraphProto:
    return onnx.load(quantized / GRAPH).graph


def test_weights_are_half_and_the_door_is_not(half: onnx.GraphProto) -> None:
    types = {tensor.name: tensor.data_type for tensor in half.initializer}
    tokenwise = (
        "words",
        "query",
        "key",
        "value",
        "output",
        "up",
        "down",
        "project",
        "other",
        "up.bias",
        "norm1.weight",
    )
    assert {types[name] for name in tokenwise} == {TensorProto.FLOAT16}
    for value in half.input:
        assert value.type.tensor_type.elem_type == TensorProto.INT64
    assert [value.type.tensor_type.elem_type for value in half.output] == [TensorProto.FLOAT]


def test_a_converter_that_repeats_itself(graph: onnx_ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of ONNX Runtime 1.25 to 1.31, which writes the same Cast for each node that reads it."""

    def repeating(*arguments: Any, **options: Any) -> onnx.ModelProto:
        proto: onnx.ModelProto = convert_float_to_float16(*arguments, **options)
        once = list(proto.graph.node)
        del proto.graph.node[:]
        proto.graph.node.extend(node for node in once for _ in range(1 + (node.op_type == "Cast")))
        return proto

    expected = onnx_ir.to_proto(to_float16(graph))
    monkeypatch.setattr("embedrt_export.quantization.fp16.convert_float_to_float16", repeating)
    assert onnx_ir.to_proto(to_float16(graph)) == expected


def test_pooling_stays_in_float32(half: onnx.GraphProto) -> None:
    types = {tensor.name: tensor.data_type for tensor in half.initializer}
    assert types["dense"] == types["least"] == TensorProto.FLOAT
    by_output = {name: node for node in half.node for name in node.output}
    pooled = next(node for node in half.node if node.op_type == "MatMul" and node.input[1] not in types)
    cast = by_output[pooled.input[1]]  # the token vectors, (batch, sequence, width)
    assert cast.op_type == "Cast"
    assert [attribute.i for attribute in cast.attribute if attribute.name == "to"] == [TensorProto.FLOAT]
    reached: set[str] = set()
    pending = list(pooled.output)
    while pending:
        name = pending.pop()
        for node in half.node:
            if name in node.input and node.output[0] not in reached:
                reached.add(node.output[0])
                pending.append(node.output[0])
                constants = {types[entry] for entry in node.input if entry in types}
                assert TensorProto.FLOAT16 not in constants
                assert not any(
                    attribute.i == TensorProto.FLOAT16 for attribute in node.attribute if attribute.name == "to"
                )
    assert "sentence_embedding" in reached


def test_sums_that_could_lose_digits(half: onnx.GraphProto) -> None:
    [attention] = [node for node in half.node if node.op_type == "Attention"]
    given = {attribute.name: attribute.i for attribute in attention.attribute}
    assert given == {"q_num_heads": 4, "kv_num_heads": 4, "softmax_precision": TensorProto.FLOAT}
    for norm in (node for node in half.node if node.op_type == "LayerNormalization"):
        assert [attribute.i for attribute in norm.attribute if attribute.name == "stash_type"] == [1]


def test_vectors(quantized: Path) -> None:
    """Texts up to the limit, and far above; types of the vectors stay."""
    texts = ["how do i reset my password?", "忘记密码怎么办？", "", "a" * 5000, " ".join(["word"] * 500)]
    with SentenceEncoder(quantized) as exact, SentenceEncoder(quantized, variant="fp16") as halved:
        expected, found = exact.encode(texts), halved.encode(texts)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert 0 < np.abs(found - expected).max() < 5e-3
    assert ((found * expected).sum(axis=1) > 0.9999).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)  # lengths are computed in float32


def test_values_beyond_half_are_no_infinity_behind_pooling(graph: onnx_ir.Model) -> None:
    """The product behind pooling may give what float16 cannot hold."""
    values = graph.graph.initializers["dense"]
    assert values.const_value is not None
    values.const_value = onnx_ir.tensor(values.const_value.numpy() * np.float32(1e6), name="dense")
    stored = {tensor.name: tensor for tensor in onnx_ir.to_proto(to_float16(graph)).graph.initializer}
    assert np.isfinite(numpy_helper.to_array(stored["dense"])).all()
    assert np.abs(numpy_helper.to_array(stored["dense"])).max() > 65504


@pytest.mark.parametrize("name", ["sequence_length", None, 7], ids=str)
def test_names_of_the_sequence(graph: onnx_ir.Model, name: str | int | None) -> None:
    """Optimum's, none, and a number, by which other axes could be taken for it."""
    values = [*graph.graph.inputs, *(value for node in graph.graph for value in node.outputs)]
    for value in values:
        if value.shape is not None:
            value.shape = onnx_ir.Shape([name if str(size) == "sequence" else size for size in value.shape])
    if not isinstance(name, str):
        with pytest.raises(InputError, match=r"no weight would become float16: .* axis of input_ids, None, by name"):
            to_float16(graph)
        return
    table = to_float16(graph).graph.initializers["words"].const_value
    assert table is not None
    assert table.dtype == onnx_ir.DataType.FLOAT16


def test_nothing_to_convert() -> None:
    model = onnx_ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 23]>\ng (float[batch, 4] x) => (float[batch, 4] z) { z = Tanh(x) }'
    )
    with pytest.raises(InputError, match="nothing to convert"):
        to_float16(model)
