"""How alike two rows of scores are: Pearson's and Spearman's correlation, in double precision. No PyTorch."""

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.distance import row_cosines

__all__ = ["centered", "pearson", "ranks", "spearman"]

Floats = npt.NDArray[np.floating]


def centered(rows: Floats) -> npt.NDArray[np.float64]:
    """``rows`` (rows, values) less the mean of each: their cosines are Pearson's correlations."""
    exact = rows.astype(np.float64)
    result: npt.NDArray[np.float64] = exact - exact.mean(axis=1, keepdims=True)
    return result


def pearson(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """Correlation of row i of ``a`` with row i of ``b``, (rows,); 1 where both are constant.

    >>> pearson(np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 4.0, 6.0]])).round(6)
    array([1.])
    """
    return row_cosines(centered(a), centered(b))


def spearman(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """The same of their ranks: whether the order is the same, whatever the distances.

    >>> spearman(np.array([[1.0, 2.0, 30.0]]), np.array([[2.0, 4.0, 5.0]])).round(6)
    array([1.])
    """
    return pearson(np.stack([ranks(row) for row in a]), np.stack([ranks(row) for row in b]))


def ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Ranks from 1, equal values sharing their mean rank, (n,).

    >>> ranks(np.array([7.0, 5.0, 7.0]))
    array([2.5, 1. , 2.5])
    """
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: npt.NDArray[np.float64] = (last - (counts - 1) / 2)[group]
    return shared
