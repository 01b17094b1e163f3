"""Blocks of channels behind GELU: their order, and their numbers beside numpy."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir
import pytest
from embedrt_export.quantization.int8 import can_reorder, quantize_products
from embedrt_export.quantization.linears import find_groups
from embedrt_export.quantization.scheme import Scheme, Static

Floats = npt.NDArray[np.float32]
OneProduct = Callable[..., onnx_ir.Model]
RunGraph = Callable[..., list[Floats]]
Draw = Callable[..., Floats]
Emulated = Callable[[Floats, Scheme, Floats, Floats, int], Floats]
INPUTS, OUTPUTS = 24, 10
WIDE = 32
EXPANDED = "u = MatMul(x, w) a = Add(u, b) y = Gelu(a) z = MatMul(y, m)"


@pytest.fixture
def expanded(one_product: OneProduct, draw: Draw) -> OneProduct:
    """24 channels into 32, GELU, and 32 into 10."""

    def make(
        text: str = EXPANDED, *, outputs: str = "z", opset: int = 23, sequence: int | None = None
    ) -> onnx_ir.Model:
        constants = {"w": draw(0, INPUTS, WIDE), "b": draw(1, WIDE), "m": draw(2, WIDE, OUTPUTS)}
        model = one_product(text, constants, outputs=outputs, width=WIDE)
        model.opset_imports[""] = opset
        if sequence is not None:
            for node in model.graph:
                for value in node.outputs:
                    last = value.shape[-1] if value.shape is not None else None
                    value.shape = onnx_ir.Shape(["batch", sequence, last])
        return model

    return make


def blocked_scheme(seed: int = 5) -> Scheme:
    """Eight factors, each of four channels here and there."""
    random = np.random.default_rng(seed)
    order = random.permutation(WIDE)
    smoothing = np.empty(WIDE, dtype=np.float32)
    smoothing[order] = np.repeat(np.exp(random.normal(size=8)), 4)
    return Scheme(smoothing, Static(0.15, 9), 0.7, 0.0, order)


def test_blocks_behind_gelu_compute_the_scheme_without_a_pass(
    run_graph: RunGraph, draw: Draw, emulated: Emulated, expanded: OneProduct
) -> None:
    model, x = expanded(), draw(3, 3, 7, INPUTS)
    [first, second] = find_groups(model)
    scheme, plain = blocked_scheme(), Scheme(np.ones(INPUTS, dtype=np.float32), Static(0.03, 128), None, 0.0)
    [linear] = first.linears
    assert linear.bias is not None
    hidden = emulated(x, plain, linear.weight, linear.bias, 127)
    quantize_products(model, [(first, plain), (second, scheme)], weight_limit=127)
    counts = Counter(node.op_type for node in model.graph)
    assert (counts["Mul"], counts["MatMulIntegerToFloat"]) == (0, 2)
    active = (hidden * np.vectorize(math.erfc)(-hidden / math.sqrt(2)) / 2).astype(np.float32)
    expected = emulated(active, scheme, second.linears[0].weight, np.zeros(OUTPUTS, dtype=np.float32), 127)
    [found] = run_graph(model, x)
    # a value on the edge between two levels may fall on either side
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    assert np.median(np.abs(found - expected)) < 1e-5 * np.abs(expected).max()
    alone = np.concatenate([run_graph(model, row[None])[0] for row in x])
    np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (EXPANDED, {"opset": 20}),  # blocks came with opset 21
        (EXPANDED, {"sequence": 1}),  # one row a text: nothing to save
        (EXPANDED.replace("Gelu", "Tanh"), {}),
        (EXPANDED + " r = Relu(y)", {"outputs": "z r"}),
        (EXPANDED, {"outputs": "z y"}),
        (EXPANDED, {"outputs": "z a"}),
        (EXPANDED + " r = Relu(a)", {"outputs": "z r"}),
    ],
    ids=["old opset", "one row", "tanh", "read elsewhere", "an output", "sum an output", "sum read elsewhere"],
)
def test_channels_that_others_see_stay_in_their_order(text: str, options: dict[str, Any], expanded: OneProduct) -> None:
    model = expanded(text, **options)
    groups = find_groups(model)
    assert [can_reorder(group, groups, model.opset_imports[""]) for group in groups] == [False, False]


def test_channels_behind_gelu_may_be_reordered(expanded: OneProduct) -> None:
    model = expanded()
    groups = find_groups(model)
    assert [can_reorder(group, groups, 23) for group in groups] == [False, True]


def test_blocks_become_a_pass_where_the_product_before_stays_in_float(
    run_graph: RunGraph, draw: Draw, expanded: OneProduct
) -> None:
    model, x = expanded(), draw(3, 2, 5, INPUTS)
    [exact] = run_graph(model, x)
    scheme = blocked_scheme()
    quantize_products(model, [(find_groups(model)[1], scheme)], weight_limit=127)
    assert Counter(node.op_type for node in model.graph)["Mul"] == 1
    assert np.linalg.norm(run_graph(model, x)[0] - exact) < 0.3 * np.linalg.norm(exact)
