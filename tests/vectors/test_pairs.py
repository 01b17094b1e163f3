"""The most similar pairs against comparing each pair by itself in Python, and against sentence-transformers."""

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sentence_transformers import util

from embedrt import ranking
from embedrt.errors import InputError
from embedrt.pairs import Pairs, most_similar_pairs, pair_count, paraphrase_mining_embeddings
from embedrt.ranking import Ranking, lengths

Floats = npt.NDArray[np.float32]
Scored = list[tuple[float, int, int]]


def brute_force(vectors: npt.NDArray[np.floating], top: int, min_score: float = -2.0) -> Scored:
    """Every cosine by itself, rounded to float32; the best, and the first of equals."""
    rows = vectors.tolist()
    norms = [max(math.sqrt(math.fsum(x * x for x in row)), 1e-12) for row in rows]
    scored = []
    for first, row in enumerate(rows):
        for second in range(first + 1, len(rows)):
            product = math.fsum(x * y for x, y in zip(row, rows[second], strict=True))
            scored.append((float(np.float32(product / (norms[first] * norms[second]))), first, second))
    scored.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return [pair for pair in scored if pair[0] >= np.float32(min_score)][:top]


def as_list(found: Pairs) -> Scored:
    assert [column.dtype for column in found] == [np.float32, np.int64, np.int64]
    return list(zip(*(column.tolist() for column in found), strict=True))


def random(count: int, width: int = 24, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((count, width), dtype=np.float32)


def clustered(count: int, width: int = 24, *, spread: float = 0.02) -> Floats:
    """A few meanings, each said in many ways."""
    centers = np.random.default_rng(1).integers(0, 5, count)
    return random(5, width)[centers] + np.float32(spread) * random(count, width, seed=2)


COLLECTIONS: dict[str, Callable[[], Floats]] = {
    "random": lambda: random(120),
    "unit": lambda: random(120) / np.linalg.norm(random(120), axis=1, keepdims=True),
    "clustered": lambda: clustered(120),
    "nearly equal": lambda: clustered(90, spread=1e-4),
    "all equal": lambda: np.ones((90, 5), dtype=np.float32),
    "two texts": lambda: np.repeat(random(2), 45, axis=0)[np.random.default_rng(3).permutation(90)],
    "some zero": lambda: random(60) * (np.arange(60) % 3 > 0)[:, None].astype(np.float32),
    "opposite": lambda: np.concatenate([random(40), -random(40)]),
}


@pytest.mark.parametrize("block", [(16, 64), (64, 16), (1024, 4096)])
@pytest.mark.parametrize("top", [1, 7, 100, 2500, 10_000])
@pytest.mark.parametrize("name", COLLECTIONS)
def test_equal_to_brute_force(name: str, top: int, block: tuple[int, int]) -> None:
    vectors = COLLECTIONS[name]()
    assert as_list(most_similar_pairs(vectors, top=top, block=block)) == brute_force(vectors, top)


@settings(deadline=None, max_examples=200)
@given(
    vectors=arrays.arrays(
        np.float32, st.tuples(st.integers(2, 24), st.integers(1, 4)), elements=st.integers(-2, 2).map(float)
    ),
    top=st.integers(1, 300),
    block=st.tuples(st.integers(1, 25), st.integers(1, 25)),
    chunk=st.integers(1, 40),
    min_score=st.sampled_from([None, -1.0, 0.0, 0.5, 1.0]),
)
def test_ties_are_ordered_whatever_the_blocks(
    vectors: Floats, top: int, block: tuple[int, int], chunk: int, min_score: float | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_CHUNK", chunk)
        found = most_similar_pairs(vectors, top=top, block=block, min_score=min_score)
    assert as_list(found) == brute_force(vectors, top, -2.0 if min_score is None else min_score)


@pytest.mark.parametrize("min_score", [-1.0, 0.2, 0.9, 0.9999, 1.0])
def test_min_score(min_score: float) -> None:
    vectors = clustered(120)
    expected = brute_force(vectors, 500, min_score)
    assert as_list(most_similar_pairs(vectors, top=500, min_score=min_score)) == expected


def test_min_score_includes_itself() -> None:
    vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], dtype=np.float32)
    found = most_similar_pairs(vectors, min_score=0.6)
    assert as_list(found) == [(float(np.float32(0.8)), 1, 2), (float(np.float32(0.6)), 0, 1)]
    assert len(most_similar_pairs(vectors, min_score=0.81).scores) == 0


def test_a_block_full_of_rounding_errors_loses_no_pair() -> None:
    """A thousand components of one size make float32 sums err in the places that order these pairs."""
    vectors = 1 + np.float32(3e-3) * random(80, 1500)
    assert as_list(most_similar_pairs(vectors, top=20, block=(7, 9))) == brute_force(vectors, 20)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats(dtype: type[np.floating]) -> None:
    vectors = (random(60) * 10).astype(dtype)
    assert as_list(most_similar_pairs(vectors, top=30)) == brute_force(vectors, 30)


@pytest.mark.parametrize("count", [0, 1])
def test_no_pairs(count: int) -> None:
    assert as_list(most_similar_pairs(random(count))) == []


def test_progress_adds_up_to_every_pair() -> None:
    for vectors in (random(50), np.ones((50, 3), dtype=np.float32)):
        for block in [(7, 11), (11, 7), (100, 100), (1, 1)]:
            steps: list[float] = []
            most_similar_pairs(vectors, top=3, block=block, advance=steps.append)
            assert sum(steps) == pair_count(50) == 1225


def test_the_vectors_are_left_alone() -> None:
    vectors = random(30)
    vectors.setflags(write=False)
    kept = vectors.copy()
    most_similar_pairs(vectors)
    np.testing.assert_array_equal(vectors, kept)


def test_sentence_transformers_name_and_answer() -> None:
    vectors = clustered(200)
    theirs = util.paraphrase_mining_embeddings(vectors, max_pairs=300, top_k=200)
    ours = paraphrase_mining_embeddings(vectors, max_pairs=300)
    assert len(ours) == 300
    np.testing.assert_allclose([pair[0] for pair in ours], [pair[0] for pair in theirs], atol=1e-6)
    assert {(first, second) for _, first, second in ours[:250]} <= {(int(i), int(j)) for _, i, j in theirs}


def test_a_zero_vector_among_normalized_ones_has_nothing_copied() -> None:
    vectors = random(3000, 2000)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[7] = 0
    tracemalloc.start()
    most_similar_pairs(vectors, top=5, block=(256, 1024))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes / 2
    vectors[7] = np.float32(9e-13) * vectors[3]  # of some length, so with cosines
    assert as_list(most_similar_pairs(vectors[:30], top=9)) == brute_force(vectors[:30], 9)


def test_a_corpus_of_one_text_takes_no_memory() -> None:
    """2·10^10 pairs, all of the highest score: only the first ones are looked at."""
    vectors = np.ones((200_000, 2), dtype=np.float32)
    vectors /= np.float32(math.sqrt(2))
    tracemalloc.start()
    found = most_similar_pairs(vectors, top=5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert as_list(found) == [(1.0, 0, second) for second in range(1, 6)]
    assert peak < 200e6


def test_ranking_is_closed_where_nothing_can_be_better() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.float32)
    kept = Ranking(vectors, lengths(vectors), top=2)
    kept.offer(np.array([0, 0]), np.array([2, 3]))
    assert kept.limit == 0.0
    assert not kept.is_closed_from(3, 3)  # the last that is kept is not of the highest score
    kept.offer(np.array([1]), np.array([3]))
    assert kept.limit == 0.0  # one pair waits to be ranked
    kept.offer(np.array([0]), np.array([1]))
    assert kept.limit == 1.0
    assert [kept.is_closed_from(0, second) for second in (1, 2, 3)] == [False, False, False]
    assert [kept.is_closed_from(*place) for place in [(1, 0), (2, 0)]] == [True, True]
    scores, first, second = kept.result()
    assert (scores.tolist(), first.tolist(), second.tolist()) == ([1.0, 1.0], [0, 0], [1, 3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top is 0, expected at least 1"),
        ({"min_score": math.nan}, "min_score is nan, expected a cosine from -1 to 1"),
        ({"min_score": 1.5}, "min_score is 1.5"),
        ({"block": (0, 5)}, r"block is \(0, 5\), expected at least 1 row"),
        ({"vectors": np.zeros(3)}, r"float64 of shape \(3,\), expected floats of shape \(n, dim\)"),
        ({"vectors": np.zeros((3, 2), dtype=np.int8)}, "vectors are int8 of shape"),
        (
            {"vectors": np.array([[1, 2], [1, np.nan], [np.inf, 0]])},
            r"^vectors have NaN or infinity in them, 2 of 3, vector 1 first: leave out rows of which np\.isfinite",
        ),
    ],
)
def test_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        most_similar_pairs(**{"vectors": random(4), **options})  # type: ignore[arg-type]
