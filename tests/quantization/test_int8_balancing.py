"""Where the factors that balance channels go: into what is before the product, unless something else reads it."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx_ir
import pytest
from embedrt_export.quantization.int8 import can_smooth, quantize_products
from embedrt_export.quantization.linears import find_groups
from embedrt_export.quantization.scheme import Scheme, Static

Floats = npt.NDArray[np.float32]
OneProduct = Callable[..., onnx_ir.Model]
RunGraph = Callable[..., list[Floats]]
Draw = Callable[..., Floats]
INPUTS = 24
NORM = "n = LayerNormalization<axis = -1>(x, g, h) y = MatMul(n, w) "
ATTENTION = "q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) vb = Add(v, bv) "
ATTENTION += "a = Attention<q_num_heads = 4, kv_num_heads = {heads}>(q, k, vb) z0 = MatMul(a, wo) z = Identity(z0)"


def balance(model: onnx_ir.Model, draw: Draw) -> Counter[str]:
    """Balance by strong factors, and quantize; gives the operators."""
    scheme = Scheme(np.exp(draw(8, INPUTS) / 2), Static(0.2, 128), 0.7, 0.0)
    quantize_products(model, [(group, scheme) for group in find_groups(model)], weight_limit=127)
    return Counter(node.op_type for node in model.graph)


@pytest.mark.parametrize(
    ("text", "outputs", "multiplications"),
    [
        (NORM + "z = Neg(y)", "z", 0),
        (NORM + "m = MatMul(n, w) s = Add(y, m) z = Neg(s)", "z", 0),
        (NORM + "z = Add(y, n)", "z", 1),
        (NORM + "z = Neg(y)", "z n", 1),
    ],
    ids=["only the product reads it", "only products read it", "the residual reads it", "it is an output"],
)
def test_balancing_is_folded_where_nothing_else_reads(
    text: str, outputs: str, multiplications: int, one_product: OneProduct, run_graph: RunGraph, draw: Draw
) -> None:
    norms = {"g": np.abs(draw(5, INPUTS)) + 1, "h": draw(6, INPUTS), "w": draw(7, INPUTS, INPUTS)}
    model = one_product(text, norms, outputs=outputs)
    x = draw(9, 2, 5, INPUTS)
    exact = run_graph(model, x)
    assert balance(model, draw)["Mul"] == multiplications
    for found, expected in zip(run_graph(model, x), exact, strict=True):
        assert np.linalg.norm(found - expected) < 0.08 * np.linalg.norm(expected)


@pytest.mark.parametrize(("heads", "folded"), [(4, True), (2, False)])
def test_balancing_behind_attention_is_folded_into_the_values(
    heads: int, folded: bool, one_product: OneProduct, run_graph: RunGraph, draw: Draw
) -> None:
    """Grouped heads share values: one factor cannot serve them all."""
    shared = INPUTS * heads // 4
    names = {"wq": INPUTS, "wk": shared, "wv": shared, "wo": INPUTS}
    constants = {name: draw(index, INPUTS, width) * 0.3 for index, (name, width) in enumerate(names.items())}
    model = one_product(ATTENTION.format(heads=heads), {**constants, "bv": draw(9, shared)})
    x = draw(10, 2, 5, INPUTS)
    [exact] = run_graph(model, x)
    groups = find_groups(model)
    assert [group.kind for group in groups] == ["other", "attention"]
    assert [can_smooth(group, groups, static=False) for group in groups] == [False, folded]
    assert [can_smooth(group, groups, static=True) for group in groups] == [True, True]
    plain = Scheme(np.ones(INPUTS, dtype=np.float32), Static(0.035, 128), None, 0.0)
    smooth = Scheme(np.exp(draw(11, INPUTS) / 2), Static(0.1, 128), 0.7, 0.0)
    quantize_products(model, [(groups[0], plain), (groups[1], smooth)], weight_limit=127)
    assert Counter(node.op_type for node in model.graph)["Mul"] == (0 if folded else 1)
    [found] = run_graph(model, x)
    assert np.linalg.norm(found - exact) < 0.08 * np.linalg.norm(exact)
