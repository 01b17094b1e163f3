"""The nearest vectors: as sentence-transformers finds them, in any block size, with ties in the corpus's order."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.util import semantic_search as original

from embedrt import search as search_module
from embedrt.errors import InputError
from embedrt.search import semantic_search
from embedrt.similarity import dot_score, euclidean_sim


def test_as_sentence_transformers() -> None:
    numbers = np.random.default_rng(0)
    queries, corpus = (numbers.standard_normal((count, 16)).astype(np.float32) for count in (7, 300))
    expected, found = original(queries, corpus, top_k=12), semantic_search(queries, corpus, top_k=12)
    for one, other in zip(expected, found, strict=True):
        assert [hit["corpus_id"] for hit in one] == [hit["corpus_id"] for hit in other]
        np.testing.assert_allclose([h["score"] for h in one], [h["score"] for h in other], atol=1e-6)


@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 9), st.integers(1, 12), st.sampled_from([1, 3, 64]))
def test_blocks_and_ties_change_nothing(seed: int, corpus: int, queries: int, top_k: int, block: int) -> None:
    numbers = np.random.default_rng(seed)
    left = numbers.integers(-2, 3, (queries, 3)).astype(np.float32)
    right = numbers.integers(-2, 3, (corpus, 3)).astype(np.float32)  # equal scores in plenty, and exact ones
    scores = left @ right.T
    expected = [sorted(range(corpus), key=lambda place: (-row[place], place))[:top_k] for row in scores.tolist()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "_QUERIES", block)
        patch.setattr(search_module, "_CORPUS", block)
        found = semantic_search(left, right, top_k=top_k, score_function=dot_score)
    assert [[hit["corpus_id"] for hit in row] for row in found] == expected
    assert [[hit["score"] for hit in row] for row in found] == [
        [scores[number][place] for place in row] for number, row in enumerate(expected)
    ]


def test_other_measures_and_progress() -> None:
    corpus = np.array([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    seen: list[float] = []
    (hits,) = semantic_search(np.zeros(2), corpus, top_k=2, score_function=euclidean_sim, advance=seen.append)
    assert hits == [{"corpus_id": 0, "score": 0.0}, {"corpus_id": 2, "score": -1.0}]
    assert sum(seen) == 3
    assert semantic_search(np.zeros((2, 2)), np.zeros((0, 2))) == [[], []]


def test_bad_input() -> None:
    with pytest.raises(InputError, match="top_k is 0, expected at least 1"):
        semantic_search(np.zeros(2), np.zeros((1, 2)), top_k=0)
    with pytest.raises(InputError, match="vectors of width 2 cannot be compared with vectors of width 3"):
        semantic_search(np.zeros(2), np.zeros((1, 3)))
    wrong: Any
    for wrong in (2.0, None, True):
        with pytest.raises(TypeError, match=rf"^top_k is a \w+ \({wrong}\), expected a whole number$"):
            semantic_search(np.zeros(2), np.zeros((1, 2)), top_k=wrong)


@pytest.mark.parametrize("rows", [3, 40])
def test_similarities_that_are_no_numbers(rows: int) -> None:
    corpus = np.ones((rows, 2), np.float32)
    corpus[1] = np.nan
    with pytest.raises(
        InputError, match=r"^vectors have NaN or infinity in them, so that some similarities are NaN: leave out rows"
    ):
        semantic_search(np.ones(2, np.float32), corpus, top_k=5)


def test_a_corpus_in_half_precision() -> None:
    numbers = np.random.default_rng(1)
    corpus = numbers.standard_normal((300, 16)).astype(np.float16)
    corpus[7] = 0
    query = numbers.standard_normal(16).astype(np.float32)
    assert semantic_search(query, corpus) == semantic_search(query, corpus.astype(np.float32))
    assert semantic_search(query, corpus, query_chunk_size=5) == semantic_search(query, corpus)  # type: ignore[call-arg]
