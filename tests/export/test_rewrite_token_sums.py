"""Weighted sums over tokens as products: where that is so, and where it is not."""

from collections.abc import Callable

import numpy as np
import onnx_ir
import pytest
from embedrt_export.rewrite import operators
from embedrt_export.rewrite.token_sums import sums_as_products

Graph = Callable[..., onnx_ir.Model]
Run = Callable[[onnx_ir.Model], dict[str, np.ndarray]]
SUM = """column = Unsqueeze(chosen, minus)
    weighted = Mul({})
    token = ReduceSum<keepdims = 0>(weighted, {})"""


@pytest.mark.parametrize("factors", ["column, last", "last, column"])
def test_a_sum_of_weighted_tokens(layer_graph: Graph, run_layer: Run, factors: str) -> None:
    model = layer_graph(token=SUM.format(factors, "middle"), vectors="vectors = Identity(token)")
    before = run_layer(model)["vectors"]
    products = operators(model)["MatMul"]
    assert sums_as_products(model) == 1
    assert (operators(model)["ReduceSum"], operators(model)["MatMul"]) == (0, products + 1)
    np.testing.assert_allclose(run_layer(model)["vectors"], before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("token", "vectors"),
    [
        (SUM.format("column, last", "minus"), "vectors = Identity(token)"),
        (SUM.format("last, last", "middle"), "vectors = Identity(token)"),
        ("token = ReduceSum<keepdims = 0>(last, middle)", "vectors = Identity(token)"),
        (
            SUM.format("column, last", "middle").replace("keepdims = 0", "keepdims = 1"),
            "vectors = Squeeze(token, middle)",
        ),
    ],
    ids=["over-the-width", "no-weights", "unweighted", "kept-axis"],
)
def test_other_sums_stay(layer_graph: Graph, token: str, vectors: str) -> None:
    model, before = (layer_graph(token=token, vectors=vectors, length="8") for _ in range(2))
    assert sums_as_products(model) == 0
    assert operators(model) == operators(before)
