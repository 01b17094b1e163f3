"""Biases that attention does not see or lets through: the same numbers without them, and where they must stay."""

from collections.abc import Callable

import numpy as np
import onnx_ir
import onnxruntime
import pytest
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.rewrite import operators
from embedrt_export.rewrite.biases import drop_key_biases, fold_value_biases

Graph = Callable[..., onnx_ir.Model]
Run = Callable[[onnx_ir.Model], dict[str, np.ndarray]]
SHARED = "attended = Attention<q_num_heads = 2, kv_num_heads = 1>(query, key, value, masks)"
HALF = {
    "key_product": "key_product = MatMul(hidden, w_key_half)",
    "key": "key = Add(key_product, b_key_half)",
    "value_product": "value_product = MatMul(hidden, w_value_half)",
    "value": "value = Add(value_product, b_value_half)",
    "attended": SHARED,
}  # two query heads read one head of keys and values
ALLOWED = """allowed = Cast<to = 9>(attention_mask)
    allowed_rows = Unsqueeze(allowed, heads)
    masks = Expand(allowed_rows, square)"""


@pytest.mark.parametrize("lines", [{}, HALF, {"masks": ALLOWED}], ids=["plain", "shared-heads", "boolean-mask"])
def test_keys_need_no_bias(layer_graph: Graph, run_layer: Run, lines: dict[str, str]) -> None:
    model = layer_graph(outputs=", float[batch,sequence,8] last", **lines)
    before, additions = run_layer(model), operators(model)["Add"]
    assert drop_key_biases(model) == 1
    drop_unused(model)
    assert operators(model)["Add"] == additions - 1
    for name, result in run_layer(model).items():
        np.testing.assert_allclose(result, before[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("lines", [{}, {"masks": ALLOWED}], ids=["plain", "boolean-mask"])
def test_values_give_their_bias_to_the_projection(layer_graph: Graph, run_layer: Run, lines: dict[str, str]) -> None:
    model = layer_graph(outputs=", float[batch,sequence,8] last", **lines)
    before, additions = run_layer(model), operators(model)["Add"]
    assert fold_value_biases(model) == 1
    drop_unused(model)
    assert operators(model)["Add"] == additions - 1
    for name, result in run_layer(model).items():
        np.testing.assert_allclose(result, before[name], rtol=0, atol=1e-6)


def test_a_text_without_tokens_stays_zero(layer_graph: Graph) -> None:
    """Its queries look nowhere, so that its hidden states do change; pooling has no use for them."""
    model = layer_graph()
    fold_value_biases(model)
    session = onnxruntime.InferenceSession(
        onnx_ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {"tokens": np.ones((1, 3, 8), dtype=np.float32), "attention_mask": np.zeros((1, 3), dtype=np.int64)}
    np.testing.assert_array_equal(session.run(None, feed)[0], np.zeros((1, 8)))


@pytest.mark.parametrize(
    "lines",
    [
        {"key": "turned = Add(key_product, b_key)\n    key = Mul(turned, p_rotation)"},
        {"key": "raw = Add(key_product, b_key)\n    key = LayerNormalization<axis = -1>(raw, b_scale, b_shift)"},
        {"key": "key = Add(key_product, hidden)"},
        {"key": "key = Add(key_product, p_positions)", "length": "5"},
        {"outputs": ", float[batch,sequence,8] key"},
        {"down": "plain = Add(down_product, b_down)\n    down = Add(plain, key)"},
        {"attended": "attended = Attention<q_num_heads = 2, kv_num_heads = 2, softcap = 1.0>(query, key, value, masks)"},
    ],
    ids=["rotated", "normalized", "no-bias", "position", "given", "read-twice", "capped"],
)  # fmt: skip
def test_key_biases_that_stay(layer_graph: Graph, lines: dict[str, str]) -> None:
    model = layer_graph(**lines)
    assert drop_key_biases(model) == 0
    assert operators(model) == operators(layer_graph(**lines))


@pytest.mark.parametrize(
    "lines",
    [
        HALF,
        {"value": "raw = Add(value_product, b_value)\n    value = Tanh(raw)"},
        {"value": "value = Add(value_product, p_positions)", "length": "5"},
        {"outputs": ", float[batch,sequence,8] value"},
        {"outputs": ", float[batch,sequence,8] attended"},
        {"projected_product": "bent = Tanh(attended)\n    projected_product = MatMul(bent, w_projected)"},
        {"projected": "projected = Tanh(projected_product)"},
        {"projected": "projected = Add(projected_product, hidden)"},
        {"sum": "inner = Add(projected, hidden)\n    sum = Add(inner, attended)"},
    ],
    ids=["shared-heads", "bent", "position", "value-given", "attended-given", "bent-after",
         "no-bias", "residual", "read-twice"],
)  # fmt: skip
def test_value_biases_that_stay(layer_graph: Graph, lines: dict[str, str]) -> None:
    model = layer_graph(**lines)
    assert fold_value_biases(model) == 0
    assert operators(model) == operators(layer_graph(**lines))
