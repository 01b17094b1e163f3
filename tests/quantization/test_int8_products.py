"""Products in int8, each by itself, beside the same steps in numpy."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx_ir
import pytest
from embedrt_export.quantization.int8 import quantize_products
from embedrt_export.quantization.linears import find_groups
from embedrt_export.quantization.scheme import Rows, Scheme, Static

Floats = npt.NDArray[np.float32]
OneProduct = Callable[..., onnx_ir.Model]
RunGraph = Callable[..., list[Floats]]
Draw = Callable[..., Floats]
Emulated = Callable[[Floats, Scheme, Floats, Floats, int], Floats]
INPUTS, OUTPUTS = 24, 10
SCHEMES: dict[str, Static | Rows] = {
    "static": Static(0.027, 121),
    "static, clipped": Static(0.008, 30),
    "rows": Rows(128),
    "rows above a floor": Rows(16, 0.17 * 239 / 16),
}


@pytest.mark.parametrize("limit", [127, 63])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("opset", [23, 20, 13])
def test_graph_computes_the_scheme(
    name: str,
    balanced: bool,
    limit: int,
    with_bias: bool,
    opset: int,
    one_product: OneProduct,
    run_graph: RunGraph,
    draw: Draw,
    emulated: Emulated,
) -> None:
    weight, bias = draw(0, INPUTS, OUTPUTS), (draw(1, OUTPUTS) if with_bias else np.zeros(OUTPUTS, dtype=np.float32))
    text = "y = MatMul(x, w) z = Add(y, b)" if with_bias else "z0 = MatMul(x, w) z = Identity(z0)"
    model = one_product(text, {"w": weight, **({"b": bias} if with_bias else {})})
    model.opset_imports[""] = opset
    smoothing = draw(2, INPUTS) / 2 if balanced else np.zeros(INPUTS, dtype=np.float32)
    scheme = Scheme(np.exp(smoothing), SCHEMES[name], 0.7 if balanced else None, 0.0)
    quantize_products(model, [(group, scheme) for group in find_groups(model)], weight_limit=limit)
    in_matrices = opset < 21 and isinstance(scheme.activations, Rows)
    assert Counter(node.op_type for node in model.graph)["Reshape"] == (2 if in_matrices else 0)
    x = draw(3, 3, 7, INPUTS)
    x[1, 2] = 0
    [found] = run_graph(model, x)
    expected = emulated(x, scheme, weight, bias, limit)
    assert found.shape == (3, 7, OUTPUTS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * float(np.abs(expected).max()))
    np.testing.assert_array_equal(found[1, 2], bias)  # a row of zeros: no NaN, and zero is exact
    if name == "rows":
        exact = x @ weight + bias
        assert np.linalg.norm(found - exact) < 0.03 * np.linalg.norm(exact)


def test_weights_stay_within_their_limit(one_product: OneProduct, draw: Draw) -> None:
    for limit in (127, 63):
        model = one_product("z = MatMul(x, w)", {"w": draw(0, INPUTS, OUTPUTS)})
        scheme = Scheme(np.ones(INPUTS, dtype=np.float32), Rows(128), None, 0.0)
        quantize_products(model, [(group, scheme) for group in find_groups(model)], weight_limit=limit)
        [weight] = [
            value.const_value.numpy()
            for value in model.graph.initializers.values()
            if value.const_value is not None and value.const_value.dtype == onnx_ir.DataType.INT8
        ]
        assert np.abs(weight.astype(int)).max() == limit


ROWS_AND_FIRST = "u = MatMul(x, w) t = Tanh(u) y = MatMul(t, m) f = Slice(x, start, stop, axis) z = MatMul(f, w)"


@pytest.mark.parametrize("opset", [23, 20])
def test_layers_share_their_zero_points(opset: int, one_product: OneProduct, run_graph: RunGraph, draw: Draw) -> None:
    """Tokens have as many everywhere; behind pooling by the first token a text has one."""
    places = {"start": np.array([0]), "stop": np.array([1]), "axis": np.array([1])}
    constants = {"w": draw(0, INPUTS, INPUTS), "m": draw(1, INPUTS, INPUTS), **places}
    model = one_product(ROWS_AND_FIRST, constants, outputs="y z")
    x = draw(2, 3, 5, INPUTS)
    exact = run_graph(model, x)
    model.opset_imports[""] = opset
    first = next(node for node in model.graph if node.op_type == "Slice").outputs[0]
    first.shape = onnx_ir.Shape(
        ["batch", 1, INPUTS]
    )  # inference tells one_product's graph no more than that it is short
    scheme = Scheme(np.ones(INPUTS, dtype=np.float32), Rows(128), None, 0.0)
    groups = find_groups(model)
    assert [group.one_row for group in groups] == [False, False, True]
    quantize_products(model, [(group, scheme) for group in groups], weight_limit=127)
    assert Counter(node.op_type for node in model.graph)["Expand"] == (2 if opset == 23 else 3)
    for found, expected in zip(run_graph(model, x), exact, strict=True):
        assert found.shape == expected.shape
        assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)


def test_a_product_may_be_an_output(one_product: OneProduct, run_graph: RunGraph, draw: Draw) -> None:
    model = one_product("z = MatMul(x, w)", {"w": draw(0, INPUTS, OUTPUTS)})
    scheme = Scheme(np.ones(INPUTS, dtype=np.float32), Rows(128), None, 0.0)
    quantize_products(model, [(group, scheme) for group in find_groups(model)], weight_limit=127)
    assert [value.name for value in model.graph.outputs] == ["z"]
    assert Counter(node.op_type for node in model.graph)["MatMulIntegerToFloat"] == 1
    assert run_graph(model, draw(1, 2, 3, INPUTS))[0].shape == (2, 3, OUTPUTS)


def test_a_product_may_read_another(one_product: OneProduct, run_graph: RunGraph, draw: Draw) -> None:
    constants = {"w": draw(0, INPUTS, INPUTS), "b": draw(1, INPUTS), "m": draw(2, INPUTS, OUTPUTS)}
    model = one_product("u = MatMul(x, w) y = Add(u, b) z = MatMul(y, m)", constants)
    x = draw(3, 2, 3, INPUTS)
    [exact] = run_graph(model, x)
    groups = find_groups(model)
    scheme = Scheme(np.ones(INPUTS, dtype=np.float32), Rows(128), None, 0.0)
    quantize_products(model, [(group, scheme) for group in groups], weight_limit=127)
    assert Counter(node.op_type for node in model.graph)["MatMulIntegerToFloat"] == len(groups) == 2
    [found] = run_graph(model, x)
    assert np.linalg.norm(found - exact) < 0.03 * np.linalg.norm(exact)


def test_rows_of_zeros_and_of_huge_values(one_product: OneProduct, run_graph: RunGraph, draw: Draw) -> None:
    model = one_product("z = MatMul(x, w)", {"w": draw(0, INPUTS, OUTPUTS)})
    scheme = Scheme(np.ones(INPUTS, dtype=np.float32), Rows(128), None, 0.0)
    quantize_products(model, [(group, scheme) for group in find_groups(model)], weight_limit=127)
    [maximum] = [node for node in model.graph if node.op_type == "Max"]
    floor = maximum.inputs[1]
    assert floor is not None
    assert floor.const_value is not None
    assert floor.const_value.numpy() > 0  # what 0 / 0 becomes as an integer is the processor's own affair
    x = np.zeros((1, 3, INPUTS), dtype=np.float32)
    x[0, 1], x[0, 2] = 1e-20, 1e30
    [found] = run_graph(model, x, optimized=False)
    assert np.isfinite(found).all()
    assert found[0, 0].tolist() == [0] * OUTPUTS


def test_a_bias_takes_the_shift_in(one_product: OneProduct, run_graph: RunGraph, draw: Draw) -> None:
    """The second product has no bias: a pass for it would cost more than it gains."""
    text = "y = MatMul(x, w) a = Add(y, b) v = MatMul(x, m) z = Concat <axis = -1> (a, v)"
    constants = {"w": draw(0, INPUTS, OUTPUTS), "b": draw(1, OUTPUTS), "m": draw(2, INPUTS, OUTPUTS)}
    x, shift = draw(3, 2, 5, INPUTS), draw(4, 2 * OUTPUTS)
    found = []
    for added in (None, shift):
        model = one_product(text, constants)
        scheme = Scheme(np.ones(INPUTS, dtype=np.float32), Static(0.03, 128), None, 0.0, shift=added)
        quantize_products(model, [(group, scheme) for group in find_groups(model)], weight_limit=127)
        found.append(run_graph(model, x)[0])
    moved = np.concatenate([shift[:OUTPUTS], np.zeros(OUTPUTS, dtype=np.float32)])
    np.testing.assert_allclose(found[1] - found[0], np.broadcast_to(moved, found[0].shape), atol=1e-5)
