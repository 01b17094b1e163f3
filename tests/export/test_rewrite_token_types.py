"""The token type of every token is 0: a row instead of a lookup, bit for bit the same; other lookups stay."""

import re

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.rewrite import operators
from embedrt_export.rewrite.token_types import fold_token_types

# Every side has length 3: where a lookup is left alone, its shape is not the reason.
GRAPH = """
embeddings (int64[3,3] ids) => (float[3,3,3] y) {
    size = Shape(ids)
    zeros = ConstantOfShape<value = int64[1] {1}>(ones)
    types = Expand(zeros, size)
    word = Gather(words, ids)
    type = Gather(kinds, types)
    y = Add(word, type)
}
"""


def _model(**lines: str) -> onnx_ir.Model:
    text = GRAPH
    for name, line in lines.items():
        text, found = re.subn(rf"^    {name} = .*$", f"    {line}", text, flags=re.MULTILINE)
        assert found == 1, name
    graph = onnx.parser.parse_graph(text)
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=(size, 3)).astype(np.float32) for name, size in (("words", 7), ("kinds", 3))}
    arrays |= {"ones": np.array([1, 1]), "two": np.array([[2]]), "mixed": np.array([[0, 1, 2]])}
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    return onnx_ir.from_proto(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))


def _run(model: onnx_ir.Model) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        onnx_ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    result: np.ndarray = session.run(None, {"ids": np.array([[0, 6, 2], [3, 3, 4], [5, 1, 0]])})[0]
    return result


@pytest.mark.parametrize(
    "lines",
    [
        {},
        {"y": "y = Add(type, word)"},
        {"types": "types = ConstantOfShape<value = int64[1] {2}>(size)"},
        {"types": "types = Expand(two, size)"},
    ],
    ids=["second", "first", "filled", "constant"],
)
def test_one_index_everywhere_is_a_row(lines: dict[str, str]) -> None:
    model = _model(**lines)
    before = _run(model)
    assert fold_token_types(model) == 1
    drop_unused(model)
    assert operators(model) == {"Gather": 1, "Add": 1}
    np.testing.assert_array_equal(_run(model), before)


@pytest.mark.parametrize(
    "lines",
    [
        {"types": "types = Mod(ids, two)"},
        {"types": "types = Expand(mixed, size)"},
        {"y": "y = Mul(word, type)"},
        {"word": "word = Gather(words, mixed)"},
        {"type": "type = Gather<axis = 1>(kinds, types)"},
    ],
    ids=["computed", "mixed-types", "product", "smaller-sum", "columns"],
)
def test_other_lookups_stay(lines: dict[str, str]) -> None:
    model = _model(**lines)
    assert fold_token_types(model) == 0
    assert operators(model) == operators(_model(**lines))
