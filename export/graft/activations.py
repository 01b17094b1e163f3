"""Activations that a Dense module may name: torch.nn's classes, each as nodes and in numpy.

Nodes are of operators that every opset from 11 on has: GELU is written out by its definition, for instance.
https://pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.graft.writer import Writer

__all__ = ["ACTIVATIONS", "Activation"]

Doubles = npt.NDArray[np.float64]
_RRELU_SLOPE = (1 / 8 + 1 / 3) / 2  # in evaluation: the middle of what training draws from
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_SHRINK = 0.5
_erf: Callable[[Doubles], Doubles] = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True, slots=True)
class Activation:
    """One activation, twice."""

    emit: Callable[[Writer, onnx_ir.Value, onnx_ir.Value | None], onnx_ir.Value]
    """As nodes; the last argument is the slope of a PReLU."""
    compute: Callable[[Doubles, Doubles | None], Doubles]
    """In numpy, by another formula where there is one."""


def _by(operator: str, **attributes: float) -> Callable[[Writer, onnx_ir.Value, onnx_ir.Value | None], onnx_ir.Value]:
    """One standard operator."""
    return lambda writer, x, _: writer.add(operator, x, **attributes)


def _between(low: float, high: float) -> Callable[[Writer, onnx_ir.Value, onnx_ir.Value | None], onnx_ir.Value]:
    return lambda writer, x, _: writer.add("Clip", x, writer.number(low), writer.number(high))


def _gelu(writer: Writer, x: onnx_ir.Value, _: onnx_ir.Value | None) -> onnx_ir.Value:
    """By its definition, x / 2 · (1 + erf(x / √2))."""
    error = writer.add("Erf", writer.add("Div", x, writer.number(math.sqrt(2))))
    return writer.add("Mul", writer.add("Mul", x, writer.number(0.5)), writer.add("Add", error, writer.number(1)))


def _silu(writer: Writer, x: onnx_ir.Value, _: onnx_ir.Value | None) -> onnx_ir.Value:
    return writer.add("Mul", x, writer.add("Sigmoid", x))


def _mish(writer: Writer, x: onnx_ir.Value, _: onnx_ir.Value | None) -> onnx_ir.Value:
    return writer.add("Mul", x, writer.add("Tanh", writer.add("Softplus", x)))


def _log_sigmoid(writer: Writer, x: onnx_ir.Value, _: onnx_ir.Value | None) -> onnx_ir.Value:
    return writer.add("Neg", writer.add("Softplus", writer.add("Neg", x)))


def _hard_swish(writer: Writer, x: onnx_ir.Value, _: onnx_ir.Value | None) -> onnx_ir.Value:
    return writer.add("Mul", x, writer.add("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def _tanh_shrink(writer: Writer, x: onnx_ir.Value, _: onnx_ir.Value | None) -> onnx_ir.Value:
    return writer.add("Sub", x, writer.add("Tanh", x))


def _prelu(writer: Writer, x: onnx_ir.Value, slope: onnx_ir.Value | None) -> onnx_ir.Value:
    return writer.add("PRelu", x, slope)


def _sigmoid(x: Doubles) -> Doubles:
    return (1 + np.tanh(x / 2)) / 2


def _softplus(x: Doubles) -> Doubles:
    return np.logaddexp(x, 0)


def _elu(x: Doubles) -> Doubles:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _soft_shrunk(x: Doubles) -> Doubles:
    return np.sign(x) * np.maximum(np.abs(x) - _SHRINK, 0)


def _leaky(x: Doubles, slope: float | Doubles) -> Doubles:
    return np.where(x > 0, x, slope * x)


ACTIVATIONS: dict[str, Activation] = {
    "Identity": Activation(lambda _writer, x, _: x, lambda x, _: x),
    "Tanh": Activation(_by("Tanh"), lambda x, _: np.tanh(x)),
    "ReLU": Activation(_by("Relu"), lambda x, _: np.maximum(x, 0)),
    "GELU": Activation(_gelu, lambda x, _: x * (1 + _erf(x / math.sqrt(2))) / 2),
    "Sigmoid": Activation(_by("Sigmoid"), lambda x, _: _sigmoid(x)),
    "SiLU": Activation(_silu, lambda x, _: x * _sigmoid(x)),
    "Mish": Activation(_mish, lambda x, _: x * np.tanh(_softplus(x))),
    "LeakyReLU": Activation(_by("LeakyRelu", alpha=0.01), lambda x, _: _leaky(x, 0.01)),
    "PReLU": Activation(_prelu, lambda x, slope: _leaky(x, 0.0 if slope is None else slope)),
    "RReLU": Activation(_by("LeakyRelu", alpha=_RRELU_SLOPE), lambda x, _: _leaky(x, _RRELU_SLOPE)),
    "ELU": Activation(_by("Elu"), lambda x, _: _elu(x)),
    "CELU": Activation(_by("Elu"), lambda x, _: _elu(x)),  # with alpha 1, its default, the same
    "SELU": Activation(
        _by("Selu"), lambda x, _: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0)))
    ),
    "ReLU6": Activation(_between(0, 6), lambda x, _: np.clip(x, 0, 6)),
    "Hardtanh": Activation(_between(-1, 1), lambda x, _: np.clip(x, -1, 1)),
    "Hardsigmoid": Activation(_by("HardSigmoid", alpha=1 / 6, beta=0.5), lambda x, _: np.clip(x + 3, 0, 6) / 6),
    "Hardswish": Activation(_hard_swish, lambda x, _: x * np.clip(x + 3, 0, 6) / 6),
    "LogSigmoid": Activation(_log_sigmoid, lambda x, _: -_softplus(-x)),
    "Softplus": Activation(_by("Softplus"), lambda x, _: _softplus(x)),
    "Softsign": Activation(_by("Softsign"), lambda x, _: x / (1 + np.abs(x))),
    "Tanhshrink": Activation(_tanh_shrink, lambda x, _: x - np.tanh(x)),
    "Hardshrink": Activation(_by("Shrink", lambd=_SHRINK), lambda x, _: np.where(np.abs(x) > _SHRINK, x, 0)),
    "Softshrink": Activation(_by("Shrink", lambd=_SHRINK, bias=_SHRINK), lambda x, _: _soft_shrunk(x)),
}
"""By the name of the class. Those that mix components (Softmax, GLU) or need arguments (Threshold) are not among them."""
