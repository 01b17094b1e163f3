"""How faithful a variant is: its vectors beside those of the float32 graph, over texts that calibration has not seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.distance import row_cosines
from embedrt_export.quantization.sts import sts_change

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Parity
from embedrt.errors import FidelityError

__all__ = ["DEFAULT_GATE", "lowest", "measure", "report", "require_gate", "require_least"]

DEFAULT_GATE = 0.995
"""Smallest mean cosine that a variant may have."""
_WORST = 3


def measure(
    exact: SentenceEncoder, variant: SentenceEncoder, texts: Sequence[str], *, reference: str, sts: Path | None
) -> Parity:
    """Compare two encoders over ``texts``, and on the STS sets of a folder; ``reference`` names what ``exact`` is."""
    expected, found = exact.encode(texts), variant.encode(texts)
    cosines = row_cosines(expected, found)
    return report(
        cosines,
        reference=reference,
        providers=variant.providers,
        texts=len(texts),
        difference=float(np.abs(expected - found).max()),
        worst=[texts[index] for index in lowest(cosines)],
        sts_change=sts_change(exact, variant, sts) if sts is not None else {},
    )


def report(
    cosines: npt.NDArray[np.floating],
    *,
    reference: str,
    providers: Sequence[str],
    texts: int,
    difference: float,
    worst: Sequence[str],
    sts_change: dict[str, float] | None = None,
    measures: dict[str, float] | None = None,
) -> Parity:
    """A variant's report.

    Args:
        cosines: (rows,) of whatever is compared: vectors of texts or of tokens, or scores.
        reference: how the report names what the variant was compared with.
        providers: what ran the variant.
        texts: how many texts, or pairs of texts, these rows are of.
        difference: the largest |Δ|.
        worst: the texts that came out worst, the worst first.
        sts_change: by set.
        measures: what else was measured, by name.
    """
    return Parity(
        reference=reference,
        runtime=", ".join(providers),
        texts=texts,
        batch_sizes=(),
        max_abs_difference=difference,
        cosine_mean=float(cosines.mean()),
        cosine_p01=float(np.percentile(cosines, 1)),
        cosine_min=float(cosines.min()),
        worst_texts=tuple(worst),
        sts_change=sts_change or {},
        measures=measures or {},
    )


def lowest(values: npt.NDArray[np.floating]) -> list[int]:
    """Which few of ``values`` (n,) are the lowest, the lowest first; what is not a number is lower still."""
    order = np.argsort(np.nan_to_num(values, nan=-np.inf), kind="stable")
    return [int(index) for index in order[:_WORST]]


def require_gate(parity: Parity, gate: float, blamed: Sequence[str]) -> None:
    """Refuse a variant whose mean cosine is below ``gate``.

    Raises:
        FidelityError: it is; the message names the worst text and the products with the largest errors.
    """
    found = parity.cosine_mean
    require_least(
        found, gate, f"mean cosine to the float32 graph is {found:.5f}", f"text {parity.worst_texts[0]!r:.60}", blamed
    )


def require_least(found: float, gate: float, said: str, worst: str, blamed: Sequence[str]) -> None:
    """Refuse a variant of which ``found`` is below ``gate``, or is not a number.

    Args:
        found: what was measured.
        gate: the least that it may be.
        said: ``found`` in words.
        worst: which text or pair came out worst.
        blamed: the products with the largest errors.

    Raises:
        FidelityError: it is.
    """
    if not found >= gate:  # NaN is not larger
        raise FidelityError(
            f"{said}, expected at least {gate}; worst {worst}, largest errors in {', '.join(blamed) or 'no single product'}. "
            "Pass other texts with --calibration, or --allow-below-gate to write it all the same"
        )
