"""Where each node of a loaded graph runs; pure data, which ``session.py`` fills.

ONNX Runtime puts a node onto the CPU, and says nothing, where the provider that was asked for has no kernel for it. For the few
nodes that compute shapes that is as it should be. For one that works on token vectors it is a copy to the host and back in
every layer.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Placed", "placements", "strays"]

_CPU = "CPUExecutionProvider"
_HEAVY = frozenset(
    {
        *("Attention", "MultiHeadAttention", "PackedMultiHeadAttention", "RotaryEmbedding", "Softmax"),
        *("MatMul", "FusedMatMul", "Gemm", "Einsum", "Conv", "LSTM"),
        *("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QuantizeLinear", "DequantizeLinear"),
        *("LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization"),
        *("Gelu", "FastGelu", "BiasGelu", "QuickGelu", "Erf", "Tanh", "Sigmoid"),
    }
)
"""Operators that work on token vectors in every encoder."""


@dataclass(frozen=True, slots=True, order=True)
class Placed:
    """How many nodes of one operator run on one provider."""

    provider: str
    operator: str
    """With its domain in front, where that is not ONNX's own."""
    count: int


def placements(nodes: Iterable[tuple[str, str, str]]) -> list[Placed]:
    """Nodes as (provider, domain, operator), counted; sorted by provider, then operator.

    >>> placements([("CPUExecutionProvider", "", "MatMul"), ("CPUExecutionProvider", "", "MatMul")])
    [Placed(provider='CPUExecutionProvider', operator='MatMul', count=2)]
    """
    counts = Counter((provider, f"{domain}.{name}" if domain else name) for provider, domain, name in nodes)
    return sorted(Placed(provider, operator, count) for (provider, operator), count in counts.items())


def strays(placed: Iterable[Placed], wanted: str) -> list[Placed]:
    """What works on token vectors and runs on the CPU, though the provider ``wanted`` was asked for."""
    if wanted == _CPU:
        return []
    return [one for one in placed if one.provider == _CPU and one.operator.rpartition(".")[2] in _HEAVY]
