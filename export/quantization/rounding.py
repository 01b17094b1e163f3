"""Weights as bytes: neighbours fit into sums of 16 bits, and what rounding one row takes away the next ones give back.

x86 without VNNI adds the products of two neighbouring rows, 0 and 1, 2 and 3, …, in 16 bits (``vpmaddubsw``), where they saturate
unless

    255 · |w₀ + w₁| ≤ 32767,   that is |w₀ + w₁| ≤ 128,   for two weights of one sign

255 being the largest activation; weights of unlike signs always fit. Where two are more, they share the 128, or the scale of
their column grows, whichever errs less. So every processor sums the same integers, in its fastest instruction.

Errors are passed on as in GPTQ (arXiv 2210.17323, section 3.3): with X the activations of the calibration texts, and Uᵀ U the
inverse of XᵀX + λI, U being upper triangular, rounding row i to q changes the rows j behind it, so that XW changes least:

    w_j ← w_j − U_ij (w_i − q) / U_ii
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Rounded", "passing_errors_on", "to_nearest"]

Floats = npt.NDArray[np.float32]
_TOGETHER = 128
"""The most that two neighbours of one sign may be."""
_WIDER = (1.03, 1.06, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)
"""Scales that are tried where neighbours do not fit, as multiples of the finest; with the last, all of them do."""
_RIDGE = 0.3
"""λ, as a share of the mean square of a channel: of 5659 rows of MiniLM 0.01 makes as much, of 300 rows it makes less."""
_BLOCK = 64
"""Rows whose errors reach the rows behind the block in one product; even, so that no pair is parted."""
_TINY = 1e-30


class Rounded(NamedTuple):
    """A matrix in int8, a scale a column."""

    weight: npt.NDArray[np.int8]
    """(inputs, outputs)"""
    scales: Floats
    """(outputs,)"""


def to_nearest(weight: Floats, limit: int, rows: Floats | None = None) -> Rounded:
    """Each weight (inputs, outputs) as the nearest integer that fits, symmetric about zero.

    Args:
        weight: float32.
        limit: the largest magnitude, 127 or 63.
        rows: (rows, inputs) of the activations, by whose squares errors count where a scale is chosen; None: all alike.
    """
    finest = np.maximum(np.abs(weight).max(axis=0) / limit, _TINY).astype(np.float32)
    steps, scales = weight / finest, finest.copy()
    whole = _fitting(steps, limit)
    crowded = np.flatnonzero((whole != _nearest(steps, limit)).any(axis=0))
    power = np.ones(len(weight)) if rows is None else _with_ridge(np.square(rows).mean(axis=0))
    columns, counts = weight[:, crowded], power[:, None]
    smallest = (np.square(whole[:, crowded] * finest[crowded] - columns) * counts).sum(axis=0)
    for factor in _WIDER:
        wider = finest[crowded] * np.float32(factor)
        tried = _fitting(columns / wider, limit)
        error = (np.square(tried * wider - columns) * counts).sum(axis=0)
        better = error < smallest
        whole[:, crowded[better]], scales[crowded[better]] = tried[:, better], wider[better]
        smallest = np.minimum(smallest, error)
    return Rounded(whole.astype(np.int8), scales)


def passing_errors_on(weight: Floats, limit: int, rows: Floats) -> Rounded:
    """The same, each row's error made good by the rows behind it as far as they can.

    Args:
        weight: float32 (inputs, outputs).
        limit: the largest magnitude, 127 or 63.
        rows: (rows, inputs) of the activations.
    """
    scales = to_nearest(weight, limit, rows).scales
    factor = _inverse_factor(rows)
    left = weight / scales
    whole = np.empty_like(left)
    for start in range(0, len(left), _BLOCK):
        stop = min(start + _BLOCK, len(left))
        errors = np.empty_like(left[start:stop])
        for row in range(start, stop):
            second = row % 2
            whole[row] = (
                _beside(whole[row - 1], left[row], limit) if second else _fitting(left[row : row + 2], limit)[0]
            )
            errors[row - start] = (left[row] - whole[row]) / factor[row, row]
            left[row + 1 : stop] -= factor[row, row + 1 : stop, None] * errors[row - start]
        left[stop:] -= factor[start:stop, stop:].T @ errors
    return Rounded(whole.astype(np.int8), scales)


def _nearest(weight: Floats, limit: int) -> Floats:
    return np.asarray(np.clip(np.rint(weight), -limit, limit), dtype=np.float32)


def _fitting(weight: Floats, limit: int) -> Floats:
    """The nearest whole numbers that fit, in units of the scale; row 0 is the first of a pair."""
    whole, even = _nearest(weight, limit), len(weight) // 2 * 2
    first, second = whole[0:even:2], whole[1:even:2]
    signs = np.sign(first)
    over = (first * second > 0) & (np.abs(first + second) > _TOGETHER)
    apart = (np.abs(weight[0:even:2]) - np.abs(weight[1:even:2])) / 2
    share = np.clip(np.rint(_TOGETHER / 2 + apart), 1, limit)
    whole[0:even:2] = np.where(over, signs * share, first)
    whole[1:even:2] = np.where(over, signs * (_TOGETHER - share), second)
    return whole


def _beside(first: Floats, second: Floats, limit: int) -> Floats:
    """The second row of a pair as the nearest whole numbers that fit beside the first, which is rounded."""
    room = np.minimum(_TOGETHER - np.abs(first), limit)
    lowest, highest = np.where(first < 0, -room, -limit), np.where(first > 0, room, limit)
    return np.asarray(np.clip(np.rint(second), lowest, highest), dtype=np.float32)


def _with_ridge(power: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Mean squares of channels and λ: what calibration texts do not use, others may."""
    return power + max(_RIDGE * float(power.mean()), _TINY)


def _inverse_factor(rows: Floats) -> Floats:
    """U of the module's formula, (inputs, inputs)."""
    squares = (rows.T @ rows).astype(np.float64)
    squares[np.diag_indices_from(squares)] = _with_ridge(np.diag(squares))
    return np.asarray(np.linalg.cholesky(np.linalg.inv(squares)).T, dtype=np.float32)
