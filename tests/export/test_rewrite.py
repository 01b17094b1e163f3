"""Graph passes on graphs of a few nodes: what they change, and what they must leave alone."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.rewrite import operators, rewrite
from embedrt_export.rewrite.reshapes import merge_reshapes
from onnx import TensorProto, helper


def _model(nodes: list[tuple[str, list[str], str]], shapes: dict[str, list[int]]) -> ir.Model:
    """``nodes`` as (operator, inputs, output) over x (2, 6); int64 constants named by their values, as in "2,3,2"."""
    names = {name for _, inputs, _ in nodes for name in inputs}
    constants = {name: np.array([int(part) for part in name.split(",")]) for name in names if name[0].isdigit()}
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, [output]) for operator, inputs, output in nodes],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6])],
        [helper.make_tensor_value_info(nodes[-1][2], TensorProto.FLOAT, shapes[nodes[-1][2]])],
        [helper.make_tensor(name, TensorProto.INT64, [len(value)], value) for name, value in constants.items()],
        value_info=[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


def _run(model: ir.Model) -> np.ndarray:
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": np.arange(12, dtype=np.float32).reshape(2, 6)})[0]
    return result


def test_reshapes_there_and_back_disappear() -> None:
    model = _model(
        [("Reshape", ["x", "2,3,2"], "a"), ("Reshape", ["a", "2,6"], "b"), ("Relu", ["b"], "y")],
        {"a": [2, 3, 2], "b": [2, 6], "y": [2, 6]},
    )
    before = _run(model)
    assert merge_reshapes(model) == 2
    drop_unused(model)
    assert operators(model) == {"Relu": 1}
    np.testing.assert_array_equal(_run(model), before)


def test_two_reshapes_become_the_second() -> None:
    model = _model(
        [("Reshape", ["x", "2,3,2"], "a"), ("Reshape", ["a", "4,3"], "b"), ("Relu", ["b"], "y")],
        {"a": [2, 3, 2], "b": [4, 3], "y": [4, 3]},
    )
    before = _run(model)
    merge_reshapes(model)
    drop_unused(model)
    assert operators(model) == {"Reshape": 1, "Relu": 1}
    np.testing.assert_array_equal(_run(model), before)


@pytest.mark.parametrize("between", ["Relu", "Neg"])
def test_what_stands_between_reshapes_stays(between: str) -> None:
    model = _model(
        [("Reshape", ["x", "2,3,2"], "a"), (between, ["a"], "b"), ("Reshape", ["b", "2,6"], "c"), ("Relu", ["c"], "y")],
        {"a": [2, 3, 2], "b": [2, 3, 2], "c": [2, 6], "y": [2, 6]},
    )
    before = _run(model)
    assert merge_reshapes(model) == 0
    np.testing.assert_array_equal(_run(model), before)


def test_an_output_keeps_its_reshape() -> None:
    model = _model([("Relu", ["x"], "a"), ("Reshape", ["a", "2,6"], "y")], {"a": [2, 6], "y": [2, 6]})
    before = _run(model)
    rewrite(model)
    assert [value.name for value in model.graph.outputs] == ["y"]
    np.testing.assert_array_equal(_run(model), before)


def test_equal_nodes_are_computed_once() -> None:
    model = _model(
        [("Neg", ["x"], "a"), ("Neg", ["x"], "b"), ("Abs", ["x"], "unused"), ("Add", ["a", "b"], "y")],
        {"a": [2, 6], "b": [2, 6], "unused": [2, 6], "y": [2, 6]},
    )
    assert drop_unused(model) == 2
    assert operators(model) == {"Neg": 1, "Add": 1}
