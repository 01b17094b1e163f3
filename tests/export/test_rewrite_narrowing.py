"""The last layer on one row a text: where it holds, how far it reaches, and where it must not be done at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import onnx_ir
import pytest
from embedrt_export.quantization import PRECISIONS, QuantizeOptions, search
from embedrt_export.quantization.scheme import Setting
from embedrt_export.rewrite import operators
from embedrt_export.rewrite.narrowing import narrow_last_layer
from sentence_transformers.base.modules import Normalize

from embedrt import SentenceEncoder

Graph = Callable[..., onnx_ir.Model]
Run = Callable[[onnx_ir.Model], dict[str, np.ndarray]]
WHOLE, BEHIND_ATTENTION = 13, 10  # nodes of the layer
LAST_TOKEN = {
    "first": "total = ReduceSum<keepdims = 1>(attention_mask, middle)\n    first = Equal(count, total)",
}
TRIANGLE = """square_masks = Expand(rows, square)
    triangle = Trilu<upper = 1>(square_masks)
    {} = Add(square_masks, triangle)"""
TWICE = """largest = ReduceMax<keepdims = 0>(last, middle)
    plain = Squeeze(token, middle)
    vectors = Add(plain, largest)"""


def _rows(model: onnx_ir.Model, name: str) -> Any:
    value = next(value for node in model.graph for value in node.outputs if value.name == name)
    assert value.shape is not None
    return value.shape[1]


@pytest.mark.parametrize("lines", [{}, LAST_TOKEN], ids=["cls", "lasttoken"])
def test_the_whole_layer_keeps_one_row(layer_graph: Graph, run_layer: Run, lines: dict[str, str]) -> None:
    model = layer_graph(**lines)
    before = run_layer(model)["vectors"]
    assert narrow_last_layer(model) == WHOLE
    assert [_rows(model, name) for name in ("query", "attended", "norm", "last")] == [1, 1, 1, 1]
    assert [str(_rows(model, name)) for name in ("key", "value")] == ["sequence", "sequence"]
    assert operators(model)["MatMul"] == 7, "six of the layer and one that picks the row"
    np.testing.assert_allclose(run_layer(model)["vectors"], before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("lines", "narrowed"),
    [
        ({"masks": TRIANGLE.format("masks")}, BEHIND_ATTENTION),
        ({"masks": TRIANGLE.format("once") + "\n    masks = Expand(once, square)"}, BEHIND_ATTENTION),
        ({"attended": "attended = Attention<q_num_heads=2, kv_num_heads=2, is_causal=1>(query, key, value)"}, BEHIND_ATTENTION),
        ({"gelu": "gelu = Softmax<axis = 1>(up)"}, 3),
        ({"up": "up = Add(up_product, p_up)", "length": "5"}, 4),
        ({"up_product": "turned = Transpose<perm = [0, 2, 1]>(norm)\n    up_product = MatMul(w_up, turned)",
          "up": "back = Transpose<perm = [0, 2, 1]>(up_product)\n    up = Add(back, b_up)"}, 5),
        ({"gelu": "a, b = Split<axis = -1, num_outputs = 2>(up)\n    gelu = Concat<axis = -1>(a, b)"}, 3),
        ({"up_product": "up_product = MatMul(norm, w_double)", "up": "up = Add(up_product, b_double)",
          "gelu": "a, b = Split<axis = 2, num_outputs = 2>(up)\n    gelu = Mul(a, b)"}, 14),
        ({"gelu": "mean = ReduceMean<keepdims = 1>(up, minus)\n    gelu = Sub(up, mean)"}, 14),
        ({"gelu": "mean = ReduceMean<keepdims = 1>(up, middle)\n    gelu = Sub(up, mean)"}, 3),
    ],
    ids=["causal-mask", "causal-mask-spread", "causal", "across", "position", "transposed", "concat", "split", "mean",
         "mean-across"],
)  # fmt: skip
def test_it_stops_where_other_tokens_are_read(
    layer_graph: Graph, run_layer: Run, lines: dict[str, str], narrowed: int
) -> None:
    model = layer_graph(**lines)
    before = run_layer(model)["vectors"]
    assert narrow_last_layer(model) == narrowed
    np.testing.assert_allclose(run_layer(model)["vectors"], before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "lines",
    [
        {"outputs": ", float[batch,sequence,8] last"},
        {"outputs": ", float[batch,1,8] token"},
        {"vectors": TWICE},
        {"chosen": "chosen = Cast<to = 1>(attention_mask)"},
        {"both": "both = Or(first, pooled)"},
        {"first": "first = Less(count, middle)"},
        {"count": "count = CumSum<exclusive = 1>(attention_mask, middle)"},
        {"count": "count = CumSum<reverse = 1>(attention_mask, middle)"},
        {"inputs": ", int64[batch,sequence] pooling_mask", "count": "count = CumSum(pooling_mask, middle)",
         "pooled": "pooled = Equal(pooling_mask, middle)"},
        {"last": "joined = Add(down, norm)\n    last = CumSum(joined, middle)"},
    ],
    ids=["tokens-given", "token-given", "pooled-twice", "mean", "or", "less", "exclusive", "reverse", "prompts", "running"],
)  # fmt: skip
def test_it_is_left_alone(layer_graph: Graph, run_layer: Run, lines: dict[str, str]) -> None:
    model = layer_graph(**lines)
    before = run_layer(model)
    assert narrow_last_layer(model) == 0
    assert operators(model) == operators(layer_graph(**lines))
    for name, result in run_layer(model).items():
        np.testing.assert_array_equal(result, before[name])


def test_the_first_token_is_looked_up_early(layer_graph: Graph, run_layer: Run) -> None:
    """As the heads of classifiers have it."""
    model = layer_graph(token="token = Gather<axis = 1>(last, start)", vectors="vectors = Identity(token)")
    before = run_layer(model)["vectors"]
    assert narrow_last_layer(model) == WHOLE
    assert [_rows(model, name) for name in ("query", "attended", "norm", "last")] == [1, 1, 1, 1]
    np.testing.assert_allclose(run_layer(model)["vectors"], before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "token",
    [
        "token = Gather<axis = 1>(last, second)",
        "token = Gather<axis = 0>(last, start)",
        "several = Gather<axis = 1>(last, middle)\n    token = Squeeze(several, middle)",
    ],
    ids=["second-token", "first-text", "list"],
)
def test_other_lookups_are_left_alone(layer_graph: Graph, token: str) -> None:
    length = "batch" if "axis = 0" in token else "sequence"  # of a shape that could be a vector a text
    model = layer_graph(token=token, vectors="vectors = Identity(token)", length=length)
    assert narrow_last_layer(model) == 0


def test_every_variant_of_a_narrowed_graph(
    build_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each agrees with float32, and a text's vector has the same bits alone and among others."""
    monkeypatch.setattr(search, "SETTINGS", (Setting(0.7, 100.0),))  # nothing to choose from: quicker
    texts = [f"the cat {'roof ' * (index % 5)}{'sleeps on my ' * (index % 3)}" for index in range(30)]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    checkpoint, out = build_checkpoint("cls", [Normalize()]), tmp_path / "out"
    options = QuantizeOptions(calibration=tmp_path / "texts.txt", allow_below_gate=True)
    embedrt_export.export(str(checkpoint), out, precisions=PRECISIONS, quantize_options=options, quiet=True)
    model = onnx_ir.load(out / "onnx/model.onnx")
    queries = [node.inputs[0] for node in model.graph if node.op_type == "Attention"]
    assert [value.shape[1] == 1 for value in queries if value is not None and value.shape is not None] == [False, True]
    expected = SentenceEncoder(out).encode(texts)
    for variant in ("fp32", *PRECISIONS):
        encoder = SentenceEncoder(out, variant=variant)
        found = encoder.encode(texts)
        assert np.sum(found * expected, axis=1).min() > 0.97, variant
        np.testing.assert_array_equal(found, np.stack([encoder.encode(text) for text in texts]))
