"""Labels that must not lie on one another, for any places they are wanted at."""

import itertools

import numpy as np
from embedrt_bench.report.labels import Box, place, spread
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

PLACES = st.lists(st.floats(-50, 350, allow_nan=False), max_size=20)


@given(PLACES)
def test_spread_keeps_order_and_gap(wanted: list[float]) -> None:
    placed = spread(wanted, gap=12, low=0, high=300)
    assert len(placed) == len(wanted)
    assert all(-1e-6 <= place <= 300 + 1e-6 for place in placed)
    for (want, there), (other_want, other) in itertools.combinations(zip(wanted, placed, strict=True), 2):
        assert abs(there - other) >= 12 - 1e-6
        assert want == other_want or (want < other_want) == (there < other)


@given(PLACES)
def test_spread_is_the_nearest(wanted: list[float]) -> None:
    """Least squares with a gap is isotonic regression of the places less their gaps: SciPy's own, here."""
    placed = spread(wanted, gap=3, low=-1000, high=1300)
    gaps = 3 * np.arange(len(wanted))
    if wanted:
        np.testing.assert_allclose(sorted(placed), isotonic_regression(np.sort(wanted) - gaps).x + gaps, atol=1e-6)


def test_spread_leaves_alone_what_has_room() -> None:
    assert spread([50, 10, 90], gap=12, low=0, high=100) == [50, 10, 90]
    assert spread([], gap=12, low=0, high=100) == []


def test_more_labels_than_room_stay_in_order() -> None:
    placed = spread([5.0] * 10, gap=12, low=0, high=50)
    np.testing.assert_allclose(np.diff(sorted(placed)), 12)


POINTS = st.lists(st.tuples(st.floats(20, 280), st.floats(20, 280)), max_size=8)


@given(POINTS)
def test_placed_boxes_do_not_overlap(points: list[tuple[float, float]]) -> None:
    inside: Box = (0, 0, 300, 300)
    taken: list[Box] = []
    for point in points:
        box = place(point, (60, 12), taken, inside)
        assert np.allclose((box[2] - box[0], box[3] - box[1]), (60, 12))
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= 300
        assert box[3] <= 300
        for other in taken:
            assert box[0] >= other[2] or other[0] >= box[2] or box[1] >= other[3] or other[1] >= box[3]
        taken.append(box)


def test_a_label_is_beside_its_point() -> None:
    assert place((100, 100), (40, 10), [], (0, 0, 300, 300)) == (107, 95, 147, 105)
    assert place((290, 100), (40, 10), [], (0, 0, 300, 300)) == (243, 95, 283, 105)
