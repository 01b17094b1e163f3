"""The int8 graph: its form, and its numbers beside numpy."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir
import onnxruntime
import pytest
from embedrt_export.quantization.int8 import can_reorder, can_smooth, quantize_products
from embedrt_export.quantization.linears import find_groups
from embedrt_export.quantization.scheme import Rows, Scheme, Static
from onnx import numpy_helper

Floats = npt.NDArray[np.float32]
CPU = ["CPUExecutionProvider"]
GRAPHS = {"int8": "onnx/model_int8.onnx", "int8-static": "onnx/model_int8_static.onnx"}
INPUTS, OUTPUTS = 24, 10


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
    session = onnxruntime.InferenceSession(int8_graph, providers=CPU)
    assert [value.name for value in session.get_inputs()] == ["input_ids", "attention_mask"]
    assert [(value.name, value.shape) for value in session.get_outputs()] == [("sentence_embedding", ["batch", 32])]


def test_nothing_is_left_over(int8_graph: Path) -> None:
    graph = onnx.load(int8_graph).graph
    read = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= read
    assert {name for node in graph.node for name in node.output} <= read | {"sentence_embedding"}


# One product by itself, beside the same steps in numpy


def one_product(
    before: str, constants: dict[str, npt.NDArray[Any]], *, outputs: str = "z", width: int = INPUTS
) -> onnx_ir.Model:
    """``z`` from the activations ``x`` (batch, sequence, 24); the ids only tell batch and sequence."""
    shapes = ", ".join(f"float[batch, sequence, {'n' if name == 'z' else width}] {name}" for name in outputs.split())
    text = (
        '<ir_version: 10, opset_import: ["" : 23]>\n'
        f"g (int64[batch, sequence] ids, float[batch, sequence, {INPUTS}] x) => ({shapes}) {{ {before} }}"
    )
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return onnx_ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))


def run(model: onnx_ir.Model, x: Floats, *, optimized: bool = True) -> list[Floats]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact sums without VNNI too
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(onnx_ir.to_proto(model).SerializeToString(), options, providers=CPU)
    results: list[Floats] = session.run(None, {"ids": np.zeros(x.shape[:2], dtype=np.int64), "x": x})
    return results


def draw(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def emulated(x: Floats, scheme: Scheme, weight: Floats, bias: Floats, limit: int) -> Floats:
    """The scheme step by step: integers are summed as integers, everything else in float32."""
    c = scheme.smoothing
    balanced = weight * c[:, None]
    t = np.abs(balanced).max(axis=0) / np.float32(limit)
    whole = np.clip(np.rint(balanced / t), -limit, limit).astype(np.int32)
    x = x * (np.float32(1) / c)
    kind = scheme.activations
    if isinstance(kind, Static):
        s = np.full((*x.shape[:2], 1), kind.scale, dtype=np.float32)
    elif kind.floor is None:
        s = np.maximum(np.abs(x).max(axis=2, keepdims=True), np.float32(1e-12)) * np.float32(1 / 127)
    else:
        s = np.maximum(x.max(axis=2, keepdims=True), np.float32(kind.floor)) * np.float32(1 / (255 - kind.zero_point))
    codes = np.clip(np.rint(x / s).astype(np.int64) + kind.zero_point, 0, 255) - kind.zero_point
    result: Floats = ((codes @ whole).astype(np.float32) * s * t + bias).astype(np.float32)
    return result


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
def test_graph_computes_the_scheme(name: str, balanced: bool, limit: int, with_bias: bool, opset: int) -> None:
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
    [found] = run(model, x)
    expected = emulated(x, scheme, weight, bias, limit)
    assert found.shape == (3, 7, OUTPUTS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * float(np.abs(expected).max()))
    np.testing.assert_array_equal(found[1, 2], bias)  # a row of zeros: no NaN, and zero is exact
    if name == "rows":
        exact = x @ weight + bias
        assert np.linalg.norm(found - exact) < 0.03 * np.linalg.norm(exact)


def test_weights_stay_within_their_limit() -> None:
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
def test_layers_share_their_zero_points(opset: int) -> None:
    """Tokens have as many everywhere; behind pooling by the first token a text has one."""
    places = {"start": np.array([0]), "stop": np.array([1]), "axis": np.array([1])}
    constants = {"w": draw(0, INPUTS, INPUTS), "m": draw(1, INPUTS, INPUTS), **places}
    model = one_product(ROWS_AND_FIRST, constants, outputs="y z")
    x = draw(2, 3, 5, INPUTS)
    exact = run(model, x)
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
    for found, expected in zip(run(model, x), exact, strict=True):
        assert found.shape == expected.shape
        assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)


def test_a_product_may_be_an_output() -> None:
    model = one_product("z = MatMul(x, w)", {"w": draw(0, INPUTS, OUTPUTS)})
    scheme = Scheme(np.ones(INPUTS, dtype=np.float32), Rows(128), None, 0.0)
    quantize_products(model, [(group, scheme) for group in find_groups(model)], weight_limit=127)
    assert [value.name for value in model.graph.outputs] == ["z"]
    assert Counter(node.op_type for node in model.graph)["MatMulIntegerToFloat"] == 1
    assert run(model, draw(1, 2, 3, INPUTS))[0].shape == (2, 3, OUTPUTS)


def test_a_product_may_read_another() -> None:
    constants = {"w": draw(0, INPUTS, INPUTS), "b": draw(1, INPUTS), "m": draw(2, INPUTS, OUTPUTS)}
    model = one_product("u = MatMul(x, w) y = Add(u, b) z = MatMul(y, m)", constants)
    x = draw(3, 2, 3, INPUTS)
    [exact] = run(model, x)
    groups = find_groups(model)
    scheme = Scheme(np.ones(INPUTS, dtype=np.float32), Rows(128), None, 0.0)
    quantize_products(model, [(group, scheme) for group in groups], weight_limit=127)
    assert Counter(node.op_type for node in model.graph)["MatMulIntegerToFloat"] == len(groups) == 2
    [found] = run(model, x)
    assert np.linalg.norm(found - exact) < 0.03 * np.linalg.norm(exact)


# Where 1/c goes

NORM = "n = LayerNormalization<axis = -1>(x, g, h) y = MatMul(n, w) "
NORMS = {"g": np.abs(draw(5, INPUTS)) + 1, "h": draw(6, INPUTS), "w": draw(7, INPUTS, INPUTS)}


def balance(model: onnx_ir.Model) -> Counter[str]:
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
def test_balancing_is_folded_where_nothing_else_reads(text: str, outputs: str, multiplications: int) -> None:
    model = one_product(text, NORMS, outputs=outputs)
    x = draw(9, 2, 5, INPUTS)
    exact = run(model, x)
    assert balance(model)["Mul"] == multiplications
    for found, expected in zip(run(model, x), exact, strict=True):
        assert np.linalg.norm(found - expected) < 0.08 * np.linalg.norm(expected)


ATTENTION = "q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) vb = Add(v, bv) "
ATTENTION += "a = Attention<q_num_heads = 4, kv_num_heads = {heads}>(q, k, vb) z0 = MatMul(a, wo) z = Identity(z0)"


@pytest.mark.parametrize(("heads", "folded"), [(4, True), (2, False)])
def test_balancing_behind_attention_is_folded_into_the_values(heads: int, folded: bool) -> None:
    """Grouped heads share values: one factor cannot serve them all."""
    shared = INPUTS * heads // 4
    names = {"wq": INPUTS, "wk": shared, "wv": shared, "wo": INPUTS}
    constants = {name: draw(index, INPUTS, width) * 0.3 for index, (name, width) in enumerate(names.items())}
    model = one_product(ATTENTION.format(heads=heads), {**constants, "bv": draw(9, shared)})
    x = draw(10, 2, 5, INPUTS)
    [exact] = run(model, x)
    groups = find_groups(model)
    assert [group.kind for group in groups] == ["other", "attention"]
    assert [can_smooth(group, groups, static=False) for group in groups] == [False, folded]
    assert [can_smooth(group, groups, static=True) for group in groups] == [True, True]
    plain = Scheme(np.ones(INPUTS, dtype=np.float32), Static(0.035, 128), None, 0.0)
    smooth = Scheme(np.exp(draw(11, INPUTS) / 2), Static(0.1, 128), 0.7, 0.0)
    quantize_products(model, [(groups[0], plain), (groups[1], smooth)], weight_limit=127)
    assert Counter(node.op_type for node in model.graph)["Mul"] == (0 if folded else 1)
    [found] = run(model, x)
    assert np.linalg.norm(found - exact) < 0.08 * np.linalg.norm(exact)


def test_balancing_in_the_whole_graph(quantized: Path, transformer: Path) -> None:
    """norm2 is read by its product alone; norm0 and norm1 are read by residuals; attention has its values."""
    before = arrays(transformer / "onnx/model.onnx")
    for path in GRAPHS.values():
        after = arrays(quantized / path)
        weights = {node.output[0]: after[node.input[1]] for node in nodes_of(quantized / path, "LayerNormalization")}
        for name in ("norm0", "norm1"):
            np.testing.assert_array_equal(weights[name], before[f"{name}.weight"])
        assert np.abs(weights["norm2"] / before["norm2.weight"] - 1).max() > 0.1


def test_rows_of_zeros_and_of_huge_values() -> None:
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
    [found] = run(model, x, optimized=False)
    assert np.isfinite(found).all()
    assert found[0, 0].tolist() == [0] * OUTPUTS


# Blocks of channels behind GELU

WIDE = 32
EXPANDED = "u = MatMul(x, w) a = Add(u, b) y = Gelu(a) z = MatMul(y, m)"


def expanded(
    text: str = EXPANDED, *, outputs: str = "z", opset: int = 23, sequence: int | None = None
) -> onnx_ir.Model:
    """24 channels into 32, GELU, and 32 into 10."""
    constants = {"w": draw(0, INPUTS, WIDE), "b": draw(1, WIDE), "m": draw(2, WIDE, OUTPUTS)}
    model = one_product(text, constants, outputs=outputs, width=WIDE)
    model.opset_imports[""] = opset
    if sequence is not None:
        for node in model.graph:
            for value in node.outputs:
                value.shape = onnx_ir.Shape(["batch", sequence, value.shape[-1] if value.shape is not None else None])
    return model


def blocked_scheme(seed: int = 5) -> Scheme:
    """Eight factors, each of four channels here and there."""
    random = np.random.default_rng(seed)
    order = random.permutation(WIDE)
    smoothing = np.empty(WIDE, dtype=np.float32)
    smoothing[order] = np.repeat(np.exp(random.normal(size=8)), 4)
    return Scheme(smoothing, Static(0.15, 9), 0.7, 0.0, order)


def test_blocks_behind_gelu_compute_the_scheme_without_a_pass() -> None:
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
    [found] = run(model, x)
    # a value on the edge between two levels may fall on either side
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    assert np.median(np.abs(found - expected)) < 1e-5 * np.abs(expected).max()
    alone = np.concatenate([run(model, row[None])[0] for row in x])
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
def test_channels_that_others_see_stay_in_their_order(text: str, options: dict[str, Any]) -> None:
    model = expanded(text, **options)
    groups = find_groups(model)
    assert [can_reorder(group, groups, model.opset_imports[""]) for group in groups] == [False, False]


def test_channels_behind_gelu_may_be_reordered() -> None:
    model = expanded()
    groups = find_groups(model)
    assert [can_reorder(group, groups, 23) for group in groups] == [False, True]


def test_blocks_become_a_pass_where_the_product_before_stays_in_float() -> None:
    model, x = expanded(), draw(3, 2, 5, INPUTS)
    [exact] = run(model, x)
    scheme = blocked_scheme()
    quantize_products(model, [(find_groups(model)[1], scheme)], weight_limit=127)
    assert Counter(node.op_type for node in model.graph)["Mul"] == 1
    assert np.linalg.norm(run(model, x)[0] - exact) < 0.3 * np.linalg.norm(exact)


def test_a_bias_takes_the_shift_in() -> None:
    """The second product has no bias: a pass for it would cost more than it gains."""
    text = "y = MatMul(x, w) a = Add(y, b) v = MatMul(x, m) z = Concat <axis = -1> (a, v)"
    constants = {"w": draw(0, INPUTS, OUTPUTS), "b": draw(1, OUTPUTS), "m": draw(2, INPUTS, OUTPUTS)}
    x, shift = draw(3, 2, 5, INPUTS), draw(4, 2 * OUTPUTS)
    found = []
    for added in (None, shift):
        model = one_product(text, constants)
        scheme = Scheme(np.ones(INPUTS, dtype=np.float32), Static(0.03, 128), None, 0.0, shift=added)
        quantize_products(model, [(group, scheme) for group in find_groups(model)], weight_limit=127)
        found.append(run(model, x)[0])
    moved = np.concatenate([shift[:OUTPUTS], np.zeros(OUTPUTS, dtype=np.float32)])
    np.testing.assert_allclose(found[1] - found[0], np.broadcast_to(moved, found[0].shape), atol=1e-5)
