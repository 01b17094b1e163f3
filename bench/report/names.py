"""Engines by name: which are ours, which is the reference, and how a name is shortened where room is little."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["ABBREVIATIONS", "REFERENCE", "baseline", "is_ours", "not_measured", "short", "unavailable"]

REFERENCE = "sentence-transformers float32"
"""What quality is compared with, and the speed that everyone knows."""
EXACT = "embedrt fp32"
"""Ours without a bit given away."""
ABBREVIATIONS = "s-t: sentence-transformers; dyn.: dynamic; b32: batches of 32."
"""What :func:`short` does, to be said wherever it is used."""
_SHORT_FOR = {
    "sentence-transformers": "s-t",
    "dynamic": "dyn.",
    ", batch ": " b",
    "onnxruntime, pooling in numpy": "onnxruntime + numpy",
}


def is_ours(name: str) -> bool:
    """Whether an engine is a variant of embedrt.

    >>> is_ours("embedrt int8"), is_ours("light-embed")
    (True, False)
    """
    return name.startswith("embedrt ")


def baseline(names: Iterable[str]) -> str | None:
    """The engine of ours that others are set beside: float32, or the first one there is.

    >>> baseline(["light-embed", "embedrt int8", "embedrt fp32"])
    'embedrt fp32'
    """
    ours = [name for name in names if is_ours(name)]
    return EXACT if EXACT in ours else next(iter(ours), None)


def short(name: str) -> str:
    """A name for plots.

    >>> short("sentence-transformers OpenVINO int8")
    's-t OpenVINO int8'
    """
    for whole, part in _SHORT_FOR.items():
        name = name.replace(whole, part)
    return name


def unavailable(result: Mapping[str, Any]) -> dict[str, str]:
    """Engines that could not be measured at all, and why."""
    return {name: engine["reason"] for name, engine in result["engines"].items() if not engine["available"]}


def not_measured(result: Mapping[str, Any], measured: Iterable[str]) -> str:
    """A sentence that names every engine of ``result`` that is not among the ``measured`` ones; empty if none is."""
    there = set(measured)
    missing = [name for name in result["engines"] if name not in there]
    return f"Not measured: {'; '.join(missing)}." if missing else ""
