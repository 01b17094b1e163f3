"""GELU as SiLU, which ONNX Runtime computes in a third of the time, and the difference put right in the weights behind it.

    GELU(x) ≈ SiLU(a x) / a,   SiLU(z) = z / (1 + e⁻ᶻ),   a = 1.702       (arXiv 1606.08415, section 2)

costs nothing beside SiLU itself: a goes into the product before, 1/a into the one behind. It is off by up to 0.02. But the
channels of a token are off together, so that most of their differences E = GELU(X) − SiLU(a X)/a, as the product behind
sees them, can be told from the channels H = SiLU(a X) themselves. Ridge regression over calibration tokens, with means
taken off, gives what to add to that product's weights V and bias:

    V / a + D,   D = (HᵀH + λ I)⁻¹ Hᵀ(E V)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.graphs.values import add_weight
from embedrt_export.quantization.graph_writer import MICROSOFT
from embedrt_export.quantization.linears import Linear, LinearGroup, expansion_before

__all__ = ["Gelu", "find_gelus", "gelu", "gelus_as_silu"]

Floats = npt.NDArray[np.float32]
_A = np.float32(1.702)
_RIDGE = 0.3
"""λ, as a share of the mean square of a channel times the tokens."""
_MOST = 0.02
"""Where what is left of the difference is more of the product behind, GELU stays: int8 itself costs 2 to 4 %."""
_TINY = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class Gelu:
    """An activation between two products, read by the second alone."""

    node: onnx_ir.Node
    before: Linear
    behind: LinearGroup

    @property
    def source(self) -> onnx_ir.Value:
        """X, (batch, sequence, width)."""
        return self.before.result


def find_gelus(groups: list[LinearGroup]) -> list[Gelu]:
    """Those of every token; in a last layer that was narrowed to one row a text there is nothing to save."""
    found = []
    for group in groups:
        node, before = group.source.producer(), expansion_before(group, groups)
        if node is not None and before is not None and node.op_type == "Gelu" and not group.one_row:
            found.append(Gelu(node, before, group))
    return found


def gelus_as_silu(model: onnx_ir.Model, gelus: Sequence[Gelu], rows: Mapping[str, Floats]) -> int:
    """Replace in place those of ``gelus`` whose difference can be put right; gives how many.

    Args:
        model: the float32 graph.
        gelus: of this graph.
        rows: (rows, width) of each one's source, by name, from calibration texts.
    """
    replaced = 0
    for found in gelus:
        inputs = rows[found.source.name or ""]
        exact, silu = gelu(inputs), _silu(inputs)
        refits = [_refit(silu, exact, linear) for linear in found.behind.linears]
        if max(refit.error for refit in refits) > _MOST:
            continue
        _replace(model, found, refits)
        replaced += 1
    drop_unused(model)
    return replaced


@dataclass(frozen=True, slots=True)
class _Refit:
    """Weights for a product behind SiLU in place of one behind GELU."""

    weight: Floats
    bias: Floats | None
    error: float
    """‖what the product gives now − what it gave‖ / ‖what it gave‖, without bias, over the calibration rows."""


def gelu(x: Floats) -> Floats:
    """By Abramowitz and Stegun 7.1.26, within 1e-6; the form by the hyperbolic tangent is within 5e-4 of it."""
    z = np.abs(x) / np.float32(np.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    erf = np.sign(x) * (1 - series * np.exp(-z * z))
    return np.asarray(x * 0.5 * (1 + erf), dtype=np.float32)


def _silu(x: Floats) -> Floats:
    """SiLU(a x)."""
    z = _A * x
    return np.asarray(z * 0.5 * (1 + np.tanh(z / 2)), dtype=np.float32)


def _refit(silu: Floats, exact: Floats, linear: Linear) -> _Refit:
    missing = (exact - silu / _A) @ linear.weight  # (rows, outputs)
    centre = np.float32(linear.bias is not None)  # 0: there is nowhere to put a mean
    silu_mean, missing_mean = centre * silu.mean(axis=0), centre * missing.mean(axis=0)
    centred = silu - silu_mean
    gram = (centred.T @ centred).astype(np.float64)
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram) + _TINY
    added = np.linalg.solve(gram, (centred.T @ (missing - missing_mean)).astype(np.float64)).astype(np.float32)
    shift = missing_mean - silu_mean @ added
    left = missing - silu @ added - shift
    error = float(np.linalg.norm(left)) / max(float(np.linalg.norm(exact @ linear.weight)), _TINY)
    bias = None if linear.bias is None else np.asarray(linear.bias + shift, dtype=np.float32)
    return _Refit(np.asarray(linear.weight / _A + added, dtype=np.float32), bias, error)


def _replace(model: onnx_ir.Model, found: Gelu, refits: Sequence[_Refit]) -> None:
    before = found.before
    _set(model, before, before.weight * _A, None if before.bias is None else before.bias * _A)
    for linear, refit in zip(found.behind.linears, refits, strict=True):
        _set(model, linear, refit.weight, refit.bias)
    node = found.node
    node.op_type, node.domain = "QuickGelu", MICROSOFT
    node.attributes.clear()
    node.attributes.add(onnx_ir.AttrFloat32("alpha", 1.0))  # with which it is SiLU
    model.opset_imports[MICROSOFT] = 1


def _set(model: onnx_ir.Model, linear: Linear, weight: Floats, bias: Floats | None) -> None:
    _change(model, linear.product, weight)
    addition = linear.result.producer()
    if bias is not None and addition is not None:
        _change(model, addition, bias)


def _change(model: onnx_ir.Model, node: onnx_ir.Node, array: Floats) -> None:
    """Give ``node`` another constant; one that other layers share is left to them."""
    at, old = next(
        (index, value) for index, value in enumerate(node.inputs) if value is not None and value.const_value is not None
    )
    if len(list(old.uses())) == 1:
        old.const_value = onnx_ir.tensor(array, name=old.name)
    else:
        node.replace_input_with(at, add_weight(model.graph, f"{old.name}.{node.outputs[0].name}", array))
