"""How one group of products is quantized: the arithmetic, and the ranges that calibration rows ask for.

The arithmetic, for activations x (rows, inputs) and weights W (inputs, outputs):

    x W  ≈  s ⊙ (q(x / c) − z) q(c W) ⊙ t

with c the balancing factors of SmoothQuant (arXiv 2211.10438, equation 4), s the scale of the activations (one number,
or one a row), z their zero point, and t the scales of the weights' columns. u8 × s8 products are summed exactly in int32.

Where the channels of x may stand in any order, those of similar c are put side by side and share one: then c is a part of
the scale with which a block of channels is quantized, and costs no pass of its own.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embedrt_export.quantization.linears import InputKind, LinearGroup
from embedrt_export.quantization.rounding import Rounded, passing_errors_on, to_nearest

__all__ = [
    "SETTINGS",
    "Order",
    "Rows",
    "Scheme",
    "Setting",
    "Static",
    "choose_scheme",
    "quantized_product",
]

Floats = npt.NDArray[np.float32]
Order = npt.NDArray[np.int64]
_ZERO_POINTS = (8, 12, 16, 24, 32)
_CHECKED_ROWS = 768
_TINY = 1e-30
_LEVELS = 255
_SYMMETRIC = 128
_BLOCKS = 8
"""Blocks of channels that share a factor: with 4 of them MiniLM's mean cosine is 0.0002 lower, with 24 it is no higher."""
_GELU_MINIMUM = 0.17
"""GELU never goes below −0.16997."""


@dataclass(frozen=True, slots=True)
class Static:
    """One scale and zero point for every row, from calibration."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Rows:
    """A scale for each row, from its own largest value at run time.

    With ``floor`` the largest value is the largest component (never below ``floor``), and values reach down to
    ``-floor * zero_point / (255 - zero_point)``; without, it is the largest magnitude.
    """

    zero_point: int
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for every group, searched by the error of the finished vectors.

    A layer's own error is a poor guide here: settings with smaller errors layer by layer gave worse vectors.
    """

    alpha: float
    """How much of the activations' spread is moved into the weights: 0 none, 1 all."""
    percentile: float
    """How much of the activations a static scale covers; the rest is clipped."""


SETTINGS = tuple(Setting(alpha, percentile) for percentile in (100.0, 99.99) for alpha in (0.6, 0.7, 0.8, 0.9))


@dataclass(frozen=True, slots=True)
class Scheme:
    """The choice for one group."""

    smoothing: Floats
    """c, (inputs,); all ones where nothing is balanced."""
    activations: Static | Rows
    alpha: float | None
    error: float
    """‖x W − its int8 product‖ / ‖x W‖ over the calibration rows."""
    order: Order | None = None
    """(inputs,) the channels in blocks of equal size, each with one factor; None: they stay, each with a factor of its own."""
    shift: Floats | None = None
    """(outputs of all,) the mean of x W − its int8 product over the calibration rows, which products with a bias make good
    (arXiv 1906.04721, section 4.2); None: zeros."""
    rounded: Rounded | None = None
    """q(c W) and t, (inputs, outputs of all), its rows in :attr:`order`; None: each weight is rounded to the nearest."""

    @property
    def block_factors(self) -> Floats:
        """The factor of each block, (blocks,); for schemes with an :attr:`order`."""
        return self.smoothing[self.order].reshape(_BLOCKS, -1)[:, 0]


def choose_scheme(
    group: LinearGroup,
    rows: Floats,
    setting: Setting,
    *,
    static: bool,
    smooth: bool,
    weight_limit: int,
    reorder: bool = False,
    pass_errors_on: bool = False,
) -> Scheme:
    """How ``group`` is quantized under ``setting``; a zero point for GELU's output is chosen by the smallest error.

    Args:
        group: the products, reading the same activations.
        rows: (rows, inputs) of these activations.
        setting: what is the same for the whole graph.
        static: one scale for all rows, whatever they come from; else only behind normalization, a scale a row elsewhere.
        smooth: whether the graph has a place where 1 / c is worth its cost.
        weight_limit: largest magnitude of a weight, 127 or 63.
        reorder: whether the channels may stand in any order.
        pass_errors_on: round weights one row after the other, each making good what those before it lost; else to the nearest.
    """
    alpha = setting.alpha if smooth else None
    smoothing = _smoothing(rows, group.weights, alpha)
    order: Order | None = None
    in_order: Order | slice = slice(None)
    if reorder and alpha is not None and len(smoothing) % _BLOCKS == 0:
        order = np.argsort(smoothing, kind="stable")
        smoothing = _one_a_block(smoothing, order)
        in_order = order
    balanced, weights = (rows / smoothing)[:, in_order], (group.weights * smoothing[:, None])[in_order]
    rounded = (passing_errors_on if pass_errors_on else to_nearest)(weights, weight_limit, balanced)
    every = max(1, len(rows) // _CHECKED_ROWS)
    exact = rows[::every] @ group.weights
    schemes = []
    for activations in _candidates(group.kind, balanced, setting, static=static):
        found = quantized_product(balanced[::every], activations, rounded)
        error = float(np.linalg.norm(found - exact)) / max(float(np.linalg.norm(exact)), _TINY)
        shift = (exact - found).mean(axis=0)
        schemes.append(Scheme(smoothing, activations, alpha, error, order, shift, rounded))
    return min(schemes, key=lambda scheme: scheme.error)


def _smoothing(rows: Floats, weights: Floats, alpha: float | None) -> Floats:
    """Balancing factors c = max|x|^α / max|W|^(1−α) of each input, brought to a geometric mean of 1; (inputs,)."""
    if alpha is None:
        return np.ones(rows.shape[1], dtype=np.float32)
    largest_input = np.maximum(np.abs(rows).max(axis=0), 1e-5)
    largest_weight = np.maximum(np.abs(weights).max(axis=1), 1e-5)
    factors = largest_input**alpha / largest_weight ** (1 - alpha)
    return np.asarray(factors / np.exp(np.log(factors).mean()), dtype=np.float32)


def _one_a_block(smoothing: Floats, order: Order) -> Floats:
    """The geometric mean over each block of channels in ``order`` instead of a factor each; (inputs,) in the old order."""
    means = np.exp(np.log(smoothing[order].reshape(_BLOCKS, -1)).mean(axis=1))
    shared = np.empty_like(smoothing)
    shared[order] = np.repeat(means, len(smoothing) // _BLOCKS)
    return shared


def _candidates(kind: InputKind, rows: Floats, setting: Setting, *, static: bool) -> list[Static | Rows]:
    if static or kind == "norm":
        return [_static(rows, setting.percentile)]
    if kind == "gelu":
        return [Rows(zero, _GELU_MINIMUM * (_LEVELS - zero) / zero) for zero in _ZERO_POINTS]
    return [Rows(_SYMMETRIC)]


def _static(rows: Floats, percentile: float) -> Static:
    low, high = (float(bound) for bound in np.percentile(rows, (100 - percentile, percentile)))
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / _LEVELS, 1e-12)
    return Static(scale, round(-low / scale))


def quantized_product(rows: Floats, activations: Static | Rows, rounded: Rounded) -> Floats:
    """What the int8 graph computes for ``rows`` (rows, inputs), already divided by c: (rows, outputs)."""
    if isinstance(activations, Static):
        row_scales = np.full((len(rows), 1), activations.scale, dtype=np.float32)
    else:
        row_scales = row_scale(rows, activations)[:, None]
    zero = activations.zero_point
    quantized = np.clip(np.rint(rows / row_scales) + zero, 0, _LEVELS) - zero
    whole = rounded.weight.astype(np.float32)
    product: Floats = quantized.astype(np.float32) @ whole  # exact enough to rank: sums below 2^24·k
    return product * row_scales * rounded.scales


def row_scale(rows: Floats, activations: Rows) -> Floats:
    """The scale of each row, (rows,)."""
    if activations.floor is None:
        largest = np.maximum(np.abs(rows).max(axis=1), 1e-12)
        return np.asarray(largest / (_LEVELS - _SYMMETRIC), dtype=np.float32)
    largest = np.maximum(rows.max(axis=1), activations.floor)
    return np.asarray(largest / (_LEVELS - activations.zero_point), dtype=np.float32)
