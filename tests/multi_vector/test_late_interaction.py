"""MaxSim in blocked numpy against sentence-transformers', and against the formula written out."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.util import similarity as original

from embedrt.errors import InputError
from embedrt.multi_vector import late_interaction
from embedrt.multi_vector.late_interaction import maxsim, maxsim_pairwise, mean_maxsim, mean_maxsim_pairwise

Arrays = list[npt.NDArray[np.float32]]
WIDTH = 8


def _texts(lengths: list[int], seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)
    return [random.standard_normal((length, WIDTH)).astype(np.float32) for length in lengths]


LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(asked=LENGTHS, stored=LENGTHS)
def test_as_sentence_transformers(asked: list[int], stored: list[int]) -> None:
    queries, documents = _texts(asked), _texts(stored, seed=1)
    for ours, theirs in ((maxsim, original.maxsim), (mean_maxsim, original.mean_maxsim)):
        np.testing.assert_allclose(ours(queries, documents), theirs(queries, documents).numpy(), rtol=1e-5, atol=1e-5)
    count = min(len(asked), len(stored))
    for pairs, theirs in (
        (maxsim_pairwise, original.maxsim_pairwise),
        (mean_maxsim_pairwise, original.mean_maxsim_pairwise),
    ):
        found = pairs(queries[:count], documents[:count])
        np.testing.assert_allclose(found, theirs(queries[:count], documents[:count]).numpy(), rtol=1e-5, atol=1e-5)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, documents = _texts([7, 3, 1, 2, 5]), _texts([9, 4, 1, 30, 2, 6], seed=1)  # some longer than a block
    whole = maxsim(queries, documents)
    expected = [[sum(max(u @ v for v in document) for u in query) for document in documents] for query in queries]
    np.testing.assert_allclose(whole, expected, rtol=1e-5)
    monkeypatch.setattr(late_interaction, "_QUERY_TOKENS", 4)
    monkeypatch.setattr(late_interaction, "_DOCUMENT_TOKENS", 5)
    np.testing.assert_allclose(maxsim(queries, documents), whole, rtol=1e-5)


def test_a_document_without_vectors_is_below_every_other() -> None:
    queries, documents = _texts([3, 2]), [*_texts([4], seed=1), np.empty((0, WIDTH), np.float32), *_texts([2], seed=2)]
    found = maxsim(queries, documents)
    np.testing.assert_array_equal(found[:, 1], np.float32(-1e9))
    np.testing.assert_allclose(found, original.maxsim(queries, documents).numpy(), rtol=1e-5, atol=1e-5)


def test_nothing_against_something() -> None:
    some = _texts([3, 2])
    assert maxsim([], some).shape == (0, 2)
    assert maxsim(some, []).shape == (2, 0)
    assert mean_maxsim([], []).shape == (0, 0)
    assert maxsim_pairwise([], []).shape == (0,)
    np.testing.assert_array_equal(mean_maxsim([np.empty((0, WIDTH), np.float32)], some), [[0, 0]])


def test_a_single_array_is_one_text() -> None:
    query, documents = _texts([3])[0], _texts([4, 2], seed=1)
    np.testing.assert_array_equal(maxsim(query, documents), maxsim([query], documents))


@pytest.mark.parametrize(
    ("queries", "documents", "error", "message"),
    [
        ("text", _texts([2]), TypeError, "queries is a str, expected a list of arrays"),
        (_texts([2]), [[0.5] * WIDTH], TypeError, r"documents\[0\] is a list"),
        ([np.ones(WIDTH)], _texts([2]), InputError, r"queries\[0\] has the shape \(8,\)"),
        (_texts([2]), [np.ones((2, 4))], InputError, "vectors are 4, 8 wide"),
    ],
)
def test_what_is_no_text_is_refused(queries: Any, documents: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        maxsim(queries, documents)


def test_pairs_are_as_many_on_both_sides() -> None:
    with pytest.raises(InputError, match="2 queries and 1 documents are no pairs"):
        maxsim_pairwise(_texts([2, 3]), _texts([2]))
