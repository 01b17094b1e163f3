"""Weights as bytes: neighbours that fit, beside a search of all pairs; errors passed on, beside the formula step by step."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_export.quantization import rounding
from embedrt_export.quantization.rounding import passing_errors_on, to_nearest
from hypothesis import given
from hypothesis import strategies as st

Floats = npt.NDArray[np.float32]


def draw(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def largest_sum(weight: npt.NDArray[np.int8]) -> int:
    """Of two neighbours, 0 and 1, 2 and 3, …, those of unlike signs apart."""
    whole = weight[: len(weight) // 2 * 2].astype(int)
    positive, negative = np.maximum(whole, 0), np.maximum(-whole, 0)
    return int(max((one[0::2] + one[1::2]).max(initial=0) for one in (positive, negative)))


@pytest.mark.parametrize("limit", [127, 63])
def test_weights_are_symmetric_with_a_scale_a_column(limit: int) -> None:
    weight = draw(0, 40, 12) * np.logspace(-3, 3, 12, dtype=np.float32)
    weight[1::2] /= 100  # all neighbours fit
    whole, scales = to_nearest(weight, limit)
    assert (whole.dtype.name, scales.dtype.name) == ("int8", "float32")
    assert (whole.shape, scales.shape) == ((40, 12), (12,))
    assert np.abs(whole.astype(int)).max(axis=0).tolist() == [limit] * 12  # each column uses all of its range
    np.testing.assert_allclose(scales, np.abs(weight).max(axis=0) / limit, rtol=1e-6)
    assert (np.abs(whole * scales - weight) <= scales * (0.5 + 1e-4)).all()
    negative, _ = to_nearest(-weight, limit)
    np.testing.assert_array_equal(negative, -whole)


def test_a_column_of_zeros() -> None:
    whole, scales = to_nearest(np.array([[0, 1], [0, -2]], dtype=np.float32), 127)
    assert whole.tolist() == [[0, 64], [0, -127]]
    assert np.isfinite(whole * scales).all()
    assert (whole * scales)[:, 0].tolist() == [0, 0]


@given(seed=st.integers(0, 10_000), inputs=st.integers(1, 140), limit=st.sampled_from([63, 127]))
def test_neighbours_always_fit(seed: int, inputs: int, limit: int) -> None:
    weight, rows = draw(seed, inputs, 5) ** 3, draw(seed + 1, 30, inputs)
    for found in (to_nearest(weight, limit), passing_errors_on(weight, limit, rows)):
        assert largest_sum(found.weight) <= 128
        assert np.abs(found.weight.astype(int)).max() <= limit
    np.testing.assert_array_equal(to_nearest(-weight, limit).weight, -to_nearest(weight, limit).weight)


@pytest.mark.parametrize(
    "pair", [(127, 127), (127, 1.6), (100.2, 90.7), (90, -90), (-127, -20), (127, -127), (64, 64.4), (3, 4)]
)
def test_two_that_do_not_fit_become_the_nearest_that_do(pair: tuple[float, float]) -> None:
    weight = np.array([[pair[0]], [pair[1]]], dtype=np.float32)
    [first], [second] = rounding._fitting(weight, 127)
    fitting = [
        (one, other)
        for one, other in itertools.product(range(-127, 128), repeat=2)
        if one * other <= 0 or abs(one + other) <= 128
    ]
    nearest = min((one - pair[0]) ** 2 + (other - pair[1]) ** 2 for one, other in fitting)
    assert (int(first), int(second)) in fitting
    assert (first - pair[0]) ** 2 + (second - pair[1]) ** 2 == pytest.approx(nearest, abs=1e-3)


def test_a_scale_grows_where_that_errs_less() -> None:
    """Two that are a little too large make it grow a little; where no pair fits, it doubles."""
    few, many = draw(0, 64, 1) * np.float32(0.01), np.full((64, 1), 1.0, np.float32)
    few[:2, 0] = 1, 0.05
    assert 1.001 / 127 < to_nearest(few, 127).scales[0] < 1.1 / 127
    many[0] = 1.0001  # the largest
    whole, scales = to_nearest(many, 127)
    assert scales[0] == pytest.approx(2.0002 / 127, rel=1e-5)
    np.testing.assert_allclose(whole * scales, many, rtol=0.01)


def test_a_scale_is_chosen_by_the_errors_that_count() -> None:
    """A pair that does not fit, and weights that the finest scale has exactly: whichever reads larger activations decides."""
    weight = np.zeros((64, 1), np.float32)
    weight[:2], weight[2::2] = [[127], [3]], np.arange(31)[:, None]
    rows = np.ones((1, 64), np.float32)
    assert to_nearest(weight, 127, rows).scales[0] == 1
    rows[:, :2] = 100
    assert to_nearest(weight, 127, rows).scales[0] > 1


def passed_on(weight: Floats, scales: Floats, rows: Floats) -> npt.NDArray[np.float64]:
    """GPTQ's algorithm 1 without blocks, in double precision: each column and row in turn."""
    squares = rows.T.astype(np.float64) @ rows
    squares += np.eye(len(squares)) * rounding._RIDGE * np.diag(squares).mean()
    factor = np.linalg.cholesky(np.linalg.inv(squares)).T
    left = weight.astype(np.float64) / scales
    whole = np.zeros_like(left)
    for row in range(len(left)):
        whole[row] = np.clip(np.rint(left[row]), -63, 63)
        for later in range(row + 1, len(left)):
            left[later] -= factor[row, later] / factor[row, row] * (left[row] - whole[row])
    return whole


@pytest.mark.parametrize("inputs", [1, 24, 64, 65, 150])
def test_errors_are_passed_on_as_the_formula_says(inputs: int) -> None:
    """Across blocks too; with weights of 7 bits, of which all fit."""
    mixed = draw(3, inputs, inputs)
    rows, weight = draw(1, 400, inputs) @ mixed, draw(2, inputs, 7)
    found = passing_errors_on(weight, 63, rows)
    np.testing.assert_array_equal(found.scales, to_nearest(weight, 63).scales)
    expected = passed_on(weight, found.scales, rows)
    assert (found.weight != expected).mean() < 0.01  # a tie may fall on either side


@pytest.mark.parametrize("limit", [127, 63])
def test_what_rows_see_is_nearer(limit: int) -> None:
    """Of activations that go together, on texts that were not calibrated on."""
    mixed = draw(3, 40, 160) + 0.1 * draw(4, 40, 160)
    weight, rows, others = draw(2, 160, 30), draw(5, 600, 40) @ mixed, draw(6, 600, 40) @ mixed
    errors = [
        float(np.linalg.norm(others @ (found.weight * found.scales - weight)))
        for found in (to_nearest(weight, limit), passing_errors_on(weight, limit, rows))
    ]
    assert errors[1] < 0.6 * errors[0]


def test_channels_that_are_never_used() -> None:
    weight, rows = draw(0, 32, 6), draw(1, 50, 32)
    rows[:, 4:9] = 0
    for given_rows in (rows, np.zeros_like(rows)):
        found = passing_errors_on(weight, 127, given_rows)
        assert np.abs(found.weight * found.scales - weight).max() < 0.5
