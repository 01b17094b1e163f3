"""Attention by lengths: the same numbers as with a mask of padding, and nothing else is taken for one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
from embedrt_export.quantization import PaddingForm, Precision, QuantizeOptions, quantize
from embedrt_export.quantization.padding_lengths import attend_by_lengths

from embedrt import SentenceEncoder, opening
from embedrt.artifact.manifest import Manifest
from embedrt.errors import InputError, UnavailableError

CPU = ["CPUExecutionProvider"]
LENGTHS = QuantizeOptions(attention="lengths")
PADDED = (
    np.random.default_rng(0).integers(4, 40, (4, 9)),
    (np.arange(9)[None, :] < np.array([[9], [4], [1], [7]])).astype(np.int64),
)
"""Ids and mask of four texts in one run."""

knows_lengths = pytest.mark.skipif(
    tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) < (1, 25),
    reason="ONNX Runtime 1.24 attends to padding",
)


def run(model: onnx_ir.Model, ids: Any, mask: Any) -> Any:
    session = onnxruntime.InferenceSession(onnx_ir.to_proto(model).SerializeToString(), providers=CPU)
    return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def attention_of(model: onnx_ir.Model) -> onnx_ir.Node:
    [node] = [node for node in model.graph if node.op_type == "Attention"]
    return node


@knows_lengths
def test_the_numbers_are_those_of_the_mask(graph: onnx_ir.Model) -> None:
    ids, mask = PADDED
    expected = run(graph, ids, mask)
    assert attend_by_lengths(graph, padding_side="right") == 1
    found = run(graph, ids, mask)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(run(graph, ids, np.ones_like(mask)) - expected)[1:].max() > 1e-3  # the mask does something here
    other = np.where(mask == 0, 5, ids)
    np.testing.assert_array_equal(run(graph, other, mask), found)  # what stands in padding does not


def test_the_form_of_the_graph(graph: onnx_ir.Model) -> None:
    attend_by_lengths(graph, padding_side="right")
    node = attention_of(graph)
    assert [value is not None for value in node.inputs] == [True, True, True, False, False, False, True]
    assert graph.opset_imports[""] == 24
    assert not [node for node in graph.graph if node.op_type == "Expand"]  # nothing is left of the mask
    onnx.checker.check_model(onnx_ir.to_proto(graph))


def causal(model: onnx_ir.Model) -> None:
    attention_of(model).attributes["is_causal"] = onnx_ir.AttrInt64("is_causal", 1)


def another_mask(model: onnx_ir.Model) -> None:
    """Something more is added to it."""
    node = attention_of(model)
    added = onnx_ir.node("Add", [node.inputs[3], node.inputs[3]])
    model.graph.insert_before(node, added)
    node.replace_input_with(3, added.outputs[0])


def no_mask(model: onnx_ir.Model) -> None:
    attention_of(model).replace_input_with(3, None)


def weak_mask(model: onnx_ir.Model) -> None:
    """Padding is hardly hidden."""
    model.graph.initializers["far"].const_value = onnx_ir.tensor(np.float32(-1), name="far")


def other_difference(model: onnx_ir.Model) -> None:
    """2 − mask hides the texts too."""
    value = onnx_ir.tensor(np.float32(2), name="two")
    two = onnx_ir.Value(name="two", const_value=value, shape=onnx_ir.Shape(()), type=onnx_ir.TensorType(value.dtype))
    model.graph.register_initializer(two)
    next(node for node in model.graph if node.op_type == "Sub").replace_input_with(0, two)


@pytest.mark.parametrize("change", [causal, another_mask, no_mask, weak_mask, other_difference])
def test_masks_that_are_more_than_padding_are_kept(graph: onnx_ir.Model, change: Callable[[Any], None]) -> None:
    change(graph)
    before = onnx_ir.to_proto(graph).SerializeToString()
    with pytest.raises(InputError, match="this graph has others: keep the mask"):
        attend_by_lengths(graph, padding_side="right")
    assert onnx_ir.to_proto(graph).SerializeToString() == before


def test_a_graph_without_the_operator_is_refused(graph: onnx_ir.Model) -> None:
    attention_of(graph).op_type = "Identity"
    with pytest.raises(InputError, match="Attention operators, and this graph has none: keep the mask"):
        attend_by_lengths(graph, padding_side="right")


def test_a_graph_of_a_later_opset_is_refused(graph: onnx_ir.Model) -> None:
    graph.opset_imports[""] = 25
    with pytest.raises(InputError, match="is of opset 24, and this graph is of opset 25: keep the mask"):
        attend_by_lengths(graph, padding_side="right")


def test_padding_in_front_is_refused(graph: onnx_ir.Model) -> None:
    with pytest.raises(InputError, match="this model pads in front: keep the mask"):
        attend_by_lengths(graph, padding_side="left")


@knows_lengths
def test_a_variant_by_lengths(copied: Path) -> None:
    manifest = quantize(copied, "fp16", options=LENGTHS, quiet=True)
    assert manifest.variants["fp16"].opset == 24
    assert Manifest.from_json((copied / "embedrt.json").read_bytes()).variants["fp32"].opset == 23
    texts = ["how do i reset my password?", "忘记密码怎么办？", "", "a"]
    with SentenceEncoder(copied) as exact, SentenceEncoder(copied, variant="fp16") as halved:
        assert ((exact.encode(texts) * halved.encode(texts)).sum(axis=1) > 0.999).all()


@knows_lengths
@pytest.mark.parametrize("precision", ["int8", "int8-static"])
def test_int8_has_the_bits_that_it_has_with_a_mask(precision: Precision, copied: Path) -> None:
    vectors = []
    for form, opset in (("mask", 23), ("lengths", 24)):
        options = QuantizeOptions(attention=cast("PaddingForm", form), allow_below_gate=True)
        variant = quantize(copied, precision, options=options, quiet=True).variants[precision]
        assert variant.opset == opset
        vectors.append(run(onnx_ir.load(copied / variant.file), *PADDED))
    np.testing.assert_array_equal(*vectors)


def test_another_form_is_refused() -> None:
    with pytest.raises(InputError, match="attention is 'flash', expected one of mask, lengths"):
        QuantizeOptions(attention="flash")  # type: ignore[arg-type]


def test_an_onnxruntime_that_would_attend_to_padding_is_refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantize(copied, "fp16", options=LENGTHS, quiet=True)
    monkeypatch.setattr(opening, "runtime_version", lambda: "1.24.4")
    with pytest.raises(UnavailableError, match=r"computes wrongly .*: type pip install -U \"onnxruntime>=1\.25\""):
        SentenceEncoder(copied, variant="fp16")
    SentenceEncoder(copied).close()  # the others are not concerned
    monkeypatch.setattr(opening, "runtime_version", lambda: "1.25.0")
    SentenceEncoder(copied, variant="fp16").close()
