"""How faithful a variant is: its vectors beside those of the float32 graph, over texts that calibration has not seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from embedrt_export.distance import row_cosines
from embedrt_export.quantization.sts import sts_change

from embedrt import SentenceEncoder
from embedrt.errors import FidelityError
from embedrt.manifest import Parity

__all__ = ["DEFAULT_GATE", "measure", "require_gate"]

DEFAULT_GATE = 0.995
"""Smallest mean cosine that a variant may have."""
_WORST = 3


def measure(
    exact: SentenceEncoder, variant: SentenceEncoder, texts: Sequence[str], *, reference: str, sts: Path | None
) -> Parity:
    """Compare two encoders over ``texts``, and on the STS sets of a folder; ``reference`` names what ``exact`` is."""
    expected, found = exact.encode(texts), variant.encode(texts)
    cosines = row_cosines(expected, found)
    worst = [texts[int(index)] for index in np.argsort(np.nan_to_num(cosines, nan=-np.inf))[:_WORST]]
    return Parity(
        reference=reference,
        runtime=", ".join(variant.providers),
        texts=len(texts),
        batch_sizes=(),
        max_abs_difference=float(np.abs(expected - found).max()),
        cosine_mean=float(cosines.mean()),
        cosine_p01=float(np.percentile(cosines, 1)),
        cosine_min=float(cosines.min()),
        worst_texts=tuple(worst),
        sts_change=sts_change(exact, variant, sts) if sts is not None else {},
    )


def require_gate(parity: Parity, gate: float, blamed: Sequence[str]) -> None:
    """Refuse a variant whose mean cosine is below ``gate``.

    Raises:
        FidelityError: it is; the message names the worst text and the products with the largest errors.
    """
    if not parity.cosine_mean >= gate:  # NaN is not larger
        raise FidelityError(
            f"mean cosine to the float32 graph is {parity.cosine_mean:.5f}, expected at least {gate}; "
            f"worst text {parity.worst_texts[0]!r:.60}, largest errors in {', '.join(blamed) or 'no single product'}. "
            "Pass other texts with --calibration, or --allow-below-gate to write it all the same"
        )
