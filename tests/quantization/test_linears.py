"""What a graph has to quantize."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import pytest
from embedrt_export.quantization.linears import find_groups
from onnx import numpy_helper


def found(model: onnx_ir.Model) -> list[tuple[str, str | None, list[str]]]:
    return [(group.kind, group.source.name, [linear.name for linear in group.linears]) for group in find_groups(model)]


def test_products_are_grouped_by_what_they_read(graph: onnx_ir.Model) -> None:
    """``dense`` stands behind pooling, and ``means`` has no constant operand."""
    assert found(graph) == [
        ("norm", "norm0", ["query", "key", "value"]),
        ("attention", "attended", ["output"]),
        ("norm", "norm1", ["up"]),
        ("gelu", "gelu", ["down"]),
        ("norm", "norm2", ["project"]),
        ("other", "tanh", ["other"]),
    ]


def test_weights_biases_and_results(graph: onnx_ir.Model, transformer: Path) -> None:
    stored = onnx.load(transformer / "onnx/model.onnx").graph.initializer
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in stored}
    groups = find_groups(graph)
    for linear in (linear for group in groups for linear in group.linears):
        np.testing.assert_array_equal(linear.weight, values[linear.name])
        assert linear.result.name == f"{linear.name}.result"
        if linear.name in ("project", "other"):
            assert linear.bias is None
        else:
            np.testing.assert_array_equal(linear.bias, values[f"{linear.name}.bias"])
    names = ("query", "key", "value")
    np.testing.assert_array_equal(groups[0].weights, np.concatenate([values[name] for name in names], axis=1))


def only_product(extra: str, constants: dict[str, np.ndarray]) -> onnx_ir.Model:
    """A product ``y = x W`` of width 4, and what follows it."""
    model = onnx_ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 23]>\n'
        f"g (float[batch, sequence, 4] x) => (float[batch, sequence, 4] z) {{ {extra} }}"
    )
    for name, array in constants.items():
        value = next(value for node in model.graph for value in node.inputs if value is not None and value.name == name)
        value.const_value = onnx_ir.tensor(array, name=name)
        value.shape, value.dtype = onnx_ir.Shape(array.shape), onnx_ir.DataType.from_numpy(array.dtype)
        model.graph.register_initializer(value)
    return model


EYE = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize(
    ("graph_text", "bias", "result"),
    [
        ("y = MatMul(x, w) z = Add(y, b)", np.arange(4, dtype=np.float32), "z"),
        ("y = MatMul(x, w) z = Add(b, y)", np.arange(4, dtype=np.float32), "z"),
        ("y = MatMul(x, w) z = Add(y, b)", np.ones((1, 1, 4), dtype=np.float32), "y"),
        ("y = MatMul(x, w) z = Add(y, b)", np.ones(1, dtype=np.float32), "y"),
        ("y = MatMul(x, w) t = Tanh(y) s = Add(y, b) z = Mul(s, t)", np.ones(4, dtype=np.float32), "y"),
        ("y = MatMul(x, w) z = Mul(y, b)", np.ones(4, dtype=np.float32), "y"),
    ],
)
def test_only_a_bias_of_its_own_belongs_to_a_product(graph_text: str, bias: np.ndarray, result: str) -> None:
    [group] = find_groups(only_product(graph_text, {"w": EYE, "b": bias}))
    [linear] = group.linears
    assert linear.result.name == result
    assert (linear.bias is None) == (result == "y")


@pytest.mark.parametrize(
    ("graph_text", "constants"),
    [
        ("z = MatMul(x, x)", {}),
        ("z = MatMul(w, x)", {"w": EYE}),
        ("z = MatMul(x, w)", {"w": EYE.astype(np.float64)}),
        ("z = MatMul(x, w)", {"w": EYE[None]}),
        ("z = Mul(x, w)", {"w": EYE}),
    ],
)
def test_what_is_no_linear_product(graph_text: str, constants: dict[str, np.ndarray]) -> None:
    assert find_groups(only_product(graph_text, constants)) == []


def test_a_text_has_one_row_behind_pooling() -> None:
    model = only_product("z = MatMul(x, w)", {"w": EYE})
    assert len(find_groups(model)) == 1
    model.graph.inputs[0].shape = onnx_ir.Shape(["batch", 4])
    assert find_groups(model) == []
