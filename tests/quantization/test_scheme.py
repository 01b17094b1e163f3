"""The arithmetic of one product, beside exact integer arithmetic and direct formulas in double precision."""

import math

import numpy as np
import numpy.typing as npt
import onnx_ir
import pytest
from embedrt_export.quantization import scheme
from embedrt_export.quantization.linears import InputKind, Linear, LinearGroup
from embedrt_export.quantization.rounding import Rounded, to_nearest
from embedrt_export.quantization.scheme import (
    SETTINGS,
    Rows,
    Setting,
    Static,
    choose_scheme,
    quantized_product,
    row_scale,
)
from hypothesis import given
from hypothesis import strategies as st

Floats = npt.NDArray[np.float32]
BALANCED = Setting(0.7, 100.0)


def draw(seed: int, *shape: int, spread: float = 1.0) -> Floats:
    return (np.random.default_rng(seed).normal(size=shape) * spread).astype(np.float32)


def group_of(kind: InputKind, *weights: Floats) -> LinearGroup:
    node = onnx_ir.node("MatMul", [None, None])
    linears = tuple(Linear(str(index), node, weight, None, node.outputs[0]) for index, weight in enumerate(weights))
    return LinearGroup(onnx_ir.Value(name="source"), kind, linears)


def exact_product(rows: Floats, activations: Static | Rows, rounded: Rounded) -> Floats:
    """The same, summed in integers."""
    if isinstance(activations, Static):
        steps = [activations.scale] * len(rows)
    elif activations.floor is None:
        steps = [max([1e-12, *(abs(float(value)) for value in row)]) / 127 for row in rows]
    else:
        steps = [max([activations.floor, *map(float, row)]) / (255 - activations.zero_point) for row in rows.tolist()]
    whole, scales = rounded
    zero = activations.zero_point
    result = np.empty((len(rows), whole.shape[1]))
    for index, (row, step) in enumerate(zip(rows, steps, strict=True)):
        codes = np.array([min(255, max(0, round(float(value) / step) + zero)) for value in row], dtype=np.int32) - zero
        result[index] = (codes @ whole.astype(np.int32)) * step * scales.astype(np.float64)
    return result.astype(np.float32)


@pytest.mark.parametrize(
    "activations", [Static(0.021, 131), Static(0.005, 0), Rows(128), Rows(16, 0.17 * 239 / 16), Rows(8, 0.4)]
)
def test_product_is_the_integer_one(activations: Static | Rows) -> None:
    rows, rounded = draw(1, 30, 24), to_nearest(draw(2, 24, 10), 127)
    rows[3] = 0
    found = quantized_product(rows, activations, rounded)
    np.testing.assert_allclose(found, exact_product(rows, activations, rounded), rtol=1e-5, atol=1e-6)
    assert found[3].tolist() == [0] * 10


def test_row_scale() -> None:
    rows = np.array([[1, -2, 0.5], [0, 0, 0], [3, 4, -400]], dtype=np.float32)
    np.testing.assert_allclose(row_scale(rows, Rows(128)), [2 / 127, 1e-12 / 127, 400 / 127], rtol=1e-6)
    np.testing.assert_allclose(row_scale(rows, Rows(15, 2.5)), [2.5 / 240, 2.5 / 240, 4 / 240], rtol=1e-6)


def gelu(x: float) -> float:
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


def test_zero_points_for_gelu_reach_its_minimum() -> None:
    lowest = min(gelu(x / 1000) for x in range(-2000, 0))
    assert -0.17 < lowest < -0.1699
    candidates = scheme._candidates("gelu", draw(0, 4, 4), BALANCED, static=False)
    assert len({candidate.zero_point for candidate in candidates}) == len(candidates) > 2
    small_row = np.array([[lowest, 0, 0.01]], dtype=np.float32)  # the floor alone sets its scale
    for candidate in candidates:
        assert isinstance(candidate, Rows)
        assert candidate.floor is not None
        reach = -candidate.zero_point * float(row_scale(small_row, candidate)[0])
        assert reach <= -0.17 + 1e-6
        assert reach == pytest.approx(-0.17, abs=1e-6)  # and no further: levels are scarce


def test_candidates_of_other_inputs() -> None:
    rows = draw(0, 50, 8)
    kinds: tuple[InputKind, ...] = ("norm", "attention", "gelu", "other")
    for kind in (kinds[1], kinds[3]):
        assert scheme._candidates(kind, rows, BALANCED, static=False) == [Rows(128)]
    assert isinstance(scheme._candidates("norm", rows, BALANCED, static=False)[0], Static)
    for kind in kinds:
        [candidate] = scheme._candidates(kind, rows, BALANCED, static=True)
        assert isinstance(candidate, Static)


@pytest.mark.parametrize(
    ("low", "high", "zero"), [(-1.0, 3.0, 64), (0.5, 5.1, 0), (-2.0, -1.0, 255), (0.0, 0.0, 0), (-1.0, 1.0, 128)]
)
def test_static_range_covers_the_rows_and_zero(low: float, high: float, zero: int) -> None:
    found = scheme._static(np.linspace(low, high, 999, dtype=np.float32).reshape(-1, 3), 100.0)
    assert found.zero_point == zero
    assert found.scale == pytest.approx(max((max(high, 0) - min(low, 0)) / 255, 1e-12), rel=1e-5)


def test_percentile_leaves_outliers_out() -> None:
    rows = np.linspace(-1, 1, 100_000, dtype=np.float32).reshape(-1, 10)
    rows[5, 5] = 1000
    assert scheme._static(rows, 100.0).scale > 3.9
    assert scheme._static(rows, 99.9).scale < 2.01 / 255


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.7, 1.0])
def test_smoothing_is_equation_4_of_smoothquant(alpha: float) -> None:
    """s_j = max|X_j|^α / max|W_j|^(1−α), here scaled to a geometric mean of 1."""
    rows, weights = draw(3, 60, 6) * np.array([1, 20, 0.1, 3, 1, 1], dtype=np.float32), draw(4, 6, 9)
    expected = []
    for column in range(6):
        largest_x = max(abs(float(value)) for value in rows[:, column])
        largest_w = max(abs(float(value)) for value in weights[column])
        expected.append(largest_x**alpha / largest_w ** (1 - alpha))
    mean = math.prod(expected) ** (1 / 6)
    found = scheme._smoothing(rows, weights, alpha)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(expected) / mean, rtol=1e-5)


def test_an_input_that_is_always_zero_can_be_smoothed() -> None:
    rows, weights = draw(3, 60, 6), draw(4, 6, 9)
    rows[:, 2], weights[3] = 0, 0
    assert np.isfinite(scheme._smoothing(rows, weights, 0.7)).all()
    assert (scheme._smoothing(rows, weights, 0.7) > 0).all()


def test_smoothing_helps_where_a_channel_sticks_out() -> None:
    rows, weights = draw(5, 300, 32), draw(6, 32, 16)
    rows[:, 7] *= 60
    group = group_of("norm", weights)
    plain = choose_scheme(group, rows, BALANCED, static=True, smooth=False, weight_limit=127)
    smooth = choose_scheme(group, rows, BALANCED, static=True, smooth=True, weight_limit=127)
    assert plain.alpha is None
    assert plain.smoothing.tolist() == [1] * 32
    assert smooth.alpha == 0.7
    assert smooth.error < plain.error / 3


def test_error_is_that_of_the_product() -> None:
    rows, first, second = draw(7, 100, 16), draw(8, 16, 8), draw(9, 16, 4)
    chosen = choose_scheme(
        group_of("other", first, second), rows, BALANCED, static=False, smooth=False, weight_limit=63
    )
    weights = np.concatenate([first, second], axis=1)
    found = exact_product(rows, chosen.activations, to_nearest(weights, 63))
    expected = np.linalg.norm(found - rows @ weights) / np.linalg.norm(rows @ weights)
    assert chosen.error == pytest.approx(expected, rel=1e-3)
    assert 0.001 < chosen.error < 0.05


def test_best_zero_point_is_chosen() -> None:
    inputs = draw(10, 400, 16, spread=2)
    rows, weights = np.vectorize(gelu, otypes=[np.float32])(inputs), draw(11, 16, 8)
    chosen = choose_scheme(group_of("gelu", weights), rows, BALANCED, static=False, smooth=False, weight_limit=127)
    errors = {}
    for candidate in scheme._candidates("gelu", rows, BALANCED, static=False):
        assert chosen.rounded is not None
        found = exact_product(rows, candidate, chosen.rounded)
        errors[candidate] = float(np.linalg.norm(found - rows @ weights))
    assert errors[chosen.activations] == min(errors.values())
    assert max(errors.values()) > 1.1 * min(errors.values())


def test_settings_differ_in_both() -> None:
    assert len(set(SETTINGS)) == len(SETTINGS) == 8
    assert {setting.percentile for setting in SETTINGS} == {100.0, 99.99}


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 9),
    inputs=st.integers(1, 24),
    outputs=st.integers(1, 7),
    limit=st.sampled_from([63, 127]),
)
def test_product_is_the_float_one_within_half_steps(
    seed: int, rows: int, inputs: int, outputs: int, limit: int
) -> None:
    x, weight = draw(seed, rows, inputs), draw(seed + 1, inputs, outputs)
    rounded = to_nearest(weight, limit)
    found = quantized_product(x, Rows(128), rounded)
    exact = x.astype(np.float64) @ weight
    steps = row_scale(x, Rows(128))[:, None].astype(np.float64)
    # |xW − x'W'| ≤ Σ |x|·|W − W'| + |W'|·s/2, activations being off by half a step at most
    whole = rounded.weight.astype(np.float64) * rounded.scales
    if limit == 63:  # all neighbours fit
        assert (np.abs(weight - whole) <= rounded.scales / 2 * 1.001).all()
    bound = np.abs(x) @ np.abs(weight - whole) + np.abs(whole).sum(axis=0) * steps / 2
    assert (np.abs(found - exact) <= bound * 1.001 + 1e-6).all()


@given(seed=st.integers(0, 10_000))
def test_finer_steps_err_less(seed: int) -> None:
    x, weight = draw(seed, 40, 24), draw(seed + 1, 24, 8)
    errors = []
    for limit in (7, 31, 127):
        found = quantized_product(x, Rows(128), to_nearest(weight, limit))
        errors.append(float(np.linalg.norm(found - x @ weight)))
    assert errors[0] > errors[1] > errors[2]
    coarse = quantized_product(x, Static(0.2, 128), to_nearest(weight, 127))
    fine = quantized_product(x, Static(0.04, 128), to_nearest(weight, 127))
    assert np.linalg.norm(fine - x @ weight) < np.linalg.norm(coarse - x @ weight)


def test_channels_of_similar_factors_share_one() -> None:
    rows, weights = draw(5, 300, 32), draw(6, 32, 16)
    rows *= np.exp(draw(7, 32))
    group = group_of("gelu", weights)
    own = choose_scheme(group, rows, BALANCED, static=True, smooth=True, weight_limit=127)
    shared = choose_scheme(group, rows, BALANCED, static=True, smooth=True, weight_limit=127, reorder=True)
    assert own.order is None
    assert shared.order is not None
    assert sorted(shared.order) == list(range(32))
    assert (np.diff(own.smoothing[shared.order]) >= 0).all()  # neighbours are similar
    by_block = own.smoothing[shared.order].astype(np.float64).reshape(8, 4)
    np.testing.assert_allclose(shared.block_factors, by_block.prod(axis=1) ** (1 / 4), rtol=1e-5)
    np.testing.assert_array_equal(shared.smoothing[shared.order], np.repeat(shared.block_factors, 4))
    plain = choose_scheme(group, rows, BALANCED, static=True, smooth=False, weight_limit=127)
    assert own.error <= shared.error * 1.1 < plain.error


@pytest.mark.parametrize(("width", "smooth"), [(36, True), (32, False)])
def test_channels_stay_where_blocks_are_uneven_or_nothing_is_balanced(width: int, smooth: bool) -> None:
    rows, weights = draw(5, 300, width), draw(6, width, 16)
    found = choose_scheme(
        group_of("gelu", weights), rows, BALANCED, static=True, smooth=smooth, weight_limit=127, reorder=True
    )
    assert found.order is None


@pytest.mark.parametrize("static", [True, False])
def test_the_shift_is_the_mean_of_what_int8_lacks(static: bool) -> None:
    weight = draw(0, 24, 5)
    rows = np.abs(draw(1, 300, 24)) ** 3  # one-sided, so that clipping leans to one side
    chosen = choose_scheme(
        group_of("gelu", weight), rows, Setting(0.7, 90.0), static=static, smooth=False, weight_limit=127
    )
    balanced: Floats = np.asarray(rows / chosen.smoothing, dtype=np.float32)
    assert chosen.rounded is not None
    lacking = np.subtract(rows @ weight, quantized_product(balanced, chosen.activations, chosen.rounded))
    assert chosen.shift is not None
    np.testing.assert_allclose(chosen.shift, lacking.mean(axis=0), rtol=1e-4, atol=1e-4)
    if static:  # a tenth is clipped
        assert np.abs(chosen.shift).max() > 0.1
