"""Products of bytes: what ONNX Runtime is told so that their sums are exact, and where it cannot make them so."""

from pathlib import Path

from embedrt.artifact.graphfile import graph_metadata
from embedrt.errors import UnavailableError
from embedrt.machine.processor import saturates_byte_sums

__all__ = ["SUMS_FIT", "byte_sum_options", "release_of", "require_exact_sums", "sums_of_bytes"]

SUMS_FIT = "embedrt.sums_fit"
"""Key of a graph's metadata where no two neighbouring weights can make a sum that 16 bits do not hold."""
_TURN_WEIGHTS = "session.x64quantprecision"
"""Without VNNI, x86 adds two neighbouring u8 × s8 products in 16 bits, and the sum saturates, unless weights were made to fit:
there ONNX Runtime is to turn 8-bit weights to u8 as it loads them, whose products it sums in 32 bits, which takes 14 to 26 %
longer (Zen 3). It would do so with VNNI too, where u8 × s8 is exact already and 2.3 times as fast (875 against 385 GOP/s on
one thread of a Zen 5), so there the option stays off."""
_TURNS_FROM = (1, 30)
"""Before, ONNX Runtime (1.24 to 1.29) ends the process as it turns the weights of a product that names no zero point for them."""


def release_of(version: str) -> tuple[int, ...]:
    """The first two numbers of a version.

    >>> release_of("1.32.0")
    (1, 32)
    """
    return tuple(int(part) for part in version.split(".")[:2])


def byte_sum_options(graph: Path, version: str) -> dict[str, str]:
    """Configuration entries of a session of ONNX Runtime ``version`` with the .onnx file ``graph`` on this processor.

    Where it cannot turn weights, a graph that no manifest describes runs as it does in ONNX Runtime alone.
    """
    return {_TURN_WEIGHTS: "1"} if _turns_weights(version) and _may_saturate(graph) else {}


def require_exact_sums(what: str, graph: Path, version: str) -> None:
    """Refuse weights of 8 bits where their sums would saturate; ``what`` is the .onnx file ``graph``, which has them.

    Raises:
        UnavailableError: this processor needs them turned, and ONNX Runtime ``version`` cannot do it.
    """
    if not _turns_weights(version) and _may_saturate(graph):
        raise UnavailableError(
            f"{what} has weights of 8 bits, whose products a processor without VNNI sums wrongly, and ONNX Runtime {version} "
            'ends the process where it is to mend that: type pip install -U "onnxruntime>=1.30", or quantize the model again'
        )


def sums_of_bytes(version: str) -> str:
    """How such products are summed here, in words."""
    if not saturates_byte_sums():
        return "exact in one instruction"
    others = "are turned to u8" if _turns_weights(version) else f"ONNX Runtime {version} cannot turn to u8"
    return f"16-bit sums: weights made to fit stay as they are, others {others}"


def _may_saturate(graph: Path) -> bool:
    return saturates_byte_sums() and SUMS_FIT not in graph_metadata(graph)


def _turns_weights(version: str) -> bool:
    return release_of(version) >= _TURNS_FROM
