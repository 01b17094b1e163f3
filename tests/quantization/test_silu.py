"""GELU as SiLU with refitted weights, beside the exact graph; and the graphs where GELU stays."""

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
from embedrt_export.quantization import silu
from embedrt_export.quantization.linears import find_groups
from embedrt_export.quantization.silu import find_gelus, gelu, gelus_as_silu
from onnx import numpy_helper

from embedrt.artifact.manifest import Manifest

Floats = npt.NDArray[np.float32]
INPUTS, WIDE, OUTPUTS = 8, 48, 6
LAYER = "u = MatMul(x, w) a = Add(u, b) y = Gelu(a) v = MatMul(y, m) z = Add(v, c)"
SHARED = (
    "u = MatMul(x, w) a = Add(u, b) y = Gelu(a) v = MatMul(y, m) k = Add(v, c) "
    "u2 = MatMul(k, w) a2 = Add(u2, b) y2 = Tanh(a2) v2 = MatMul(y2, m) z = Add(v2, c)"
)


def draw(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def layer(text: str = LAYER, *, outputs: str = "z", square: bool = False) -> onnx_ir.Model:
    """8 channels into 48, GELU, and 48 into 6, or into 8 again."""
    out = INPUTS if square else OUTPUTS
    constants: dict[str, npt.NDArray[Any]] = {
        "w": draw(0, INPUTS, WIDE) / 3, "b": draw(1, WIDE), "m": draw(2, WIDE, out), "c": draw(3, out),
    }  # fmt: skip
    shapes = ", ".join(f"float[batch, sequence, {out if name == 'z' else WIDE}] {name}" for name in outputs.split())
    proto = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 23]>\ng (float[batch, sequence, {INPUTS}] x) => ({shapes}) {{ {text} }}'
    )
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in constants.items() if name in used
    )
    return onnx_ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))


def run(model: onnx_ir.Model, x: Floats, *names: str) -> list[Floats]:
    proto = onnx_ir.to_proto(model)
    have = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in have)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    results: list[Floats] = session.run(list(names) or None, {"x": x})
    return results


def replace(model: onnx_ir.Model, x: Floats) -> int:
    gelus = find_gelus(find_groups(model))
    names = [found.source.name or "" for found in gelus]
    rows = run(model, x, *names) if names else []
    flat = {name: result.reshape(-1, result.shape[-1]) for name, result in zip(names, rows, strict=True)}
    return gelus_as_silu(model, gelus, flat)


def operators(model: onnx_ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def relative(found: Floats, exact: Floats) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def test_gelu_is_that_of_the_definition() -> None:
    x = np.concatenate([np.linspace(-12, 12, 4001), [0.0, -1e4, 1e4]]).astype(np.float32)
    exact = [value * math.erfc(-value / math.sqrt(2)) / 2 for value in x.tolist()]
    np.testing.assert_allclose(gelu(x), exact, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("form", ["none", "tanh"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_refitted_weights_put_much_of_the_difference_right(
    monkeypatch: pytest.MonkeyPatch, form: str, bias: bool
) -> None:
    text = LAYER.replace("Gelu(a)", f'Gelu <approximate = "{form}"> (a)')
    text = text if bias else text.replace("v = MatMul(y, m) z = Add(v, c)", "z = MatMul(y, m)")
    seen, others = draw(4, 1, 4000, INPUTS), draw(5, 3, 200, INPUTS)
    [exact] = run(layer(text), others)
    refitted = layer(text)
    assert replace(refitted, seen) == 1
    assert operators(refitted)["Gelu"] == 0
    [silu_node] = [node for node in refitted.graph if node.op_type == "QuickGelu"]
    assert (silu_node.domain, silu_node.attributes.get_float("alpha")) == ("com.microsoft", 1.0)
    monkeypatch.setattr(silu, "_RIDGE", 1e9)  # nothing is put right but the mean
    monkeypatch.setattr(silu, "_MOST", 1.0)
    plain = layer(text)
    replace(plain, seen)
    [found], [rough] = run(refitted, others), run(plain, others)
    assert relative(found, exact) < 0.02
    assert relative(found, exact) < 0.75 * relative(rough, exact)


def test_the_mean_is_put_right_by_the_bias() -> None:
    model, x = layer(), draw(4, 1, 4000, INPUTS)
    [exact] = run(model, x)
    replace(model, x)
    [found] = run(model, x)
    np.testing.assert_allclose(found.mean(axis=(0, 1)), exact.mean(axis=(0, 1)), atol=1e-4)
    assert np.abs(found - exact).max() > 1e-3  # it is another function


def test_gelu_stays_where_the_difference_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silu, "_MOST", 1e-4)
    model, x = layer(), draw(4, 1, 500, INPUTS)
    before = run(model, x)[0]
    assert replace(model, x) == 0
    assert operators(model) == {"MatMul": 2, "Add": 2, "Gelu": 1}
    np.testing.assert_array_equal(run(model, x)[0], before)


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        (LAYER + " r = Relu(y)", "z r"),
        (LAYER, "z y"),
        (LAYER, "z a"),
        (LAYER.replace("Gelu", "Tanh"), "z"),
        (LAYER.replace("y = Gelu(a) v = MatMul(y, m)", "g = Gelu(a) y = Mul(g, a) v = MatMul(y, m)"), "z"),
    ],
    ids=["read elsewhere", "an output", "its input an output", "tanh", "gated"],
)
def test_gelu_that_others_see_stays(text: str, outputs: str) -> None:
    assert find_gelus(find_groups(layer(text, outputs=outputs))) == []


def test_gelu_of_one_row_a_text_stays() -> None:
    model = layer()
    for node in model.graph:
        for value in node.outputs:
            value.shape = onnx_ir.Shape(["batch", 1, value.shape[-1] if value.shape is not None else None])
    assert find_gelus(find_groups(model)) == []


def test_weights_that_another_layer_shares_are_left_to_it() -> None:
    """The second layer, of the same matrices, has no GELU."""
    model, x = layer(SHARED, square=True), draw(4, 1, 3000, INPUTS)
    [first, second] = run(model, x, "k", "z")
    second_alone = layer(SHARED.split("k = Add(v, c) ")[1].replace("(k, w)", "(x, w)"), square=True)
    assert replace(model, x) == 1
    [changed_first, changed_second] = run(model, x, "k", "z")
    assert 0 < relative(changed_first, first) < 0.02
    np.testing.assert_allclose(changed_second, run(second_alone, changed_first)[0], rtol=1e-5, atol=1e-4)
    assert relative(changed_second, second) < 0.05


def test_the_variant_says_how_many(quantized: Path) -> None:
    variants = Manifest.from_json((quantized / "embedrt.json").read_text(encoding="utf-8")).variants
    facts = {name: variant.quantization.gelu_as_silu for name, variant in variants.items() if variant.quantization}
    assert facts == {"int8": 0, "int8-static": 1}
