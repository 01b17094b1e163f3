"""How many of their heaviest terms two sparse vectors of a text have in common; pure numpy."""

import numpy as np
import numpy.typing as npt

__all__ = ["OVERLAP", "TOP_TERMS", "top_terms_overlap"]

OVERLAP = "top_terms_overlap"
"""Name of the measure in reports."""
TOP_TERMS = 32
"""A trained SPLADE gives a query some 20 to 40 terms, and a passage's heaviest 32 carry most of a score."""


def top_terms_overlap(
    a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], *, top: int = TOP_TERMS
) -> npt.NDArray[np.float64]:
    """Shared terms among the ``top`` heaviest of row i of both, by the larger of their numbers: (rows,); 1 where both have none.

    >>> top_terms_overlap(np.array([[3, 2, 1, 0]], np.float32), np.array([[3, 0, 1, 2]], np.float32), top=2)
    array([0.5])
    """
    return np.array([_overlap(_heaviest(x, top), _heaviest(y, top)) for x, y in zip(a, b, strict=True)])


def _heaviest(row: npt.NDArray[np.float32], top: int) -> set[int]:
    order = np.argsort(-row, kind="stable")[:top]
    return {int(term) for term in order if row[term] > 0}


def _overlap(a: set[int], b: set[int]) -> float:
    return len(a & b) / max(len(a), len(b)) if a or b else 1.0
