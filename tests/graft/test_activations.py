"""Each activation as nodes, at the oldest and the newest opset, and in numpy, against torch's own class."""

import numpy as np
import onnx_ir
import onnxruntime
import pytest
import torch
from embedrt_export.graft.activations import ACTIVATIONS
from embedrt_export.graft.writer import OLDEST_OPSET, Writer
from torch import nn

POINTS = np.concatenate([np.linspace(-8, 8, 161), [-40, -0.5, 0.5, 40, 1e-7, 0]]).astype(np.float32)[None, :]


def _expected(name: str) -> tuple[np.ndarray, np.ndarray | None]:
    module = getattr(nn, name)().eval()
    slope = module.weight.detach().numpy() if name == "PReLU" else None
    with torch.no_grad():
        return module(torch.from_numpy(POINTS)).numpy(), slope


@pytest.mark.parametrize("opset", [OLDEST_OPSET, 23])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nodes(name: str, opset: int) -> None:
    expected, slope = _expected(name)
    x = onnx_ir.Value(name="x", shape=onnx_ir.Shape(["n", "width"]), type=onnx_ir.TensorType(onnx_ir.DataType.FLOAT))
    model = onnx_ir.Model(onnx_ir.Graph([x], [], nodes=[], opset_imports={"": opset}, name="one"), ir_version=8)
    writer = Writer(model)
    y = ACTIVATIONS[name].emit(writer, x, None if slope is None else writer.constant(slope, "slope"))
    y = writer.add("Identity", y)
    y.dtype = onnx_ir.DataType.FLOAT
    model.graph.outputs.append(y)
    content = onnx_ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": POINTS})[0], expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_numpy(name: str) -> None:
    expected, slope = _expected(name)
    found = ACTIVATIONS[name].compute(POINTS.astype(np.float64), None if slope is None else slope.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_every_plain_activation_of_torch_is_there() -> None:
    """Those that change each component by itself and need no arguments; sentence-transformers can name no others."""
    plain = set()
    for name in dir(nn.modules.activation):
        kind = getattr(nn.modules.activation, name)
        if isinstance(kind, type) and issubclass(kind, nn.Module) and kind.__module__ == nn.modules.activation.__name__:
            plain.add(name)
    mixing = {"GLU", "Softmax", "Softmax2d", "Softmin", "LogSoftmax", "MultiheadAttention", "Threshold"}
    assert plain - mixing == set(ACTIVATIONS) - {"Identity"}
