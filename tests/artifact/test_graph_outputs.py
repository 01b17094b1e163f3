"""Fewer outputs: the nodes that only others need are gone, the rest computes the same bits."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

from embedrt.artifact.graph_outputs import with_outputs

MODEL = """
<ir_version: 10, opset_import: ["" : 21]>
several (float[n, 4] x, bool choice) => (float[n, 4] cheap, float[n, 4] dear, float[n, 4] branched) {
    shared = Neg(x)
    cheap = Relu(shared)
    first = Exp(shared)
    inner = Tanh(x)
    dear = Sqrt(first)
    branched = If (choice) <
        then_branch = yes () => (float[n, 4] taken) { taken = Add(inner, shared) },
        else_branch = no () => (float[n, 4] other) { other = Identity(x) }
    >
}
"""


@pytest.fixture(scope="module")
def model() -> bytes:
    return bytes(parser.parse_model(MODEL).SerializeToString())


@pytest.mark.parametrize(
    ("wanted", "operators"),
    [
        (["cheap"], ["Neg", "Relu"]),
        (["dear"], ["Neg", "Exp", "Sqrt"]),
        (["branched"], ["Neg", "Tanh", "If"]),
        (["cheap", "dear", "branched"], ["Neg", "Relu", "Exp", "Tanh", "Sqrt", "If"]),
    ],
)
def test_nodes_that_are_needed_stay(model: bytes, wanted: list[str], operators: list[str]) -> None:
    found = onnx.load_model_from_string(with_outputs(model, wanted))
    assert [node.op_type for node in found.graph.node] == operators
    assert [value.name for value in found.graph.output] == wanted
    onnx.checker.check_model(found)


@pytest.mark.parametrize("output", ["cheap", "dear", "branched"])
def test_what_stays_computes_the_same(model: bytes, output: str) -> None:
    feed = {"x": np.linspace(-2, 2, 8, dtype=np.float32).reshape(2, 4), "choice": np.array(True)}
    whole = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    part = onnxruntime.InferenceSession(with_outputs(model, [output]), providers=["CPUExecutionProvider"])
    given = {value.name: feed[value.name] for value in part.get_inputs()}
    np.testing.assert_array_equal(part.run([output], given)[0], whole.run([output], feed)[0])


def test_nothing_else_changes(model: bytes) -> None:
    original = onnx.load_model_from_string(model)
    assert onnx.load_model_from_string(with_outputs(model, ["cheap", "dear", "branched"])) == original
