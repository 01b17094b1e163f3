"""Cosine in double precision: float32 cannot tell a difference of 1e-8 from none."""

import numpy as np
import numpy.typing as npt

__all__ = ["row_cosines"]


def row_cosines(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Cosine of row i of ``a`` with row i of ``b``, (n,); 1 where both are zero.

    >>> row_cosines(np.array([[3, 4]], np.float32), np.array([[4, 3]], np.float32))
    array([0.96])
    """
    first, second = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products: npt.NDArray[np.float64] = (first * second).sum(axis=1)
    both_zero = (np.abs(first).max(axis=1) == 0) & (np.abs(second).max(axis=1) == 0)
    return np.where(both_zero, 1.0, products / np.where(lengths > 0, lengths, 1.0))
